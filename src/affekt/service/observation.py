"""Give every request an id, count and time it, and log it as one line of JSON.

A fault of the service itself is answered by status 500 and the id; the traceback goes to standard
error only, with the same id. The log names method, path, status and times. It never holds sound,
profiles, queries or tokens.
"""

import json
import logging
import os
import re
import time
from datetime import UTC, datetime
from typing import TextIO
from uuid import uuid4

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from affekt.service.origin_check import path_of

ID_HEADER = "X-Request-ID"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET")
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SWITCHED = 101  # status of a WebSocket that was accepted
INTERNAL_ERROR = 1011  # WebSocket close code
_FAULTS = logging.getLogger("affekt.service")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Numbers of one service, in the format of Prometheus.

    Processes that share the folder of the environment variable ``PROMETHEUS_MULTIPROC_DIR`` are
    one service: each writes its numbers there, and each answers with the sums.

    Args:
        paths: that are counted by name; others are counted as ``other``.
    """

    def __init__(self, paths: frozenset[str]) -> None:
        self.registry = CollectorRegistry()
        self._paths = paths
        requests = ["path", "method", "status"]
        self._requests = Counter(
            "affekt_requests", "Requests answered.", requests, registry=self.registry
        )
        self._seconds = Histogram(
            "affekt_request_seconds",
            "Seconds until a request was answered.",
            ["path"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._active = Gauge(
            "affekt_active",
            "Requests under way.",
            ["path"],
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.sound = Counter(
            "affekt_sound_seconds", "Seconds of sound in uploads.", registry=self.registry
        )

    def begin(self, path: str) -> None:
        """Count a request that begins."""
        self._active.labels(self._name(path)).inc()

    def end(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count a finished request."""
        name = self._name(path)
        self._active.labels(name).dec()
        self._requests.labels(name, method, str(status)).inc()
        if status != SWITCHED:
            self._seconds.labels(name).observe(seconds)

    def _name(self, path: str) -> str:
        return path if path in self._paths else "other"

    async def response(self, _: Request) -> Response:
        """All numbers as text."""
        registry = self.registry
        if os.environ.get(METRICS_FOLDER):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


class Observation:
    """Observe requests (ASGI middleware), with or without a log."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, log: TextIO | None) -> None:
        self._app, self._metrics, self._log = app, metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; the response names its id."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(ID_HEADER, "")
        identity = given if _ID.fullmatch(given) else uuid4().hex
        path, method = path_of(scope), scope.get("method", "WEBSOCKET")
        method = method if method in METHODS else "other"
        status, sent, began = 0, 0, time.monotonic()

        async def observed(message: Message) -> None:
            nonlocal status, sent
            if message["type"] in ("http.response.start", "websocket.accept"):
                status = message.get("status", SWITCHED)
                message.setdefault("headers", [])
                MutableHeaders(scope=message)[ID_HEADER] = identity
            elif message["type"] == "websocket.close":
                status = status or 403
            sent += len(message.get("body") or message.get("bytes") or message.get("text") or b"")
            await send(message)

        self._metrics.begin(path)
        try:
            await self._app(scope, receive, observed)
        except Exception:  # a fault of the service: the client gets its id, and no traceback
            _FAULTS.exception("request %s", identity)
            if not status and scope["type"] == "http":
                error = {"error": f"the service failed. Report request {identity} to its operator."}
                await JSONResponse(error, 500)(scope, receive, observed)
            elif scope["type"] == "websocket":
                await observed({"type": "websocket.close", "code": INTERNAL_ERROR})
            else:
                raise  # the answer has begun: the connection ends
        except BaseException:
            status = status or 500
            raise
        finally:
            seconds = time.monotonic() - began
            self._metrics.end(path, method, status, seconds)
            if self._log:
                about = {
                    "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "id": identity,
                    "method": method,
                    "path": path[:200],
                    "status": status,
                    "seconds": round(seconds, 4),
                    "bytes": sent,
                }
                print(json.dumps(about), file=self._log, flush=True)
