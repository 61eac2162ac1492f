"""Test how speakers of one channel are distinguished, and how diarizations are scored."""

import io
import json
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

import affekt
from affekt.audio.reading import read
from affekt.cli import main
from affekt.corpora import load as load_corpus
from affekt.errors import AudioError, ModelError
from affekt.inference.profile import profile_of, read_profile
from affekt.inference.speakers.diarization import SpeakerFinder, diarize, speaker_means
from affekt.inference.speakers.speaker_encoder import (
    SPAN,
    power_spectra,
    voice_embeddings,
    windows_of,
)
from affekt.inference.speakers.speech_embedding import Stretch, name_channels, named
from affekt.inference.speech.vad import SOFT_SPEECH, SpeechFinder, Thresholds
from affekt.inference.timelines.rttm import Turn
from affekt.inference.timelines.timeline import Utterance, fill_turns
from conftest import SAMPLES, Captured
from diarization_scoring import diarization_errors

RATE = 16_000
Sound = NDArray[np.float32]


class Span(NamedTuple):
    start: float
    end: float
    speaker: str


def two_voices() -> tuple[Sound, list[Span]]:
    """A synthetic speaker, and one with a higher voice, in turn."""
    quiet = np.zeros(RATE // 2, np.float32)
    sayings = [read(SAMPLES / f"{name}.flac") for name in ("loud", "calm", "slow")]
    parts, spans, at = [], [], 0.0
    for number in range(6):
        said, speaker = sayings[number // 2], ("low", "high")[number % 2]
        if speaker == "high":
            said = soxr.resample(said, 16_000, 11_000)
        parts += [quiet, said]
        spans.append(Span(at + 0.5, at + 0.5 + said.size / RATE, speaker))
        at = spans[-1].end
    return np.concatenate(parts), spans


def test_synthetic_voices_are_told_apart() -> None:
    sound, spans = two_voices()
    found = diarize(sound, 2, sample_rate=RATE)
    assert {turn.speaker for turn in found} == {"speaker 1", "speaker 2"}
    assert found[0].speaker == "speaker 1"
    errors = diarization_errors(spans, found)
    assert errors.confusion / errors.seconds < 0.05


def test_a_turn_of_less_than_a_second_is_found() -> None:
    """The higher voice for 0.8 s within the other's speech, without a pause."""
    sound, _ = two_voices()
    low = read(SAMPLES / "slow.flac")
    high = soxr.resample(read(SAMPLES / "loud.flac"), 16_000, 11_000)[RATE // 2 :]
    short = [low[RATE : 3 * RATE], high[: RATE * 8 // 10], low[3 * RATE : 5 * RATE]]
    quiet = np.zeros(RATE // 2, np.float32)
    at = (sound.size + quiet.size) / RATE + 2.0
    turns = diarize(np.concatenate([sound, quiet, *short, quiet]), 2, sample_rate=RATE)
    assert [turn.speaker for turn in turns[-3:]] == ["speaker 1", "speaker 2", "speaker 1"]
    assert (turns[-2].start, turns[-2].end) == pytest.approx((at, at + 0.8), abs=0.3)


@pytest.mark.parametrize(("thresholds", "spans"), [(Thresholds(), []), (SOFT_SPEECH, [(17, 63)])])
def test_soft_speech_is_found(thresholds: Thresholds, spans: list[tuple[int, int]]) -> None:
    finder = SpeechFinder(thresholds)
    probabilities = [0.02] * 20 + [0.2] * 40 + [0.02] * 20
    found = [each for chance in probabilities for each in finder.push(chance)]
    assert [(each.first, each.end) for each in found] == spans


def test_soft_speech_belongs_to_a_speaker_of_clear_speech() -> None:
    sound, spans = two_voices()
    finder = SpeakerFinder()
    finder.push(sound)
    finder.end()
    assert len(finder.soft) >= 6
    for clear in finder.stretches:
        assert any(s.start <= clear.start and clear.end <= s.end for s in finder.soft)
    turns = finder.turns(2)
    assert turns[0].start == finder.soft[0].start / RATE
    assert turns[-1].end == finder.soft[-1].end / RATE
    clear_only = [Turn(s.start / RATE, s.end / RATE, "any") for s in finder.stretches]
    missed = diarization_errors(spans, clear_only, collar=0.0).missed
    assert diarization_errors(spans, turns, collar=0.0).missed < missed
    finder.stretches = []  # soft sounds alone are not speech
    assert finder.turns(2) == []


def test_turns_change_where_similarities_are_equal() -> None:
    """Windows at 0 and 0.4 s: the second one is of both speakers, and more of the other."""
    one, other = np.eye(2, 256, dtype=np.float32)
    finder = SpeakerFinder()
    finder.stretches = [Stretch(0, RATE, np.stack([one, one, other, other]))]
    finder.soft = [Stretch(RATE, RATE * 22 // 10, np.stack([one, 0.6 * one + 0.8 * other]))]
    first, second = finder.turns(2)
    assert (first.start, second.end) == (1.0, 2.2)
    assert first.end == second.start == pytest.approx(1 + 0.4 + 0.4 / 1.2, abs=1e-4)


def said(start: float, end: float, speaker: str) -> Utterance:
    return Utterance("", start, end, "happy", {"happy": 1.0}, 1.0, speaker=speaker)


def test_utterances_fill_their_turns() -> None:
    turns = [Turn(1, 4, "a"), Turn(4, 8, "b"), Turn(9, 18, "a"), Turn(18, 27, "a")]
    clear = [(1.5, 3, "a"), (4.5, 5, "b"), (6, 7, "b"), (16, 25, "a")]
    found = [*fill_turns(iter([said(*span) for span in clear]), turns)]
    times = [(each.start, each.end) for each in found]
    assert times[:3] == [(1, 4), (4, 6), (6, 8)]
    assert times[3] == pytest.approx((25 - 9.984, 25))  # at most ten seconds
    assert [each.speaker for each in found] == ["a", "b", "b", "a"]
    assert [each.speech for each in found[:3]] == pytest.approx([1.5 / 3, 0.5 / 2, 1 / 2])
    padded = [said(1, 4.03, "a"), said(3.97, 8, "b")]  # of turns without a pause
    assert [*fill_turns(padded, turns)] == padded
    assert [*fill_turns([], turns)] == []


def test_utterances_of_found_turns_cover_soft_speech(model: str) -> None:
    sound, _ = two_voices()
    predictor = affekt.load(model)
    turns = diarize(sound, 2, sample_rate=RATE)
    given = [*predictor.timeline(sound, sample_rate=RATE, speakers=turns)]
    found = [*predictor.timeline(sound, sample_rate=RATE, speakers=2)]
    assert [each.probabilities for each in found] == [each.probabilities for each in given]
    assert sum(e.end - e.start for e in found) > sum(e.end - e.start for e in given)
    for before, after in pairwise(found):
        assert before.end <= after.start
    assert found[0].start == pytest.approx(turns[0].start)
    assert found[-1].end == pytest.approx(turns[-1].end)


def test_a_part_keeps_its_times() -> None:
    sound, _ = two_voices()
    whole = diarize(sound, 2, sample_rate=RATE)
    first = whole[len(whole) // 2]
    part = diarize(sound, 2, sample_rate=RATE, start=first.start - 0.2, end=whole[-1].end)
    assert part[0].start == pytest.approx(first.start, abs=0.2)
    assert part[-1].end <= whole[-1].end


def test_embeddings_have_length_one_and_ignore_the_level() -> None:
    sound = read(SAMPLES / "calm.flac")
    windows = windows_of(sound)
    loud, soft = voice_embeddings(windows), voice_embeddings([each * 0.05 for each in windows])
    assert loud.shape == (len(windows), 256)
    assert np.linalg.norm(loud, axis=1) == pytest.approx(np.ones(len(windows)), abs=1e-4)
    assert (loud * soft).sum(axis=1).min() > 0.9
    assert voice_embeddings([]).shape == (0, 256)
    assert np.isfinite(voice_embeddings([np.zeros(99, np.float32)])).all()


def test_power_spectra_by_hand() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(SPAN) / RATE).astype(np.float32)
    power = power_spectra(tone)
    assert power.shape == (160, 201)
    assert set(power[2:-2].argmax(axis=1)) == {25}  # 1000 Hz in bins of 40 Hz
    assert power[80, 25] == pytest.approx((0.5 * 400 / 4) ** 2, rel=1e-3)
    assert np.allclose(power_spectra(tone * 1e-4), power_spectra(tone * 2e-4))  # soft is raised


def test_more_windows_than_are_clustered() -> None:
    rng = np.random.default_rng(0)
    means = np.eye(2, 256)
    windows = np.repeat(means, 1500, axis=0) + 0.02 * rng.normal(size=(3000, 256))
    windows = (windows / np.linalg.norm(windows, axis=1, keepdims=True)).astype(np.float32)
    for speakers in (2, None):
        found = speaker_means(windows, speakers)
        assert np.sort((found @ means.T).round(1), axis=0).tolist() == [[0, 0], [1, 1]]
    assert len(speaker_means(windows[:1500])) == 1


def test_equal_windows_are_of_one_speaker() -> None:
    """A word that is repeated exactly gives one embedding many times."""
    means = np.eye(2, 256, dtype=np.float32)
    for speakers in (1, 2):
        assert len(speaker_means(np.repeat(means[:speakers], 6, axis=0))) == speakers


def test_speakers_of_ravdess(data: Path) -> None:
    """Actors 15 and 20, who were not used to choose settings."""
    corpus = load_corpus("ravdess", data / "ravdess")
    rng = np.random.default_rng(0)
    parts, spans, at = [], [], 0.0
    for number in range(16):
        speaker = ("ravdess:15", "ravdess:20")[number % 2]
        clips = [clip for clip in corpus.clips if clip.speaker == speaker]
        sound = read(corpus.root / clips[int(rng.integers(len(clips)))].file)
        parts.append(sound)
        spans.append(Span(at, at + sound.size / RATE, speaker))
        at = spans[-1].end
    clips = [clip.file for clip in corpus.clips if clip.speaker == "ravdess:20"]
    profile = affekt.load().enroll([corpus.root / file for file in clips[:8]], voice=True)
    assert profile.voice is not None
    voices = {"anna": profile.voice}
    found = diarize(np.concatenate(parts), 2, voices=voices, sample_rate=RATE)
    errors = diarization_errors(spans, found)
    assert errors.confusion / errors.seconds < 0.05
    assert errors.false_alarm == 0
    assert errors.mapping == {"speaker 1": "ravdess:15", "anna": "ravdess:20"}


def test_the_command_tells_speakers_apart(model: str, tmp_path: Path, capsys: Captured) -> None:
    sound, spans = two_voices()
    path = tmp_path / "a.wav"
    soundfile.write(path, sound, RATE)
    words = ["predict", "--timeline", str(path), "--model", model, "--json"]
    assert main([*words, "--speakers", "2"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    errors = diarization_errors(
        spans, [Span(each["start"], each["end"], each["speaker"]) for each in found]
    )
    assert errors.confusion / errors.seconds < 0.05
    assert main([*words, "--speakers", "auto"]) == 0
    counted = {json.loads(line)["speaker"] for line in capsys.readouterr().out.splitlines()}
    assert counted
    assert counted <= {f"speaker {n}" for n in range(1, 5)}


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile of the higher voice, with a speaker embedding."""
    folder = tmp_path_factory.mktemp("profiles")
    said = np.concatenate([read(SAMPLES / f"{name}.flac") for name in ("slow", "calm")])
    sound = soxr.resample(said, 16_000, 11_000)
    soundfile.write(folder / "high.wav", sound, RATE)
    profile = folder / "high.profile"
    assert main(["enroll", str(profile), str(folder / "high.wav"), "--voice"]) == 0
    return profile


def test_an_enrolled_voice_is_named(enrolled: Path, tmp_path: Path, capsys: Captured) -> None:
    sound, spans = two_voices()
    path = tmp_path / "a.wav"
    soundfile.write(path, sound, RATE)
    words = ["predict", "--timeline", str(path), "--json", "--speakers", "2"]
    assert main([*words, "--speaker", f"anna={enrolled}"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {each["speaker"] for each in found} == {"speaker 1", "anna"}
    errors = diarization_errors(
        spans, [Span(each["start"], each["end"], each["speaker"]) for each in found]
    )
    assert errors.mapping == {"speaker 1": "low", "anna": "high"}


def test_channels_are_named_by_voice(enrolled: Path, tmp_path: Path, capsys: Captured) -> None:
    sound, spans = two_voices()
    sides = np.zeros((sound.size, 3), np.float32)
    for span in spans:
        part = slice(round(span.start * RATE), round(span.end * RATE))
        sides[part, 1 if span.speaker == "high" else 0] = sound[part]
    path = tmp_path / "a.wav"
    soundfile.write(path, sides, RATE)
    words = ["predict", "--timeline", str(path), "--json", "--channel", "each"]
    assert main([*words, "--speaker", f"anna={enrolled}"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(each["channel"], each["speaker"]) for each in found} == {(0, "speaker 1"), (1, "anna")}


def test_a_profile_without_a_voice_names_no_one(
    enrolled: Path, tmp_path: Path, capsys: Captured
) -> None:
    plain = tmp_path / "plain.profile"
    profile = read_profile(enrolled)
    assert profile.voice is not None
    assert profile_of(profile.content()).voice == pytest.approx(profile.voice, abs=1e-3)
    replace(profile, voice=None).save(plain)
    sound, _ = two_voices()
    path = tmp_path / "a.wav"
    soundfile.write(path, sound, RATE)
    words = ["predict", "--timeline", str(path), "--speakers", "2", "--speaker", f"a={plain}"]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "--voice" in said
    assert len(said.splitlines()) == 1


def test_enrolling_more_keeps_and_extends_the_voice(enrolled: Path) -> None:
    profile = read_profile(enrolled)
    before = profile.voice
    assert before is not None
    predictor = affekt.load(profile=profile)
    more = read(SAMPLES / "calm.flac")
    kept = predictor.enroll([more], sample_rate=RATE).voice
    assert kept is not None
    assert np.array_equal(kept, before)
    extended = predictor.enroll([more], sample_rate=RATE, voice=True).voice
    assert extended is not None
    assert np.linalg.norm(extended) == pytest.approx(1, abs=1e-3)
    assert 0.5 < extended @ before < 0.999


def test_only_similar_voices_are_named() -> None:
    means = np.eye(4, 256, dtype=np.float32)
    near = 0.8 * means[2] + 0.6 * np.eye(1, 256, 9)[0]
    far = 0.6 * means[0] + 0.8 * np.eye(1, 256, 9)[0]
    names = named(means[:3], {"bo": far, "anna": near, "speaker 1": means[1]})
    assert names == ["speaker 2", "speaker 1", "anna"]


def test_a_person_named_like_a_channel_names_no_other_channel() -> None:
    sound = read(SAMPLES / "calm.flac")[:, np.newaxis]
    other = np.eye(1, 256, 9, dtype=np.float32)[0]
    assert name_channels([sound], {"anna": other}) == ["speaker 1"]
    assert name_channels([sound], {"speaker 1": other}) == ["speaker 2"]


def test_silence_has_no_speakers(model: str) -> None:
    quiet = np.zeros(RATE, np.float32)
    predictor = affekt.load(model)
    assert [*predictor.timeline(quiet, sample_rate=RATE, speakers="auto")] == []
    assert [*predictor.timeline(quiet, sample_rate=RATE, speakers=2)] == []


def test_one_word_has_one_speaker() -> None:
    word = read(SAMPLES / "calm.flac")[: RATE * 3 // 2]
    found = diarize(np.pad(word, RATE), 3, sample_rate=RATE)
    assert {turn.speaker for turn in found} == {"speaker 1"}


def test_what_cannot_be_told_apart_is_refused(
    model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    predictor = affekt.load(model)
    sound, _ = two_voices()
    with pytest.raises(AudioError, match="number from 1"):
        predictor.timeline(sound, sample_rate=RATE, speakers=np.int64(0))
    with pytest.raises(AudioError, match="one channel"):
        predictor.timeline(sound, sample_rate=RATE, speakers=2, channel="each")

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    class Reader:
        read = staticmethod(io.BytesIO(b"").read)

    for pipe in (Pipe(b""), Reader()):
        with pytest.raises(AudioError, match="read twice"):
            predictor.timeline(pipe, speakers=2)
    path = tmp_path / "a.wav"
    soundfile.write(path, sound, RATE)
    assert main(["predict", "--timeline", str(path), "--speakers", "0"]) == 2
    assert "--speakers" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "affekt.inference.speakers.diarization", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(ModelError, match=r"affekt\[speakers\]"):
        predictor.timeline(sound, sample_rate=RATE, speakers=2)


def test_scores_by_hand() -> None:
    true = [Span(0, 10, "a"), Span(8, 20, "b")]
    found = [Span(0, 9, "1"), Span(9, 18, "2"), Span(20, 21, "2")]
    errors = diarization_errors(true, found, collar=0.0)
    assert errors.seconds == 22
    assert errors.missed == pytest.approx(2 + 2)  # the overlap, and the end
    assert errors.false_alarm == pytest.approx(1)
    assert errors.confusion == 0
    assert errors.mapping == {"1": "a", "2": "b"}
    shifted = [Span(0.2, 9.9, "a"), Span(8.1, 19.9, "b")]
    assert diarization_errors(true, shifted).rate == 0
    assert diarization_errors(true, []).rate == 1
