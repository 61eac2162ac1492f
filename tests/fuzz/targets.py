"""Feed bytes of strangers to each reader; anything but a typed error of affekt is a fault.

``TARGETS`` maps a name to a function of bytes. It returns for what was read and for what was
refused, and raises whatever else went wrong.
"""

import hashlib
import io
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

import affekt
from affekt.audio.reading import read
from affekt.errors import AffektError
from affekt.experiments.recipe_files import read_recipe
from affekt.inference.graph import Graph, load_graph
from affekt.inference.profile import profile_of, profile_state
from affekt.service import live_session

sys.path.insert(0, str(Path(__file__).parents[1]))
from small_model import LABELS, small_model

warnings.simplefilter("error", RuntimeWarning)  # an overflow in the arithmetic
SECONDS = 20.0  # of sound, at most
HALF = np.sin(np.arange(8_000, dtype=np.float32))  # 0.5 s of sound
FOLDER = Path(tempfile.mkdtemp())  # inside the folder that fuzz.py deletes


@cache
def small() -> affekt.Predictor:
    return affekt.load(small_model(FOLDER / "small.onnx"))


@cache
def shipped() -> Graph:
    return affekt.load().graph


class Pipe(io.RawIOBase):
    """Standard input: it cannot seek."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._content.readinto(buffer)


def fuzz_sound(content: bytes) -> None:
    for wrap in (io.BytesIO, Pipe):
        with suppress(AffektError):
            sound = read(wrap(content), max_seconds=SECONDS)  # type: ignore[arg-type]
            assert sound.ndim == 1
            assert 0 < len(sound) <= SECONDS * 16_000 + 1
            assert np.isfinite(sound).all()


def fuzz_profile(content: bytes) -> None:
    with suppress(AffektError):
        profile = profile_of(content)
        assert profile_of(profile.content()).measure == profile.measure
        state = profile_state(profile, shipped())
        assert all(np.isfinite(each).all() for each in state.values())


def fuzz_model(content: bytes) -> None:
    file = FOLDER / "model.onnx"
    file.write_bytes(content)
    with suppress(AffektError):
        predictor = affekt.Predictor(load_graph(file))
        found = predictor.predict(np.tile(HALF, 4), sample_rate=16_000)
        assert all(0 <= each <= 1 for each in found.probabilities.values())


def fuzz_recipe(content: bytes) -> None:
    """The first line is a change on the command line, the rest a file."""
    change, _, text = content.partition(b"\n")
    file = FOLDER / "fuzzed.toml"
    file.write_bytes(text)
    changes = [change.decode(errors="surrogateescape")] if change else []
    with suppress(AffektError):
        assert read_recipe(file, changes).digest


def fuzz_stream(content: bytes) -> None:
    """A forger can compute the checksum: it is right always."""
    with suppress(AffektError):
        stream = small().restore(hashlib.sha256(content).digest() + content)
        segments = [*stream.push(HALF), *stream.push(HALF), *stream.flush()]
        for segment in segments:
            assert {*segment.probabilities} == {*LABELS}
            assert all(0 <= each <= 1 for each in segment.probabilities.values())
        stream.save()


def conversation_in(content: bytes) -> tuple[bytes, list[dict[str, Any]]]:
    """A query, and the messages of a client: kind, length in two bytes, content."""
    query, _, rest = content.partition(b"\n")
    messages: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    while len(rest) >= 3:
        length = int.from_bytes(rest[1:3], "little")
        part, kind, rest = rest[3 : 3 + length], rest[0], rest[3 + length :]
        value = {"text": part.decode(errors="replace")} if kind & 4 else {"bytes": part}
        messages.append({"type": "websocket.receive", **value})
    return query, messages


async def in_place(function: Callable[[], Any], *, limiter: anyio.CapacityLimiter) -> Any:
    """Compute in the thread that asks: on a busy machine, two threads wait for each other."""
    return function()


live_session.to_thread = SimpleNamespace(run_sync=in_place)  # type: ignore[assignment]


def fuzz_messages(content: bytes) -> None:
    query, messages = conversation_in(content)
    ends = {"type": "websocket.disconnect", "code": 1001}
    left: Iterator[dict[str, Any]] = iter(messages)
    answered: list[Any] = []

    async def receive() -> dict[str, Any]:
        return next(left, ends)

    async def send(message: Any) -> None:
        answered.append(message)

    async def talk() -> None:
        scope = {"type": "websocket", "query_string": query, "headers": [], "path": "/stream"}
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        with suppress(WebSocketDisconnect):
            channels = 2 if b"channels=2" in query else 1
            try:
                await live_session.run_session(socket, small(), channels, anyio.CapacityLimiter(1))
            except AffektError as error:
                answered.append(str(error))

    anyio.run(talk)
    assert answered[0]["type"] == "websocket.accept"
    assert all(str(FOLDER) not in str(each) for each in answered)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "sound": fuzz_sound,
    "profile": fuzz_profile,
    "model": fuzz_model,
    "recipe": fuzz_recipe,
    "stream": fuzz_stream,
    "messages": fuzz_messages,
}
READY = {"profile": shipped, "stream": small, "messages": small, "model": partial(np.sum, HALF)}
