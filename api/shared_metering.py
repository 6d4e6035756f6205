"""The metrics of ``doorman serve``: what the workers count, and the port that tells it."""

import multiprocessing
from importlib.metadata import version

from api.board import Board, SharedMeter
from api.metrics_server import MetricsServer
from api.scrape import Scrape
from models.errors import SetupError


class SharedMetering:
    """Gives each worker a meter in shared memory, and answers for all of them.

    Raises ``SetupError`` when it cannot listen, or the workers would not share memory with this process.
    """

    def __init__(self, host: str, port: int, *, workers: int, store: str) -> None:
        if multiprocessing.get_start_method() != "fork":
            raise SetupError("METRICS_PORT needs a system on which workers are forked, as on Linux.")
        self._board = Board(workers)
        scrape = Scrape(self._board, {"version": version("doorman"), "store": store})
        self._server = MetricsServer(host, port, scrape.answer)

    def meter(self, place: int) -> SharedMeter:
        """Return the meter of this process, which is a worker."""
        return self._board.meter(place)

    def begin(self) -> None:
        """Answer for the figures from now on."""
        self._server.begin()
