"""Run the application in one process, or in several that answer at the same port."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from socket import AF_INET, AF_INET6, IPPROTO_TCP, create_server, has_dualstack_ipv6, socket
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import uvicorn
from h11 import IDLE
from prometheus_client.multiprocess import mark_process_dead
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.supervisors import Multiprocess

from affekt.service.live_session import MAX_MESSAGE
from affekt.service.observation import METRICS_FOLDER

SHUTDOWN_SECONDS = 60  # for recordings that have arrived
PING_TIMEOUT = 300.0  # s until a client that answers no ping or, on Linux, reads nothing is cut off
MAX_HEAD = 10.0  # s from the first moment of a connection, or byte of a request, to its last header
QUEUE = 2048  # connections that wait to be accepted
HANG_SECONDS = 30  # until a process that does not react is replaced
MEMORY_FOLDER = Path("/dev/shm")  # Linux' file system in memory, writable in read-only containers


def listeners(host: str, port: int, number: int) -> list[socket]:
    """Open a port, 0 for a free one, and return a listening socket for each process.

    asyncio accepts all waiting connections at once, so one of several processes that share a
    socket gets most connections. Linux spreads connections evenly over several sockets.

    Raises:
        OSError: the port is taken, or the address is none of this machine.
    """
    family = AF_INET6 if ":" in host else AF_INET
    both = family == AF_INET6 and has_dualstack_ipv6()
    opened = partial(create_server, family=family, backlog=QUEUE, dualstack_ipv6=both)
    only = opened((host, port))
    if sys.platform != "linux":
        return [only] * number
    from socket import TCP_USER_TIMEOUT

    found = [only]
    if number > 1:
        address = only.getsockname()[:2]
        only.close()  # no other program uses the port
        found = [opened(address, reuse_port=True) for _ in range(number)]
    for each in found:  # whose connections have the same option
        each.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, round(1000 * PING_TIMEOUT))
    return found


def run(build: Callable[[], Starlette], listeners: list[socket]) -> None:
    """Answer until SIGINT or SIGTERM, and then what has arrived.

    Args:
        build: makes the application; for several processes it must be picklable, and each builds
            its own. Its ``state.stop()`` is called when the service begins to stop.
        listeners: a socket for each process. A process that ends or hangs is replaced.
    """
    config = uvicorn.Config(
        partial(_stoppable, build),
        factory=True,
        http=TimedProtocol,
        ws=ReadingProtocol,
        log_level="warning",
        lifespan="off",
        ws_max_size=2 * MAX_MESSAGE,  # longer messages are answered with an error
        ws_ping_timeout=PING_TIMEOUT,
        ws_per_message_deflate=False,  # 2 kB can be 2 MB, and sound hardly shrinks
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        timeout_worker_healthcheck=HANG_SECONDS,
        workers=len(listeners),
    )
    if len(listeners) == 1:
        uvicorn.Server(config).run(sockets=listeners)
        return
    place = MEMORY_FOLDER if os.access(MEMORY_FOLDER, os.W_OK) else None
    with TemporaryDirectory(prefix="affekt-metrics-", dir=place) as folder:
        os.environ[METRICS_FOLDER] = folder  # for the processes, which inherit it
        try:
            _Processes(config, listeners).run()
        finally:
            del os.environ[METRICS_FOLDER]


class TimedProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn, with a time limit for the head of a request."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(MAX_HEAD, transport.close)

    def data_received(self, data: bytes) -> None:
        """Take bytes; wait on while they are no whole head."""
        super().data_received(data)
        if self._timer and self.conn.their_state is not IDLE:
            self._timer.cancel()
            self._timer = None
        elif not self._timer and self.conn.their_state is IDLE:
            self._timer = self.loop.call_later(MAX_HEAD, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the wait."""
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)


class ReadingProtocol(WebSocketsSansIOProtocol):
    """WebSocket of uvicorn that disconnects clients who send pings and do not read the answers."""

    def handle_ping(self) -> None:
        """Answer a ping; answers that are not read would fill the memory."""
        super().handle_ping()
        if not self.writable.is_set():
            self.transport.abort()


class _Processes(Multiprocess):
    """Processes with a socket each, closed as soon as they are told to stop."""

    @property
    def sockets(self) -> list[socket]:
        """The socket of the next process: of one that has ended, or one not used yet."""
        for listener, each in zip(self._listeners, self.processes, strict=False):
            if each.process.exitcode is not None:
                mark_process_dead(each.pid)  # type: ignore[no-untyped-call] # its current requests
                return [listener]
        return [self._listeners[len(self.processes)]]

    @sockets.setter
    def sockets(self, listeners: list[socket]) -> None:
        self._listeners = listeners

    def handle_hup(self) -> None:
        """Ignore signals that change or restart the processes: each socket needs its own."""

    handle_ttin = handle_ttou = handle_hup

    def terminate_all(self) -> None:
        """Let new connections fail at once: no process is left to accept them."""
        for listener in self._listeners:
            listener.close()
        super().terminate_all()


def _stoppable(build: Callable[[], Starlette]) -> Starlette:
    """Build the application, and have signals stop it before they reach the server's handlers."""
    logging.getLogger("uvicorn.error").addFilter(_without_traceback)
    logging.getLogger("asyncio").addFilter(_Sparing())
    app = build()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, partial(_stop, app, signal.getsignal(number)))
    return app


def _stop(app: Starlette, server: Any, number: int, frame: FrameType | None) -> None:
    app.state.stop()
    server(number, frame)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Log text that is not UTF-8 as a fault of the client, in one line."""
    if record.exc_info and isinstance(record.exc_info[1], UnicodeDecodeError):
        record.exc_info = None
    return True


class _Sparing(logging.Filter):
    """Log once a minute that no connection can be accepted; asyncio does 2,000 times a second.

    Each time it plans to try again a second later. That fails if the service is stopped meanwhile.
    """

    _next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a message."""
        message = record.getMessage()
        if "accept() out of system resource" not in message:
            return "Exception in callback BaseSelectorEventLoop._start_serving" not in message
        record.exc_info = None
        due = time.monotonic() >= self._next
        if due:
            self._next = time.monotonic() + 60.0
        return due
