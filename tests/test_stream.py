"""Test that a stream gives the results of predict, with any chunks, in any process."""

import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import affekt
from affekt.audio.pcm import chunk_samples
from affekt.errors import AudioError, ModelError
from affekt.inference.speech.quality import QualityLimits
from small_model import HOP, LABELS, WINDOW, metadata, small_model, wandering_noise

RATE = 16_000


def cut(samples: np.ndarray, sizes: Sequence[int]) -> Iterator[np.ndarray]:
    """Chunks of these sizes, over and over; of size 0 too."""
    at = turn = 0
    while at < samples.size:
        size = sizes[turn % len(sizes)]
        yield samples[at : at + size]
        at, turn = at + size, turn + 1


def answers(stream: affekt.Stream, chunks: Iterator[np.ndarray]) -> list[affekt.Segment]:
    segments = [segment for chunk in chunks for segment in stream.push(chunk)]
    return segments + stream.flush()


def assert_same(
    found: Sequence[affekt.Segment], expected: Sequence[affekt.Segment], atol: float = 1e-5
) -> None:
    assert [(s.start, s.end) for s in found] == [(s.start, s.end) for s in expected]
    numbers = [[list(s.probabilities.values()) for s in each] for each in (found, expected)]
    np.testing.assert_allclose(*numbers, atol=atol)


SIZES = st.lists(st.integers(0, 20_000), min_size=1, max_size=6).filter(lambda s: sum(s) > 20)


@settings(max_examples=60)
@given(samples=st.integers(1, 80_000), sizes=SIZES, seed=st.integers(0, 9))
@example(samples=1, sizes=[1], seed=0)
@example(samples=WINDOW - 1, sizes=[320], seed=0)
@example(samples=WINDOW, sizes=[WINDOW], seed=0)
@example(samples=WINDOW + HOP, sizes=[HOP], seed=0)
def test_stream_equals_predict(
    predictor: affekt.Predictor, samples: int, sizes: list[int], seed: int
) -> None:
    whole = wandering_noise(samples, seed)
    expected = predictor.predict(whole, sample_rate=RATE)
    assert_same(answers(predictor.stream(), cut(whole, sizes)), expected.segments)


@settings(max_examples=40)
@given(
    rate=st.sampled_from([8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 15_999]),
    seconds=st.floats(0.001, 4),
    sizes=SIZES,
)
def test_at_any_rate(
    predictor: affekt.Predictor, rate: int, seconds: float, sizes: list[int]
) -> None:
    whole = wandering_noise(max(1, int(seconds * rate)))
    expected = predictor.predict(whole, sample_rate=rate)
    assert_same(answers(predictor.stream(rate), cut(whole, sizes)), expected.segments)


def test_each_window_is_answered_as_soon_as_it_is_full(predictor: affekt.Predictor) -> None:
    stream = predictor.stream()
    assert stream.push(wandering_noise(WINDOW - 1)) == []
    (first,) = stream.push(wandering_noise(1))
    assert (first.start, first.end) == (0, WINDOW / RATE)
    assert stream.push(wandering_noise(HOP - 1)) == []
    assert len(stream.push(wandering_noise(1 + 2 * HOP))) == 3
    assert set(first.probabilities) == set(LABELS)


def test_a_sound_shorter_than_a_window_is_answered_at_its_end(predictor: affekt.Predictor) -> None:
    stream = predictor.stream()
    assert stream.push(wandering_noise(4_000)) == []
    (only,) = stream.flush()
    assert (only.start, only.end) == (0, 0.25)
    assert stream.flush() == []


def test_an_empty_stream_gives_no_segments(predictor: affekt.Predictor) -> None:
    for rate in (RATE, 44_100):
        stream = predictor.stream(rate)
        assert stream.push(np.empty(0, np.float32)) == []
        assert stream.flush() == []


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("samples", [0, 1, 9_000, 15_600, 15_601, 40_000])
def test_a_last_chunk_is_answered_as_if_it_had_been_pushed(
    predictor: affekt.Predictor, rate: int, samples: int
) -> None:
    sound = np.random.default_rng(8).normal(0, 0.1, 60_000).astype(np.float32)
    for before in (0, 20_000):
        pushed, flushed = predictor.stream(rate), predictor.stream(rate)
        first, last = sound[:before], sound[before : before + samples]
        expected = pushed.push(first) + pushed.push(last) + pushed.flush()
        found = flushed.push(first) + flushed.flush(last)
        assert_same(found, expected, atol=1e-5)
        assert flushed.flush() == []  # a new sound


@pytest.mark.parametrize("rate", [RATE, 48_000])
@pytest.mark.parametrize("end", ["flush", "reset"])
def test_a_stream_can_start_anew(predictor: affekt.Predictor, rate: int, end: str) -> None:
    stream = predictor.stream(rate)
    stream.push(wandering_noise(3 * rate, 1))
    getattr(stream, end)()
    assert (stream.quality is None) == (end == "reset")
    whole = wandering_noise(3 * rate, 2)
    expected = predictor.predict(whole, sample_rate=rate)
    assert_same(answers(stream, cut(whole, [1_000])), expected.segments)


def test_integers_are_scaled_by_their_width(predictor: affekt.Predictor) -> None:
    whole = (wandering_noise(40_000).clip(-1, 1) * 32_767).astype(np.int16)
    expected = predictor.predict(whole, sample_rate=RATE)
    assert_same(answers(predictor.stream(), cut(whole, [999])), expected.segments)


BAD_CHUNKS = {
    "two channels": np.zeros((100, 2), np.float32),
    "no axis": np.float32(0.1),
    "complex": np.zeros(100, np.complex64),
    "text": np.array(["a", "b"]),
    "bytes": b"\x00\x01",
    "whole numbers of no width": [0, 1_000, -1_000],
    "truth": np.array([True, False]),
    "not a number": np.array([0.1, np.nan], np.float32),
    "infinite": np.array([0.1, np.inf], np.float32),
    "beyond float32": np.array([1e300]),
}


@pytest.mark.parametrize("chunk", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_a_bad_chunk_is_refused_and_the_stream_goes_on(
    predictor: affekt.Predictor, chunk: np.ndarray
) -> None:
    stream, whole = predictor.stream(), wandering_noise(40_000)
    segments = stream.push(whole[:20_000])
    with pytest.raises(AudioError, match="samples of a"):
        stream.push(chunk)
    with pytest.raises(AudioError, match="Pass an array of one channel"):
        stream.push("calm.flac")  # type: ignore[arg-type]
    segments += stream.push(whole[20_000:])
    assert_same(segments, predictor.predict(whole, sample_rate=RATE).segments)


@pytest.mark.parametrize("rate", [0, -1, 999, 1_000_000, 44_100.5, np.nan, "16000"])
def test_a_rate_of_no_recorder_is_refused(predictor: affekt.Predictor, rate: int) -> None:
    with pytest.raises(AudioError, match="rate"):
        predictor.stream(rate)


def test_threads_share_a_model(predictor: affekt.Predictor) -> None:
    sounds = [wandering_noise(120_000 + 777 * seed, seed) for seed in range(16)]
    expected = [predictor.predict(each, sample_rate=RATE).segments for each in sounds]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda each: answers(predictor.stream(), cut(each, [640])), sounds)
        for segments, truth in zip(found, expected, strict=True):
            assert_same(segments, truth)


def test_64_streams_of_a_minute_do_not_mix(predictor: affekt.Predictor) -> None:
    """Without quality, which would take most of the time."""
    fast, minute, noise = replace(predictor, limits=None), 60 * RATE, wandering_noise(64 * RATE)
    sounds = [noise[1_000 * number :][:minute] for number in range(64)]
    streams = [fast.stream() for _ in sounds]
    found: list[list[affekt.Segment]] = [[] for _ in sounds]
    for at in range(0, minute, 1_600):
        for stream, each, segments in zip(streams, sounds, found, strict=True):
            segments += stream.push(each[at : at + 1_600])
    for segments, each in zip(found, sounds, strict=True):
        assert_same(segments, fast.predict(each, sample_rate=RATE).segments)
    assert len({segments[-1].probabilities["angry"] for segments in found}) == 64


@settings(max_examples=40)
@given(
    rate=st.sampled_from([RATE, 8_000, 22_050, 44_100, 48_000]),
    seconds=st.floats(0.1, 6),
    cuts=st.lists(st.floats(0, 1), min_size=1, max_size=4),
)
def test_a_stream_moves_between_processes(
    predictor: affekt.Predictor, rate: int, seconds: float, cuts: list[float]
) -> None:
    whole = wandering_noise(int(seconds * rate))
    expected = predictor.predict(whole, sample_rate=rate).segments
    stream, segments = predictor.stream(rate), []
    for chunk in np.split(whole, sorted(int(at * whole.size) for at in cuts)):
        stream = predictor.restore(stream.save())
        segments += stream.push(chunk)
    stream = predictor.restore(stream.save())
    assert_same(segments + stream.flush(), expected, atol=1e-4)


def test_at_16_khz_a_move_changes_no_bit(predictor: affekt.Predictor) -> None:
    whole = wandering_noise(100_000)
    stayed, moved = predictor.stream(), predictor.stream()
    for chunk in cut(whole, [1_700]):
        moved = predictor.restore(moved.save())
        assert moved.push(chunk) == stayed.push(chunk)
        assert moved.quality == stayed.quality
    assert moved.save() == stayed.save()
    assert predictor.restore(memoryview(moved.save())).quality == stayed.quality is not None
    assert predictor.restore(predictor.stream().save()).quality is None


def test_denormals_become_zeros_which_processors_compute_faster() -> None:
    faded = np.float32(0.5) ** np.arange(1, 149, dtype=np.float32)  # to the smallest denormal
    assert 0 < faded[-1] < np.finfo(np.float32).tiny
    for kept in (chunk_samples(faded, None), affekt.read(faded, sample_rate=RATE)):
        np.testing.assert_array_equal(kept, np.where(np.arange(148) < 66, faded, 0))


def test_unscaled_samples_of_24_bits_are_taken_at_any_rate(predictor: affekt.Predictor) -> None:
    loud = np.sign(np.sin(np.arange(44_100) / 70)).astype(np.float32) * 2**23  # resampled: beyond
    stream = predictor.stream(44_100)
    found = stream.push(loud) + predictor.restore(stream.save()).flush()
    assert_same(predictor.predict(loud, sample_rate=44_100).segments, found)


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_a_stream_stays_small(predictor: affekt.Predictor, rate: int) -> None:
    stream = predictor.stream(rate)
    sizes = []
    for _ in range(40):
        stream.push(wandering_noise(rate))
        sizes.append(len(stream.save()))
    assert max(sizes) < 300 + 4 * (2 * WINDOW + 2 * rate)


@settings(max_examples=60)
@given(at=st.floats(0, 1, exclude_max=True), damage=st.integers(0, 255), cut=st.booleans())
def test_damaged_bytes_are_refused(
    predictor: affekt.Predictor, at: float, damage: int, cut: bool
) -> None:
    stream = predictor.stream(44_100)
    stream.push(wandering_noise(50_000))
    saved = bytearray(stream.save())
    place = int(at * len(saved))
    if cut:
        del saved[place:]
    elif saved[place] == damage:
        saved += b"0"
    else:
        saved[place] = damage
    with pytest.raises(ModelError, match="whole"):
        predictor.restore(bytes(saved))


def resealed(content: bytes) -> bytes:
    """Bytes of a saved stream with the right checksum, which anybody can compute."""
    return hashlib.sha256(content).digest() + content


FORGED = {
    "sample_rate": [0, -1, 16_000.0, "16000", None, 10**9, 10**4_000],
    "windows": [-1, 1.5, True, None, 1 << 60, 2],
    "waiting": [-1, 1 << 40, 1, "3"],
    "replay": [-1, 1 << 40, 1, []],
    "second": [-1, 3, 1 << 60, {}],
    "given": [-1, 1 << 40, None],
    "adapt": [1, None, "yes"],
    "min_confidence": [-0.1, 1.1, float("nan"), None, "0"],
    "limits": [
        {},
        [],
        5,
        {"level": 1.0},
        {"speech_seconds": 0, "level": 0, "clipping": 0, "snr": ""},
    ],
}


@pytest.mark.parametrize("field", FORGED)
def test_forged_headers_with_a_right_checksum_are_refused(
    predictor: affekt.Predictor, field: str
) -> None:
    stream = predictor.stream(44_100)
    stream.push(wandering_noise(50_000))
    line, _, body = stream.save()[32:].partition(b"\n")
    header = json.loads(line)
    predictor.restore(resealed(line + b"\n" + body))
    for value in FORGED[field]:
        written = json.dumps({**header, field: value}).encode()
        with pytest.raises(ModelError, match="Save the stream again"):
            predictor.restore(resealed(written + b"\n" + body))
    header.pop(field)
    with pytest.raises(ModelError, match="Save the stream again"):
        predictor.restore(resealed(json.dumps(header).encode() + b"\n" + body))


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"5", b"{", b"{}", b"[" * 100_000, b"\xff", b"9" * 5_000]
)
def test_forged_lines_with_a_right_checksum_are_refused(
    predictor: affekt.Predictor, line: bytes
) -> None:
    with pytest.raises(ModelError, match="Save the stream again"):
        predictor.restore(resealed(line + b"\n"))


@pytest.mark.parametrize("measured", [True, False])
def test_forged_numbers_with_a_right_checksum_are_refused(
    predictor: affekt.Predictor, measured: bool
) -> None:
    predictor = replace(predictor, limits=QualityLimits() if measured else None)
    stream = predictor.stream()
    stream.push(wandering_noise(50_000))
    line, _, body = stream.save()[32:].partition(b"\n")
    bad = [body[:-1], body[:-4], body + bytes(4), b"", bytes(4), b"\0\0\xc0\x7f" + body[4:]]
    waiting = 4 * stream._waiting.size
    end = len(body) - (4 * len(stream._meter.save()) if stream._meter else 0)
    loud = np.full(stream._waiting.size, 1e20, "<f4").tobytes()
    bad += [body[: end - waiting] + loud + body[end:]]  # its square overflows
    if measured:  # last: sums of the quality, the detector's state, samples of less than a chunk
        bad += [body[:-4] + b"\0\0\xc0\x7f"] if stream._meter.samples % 512 else []
        first = len(body) - 4 * len(stream._meter.save())
        bad += [body[:-4] + struct.pack("<f", 1e20)]
        bad += [body[:first] + struct.pack("<d", -1.0) + body[first + 8 :]]
        bad += [body[:first] + struct.pack("<d", float("inf")) + body[first + 8 :]]
        bad += [body[: first + 8] + struct.pack("<d", 1e9) + body[first + 16 :]]
        bad += [body[: first + 32] + struct.pack("<d", 1e99) + body[first + 40 :]]
    for content in bad:
        with pytest.raises(ModelError, match="Save the stream again"):
            predictor.restore(resealed(line + b"\n" + content))


def test_another_models_stream_is_refused(predictor: affekt.Predictor, tmp_path: Path) -> None:
    other = affekt.load(small_model(tmp_path / "other.onnx", note=metadata(name="other")))
    with pytest.raises(ModelError, match="Load the model that saved"):
        other.restore(predictor.stream().save())
