"""Limit the number of simultaneous requests, in total and for each client."""

from asyncio import Semaphore
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from anyio import move_on_after
from starlette.requests import HTTPConnection


class ClientLimits:
    """Limit simultaneous requests in total, and those of one client address to half of that."""

    def __init__(self, total: int) -> None:
        self._all, self._share = Semaphore(total), (total + 1) // 2
        self._clients: WeakValueDictionary[str, Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def entered(
        self, request: HTTPConnection, wait: float, count: int = 1
    ) -> AsyncIterator[bool]:
        """Wait some seconds for admission, and yield whether the request was admitted.

        It counts as ``count`` requests until the context ends, which it must at once if refused.
        """
        address = request.client.host if request.client else ""
        own = self._clients.setdefault(address, Semaphore(self._share))
        async with AsyncExitStack() as entered:
            with move_on_after(wait) as scope:
                for limit in [own, self._all] * count:
                    await entered.enter_async_context(limit)
            yield not scope.cancelled_caught
