"""What floods of wrong passwords do to others: to known clients' latency, and to correct first logins."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench import accounts
from bench.client import Answers, Group
from bench.clients import ask, clients, percentile
from bench.contention import others, settle
from bench.report import Check, Line, Section, compared, table
from bench.targets import Place, doorman, own_read
from bench.wrk import Load, load
from tests.running import Doorman

_CONNECTIONS = 16
_SETTLE_SECONDS = 2.0
_LOGINS = 40
_NEIGHBOURS = 20
_PATIENCE = 10.0
_LONGEST = 150.0
_OK = 200
_MANY_NAMES = [f"attacked{number}" for number in range(1_000)]
_MANY_ADDRESSES = [f"127.0.{number // 16}.{number % 16 + 1}" for number in range(256)]
_MANY_CONNECTIONS = 64
_MANY_TURN = 4


@dataclass
class _Logins:
    """How correct first logins fared in one round, and what the attackers were answered meanwhile."""

    kept: list[tuple[int, float, float]]
    asked: int
    attackers: Counter[int] = field(default_factory=Counter)

    def within(self, seconds: float) -> float:
        """Return the share that was let in within so many seconds, in per cent."""
        good = sum(status == _OK and latency <= seconds * 1000 for status, _, latency in self.kept)
        return 100 * good / self.asked

    def row(self, title: str) -> list[str]:
        let_in = [latency for status, _, latency in self.kept if status == _OK]
        refused = Counter(status for status, _, _ in self.kept if status != _OK)
        shares = [f"{self.within(seconds):.1f} %" for seconds in (1.5, 2, 5)]
        times = [f"{percentile(let_in, share):.0f}" for share in (0.5, 1)]
        return [title, *shares, *times, _counted(refused), _counted(self.attackers)]


def measure(place: Place, rounds: int, seconds: float) -> Section:
    beside: list[tuple[Load, Load, Answers]] = []
    one_name, many_names, neighbours = list[_Logins](), list[_Logins](), list[_Logins]()
    taken = list[float]()
    for number in range(rounds):
        with _fresh_doorman(place, f"flood_beside{number}") as served, others() as meanwhile:
            beside.append(_beside(served.port, seconds, attack_first=number % 2 == 1))
        taken.append(meanwhile.share)
        with _fresh_doorman(place, f"flood_one{number}") as served, others() as meanwhile:
            one_name.append(_one_name(served.port, "login", "127.1.0", _LOGINS))
            neighbours.append(_one_name(served.port, "neighbour", "127.0.200", _NEIGHBOURS))
        taken.append(meanwhile.share)
        with _fresh_doorman(place, f"flood_many{number}") as served, others() as meanwhile:
            many_names.append(_many_names(served.port))
        taken.append(meanwhile.share)
        print(f"  round {number + 1}: {beside[-1][0].p99:.0f} ms against {beside[-1][1].p99:.0f} ms;", end=" ")
        print(f"{one_name[-1].within(1.5):.1f} %, {many_names[-1].within(1.5):.1f} % within 1.5 s", flush=True)
    lines = [
        _beside_line([flooded for flooded, _, _ in beside], [quiet for _, quiet, _ in beside]),
        _logins_line("correct first logins while one name is flooded from one network", one_name, 100, 2),
        _logins_line("the same while 1,000 names are flooded from 256 addresses", many_names, 90, 5),
    ]
    rows = [found.row(title) for title, group in _titled(one_name, neighbours, many_names) for found in group]
    heads = ["first logins", *(f"within {seconds} s" for seconds in (1.5, 2, 5)), "p50 ms", "max ms"]
    text = "## Floods\n\n" + _beside_table(beside) + "\n" + table([*heads, "refused", "attackers' answers"], rows)
    shares = ", ".join(f"{share:.0%}" for share in taken)
    return Section(lines, [f"{text}\nCores taken by others, the three floods of each round: {shares}.\n"], taken)


@contextmanager
def _fresh_doorman(place: Place, database: str) -> Iterator[Doorman]:
    """Serve users that nobody has logged in as, by processes that remember nothing."""
    logins = [f"{kind}{number}" for kind in ("login", "neighbour") for number in range(_LOGINS)]
    with doorman(place, database, ["good", "another", "attacked", *_MANY_NAMES, *logins]) as served:
        yield served


def _beside(port: int, seconds: float, *, attack_first: bool) -> tuple[Load, Load, Answers]:
    """Measure known clients beside attackers, and beside as many more known clients."""
    attack = Group("others", ["127.9.0.1"], ["attacked"], "wrong", _CONNECTIONS, vary=True)
    quiet = Group("others", ["127.9.0.2"], ["another"], accounts.PASSWORD, _CONNECTIONS)
    load(port, [own_read("good")], seconds=_SETTLE_SECONDS)
    found = {}
    for group in (attack, quiet) if attack_first else (quiet, attack):
        settle()
        with clients(port, [group], seconds=seconds + 2 * _SETTLE_SECONDS) as working:
            time.sleep(_SETTLE_SECONDS)
            measured = load(port, [own_read("good")], seconds=seconds)
            found[group.names[0]] = (measured, working.answers()["others"])
    return found["attacked"][0], found["another"][0], found["attacked"][1]


def _one_name(port: int, prefix: str, network: str, number: int) -> _Logins:
    addresses = [f"127.0.0.{host}" for host in range(1, _CONNECTIONS + 1)]
    flood = Group("flood", addresses, ["attacked"], "wrong", _CONNECTIONS, vary=True)
    return _logins_under(port, flood, prefix, [f"{network}.{host}" for host in (1, 2)], number)


def _many_names(port: int) -> _Logins:
    flood = Group(
        "flood",
        _MANY_ADDRESSES,
        _MANY_NAMES,
        "wrong",
        _MANY_CONNECTIONS,
        vary=True,
        turn=_MANY_TURN,
        patience=_PATIENCE,
    )
    return _logins_under(port, flood, "login", [f"127.{network}.0.1" for network in range(1, 9)], _LOGINS)


def _logins_under(port: int, flood: Group, prefix: str, addresses: list[str], number: int) -> _Logins:
    """Let users log in for the first time, two at a time and once each, while the flood goes on."""
    names = [f"{prefix}{index}" for index in range(number)]
    good = Group(
        "good", addresses, names, accounts.PASSWORD, 2,
        repeat=False, turn=1, delay=_SETTLE_SECONDS, patience=_PATIENCE, keep=True,
    )  # fmt: skip
    answers = ask(port, [flood, good], seconds=_LONGEST)
    return _Logins(answers["good"].kept, number, answers["flood"].statuses)


def _beside_line(flooded: Sequence[Load], quiet: Sequence[Load]) -> Line:
    title = "good clients' p99 under the flood, against 16 more good clients"
    for measured in (*flooded, *quiet):
        if measured.invalid:
            return Line(title, reason=f"good clients: {measured.invalid}", at_fault=True)
    ratios = [one.p99 / other.p99 for one, other in zip(flooded, quiet, strict=True)]
    return compared(title, 3, 1.5, ratios, at_most=True)


def _logins_line(title: str, found: Sequence[_Logins], share: float, seconds: float) -> Line:
    floor = [one.within(seconds) for one in found]
    target = [one.within(1.5) for one in found]
    return Line(
        title,
        [Check(share, floor, " %", 1, f"within {seconds} s", shares=True)],
        [Check(100, target, " %", 1, "within 1.5 s", shares=True)],
    )


def _titled(*groups: list[_Logins]) -> Iterator[tuple[str, list[_Logins]]]:
    titles = ["one name flooded", "one name flooded, from the same /16", "1,000 names flooded"]
    yield from zip(titles, groups, strict=True)


def _beside_table(beside: Sequence[tuple[Load, Load, Answers]]) -> str:
    rows = []
    for flooded, quiet, attackers in beside:
        loads = [f"{one.rate:,.0f}/s, p50 {one.p50:.1f} ms, p99 {one.p99:.1f} ms" for one in (flooded, quiet)]
        rows.append([*loads, f"{_counted(attackers.statuses)} in {attackers.seconds:.0f} s"])
    return table(["16 good clients under the flood", "beside 16 more good ones", "attackers' answers"], rows)


def _counted(statuses: Counter[int]) -> str:
    return ", ".join(f"{status}: {number:,}" for status, number in sorted(statuses.items())) or "none"
