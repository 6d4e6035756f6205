"""How far an import is, shown where a person looks on."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import Any, Protocol, TypeVar

import click

T = TypeVar("T")

_MARKED = 8  # entries from one mark to the next


class Progress(Protocol):
    def watch(self, entries: Iterable[T]) -> Iterable[T]:
        """Note where in the file each of the entries is, as they are read."""

    def advance(self, position: int) -> None:
        """Show that so many entries are settled."""


class _NoProgress:
    def watch(self, entries: Iterable[T]) -> Iterable[T]:
        return entries

    def advance(self, position: int) -> None:
        pass


class _Bar:
    """A bar that goes by the bytes of what is settled: entries are read ahead of that."""

    def __init__(self, stream: BufferedReader, bar: Any, position: int) -> None:
        self._stream = stream
        self._bar = bar
        self._read = position
        self._marks: deque[tuple[int, int]] = deque()
        self._at = 0

    def watch(self, entries: Iterable[T]) -> Iterator[T]:
        for entry in entries:
            self._read += 1
            if self._read % _MARKED == 0:
                self._marks.append((self._read, self._stream.tell()))
            yield entry

    def advance(self, position: int) -> None:
        at = self._at
        while self._marks and self._marks[0][0] <= position:
            _, at = self._marks.popleft()
        self._bar.update(at - self._at, f"{position:,} users")
        self._at = at


@contextmanager
def progress(stream: BufferedReader, position: int) -> Iterator[Progress]:
    """Lend what shows the progress of an import that begins after ``position``, if standard error is a terminal."""
    if not (sys.stderr.isatty() and stream.seekable()):
        yield _NoProgress()
        return
    size = stream.seek(0, 2)
    stream.seek(0)
    with click.progressbar(
        length=size, label="Importing", file=sys.stderr, item_show_func=lambda item: str(item or "")
    ) as bar:
        yield _Bar(stream, bar, position)
        bar.finish()
