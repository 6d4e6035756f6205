"""Clients that write and read all the while that something is wrong, and what they are told."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from threading import Event

import httpx

from tests.databases import ADMIN_TOKEN
from tests.running import START_SECONDS, Doorman, from_own_address

PAUSE = 0.005  # seconds between the requests of one
PASSWORD = "a fine password"

_numbers = count()


class Told:
    """The answers to one kind of request."""

    def __init__(self) -> None:
        self.statuses = Counter[int]()
        self.slowest = 0.0
        self.odd: list[str] = []  # answers 503 that are not as they have to be

    def note(self, answer: httpx.Response) -> None:
        self.statuses[answer.status_code] += 1
        self.slowest = max(self.slowest, answer.elapsed.total_seconds())
        kind, retry_after = answer.headers["Content-Type"], answer.headers.get("Retry-After", "")
        is_told = kind == "application/problem+json" and retry_after.isdecimal() and int(retry_after) >= 1
        if answer.status_code == 503 and not is_told:
            self.odd.append(f"{kind} {retry_after}")


class AtWork:
    """What the clients of one Doorman were told."""

    def __init__(self, doorman: Doorman) -> None:
        self._doorman = doorman
        self.acknowledged: list[str] = []
        self.writes, self.reads = Told(), Told()

    @contextmanager
    def going_on(self, seconds: float = 0.0) -> Iterator[None]:
        """Have two clients write and two read, for as long as this lasts, and at least for some ``seconds``."""
        stop = Event()
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(4) as pool:
            begun = [pool.submit(work, stop) for work in (self._write, self._read) * 2]
            try:
                yield
                stop.wait(max(0.0, until - time.monotonic()))
            finally:
                stop.set()
            for one in begun:
                one.result()

    def _write(self, stop: Event) -> None:
        with self._client() as client:
            is_first = True
            while is_first or not stop.wait(PAUSE):
                is_first = False
                name = f"user{next(_numbers)}"
                answer = client.post(f"{self._doorman.users}/{name}", json={"password": PASSWORD})
                self.writes.note(answer)
                if answer.status_code == 200:
                    self.acknowledged.append(name)

    def _read(self, stop: Event) -> None:
        with self._client() as client:
            is_first = True
            while is_first or not stop.wait(PAUSE):
                is_first = False
                self.reads.note(client.get(f"{self._doorman.users}/root"))
                self.reads.note(client.get(self._doorman.users, params={"limit": 50, "after": "t"}))

    def _client(self) -> httpx.Client:
        return httpx.Client(
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
            transport=from_own_address(),
            timeout=START_SECONDS,
        )
