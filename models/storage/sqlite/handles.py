"""One connection for each thread, which others may close while it is not in use; none of them crosses a fork."""

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Generic, Protocol, TypeVar


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


class Handle(Generic[C]):
    """One thread's connection, open or not. The lock is held while it is in use, so that others close it in between."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: C | None = None
        self.file: tuple[int, int] | None = None  # which file the connection was opened to
        self.log: tuple[int, int] | None = None  # and which was its log then

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def __del__(self) -> None:
        # Runs when the thread has ended, since nothing but its thread-local storage refers to a handle strongly.
        self.close()


class Handles(Generic[C]):
    """The handles of all threads to one database."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._all: weakref.WeakSet[Handle[C]] = weakref.WeakSet()
        self._lock = threading.Lock()
        _every.add(self)

    def own(self) -> Handle[C]:
        """Return the calling thread's handle."""
        handle: Handle[C] | None = getattr(self._local, "handle", None)
        if handle is None:
            handle = self._local.handle = Handle()
            with self._lock:
                self._all.add(handle)
        return handle

    @contextmanager
    def all_idle(self) -> Iterator[None]:
        """Wait until no thread is in a call, close every connection, and keep the others out for the while."""
        with self._lock, ExitStack() as held:
            for handle in list(self._all):
                held.enter_context(handle.lock)
                handle.close()
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
