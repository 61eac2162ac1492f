"""Test timelines of recordings, and the files for Audacity and Praat."""

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import affekt
from affekt.audio.reading import read
from affekt.corpora import load as load_corpus
from affekt.errors import AudioError
from affekt.inference.speakers.speaker_recognizer import SpeakerRecognizer
from affekt.inference.speech.speech_cutter import SpeechCutter
from affekt.inference.speech.vad import CHUNK
from affekt.inference.timelines.annotation_files import LINES, textgrid, webvtt
from affekt.inference.timelines.timeline import Smoother, Utterance
from affekt.inference.timelines.waveform_peaks import PARTS, WaveformPeaks
from conftest import SAMPLES
from small_model import LABELS


@pytest.fixture(scope="module")
def talk() -> NDArray[np.float32]:
    """Three sayings with a second of silence around each."""
    quiet = np.zeros(16_000, np.float32)
    sayings = [read(SAMPLES / f"{name}.flac") for name in ("loud", "calm", "slow")]
    return np.concatenate([quiet, *(part for each in sayings for part in (each, quiet))])


def test_every_utterance_has_its_own_answer(
    predictor: affekt.Predictor, talk: NDArray[np.float32]
) -> None:
    found = [*predictor.timeline(talk, sample_rate=16_000, time_constant=0.0)]
    assert 3 <= len(found) <= 8
    for each in found:
        assert list(each.probabilities) == list(LABELS)
        assert each.label == max(LABELS, key=each.probabilities.__getitem__)
        assert sum(each.probabilities.values()) == pytest.approx(1)
        assert 0.5 < each.speech <= 1
        assert 0.25 <= each.end - each.start <= 10
        first, end = (round(time * 16_000) for time in (each.start, each.end))
        heard = talk[max(0, first - 7 * 512) : end + 7 * 512]  # a quarter second around it
        expected = predictor.predict(heard, sample_rate=16_000).probabilities
        assert each.probabilities == pytest.approx(expected, abs=1e-5)
    assert all(before.end <= after.start for before, after in pairwise(found))


def test_only_speech_is_in_it(predictor: affekt.Predictor, talk: NDArray[np.float32]) -> None:
    covered = np.zeros(talk.size, bool)
    for each in predictor.timeline(talk, sample_rate=16_000):
        covered[round(each.start * 16_000) : round(each.end * 16_000)] = True
    loud = np.abs(talk) > 0.3 * np.abs(talk).max()
    assert covered[loud].mean() > 0.99
    assert not covered[:14_000].any()


@pytest.mark.parametrize("cut", [172, 205, 288])
def test_cut_speech_has_no_gap(predictor: affekt.Predictor, cut: int) -> None:
    """A gap of one rounding error would be an interval of no length in a TextGrid."""
    one = SpeakerRecognizer(
        predictor.stream(),
        SpeechCutter(),
        Smoother(0.0, 0.0),
        limits=None,
        speaker=None,
        channel=None,
        listen=None,
        start=0.0,
        others=deque(),
    )
    chunks = np.full((320, CHUNK), 0.1, np.float32)
    likely = [0.6 if number == cut else 0.9 for number in range(len(chunks))]
    (first,) = [found for each in zip(chunks, likely, strict=True) for found in one.push(*each)]
    (second,) = one.end()
    assert first.end == second.start == cut * CHUNK / 16_000


def test_a_recording_without_speech_has_no_utterances(predictor: affekt.Predictor) -> None:
    rng = np.random.default_rng(3)
    for sound in (np.zeros(80_000), rng.normal(size=80_000) * 0.01, np.zeros(1)):
        assert [*predictor.timeline(sound, sample_rate=16_000)] == []


def test_a_part_keeps_its_times(predictor: affekt.Predictor, talk: NDArray[np.float32]) -> None:
    whole = [*predictor.timeline(talk, sample_rate=16_000)]
    part = [*predictor.timeline(talk, sample_rate=16_000, start=0.512, end=4.5)]
    assert part[0].start == pytest.approx(whole[0].start, abs=0.1)
    assert part[-1].end <= 4.5


def test_utterances_come_while_reading_in_constant_memory(
    predictor: affekt.Predictor, talk: NDArray[np.float32], tmp_path: Path
) -> None:
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 16_000, 1) as file:
        for _ in range(4):
            file.write(talk)
    heard: list[int] = []
    next(predictor.timeline(path, watch=lambda block: heard.append(block.size)))
    assert len(heard) == 1
    assert heard[0] < talk.size


@pytest.mark.parametrize("memory", [-1.0, math.nan, math.inf])
def test_memory_is_checked(predictor: affekt.Predictor, memory: float) -> None:
    with pytest.raises(AudioError, match="time_constant"):
        predictor.timeline(np.zeros(9), sample_rate=16_000, time_constant=memory)


def answer(start: float, end: float, *shares: float) -> Utterance:
    probabilities = dict(zip(LABELS, shares, strict=True))
    return Utterance(
        "", start, end, max(probabilities, key=probabilities.__getitem__), probabilities, 1.0
    )


ANGRY, SAD = (0.9, 0.0, 0.1, 0.0), (0.1, 0.0, 0.9, 0.0)


def smoothed(answers: Iterable[Utterance]) -> list[Utterance]:
    return [*map(Smoother(4.0, 0.0).push, answers)]


def labels(*answers: Utterance) -> list[str]:
    return [each.label for each in smoothed(answers)]


def test_a_short_word_follows_its_context_and_a_long_utterance_does_not() -> None:
    assert labels(answer(0, 5, *ANGRY), answer(5.3, 5.8, *SAD)) == ["angry", "angry"]
    assert labels(answer(0, 5, *ANGRY), answer(5.3, 10, *SAD)) == ["angry", "sad"]
    assert labels(answer(0, 5, *ANGRY), answer(30, 30.5, *SAD)) == ["angry", "sad"]


def test_smoothing_by_hand() -> None:
    first, second = smoothed([answer(0, 2, *ANGRY), answer(3, 4, *SAD)])
    assert first.probabilities == pytest.approx(dict(zip(LABELS, ANGRY, strict=True)))
    old, new = (1 - math.exp(-2 / 4)) * math.exp(-2 / 4), 1 - math.exp(-1 / 4)
    assert second.probabilities["sad"] == pytest.approx((old * 0.1 + new * 0.9) / (old + new))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0.25, 10), st.floats(0.25, 1e5), st.sampled_from([ANGRY, SAD])))
)
def test_smoothing_keeps_probabilities(
    parts: list[tuple[float, float, tuple[float, ...]]],
) -> None:
    at, answers = 0.0, []
    for length, pause, shares in parts:
        answers.append(answer(at, at + length, *shares))
        at += length + pause
    found = smoothed(answers)
    assert [(each.start, each.end) for each in found] == [(a.start, a.end) for a in answers]
    for each in found:
        assert sum(each.probabilities.values()) == pytest.approx(1)
        assert all(
            0.1 - 1e-9 <= each.probabilities[name] <= 0.9 + 1e-9 for name in ("angry", "sad")
        )
    # what comes later changes nothing
    assert found[:2] == smoothed(answers[:2])


ODD = 'so "loud"\t<&>'
utterances = st.lists(
    st.tuples(st.integers(1, 9_000), st.integers(0, 90_000), st.sampled_from([*LABELS, ODD]))
).map(lambda parts: [*_in_order(parts)])


def _in_order(parts: list[tuple[int, int, str]]) -> Iterator[Utterance]:
    at = 0
    for length, pause, label in parts:
        start, at = at + pause, at + pause + length
        yield Utterance("a b/c d.wav", start / 1e3, at / 1e3, label, {label: 0.75}, 0.5)


@settings(max_examples=60)
@given(utterances, st.integers(0, 5_000))
def test_a_textgrid_leaves_nothing_out(said: list[Utterance], after: int) -> None:
    seconds = (said[-1].end if said else 0.0) + after / 1e3
    text = textgrid(said, seconds)
    marks = re.findall(r'xmin = (\S+)\s+xmax = (\S+)\s+text = "(.*)"\n', text)
    assert f"intervals: size = {len(marks)}\n" in text
    assert len(marks) >= 1
    assert float(marks[0][0]) == 0
    assert float(marks[-1][1]) == pytest.approx(seconds)
    assert all(before[1] == after[0] for before, after in pairwise(marks))
    spoken = [mark[2].replace('""', '"') for mark in marks if mark[2]]
    assert spoken == [each.label for each in said]


@settings(max_examples=30)
@given(utterances)
def test_lines_can_be_taken_apart(said: list[Utterance]) -> None:
    for each in said:
        start, end, label = LINES["audacity"](each).split("\t")
        assert (float(start), float(end)) == pytest.approx((each.start, each.end))
        assert label.split() == each.label.split()
        fields = LINES["rttm"](each).split(" ")
        assert len(fields) == 10
        assert fields[:3] == ["SPEAKER", "a_b/c_d", "1"]
        assert float(fields[3]) + float(fields[4]) == pytest.approx(each.end, abs=2e-3)
        times, cue, end_of_cue = webvtt(each).split("\n")
        clock = r"\d\d+:[0-5]\d:[0-5]\d\.\d{3}"
        assert re.fullmatch(f"{clock} --> {clock}", times)
        assert "<" not in cue
        assert end_of_cue == ""


@settings(max_examples=25)
@given(st.lists(st.integers(0, 70_000), max_size=8))
def test_an_outline_swings_as_the_sound(sizes: list[int]) -> None:
    sound = np.random.default_rng(4).normal(size=sum(sizes)).astype(np.float32)
    outline = WaveformPeaks()
    for block in np.split(sound, np.cumsum(sizes)[:-1]) if sizes else []:
        outline.push(block)
    part = round(outline.seconds_per_part * 16_000)
    swings = outline.peaks
    assert outline.seconds == sound.size / 16_000
    assert len(swings) == math.ceil(sound.size / part) <= PARTS
    for number, (low, high) in enumerate(swings.tolist()):
        here = sound[number * part : (number + 1) * part]
        assert (low, high) == (here.min(), here.max())


def test_a_conversation_of_unseen_speakers(data: Path) -> None:
    """The shipped model on RAVDESS' actors 21 to 24, all clips in a random order."""
    benchmark = import_module("conversation")
    sound, turns = benchmark.conversation(load_corpus("ravdess", data / "ravdess"))
    assert len(turns) == 112
    row = next(benchmark.rows(sound, turns))
    assert row["EDER"] == pytest.approx(0.239, abs=0.02)  # silence: 0.438
