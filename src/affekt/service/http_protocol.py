"""Close connections whose request head does not arrive in time."""

import asyncio

from h11 import IDLE
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEAD = 10.0  # s from the first moment of a connection, or byte of a request, to its last header


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
