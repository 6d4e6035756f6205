"""``doorman audit``: what has happened, as the audit trail in the store has it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

import click

from api.audit_queries import dump_event
from api.cli_commands import Command, as_json_option
from api.cli_store import CreateCore, opened
from api.cli_terminal import show_all
from api.moments import MOMENT_RULE, read_moment
from models.audit import EventFilter
from models.core import Core
from models.events import Event, Kind

_PAGE = 500
_COLUMNS = ("at", "kind", "actor", "subject", "address", "surface", "details")


class _Moment(click.ParamType[datetime]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        moment = value if isinstance(value, datetime) else read_moment(str(value))
        if moment is None:
            self.fail(MOMENT_RULE, param, ctx)
        return moment


@click.command("audit", cls=Command, short_help="Show what has happened.")
@click.option("--kind", type=click.Choice([str(kind) for kind in Kind]), help="Events of this kind.")
@click.option("--actor", help="What this user has done: its name or its id.")
@click.option("--subject", help="What was done to this user: its name or its id; failed logins at its name, too.")
@click.option("--address", help="What came from this address.")
@click.option("--since", type=_Moment(), help="What happened at this time or later: 2026-01-31T12:00:00Z.")
@click.option("--until", type=_Moment(), help="What happened before this time.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="So many at most.")
@as_json_option
@click.pass_obj
def audit(create_core: CreateCore, /, *, kind: str | None, limit: int, as_json: bool, **conditions: Any) -> None:
    """Show security events, the newest first: changes to users, sessions ended, keys, imports, and failed logins."""
    wanted = EventFilter(kind=None if kind is None else Kind(kind), **conditions)
    with opened(create_core, as_json=as_json) as core:
        events = islice(_found(core, wanted, min(limit, _PAGE)), limit)
        show_all((dump_event(event) if as_json else _row(event) for event in events), _COLUMNS, as_json=as_json)


def _found(core: Core, wanted: EventFilter, size: int) -> Iterator[Event]:
    while True:
        page = core.audit.page(wanted, size)
        yield from page.events
        if page.next_after is None:
            return
        wanted = replace(wanted, after=page.next_after)


def _row(event: Event) -> dict[str, Any]:
    told = {name: value for name, value in event.details.items() if value not in ([], None)}
    return dump_event(event) | {
        "actor": None if event.actor is None else event.actor.name,
        "subject": None if event.subject is None else event.subject.name,
        "details": " ".join(f"{name}={_text(value)}" for name, value in told.items()),
    }


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
