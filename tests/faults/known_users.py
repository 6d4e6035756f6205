"""Users as a client knows them: by what was acknowledged, and with each outcome that an unanswered write may have."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import bcrypt


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a user is; ``token`` is ``None`` where it is a random one that nobody was told."""

    password: str
    token: str | None
    email: str
    name: str
    user_group: str

    def as_fields(self) -> dict[str, Any]:
        """Return what a user of this state is created with."""
        return {name: getattr(self, name) for name in self.__slots__}

    def has_hashes(self, password_hash: str, token_hash: str) -> bool:
        """Tell whether these may be the hashes of this state's secrets."""
        if not _is_hash_of(password_hash, self.password):
            return False
        return self.token is None or _is_hash_of(token_hash, self.token)


@dataclass(slots=True)
class KnownUser:
    """``states`` are all that the user may be in, ``None`` for not being there: one, if all was answered.

    ``writes`` were acknowledged and ``doubts`` not answered since it was made, so its revision lies between the two.
    While it ``is_doubtful``, what was asked before may still happen, and nothing is asked for but what ends the doubts:
    the display name ``marker``. Afterwards reading tells which states remain: those of one password and one token.
    """

    name: str
    states: list[State | None]
    writes: int = 0
    doubts: int = 0
    is_doubtful: bool = False
    marker: str = ""
    former: str | None = None  # the password before the last one
    sessions: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    @property
    def is_there(self) -> bool:
        return None not in self.states

    @property
    def state(self) -> State:
        """What it is, or may be but for what reading does not tell."""
        state = self.states[0]
        assert state is not None
        return state

    def created(self, state: State) -> None:
        self.states, self.writes, self.doubts, self.is_doubtful = [state], 1, 0, False

    def settled(self) -> None:
        """Note that whatever was asked for has happened by now, or will not."""
        self.is_doubtful, self.marker = False, ""

    def changed(self, fields: Mapping[str, Any]) -> None:
        """Note that a change was acknowledged."""
        if "password" in fields:
            self._end_sessions()
            if not self.is_doubtful:
                self.former = self.state.password
        self.states = _each_once(replace(state, **fields) for state in self.states if state is not None)
        self.writes += 1

    def deleted(self) -> None:
        self._end_sessions()
        self.states = [None]

    def maybe_changed(self, fields: Mapping[str, Any]) -> None:
        """Note that nobody knows whether a change was made."""
        self._may_be(replace(state, **fields) for state in self.states if state is not None)
        if "password" in fields:
            self.sessions, self.former = [], None

    def maybe_created(self, state: State) -> None:
        self._may_be([state])

    def maybe_deleted(self) -> None:
        self._may_be([None])
        self.sessions = []

    def _may_be(self, states: Iterable[State | None]) -> None:
        self.states = _each_once([*self.states, *states])
        self.doubts += 1
        self.is_doubtful = True

    def _end_sessions(self) -> None:
        self.ended += self.sessions
        self.sessions = []


def _each_once(states: Iterable[State | None]) -> list[State | None]:
    return list(dict.fromkeys(states))


def _is_hash_of(hashed: str, secret: str) -> bool:
    return bcrypt.checkpw(secret.encode(), hashed.encode())
