"""What commands show, and what they ask for. What is stored comes from strangers, and must not write to a terminal."""

import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import click

_ROWS_MEASURED = 200  # columns are as wide as the widest value of as many rows, and of the next as many
_GAP = "  "


def shown(text: str) -> str:
    """Return ``text`` without anything that a terminal obeys or cannot show: such characters are written as escapes.

    Otherwise a name could clear the screen, write over the line before it, or run the other way round.
    """
    printable = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return printable.encode(encoding, "backslashreplace").decode(encoding)


def open_closed_streams() -> None:
    """Have standard input and standard error lead nowhere if they were closed: or a file would take their place."""
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - see above


def let_go_of_output() -> None:
    """Have standard output, which could not be written, lead nowhere: Python would try again, and fail, as it ends."""
    with suppress(OSError, AttributeError):  # a test's has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def show(values: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing: a line for each value, or a line of JSON."""
    if as_json:
        click.echo(json.dumps(values))
        return
    width = max(map(len, values))
    for name, value in values.items():
        click.echo(f"{name:<{width}} {_text(value)}".rstrip())


def show_all(found: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print many things, as they come: a table on a terminal, else values between tabs, or a line of JSON each."""
    if as_json:
        for values in found:
            click.echo(json.dumps(values))
        return
    rows = ([_text(values[column]) for column in columns] for values in found)
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    headings = [column.upper().replace("_", " ") for column in columns]
    while some := list(islice(rows, _ROWS_MEASURED)):
        lines = [headings, *some]
        widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            cells = (cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True))
            click.echo(_GAP.join(cells).rstrip())


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
    return shown(str(value))


def _width(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def confirm(question: str, *, is_agreed: bool) -> None:
    """Ask whether to go on, unless that ``is_agreed``. Raises ``click.UsageError`` where nobody can be asked."""
    if is_agreed:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask on: say --yes.")
    click.confirm(shown(question), abort=True, err=True)
