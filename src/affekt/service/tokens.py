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


def read_tokens(file: Path) -> list[str]:
    """Read the tokens of a file: one a line, without empty lines and those that begin with ``#``.

    Raises:
        RunError: the file cannot be read, holds no token, or one that is too short.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise RunError(
            f"{file} must be a file of tokens. Got: {reason}. Write one token a line."
        ) from error
    tokens = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not tokens or min(map(len, tokens)) < SHORTEST:
        raise RunError(
            f"{file} must hold tokens of at least {SHORTEST} characters, one a line. "
            f"Got {'a shorter one' if tokens else 'none'}. Make one with: openssl rand -hex 32"
        )
    return tokens


class TokenCheck:
    """Pass on requests with an accepted token (ASGI middleware); answer others with 401.

    The file is read for each request, so that a removed token ends at once.
    """

    def __init__(self, app: ASGIApp, *, file: Path) -> None:
        self._app, self._file = app, file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401; a WebSocket handshake fails instead."""
        if scope["type"] not in ("http", "websocket") or path_of(scope) == HEALTH:
            await self._app(scope, receive, send)
            return
        kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        try:
            accepted = kind.lower() == "bearer" and _holds(read_tokens(self._file), token.strip())
        except RunError:  # the file was emptied or removed: no token is accepted
            accepted = False
        error = "a token is needed. Send it as Authorization: Bearer TOKEN."
        refused = refusal(scope, error, 401, **{"WWW-Authenticate": 'Bearer realm="affekt"'})
        await (self._app if accepted else refused)(scope, receive, send)


def _holds(tokens: list[str], token: str) -> bool:
    """Whether a token is among others; takes the same time for every wrong one."""
    digest, *digests = (
        hashlib.sha256(each.encode("utf-8", "surrogatepass")).digest() for each in (token, *tokens)
    )
    return sum(hmac.compare_digest(digest, each) for each in digests) > 0
