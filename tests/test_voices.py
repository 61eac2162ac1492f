"""Test timelines of several speakers: one a channel, or by the turns of an RTTM file."""

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

import affekt
from affekt.audio.reading import channel_blocks, read
from affekt.cli import main
from affekt.corpora import load as load_corpus
from affekt.errors import AudioError, ModelError
from affekt.inference.profile import Profile, read_profile
from affekt.inference.speakers.speech_embedding import FEW, SAMPLED
from affekt.inference.timelines import rttm as rttm_files
from affekt.inference.timelines.annotation_files import LINES, annotation_file, eaf, textgrid
from affekt.inference.timelines.rttm import read_turns
from affekt.inference.timelines.timeline import Utterance
from conftest import SAMPLES, Captured

RATE = 16_000
Sound = NDArray[np.float32]


@pytest.fixture(scope="module")
def stereo() -> Sound:
    """Two voices in turn: the left channel is silent while the right one speaks."""
    quiet = np.zeros(RATE, np.float32)
    sayings = [read(SAMPLES / f"{name}.flac") for name in ("loud", "calm", "slow")]
    sides: tuple[list[Sound], list[Sound]] = ([], [])
    for number, said in enumerate(sayings):
        part = np.concatenate([quiet, said])
        sides[number % 2].append(part)
        sides[1 - number % 2].append(np.zeros_like(part))
    return np.stack([np.concatenate(side) for side in sides], axis=1)


@pytest.fixture(scope="module")
def call(stereo: Sound, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("call") / "call 1.wav"
    soundfile.write(path, stereo, RATE, subtype="FLOAT")
    return path


def spans(said: list[Utterance]) -> list[tuple[float, float, str]]:
    return [(each.start, each.end, each.label) for each in said]


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_channels_are_read_in_one_decoding(stereo: Sound, rate: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, soxr.resample(stereo, RATE, rate), rate, subtype="FLOAT")
    found = np.concatenate([*channel_blocks(path)])
    for channel in (0, 1):
        assert np.allclose(found[:, channel], read(path, channel=channel), atol=1e-6)


def test_each_channel_is_answered_as_alone(predictor: affekt.Predictor, call: Path) -> None:
    found = [*predictor.timeline(call, channel="each")]
    assert {each.speaker for each in found} == {"speaker 1", "speaker 2"}
    for channel in (0, 1):
        mine = [each for each in found if each.channel == channel]
        alone = replace(predictor, adapt=bool(predictor.graph.profile))
        expected = [*alone.timeline(call, channel=channel)]
        assert len(mine) >= 1
        assert spans(mine) == spans(expected)
        assert [each.probabilities for each in mine] == [each.probabilities for each in expected]
        assert {each.speaker for each in mine} == {f"speaker {channel + 1}"}


def test_no_channel_is_that_of_the_predictor(predictor: affekt.Predictor, call: Path) -> None:
    right = replace(predictor, channel=1)
    expected = [*predictor.timeline(call, channel=1)]
    assert expected
    assert [*right.timeline(call, channel=None)] == [*right.timeline(call)] == expected


def test_a_long_silence_of_one_channel_holds_back_nothing(predictor: affekt.Predictor) -> None:
    said = np.concatenate([read(SAMPLES / "loud.flac"), np.zeros(8 * RATE, np.float32)])
    both = np.stack([np.tile(said, 12), np.zeros(12 * said.size, np.float32)], axis=1)
    taken: list[int] = []
    next(
        predictor.timeline(
            both, sample_rate=RATE, channel="each", watch=lambda b: taken.append(b.size)
        )
    )
    assert sum(taken) < len(both) / 2


def test_options_that_exclude_each_other(predictor: affekt.Predictor, call: Path) -> None:
    with pytest.raises(AudioError, match="one channel"):
        predictor.timeline(call, channel="each", speakers=[affekt.Turn(0.0, 1.0, "a")])
    profile = Profile("x", 1.0, np.zeros(2, np.float32), np.ones(2, np.float32), 1.0)
    with pytest.raises(ModelError, match="distinguished"):
        predictor.timeline(call, enrolled={"anna": profile})
    turns = [affekt.Turn(0.0, 1.0, "bo"), affekt.Turn(1.0, 2.0, "carl")]
    with pytest.raises(ModelError, match=r"the turns: bo, carl\. Got anna\."):
        predictor.timeline(call, speakers=turns, enrolled={"anna": profile, "bo": profile})


@pytest.mark.parametrize("speakers", [[(0.0, 1.0, "anna")], 2.5, iter([])])
def test_speakers_of_another_type_are_refused(
    predictor: affekt.Predictor, call: Path, speakers: Any
) -> None:
    with pytest.raises(AudioError, match=r"a list of affekt\.Turn\. Got .+\. Pass one of these"):
        predictor.timeline(call, speakers=speakers)


def test_an_enrolled_profile_may_be_a_file(call: Path, tmp_path: Path) -> None:
    predictor = affekt.load("affekt-small")
    predictor.enroll([SAMPLES / "loud.flac"]).save(file := tmp_path / "anna.profile")
    given: Any = {"speakers": [affekt.Turn(0.0, 3.0, "anna")]}
    found = [*predictor.timeline(call, **given, enrolled={"anna": file})]
    assert found == [*predictor.timeline(call, **given, enrolled={"anna": read_profile(file)})]
    assert found != [*predictor.timeline(call, **given)]
    with pytest.raises(ModelError, match="must be a Profile or None"):
        [*predictor.timeline(call, **given, enrolled={"anna": 3})]


def rttm(path: Path, *lines: str) -> Path:
    path.write_text(";; made by a diarizer\n" + "\n".join(lines) + "\n")
    return path


def turn(start: float, end: float, speaker: str, file: str = "call_1", channel: int = 1) -> str:
    return f"SPEAKER {file} {channel} {start:.3f} {end - start:.3f} <NA> <NA> {speaker} <NA> <NA>"


@pytest.fixture(scope="module")
def turns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The turns of anna, on the left, and bo, on the right."""
    lines, at = [], 0.0
    for number, name in enumerate(("loud", "calm", "slow")):
        end = at + 1 + read(SAMPLES / f"{name}.flac").size / RATE
        lines.append(turn(at, end, ("anna", "bo")[number % 2]))
        at = end
    return rttm(tmp_path_factory.mktemp("turns") / "call.rttm", *lines)


def test_turns_of_one_channel_are_answered_as_two_channels(
    predictor: affekt.Predictor, call: Path, turns: Path
) -> None:
    found = [*predictor.timeline(call, speakers=turns)]
    expected = [*predictor.timeline(call, channel="each")]
    assert {each.speaker for each in found} == {"anna", "bo"}
    for name, channel in (("anna", 0), ("bo", 1)):
        mine = [(each.start, each.end) for each in found if each.speaker == name]
        theirs = [(each.start, each.end) for each in expected if each.channel == channel]
        assert np.allclose(mine, theirs, atol=0.1)
    assert {each.channel for each in found} == {None}


def test_overlapping_turns_are_answered_for_both(predictor: affekt.Predictor, call: Path) -> None:
    both = [affekt.Turn(0.0, 60.0, name) for name in ("a", "b")]
    found = [*predictor.timeline(call, speakers=both)]
    first, second = ([u for u in found if u.speaker == name] for name in ("a", "b"))
    assert spans(first) == spans(second)
    assert first


@pytest.mark.parametrize("start", [0.0, 2.0])
def test_the_emotion_is_of_the_speaker_alone(predictor: affekt.Predictor, start: float) -> None:
    """A change of the sound in the turn of another speaker changes no emotion."""
    sound = np.pad(read(SAMPLES / "slow.flac"), (RATE // 2 + int(start * RATE), RATE))

    def anna(sound: Sound, *bo: float) -> Utterance:
        """The first utterance of anna; bo speaks from a time to the end."""
        turns = [affekt.Turn(at, 60, "bo") for at in bo] + [affekt.Turn(start, 60, "anna")]
        options = {"sample_rate": RATE, "start": start, "time_constant": 0.0}
        found = predictor.timeline(sound, speakers=turns, **options)
        return next(each for each in found if each.speaker == "anna")

    alone = anna(sound)
    middle = (alone.start + alone.end) / 2
    changed = sound.copy()
    changed[round((middle + 0.1) * RATE) :] *= 0.7
    found = anna(sound, middle)
    assert (found.start, found.end, found.speech) == (alone.start, alone.end, alone.speech)
    assert found.probabilities == anna(changed, middle).probabilities
    assert alone.probabilities != anna(changed).probabilities
    little = alone.start + 0.4  # too little of anna alone
    assert anna(sound, little).probabilities == alone.probabilities


def test_turns_of_two_channels_are_searched_there(
    predictor: affekt.Predictor, call: Path, tmp_path: Path
) -> None:
    lines = turn(0, 60, "anna", channel=1), turn(0, 60, "bo", channel=2)
    found = [*predictor.timeline(call, speakers=rttm(tmp_path / "a.rttm", *lines))]
    expected = [*predictor.timeline(call, channel="each")]
    assert spans(found) == spans(expected)
    assert {(each.speaker, each.channel) for each in found} == {("anna", 0), ("bo", 1)}
    of_bo = [*predictor.timeline(call, speakers=tmp_path / "a.rttm", channel=1)]
    assert {each.speaker for each in of_bo} == {"bo"}
    assert spans(of_bo) == spans([each for each in found if each.channel == 1])
    with pytest.raises(AudioError, match="channels of a diarization"):
        [
            *predictor.timeline(
                call, speakers=rttm(tmp_path / "b", turn(0, 1, "a"), turn(0, 1, "b", channel=3))
            )
        ]


def test_a_part_keeps_the_times_of_turns(
    predictor: affekt.Predictor, call: Path, turns: Path
) -> None:
    whole = [*predictor.timeline(call, speakers=turns)]
    second = next(each for each in whole if each.speaker == "bo")
    part = [
        *predictor.timeline(call, speakers=turns, start=second.start - 0.5, end=second.end + 0.5)
    ]
    assert part[0].speaker == "bo"
    assert part[0].start == pytest.approx(second.start, abs=0.1)


BAD_RTTM = {
    "missing": (None, "cannot be read"),
    "another recording": (turn(0, 1, "a", file="other"), "turns of other"),
    "empty": ("", "Got turns of none"),
    "words": ("hello world", "line 2"),
    "no number": (turn(0, 1, "a").replace("0.000", "soon"), "line 2"),
    "negative": (turn(2, 1, "a"), "line 2"),
    "channel 0": (turn(0, 1, "a", channel=0), "line 2"),
}


@pytest.mark.parametrize("case", BAD_RTTM)
def test_bad_rttm_is_one_line(
    case: str, call: Path, model: str, tmp_path: Path, capsys: Captured
) -> None:
    content, message = BAD_RTTM[case]
    path = tmp_path / "a.rttm"
    if content is not None:
        rttm(path, content)
    of_the_recording = case in ("another recording", "empty")  # other recordings may have turns
    assert predict(call, "--speakers", path, "--model", model) == (1 if of_the_recording else 2)
    printed = capsys.readouterr()
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert of_the_recording or printed.out == ""


def test_rttm_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latin = tmp_path / "latin.rttm"
    latin.write_bytes(b"\xff")
    for path, reason in (
        (latin, "invalid start byte"),
        ("a\0", "embedded null"),
        (tmp_path, "Is a"),
    ):
        with pytest.raises(AudioError, match=f"cannot be read: {reason}"):
            read_turns(path)
    monkeypatch.setattr(rttm_files, "MAX_BYTES", 20)
    with pytest.raises(AudioError, match="must have at most 20 bytes"):
        read_turns(rttm(tmp_path / "long.rttm", turn(0, 1, "a")))


def test_a_profile_of_an_unknown_name_is_refused(
    call: Path, tmp_path: Path, capsys: Captured
) -> None:
    """The names of an RTTM file are those of all its recordings."""
    turns = rttm(tmp_path / "a.rttm", turn(0, 1, "bo"), turn(0, 1, "anna", file="other"))
    profile = tmp_path / "a.profile"
    affekt.load().enroll([SAMPLES / "calm.flac"]).save(profile)
    given = [call, "--speakers", turns, "--speaker"]
    assert predict(*given, f"ana={profile}") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert f"must be of speakers of {turns}: bo, anna. Got ana." in line
    assert predict(*given, f"anna={profile}") == 0


@pytest.mark.parametrize("times", [(2, 1), (-1, 1), (math.nan, 1), (0, math.inf)])
def test_impossible_turns_are_refused(times: tuple[float, float]) -> None:
    with pytest.raises(AudioError, match="0 <= start <= end"):
        affekt.Turn(*times, "anna")


def test_rttm_of_other_tools(tmp_path: Path) -> None:
    path = rttm(
        tmp_path / "a.rttm",
        "SPKR-INFO call_1 1 <NA> <NA> <NA> unknown a <NA>",
        turn(2, 3, "b"),
        turn(0.5, 1, "a", file="folder/call_1"),
        turn(0, 9, "c", file="other"),
    )
    found = read_turns(path, "folder/call 1.wav")
    assert [(each.start, each.end, each.speaker) for each in found] == [(0.5, 1, "a"), (2, 3, "b")]
    with pytest.raises(AudioError, match="one recording"):
        read_turns(path)


def test_an_enrolled_voice_has_its_profile(data: Path) -> None:
    clips = [
        clip for clip in load_corpus("ravdess", data / "ravdess").clips if clip.label == "angry"
    ]
    one, two = (data / "ravdess" / clips[at].file for at in (0, -1))
    profile = affekt.load().enroll([one])
    sounds = [read(clip) for clip in (one, two)]
    turns = [
        affekt.Turn(0, sounds[0].size / RATE, "anna"),
        affekt.Turn(sounds[0].size / RATE, 60, "bo"),
    ]
    predictor, joined = affekt.load(), np.concatenate(sounds)
    given = {"sample_rate": RATE, "speakers": turns}
    found = [*predictor.timeline(joined, **given, enrolled={"anna": profile})]
    plain = [*predictor.timeline(joined, **given)]
    enrolled = [*affekt.load(profile=profile).timeline(sounds[0], sample_rate=RATE)]
    mine = [each for each in found if each.speaker == "anna"]
    assert mine[0].probabilities == pytest.approx(enrolled[0].probabilities, abs=0.05)
    others = [[u for u in each if u.speaker == "bo"] for each in (found, plain)]
    assert others[0] == others[1]  # the profile of one speaker changes nothing for the other
    assert mine[0].probabilities != plain[0].probabilities
    with pytest.raises(ModelError, match="only speaker"):
        affekt.load(profile=profile).timeline(joined, **given)


def predict(*words: object) -> int:
    return main(["predict", "--timeline", *map(str, words)])


def test_formats_name_the_speaker(call: Path, model: str, capsys: Captured) -> None:
    def printed(*words: str) -> str:
        assert predict(call, "--channel", "each", "--model", model, *words) == 0
        return capsys.readouterr().out

    rows = [*csv.DictReader(io.StringIO(printed("--csv")))]
    found = {(row["channel"], row["speaker"]) for row in rows}
    assert found == {("0", "speaker 1"), ("1", "speaker 2")}
    objects = [json.loads(line) for line in printed("--json").splitlines()]
    assert {(each["channel"], each["speaker"]) for each in objects} == {
        (0, "speaker 1"),
        (1, "speaker 2"),
    }
    fields = [line.split() for line in printed("--format", "rttm").splitlines()]
    assert {(each[2], each[7]) for each in fields} == {("1", "speaker_1"), ("2", "speaker_2")}
    assert {each[6] for each in fields} == {row["label"] for row in rows}
    assert "<v speaker 2>" in printed("--format", "webvtt")
    assert "\tspeaker 1: " in printed("--format", "audacity")
    grid = printed("--format", "textgrid")
    assert "size = 2\n" in grid
    assert 'name = "speaker 2"' in grid
    lines = printed().splitlines()
    assert lines[0].split()[:4] == ["start", "end", "speaker", "emotion"]
    assert "speaker 1" in lines[2]


def test_our_own_rttm_can_be_given_back(
    call: Path, model: str, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "own.rttm"
    assert predict(call, "--channel", "each", "--model", model, "--format", "rttm", "-o", path) == 0
    assert predict(call, "--speakers", path, "--model", model, "--json") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(each["channel"], each["speaker"]) for each in found} == {
        (0, "speaker_1"),
        (1, "speaker_2"),
    }


def test_one_channel_is_named_in_rttm(call: Path, model: str, capsys: Captured) -> None:
    assert predict(call, "--channel", "1", "--model", model, "--format", "rttm") == 0
    fields = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {(each[2], each[7]) for each in fields} == {("2", "speaker_1")}


def overlapping() -> Iterator[Utterance]:
    for speaker, start, end in (("a", 0.0, 2.0), ("b", 1.0, 3.0), ("a", 2.5, 4.0)):
        yield Utterance("f", start, end, "sad", {"sad": 1.0}, 1.0, speaker=speaker, channel=0)


def test_subtitles_and_slots_of_time_never_go_back() -> None:
    said = [*overlapping()][::-1]
    times = re.findall(r"(\S+) -->", annotation_file("webvtt", said, 5.0, ""))
    assert times == sorted(times)
    slots = [int(each) for each in re.findall(r'TIME_VALUE="(\d+)"', eaf(said, ""))]
    assert slots == sorted(slots)


def test_tiers_of_speakers_may_overlap() -> None:
    grid = textgrid([*overlapping()], 5.0)
    assert grid.count('text = "sad"') == 3
    assert grid.count("xmax = 5.000000") == 5  # the file, two tiers, and their last intervals
    assert len({LINES["rttm"](each) for each in overlapping()}) == 3


USAGE = {
    "--timeline --channel each --speakers a.rttm": "--channel each cannot be combined with --sp",
    "--channel each": "--channel each needs --timeline.",
    "--speakers a.rttm": "--speakers needs --timeline.",
    "--timeline --channel left": "--channel must be each, or a number from 0. Got left.",
    "--timeline --channel -1": "--channel must be each, or a number from 0. Got -1.",
    "--timeline --speaker a=b": "--speaker needs --speakers or --channel each.",
    "--timeline --speakers a.rttm --speaker anna": "--speaker must be NAME=FILE, each name once.",
    "--timeline --channel each --profile a.profile": "cannot be combined with --profile (name it",
    "--timeline --channel each --plot a.svg": "--channel each cannot be combined with --plot.",
}


@pytest.mark.parametrize(("words", "message"), USAGE.items(), ids=USAGE)
def test_wrong_use_is_refused(
    words: str, message: str, call: Path, model: str, capsys: Captured
) -> None:
    assert main(["predict", str(call), "--model", model, *words.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_the_page_says_when_voices_are_counted() -> None:
    page = (SAMPLES.parent / "docs" / "conversations.md").read_text(encoding="utf-8")
    text = " ".join(page.partition("### Without `--speakers`")[2].partition("##")[0].split())
    assert f"the first {SAMPLED} utterances" in text
    assert f"fewer than {FEW} utterances" in text


def test_several_voices_are_noted(data: Path, tmp_path: Path, capsys: Captured) -> None:
    """One line names a recording of two actors of RAVDESS, and none one of one actor."""
    corpus = load_corpus("ravdess", data / "ravdess")
    for name, actors in {"one": ("15",), "two": ("15", "20")}.items():
        clips = [clip for clip in corpus.clips if clip.speaker.removeprefix("ravdess:") in actors]
        sound = np.concatenate([read(corpus.root / clip.file) for clip in clips[:: len(actors)]])
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE)
    assert predict(tmp_path / "one.wav", "--csv") == 0
    assert capsys.readouterr().err == ""
    assert predict(tmp_path / "two.wav", "--csv") == 0
    said = capsys.readouterr().err
    assert "may hold" in said
    assert "--speakers 2" in said
    assert len(said.splitlines()) == 1
    assert predict(tmp_path / "two.wav", "--csv", "--speakers", "2") == 0
    assert capsys.readouterr().err == ""
