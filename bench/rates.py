"""Rates and latencies of an authenticated read of one user: Doorman against the bare look-up and the peers."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from statistics import median

from bench.contention import others, settle
from bench.peers import PEERS
from bench.processes import NotMeasuredError
from bench.report import TIMES, Check, Line, Section, cell, compared, table
from bench.targets import SPREAD_USERS, Place, Target, doorman_targets
from bench.wrk import Load, load

_WARM_UP_SECONDS = 2.0
# At first, each process checks each password: some once, and some once for each connection.
_FIRST_WARM_UP_SECONDS = 5.0
_WARM_UP_SECONDS_A_USER = 0.5
# Against each of them, the floor and the target.
_PEER_BOUNDS = {
    "naive": ("bcrypt at each request", 300, 600),
    "kinto": ("Kinto", 2.5, 4),
    "parse": ("Parse Server", 3, 5),
    "fastapi-users": ("fastapi-users", 1.8, 3),
    "fastapi": ("FastAPI with the same memory", 1.0, 1.5),
}
# Both are compared with the bare look-up, and the worse of the two with the peers.
_FORMS = {"doorman": "the user itself", "doorman, as admin": "an admin reads another"}
_MANY = f"{SPREAD_USERS} users"


@dataclass
class Field:
    """The targets that are up, and why the others are not."""

    targets: list[Target] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)

    def named(self, *names: str) -> list[Target]:
        return [target for target in self.targets if target.name in names]


def start_all(place: Place, ends: ExitStack) -> Field:
    """Start Doorman and everything that it is compared with, until ``ends`` closes. Doorman must start."""
    found = Field(targets=list(ends.enter_context(doorman_targets(place))))
    for target in found.targets:
        target.check()
    for name, peer in PEERS.items():
        with ExitStack() as attempt:
            try:
                targets = attempt.enter_context(peer(place))
                for target in targets:
                    target.check()
            except NotMeasuredError as error:
                found.reasons[name] = str(error)
                print(f"Not measured: {name}: {error}", flush=True)
                continue
            found.targets += targets
            ends.push(attempt.pop_all())
    return found


def measure(found: Field, rounds: int, seconds: float) -> Section:
    loads: dict[str, list[Load]] = defaultdict(list)
    for number in range(rounds):
        for target in found.targets if number % 2 == 0 else reversed(found.targets):
            warm_up(target, first=number == 0)
            with others() as watched:
                measured = load(target.server.port, target.requests, seconds=seconds)
            measured = replace(measured, others=watched.share)
            loads[target.name].append(measured)
            print(f"  round {number + 1}: {target.name}: {measured.rate:.0f}/s, p99 {measured.p99:.1f} ms,", end=" ")
            print(f"others took {watched.share:.0%}", flush=True)
    taken = [one.others for measured in loads.values() for one in measured]
    return Section(_lines(loads, found.reasons), [_absolute(loads)], taken)


def warm_up(target: Target, *, first: bool) -> None:
    """Ask until the passwords have been checked, and until nothing else is left to be done."""
    more = _FIRST_WARM_UP_SECONDS + _WARM_UP_SECONDS_A_USER * len(target.requests)
    settle()
    load(target.server.port, target.requests, seconds=more if first else _WARM_UP_SECONDS)


def _lines(loads: dict[str, list[Load]], reasons: dict[str, str]) -> list[Line]:
    return [
        *(_against_bare(f"GET of one user, {title}, against bare", loads, form) for form, title in _FORMS.items()),
        *(_against_peer(peer, loads, reasons) for peer in _PEER_BOUNDS),
    ]


def _against_bare(title: str, loads: dict[str, list[Load]], form: str) -> Line:
    if invalid := _invalid(loads, [form, "bare"]):
        return Line(title, reason=invalid, at_fault=True)
    pairs = list(zip(loads[form], loads["bare"], strict=True))
    rates = [own.rate / bare.rate for own, bare in pairs]
    p99s = [own.p99 / bare.p99 for own, bare in pairs]
    return Line(
        title,
        [Check(1.0, rates, what="rate")],
        [Check(1.5, rates, what="rate"), Check(0.4, p99s, what="p99", at_most=True)],
    )


def _against_peer(peer: str, loads: dict[str, list[Load]], reasons: dict[str, str]) -> Line:
    name, floor, target = _PEER_BOUNDS[peer]
    title = f"GET of one user against {name}"
    if invalid := reasons.get(peer) or _invalid(loads, [peer]):
        return Line(title, reason=invalid)
    if invalid := _invalid(loads, _FORMS):
        return Line(title, reason=invalid, at_fault=True)
    worse = [min(forms) for forms in zip(*([own.rate for own in loads[form]] for form in _FORMS), strict=True)]
    ratios = [own / other.rate for own, other in zip(worse, loads[peer], strict=True)]
    return compared(title, floor, target, ratios)


def _invalid(loads: dict[str, list[Load]], names: Sequence[str] | dict[str, str]) -> str | None:
    """Return what is wrong with the loads of ``names``, if anything is."""
    for name in names:
        if not loads[name]:
            return f"{name} was not measured"
        for measured in loads[name]:
            if measured.invalid:
                return f"{name}: {measured.invalid}"
    return None


def _absolute(loads: dict[str, list[Load]]) -> str:
    rows = []
    for name, measured in loads.items():
        invalid = _invalid(loads, [name])
        of_bare = f"bare, {_MANY}" if name.endswith(_MANY) else "bare"
        ratios = [own.rate / bare.rate for own, bare in zip(measured, loads[of_bare], strict=False) if bare.rate]
        rows.append(
            [
                name,
                f"{median(one.rate for one in measured):,.0f}",
                ", ".join(f"{one.rate:,.0f}" for one in measured),
                f"{median(one.p50 for one in measured):.1f}",
                f"{median(one.p99 for one in measured):.1f}",
                f"{median(ratios):.2f}{TIMES}" if ratios else "",
                ", ".join(f"{one.others:.0%}" for one in measured),
                cell(invalid or ""),
            ]
        )
    heads = [
        "",
        "requests/s",
        "each round",
        "p50 ms",
        "p99 ms",
        "rate against bare",
        "cores taken by others",
        "invalid because",
    ]
    return "## Rates\n\nwrk, 16 connections.\n\n" + table(heads, rows)
