"""Define sample formats, convert samples to float32, and describe decoded sound."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AudioError

_KINDS = {  # libsndfile's name, bytes of a sample, and format number in a WAV
    "s16": ("PCM_16", 2, 1),
    "s24": ("PCM_24", 3, 1),
    "s32": ("PCM_32", 4, 1),
    "f32": ("FLOAT", 4, 3),
    "f64": ("DOUBLE", 8, 3),
    "s8": ("PCM_S8", 1, None),
    "u8": ("PCM_U8", 1, 1),
    "alaw": ("ALAW", 1, 6),
    "mulaw": ("ULAW", 1, 7),
}
_IN_WAV = {(form, 8 * size): kind for kind, (_, size, form) in _KINDS.items()}
Raw = bytes | bytearray | memoryview
LOUDEST = 2.0**23  # no sample is larger, not even one of 24 bits left unscaled
QUIETEST = 1e-20  # smaller samples count as zero
#: Kinds of samples as FFmpeg calls them: libsndfile's name, bytes of a sample and of their order.
ENCODINGS = {
    kind + order: (subtype, size, endian)
    for kind, (subtype, size, _) in _KINDS.items()
    for order, endian in ({"le": "LITTLE", "be": "BIG"} if size > 1 else {"": "FILE"}).items()
}


@dataclass(frozen=True)
class Pcm:
    """Format of samples without a header."""

    encoding: str = "s16le"  #: one of ENCODINGS
    sample_rate: int = SAMPLE_RATE  #: Hz
    channels: int = 1


@dataclass(frozen=True)
class Decoded:
    """An open recording or live sound."""

    name: str  #: used in messages
    sample_rate: int  #: Hz
    channels: int
    frames: int | None  #: length by the header; None if unknown, as of a live recording
    position: int  #: frame at which the chunks begin
    chunks: Iterator[NDArray[np.float32]]  #: (frames, channels) each, in order


def wav_encoding(form: int, bits: int, *, little: bool) -> str | None:
    """Name the encoding of a WAV's samples; None if it is not one of :data:`ENCODINGS`.

    >>> wav_encoding(1, 16, little=True), wav_encoding(7, 8, little=True)
    ('s16le', 'mulaw')
    """
    kind = _IN_WAV.get((form, bits))
    return kind if kind is None or bits == 8 else kind + ("le" if little else "be")


def decode_pcm(content: bytes, encoding: str) -> NDArray[np.float32]:
    """Decode samples of one channel to ``(samples,)``; integers are scaled to [-1, 1] by width.

    Raises:
        AudioError: an encoding that is not of :data:`ENCODINGS`, or a part of a sample.

    >>> decode_pcm(b"\\x00\\x40\\x00\\xc0", "s16le").tolist()
    [0.5, -0.5]
    """
    if encoding not in ENCODINGS:
        raise AudioError(
            f"encoding of raw samples must be one of {', '.join(ENCODINGS)}. Got {encoding!r}. "
            f"Convert the samples to one of these."
        )
    subtype, size, endian = ENCODINGS[encoding]
    if len(content) % size:
        raise AudioError(
            f"raw samples of {encoding} must be whole, {size} bytes each. Got {len(content)} "
            f"bytes. Keep the rest for the next chunk."
        )
    if not content:
        return np.empty(0, np.float32)
    form = {"channels": 1, "format": "RAW", "subtype": subtype, "endian": endian}
    samples, _ = soundfile.read(BytesIO(content), dtype="float32", samplerate=SAMPLE_RATE, **form)
    return np.asarray(samples, np.float32)


def chunk_samples(samples: NDArray[Any] | Raw, encoding: str | None) -> NDArray[np.float32]:
    """Convert one chunk of a stream: an array ``(samples,)``, or raw samples of an encoding.

    Returns:
        ``(samples,)``, finite; integers are scaled to [-1, 1] by their width.

    Raises:
        AudioError: another shape or type, NaN or infinity, or an encoding that does not fit.
    """
    if isinstance(samples, Raw):
        if encoding is None:
            raise AudioError(
                "raw samples of a stream must have an encoding. Got bytes without one. "
                "Pass encoding, such as encoding='s16le'."
            )
        samples = decode_pcm(bytes(samples), encoding)
    elif encoding is not None:
        raise AudioError(
            f"encoding is for bytes only. Got {encoding!r} with an array. Leave it out."
        )
    samples = np.asanyarray(samples)  # lists are samples too
    if samples.ndim != 1 or samples.dtype.kind not in "iuf":
        raise AudioError(
            f"samples of a stream must be (samples,) integers or floats. "
            f"Got {samples.dtype} of shape {samples.shape}. Pass an array of one channel."
        )
    sound = np.ascontiguousarray(scaled(samples))
    if not (np.abs(sound) <= LOUDEST).all():  # NaN compares false too
        raise AudioError(
            f"samples of a stream must be finite, at most {LOUDEST:g}. Got NaN, infinity or "
            f"larger values. Clean or rescale them."
        )
    return without_denormals(sound)


def without_denormals(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace samples below :data:`QUIETEST` by zeros.

    Recursive filters leave such samples where a sound fades out. Processors compute with denormal
    numbers, which are below 1e-38 and come from these, about ten times as slowly.
    """
    return np.where(np.abs(sound) < QUIETEST, np.float32(0.0), sound)


def scaled(values: NDArray[Any]) -> NDArray[np.float32]:
    """Convert samples to float32: integers are scaled to [-1, 1], floats are not.

    Raises:
        AudioError: masked samples; or integers of 64 bits, such as lists of whole numbers: their
            scale is unknown.

    >>> scaled(np.array([0, 64, 128, 255], np.uint8)).tolist()
    [-1.0, -0.5, 0.0, 0.9921875]
    """
    if np.ma.is_masked(values):
        raise AudioError("samples of a sound must not be masked. Got some that are. Fill them.")
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(np.float32, copy=False)
    if values.dtype.itemsize > 4:
        raise AudioError(
            f"samples of a sound must be integers of 8 to 32 bits, or floats. Got {values.dtype}. "
            f"Convert them to int16 or int32."
        )
    half = 2.0 ** (8 * values.dtype.itemsize - 1)
    zero = half if values.dtype.kind == "u" else 0.0
    return ((values.astype(np.float64) - zero) / half).astype(np.float32)


def silent(name: str) -> AudioError:
    """Build the error for a recording without samples."""
    return AudioError(f"{name} has no audio samples. Record or copy it again.")


def empty(name: str) -> AudioError:
    """Build the error for a recording without bytes."""
    return AudioError(f"{name} is empty (0 bytes). Record or copy it again.")
