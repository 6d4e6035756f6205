"""How events are laid out in what stores keep, how they are added up, and what other programs have written there."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from models.events import Detail, Event, Kind, Party, is_event_id
from models.storage.unreadable import readable

Stored = TypeVar("Stored")

_TEXTS = ("address", "request_id", "surface")


def described(event: Event) -> dict[str, Any]:
    """Return all of an event but its id."""
    return {
        "kind": str(event.kind),
        "actor": _party(event.actor),
        "subject": _party(event.subject),
        **{name: getattr(event, name) for name in _TEXTS},
        "details": dict(event.details),
    }


def event_from(event_id: object, stored: object) -> Event:
    """Build an event from its id and what ``described`` made of it.

    Raises ``KeyError``, ``TypeError`` or ``ValueError`` for what Doorman did not write.
    """
    if not isinstance(event_id, str) or not is_event_id(event_id):
        raise ValueError("id")
    if not isinstance(stored, Mapping) or not isinstance(stored["details"], Mapping):
        raise TypeError("details")
    texts = {name: stored[name] for name in _TEXTS}
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError("a text")
    return Event(
        id=event_id,
        kind=Kind(stored["kind"]),
        actor=_party_from(stored["actor"]),
        subject=_party_from(stored["subject"]),
        details=dict(stored["details"]),
        **texts,
    )


def added_up(one: Event, other: Event) -> Event:
    """Return both as one event: counts add up, lists unite, and what else there is stays."""
    details = dict(one.details)
    for name, value in other.details.items():
        details[name] = _sum(details.get(name), value)
    return replace(one, details=details)


def readable_events(found: Iterable[Stored], read: Callable[[Stored], Event]) -> Iterator[Event]:
    """Yield the events; one that cannot be read, or is not as Doorman writes them, is logged and left out."""
    return readable(found, read, "An event in the store is not as Doorman writes events, and is left out.")


def _sum(one: Detail, other: Detail) -> Detail:
    if isinstance(one, list) and isinstance(other, list | tuple):
        return list(dict.fromkeys([*one, *other]))
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    return other if one is None else one


def _party(party: Party | None) -> dict[str, Any] | None:
    if party is None:
        return None
    return {"id": party.id, "name": party.name, "key": party.key, "oauth": party.oauth}


def _party_from(stored: object) -> Party | None:
    if stored is None:
        return None
    if not isinstance(stored, Mapping):
        raise TypeError("a party")
    party = Party(stored["id"], stored["name"], stored["key"], stored["oauth"])
    if tuple(map(type, (party.name, party.key))) != (str, str) or type(party.id) not in (str, type(None)):
        raise TypeError("a party")
    if stored["oauth"] not in (0, 1):
        raise ValueError("oauth")
    return party
