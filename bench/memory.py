"""Memory of the processes that serve, while 16 connections ask and right after."""

from bench.processes import memory, watched
from bench.rates import Field
from bench.report import Section, compared, table
from bench.wrk import load

_FORMS = ("doorman", "doorman, as admin")
_NOT_SHOWN = " users"  # the same servers, asked for many users


def measure(found: Field, seconds: float) -> Section:
    rows, doormans = [], []
    for target in found.targets:
        if target.name.endswith(_NOT_SHOWN):
            continue
        workers = target.server.workers()
        with watched(workers) as samples:
            load(target.server.port, target.requests, seconds=seconds)
        after = [memory(worker) for worker in workers]
        rss = [max((sample.rss for sample in one), default=0) for one in samples]
        pss = [max((sample.pss for sample in one), default=0) for one in samples]
        if target.name in _FORMS:
            doormans.append(max(rss) / 1e6)
        rows.append(
            [
                target.name,
                str(len(workers)),
                _megabytes(rss),
                _megabytes(pss),
                _megabytes([one.rss for one in after]),
                _megabytes([one.pss for one in after]),
            ]
        )
        print(f"  {target.name}: {_megabytes(rss)} MB", flush=True)
    heads = ["MB of each process", "processes", "RSS, most", "PSS, most", "RSS after", "PSS after"]
    line = compared("memory of a worker under load", 70, 50, [max(doormans)], unit=" MB RSS", digits=0, at_most=True)
    return Section([line], ["## Memory under load\n\n" + table(heads, rows)])


def _megabytes(sizes: list[int]) -> str:
    return ", ".join(f"{size / 1e6:.0f}" for size in sizes)
