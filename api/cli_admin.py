"""``doorman admin``: for the operator who is locked out."""

import click

from api.cli_commands import Commands, RefusedError, as_json_option
from api.cli_secrets import random_password, secret_from_stdin, show_made
from api.cli_store import CreateCore, opened
from models.account_rules import Changes, new_token
from models.secret import Secret

_stdin_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input; else make a random one."
)


@click.group(cls=Commands)
def admin() -> None:
    """Work on the store directly, for the operator who is locked out."""


@admin.command()
@click.argument("user_name")
@_stdin_option
@as_json_option
@click.pass_obj
def create(create_core: CreateCore, user_name: str, *, password_stdin: bool, as_json: bool) -> None:
    """Create an admin, and show its password and token this once."""
    password, token = _password(from_stdin=password_stdin), new_token()
    fields: Changes = {"password": password, "token": token, "user_group": "admin"}
    with opened(create_core, as_json=as_json, may_be_new=True) as core:
        user = core.accounts.create(None, user_name, fields)
    shown = {"user_name": user.user_name, "password": password.reveal(), "token": token.reveal()}
    show_made(shown, ["token"] if password_stdin else ["password", "token"], user_name, as_json=as_json)


@admin.command("reset-password")
@click.argument("user_name")
@_stdin_option
@as_json_option
@click.pass_obj
def reset_password(create_core: CreateCore, user_name: str, *, password_stdin: bool, as_json: bool) -> None:
    """Give an admin a new password, enable it if it is disabled, and show the password this once."""
    password = _password(from_stdin=password_stdin)
    with opened(create_core, as_json=as_json) as core:
        if core.accounts.get(user_name).user_group != "admin":
            raise RefusedError("no_admin", f"The user {user_name} is no admin.")
        user = core.accounts.update(None, user_name, {"password": password, "disabled": False})
    shown = {"user_name": user.user_name, "password": password.reveal()}
    show_made(shown, [] if password_stdin else ["password"], user_name, as_json=as_json)


def _password(*, from_stdin: bool) -> Secret:
    return secret_from_stdin("password") if from_stdin else random_password()
