"""Build the web application: the page, uploads and live audio streams.

Audio stays in memory while it is processed. Nothing is stored or sent to another machine.
"""

import os
from asyncio import CancelledError, Semaphore
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AffektError
from affekt.inference.predictor import Predictor
from affekt.service.live_session import close_with_error, run_session
from affekt.service.origin_check import OriginCheck
from affekt.service.request_options import decode_profile, with_query

PAGE = Path(__file__).parent / "page"
REPORT_POLICY = (  # the report is one file with its own styles, and loads nothing
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
MAX_UPLOAD = 100 << 20  # bytes of a recording
MAX_UPLOADS = 8  # at a time: each is held in memory until it is answered
MAX_STREAMS = 64  # live sessions at a time


class Upload(BytesIO):
    """An uploaded recording; error messages call it by ``name``."""

    name = "the recording"


def make_app(
    predictor: Predictor,
    *,
    hosts: Collection[str],
    journal: Callable[[], str] | None = None,
) -> Starlette:
    """Build the application for a loaded model.

    Args:
        predictor: its options are the defaults of every request.
        hosts: host names that requests may name, such as ``localhost``.
        journal: makes the report of a journal as HTML; no journal by default.

    Returns:
        An ASGI application: ``GET /`` the page, ``GET /model``, ``POST /predict``, the WebSocket
        ``/stream``, and ``GET /journal`` if there is one.
    """
    service = _Service(predictor, journal)
    return Starlette(
        routes=[
            Route("/model", service.model),
            Route("/predict", service.predict, methods=["POST"]),
            WebSocketRoute("/stream", service.stream),
            *([Route("/journal", service.journal)] if journal else []),
            Mount("/", StaticFiles(directory=PAGE, html=True)),
        ],
        middleware=[Middleware(OriginCheck, hosts=frozenset(hosts))],
    )


class _Service:
    """Endpoints that share a predictor and the limits of threads, uploads and sessions."""

    def __init__(self, predictor: Predictor, journal: Callable[[], str] | None) -> None:
        cores = os.cpu_count() or 1
        self._report = journal
        self._predictor = predictor
        self._stream_threads = CapacityLimiter(cores)
        self._upload_threads = CapacityLimiter(max(1, cores - 1))  # one core is for live sessions
        self._uploads, self._sessions = Semaphore(MAX_UPLOADS), Semaphore(MAX_STREAMS)

    async def model(self, _: Request) -> Response:
        about = self._predictor.metadata
        return JSONResponse(
            {
                "name": about["name"],
                "licence": about["licence"],
                "labels": self._predictor.labels,
                "hop_seconds": self._predictor.graph.hop / SAMPLE_RATE,
                "knows_speakers": bool(self._predictor.graph.profile),
                "has_journal": bool(self._report),
            }
        )

    async def predict(self, request: Request) -> Response:
        if self._uploads.locked():
            return _error(503, f"at most {MAX_UPLOADS} recordings at a time. Try again later.")
        try:
            async with self._uploads:
                upload = Upload()
                async for chunk in request.stream():
                    if upload.tell() + len(chunk) > MAX_UPLOAD:
                        return _error(
                            413,
                            f"a recording must have at most {MAX_UPLOAD} bytes. Got more. "
                            f"Use affekt predict.",
                        )
                    upload.write(chunk)
                upload.seek(0)
                predictor = with_query(self._predictor, request.query_params)
                if (text := request.headers.get("profile")) is not None:
                    profile = decode_profile(text, "the header Profile must be")
                    predictor = replace(predictor, profile=profile)
                work = partial(predictor.predict, upload)
                prediction = await to_thread.run_sync(work, limiter=self._upload_threads)
        except AffektError as error:
            return _error(422, str(error))
        except (ClientDisconnect, CancelledError):  # the client is gone, or the service ends
            return Response(status_code=400)
        return JSONResponse(prediction.as_dict())

    async def journal(self, _: Request) -> Response:
        assert self._report
        try:
            page = await to_thread.run_sync(self._report, limiter=self._upload_threads)
        except AffektError as error:
            return _error(422, str(error))
        return HTMLResponse(page, headers={"Content-Security-Policy": REPORT_POLICY})

    async def stream(self, socket: WebSocket) -> None:
        with suppress(WebSocketDisconnect):
            await socket.accept()
            if self._sessions.locked():
                message = f"at most {MAX_STREAMS} live streams at a time. Try again later."
                await close_with_error(socket, message)
                return
            async with self._sessions:
                await run_session(socket, self._predictor, self._stream_threads)


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)
