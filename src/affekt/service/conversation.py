"""A socket to a live conversation: samples in, a segment for each window out.

The client says in the query what its samples are. Binary messages are samples. Text messages are
``end``, which is answered by what is left and the socket's end; ``profile``, answered by the
profile learned so far as a binary message; or a profile in base64, before any sound.
"""

from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
from anyio import CapacityLimiter, to_thread
from numpy.typing import NDArray
from starlette.websockets import WebSocket

from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AffektError, AudioError, ModelError
from affekt.inference.predictor import Predictor
from affekt.inference.stream import Segment, Stream
from affekt.service.doorkeeper import POLICY_VIOLATION
from affekt.service.query import listener, person, whole_number

ENCODINGS: dict[str, np.dtype[Any]] = {"f32le": np.dtype("<f4"), "s16le": np.dtype("<i2")}
LONGEST = 1 << 20  # bytes of a message: five seconds at 48 kHz


async def converse(socket: WebSocket, predictor: Predictor, cores: CapacityLimiter) -> None:
    """Hear one voice until it ends or its socket does.

    Args:
        socket: accepted.
        predictor: what it starts from, unless its query says otherwise.
        cores: how many answers are computed at a time, of all conversations together.

    Raises:
        starlette.websockets.WebSocketDisconnect: the client left while it was answered.
    """
    try:
        query = socket.query_params
        predictor = listener(predictor, query, "rate", "encoding")
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
                known = person(message["text"], "a text message must be end, profile, or")
                stream = replace(predictor, profile=known).stream(rate)
    except AffektError as error:
        await refuse(socket, str(error))


async def refuse(socket: WebSocket, words: str) -> None:
    """Say why, and end."""
    await socket.send_json({"error": words})
    await socket.close(POLICY_VIOLATION)


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
