"""Make recordings in every file format that is read.

``KINDS`` maps a name to a function from ``(samples,)`` at 16 kHz to the bytes of a recording.
"""

import io
import struct
from collections.abc import Callable

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from bad_inputs import ffmpeg_bytes, sound_bytes, wav_bytes

Sound = NDArray[np.float32]

PLAIN = {  # format and kind of samples: how far a sample may be off
    ("WAV", "PCM_U8"): 2**-7,
    ("WAV", "PCM_16"): 2**-15,
    ("WAV", "PCM_24"): 2**-23,
    ("WAV", "PCM_32"): 2**-24,
    ("WAV", "FLOAT"): 0,
    ("WAV", "DOUBLE"): 0,
    ("WAV", "ALAW"): 0.02,
    ("WAV", "ULAW"): 0.02,
    ("WAVEX", "PCM_16"): 2**-15,
    ("RF64", "PCM_24"): 2**-23,
    ("W64", "PCM_16"): 2**-15,
    ("FLAC", "PCM_16"): 2**-15,
    ("FLAC", "PCM_24"): 2**-23,
    ("AIFF", "PCM_16"): 2**-15,
    ("AU", "FLOAT"): 0,
    ("CAF", "PCM_24"): 2**-23,
    ("NIST", "PCM_16"): 2**-15,
    ("MAT5", "PCM_16"): 2**-15,
}
CODED = (  # container, codec, Hz
    ("mp3", "libmp3lame", 16_000),
    ("mp3", "libmp3lame", 44_100),
    ("mp4", "aac", 16_000),
    ("ipod", "aac", 44_100),
    ("webm", "libopus", 48_000),
    ("ogg", "libopus", 48_000),
    ("mp4", "alac", 44_100),
    ("caf", "alac", 44_100),
    ("mov", "pcm_s16le", 44_100),
    ("wav", "pcm_s24le", 44_100),
)
RATES = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000)

KINDS: dict[str, Callable[[Sound], bytes]] = {}
SEEKING = {"mp4 aac 16000", "ipod aac 44100", "mp4 alac 44100", "mov pcm_s16le 44100"} | {
    "mp4 aac 48000 picture",
    "caf alac 44100",
    "CAF PCM_24",
    "MAT5 PCM_16",
}
"""Their index comes last, or only libsndfile knows them: a pipe cannot give them."""


def resampled(sound: Sound, rate: int) -> Sound:
    """The sound at another rate."""
    return np.asarray(soxr.resample(sound, 16_000, rate), np.float32).clip(-1, 1)


def _plain(form: str, subtype: str) -> None:
    KINDS[f"{form} {subtype}"] = lambda sound: sound_bytes(form, subtype, sound)


def _coded(form: str, codec: str, rate: int, **options: bool) -> None:
    def make(sound: Sound) -> bytes:
        return ffmpeg_bytes(form, codec, rate=rate, values=resampled(sound, rate), **options)

    KINDS[" ".join([form, codec, str(rate), *options])] = make


def _at(rate: int) -> None:
    def make(sound: Sound) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, resampled(sound, rate), rate, format="WAV")
        return file.getvalue()

    KINDS[f"WAV at {rate} Hz"] = make


def _flac_of_a_pipe(sound: Sound) -> bytes:
    content = bytearray(sound_bytes("FLAC", values=sound))
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # no number of samples
    return bytes(content)


def _pcm(sound: Sound) -> bytes:
    return (sound * 32_767).astype("<i2").tobytes()


for _form, _subtype in PLAIN:
    _plain(_form, _subtype)
for _form, _codec, _rate in CODED:
    _coded(_form, _codec, _rate)
for _rate in (*RATES, 15_999, 37_800):
    _at(_rate)
_coded("matroska", "aac", 16_000, picture=True)
_coded("mp4", "aac", 48_000, picture=True)
_coded("wav", "libmp3lame", 16_000)
_coded("adts", "aac", 16_000)
_coded("ac3", "ac3", 48_000)
_coded("eac3", "eac3", 48_000)
KINDS |= {
    "OGG VORBIS": lambda sound: sound_bytes("OGG", values=sound),
    "chained OGG": lambda sound: b"".join(
        sound_bytes("OGG", values=half) for half in np.array_split(sound, 2)
    ),
    "stereo FLAC": lambda sound: sound_bytes("FLAC", values=np.stack([sound, sound / 2], 1)),
    "live webm": lambda sound: ffmpeg_bytes(
        "webm", "libopus", rate=48_000, values=resampled(sound, 48_000), options={"live": "1"}
    ),
    "bare mp3": lambda sound: ffmpeg_bytes(
        "mp3", "libmp3lame", values=sound, options={"write_xing": "0", "id3v2_version": "0"}
    ),
    "endless WAV": lambda sound: wav_bytes(_pcm(sound), promised=2**32 - 1),
    "WAV of length 0": lambda sound: wav_bytes(_pcm(sound), promised=0),
    "RIFX": lambda sound: _big_endian(sound),
    "FLAC of a pipe": _flac_of_a_pipe,
}


def _big_endian(sound: Sound) -> bytes:
    data = (sound * 32_767).astype(">i2").tobytes()
    form = struct.pack(">IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    body = b"WAVEfmt " + form + b"data" + struct.pack(">I", len(data)) + data
    return b"RIFX" + struct.pack(">I", len(body)) + body
