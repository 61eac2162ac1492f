"""Record from a microphone through PortAudio.

:func:`affekt.audio.reading.blocks` reads it like a recording.
"""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affekt.audio.decoding import CHUNK
from affekt.audio.headers import checked
from affekt.audio.pcm import Decoded
from affekt.errors import AudioError

BLOCKS = 20  # a second
_WAITING = 10 * BLOCKS  # at most; later sound becomes silence
_DISCONNECT_TIMEOUT = 2.0  # s without a block after which a microphone counts as disconnected
_INSTEAD = "Or pipe sound in: ffmpeg ... | affekt stream -"


class Handover:
    """Pass blocks from PortAudio's thread to the reading thread.

    If they are not read for ten seconds, further ones become silence of the same length: times stay
    correct, and memory does not grow.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: queue.Queue[tuple[int, NDArray[np.float32]] | None] = queue.Queue(_WAITING)
        self._samples = 0  # so far, those lost among them

    def put(self, block: NDArray[np.float32], *_: Any) -> None:
        """Take ``(samples, 1)`` from PortAudio, which needs its memory back."""
        if not self._queue.full():
            self._queue.put_nowait((self._samples, block.copy()))
        self._samples += len(block)

    def end(self) -> None:
        """Mark the end of the sound."""
        if not self._queue.full():
            self._queue.put_nowait(None)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield blocks ``(samples, 1)`` as they arrive.

        Raises:
            AudioError: no block came for two seconds.
        """
        taken = 0
        while True:
            try:
                item = self._queue.get(timeout=_DISCONNECT_TIMEOUT)
            except queue.Empty:
                item = None
            if item is None:
                raise AudioError(f"{self._name} was disconnected. Connect it and start again.")
            first, block = item
            while taken < first:
                silence = np.zeros((min(CHUNK, first - taken), 1), np.float32)
                taken += len(silence)
                yield silence
            taken += len(block)
            yield block


def _portaudio() -> Any:
    try:
        import sounddevice
    except ModuleNotFoundError:
        raise
    except Exception as error:  # OSError, or PortAudio's own, which has no name before this
        raise AudioError(
            f"a microphone needs the library PortAudio ({_reason(error)}). Install it, on Debian "
            f"and Ubuntu with: apt install libportaudio2. {_INSTEAD}"
        ) from error
    return sounddevice  # pragma: no cover -- see below


# From here on PortAudio is needed: tests come here where it is, and in a process of their own.
@contextmanager
def microphone(
    device: str | int | None = None, *, sample_rate: int | None = None
) -> Iterator[Decoded]:  # pragma: no cover
    """Open a microphone.

    Args:
        device: its number, or a part of its name that no other has; the system's choice by default.
        sample_rate: Hz, a whole number; the device's own by default.

    Raises:
        AudioError: no PortAudio, no such device, or one that cannot be opened; while the sound,
            one channel that never ends, is read: it was disconnected.
        ModuleNotFoundError: the extra ``mic`` is not installed.
    """
    portaudio = _portaudio()
    found = _found(portaudio, device)
    name = f"microphone {found['name']}"
    rate = round(found["default_samplerate"]) if sample_rate is None else sample_rate
    rate, _ = checked(rate, 1, name)
    handover = Handover(name)
    try:
        stream = portaudio.InputStream(
            device=found["index"],
            channels=1,
            samplerate=rate,
            dtype="float32",
            blocksize=rate // BLOCKS,
            callback=handover.put,
            finished_callback=handover.end,
        )
        stream.start()
    except portaudio.PortAudioError as error:
        raise AudioError(
            f"{name} cannot be opened at {rate} Hz ({_reason(error)}). Close other programs "
            f"that use it, or leave out the rate."
        ) from error
    with stream:
        yield Decoded(name, rate, 1, None, 0, handover.blocks())


def _found(portaudio: Any, device: str | int | None) -> dict[str, Any]:  # pragma: no cover
    """Query the properties of an input device."""
    inputs = [each for each in portaudio.query_devices() if each["max_input_channels"]]
    if not inputs:
        raise AudioError(f"no microphone was found. Plug one in. {_INSTEAD}")
    try:
        number = int(device) if isinstance(device, str) and device.isdecimal() else device
        return dict(portaudio.query_devices(number, "input"))
    except (portaudio.PortAudioError, ValueError) as error:
        known = ", ".join(f"{each['index']} ({each['name']})" for each in inputs)
        got = "none chosen by the system" if device is None else device
        raise AudioError(
            f"the microphone must be one of {known}. Got {got}. Give its number or name."
        ) from error


def _reason(error: Exception) -> str:
    """Format PortAudio's message in one line, without its error codes."""
    return " ".join(str(error).split()).partition(" [PaErrorCode")[0]
