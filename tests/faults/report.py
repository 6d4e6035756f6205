"""The report of ``make faults``: what must hold, what was measured, and whether it held, as docs/reliability.md has it.

A test's docstring says what must hold; what it measured it gives to pytest's ``record_property``.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from inspect import getdoc
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
    sections: dict[str, list[list[str]]] = {}
    for title, row in _rows(terminalreporter):
        sections.setdefault(title, []).append(row)
    heads = ["what must hold", "measured", "held"]
    parts = [f"### {title}\n\n{table(heads, rows)}" for title, rows in sections.items()]
    about = f"On {datetime.now(UTC):%Y-%m-%d}, by `make faults`.\n\n{description(mongod_program())}\n"
    measured = "\n".join([f"{_HEADING}\n", about, *parts])
    terminalreporter.write_line(measured)
    if config.args == [str(_HERE.relative_to(_REPORT.parents[1]))] and not config.getoption("keyword"):
        prose = _REPORT.read_text().split(_HEADING)[0]
        _REPORT.write_text(prose + measured)


def _first_paragraph(item: pytest.Function) -> str:
    return (getdoc(item.obj) or item.name).split("\n\n")[0]


def _rows(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, list[str]]]:
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in reporter.stats.get(outcome, []):
            properties = dict(report.user_properties)
            if report.when == "call" and _PROMISE in properties:
                title, promise = properties.pop(_PROMISE)
                _, _, parameters = report.nodeid.partition("[")
                where = f" ({parameters.rstrip(']')})" if parameters else ""
                figures = "; ".join(f"{name}: {value}" for name, value in properties.items())
                held = "yes" if outcome == "passed" else f"**{outcome}**"
                yield title, [cell(promise + where), cell(figures), held]
