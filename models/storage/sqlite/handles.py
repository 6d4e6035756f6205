"""A few connections that calls take turns in using, one call at a time; none of them crosses a fork."""

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Generic, Protocol, TypeVar

from models.waiting import about_to_wait

MOST_IDLE = 8  # connections that are kept open for calls to come


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


class Handle(Generic[C]):
    """A connection, open or not, that one call uses at a time."""

    def __init__(self) -> None:
        self.connection: C | None = None
        self.is_read_only = False  # as the file was when the connection was opened
        self.file: tuple[int, int] | None = None  # which file the connection was opened to
        self.log: tuple[int, int] | None = None  # and which was its log then

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def __del__(self) -> None:
        self.close()


class Handles(Generic[C]):
    """The handles to one database, and how many calls are running.

    There are as many handles as calls have needed one at the same time. The last one given back is the next one taken,
    so that few are in use and those remember much; of those that nobody uses, ``MOST_IDLE`` stay open.

    A call runs from ``begin`` to ``end``, and has its handle for a while of that, from ``take`` to ``give``.
    """

    def __init__(self) -> None:
        self._idle: list[Handle[C]] = []
        self._begun = 0
        self._ended = 0
        self._entry = threading.Lock()  # held to count who begins
        self._exit = threading.Lock()  # held to count who ends
        self._last_ended = threading.Condition(self._exit)
        self._is_awaited = False
        _every.add(self)

    def begin(self) -> None:
        about_to_wait()
        with self._entry:
            self._begun += 1

    def end(self) -> None:
        with self._exit:
            self._ended += 1
            if self._is_awaited:
                self._last_ended.notify()

    def take(self) -> Handle[C]:
        try:
            return self._idle.pop()
        except IndexError:
            return Handle()

    def give(self, handle: Handle[C]) -> None:
        self._idle.append(handle)
        if len(self._idle) > MOST_IDLE:
            with suppress(IndexError):  # others may have taken them all meanwhile
                self._idle.pop(0).close()

    @contextmanager
    def running(self) -> Iterator[None]:
        self.begin()
        try:
            yield
        finally:
            self.end()

    @contextmanager
    def taken(self) -> Iterator[Handle[C]]:
        handle = self.take()
        try:
            yield handle
        finally:
            self.give(handle)

    @contextmanager
    def all_idle(self) -> Iterator[None]:
        """Wait until no call runs, close every connection, and keep the others out for the while."""
        with self._entry, self._exit:
            self._is_awaited = True
            try:
                self._last_ended.wait_for(lambda: self._ended == self._begun)
            finally:
                self._is_awaited = False
            while self._idle:
                self._idle.pop().close()
            yield


# SQLite must not be carried across a fork: the child would take the parent's locks for its own, and could then lose the
# log under its feet. So every connection is closed before, and each side opens its own at its next call.
_every: weakref.WeakSet[Handles[Any]] = weakref.WeakSet()
_closed_for_fork: list[ExitStack] = []


def _before_fork() -> None:
    stack = ExitStack()
    for handles in list(_every):
        stack.enter_context(handles.all_idle())
    _closed_for_fork.append(stack)


def _after_fork() -> None:
    _closed_for_fork.pop().close()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
