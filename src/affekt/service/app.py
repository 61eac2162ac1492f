"""A predictor to a web application: one recording a request, one live voice a socket, one page.

Nothing is written and nothing is sent on: sound lies in memory for as long as it is heard.
"""

import os
from asyncio import CancelledError
from collections.abc import Collection
from dataclasses import asdict, replace
from functools import partial
from io import BytesIO
from pathlib import Path

from anyio import CapacityLimiter, WouldBlock, to_thread
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AffektError
from affekt.inference.predictor import Predictor
from affekt.service.conversation import converse, number, refuse, whole_number
from affekt.service.doorkeeper import Doorkeeper

PAGE = Path(__file__).parent / "page"
LARGEST = 100 << 20  # bytes of a recording; longer ones are for affekt predict
STREAMS = 64  # voices at a time


def make_app(predictor: Predictor, *, hosts: Collection[str]) -> Starlette:
    """The application around a loaded model.

    Args:
        predictor: answers everybody; a profile that it has is everybody's start.
        hosts: names under which it may be called, such as ``localhost``.

    Returns:
        An ASGI application: ``GET /`` the page, ``GET /model``, ``POST /predict`` and the
        WebSocket ``/stream``.
    """
    cores = CapacityLimiter(os.cpu_count() or 1)  # an answer is all computing
    desk = CapacityLimiter(max(1, (os.cpu_count() or 1) - 1))  # recordings leave voices a core
    seats = CapacityLimiter(STREAMS)

    async def model(_: Request) -> Response:
        about = predictor.metadata
        return JSONResponse(
            {
                "name": about["name"],
                "licence": about["licence"],
                "labels": predictor.labels,
                "hop_seconds": predictor.graph.hop / SAMPLE_RATE,
                "knows_speakers": bool(predictor.graph.profile),
            }
        )

    async def predict(request: Request) -> Response:
        sound = BytesIO()
        try:
            async for chunk in request.stream():
                if sound.tell() + len(chunk) > LARGEST:
                    words = f"a recording must have at most {LARGEST} bytes. Use affekt predict."
                    return JSONResponse({"error": words}, 413)
                sound.write(chunk)
            sound.seek(0)
            work = partial(listener(predictor, request.query_params).predict, sound)
            prediction = await to_thread.run_sync(work, limiter=desk)
        except AffektError as error:
            return JSONResponse({"error": str(error)}, 422)
        except (ClientDisconnect, CancelledError):  # nobody is left to answer, or to ask
            return Response(status_code=400)
        return JSONResponse(asdict(prediction))

    async def stream(socket: WebSocket) -> None:
        try:
            seats.acquire_on_behalf_of_nowait(socket)
        except WouldBlock:
            await socket.accept()
            await refuse(socket, f"No more than {STREAMS} voices are heard at a time. Try later.")
            return
        try:
            await converse(socket, partial(listener, predictor), cores)
        finally:
            seats.release_on_behalf_of(socket)

    return Starlette(
        routes=[
            Route("/model", model),
            Route("/predict", predict, methods=["POST"]),
            WebSocketRoute("/stream", stream),
            Mount("/", StaticFiles(directory=PAGE, html=True)),
        ],
        middleware=[Middleware(Doorkeeper, hosts=frozenset(hosts))],
    )


def listener(predictor: Predictor, query: QueryParams) -> Predictor:
    """The predictor as a query wants it: ``adapt``, ``min_confidence``, ``channel``.

    Raises:
        AffektError: a value that is no number or out of range, or ``adapt`` for a model that
            knows no speakers.
    """
    channel = whole_number(query, "channel", -1)
    return replace(
        predictor,
        adapt=bool(number(query, "adapt", predictor.adapt)),
        min_confidence=number(query, "min_confidence", predictor.min_confidence),
        channel=predictor.channel if channel < 0 else channel,
    )
