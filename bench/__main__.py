"""The yardstick: ``python -m bench`` measures Doorman beside its peers, prints the table of goals, and writes a report.

Ends with status 1 when a floor is not passed. Everything that it starts is its own, in temporary places, and ends with
it. ``--only rates,growth`` runs some parts; their report is written only where ``--output`` says.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import httpx
import pytest

from bench import floods, growth, imports, lists, logins, machine, memory, rates, websockets
from bench.processes import NotMeasuredError
from bench.report import Line, Section, goals
from bench.targets import Place
from bench.wrk import find_wrk
from tests.mongod import Mongod, mongod_program

_PARTS = ("rates", "memory", "growth", "logins", "floods", "websockets", "imports", "lists")
_BESIDE_PEERS = {"rates", "memory", "growth"}
_QUIET = 0.1  # of the cores may be taken by others
_REPORT = Path(__file__).with_name("results.md")


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    load, began = machine.load_average(), time.monotonic()
    sections: list[Section] = []
    try:
        find_wrk()
        mongod = mongod_program()
        with ExitStack() as ends:
            # Whatever else a failure leaves behind, the database ends before its directory goes.
            directory = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="doorman-bench-")))
            database = Mongod(mongod, directory)
            ends.callback(database.kill)
            database.start()
            sections += _sections(options, Place(database.uri, directory, options.cost))
    except (NotMeasuredError, pytest.skip.Exception) as error:
        print(f"Nothing can be measured: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    lines = [line for section in sections for line in section.lines]
    minutes = (time.monotonic() - began) / 60
    header = (
        f"# Measured on {datetime.now(UTC):%Y-%m-%d}\n\n"
        "`make bench` writes this file. Ratios within one run mean something, absolute figures only on one machine.\n\n"
        f"{machine.description_with_peers(mongod)}\n"
        f"- Rounds: {options.rounds}, of {options.seconds:g} s; bcrypt at cost {options.cost}; "
        f"took {minutes:.0f} minutes; the load before it was {load:.1f}\n"
        f"{_quietness([share for section in sections for share in section.others])}"
    )
    print(f"\n{goals(lines)}", flush=True)
    report = "\n".join([header, "## Goals\n", goals(lines), *(text for section in sections for text in section.text)])
    output = options.output or (_REPORT if options.only == list(_PARTS) else None)
    if output:
        output.write_text(report)
        print(f"The whole report is in {output}.")
    else:
        print(report)
    return 0 if all(line.passed for line in lines) else 1


def _quietness(others: Sequence[float]) -> str:
    """Say how much other programs took of the cores, and whether that spoils the figures."""
    if not others:
        return ""
    found = f"- Other programs took {median(others):.0%} of the cores (median of the loads; at most {max(others):.0%})"
    spoilt = "\n\n**The machine was not quiet: measure again before you believe any of this.**"
    return f"{found}{spoilt if median(others) > _QUIET else ''}\n"


def _sections(options: argparse.Namespace, place: Place) -> Iterator[Section]:
    rounds, seconds = options.rounds, options.seconds
    if _BESIDE_PEERS & set(options.only):
        with ExitStack() as ends:
            found = rates.start_all(place, ends)
            yield from _part(options, "rates", lambda: rates.measure(found, rounds, seconds))
            yield from _part(options, "memory", lambda: memory.measure(found, seconds / 2))
            yield from _part(options, "growth", lambda: growth.measure(found, rounds, seconds / 2))
    yield from _part(options, "logins", lambda: logins.measure(place, rounds, 2 * seconds))
    yield from _part(options, "floods", lambda: floods.measure(place, rounds, seconds))
    yield from _part(options, "websockets", lambda: websockets.measure(place, seconds))
    yield from _part(options, "imports", lambda: imports.measure(place.mongodb, place.directory, options.imported))
    yield from _part(options, "lists", lambda: lists.measure(place.mongodb, place.directory, options.users, rounds))


def _part(options: argparse.Namespace, name: str, measure: Callable[[], Section]) -> Iterator[Section]:
    """Measure one part, if it is wanted. One that fails is a line of the report."""
    if name not in options.only:
        return
    print(f"{datetime.now(UTC):%H:%M:%S} {name}", flush=True)
    try:
        yield measure()
    except (NotMeasuredError, subprocess.TimeoutExpired, httpx.HTTPError) as error:
        yield Section([Line(name, reason=str(error), at_fault=True)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", type=_parts, default=list(_PARTS), help=f"some of {','.join(_PARTS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="of each load")
    parser.add_argument("--cost", type=int, default=12, help="of bcrypt")
    parser.add_argument("--users", type=int, default=1_000_000, help="in the long list")
    parser.add_argument("--imported", type=int, default=1_000_000, help="users in each import")
    parser.add_argument("--output", type=Path, help=f"the report; {_REPORT.name} beside the benchmark if it is whole")
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    wanted = text.split(",")
    if unknown := set(wanted) - set(_PARTS):
        raise argparse.ArgumentTypeError(f"there is no part {', '.join(sorted(unknown))}")
    return [part for part in _PARTS if part in wanted]


if __name__ == "__main__":
    sys.exit(main())
