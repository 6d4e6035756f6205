"""``doorman doctor``: all that is wrong with the settings and the store, and how to mend it."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict

import click
from click.exceptions import Exit

from api.cli_commands import REFUSED, UNAVAILABLE, Command, as_json_option
from api.cli_terminal import show_all, shown
from api.first_start import present_secret_key, secret_key_path
from api.logs import configure_logging
from api.settings import Settings
from models.errors import SetupError, UnavailableError
from models.examinations import examine, unreachable
from models.findings import Finding
from models.secret_key import KeyRing
from models.storage import Examination

OpenExamination = Callable[[Settings], AbstractContextManager[Examination]]

_OTHERS = 0o077  # rights of other users to a file


def doctor(open_examination: OpenExamination) -> click.Command:
    """Make the command over stores that are opened like this."""

    @click.command("doctor", cls=Command, short_help="Find out what is wrong, before an upgrade for one.")
    @as_json_option
    def examined(*, as_json: bool) -> None:
        """List what is wrong with the settings and the store, and how to mend it, before an upgrade for one.

        It only reads, may run beside a service, and takes up to a minute for each million users. It ends with status
        0 if there is nothing to mend (notes want nothing), 1 if there is, and 3 if the store cannot be reached.
        """
        codes: set[str] = set()
        severities: set[str] = set()

        def noted() -> Iterator[Finding]:
            for finding in _findings(open_examination, as_json=as_json):
                codes.add(finding.code)
                severities.add(finding.severity)
                yield finding

        _tell(noted(), as_json=as_json)
        if "unavailable" in codes:
            raise Exit(UNAVAILABLE)
        if severities & {"problem", "warning"}:
            raise Exit(REFUSED)

    return examined


def _findings(open_examination: OpenExamination, *, as_json: bool) -> Iterator[Finding]:
    try:
        settings = Settings.from_env()
    except SetupError as error:
        # One that is wrong leaves open which store is meant.
        for line in str(error).splitlines()[1:]:
            yield Finding(
                code="settings",
                severity="problem",
                message=line.strip(),
                remedy="Correct it: Doorman does not start like this. The store was not looked at.",
            )
        return
    configure_logging(settings)
    if not as_json:
        click.echo(f"Store: {settings.store_name}", err=True)
    for warning in settings.warnings():
        yield Finding(code="settings", severity="warning", message=warning)
    try:
        keys = yield from _keys(settings)
        with open_examination(settings) as examination:
            yield from examine(examination, keys, settings.bcrypt_rounds)
    except SetupError as error:
        yield Finding(code="setup", severity="problem", message=str(error))
    except UnavailableError as error:
        yield unreachable(error)


def _keys(settings: Settings) -> Generator[Finding, None, KeyRing | None]:
    """Yield what is wrong with the secret key, and return the keys in service, or ``None`` if they cannot be told."""
    path = secret_key_path(settings)
    is_served = settings.sqlite_path is not None and settings.sqlite_path.exists()
    try:
        key = present_secret_key(settings)
    except SetupError as error:
        yield Finding(code="secret_key", severity="problem", message=str(error))
        return None
    if path is not None and key is None and is_served:
        yield Finding(
            code="secret_key",
            severity="problem",
            message=f"The database's secret key, {path}, is not there: no start, and no token would be found.",
            remedy="Restore it, or set SECRET_KEY.",
        )
    if path is not None and key is not None and path.stat().st_mode & _OTHERS:
        yield Finding(
            code="secret_key",
            severity="warning",
            message=f"Other users of this machine may have a right to {path}.",
            remedy=f"chmod 600 {path}",
        )
    return None if key is None else KeyRing(key, settings.secret_key_previous)


def _tell(findings: Iterable[Finding], *, as_json: bool) -> None:
    if as_json:
        show_all(map(asdict, findings), [], as_json=True)
        return
    is_well = True
    for finding in findings:
        is_well = False
        count = "" if finding.count is None else f" ({finding.count})"
        click.echo(shown(f"{finding.severity}: {finding.message}{count}"))
        if finding.examples:
            click.echo(shown(f"  for one: {', '.join(finding.examples)}"))
        if finding.remedy:
            click.echo(shown(f"  {finding.remedy}"))
    if is_well:
        click.echo("nothing is wrong")
