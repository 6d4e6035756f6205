"""``doorman export``: all users into a file."""

import csv
import io
import json
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any, TextIO

import click

from api.cli_commands import Command
from api.cli_store import CreateCore, opened
from api.csv_cells import safe_cell
from models.errors import CorruptRecordError
from models.exports import ALL_FIELDS, PLAIN_FIELDS

_SHOWN_EVERY = 1000
_TERMINATED = 128 + signal.SIGTERM


@click.command("export", cls=Command, short_help="Write all users to a file.")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False))
@click.option("--format", "file_format", type=click.Choice(["jsonl", "csv"]), help="Else the file's name tells it.")
@click.option(
    "--with-hashes", is_flag=True, help="With the hashes of passwords and tokens: for moving to another store."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when it is done.")
@click.pass_obj
def export_users(
    create_core: CreateCore, file: Path, file_format: str | None, *, with_hashes: bool, as_json: bool
) -> None:
    """Write all users to FILE, or to standard output if it is "-", as JSON Lines or CSV.

    The file is for its owner alone (mode 0600), and takes the place of an older one when it is whole.
    """
    name = file_format or ("csv" if file.suffix.lower() == ".csv" else "jsonl")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))  # so that nothing half-written stays
    count = unreadable = 0
    shows = sys.stderr.isatty()
    to_file = str(file) != "-" and not _is_standard_output(file)
    try:
        with (
            opened(create_core, as_json=as_json) as core,
            _replaced(file) if to_file else _standard_output() as out,
        ):
            core.exports.begin(with_hashes=with_hashes)
            write = _WRITERS[name](out, ALL_FIELDS if with_hashes else PLAIN_FIELDS)
            for found in core.exports.users():
                if isinstance(found, CorruptRecordError):
                    unreadable += 1
                    click.echo(f"The user with the id {found.record_id} cannot be read and is left out.", err=True)
                    continue
                write(core.exports.described(found, with_hashes=with_hashes))
                count += 1
                if shows and count % _SHOWN_EVERY == 0:
                    click.echo(f"\r{count:,} users", err=True, nl=False)
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}.") from error
    finally:
        if shows and count >= _SHOWN_EVERY:
            click.echo("\r", err=True, nl=False)
    _say(count, unreadable, with_hashes=with_hashes, as_json=as_json, to_file=to_file)
    sys.exit(1 if unreadable else 0)


def _say(count: int, unreadable: int, *, with_hashes: bool, as_json: bool, to_file: bool) -> None:
    said = {"exported": count, "unreadable": unreadable, "with_hashes": with_hashes}
    holds = (
        "with the hashes of passwords and tokens: keep it as you keep the database, and delete it when it was used"
        if with_hashes
        else "without any hash: whoever is imported from it has no password"
    )
    click.echo(json.dumps(said) if as_json else f"exported {count:,} users, {holds}", err=not to_file)


@contextmanager
def _replaced(file: Path) -> Iterator[TextIO]:
    """Lend a new file that takes the place of ``file``, or of what that leads to, if nothing is raised."""
    there, status = file, None
    with suppress(FileNotFoundError):
        status = there.stat()  # which the system refuses for links that strangers put into shared folders
    file = there.resolve()  # a link stays one
    if status is not None and not (S_ISREG(status.st_mode) and file.exists() and file.samefile(there)):
        # A pipe or a device stays what it is; so does a file without a name, which a descriptor alone leads to.
        with there.open("w", encoding="utf-8", newline="") as out:
            yield out
        return
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as out:  # noqa: PTH123 - the mode is set as it is made
            yield out
            out.flush()
            os.fsync(out.fileno())
        partial.replace(file)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


@contextmanager
def _standard_output() -> Iterator[TextIO]:
    """Lend standard output as the files are written, whatever the locale."""
    out = io.TextIOWrapper(sys.stdout.buffer, "utf-8", newline="")
    try:
        yield out
        out.flush()
    finally:
        with suppress(OSError):
            out.detach()  # or it would close standard output


def _is_standard_output(file: Path) -> bool:
    """Tell whether it leads where standard output does, as /dev/stdout: to replace it would lose what is there."""
    with suppress(OSError):
        return os.path.samestat(file.stat(), os.fstat(sys.stdout.fileno()))
    return False


def _json_lines(out: TextIO, _: tuple[str, ...]) -> Callable[[dict[str, Any]], None]:
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

    def write(fields: dict[str, Any]) -> None:
        out.write(encode(fields) + "\n")

    return write


def _comma_separated(out: TextIO, names: tuple[str, ...]) -> Callable[[dict[str, Any]], None]:
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(names)

    def write(fields: dict[str, Any]) -> None:
        rows.writerow([_cell(fields[name]) for name in names])

    return write


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(value)
    return safe_cell(value) if isinstance(value, str) else json.dumps(value)


_WRITERS = {"jsonl": _json_lines, "csv": _comma_separated}
