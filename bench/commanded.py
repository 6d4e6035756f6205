"""Clients that are told what to do while they run: each is a process, and answers a command by a line of JSON."""

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.processes import NotMeasuredError

_GRACE_SECONDS = 30.0


class Commanded:
    """One module of this package at work. Its methods raise ``NotMeasuredError`` when it fails or does not answer."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._module = module
        self._process = subprocess.Popen(  # noqa: S603 - this package's own modules
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def do(self, command: str, number: int, seconds: float) -> Any:
        """Have it carry out a command, which may take so many seconds, and return the answer."""
        assert self._process.stdin is not None
        try:
            print(json.dumps([command, number, seconds]), file=self._process.stdin, flush=True)
        except BrokenPipeError as error:
            raise self._failed() from error
        return self._answer(seconds + _GRACE_SECONDS)

    def finish(self) -> Any:
        """Tell it that nothing more comes, and return what it has to say at its end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._answer(_GRACE_SECONDS)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answer(self, seconds: float) -> Any:
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if readable else ""
        if not line:
            raise self._failed()
        return json.loads(line)

    def _failed(self) -> NotMeasuredError:
        return NotMeasuredError(f"{self._module} failed, or did not answer; its trace, if it has one, stands above")


@contextmanager
def commanded(module: str, *arguments: str) -> Iterator[Commanded]:
    """Let a module work while the block runs."""
    working = Commanded(module, *arguments)
    try:
        yield working
    finally:
        working.kill()
