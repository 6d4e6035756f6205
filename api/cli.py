"""The command line: serving, and what only the operator of the machine may do."""

import json
import logging
import secrets
import ssl
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib.metadata import version
from typing import Protocol

import click

from api.cli_export import export_users
from api.cli_import import import_users
from api.logs import configure_logging
from api.settings import Settings
from models.account_rules import Changes, new_token
from models.core import Core
from models.errors import InvalidParametersError, SetupError, UnavailableError, UserExistsError, UserNotFoundError
from models.secret import Secret

HEALTH_SECONDS = 4.0
logger = logging.getLogger(__name__)


class CreateCore(Protocol):
    """The composition root's ``app.create_core``, which comes in as the context's object."""

    def __call__(self, settings: Settings, *, with_first_admin: bool = True) -> Core: ...


class _Commands(click.Group):
    """Shows what the operator can mend as one message, without a trace."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SetupError as error:
            raise click.ClickException(str(error)) from error
        except UnavailableError as error:
            raise click.ClickException(f"The store cannot be reached: {error}") from error
        except InvalidParametersError as error:
            rules = [f"{name}: {' '.join(broken)}" for name, broken in error.fields.items()]
            raise click.ClickException("\n".join(rules)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="doorman")
def main() -> None:
    """Doorman, a self-hosted users service. Its settings come from the environment; the README lists them."""


main.add_command(import_users)
main.add_command(export_users)


@main.command(short_help="Serve the API.")
@click.pass_obj
def serve(create_core: CreateCore) -> None:
    """Serve the API until SIGTERM or SIGINT, which let what is in flight finish."""
    from api import serving  # noqa: PLC0415 - the server is loaded by the one command that needs it

    settings = Settings.from_env()
    configure_logging(settings)
    serving.listening_address(settings.host, settings.port)  # before anything is made for a service that cannot start
    # Prepared once before the workers start, so that what is wrong is said once, and the first admin is shown once.
    create_core(settings).store.close()
    for warning in settings.warnings():
        click.echo(f"Warning: {warning}", err=True)
    logger.info("Doorman %s serves %s at %s", version("doorman"), settings.store_name, settings.url)
    serving.serve(
        target="app:prepared_app",
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
        websockets=settings.websockets if "websocket" in settings.surfaces else 0,
        log_level="debug" if settings.log_level == "debug" else "warning",
    )
    logger.info("Stopped.")


@main.command(short_help="Ask a running Doorman whether it is ready.")
def health() -> None:
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
        raise click.ClickException(f"Nothing answers at {settings.host}:{settings.port}.") from error
    if status != HTTPStatus.OK:
        raise click.ClickException(f"It answers, and is not ready (status {status}).")
    click.echo("ready")


@main.group()
def admin() -> None:
    """Work on the store directly, for the operator who is locked out."""


@admin.command()
@click.argument("user_name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input; else make a random one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def create(create_core: CreateCore, user_name: str, *, password_stdin: bool, as_json: bool) -> None:
    """Create an admin, and show its password and token this once."""
    core = _open_core(create_core)
    password, token = _password(from_stdin=password_stdin), new_token()
    try:
        fields: Changes = {"password": password, "token": token, "user_group": "admin"}
        user = core.accounts.create(None, user_name, fields)
    except UserExistsError as error:
        raise click.ClickException(f"A user with the name {user_name} exists already.") from error
    finally:
        core.store.close()
    _show({"user_name": user.user_name, "password": password.reveal(), "token": token.reveal()}, as_json=as_json)


@admin.command("reset-password")
@click.argument("user_name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input; else make a random one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def reset_password(create_core: CreateCore, user_name: str, *, password_stdin: bool, as_json: bool) -> None:
    """Give an admin a new password, enable it if it is disabled, and show the password this once."""
    core = _open_core(create_core)
    password = _password(from_stdin=password_stdin)
    try:
        if core.accounts.get(user_name).user_group != "admin":
            raise click.ClickException(f"The user {user_name} is no admin.")
        user = core.accounts.update(None, user_name, {"password": password, "disabled": False})
    except UserNotFoundError as error:
        raise click.ClickException(f"No user has the name {user_name}.") from error
    finally:
        core.store.close()
    _show({"user_name": user.user_name, "password": password.reveal()}, as_json=as_json)


@main.group()
def keys() -> None:
    """Look after the keys that sign JSON Web Tokens."""


@keys.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def rotate(create_core: CreateCore, *, as_json: bool) -> None:
    """Make a new key. It signs in some minutes, when others have heard of it; tokens from before stay valid."""
    core = _open_core(create_core)
    try:
        key_id = core.signing_keys.rotate()
    finally:
        core.store.close()
    _show({"key_id": key_id}, as_json=as_json)


@keys.command()
@click.argument("key_id")
@click.pass_obj
def retire(create_core: CreateCore, key_id: str) -> None:
    """Forget a key that others may have got hold of. All tokens that it signed end within a minute."""
    core = _open_core(create_core)
    try:
        if not core.signing_keys.retire(key_id):
            raise click.ClickException(f"There is no key with the id {key_id}.")
    finally:
        core.store.close()
    click.echo("retired")


def _open_core(create_core: CreateCore) -> Core:
    settings = Settings.from_env()
    configure_logging(settings)
    # A relative path means another store in another folder, and that must not go unnoticed.
    click.echo(f"Store: {settings.store_name}", err=True)
    return create_core(settings, with_first_admin=False)


def _password(*, from_stdin: bool) -> Secret:
    return Secret(sys.stdin.readline().rstrip("\r\n") if from_stdin else secrets.token_urlsafe(18))


def _show(values: dict[str, str], *, as_json: bool) -> None:
    click.echo(json.dumps(values) if as_json else "\n".join(f"{name:<10} {value}" for name, value in values.items()))
