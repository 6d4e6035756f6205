"""The command line, called within the test: what starting a process costs, it is spared."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from api import cli
from api.settings import Settings
from app import create_core
from models.core import Core
from models.exports import Exports
from models.user import User
from tests.databases import Environment


@dataclass
class Ran:
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        return list(map(json.loads, self.out.splitlines()))


class Commands:
    """Doorman's commands over one store."""

    def __init__(self, environment: Environment, directory: Path) -> None:
        self.environment = environment
        self.directory = directory

    def __or__(self, changes: Environment) -> "Commands":
        """Return the same commands with other settings."""
        return Commands(self.environment | changes, self.directory)

    def run(self, *arguments: str, text: str | bytes | None = None, create: Any = create_core) -> Ran:
        runner = CliRunner(env=dict(self.environment))
        done = runner.invoke(cli.main, arguments, obj=create, input=text)
        assert "Traceback" not in done.stderr
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ran(done.exit_code, done.stdout, done.stderr)

    def write(self, name: str, content: str | bytes) -> str:
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def bring(self, content: str | bytes, *options: str, name: str = "users.jsonl") -> Any:
        """Import a file of this content, and return what is told in JSON."""
        return self.run("import", self.write(name, content), "--json", *options).json()

    def core(self) -> Core:
        return create_core(Settings.from_env(self.environment), with_first_admin=False)

    def users(self) -> dict[str, User]:
        core = self.core()
        try:
            return {user.user_name: user for user in Exports.users(core.exports) if isinstance(user, User)}
        finally:
            core.close()


def lines(*entries: dict[str, Any]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)
