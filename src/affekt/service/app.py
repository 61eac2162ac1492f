"""Build the web application: the page, uploads and live audio streams.

Audio stays in memory while it is processed. Nothing is stored or sent to another machine.
"""

from asyncio import CancelledError
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from functools import partial
from mimetypes import add_type
from pathlib import Path
from typing import TextIO

from anyio import CancelScope, CapacityLimiter, move_on_after, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Match, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from affekt.audio.windows import SAMPLE_RATE
from affekt.engines import cores
from affekt.errors import AffektError, RunError
from affekt.inference.predictor import Predictor
from affekt.service.answers import EACH, SPEAKERS, WORK, Work
from affekt.service.browser_model import MODEL_PATH, browser_routes
from affekt.service.client_limits import ClientLimits
from affekt.service.decoding import decoded
from affekt.service.live_session import CHANNELS, run_session
from affekt.service.observation import ID_HEADER, Metrics, Observation
from affekt.service.openapi import document
from affekt.service.origin_check import POLICY_VIOLATION, OriginCheck
from affekt.service.readiness import Readiness
from affekt.service.request_options import choice, decode_profile, with_query
from affekt.service.tokens import TokenCheck, read_tokens
from affekt.service.uploads import Upload, UploadTooLargeError, read_upload
from affekt.shipped_folders import shipped_folder

PAGE = Path(__file__).parent / "page"
REPORT_POLICY = (  # the report is one file with its own styles, and loads nothing
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)
PATHS = frozenset(  # counted by name
    ("/", "/docs", "/health", "/journal", "/metrics", "/model", "/openapi.json", "/stream", *WORK)
)
MAX_UPLOAD = 100 << 20  # bytes of a recording
MAX_UPLOADS = 8  # at a time, each held in memory until it is answered; so are reports
MAX_RECEIVE = 300.0  # s until a recording must have arrived
MAX_IDLE = 10.0  # s without a byte of a recording
MAX_WAIT = 25.0  # s that a recording waits: longer than two stalled ones, one after the other
MAX_DRAIN = 2.0  # s for the rest of a recording that is refused because the service stops
MAX_STREAMS = 64  # live sessions at a time; one of several channels counts as many
MAX_STREAM_WAIT = 1.0  # s


def make_app(
    predictor: Predictor,
    *,
    hosts: Collection[str],
    journal: Callable[[], str] | None = None,
    origins: Collection[str] = (),
    tokens: Path | None = None,
    access_log: TextIO | None = None,
    workers: int = 1,
    runtime: Path | None = None,
) -> Starlette:
    """Build the application for a loaded model.

    Args:
        predictor: its options are the defaults of every request.
        hosts: host names that requests may name, such as ``localhost``.
        journal: makes the report of a journal as HTML; no journal by default.
        origins: of pages of other sites that may use it, such as ``https://example.org``.
        tokens: file of tokens, one of which every request must bear, but those for ``/health``;
            none by default.
        access_log: file that gets one line of JSON for each request; none by default.
        workers: processes that share this machine's cores, each with such an application.
        runtime: folder of ONNX Runtime Web, so that the page runs the model; none by default.

    Returns:
        An ASGI application: ``GET /`` the page, ``GET /health``, ``/metrics``, ``/model``,
        ``/openapi.json`` and ``/docs``, ``POST /predict``, ``/timeline`` and ``/embed``, the
        WebSocket ``/stream``, and ``GET /journal`` if there is one. Its ``state.stop()`` ends
        uploads that are still being received and makes ``/health`` say so.

    Raises:
        RunError: the file of tokens cannot be used.
    """
    metrics = Metrics(PATHS)
    service = _Service(predictor, metrics, journal, workers, browser=bool(runtime))
    origins = [each.lower() for each in origins]  # as browsers send them
    middleware = [
        Middleware(Observation, metrics=metrics, log=access_log),
        Middleware(OriginCheck, hosts=hosts, origins=origins, wasm=bool(runtime)),
    ]
    if origins:
        sharing = Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Profile", ID_HEADER],
            expose_headers=[ID_HEADER],
        )
        middleware.append(sharing)
    if tokens:
        read_tokens(tokens)  # an error now, not at the first request
        middleware.append(Middleware(TokenCheck, file=tokens))
    add_type("text/javascript", ".js")  # the registry of some Windows systems says text/plain
    app = Starlette(
        routes=[
            Route("/health", service.health),
            Route("/metrics", metrics.response),
            Route("/model", service.model),
            Route("/openapi.json", service.openapi),
            Route("/docs", service.docs),
            *(
                Route(path, partial(service.answer, work), methods=["POST"])
                for path, work in WORK.items()
            ),
            WebSocketRoute("/stream", service.stream),
            *([Route("/journal", service.journal)] if journal else []),
            *(browser_routes(predictor.graph, runtime) if runtime else []),
            Mount("/affekt", StaticFiles(directory=shipped_folder("web"))),
            Mount("/", StaticFiles(directory=PAGE, html=True)),
        ],
        middleware=middleware,
        exception_handlers={HTTPException: _http_error},
    )
    app.state.stop = service.stop
    return app


class _Service:
    """Endpoints that share a predictor and the limits of threads, uploads and sessions."""

    def __init__(
        self,
        predictor: Predictor,
        metrics: Metrics,
        journal: Callable[[], str] | None,
        workers: int,
        *,
        browser: bool,
    ) -> None:
        own_cores = max(1, cores() // workers)
        self._report, self._browser = journal, browser
        self._predictor, self._metrics = predictor, metrics
        self._readiness = Readiness(predictor)
        self._stream_threads = CapacityLimiter(own_cores)
        others = max(1, own_cores - 1)  # one core is for live sessions
        self._upload_threads, self._decoders = CapacityLimiter(others), CapacityLimiter(others)
        self._uploads, self._sessions = ClientLimits(MAX_UPLOADS), ClientLimits(MAX_STREAMS)
        self._receiving: set[CancelScope] = set()

    def stop(self) -> None:
        """Refuse uploads that have not arrived; those that have are answered."""
        self._readiness.stopping = True
        for scope in self._receiving:
            scope.cancel()

    async def health(self, _: Request) -> Response:
        status, report = await self._readiness.report()
        return JSONResponse(report, status)

    async def openapi(self, request: Request) -> Response:
        described = document(self._predictor.labels, MAX_UPLOAD)
        if place := request.scope.get("root_path"):  # in a larger application
            described["servers"] = [{"url": place}]
        return JSONResponse(described)

    async def docs(self, _: Request) -> Response:
        return FileResponse(PAGE / "docs.html")

    async def model(self, _: Request) -> Response:
        about, digest = self._predictor.metadata, self._predictor.graph.digest
        address = f"{MODEL_PATH[1:]}?sha256={digest}"
        return JSONResponse(
            {
                "name": about["name"],
                "licence": about["licence"],
                "labels": self._predictor.labels,
                "hop_seconds": self._predictor.graph.hop / SAMPLE_RATE,
                "knows_speakers": bool(self._predictor.graph.profile),
                "min_confidence": self._predictor.min_confidence,
                "has_journal": bool(self._report),
                "has_service": True,
                "browser_model": {"address": address, "sha256": digest} if self._browser else None,
            }
        )

    async def journal(self, request: Request) -> Response:
        assert self._report
        try:
            async with self._uploads.entered(request, MAX_WAIT) as entered:
                if not entered:
                    return _busy()
                page = await to_thread.run_sync(self._report, limiter=self._upload_threads)
        except AffektError as error:
            return _error(422, str(error))
        return HTMLResponse(page, headers={"Content-Security-Policy": REPORT_POLICY})

    async def answer(self, work: Work, request: Request) -> Response:
        """Answer an uploaded recording."""
        compute, parameters = work
        query = request.query_params
        if {"content-length", "transfer-encoding"} <= {*request.headers}:  # RFC 9112, section 6.3
            message = "a request must have Content-Length or Transfer-Encoding. Got both. Send one."
            return _error(400, message, Connection="close")
        try:
            async with self._uploads.entered(request, MAX_WAIT) as entered:
                if not entered:
                    return _busy()
                upload = await self._received(request)
                if upload is None and self._readiness.stopping:
                    with move_on_after(MAX_DRAIN):  # a client that still sends sees no answer
                        async for _ in request.stream():
                            pass
                    return _error(503, "the service is stopping. Try again later.")
                if upload is None:
                    message = f"a recording must arrive within {MAX_RECEIVE:g} s. Send it faster."
                    return _error(408, message, Connection="close")
                predictor = with_query(self._predictor, query, *parameters)
                if (text := request.headers.get("profile")) is not None:
                    profile = decode_profile(text, "the header Profile must be")
                    predictor = replace(predictor, profile=profile)
                each = query.get(SPEAKERS) == EACH
                sound = await decoded(upload, "each" if each else predictor.channel, self._decoders)
                computed = partial(compute, replace(predictor, channel=None), sound, query)
                answer = await to_thread.run_sync(computed, limiter=self._upload_threads)
        except UploadTooLargeError as error:
            return _error(413, str(error))
        except AffektError as error:
            return _error(422, str(error))
        except TimeoutError:
            message = f"a recording must arrive without a pause of {MAX_IDLE:g} s. Send it again."
            return _error(408, message, Connection="close")
        except (ClientDisconnect, CancelledError):  # the client is gone, or the service ends
            return Response(status_code=400)
        self._metrics.sound.inc(len(sound) / SAMPLE_RATE)
        return JSONResponse(answer)

    async def _received(self, request: Request) -> Upload | None:
        """Read the recording; None if the service stops first, or if it takes too long."""
        with move_on_after(MAX_RECEIVE) as scope:
            self._receiving.add(scope)
            if self._readiness.stopping:
                scope.cancel()
            try:
                return await read_upload(request, MAX_UPLOAD, MAX_IDLE)
            finally:
                self._receiving.discard(scope)
        return None

    async def stream(self, socket: WebSocket) -> None:
        with suppress(WebSocketDisconnect):
            await socket.accept()
            try:
                channels = int(choice(socket.query_params, "channels", "1", CHANNELS))
                async with self._sessions.entered(socket, MAX_STREAM_WAIT, channels) as entered:
                    if not entered:
                        raise RunError(
                            f"at most {MAX_STREAMS} live streams at a time, half of them of one "
                            f"client. Try again later."
                        )
                    await run_session(socket, self._predictor, channels, self._stream_threads)
            except AffektError as error:
                await socket.send_json({"error": str(error)})
                await socket.close(POLICY_VIOLATION)


def _error(status: int, message: str, **headers: str) -> Response:
    return JSONResponse({"error": message}, status, headers)


def _busy() -> Response:
    message = f"at most {MAX_UPLOADS} recordings at a time, half of them of one client."
    return _error(503, f"{message} Try again later.", **{"Retry-After": "1"})


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer requests for missing files, and with a wrong method, in the form of other errors."""
    *_, page = request.app.routes  # the last one takes what no other route does
    reached_page = request.scope.get("endpoint") is page.app  # other mounts shorten the path
    for route in request.app.routes if reached_page else ():
        if isinstance(route, Route) and route.matches(request.scope)[0] is Match.PARTIAL:
            methods = sorted(route.methods or ())
            message = f"{route.path} takes {methods[0]} only. Got {request.method}."
            return _error(405, f"{message} See /openapi.json.", Allow=", ".join(methods))
    status = getattr(error, "status_code", 500)
    headers = getattr(error, "headers", None) or {}
    if status == 405 and page.app.get_path(request.scope) != ".":  # of files, only / names methods
        status, headers = 404, {}
    message = f"there is no {request.method} {request.url.path[:100]}. See /openapi.json."
    return _error(status, message, **headers)
