"""Write the first inputs of the fuzzer, a folder for each target, from the shipped samples.

Run ``python tests/fuzz/make_seeds.py`` where a format of affekt changes; the files are in Git.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

import affekt  # noqa: E402
from affekt.audio.reading import read  # noqa: E402
from bad_inputs import ffmpeg_bytes  # noqa: E402
from file_formats import KINDS, resampled  # noqa: E402
from small_model import metadata, small_model  # noqa: E402

SEEDS = TESTS / "fuzz" / "seeds"
SAMPLES = TESTS.parent / "samples"
SEAL = 32  # bytes of the checksum before a saved stream
READ = [
    *("WAV PCM_16", "WAV FLOAT", "WAV ULAW", "RF64 PCM_24", "W64 PCM_16", "FLAC PCM_16", "RIFX"),
    *("AIFF PCM_16", "AU FLOAT", "CAF PCM_24", "NIST PCM_16", "MAT5 PCM_16", "FLAC of a pipe"),
    *("mp3 libmp3lame 16000", "mp4 aac 16000", "webm libopus 48000", "ogg libopus 48000"),
    *("caf alac 44100", "mov pcm_s16le 44100", "OGG VORBIS", "adts aac 16000", "live webm"),
    *("wav libmp3lame 16000", "endless WAV", "mp4 aac 48000 picture"),
]
WRITTEN = {  # codec and Hz of further formats
    "ac3": ("ac3", 32_000),
    "tta": ("tta", 16_000),
    "wv": ("wavpack", 16_000),
    "avi": ("pcm_s16le", 16_000),
    "asf": ("libmp3lame", 16_000),
}
RECIPES = ("ravdess-yamnet-lstm", "affekt", "cross-corpus-open", "ravdess-mfcc-svm")


def main() -> None:
    """Write all folders anew."""
    sound = read(SAMPLES / "lively.flac")[16_000:17_600]
    write("sound", [KINDS[kind](sound) for kind in READ])
    made = (
        ffmpeg_bytes(form, codec, rate=rate, values=resampled(sound, rate))
        for form, (codec, rate) in WRITTEN.items()
    )
    write("sound", [*made], first=len(READ))
    shipped = affekt.load()
    speech = read(SAMPLES / "calm.flac")
    people = [shipped.enroll([speech], sample_rate=16_000, voice=voice) for voice in (False, True)]
    write("profile", [person.content() for person in people])
    with TemporaryDirectory() as folder:
        model = small_model(Path(folder) / "small.onnx")
        padded = small_model(Path(folder) / "padded.onnx", note=metadata(tail="pad"))
        write("model", [model.read_bytes(), padded.read_bytes()])
        streams = [affekt.load(model).stream(rate) for rate in (16_000, 44_100)]
    for stream, seconds in zip(streams, (0.05, 0.2), strict=True):
        stream.push(speech[16_000 : 16_000 + round(seconds * 16_000)])
    write("stream", [stream.save()[SEAL:] for stream in streams])
    texts = [(TESTS.parent / "recipes" / f"{name}.toml").read_bytes() for name in RECIPES]
    write("recipe", [b"epochs=3\n" + text for text in texts] + [b"\n"])
    pcm = (speech[16_000:24_000] * 32_767).astype("<i2").tobytes()
    write("messages", [conversation(b"", [speech[:800].astype("<f4").tobytes(), "end"])])
    query = b"rate=8000&encoding=s16le&min_confidence=0.5&quality=0"
    write("messages", [conversation(query, ["profile", pcm, "profile", pcm, "end"])], first=1)
    query = b"channels=2&encoding=s16le&quality=0"
    write("messages", [conversation(query, ["profile 1", pcm, "profile 0", "end"])], first=2)


def conversation(query: bytes, messages: list[bytes | str]) -> bytes:
    """Join a query and messages as ``targets.conversation_in`` parts them."""
    parts = [query, b"\n"]
    for message in messages:
        content = message if isinstance(message, bytes) else message.encode()
        kind = b"b" if isinstance(message, bytes) else b"t"
        parts += [kind, len(content).to_bytes(2, "little"), content]
    return b"".join(parts)


def write(target: str, contents: list[bytes], *, first: int = 0) -> None:
    """Write numbered files into the folder of a target."""
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(contents, first):
        (folder / f"{number:02}").write_bytes(content)


if __name__ == "__main__":
    main()
