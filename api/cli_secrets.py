"""Where commands get passwords and tokens from: never from their arguments, which any user of the machine can read."""

import secrets
import shlex
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from api.cli_commands import RefusedError
from api.cli_terminal import let_go_of_output, show
from models.account_rules import new_token
from models.errors import InvalidParametersError
from models.secret import Secret

_LONGEST_LINE = 4096  # bytes of a secret on standard input; the rules allow far less

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--password", "ask", is_flag=True, help="Ask for the password, without showing it."),
    click.option("--password-stdin", is_flag=True, help="Read the password from standard input: one line."),
    click.option("--random-password", is_flag=True, help="Make a random password, and show it this once."),
    click.option("--token-stdin", is_flag=True, help="Read the API token from standard input, after the password."),
    click.option("--random-token", is_flag=True, help="Make a random API token, and show it this once."),
)


def secret_options(command: AnyFunction) -> AnyFunction:
    """Add the options that ``SecretSources`` are made of."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSources:
    """What the options say of where a password and an API token come from."""

    ask: bool
    password_stdin: bool
    random_password: bool
    token_stdin: bool
    random_token: bool

    def __post_init__(self) -> None:
        if self.ask + self.password_stdin + self.random_password > 1:
            raise click.UsageError("--password, --password-stdin and --random-password exclude one another.")
        if self.token_stdin and self.random_token:
            raise click.UsageError("--token-stdin and --random-token exclude one another.")

    def password(self, *, otherwise_ask: bool = False) -> Secret | None:
        """Return the password that the options give, if they do, or else the one that is typed.

        Raises ``click.UsageError`` where nobody can be asked, and as ``secret_from_stdin``.
        """
        if self.random_password:
            return random_password()
        if self.password_stdin:
            return secret_from_stdin("password")
        return _typed() if self.ask or otherwise_ask else None

    def token(self) -> Secret | None:
        """Return the token that the options give, if they do. To be called after ``password``; raises as that does."""
        if self.random_token:
            return new_token()
        return secret_from_stdin("token") if self.token_stdin else None

    def made(self, password: Secret | None, token: Secret | None) -> dict[str, str]:
        """Return those that were made up here, to be shown; the others are known to whoever gave them."""
        made = {"password": password if self.random_password else None, "token": token if self.random_token else None}
        return {name: secret.reveal() for name, secret in made.items() if secret is not None}


def show_made(
    values: Mapping[str, Any], made: Collection[str], user_name: str, *, as_json: bool, oauth: bool = False
) -> None:
    """Show ``values`` with the secrets ``made`` up for a user, which nobody can be shown again.

    Raises ``RefusedError``, with what makes others, where they could not be shown.
    """
    try:
        show(values, as_json=as_json)
    except OSError as error:
        let_go_of_output()
        if not made:
            raise
        name = f"{shlex.quote(user_name)}{' --oauth' if oauth else ''}"
        remedies = {
            "password": f"doorman users set {name} --random-password",
            "token": f"doorman users refresh-token {name}",
        }
        message = f"It is done, but the new {' and the new '.join(made)} could not be shown: {error.strerror}."
        commands = [remedies[secret] for secret in made]
        raise RefusedError(
            "not_shown", f"{message} To make another: {'; '.join(commands)}", not_shown=list(made), commands=commands
        ) from error


def random_password() -> Secret:
    return Secret(secrets.token_urlsafe(18))  # 144 bits


def secret_from_stdin(field: str) -> Secret:
    """Return the next line of standard input, UTF-8 whatever the locale.

    Raises ``click.UsageError`` where it would be seen, and ``InvalidParametersError`` for what is no text.
    """
    if sys.stdin.isatty():
        raise click.UsageError(f"Standard input is a terminal, which would show the {field} as it is typed.")
    line = sys.stdin.buffer.readline(_LONGEST_LINE)
    try:
        return Secret(line.decode().rstrip("\r\n"))
    except UnicodeDecodeError as error:
        raise InvalidParametersError({field: ["It must be UTF-8."]}) from error


def _typed() -> Secret:
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask on: use --password-stdin or --random-password.")
    return Secret(click.prompt("Password", hide_input=True, confirmation_prompt="The same again", err=True))
