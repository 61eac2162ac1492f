"""A socket to a live conversation: samples in, a segment for each window out.

The client says in the query what its samples are. Binary messages are samples. Text messages are
``end``, which is answered by what is left and the socket's end; ``profile``, answered by the
profile learned so far as a binary message; or a profile in base64, before any sound.
"""

import base64
import binascii
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
from anyio import CapacityLimiter, to_thread
from numpy.typing import NDArray
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket, WebSocketDisconnect

from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AffektError, AudioError, ModelError
from affekt.inference.predictor import Predictor
from affekt.inference.profile import profile_of
from affekt.inference.stream import Segment, Stream
from affekt.service.doorkeeper import POLICY_VIOLATION

ENCODINGS: dict[str, np.dtype[Any]] = {"f32le": np.dtype("<f4"), "s16le": np.dtype("<i2")}
LONGEST = 1 << 20  # bytes of a message: five seconds at 48 kHz

Listener = Callable[[QueryParams], Predictor]


async def converse(socket: WebSocket, listener: Listener, cores: CapacityLimiter) -> None:
    """Hear one voice until it ends or its socket does.

    Args:
        socket: not accepted yet.
        listener: the predictor that a query asks for.
        cores: how many answers are computed at a time, of all conversations together.
    """
    await socket.accept()
    try:
        query = socket.query_params
        predictor = listener(query)
        rate = whole_number(query, "rate", SAMPLE_RATE)
        stream = predictor.stream(rate)
        kind = _kind(query.get("encoding", "f32le"))
        heard = False
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if (content := message.get("bytes")) is not None:
                work = partial(stream.push, _samples(content, kind))
                await _tell(socket, await to_thread.run_sync(work, limiter=cores))
                heard = True
            elif message["text"] == "end":
                await _tell(socket, await to_thread.run_sync(stream.flush, limiter=cores))
                await socket.close()
                return
            elif message["text"] == "profile":
                await _give_profile(socket, stream)
            elif heard:
                raise AudioError("A profile must come before any sound. Got one later.")
            else:
                person = profile_of(_decoded(message["text"]))
                stream = replace(predictor, profile=person).stream(rate)
    except AffektError as error:
        await refuse(socket, str(error))
    except WebSocketDisconnect:  # while it was being answered
        return


async def refuse(socket: WebSocket, words: str) -> None:
    """Say why, and end."""
    await socket.send_json({"error": words})
    await socket.close(POLICY_VIOLATION)


def number(query: QueryParams, name: str, default: float) -> float:
    """A number of a query.

    Raises:
        AudioError: what stands there is none.
    """
    text = query.get(name)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise AudioError(f"{name} of a query must be a number. Got {text!r}. Leave it out.")
    return value


def whole_number(query: QueryParams, name: str, default: int) -> int:
    """A whole number of a query.

    Raises:
        AudioError: what stands there is none.
    """
    value = number(query, name, default)
    if value % 1:
        raise AudioError(f"{name} of a query must be a whole number. Got {value}. Round it.")
    return int(value)


async def _tell(socket: WebSocket, segments: list[Segment]) -> None:
    for segment in segments:
        await socket.send_json(asdict(segment))


async def _give_profile(socket: WebSocket, stream: Stream) -> None:
    try:
        await socket.send_bytes(stream.profile.content())
    except ModelError as error:  # nobody has spoken yet; they may
        await socket.send_json({"error": str(error)})


def _kind(encoding: str) -> np.dtype[Any]:
    if encoding not in ENCODINGS:
        raise AudioError(f"encoding must be one of {', '.join(ENCODINGS)}. Got {encoding!r}.")
    return ENCODINGS[encoding]


def _samples(content: bytes, kind: np.dtype[Any]) -> NDArray[Any]:
    if len(content) > LONGEST or len(content) % kind.itemsize:
        raise AudioError(
            f"a message must be whole samples of {kind.itemsize} bytes, at most {LONGEST} bytes. "
            f"Got {len(content)}. Send smaller pieces."
        )
    return np.frombuffer(content, kind)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ModelError(
            f"a text message must be end, profile, or a profile in base64. Got {text[:20]!r}."
        ) from error
