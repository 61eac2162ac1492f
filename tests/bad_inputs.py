"""Make inputs that are not recordings, each with a name.

``BAD_INPUTS`` maps the name to a function that puts the input below a folder and returns its path,
``BAD_BYTES`` to the content where there is one.
"""

import gzip
import io
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

Builder = Callable[[Path], Path]
BAD_INPUTS: dict[str, Builder] = {}
BAD_BYTES: dict[str, Callable[[], bytes]] = {}

TONE: NDArray[np.float32] = (0.3 * np.sin(2 * np.pi * 440 / 16_000 * np.arange(32_000))).astype(
    np.float32
)
RANDOM = np.random.default_rng(0).bytes(100_000)


def sound_bytes(form: str, subtype: str | None = None, values: NDArray[np.float32] = TONE) -> bytes:
    """A good two-second recording, written by libsndfile."""
    file = io.BytesIO()
    soundfile.write(file, values, 16_000, format=form, subtype=subtype)
    return file.getvalue()


def ffmpeg_bytes(
    form: str,
    codec: str,
    *,
    rate: int = 16_000,
    values: NDArray[np.float32] = TONE,
    tracks: int = 1,
    options: dict[str, str] | None = None,
    picture: bool = False,
) -> bytes:
    """The same, written by FFmpeg; ``values`` are (samples,) or (samples, 2)."""
    layout = "mono" if values.ndim == 1 else "stereo"
    with (
        tempfile.TemporaryDirectory() as folder,  # an index can only be moved in a file
        av.open(f"{folder}/sound", "w", format=form, container_options=options or {}) as container,
    ):
        if picture:
            video = container.add_stream("mpeg4", rate=5)
            video.width = video.height = 16
            video.pix_fmt = "yuv420p"
        streams = [container.add_stream(codec, rate=rate, layout=layout) for _ in range(tracks)]
        container.start_encoding()
        if picture:
            for _ in range(10):
                image = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
                container.mux(video.encode(image))
            container.mux(video.encode(None))
        for number, stream in enumerate(streams):
            resampler = av.AudioResampler(stream.format, layout, rate)
            packed = np.ascontiguousarray(values.reshape(1, -1)) * 0.5**number
            frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
            frame.sample_rate, frame.pts = rate, 0
            for ready in resampler.resample(frame) if values.size else ():
                container.mux(stream.encode(ready))
            container.mux(stream.encode(None))
        container.close()
        return Path(folder, "sound").read_bytes()


def wav_bytes(
    data: bytes = bytes(32_000),
    *,
    form: int = 1,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    align: int | None = None,
    promised: int | None = None,
) -> bytes:
    """A WAV whose every header field can lie."""
    align = channels * bits // 8 if align is None else align
    numbers = (form, channels, rate, min(rate * align, 2**32 - 1), min(align, 65_535), bits)
    size = len(data) if promised is None else promised
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, *numbers) + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", min(len(body) + size, 2**32 - 1)) + body + data


def _bad(name: str, content: Callable[[], bytes], suffix: str = ".wav") -> None:
    def build(folder: Path) -> Path:
        path = folder / (name.replace(" ", "-") + suffix)
        path.write_bytes(content())
        return path

    BAD_INPUTS[name], BAD_BYTES[name] = build, content


def _with(values: NDArray[np.float32], value: float) -> NDArray[np.float32]:
    values = values.copy()
    values[20_000] = value
    return values


_bad("empty file", lambda: b"")
_bad("one byte", lambda: b"R")
_bad("header only", lambda: wav_bytes(b""))
_bad("header cut short", lambda: wav_bytes()[:20])
_bad("flac header only", lambda: sound_bytes("FLAC")[:42], ".flac")
_bad("ogg header only", lambda: sound_bytes("OGG")[:100], ".ogg")
_bad("truncated wav", lambda: sound_bytes("WAV")[:32_000])
_bad("truncated float wav", lambda: sound_bytes("WAV", "FLOAT")[:64_000])
_bad("truncated rf64", lambda: sound_bytes("RF64")[:32_000], ".rf64")
_bad("truncated aiff", lambda: sound_bytes("AIFF")[:32_000], ".aiff")
_bad("truncated flac", lambda: sound_bytes("FLAC")[:9_000], ".flac")
_bad("truncated m4a", lambda: ffmpeg_bytes("mp4", "aac")[:6_000], ".m4a")
_bad(
    "truncated m4a with its index first",
    lambda: ffmpeg_bytes("mp4", "aac", options={"movflags": "faststart"})[:8_000],
    ".m4a",
)
_bad("truncated webm", lambda: ffmpeg_bytes("webm", "libopus", rate=48_000)[:4_000], ".webm")
_bad(
    "promise of a terabyte",
    lambda: sound_bytes("RF64").replace(struct.pack("<Q", 64_000), struct.pack("<Q", 1 << 40)),
)
_bad("not a number", lambda: sound_bytes("WAV", "FLOAT", _with(TONE, np.nan)))
_bad("infinite", lambda: sound_bytes("WAV", "FLOAT", _with(TONE, -np.inf)))
_bad("absurdly loud", lambda: sound_bytes("WAV", "FLOAT", _with(TONE, 1e30)))
_bad("beyond float32", lambda: wav_bytes(np.full(4_000, 1e300).tobytes(), form=3, bits=64))
_bad("zero rate", lambda: wav_bytes(rate=0))
_bad("one hertz", lambda: wav_bytes(rate=1))
_bad("four gigahertz", lambda: wav_bytes(rate=2**32 - 1))
_bad("no channels", lambda: wav_bytes(channels=0))
_bad("sixty thousand channels", lambda: wav_bytes(channels=60_000))
_bad("three hundred channels", lambda: wav_bytes(channels=300))
_bad("zero bits", lambda: wav_bytes(bits=0))
_bad("unknown codec", lambda: wav_bytes(form=0x7A7A))
_bad("integers of 64 bits", lambda: wav_bytes(bits=64))
_bad("mp3 that is none in a wav", lambda: wav_bytes(RANDOM, form=0x55))
_bad("aiff that points before itself", lambda: _pointing_back(), ".aiff")
_bad("five hours in a small file", lambda: _five_hours(), ".flac")
_bad(
    "git-lfs pointer",
    lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
)
_bad("text", lambda: b"This is a note about a recording, not the recording.\n" * 50)
_bad("web page", lambda: b"<!DOCTYPE html><html><title>404 Not Found</title></html>\n", ".mp3")
_bad("json", lambda: b'{"error": "not found"}')
_bad("subtitles", lambda: b"1\n00:00:00,000 --> 00:00:02,000\nHello.\n\n", ".mp3")
_bad(
    "playlist",
    lambda: b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    ".mp3",
)
_bad("concat script", lambda: b"ffconcat version 1.0\nfile '/etc/passwd'\n", ".mp3")
_bad("picture", lambda: _picture(), ".png")
_bad("video without sound", lambda: ffmpeg_bytes("mp4", "aac", tracks=0, picture=True), ".mp4")
_bad("zipped wav", lambda: gzip.compress(wav_bytes(), mtime=0))
_bad("zeros", lambda: bytes(100_000))
_bad("random bytes", lambda: RANDOM)
_bad(
    "random bytes as mp3",
    lambda: b"\xff\xfb\x90\x00" + RANDOM,
    ".mp3",
)
_bad("overwritten flac", lambda: _overwritten(sound_bytes("FLAC")), ".flac")
_bad("overwritten m4a", lambda: _overwritten(ffmpeg_bytes("mp4", "aac")), ".m4a")


def _overwritten(good: bytes) -> bytes:
    third = len(good) // 3
    return good[:third] + np.random.default_rng(2).bytes(third) + good[2 * third :]


def _pointing_back() -> bytes:
    good = sound_bytes("AIFF")
    return good[:12] + b"junk" + struct.pack(">i", -30) + good[12:]


def _five_hours() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(5 * 3_600 * 1_000, np.int16), 1_000, format="FLAC")
    return file.getvalue()


def _picture() -> bytes:
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 16, 16, "rgb24"
    encoder.time_base = 1
    image = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
    return b"".join(bytes(packet) for packet in [*encoder.encode(image), *encoder.encode(None)])


def _folder(folder: Path) -> Path:
    path = folder / "folder.wav"
    path.mkdir()
    return path


def _missing(folder: Path) -> Path:
    return folder / "missing.wav"


def _unreadable(folder: Path) -> Path:
    path = folder / "unreadable.wav"
    path.write_bytes(wav_bytes())
    path.chmod(0)
    return path


def _fifo(folder: Path) -> Path:
    path = folder / "fifo.wav"
    os.mkfifo(path)
    return path


def _dangling(folder: Path) -> Path:
    path = folder / "dangling.wav"
    path.symlink_to(folder / "gone.wav")
    return path


def _loop(folder: Path) -> Path:
    path = folder / "loop.wav"
    path.symlink_to(path)
    return path


BAD_INPUTS |= {
    "folder": _folder,
    "missing file": _missing,
    "path through a file": lambda folder: _bad_parent(folder),
    "link to nowhere": _dangling,
    "link to itself": _loop,
    "name too long": lambda folder: folder / ("a" * 300 + ".wav"),
}
if hasattr(os, "mkfifo"):
    BAD_INPUTS["pipe in a folder"] = _fifo
    BAD_INPUTS["device"] = lambda _: Path(os.devnull)
if hasattr(os, "geteuid") and os.geteuid() != 0:  # root may read anything
    BAD_INPUTS["no permission"] = _unreadable


def _bad_parent(folder: Path) -> Path:
    (folder / "file").write_bytes(b"")
    return folder / "file" / "sound.wav"
