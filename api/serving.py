"""Granian, set up for Doorman: who listens, how many connections are held, how it stops."""

import ctypes
import logging
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from granian import _signals
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from api.board import Metering, NoMetering
from api.descriptors import allow_connections
from api.launch import Launch
from api.stopping import ClosingFirst
from api.workers import WorkersParent
from models.errors import SetupError

# In-flight requests have this long to finish when the service is told to stop; then the workers are killed.
STOP_SECONDS = 30
# How long a client may take to send its headers, and how long a connection may be idle between requests. Less than the
# time to stop: otherwise one client that sends half a header would have the worker killed.
HEADER_SECONDS = 20.0
# How long a client may leave what was sent to it unread before its connection is dropped. Less than the time to stop,
# for the same reason.
STALL_SECONDS = 20.0
# A connection on which nothing came for so long is asked whether its client is still there, and again at these
# intervals: a few times before STALL_SECONDS are over, so that one lost probe is not the end.
KEEPALIVE_SECONDS = 8
KEEPALIVE_INTERVAL_SECONDS = 3
# Request lines and headers together. This is the outer bound, of what Granian buffers: it may have read beyond it when
# it looks, and refuses only what it cannot read to its end. The exact one is the application's (``api.server.Limits``).
HEADER_BYTES = 64 * 1024
BACKLOG = 2048
SEND_BUFFER_BYTES = 256 * 1024
# From Linux's <sys/prctl.h>.
_PR_SET_PDEATHSIG = 1

# Granian configures handlers of its own. Incrementally, only the level and the propagation of its logger change, so
# what it says reaches the root logger's handlers, which the caller has set up.
_LOGGING: dict[str, Any] = {
    "version": 1,
    "incremental": True,
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"propagate": True}},
}

logger = logging.getLogger(__name__)


def serve(
    *,
    target: str,
    host: str,
    port: int,
    workers: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    log_level: str,
    websockets: int = 0,
    metering: Metering | None = None,
    started_at: datetime | None = None,
    header_seconds: float = HEADER_SECONDS,
    stall_seconds: float = STALL_SECONDS,
) -> None:
    """Serve the ASGI application ``target`` (``module:attribute``) until SIGTERM or SIGINT, then finish what runs.

    The workers are forked before ``target`` is imported, and log through the root logger of this process. ``port`` 0
    takes a free one. ``websockets`` is how many the application holds in each worker, or 0 if it takes none.
    ``metering`` gives each worker its meter, and ``started_at`` says since when the service has been there.
    Returns after an orderly stop. Raises ``SetupError`` when nothing can be served like this (port in use, unusable
    certificate), and ``SystemExit`` with status 1 when a worker cannot start.
    """
    address = listening_address(host, port)
    takes_connections = websockets > 0 and tls_cert is None and sys.platform == "linux"
    try:
        server = WorkersParent(
            target,
            address=address,
            port=port,
            interface=Interfaces.ASGI,
            workers=workers,
            # A connection that is broken off on purpose (see api.connections) must not carry other requests.
            http=HTTPModes.http1,
            # Without, a handshake is like any other request: the application's.
            websockets=websockets > 0 and not takes_connections,
            http1_settings=HTTP1Settings(
                header_read_timeout=round(header_seconds * 1000), max_buffer_size=HEADER_BYTES
            ),
            backlog=BACKLOG,
            # Granian takes one of these permits for each connection, idle ones included, and accepts no more without.
            backpressure=allow_connections(websockets),
            log_level=LogLevels(log_level.lower()),
            log_dictconfig=_LOGGING,
            log_access=False,
            ssl_cert=tls_cert,
            ssl_key=tls_key,
            ssl_protocol_min=SSLProtocols.tls12,
            respawn_failed_workers=True,
            workers_kill_timeout=STOP_SECONDS,
        )
    except (OSError, ssl.SSLError) as error:
        raise SetupError(f"the TLS certificate {tls_cert} and key {tls_key} cannot be used: {error}") from error
    server.metering = metering = metering or NoMetering()
    closing = partial(ClosingFirst, takes_connections=takes_connections)
    begin = partial(_launch, metering, started_at or datetime.now(UTC))
    server.serve(spawn_target=partial(_run_worker, os.getpid(), stall_seconds, closing, begin))


def _launch(metering: Metering, started_at: datetime, place: int) -> Launch:
    return Launch(metering.meter(place), started_at)


def _run_worker(
    parent: int,
    stall_seconds: float,
    closing_first: Callable[..., ClosingFirst],
    begin: Callable[[int], Launch],
    place: int,
    *granians: Any,
) -> None:
    """Run Granian's worker in this process, which ends with its ``parent`` and drops clients that stall.

    Its figures go to ``place``. ``granians`` is what Granian gives to its workers.
    """
    number, name, load, ((spec, listener), windows), *options = granians
    # The parent's handlers came with the fork and would swallow the signals until Granian's take over. An interrupt
    # from the terminal reaches the parent too, which passes it on.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with(parent)
    # On Linux each worker listens on a socket of its own, which Granian would make just as here.
    listener = listener or spec.build()
    _drop_stalled(listener.get_fd(), stall_seconds)
    run = MPServer._spawn_asgi_lifespan_worker  # noqa: SLF001 - what Granian would have run in the place of this
    closing = closing_first(load, begin(place))
    _signals.set_loop_signals = closing.set_loop_signals
    run(number, name, closing.load, ((None, listener), windows), *options)


def _end_with(parent: int) -> None:
    """End this process when ``parent`` is killed: orphans would keep the port from those who follow.

    At once, and not in order: nobody is left to end a worker whose stop hangs, and what was acknowledged is stored.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was killed before it could be watched
            signal.raise_signal(signal.SIGKILL)
    else:
        Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)


def _drop_stalled(listener: int, seconds: float) -> None:
    """Let the kernel drop connections, accepted from ``listener``, whose clients take nothing for ``seconds``.

    The server's writes have no deadline, and its loop no way to see those that wait. TCP_USER_TIMEOUT (RFC 5482) counts
    from the first byte that cannot be delivered, to a closed window too; where there is none, such clients stay.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        with socket.socket(fileno=os.dup(listener)) as listening:
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))
            # The kernel would take megabytes for each client that reads slowly, and the threads be busy filling them.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            # Granian's WebSockets may be silent for long, and are not pinged: so the kernel asks whether their clients
            # are still there, and drops those that do not answer in the time above. Connections inherit all this.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SECONDS)


def listening_address(host: str, port: int) -> str:
    """Return the IP address of ``host``. Raises ``SetupError`` when it cannot be listened on.

    Granian's listeners share their port (SO_REUSEPORT), with other services of the same user too: so that two Doormen
    do not take each other's requests in turn, the port is tried without sharing first.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise SetupError(f"Cannot listen at HOST={host}, PORT={port}: {error.strerror or error}.") from error
    return str(address[0])
