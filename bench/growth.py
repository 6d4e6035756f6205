"""How rate and latency go with the number of connections, for Doorman and the bare look-up."""

from statistics import median

from bench.rates import Field, warm_up
from bench.report import Section, table
from bench.wrk import Load, load

CONNECTIONS = (1, 16, 64, 256)


def measure(found: Field, rounds: int, seconds: float) -> Section:
    targets = found.named("doorman", "bare")
    loads: dict[tuple[str, int], list[Load]] = {}
    for number in range(rounds):
        for connections in CONNECTIONS:
            for target in targets:
                if number == 0 and connections == CONNECTIONS[0]:
                    warm_up(target, first=True)
                measured = load(target.server.port, target.requests, seconds=seconds, connections=connections)
                loads.setdefault((target.name, connections), []).append(measured)
                print(f"  {target.name}, {connections} connections: {measured.rate:.0f}/s", flush=True)
    rows = [
        [
            name,
            str(connections),
            f"{median(one.rate for one in measured):,.0f}",
            f"{median(one.p50 for one in measured):.1f}",
            f"{median(one.p99 for one in measured):.1f}",
            "; ".join(one.invalid for one in measured if one.invalid),
        ]
        for (name, connections), measured in sorted(loads.items())
    ]
    heads = ["", "connections", "requests/s", "p50 ms", "p99 ms", "invalid because"]
    return Section(text=["## Growth with connections\n\n" + table(heads, rows)])
