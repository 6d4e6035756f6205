"""``doorman users``: what the operator can do to accounts, who may do all that the core allows."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click

from api.cli_commands import Commands, as_json_option
from api.cli_secrets import SecretSources, secret_options, show_made
from api.cli_sessions import list_sessions, revoke
from api.cli_store import CreateCore, kind_of, oauth_option, opened
from api.cli_terminal import confirm, show, show_all
from api.schemas import iso_time
from models.account_rules import Changes
from models.accounts import UserId
from models.core import Core
from models.listing import NameFilter
from models.secret import Secret
from models.user import USER_GROUPS, User, UserGroup

_PAGE = 500
_COLUMNS = ("user_name", "user_group", "disabled", "email", "name", "created_at")

_group_option = click.option("--group", type=click.Choice(USER_GROUPS), help="The user's group.")


@click.group(cls=Commands)
def users() -> None:
    """Work on users in the store directly."""


@users.command("list")
@click.option("--group", type=click.Choice(USER_GROUPS), help="Those of one group.")
@click.option("--prefix", default="", help="Those whose names begin with this, in capital letters or not.")
@click.option("--limit", type=click.IntRange(min=1), help="So many at most.")
@oauth_option
@as_json_option
@click.pass_obj
def list_users(
    create_core: CreateCore, *, group: UserGroup | None, prefix: str, limit: int | None, oauth: bool, as_json: bool
) -> None:
    """List users by name: as a table on a terminal, else a line each, with tabs between its values."""
    wanted = NameFilter(oauth=kind_of(oauth=oauth), prefix=prefix, user_group=group)
    with opened(create_core, as_json=as_json) as core:
        show_all((dump(user) for user in _found(core, wanted, limit)), _COLUMNS, as_json=as_json)


@users.command("show")
@click.argument("user_name")
@oauth_option
@as_json_option
@click.pass_obj
def show_user(create_core: CreateCore, user_name: str, *, oauth: bool, as_json: bool) -> None:
    """Show a user."""
    with opened(create_core, as_json=as_json) as core:
        show(dump(core.accounts.get(user_name, kind_of(oauth=oauth))), as_json=as_json)


@users.command("create")
@click.argument("user_name")
@secret_options
@_group_option
@click.option("--name", help="The name to show.")
@click.option("--email", help="The e-mail address.")
@click.option("--disable", "disabled", is_flag=True, default=None, help="The user cannot log in until it is enabled.")
@oauth_option
@as_json_option
@click.pass_obj
def create_user(create_core: CreateCore, /, user_name: str, *, oauth: bool, as_json: bool, **options: Any) -> None:
    """Create a user. Its password is asked for, unless an option says where it comes from."""
    sources, fields = _taken(options)
    password, token = sources.password(otherwise_ask=not oauth), sources.token()
    _add(fields, password, token)
    with opened(create_core, as_json=as_json, may_be_new=True) as core:
        user = core.accounts.create(None, user_name, fields, kind_of(oauth=oauth))
    made = sources.made(password, token)
    show_made(dump(user) | made, made, user.user_name, as_json=as_json, oauth=oauth)


@users.command("set")
@click.argument("user_name")
@secret_options
@_group_option
@click.option("--name", help="The name to show.")
@click.option("--no-name", is_flag=True, help="Clear the name to show.")
@click.option("--email", help="The e-mail address.")
@click.option("--no-email", is_flag=True, help="Clear the e-mail address.")
@click.option("--disable/--enable", "disabled", default=None, help="Whether the user can log in.")
@oauth_option
@as_json_option
@click.pass_obj
def set_user(create_core: CreateCore, /, user_name: str, *, oauth: bool, as_json: bool, **options: Any) -> None:
    """Change a user. Its sessions end with its password, and when it is disabled."""
    sources, fields = _taken(options)
    password, token = sources.password(), sources.token()
    _add(fields, password, token)
    if not fields:
        raise click.UsageError("Say what to change.")
    with opened(create_core, as_json=as_json) as core:
        user = core.accounts.update(None, user_name, fields, kind_of(oauth=oauth))
    made = sources.made(password, token)
    show_made(dump(user) | made, made, user.user_name, as_json=as_json, oauth=oauth)


@users.command("delete")
@click.argument("user_name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@oauth_option
@as_json_option
@click.pass_obj
def delete_user(create_core: CreateCore, user_name: str, *, yes: bool, oauth: bool, as_json: bool) -> None:
    """Delete a user, after asking."""
    with opened(create_core, as_json=as_json) as core:
        user = core.accounts.get(user_name, kind_of(oauth=oauth))
        confirm(f"Delete {user.user_name} ({user.user_group}, made {iso_time(user.created_at)})?", is_agreed=yes)
        core.accounts.delete(None, UserId(user.id))  # who was shown, whoever has the name by now
    show({"user_name": user.user_name, "deleted": True}, as_json=as_json)


@users.command("refresh-token")
@click.argument("user_name")
@oauth_option
@as_json_option
@click.pass_obj
def refresh_token(create_core: CreateCore, user_name: str, *, oauth: bool, as_json: bool) -> None:
    """Give a user a new random API token, and show it this once. The former one ends."""
    with opened(create_core, as_json=as_json) as core:
        token = core.accounts.refresh(None, user_name, kind_of(oauth=oauth))
    show_made({"token": token.reveal()}, ["token"], user_name, as_json=as_json, oauth=oauth)


users.add_command(list_sessions)
users.add_command(revoke)


def dump(user: User) -> dict[str, Any]:
    """Return what the command line shows of a user: not the hashes, which are material to crack."""
    return {
        "user_name": user.user_name,
        "oauth": user.oauth,
        "id": user.id,
        "user_group": user.user_group,
        "disabled": user.disabled,
        "name": user.name,
        "email": user.email,
        "created_at": iso_time(user.created_at),
        "updated_at": iso_time(user.updated_at),
    }


def _found(core: Core, wanted: NameFilter, limit: int | None) -> Iterator[User]:
    """Yield the users, read page by page: memory stays flat, however many there are."""
    left = limit
    while left is None or left > 0:
        page = core.listing.users(wanted, _PAGE if left is None else min(_PAGE, left))
        yield from page.users
        if page.next_after is None:
            return
        left = None if left is None else left - len(page.users)
        wanted = replace(wanted, after=page.next_after)


def _taken(options: dict[str, Any]) -> tuple[SecretSources, Changes]:
    """Return what the options say of secrets, and what they set otherwise."""
    group, disabled = options.pop("group"), options.pop("disabled")
    fields: Changes = {}
    for name in ("name", "email"):
        value, is_cleared = options.pop(name), options.pop(f"no_{name}", False)
        if value is not None and is_cleared:
            raise click.UsageError(f"--{name} and --no-{name} exclude one another.")
        if value is not None or is_cleared:
            fields[name] = value
    if group is not None:
        fields["user_group"] = group
    if disabled is not None:
        fields["disabled"] = disabled
    return SecretSources(**options), fields


def _add(fields: Changes, password: Secret | None, token: Secret | None) -> None:
    if password is not None:
        fields["password"] = password
    if token is not None:
        fields["token"] = token
