"""docs/asvs.md, docs/authentication.md and SECURITY.md: what they say of the tests and of the product is so."""

import ast
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from api.options import OPTIONS
from api.setting_values import SURFACES
from api.settings import Settings
from models import login_limiter
from models.passwords import MAX_BYTES
from models.sessions import KINDS, MOST_SESSIONS, Lifetimes

ROOT = Path(__file__).parents[2]
PAGES = ["SECURITY.md", "docs/asvs.md", "docs/authentication.md"]
VERDICTS = ("met", "not met", "not applicable")
# The levels of the requirements of each section, in their order.
SECTIONS = {
    "6.1": "122",
    "6.2": "111111112222",
    "6.3": "11223333",
    "6.4": "112233",
    "6.5": "22222333",
    "6.6": "2223",
    "6.7": "33",
    "6.8": "2222",
    "7.1": "222",
    "7.2": "1111",
    "7.3": "22",
    "7.4": "11222",
    "7.5": "223",
    "7.6": "22",
    "9.1": "111",
    "9.2": "1222",
    "10.1": "22",
    "10.2": "223",
    "10.3": "22223",
    "10.4": "1111122222233333",
    "10.5": "22222",
    "10.6": "22",
    "10.7": "222",
}
ROW = re.compile(r"\| (\d+\.\d+\.\d+) \| (\d) \| [^|]+ \| ([a-z ]+) \| [^|]+ \| ([^|]*)\|")
NAMED = re.compile(r"`([^`]*::[^`]*)`")


@cache
def text(page: str) -> str:
    return (ROOT / page).read_text()


def rows() -> list[tuple[str, ...]]:
    """Return number, level, verdict and tests of each requirement, in the page's order."""
    lines = [line for line in text("docs/asvs.md").splitlines() if re.match(r"\| *\d+\.", line)]
    found = [ROW.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return [match.groups() for match in found if match]


@cache
def functions_of(file: Path) -> set[str]:
    """Return the tests of a file; those of a class after its name."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {f"{prefix}{one.name}" for one in inside if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    return {name for name in found if name.rpartition("::")[2].startswith("test_")}


def test_each_requirement_is_there_once() -> None:
    """All of the four chapters, in order, with their levels."""
    expected = [
        (f"{section}.{number}", level) for section, levels in SECTIONS.items() for number, level in enumerate(levels, 1)
    ]
    assert len(expected) == 109
    assert [(number, level) for number, level, _, _ in rows()] == expected


def test_what_is_met_is_shown() -> None:
    """A verdict is one of three, and whatever is met names tests, and nothing else does in their place."""
    for number, _, verdict, shown_by in rows():
        assert verdict in VERDICTS, number
        assert (verdict == "met") == bool(NAMED.findall(shown_by)), number


def test_the_counts_are_right() -> None:
    """The table on top says how many requirements of each level are what."""
    counts = Counter((level, verdict) for _, level, verdict, _ in rows())
    counts += Counter(("all", verdict) for _, _, verdict, _ in rows())
    for level in ("1", "2", "3", "all"):
        line = " | ".join(str(counts[level, verdict]) for verdict in VERDICTS)
        assert f"| {level} | {line} |" in text("docs/asvs.md").splitlines()


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_exists(page: str) -> None:
    """By its file, from the folder of the tests, and its name."""
    named = NAMED.findall(text(page))
    assert named or page == "docs/authentication.md"
    for name in named:
        file, _, test = name.partition("::")
        path = ROOT / "tests" / file
        assert path.is_file(), name
        assert test in functions_of(path), name


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    """To a file that is there, and in a page to a heading of it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, (
                target
            )


def figure(row: str) -> str:
    """Return what the page about authentication says in the second cell of a row."""
    (line,) = [line for line in text("docs/authentication.md").splitlines() if line.startswith(f"| {row} |")]
    return line.split("|")[2].strip()


def test_the_figures_are_the_products() -> None:
    """Of the limits, of the rules for passwords, and of the lifetimes of sessions, as they are without settings."""
    assert figure("wait after the first failure of an address with a user name") == f"{login_limiter._FIRST_PAUSE} s"
    assert figure("after each further one") == f"twice as long, at most {login_limiter._LONGEST_PAUSE:.0f} s"
    assert figure("failures of an address with any names that are free") == str(login_limiter.FREE_FAILURES_OF_ADDRESS)
    minutes = login_limiter._FORGOTTEN_AFTER // timedelta(minutes=1)
    assert figure("forgotten after, without a failure") == f"{minutes} minutes"
    assert figure("registrations of an address in an hour") == OPTIONS["REGISTRATIONS_PER_HOUR"].default
    assert figure("shortest password") == f"{OPTIONS['PASSWORD_MIN_LENGTH'].default} characters"
    assert figure("longest password") == f"{MAX_BYTES} bytes"
    listed = [line for line in (ROOT / "models/common_passwords.txt").read_text().splitlines() if line[:1] != "#"]
    assert figure("common passwords that are refused") == str(len(listed))
    assert figure("words that are refused with little added") == (
        f"`{OPTIONS['PASSWORD_WORDS'].default}`, and the user's own name"
    )
    assert figure("cost of bcrypt") == OPTIONS["BCRYPT_ROUNDS"].default
    settings = Settings.from_env({})
    for kind in KINDS:
        (line,) = [
            line for line in text("docs/authentication.md").splitlines() if line.startswith(f"| `{kind.name}` |")
        ]
        idle, absolute, most = (cell.strip() for cell in line.split("|")[3:6])
        assert most == str(MOST_SESSIONS)
        assert (idle, absolute) == lasting(settings.session_lifetimes, kind.name)


def lasting(lifetimes: Lifetimes, kind: str) -> tuple[str, str]:
    """Return how long a session lasts unused, and however much it is used."""
    now, far = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=10_000)
    return shown(lifetimes.end(kind, now + far, now) - now), shown(lifetimes.end(kind, now, now + far) - now)


def shown(span: timedelta) -> str:
    if span >= timedelta(days=1):
        return f"{span.days} days"
    hours = span // timedelta(hours=1)
    return f"{hours} hours" if hours else f"{span // timedelta(minutes=1)} minutes"


def test_every_way_in_is_on_the_page() -> None:
    """Each surface that takes a credential stands there, and each setting that decides what an issuer vouches for."""
    page = text("docs/authentication.md")
    for surface in set(SURFACES) - {"docs"}:
        assert f"`{surface}`" in page, surface
    for setting in ("OIDC_ISSUER", "OIDC_CLAIM", "TOKEN_DAYS", "REGISTRATION", "TRUSTED_PROXIES"):
        assert f"`{setting}" in page or f"{setting}=" in page, setting
