"""Limit how much is done at a time, for all clients and for each."""

from asyncio import Semaphore
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from anyio import move_on_after
from starlette.requests import HTTPConnection


class ClientLimits:
    """Let in so many requests at a time, and of one client address half as many.

    Args:
        total: requests at a time.
    """

    def __init__(self, total: int) -> None:
        self._all, self._share = Semaphore(total), (total + 1) // 2
        self._clients: WeakValueDictionary[str, Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def entered(self, request: HTTPConnection, wait: float) -> AsyncIterator[bool]:
        """Wait to be let in, and count the request until the context ends.

        Args:
            request: names its client.
            wait: seconds, at most.

        Yields:
            Whether the request was let in.
        """
        address = request.client.host if request.client else ""
        own = self._clients.setdefault(address, Semaphore(self._share))
        async with AsyncExitStack() as entered:
            with move_on_after(wait) as scope:
                for limit in (own, self._all):
                    await entered.enter_async_context(limit)
            yield not scope.cancelled_caught
