"""The store that commands work on directly, through the core, as the operator who needs no credential."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click

from api.logs import configure_logging
from api.settings import Settings
from models.core import Core
from models.user import OAuth

oauth_option = click.option("--oauth", is_flag=True, help="Of the OAuth users, instead of the ordinary ones.")


class CreateCore(Protocol):
    """The composition root's ``app.create_core``, which comes in as the context's object."""

    def __call__(self, settings: Settings, *, with_first_admin: bool = True) -> Core: ...


@contextmanager
def opened(create_core: CreateCore, *, as_json: bool) -> Iterator[Core]:
    """Open the core over the store that the settings name, without making a first admin. Raises as that does."""
    settings = Settings.from_env()
    configure_logging(settings)
    if not as_json:
        # A relative path means another store in another folder, and that must not go unnoticed.
        click.echo(f"Store: {settings.store_name}", err=True)
    core = create_core(settings, with_first_admin=False)
    try:
        yield core
    finally:
        core.close()


def kind_of(*, oauth: bool) -> OAuth:
    """Return the kind of user that ``oauth_option`` says."""
    return 1 if oauth else 0
