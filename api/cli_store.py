"""The store that commands work on directly, through the core, as the operator who needs no credential."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import click

from api.exchanges import by_command_line
from api.logs import configure_logging
from api.settings import Settings
from models.core import Core
from models.errors import SetupError
from models.user import OAuth

oauth_option = click.option("--oauth", is_flag=True, help="Of the OAuth users, instead of the ordinary ones.")


class CreateCore(Protocol):
    """The composition root's ``app.create_core``, which comes in as the context's object."""

    def __call__(self, settings: Settings, *, with_first_admin: bool = True) -> Core: ...


@contextmanager
def opened(create_core: CreateCore, *, as_json: bool, may_be_new: bool = False) -> Iterator[Core]:
    """Open the core over the store that the settings name, without making a first admin. Raises as that does.

    Only what brings users in may begin a new store. ``SetupError``: there is none, and this would have nothing to do.
    """
    settings = Settings.from_env()
    configure_logging(settings)
    if not as_json:
        # A relative path means another store in another folder, and that must not go unnoticed.
        click.echo(f"Store: {settings.store_name}", err=True)
    if not may_be_new and settings.sqlite_path is not None:
        _require_file(settings.sqlite_path)
    core = create_core(settings, with_first_admin=False)
    try:
        with by_command_line():
            yield core
    finally:
        core.close()


def _require_file(path: Path) -> None:
    # What is there and cannot be looked at, or is no database, the store knows how to tell.
    with suppress(OSError):
        is_there = path.exists() and path.stat().st_size > 0
        if not is_there:
            raise SetupError(
                f"There is no database at {path.absolute()}, and this command makes none: is DATABASE_URL set, and is "
                "this the folder that Doorman is started in?"
            )


def kind_of(*, oauth: bool) -> OAuth:
    """Return the kind of user that ``oauth_option`` says."""
    return 1 if oauth else 0
