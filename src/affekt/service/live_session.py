"""Answer a live audio stream over a WebSocket.

The query names the sample rate, the encoding and the number of channels. Binary messages hold
samples, interleaved; each completed window of a channel is answered by a segment as JSON. Text
messages are commands: ``end`` answers the remaining samples and closes the socket; ``profile``
returns the adapted speaker profile as a binary message; any other text is a speaker profile in
base64, allowed before the first samples only. With several channels, each is one speaker, and
profiles are followed by a space and the channel.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from anyio import CapacityLimiter, fail_after, to_thread
from numpy.typing import NDArray
from starlette.types import Message
from starlette.websockets import WebSocket

from affekt.audio.headers import checked
from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AudioError, ModelError
from affekt.inference.live import ChannelStreams
from affekt.inference.prediction import Segment
from affekt.inference.predictor import Predictor
from affekt.inference.stream import Stream
from affekt.service.request_options import COMMON, choice, decode_profile, number, with_query

ENCODINGS: dict[str, np.dtype[Any]] = {"f32le": np.dtype("<f4"), "s16le": np.dtype("<i2")}
MAX_MESSAGE = 1 << 20  # bytes: five seconds of f32le at 48 kHz
MAX_SILENCE = 60.0  # s without a message
CHANNELS = tuple(map(str, range(1, 9)))  # values of the query parameter `channels`


async def run_session(
    socket: WebSocket, predictor: Predictor, channels: int, limiter: CapacityLimiter
) -> None:
    """Answer one audio stream until the client ends it or disconnects.

    The socket is accepted; the predictor has the defaults of the query, which has that many
    channels; the limiter bounds the threads that compute answers for all sessions together.

    Raises:
        AffektError: the query or a message is wrong, of which the client is not yet told.
        starlette.websockets.WebSocketDisconnect: the client left during an answer.
    """
    query = socket.query_params
    predictor = with_query(predictor, query, *COMMON, "rate", "encoding", "channels")
    if predictor.profile:  # of the service: no client gets its voice
        predictor = replace(predictor, profile=replace(predictor.profile, voice=None))
    rate = int(number(query, "rate", SAMPLE_RATE, whole=True))
    checked(rate, channels, "a stream")
    if predictor.profile and channels > 1:
        raise ModelError(
            f"the profile of affekt serve must be of the only speaker. Got {channels} channels. "
            f"Start the service without --profile."
        )
    each = [predictor.stream(rate) for _ in range(channels)]
    streams = ChannelStreams(each, each=channels > 1)
    dtype = ENCODINGS[choice(query, "encoding", "f32le", ENCODINGS)]
    started = False
    while True:
        message = await _received(socket)
        if message["type"] == "websocket.disconnect":
            return
        if (content := message.get("bytes")) is not None:
            push = partial(streams.push, _samples(content, dtype, channels))
            await _send_segments(socket, await to_thread.run_sync(push, limiter=limiter))
            started = True
        elif message["text"] == "end":
            last = await to_thread.run_sync(streams.flush, limiter=limiter)
            await _send_segments(socket, last)
            await socket.close()
            return
        else:
            text, channel = _addressed(message["text"], channels)
            if text == "profile":
                await _send_profile(socket, streams.streams[channel])
            elif started:
                raise AudioError(
                    "a profile must be sent before the first samples. Got one after them. "
                    "Open another connection."
                )
            else:
                profile = decode_profile(text, "a text message must be end, profile, or")
                streams.streams[channel] = replace(predictor, profile=profile).stream(rate)


async def _received(socket: WebSocket) -> Message:
    try:
        with fail_after(MAX_SILENCE):
            return await socket.receive()
    except TimeoutError as error:
        raise AudioError(
            f"a live stream must send a message every {MAX_SILENCE:g} s. Got none. "
            f"Open another connection."
        ) from error


def _addressed(text: str, channels: int) -> tuple[str, int]:
    """Split a text message into a command or profile, and the channel that it is for."""
    if channels == 1:
        return text, 0
    content, _, channel = text.rpartition(" ")
    if channel not in map(str, range(channels)):
        raise AudioError(
            f"a text message must be end; or profile, or a profile in base64, then a space and a "
            f"channel in [0, {channels - 1}]. Got {text[:20]!r}. Name a channel."
        )
    return content, int(channel)


async def _send_segments(socket: WebSocket, segments: tuple[Segment, ...]) -> None:
    for segment in segments:
        await socket.send_json(segment.as_dict())


async def _send_profile(socket: WebSocket, stream: Stream) -> None:
    try:
        await socket.send_bytes(stream.profile.content())
    except ModelError as error:  # no speech yet: the session continues
        await socket.send_json({"error": str(error)})


def _samples(content: bytes, dtype: np.dtype[Any], channels: int) -> NDArray[Any]:
    """The ``(samples, channels)`` of a message."""
    if len(content) > MAX_MESSAGE or len(content) % (dtype.itemsize * channels):
        whole = "samples" if channels == 1 else f"frames of {channels} samples"
        raise AudioError(
            f"a binary message must hold whole {whole} of {dtype.itemsize} bytes, at most "
            f"{MAX_MESSAGE} bytes. Got {len(content)}. Send smaller messages of whole samples."
        )
    return np.frombuffer(content, dtype).reshape(-1, channels)
