"""What may befall a SQLite file, each for as long as it is wanted."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.running import Doorman
from tests.storage.stores import opened

# Becomes another program without root's right to write to what is read-only.
_AS_ANYBODY = """
import ctypes, os, sys
for right in (1, 2):
    ctypes.CDLL(None).prctl(24, right, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
AS_ANYBODY_ELSE = [sys.executable, "-I", "-S", "-c", _AS_ANYBODY]

_LOCKS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""

Trouble = Callable[[Doorman, Path], AbstractContextManager[None]]


@contextmanager
def read_only(_: Doorman, path: Path) -> Iterator[None]:
    """Nothing there may be written to."""
    files = [*path.parent.iterdir(), path.parent]
    for file in files:
        file.chmod(0o500 if file.is_dir() else 0o400)
    try:
        yield
    finally:
        for file in files[::-1]:
            file.chmod(0o700 if file.is_dir() else 0o600)


@contextmanager
def no_space(doorman: Doorman, path: Path) -> Iterator[None]:
    """No file may grow; what the workers have open stays open."""
    most = Path(f"{path}-wal").stat().st_size

    def limit(size: int) -> None:
        for process in doorman.workers():
            resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    limit(most)
    try:
        yield
    finally:
        limit(resource.RLIM_INFINITY)


@contextmanager
def locked(_: Doorman, path: Path) -> Iterator[None]:
    """Another program has begun to write, and does not end."""
    command = [sys.executable, "-c", _LOCKS, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            holder.kill()


@contextmanager
def cut_short(_: Doorman, path: Path) -> Iterator[None]:
    """The second half is gone, until it is appended again."""
    whole = path.read_bytes()
    size = len(whole) // 8192 * 4096
    os.truncate(path, size)
    try:
        yield
    finally:
        with path.open("ab") as file:
            file.write(whole[size:])


@contextmanager
def newer(_: Doorman, path: Path) -> Iterator[None]:
    """A newer version has made the schema its own."""
    with opened(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    try:
        yield
    finally:
        with opened(path) as connection:
            connection.execute("PRAGMA user_version = 1")
