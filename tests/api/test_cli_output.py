"""Commands whose output cannot be written, or is closed: what they say, and what they leave alone."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.api.commands import Commands, lines
from tests.databases import Environment
from tests.running import DOORMAN, clean_environment

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")


@pytest.fixture
def commands(sqlite_environment: Environment, tmp_path: Path) -> Commands:
    made = Commands(sqlite_environment, tmp_path)
    made.bring(lines({"user_name": "ann", "oauth": 1}, {"user_name": "caf\u00e9"}), "--passwordless")
    return made


def shell(commands: Commands, script: str, **settings: str) -> tuple[int, list[str]]:
    """Run a line of shell in which ``doorman`` is Doorman, and return its status and what it says."""
    done = subprocess.run(
        ["sh", "-c", f'doorman() {{ "{DOORMAN}" "$@"; }}; {script}'],
        env=clean_environment() | commands.environment | settings,
        cwd=commands.directory,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, [line for line in done.stderr.splitlines() if not line.startswith("Store: ")]


def test_a_full_disk_is_one_message(commands: Commands) -> None:
    """Where the output cannot be written, a command says so in a line and ends with status 1."""
    message = "The output is not whole, though the work may be done: No space left on device."
    assert shell(commands, "doorman users list >/dev/full") == (1, [f"Error: {message}"])
    status, said = shell(commands, "doorman import users.jsonl --passwordless --json >/dev/full")
    assert (status, [json.loads(line) for line in said]) == (1, [{"error": "failed", "message": message}])


@pytest.mark.parametrize(
    ("arguments", "lost", "remedies"),
    [
        (
            "users create bob --random-password --random-token",
            ["password", "token"],
            ["users set bob --random-password", "users refresh-token bob"],
        ),
        ("users refresh-token --oauth ann", ["token"], ["users refresh-token ann --oauth"]),
        ("admin create eve", ["password", "token"], ["users set eve --random-password", "users refresh-token eve"]),
    ],
)
def test_a_secret_that_was_not_shown_is_missed(
    commands: Commands, arguments: str, lost: list[str], remedies: list[str]
) -> None:
    """What is stored by then is said to be, with the commands that make another password or token, which work."""
    status, said = shell(commands, f"doorman {arguments} --json >/dev/full")
    told = json.loads(said[-1])
    assert (status, len(said)) == (1, 1)
    assert (told["error"], told["not_shown"]) == ("not_shown", lost)
    assert told["commands"] == [f"doorman {remedy}" for remedy in remedies]
    for remedy in remedies:
        assert commands.run(*remedy.split()).status == 0


def test_nothing_is_done_where_nothing_can_be_shown(commands: Commands) -> None:
    """With standard output closed, the store is not touched; a closed standard input or error is an empty one."""
    before = commands.users()
    status, said = shell(commands, "doorman users refresh-token ann --oauth >&-")
    assert (status, said) == (1, ["Error: Standard output is closed, and nothing could be shown: nothing was done."])
    assert shell(commands, "doorman users create bob --password-stdin <&-") == (
        1,
        ["Error: password: It may not be empty."],
    )
    assert commands.users() == before
    assert shell(commands, "doorman export users.jsonl >/dev/null 2>&-")[0] == 0


def test_an_export_is_utf_8_in_every_locale(commands: Commands) -> None:
    """To standard output as to a file, by whatever name: what else was in there stays, and no link is replaced."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    (commands.directory / "out").symlink_to("/proc/self/fd/1")  # as /dev/stdout is
    said = "exported 2 users, without any hash: whoever is imported from it has no password"
    script = "echo before >all; doorman export - >>all; doorman export out >>all"
    assert shell(commands, script, **plain) == (0, [said, said])
    before, *users = (commands.directory / "all").read_text("utf-8").splitlines()
    assert (before, [json.loads(line)["user_name"] for line in users]) == ("before", ["caf\u00e9", "ann"] * 2)
    assert (commands.directory / "out").is_symlink()
