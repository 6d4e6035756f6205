"""``doorman keys``: the keys that sign JSON Web Tokens."""

import click

from api.cli_commands import Commands, RefusedError, as_json_option
from api.cli_store import CreateCore, opened
from api.cli_terminal import show


@click.group(cls=Commands)
def keys() -> None:
    """Look after the keys that sign JSON Web Tokens."""


@keys.command()
@as_json_option
@click.pass_obj
def rotate(create_core: CreateCore, *, as_json: bool) -> None:
    """Make a new key. It signs in some minutes, when others have heard of it; tokens from before stay valid."""
    with opened(create_core, as_json=as_json) as core:
        key_id = core.signing_keys.rotate()
    show({"key_id": key_id}, as_json=as_json)


# An id may begin with a hyphen, and be none of the options that follow.
@keys.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("key_id")
@as_json_option
@click.pass_obj
def retire(create_core: CreateCore, key_id: str, *, as_json: bool) -> None:
    """Forget a key that others may have got hold of. All tokens that it signed end within a minute."""
    with opened(create_core, as_json=as_json) as core:
        if not core.signing_keys.retire(key_id):
            raise RefusedError("key_not_found", f"There is no key with the id {key_id}.")
    if as_json:
        show({"key_id": key_id, "retired": True}, as_json=True)
    else:
        click.echo("retired")
