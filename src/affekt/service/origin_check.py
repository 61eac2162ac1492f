"""Reject requests from foreign web pages and for foreign host names.

A browser lets any page send requests to any address. The ``Origin`` header reveals a request from
another site's page; the ``Host`` header reveals a foreign name that resolves to this machine (DNS
rebinding). Response headers tell the browser to load nothing from other sites.

Source: OWASP cheat sheets, "Cross-Site WebSocket Hijacking", "Content Security Policy".
"""

import re
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

POLICY_VIOLATION = 1008  # WebSocket close code
HEALTH = "/health"
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")  # name, and port


def path_of(scope: Scope) -> str:
    """The path of a request within this application, which may be part of a larger one."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def refusal(scope: Scope, error: str, status: int, **headers: str) -> ASGIApp:
    """Answer a request with an error; the handshake of a WebSocket fails instead."""
    if scope["type"] == "http":
        return JSONResponse({"error": error}, status, headers)
    return WebSocketClose(POLICY_VIOLATION)


class OriginCheck:
    """Pass on requests that name an allowed host and come from no other site (ASGI middleware).

    Args:
        hosts: host names that a request may name, without ports.
        origins: of other sites whose pages are allowed.
        wasm: whether the page may compile WebAssembly.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str],
        origins: Collection[str] = (),
        wasm: bool = False,
    ) -> None:
        self._app, self._hosts = app, {host.lower() for host in hosts}
        self._origins = frozenset(origins)
        self._scripts = "script-src 'self' 'wasm-unsafe-eval'; " if wasm else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403; a WebSocket handshake fails instead."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        probe = path_of(scope) == HEALTH and origin is None  # by address, not by name
        allowed = self._allows(host, origin)
        if allowed or probe:
            sockets = f" ws://{host} wss://{host}" if allowed else ""
            await self._app(scope, receive, _with_security_headers(send, sockets, self._scripts))
        else:
            error = (
                f"Host must be one of {', '.join(sorted(self._hosts))}, and Origin the service's "
                f"own page. Got {host[:100]!r} and {(origin or 'none')[:100]!r}. Allow others with "
                f"affekt serve --name HOST or --allow-origin ORIGIN."
            )
            await refusal(scope, error, 403)(scope, receive, send)

    def _allows(self, host: str, origin: str | None) -> bool:
        named = _HOST.fullmatch(host)
        if not named or named[1].strip("[]").lower() not in self._hosts:
            return False
        own = (None, f"http://{host}", f"https://{host}")
        return origin in own or origin in self._origins


def _with_security_headers(send: Send, sockets: str, scripts: str) -> Send:
    """Add headers to each response that keep other sites' content out of the page."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault(  # an endpoint may allow less or other content
                "Content-Security-Policy",
                f"default-src 'self'; {scripts}connect-src 'self'{sockets}; "
                f"frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
            )
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "no-referrer"
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return send_with_headers
