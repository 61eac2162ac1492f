"""Test every file format with predict, timeline, stream and live input through a pipe."""

import io
import json
import sys
from functools import cache

import numpy as np
import pytest

import affekt
from affekt.audio.decoding import decode
from affekt.audio.reading import read
from affekt.cli import main
from conftest import SAMPLES
from file_formats import KINDS, SEEKING
from test_reading import Pipe

QUIET = np.zeros(8_000, np.float32)


@cache
def said() -> np.ndarray:
    """Something said, a pause, something else, and quiet around both."""
    lively, loud = (read(SAMPLES / f"{name}.flac")[:28_000] for name in ("lively", "loud"))
    return np.concatenate([QUIET, lively, QUIET, QUIET, loud, QUIET])


@cache
def recording(kind: str) -> bytes:
    return KINDS[kind](said())


def numbers(answers: list[affekt.Segment]) -> np.ndarray:
    return np.array([[each.start, each.end, *each.probabilities.values()] for each in answers])


@pytest.mark.parametrize("kind", KINDS)
def test_timelines_are_equal_for_every_format(predictor: affekt.Predictor, kind: str) -> None:
    expected = [*predictor.timeline(said(), sample_rate=16_000)]
    assert len(expected) >= 2
    found = [*predictor.timeline(recording(kind))]
    assert [each.label for each in found] == [each.label for each in expected]
    times = [[each.start, each.end] for each in found]
    np.testing.assert_allclose(times, [[e.start, e.end] for e in expected], atol=0.13)  # s


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_at_the_recordings_own_rate(predictor: affekt.Predictor, kind: str) -> None:
    expected = predictor.predict(recording(kind))
    with decode(io.BytesIO(recording(kind)), kind) as sound:
        stream = predictor.stream(sound.sample_rate)
        parts = [part for chunk in sound.chunks for part in np.array_split(chunk.mean(axis=1), 7)]
    found = [segment for part in parts for segment in stream.push(part)] + stream.flush()
    np.testing.assert_allclose(numbers(found), numbers([*expected.segments]), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_affekt_stream_reads_every_format_from_a_pipe(
    model: str, predictor: affekt.Predictor, kind: str, capsys, monkeypatch
) -> None:
    class Standard:
        buffer = io.BufferedReader(Pipe(recording(kind)))
        isatty = staticmethod(lambda: False)

    monkeypatch.setattr(sys, "stdin", Standard)
    code = main(["stream", "-", "--json", "--model", model])
    printed = capsys.readouterr()
    if kind in SEEKING:
        assert (code, printed.out) == (1, "")
        assert "Save it to a file first" in printed.err
        return
    assert (code, printed.err) == (0, "")
    found = [affekt.Segment(**json.loads(line)) for line in printed.out.splitlines()]
    expected = [*predictor.predict(recording(kind)).segments]
    np.testing.assert_allclose(numbers(found), numbers(expected), atol=2e-3)
