"""The command line: serving, and what only the operator of the machine may do."""

import logging
import ssl
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib.metadata import version

import click
from click.shell_completion import get_completion_class

from api.board import Metering, NoMetering
from api.cli_admin import admin
from api.cli_audit import audit
from api.cli_commands import REFUSED, UNAVAILABLE, Commands, RefusedError, as_json_option
from api.cli_export import export_users
from api.cli_import import import_users
from api.cli_keys import keys
from api.cli_store import CreateCore
from api.cli_terminal import show
from api.cli_users import users
from api.crashes import leave_no_core, log_crashes
from api.logs import configure_logging
from api.settings import Settings
from models.errors import SetupError, UnavailableError

HEALTH_SECONDS = 4.0
logger = logging.getLogger(__name__)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="doorman")
def main() -> None:
    """Doorman, a self-hosted users service. Its settings come from the environment; the README lists them.

    A command ends with status 0 when it is done, 1 when it is refused, 2 when it is not written as it has to be, and 3
    when the store cannot be reached.
    """


for group in (users, admin, keys):
    main.add_command(group)


main.add_command(audit)
main.add_command(import_users)
main.add_command(export_users)


@main.command(short_help="Serve the API.", shows=False)
@click.pass_obj
def serve(create_core: CreateCore) -> None:
    """Serve the API until SIGTERM or SIGINT, which let what is in flight finish."""
    settings = Settings.from_env()
    configure_logging(settings)
    log_crashes()
    leave_no_core()
    try:
        _serve(settings, create_core)
    except (SetupError, UnavailableError) as error:
        # A service is started by programs more often than by people: what is wrong is a line of its log as well.
        is_away = isinstance(error, UnavailableError)
        logger.critical("%s", f"The store cannot be reached: {error}" if is_away else error)
        raise click.exceptions.Exit(UNAVAILABLE if is_away else REFUSED) from error
    except OSError as error:  # which none of its own foresaw, so that where it came from is worth more than a line
        logger.critical("the service ends", exc_info=True)
        raise click.exceptions.Exit(REFUSED) from error


def _serve(settings: Settings, create_core: CreateCore) -> None:
    from api import serving  # noqa: PLC0415 - the server is loaded by the one command that needs it

    started_at = datetime.now(UTC)
    serving.listening_address(settings.host, settings.port)  # before anything is made for a service that cannot start
    metering = _metering(settings)
    # Prepared once before the workers start, so that what is wrong is said once, and the first admin is shown once.
    # All of it is closed again, threads included: workers are forked from this process.
    create_core(settings).close()
    for warning in settings.warnings():
        logger.warning(warning)
    logger.info("Doorman %s serves %s at %s", version("doorman"), settings.store_name, settings.url)
    if "console" in settings.surfaces:
        logger.info("Its console, for admins, is at %s/console", settings.url)
    serving.serve(
        target="app:prepared_app",
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
        websockets=settings.websockets if "websocket" in settings.surfaces else 0,
        metering=metering,
        started_at=started_at,
        log_level="debug" if settings.log_level == "debug" else "warning",
    )
    logger.info("Stopped.")


def _metering(settings: Settings) -> Metering:
    if settings.metrics_port is None:
        return NoMetering()
    from api.shared_metering import SharedMetering  # noqa: PLC0415 - it takes memory that others can do without

    store = "mongodb" if settings.sqlite_path is None else "sqlite"
    metering = SharedMetering(settings.metrics_host, settings.metrics_port, workers=settings.workers, store=store)
    logger.info("Metrics are at %s", settings.metrics_url)
    return metering


@main.command(short_help="Ask a running Doorman whether it is ready.")
@as_json_option
def health(*, as_json: bool) -> None:
    """Ask the Doorman that these settings start whether it is ready, and end with status 0 or 1: for containers."""
    settings = Settings.from_env()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    if settings.tls_cert:
        # This asks about health, on this machine, and sends nothing: the certificate is for another name.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: HTTPConnection = HTTPSConnection(host, settings.port, timeout=HEALTH_SECONDS, context=context)
    else:
        connection = HTTPConnection(host, settings.port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", "/healthz/ready")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        raise RefusedError("no_answer", f"Nothing answers at {settings.host}:{settings.port}.") from error
    if status != HTTPStatus.OK:
        raise RefusedError("not_ready", f"It answers, and is not ready (status {status}).")
    if as_json:
        show({"status": "ready"}, as_json=True)
    else:
        click.echo("ready")


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that has a shell complete commands and options."""
    script = get_completion_class(shell)
    if script is None:
        raise RefusedError("no_completion", f"There is none for {shell}.")
    click.echo(script(main, {}, "doorman", "_DOORMAN_COMPLETE").source())
