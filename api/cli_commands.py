"""How commands of the command line end: with status 0, or with one message or one line of JSON, and never a trace.

The statuses are 0 (done), 1 (refused), 2 (the command line itself is wrong) and 3 (the store cannot be reached).
"""

import errno
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from itertools import takewhile
from typing import Any

import click

from api.cli_terminal import let_go_of_output, open_closed_streams, shown
from api.refusals import REFUSALS
from models import errors

REFUSED, UNAVAILABLE = 1, 3
_WORDS = re.compile(r"(?<!^)(?=[A-Z])")
_AS_JSON = "doorman.as_json"

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, errors too.")


class RefusedError(click.ClickException):
    """The command cannot be done. ``code`` says why in one word, for programs; ``more`` is what else they are told."""

    exit_code = REFUSED

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.more = more


class _UnavailableError(RefusedError):
    exit_code = UNAVAILABLE


class Command(click.Command):
    """A command whose refusals are the core's. One that ``shows`` something begins nothing where it could not."""

    def __init__(self, *args: Any, shows: bool = True, **more: Any) -> None:
        super().__init__(*args, **more)
        self.allow_extra_args = True
        self._shows = shows

    def invoke(self, ctx: click.Context) -> Any:
        if ctx.args:  # click would repeat them, and one might be a password
            raise click.UsageError(
                "There are too many arguments. Passwords and tokens are none: others could read them here.", ctx
            )
        if self._shows and sys.stdout is None:
            raise RefusedError("no_output", "Standard output is closed, and nothing could be shown: nothing was done.")
        open_closed_streams()
        try:
            return super().invoke(ctx)
        except errors.DoormanError as error:
            raise _refused(error, ctx.params) from error


class Commands(click.Group):
    """A group of such commands. The outermost one tells of errors as its arguments ask for."""

    command_class = Command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        as_json = "--json" in takewhile(lambda argument: argument != "--", args)
        with _telling(as_json=as_json):
            ctx = super().make_context(info_name, args, parent, **extra)
        ctx.meta.setdefault(_AS_JSON, as_json)
        return ctx

    def invoke(self, ctx: click.Context) -> Any:
        with _telling(as_json=ctx.meta[_AS_JSON]):
            return super().invoke(ctx)


@contextmanager
def _telling(*, as_json: bool) -> Iterator[None]:
    """Tell what goes wrong inside, and end with its status."""
    try:
        yield
    except click.ClickException as error:
        if as_json:
            click.echo(json.dumps(_told(error)), err=True)
        else:
            text = StringIO()
            error.show(text)
            click.echo("\n".join(map(shown, text.getvalue().split("\n"))), err=True, nl=False)
        raise click.exceptions.Exit(error.exit_code) from error
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # who read it has seen enough, and click ends in silence
        let_go_of_output()
        message = f"{error.filename}: {error.strerror}."
        if error.filename is None:
            message = f"The output is not whole, though the work may be done: {error.strerror or error}."
        raised = RefusedError("failed", message)
        click.echo(json.dumps(_told(raised)) if as_json else f"Error: {shown(message)}", err=True)
        raise click.exceptions.Exit(REFUSED) from error
    except click.Abort as error:
        if not as_json:
            raise
        click.echo(json.dumps({"error": "aborted", "message": "Nothing was done."}), err=True)
        raise click.exceptions.Exit(REFUSED) from error


def _told(error: click.ClickException) -> dict[str, Any]:
    if isinstance(error, RefusedError):
        return {"error": error.code, "message": error.message, **error.more}
    return {"error": "usage" if isinstance(error, click.UsageError) else "refused", "message": error.format_message()}


def _refused(error: errors.DoormanError, params: dict[str, Any]) -> RefusedError:
    name = params.get("user_name", "")
    match error:
        case errors.InvalidParametersError(fields=fields):
            rules = "\n".join(f"{field}: {' '.join(broken)}" for field, broken in fields.items())
            return RefusedError(_code(error), rules, fields=fields)
        case errors.UserExistsError():
            return RefusedError(_code(error), f"A user with the name {name} exists already.")
        case errors.UserNotFoundError():
            kind = "OAuth user" if params.get("oauth") else "user"
            return RefusedError(_code(error), f"No {kind} has the name {name}.")
        case errors.SetupError():
            return RefusedError(_code(error), str(error))
        case errors.UnavailableError():
            return _UnavailableError(_code(error), f"The store cannot be reached: {error}")
    told = REFUSALS.get(type(error))
    return RefusedError(_code(error), told(error).detail if told else "This cannot be done.")


def _code(error: errors.DoormanError) -> str:
    """Return the error's name as programs have it: ``user_not_found``."""
    return _WORDS.sub("_", type(error).__name__.removesuffix("Error")).lower()
