"""``doorman import``: users of other systems, or of another Doorman, into this one."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BufferedReader, RawIOBase
from itertools import islice
from pathlib import Path
from typing import Any, cast

import click

from api import import_files, import_sources
from api.cli_commands import Command
from api.cli_store import CreateCore, opened
from api.import_progress import progress
from api.import_report import Report
from models.errors import BrokenRuleError
from models.import_results import OnConflict
from models.import_rules import Entry
from models.import_runs import Checkpoints, NoCheckpoints, run

Entries = Callable[[BufferedReader], Iterator[Entry]]

_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".htpasswd": "htpasswd"}
_FORMATS: dict[str, Entries] = {
    "jsonl": import_files.json_lines,
    "csv": import_files.comma_separated,
    "htpasswd": import_files.htpasswd,
    "django": lambda stream: import_files.objects(stream, import_sources.django),
    "kratos": lambda stream: import_files.objects(stream, import_sources.kratos),
    "auth0": lambda stream: import_files.objects(stream, import_sources.auth0),
}
_SAMPLE = 64 << 10  # bytes of a file's beginning and end, by which it is known again
_INTERRUPTED = 130


@click.command("import", cls=Command, short_help="Bring users in from a file.")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, exists=True, dir_okay=False))
@click.option(
    "--format",
    "file_format",
    type=click.Choice([*_FORMATS, "firebase"]),
    help="What the file holds; else its name tells it, by .jsonl, .ndjson, .csv or .htpasswd.",
)
@click.option(
    "--on-conflict",
    type=click.Choice([choice.value for choice in OnConflict]),
    default=OnConflict.SKIP.value,
    show_default=True,
    help="Users who are there and differ: keep and report them, change them to what the file says, or stop.",
)
@click.option("--passwordless", is_flag=True, help="Take users without a password: they cannot log in.")
@click.option(
    "--firebase-config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The password hash parameters of the Firebase project, as its console shows them.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, and change nothing.")
@click.option("--from-start", is_flag=True, help="Begin anew where an import of this very file was interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def import_users(
    create_core: CreateCore,
    file: Path,
    file_format: str | None,
    on_conflict: str,
    *,
    passwordless: bool,
    firebase_config: Path | None,
    dry_run: bool,
    from_start: bool,
    as_json: bool,
) -> None:
    """Bring users in from FILE, or from standard input if it is "-".

    Hashes of passwords are taken as they are and replaced at the first login; passwords are hashed, which takes a
    fifth of a second of a core each. The same import may be run again: who is there already stays. Ends with status 1
    if any user could not be brought in, and says which, and why.
    """
    source = _source(file, file_format)
    entries = _entries(source, firebase_config)
    report = Report(as_json=as_json, dry_run=dry_run)
    with ExitStack() as ends:
        stream = ends.enter_context(_opened(file))
        core = ends.enter_context(opened(create_core, as_json=as_json, may_be_new=True))
        rules = core.importer.rules(passwordless=passwordless)
        imports = core.importer.imports(rules, OnConflict(on_conflict), source, dry_run=dry_run)
        ends.callback(imports.close)
        checkpoints: Checkpoints | NoCheckpoints = NoCheckpoints()
        if str(file) != "-" and stream.seekable() and not dry_run:
            name = _name_of(stream, [file_format, on_conflict, passwordless, _text_of(firebase_config)])
            checkpoints = Checkpoints(core.store.records, name, core.importer.clock)
        if not from_start:
            report.resume(*checkpoints.find())
        stops = on_conflict == OnConflict.FAIL
        try:
            with progress(stream, report.position) as shown:
                rest = shown.watch(islice(entries(stream), report.position, None))
                for done in run(rules, imports, rest, report.position):
                    report.add(done)
                    shown.advance(done.position)
                    if report.is_time_to_save():
                        checkpoints.save(report.position, report.counts)
                    if stops and report.status:
                        break
            checkpoints.clear()
        except BrokenRuleError as error:
            report.stop(str(error))
        except KeyboardInterrupt:
            checkpoints.save(report.position, report.counts)
            if not dry_run:
                core.importer.ended(source, "interrupted", report.told_counts())
            click.echo(f"Interrupted after {report.position:,} users. The same command goes on from there.", err=True)
            sys.exit(_INTERRUPTED)
        if not dry_run:
            is_stopped = report.is_stopped or (stops and report.status)
            core.importer.ended(source, "stopped" if is_stopped else "done", report.told_counts())
    report.show()
    sys.exit(report.status)


def _source(file: Path, file_format: str | None) -> str:
    source = file_format or _SUFFIXES.get(file.suffix.lower() or file.name)
    if source is None:
        raise click.UsageError("The file's name does not tell what it holds: say --format.")
    return source


def _entries(source: str, firebase_config: Path | None) -> Entries:
    if source != "firebase":
        return _FORMATS[source]
    if firebase_config is None:
        raise click.UsageError("Hashes of Firebase need --firebase-config, a file with the project's parameters.")
    try:
        read = import_sources.firebase(firebase_config.read_text("utf-8"))
    except (BrokenRuleError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{firebase_config}: {error}") from error
    return lambda stream: import_files.objects(stream, read)


def _opened(file: Path) -> BufferedReader:
    return BufferedReader(cast("RawIOBase", sys.stdin.buffer)) if str(file) == "-" else file.open("rb")


def _text_of(file: Path | None) -> str:
    return "" if file is None else file.read_text("utf-8", "replace")


def _name_of(stream: BufferedReader, options: list[Any]) -> str:
    """Return a digest that tells the file, as it is now, and how it is imported, from others."""
    status = os.fstat(stream.fileno())
    digest = hashlib.sha256(json.dumps([status.st_size, status.st_mtime_ns, options]).encode())
    digest.update(stream.read(_SAMPLE))
    stream.seek(max(0, status.st_size - _SAMPLE))
    digest.update(stream.read(_SAMPLE))
    stream.seek(0)
    return digest.hexdigest()
