"""Run the application in one process, or in several that answer at the same port."""

import logging
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors import Multiprocess

from affekt.service.http_protocol import TimedProtocol
from affekt.service.live_session import MAX_MESSAGE
from affekt.service.observation import METRICS_FOLDER

SHUTDOWN_SECONDS = 60  # for recordings that have arrived
PING_TIMEOUT = 300.0  # s without an answer to a ping, until a live session is closed
HANG_SECONDS = 30  # until a process that does not react is replaced
MEMORY_FOLDER = Path("/dev/shm")  # Linux' file system in memory, writable in read-only containers


def run(build: Callable[[], Starlette], listener: socket, *, workers: int = 1) -> None:
    """Answer until SIGINT or SIGTERM, and then what has arrived.

    Args:
        build: makes the application; for several processes it must be picklable, and each builds
            its own. Its ``state.stop()`` is called when the service begins to stop.
        listener: a bound socket.
        workers: processes that answer. One that ends or hangs is replaced.
    """
    config = uvicorn.Config(
        partial(_stoppable, build),
        factory=True,
        http=TimedProtocol,
        log_level="warning",
        lifespan="off",
        ws_max_size=2 * MAX_MESSAGE,  # longer messages are answered with an error
        ws_ping_timeout=PING_TIMEOUT,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        timeout_worker_healthcheck=HANG_SECONDS,
        workers=workers,
    )
    if workers == 1:
        uvicorn.Server(config).run(sockets=[listener])
        return
    place = MEMORY_FOLDER if os.access(MEMORY_FOLDER, os.W_OK) else None
    with TemporaryDirectory(prefix="affekt-metrics-", dir=place) as folder:
        os.environ[METRICS_FOLDER] = folder  # for the processes, which inherit it
        try:
            _Processes(config, [listener]).run()
        finally:
            del os.environ[METRICS_FOLDER]


class _Processes(Multiprocess):
    """Processes whose port is closed as soon as they are told to stop."""

    def terminate_all(self) -> None:
        """Let new connections fail at once: no process is left to accept them."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def _stoppable(build: Callable[[], Starlette]) -> Starlette:
    """Build the application, and tell it of signals before the server, whose handlers are set."""
    logging.getLogger("uvicorn.error").addFilter(_without_traceback)
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
