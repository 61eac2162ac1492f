"""Who may ask: programs on hosts that are named, and the application's own page.

A browser lets any page ask any address. So a page of somebody else's is turned away by its origin,
and a name that was made to point here (DNS rebinding) by the host that it asks for. What is
answered tells browsers to load nothing from elsewhere.

Source: OWASP cheat sheets, "Cross-Site WebSocket Hijacking", "Content Security Policy".
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

POLICY_VIOLATION = 1008  # closes a socket


class Doorkeeper:
    """ASGI middleware that turns strangers away.

    Args:
        app: what is behind the door.
        hosts: names under which it may be called.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str]) -> None:
        self._app, self._hosts = app, {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or turn away: 403, or for a socket a handshake that fails."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._knows(host, headers.get("origin")):
            await self._app(scope, receive, _guarded(send, host))
        elif scope["type"] == "http":
            words = "This service answers its own page, and programs that ask for it by its name."
            await PlainTextResponse(words, 403)(scope, receive, send)
        else:
            await WebSocket(scope, receive, send).close(POLICY_VIOLATION)

    def _knows(self, host: str, origin: str | None) -> bool:
        try:
            called = urlsplit(f"//{host}").hostname in self._hosts
            return called and (origin is None or urlsplit(origin).netloc == host)
        except ValueError:  # no host at all
            return False


def _guarded(send: Send, host: str) -> Send:
    """Answers with the headers that keep a page to itself."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = (
                f"default-src 'self'; connect-src 'self' ws://{host} wss://{host}; "
                f"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
            )
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "no-referrer"
            headers["Cache-Control"] = "no-store"
        await send(message)

    return guarded
