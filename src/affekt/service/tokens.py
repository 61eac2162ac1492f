"""Require one of the bearer tokens in a file, which may change while the service runs.

Source: RFC 6750, "Bearer Token Usage".
"""

import hashlib
import hmac
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from affekt.errors import RunError
from affekt.service.origin_check import HEALTH, path_of, refusal

SHORTEST = 16  # characters of a token


class Tokens:
    """The tokens of a file: one a line; empty lines and lines that begin with ``#`` are ignored.

    Args:
        file: read for each request, so that a removed token ends at once.

    Raises:
        RunError: the file cannot be read, holds no token, or one that is too short.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._digests()

    def accept(self, token: str) -> bool:
        """Whether a token is in the file; takes the same time for every wrong one.

        Raises:
            RunError: the file was changed into one that cannot be used.
        """
        digest = _digest(token)
        return sum(hmac.compare_digest(digest, each) for each in self._digests()) > 0

    def _digests(self) -> list[bytes]:
        try:
            lines = self._file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise RunError(
                f"{self._file} must be a file of tokens. Got: {reason}. Write one token a line."
            ) from error
        tokens = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not tokens or min(map(len, tokens)) < SHORTEST:
            raise RunError(
                f"{self._file} must hold tokens of at least {SHORTEST} characters, one a line. "
                f"Got {'a shorter one' if tokens else 'none'}. Make one with: openssl rand -hex 32"
            )
        return [_digest(token) for token in tokens]


class TokenCheck:
    """Pass on requests with an accepted token (ASGI middleware); answer others with 401."""

    def __init__(self, app: ASGIApp, *, tokens: Tokens) -> None:
        self._app, self._tokens = app, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401; a WebSocket handshake fails instead."""
        if scope["type"] not in ("http", "websocket") or path_of(scope) == HEALTH:
            await self._app(scope, receive, send)
            return
        kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        try:
            accepted = kind.lower() == "bearer" and self._tokens.accept(token.strip())
        except RunError:  # the file was emptied or removed: no token is accepted
            accepted = False
        error = "a token is needed. Send it as Authorization: Bearer TOKEN."
        refused = refusal(scope, error, 401, **{"WWW-Authenticate": 'Bearer realm="affekt"'})
        await (self._app if accepted else refused)(scope, receive, send)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
