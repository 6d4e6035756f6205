"""The report of ``make faults``: what must hold, what was measured, and whether it held, as docs/reliability.md has it.

A test's docstring says what must hold; what it measured it gives to pytest's ``record_property``. The tests that want
the machine to themselves run after the others, in a run of their own, which has the others' rows from pytest's cache.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from inspect import getdoc
from operator import itemgetter
from pathlib import Path

import pytest

from bench.machine import description
from bench.report import cell, table
from tests.faults.extent import IS_FULL
from tests.mongod import mongod_program

_HERE = Path(__file__).parent
_REPORT = Path(__file__).parents[2] / "docs" / "reliability.md"
_HEADING = "## Measured"
_PROMISE = "promise"
_OTHERS = "faults/rows"

Row = tuple[str, list[str]]  # the section's title, and the cells


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have each test of faults carry its docstring and its module's, which the reports do not."""
    for item in items:
        if IS_FULL and isinstance(item, pytest.Function) and _HERE in item.path.parents:
            title = getdoc(item.module) or item.path.stem
            item.user_properties.append((_PROMISE, (title.splitlines()[0], _first_paragraph(item))))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table; write it down if all tests of faults ran."""
    if not IS_FULL:
        return
    rows = [*_rows(terminalreporter)]
    is_whole = config.args == [str(_HERE.relative_to(_REPORT.parents[1]))] and not config.getoption("keyword")
    half = config.getoption("markexpr")
    cache = config.cache
    assert cache is not None
    if half == "alone":
        rows = [*cache.get(_OTHERS, []), *rows]
    else:
        cache.set(_OTHERS, rows)
    measured = _measured(rows)
    terminalreporter.write_line(measured)
    if is_whole and half != "not alone":
        _REPORT.write_text(_REPORT.read_text().split(_HEADING)[0] + measured)


def _measured(rows: list[Row]) -> str:
    sections: dict[str, list[list[str]]] = {}
    for title, row in sorted(rows, key=itemgetter(0)):
        sections.setdefault(title, []).append(row)
    heads = ["what must hold", "measured", "held"]
    parts = [f"### {title}\n\n{table(heads, rows)}" for title, rows in sections.items()]
    about = f"On {datetime.now(UTC):%Y-%m-%d}, by `make faults`.\n\n{description(mongod_program())}\n"
    return "\n".join([f"{_HEADING}\n", about, *parts])


def _first_paragraph(item: pytest.Function) -> str:
    return (getdoc(item.obj) or item.name).split("\n\n")[0]


def _rows(reporter: pytest.TerminalReporter) -> Iterator[Row]:
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in reporter.stats.get(outcome, []):
            properties = dict(report.user_properties)
            if (report.when == "call" or outcome == "error") and _PROMISE in properties:
                title, promise = properties.pop(_PROMISE)
                _, _, parameters = report.nodeid.partition("[")
                where = f" ({parameters.rstrip(']')})" if parameters else ""
                figures = "; ".join(f"{name}: {value}" for name, value in properties.items())
                held = "yes" if outcome == "passed" else f"**{outcome}**"
                yield title, [cell(promise + where), cell(figures), held]
