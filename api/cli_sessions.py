"""``doorman users sessions`` and ``revoke``: what opens a user without its password or API token."""

from contextlib import suppress

import click

from api.cli_commands import Command, as_json_option
from api.cli_store import CreateCore, kind_of, oauth_option, opened
from api.cli_terminal import show, show_all
from api.schemas import dump_session
from models.errors import SessionNotFoundError

_COLUMNS = ("id", "kind", "created_at", "last_used_at", "expires_at", "address", "user_agent")


@click.command("sessions", cls=Command)
@click.argument("user_name")
@oauth_option
@as_json_option
@click.pass_obj
def list_sessions(create_core: CreateCore, user_name: str, *, oauth: bool, as_json: bool) -> None:
    """List a user's sessions, user keys and JSON Web Tokens, the latest first. Their ids open nothing."""
    with opened(create_core, as_json=as_json) as core:
        user = core.accounts.get(user_name, kind_of(oauth=oauth))
        show_all(map(dump_session, core.sessions.of(user)), _COLUMNS, as_json=as_json)


@click.command("revoke", cls=Command)
@click.argument("user_name")
@click.argument("session_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "are_all", is_flag=True, help="All of them.")
@oauth_option
@as_json_option
@click.pass_obj
def revoke(
    create_core: CreateCore, user_name: str, session_ids: tuple[str, ...], *, are_all: bool, oauth: bool, as_json: bool
) -> None:
    """End sessions, user keys and JSON Web Tokens of a user, by the ids that `sessions` lists, or all of them.

    The password and the API token stay: `set --password` and `refresh-token` end those.
    """
    if are_all == bool(session_ids):
        raise click.UsageError("Name ids, or say --all.")
    with opened(create_core, as_json=as_json) as core:
        user = core.accounts.get(user_name, kind_of(oauth=oauth))
        if are_all:
            revoked = core.sessions.revoke_all(None, user)
        else:
            wanted = {core.sessions.find(user, session_id).id for session_id in session_ids}  # all or none
            revoked = 0
            for session_id in wanted:
                with suppress(SessionNotFoundError):  # it has ended by itself meanwhile
                    core.sessions.revoke(None, user, session_id)
                    revoked += 1
    show({"user_name": user.user_name, "revoked": revoked}, as_json=as_json)
