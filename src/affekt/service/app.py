"""A predictor to a web application: one recording a request, one live voice a socket, one page.

Nothing is written and nothing is sent on: sound lies in memory for as long as it is heard.
"""

import os
from asyncio import CancelledError
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from io import BytesIO
from pathlib import Path

from anyio import CapacityLimiter, WouldBlock, to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AffektError
from affekt.inference.predictor import Predictor
from affekt.service.conversation import converse, refuse
from affekt.service.doorkeeper import Doorkeeper
from affekt.service.query import listener, person

PAGE = Path(__file__).parent / "page"
LARGEST = 100 << 20  # bytes of a recording; longer ones are for affekt predict
UPLOADS = 8  # recordings at a time: each lies in memory until it is answered
STREAMS = 64  # voices at a time


class Recording(BytesIO):
    """A recording that was sent, under the name that messages give it."""

    name = "the recording"


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
    places, seats = CapacityLimiter(UPLOADS), CapacityLimiter(STREAMS)

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
        sound = Recording()
        try:
            with _one_of(places, request):
                async for chunk in request.stream():
                    if sound.tell() + len(chunk) > LARGEST:
                        return _fault(
                            413,
                            f"a recording must have at most {LARGEST} bytes. Use affekt predict.",
                        )
                    sound.write(chunk)
                sound.seek(0)
                asked = listener(predictor, request.query_params)
                if (text := request.headers.get("profile")) is not None:
                    asked = replace(asked, profile=person(text, "the header Profile must be"))
                prediction = await to_thread.run_sync(partial(asked.predict, sound), limiter=desk)
        except WouldBlock:
            return _fault(503, f"No more than {UPLOADS} recordings are heard at a time. Try later.")
        except AffektError as error:
            return _fault(422, str(error))
        except (ClientDisconnect, CancelledError):  # nobody is left to answer, or to ask
            return Response(status_code=400)
        return JSONResponse(asdict(prediction))

    async def stream(socket: WebSocket) -> None:
        with suppress(WebSocketDisconnect):  # nobody is left to answer
            await socket.accept()
            try:
                with _one_of(seats, socket):
                    await converse(socket, predictor, cores)
            except WouldBlock:
                await refuse(
                    socket, f"No more than {STREAMS} voices are heard at a time. Try later."
                )

    return Starlette(
        routes=[
            Route("/model", model),
            Route("/predict", predict, methods=["POST"]),
            WebSocketRoute("/stream", stream),
            Mount("/", StaticFiles(directory=PAGE, html=True)),
        ],
        middleware=[Middleware(Doorkeeper, hosts=frozenset(hosts))],
    )


@contextmanager
def _one_of(places: CapacityLimiter, guest: object) -> Iterator[None]:
    """Hold one place while the guest is there.

    Raises:
        WouldBlock: all are taken.
    """
    places.acquire_on_behalf_of_nowait(guest)
    try:
        yield
    finally:
        places.release_on_behalf_of(guest)


def _fault(code: int, words: str) -> Response:
    return JSONResponse({"error": words}, code)
