"""Test the profile of a speaker: enrolment, its file, and the models that accept it."""

import json
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save

import affekt
from affekt.audio.windows import window_count
from affekt.cli import main
from affekt.errors import ModelError
from affekt.inference.prediction import UNCERTAIN, Segment
from affekt.inference.profile import PROFILE_BYTES, Profile, profile_state, read_profile
from affekt.inference.speech.quality import QualityLimits
from affekt.inference.stream import Stream
from conftest import SAMPLES
from small_model import small_model
from synthetic_network import LABELS, made_sound, own_model
from test_export import Malicious

Floats = NDArray[np.float32]
RATE, HOP = 16_000, 15_360


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """affekt's own network of drawn numbers, cut short."""
    return own_model(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def predictor(model: Path) -> affekt.Predictor:
    return affekt.load(model)


@pytest.fixture(scope="module")
def person(predictor: affekt.Predictor) -> Profile:
    return predictor.enroll(
        [made_sound(5.0, pitch=210.0), made_sound(3.3, pitch=190.0)], sample_rate=RATE
    )


def numbers(segments: Sequence[Segment]) -> Floats:
    return np.array([[*each.probabilities.values()] for each in segments], np.float32)


def answers(stream: Stream, sound: Floats, sizes: Sequence[int] = (1_600,)) -> list[Segment]:
    found: list[Segment] = []
    at = turn = 0
    while at < sound.size:
        size = sizes[turn % len(sizes)]
        found += stream.push(sound[at : at + size])
        at, turn = at + size, turn + 1
    return found + stream.flush()


# ----------------------------------------------------------------------------- enrolling


def test_a_profile_changes_predictions(predictor: affekt.Predictor, person: Profile) -> None:
    sound = made_sound(pitch=200.0)
    known = replace(predictor, profile=person)
    unknown, found = (each.predict(sound, sample_rate=RATE) for each in (predictor, known))
    assert (
        len(found.segments)
        == len(unknown.segments)
        == window_count(sound.size, hop=HOP, last_window="pad")
    )
    assert np.abs(numbers(found.segments) - numbers(unknown.segments)).max() > 0.01
    again = known.predict(sound, sample_rate=RATE)
    assert again == found  # nothing is learned unless it is asked for


def test_a_profile_depends_on_the_recordings(predictor: affekt.Predictor, person: Profile) -> None:
    """By the graph itself, window by window."""
    graph = predictor.graph
    state = dict(graph.start)
    for sound in (made_sound(5.0, pitch=210.0), made_sound(3.3, pitch=190.0)):
        state = {**graph.start, **{name: state[name] for name in graph.profile}}
        filled = (window_count(sound.size, hop=HOP, last_window="pad") - 1) * HOP + 15_600
        padded = np.pad(sound, (0, filled - sound.size))
        for start in range(0, filled - 15_600 + 1, HOP):
            _, state = graph.run(padded[None, start : start + 15_600], state, adapt=True)
    weight, total, square = (np.float64(state[name]) for name in graph.profile)
    assert person.weight == pytest.approx(weight.item(), rel=1e-5)
    np.testing.assert_allclose(person.mean, total / weight, rtol=1e-3, atol=1e-4)
    deviation = np.sqrt(np.maximum(square / weight - (total / weight) ** 2, 0))
    np.testing.assert_allclose(person.deviation, deviation, rtol=1e-2, atol=1e-3)
    assert person.measure == graph.measure
    assert 4.0 < person.seconds < 8.3
    assert person.seconds == pytest.approx(person.weight / 24 * 0.96)
    assert len(repr(person)) < 100  # no arrays


def test_enrolment_goes_on(predictor: affekt.Predictor, person: Profile) -> None:
    first = predictor.enroll([made_sound(5.0, pitch=210.0)], sample_rate=RATE)
    both = replace(predictor, profile=first).enroll(
        [made_sound(3.3, pitch=190.0)], sample_rate=RATE
    )
    assert both.weight == pytest.approx(person.weight, rel=1e-3)
    np.testing.assert_allclose(both.mean, person.mean, rtol=1e-2, atol=1e-3)
    assert first.weight < both.weight


def test_silence_makes_no_profile(predictor: affekt.Predictor) -> None:
    for sounds in ([np.zeros(40_000, np.float32)], []):
        with pytest.raises(ModelError, match="no speech detected"):
            predictor.enroll(sounds, sample_rate=RATE)
    with pytest.raises(ModelError, match="a stream without adapt makes no profile"):
        _ = predictor.stream().profile


def test_a_model_without_speaker_normalization_refuses_profiles(
    tmp_path: Path, person: Profile
) -> None:
    other = affekt.load(small_model(tmp_path / "small.onnx"))
    for act in (
        lambda: other.enroll(Path("nothing.wav") for _ in range(3)),  # before a sound is read
        lambda: other.stream().profile,
        lambda: replace(other, profile=person),
        lambda: replace(other, adapt=True),
    ):
        with pytest.raises(ModelError, match="small") as error:
            act()
        assert "\n" not in str(error.value)


# -------------------------------------------------------------------------------- adapting


def test_adaptation_updates_the_profile_window_by_window(predictor: affekt.Predictor) -> None:
    adapting, sound = replace(predictor, adapt=True), made_sound(pitch=220.0)
    stream = adapting.stream()
    first, second = answers(stream, sound), answers(stream, sound)  # the same words again
    assert np.abs(numbers(first) - numbers(second)).max() > 1e-3  # who speaks is known by now
    assert stream.profile.weight > predictor.enroll([sound], sample_rate=RATE).weight
    anew = adapting.stream()
    np.testing.assert_array_equal(numbers(answers(anew, sound)), numbers(first))
    stream.reset()
    third = answers(stream, sound)
    assert np.abs(numbers(third) - numbers(first)).max() > 1e-3  # a reset forgets no person


def test_adapting_starts_from_the_profile(predictor: affekt.Predictor, person: Profile) -> None:
    stream = replace(predictor, profile=person, adapt=True).stream()
    before = stream.profile.weight
    assert before == pytest.approx(person.weight, rel=1e-5)
    answers(stream, made_sound())
    assert stream.profile.weight > before
    fixed = replace(predictor, profile=person).stream()
    answers(fixed, made_sound())
    assert fixed.profile.weight == pytest.approx(before)


def test_an_adapted_profile_keeps_its_voice(predictor: affekt.Predictor, person: Profile) -> None:
    known = replace(person, voice=np.eye(1, 256, dtype=np.float32)[0])
    adapting = replace(predictor, profile=known, adapt=True)
    stream = adapting.stream()
    answers(stream, made_sound())
    assert stream.profile.weight > person.weight
    assert stream.profile.voice is known.voice
    # a stream saves no voice, and the one that restores it may have the profile of somebody else
    assert adapting.restore(stream.save()).profile.voice is None


@settings(max_examples=25)
@given(
    samples=st.integers(1, 70_000),
    sizes=st.lists(st.integers(0, 20_000), min_size=1, max_size=5).filter(lambda s: sum(s) > 500),
    adapt=st.booleans(),
    known=st.booleans(),
)
def test_stream_equals_predict(
    predictor: affekt.Predictor,
    person: Profile,
    samples: int,
    sizes: list[int],
    adapt: bool,
    known: bool,
) -> None:
    """With padded ends, profiles, and learning as it goes."""
    who = replace(predictor, profile=person if known else None, adapt=adapt)
    sound = made_sound(4.5)[:samples]
    whole = who.predict(sound, sample_rate=RATE).segments
    found = answers(who.stream(), sound, sizes)
    assert [(s.start, s.end) for s in found] == [(s.start, s.end) for s in whole]
    assert len(whole) == window_count(samples, hop=HOP, last_window="pad")
    assert whole[-1].end == pytest.approx(samples / RATE)
    np.testing.assert_allclose(numbers(found), numbers(whole), atol=1e-4)


@settings(max_examples=20)
@given(
    rate=st.sampled_from([RATE, 8_000, 48_000]),
    cuts=st.lists(st.floats(0, 1), min_size=1, max_size=4),
    adapt=st.booleans(),
)
def test_a_stream_moves_between_processes(
    predictor: affekt.Predictor, person: Profile, rate: int, cuts: list[float], adapt: bool
) -> None:
    who = replace(predictor, profile=person, adapt=adapt, min_confidence=0.4)
    sound = np.interp(np.arange(0, 4, 1 / rate), np.arange(64_000) / RATE, made_sound(4.0))
    expected = who.predict(sound.astype(np.float32), sample_rate=rate).segments
    stream, found = who.stream(rate), []
    edges = [0, *sorted(int(at * sound.size) for at in cuts), sound.size]
    for begin, end in pairwise(edges):
        stream = predictor.restore(stream.save())  # it knows for itself how it was begun
        found += stream.push(sound[begin:end].astype(np.float32))
    stream = predictor.restore(stream.save())
    found += stream.flush()
    assert [(s.start, s.end, s.label) for s in found] == [
        (s.start, s.end, s.label) for s in expected
    ]
    np.testing.assert_allclose(numbers(found), numbers(expected), atol=1e-4)
    assert (stream.profile.weight > person.weight * 1.01) == adapt


# ------------------------------------------------------------------------------ certainty


def test_options_of_other_types_are_saved(predictor: affekt.Predictor) -> None:
    limits = QualityLimits(snr=np.float32(5.0))  # type: ignore[arg-type]
    chosen = replace(predictor, adapt=1, min_confidence=np.float32(0.5), limits=limits)  # type: ignore[arg-type]
    restored = predictor.restore(chosen.stream().save())
    assert (restored.min_confidence, restored.limits) == (0.5, limits)


def test_what_is_not_probable_enough_is_uncertain(predictor: affekt.Predictor) -> None:
    sound = made_sound()
    plain = replace(predictor, limits=None).predict(sound, sample_rate=RATE)
    largest = numbers(plain.segments).max(axis=1)
    low, high = np.sort(largest)[len(largest) // 2 - 1 :][:2]
    bar = float(low + high) / 2
    careful = replace(predictor, min_confidence=bar, limits=None)
    for found in (
        careful.predict(sound, sample_rate=RATE).segments,
        answers(careful.stream(), sound),
    ):
        assert {s.label for s in found} > {UNCERTAIN}
        for segment, before, share in zip(found, plain.segments, largest, strict=True):
            assert segment.label == (before.label if share >= bar else UNCERTAIN)
            assert segment.probabilities == pytest.approx(before.probabilities, abs=1e-5)
    never = replace(predictor, min_confidence=1.0).predict(sound, sample_rate=RATE)
    assert never.label == UNCERTAIN
    assert UNCERTAIN not in predictor.labels
    assert plain.label in LABELS


@pytest.mark.parametrize("memory", [0.0, 4.0])
def test_an_uncertain_utterance_is_labelled_uncertain(
    predictor: affekt.Predictor, memory: float, speech: Floats
) -> None:
    sure, never = (
        list(
            replace(predictor, min_confidence=bar).timeline(
                speech, sample_rate=RATE, time_constant=memory
            )
        )
        for bar in (0.0, 1.0)
    )
    assert sure
    assert {each.label for each in sure} <= {*LABELS}
    assert [replace(each, label=UNCERTAIN) for each in sure] == never


@pytest.fixture(scope="module")
def speech() -> Floats:
    return affekt.read(Path(__file__).parents[1] / "samples" / "lively.flac")


@pytest.mark.parametrize("bar", [-0.1, 1.01, float("nan"), float("inf")])
def test_a_confidence_is_a_probability(predictor: affekt.Predictor, bar: float) -> None:
    with pytest.raises(ModelError, match=r"min_confidence must be a probability in \[0, 1\]"):
        replace(predictor, min_confidence=bar)


# ------------------------------------------------------------------------------- the file


def test_what_is_saved_comes_back(
    predictor: affekt.Predictor, person: Profile, tmp_path: Path
) -> None:
    file = tmp_path / "me.profile"
    person.save(file)
    assert file.stat().st_size < 16 * 1024
    assert [path.name for path in tmp_path.iterdir()] == ["me.profile"]
    found = read_profile(str(file))
    assert (found.measure, found.weight, found.seconds) == (
        person.measure,
        person.weight,
        person.seconds,
    )
    np.testing.assert_allclose(found.mean, person.mean, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.deviation, person.deviation, rtol=1e-3, atol=1e-6)
    sound = made_sound(pitch=200.0)
    by_file = affekt.load(predictor.graph.file, profile=file).predict(sound, sample_rate=RATE)
    by_hand = replace(predictor, profile=person).predict(sound, sample_rate=RATE)
    np.testing.assert_allclose(numbers(by_file.segments), numbers(by_hand.segments), atol=2e-3)
    person.save(file)  # over the one that is there


def test_a_profile_file_holds_no_sound_and_has_metadata(person: Profile, tmp_path: Path) -> None:
    person.save(tmp_path / "me.profile")
    content = (tmp_path / "me.profile").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    about = json.loads(header.pop("__metadata__")["affekt"])
    assert {name: (each["dtype"], each["shape"]) for name, each in header.items()} == {
        "mean": ("F16", [2_048]),
        "deviation": ("F16", [2_048]),
    }
    assert about == {
        "format": "1",
        "measure": person.measure,
        "weight": repr(person.weight),
        "seconds": repr(person.seconds),
    }


def test_the_largest_of_ours_is_small(tmp_path: Path) -> None:
    """affekt's own network ends with the fifth block: 256 channels in 8 bands."""
    numbers = np.linspace(0, 6, 256 * 8, dtype=np.float32)
    Profile("0" * 16, 1e6 / 3, numbers, numbers, 1e6 / 3).save(tmp_path / "long.profile")
    assert (tmp_path / "long.profile").stat().st_size < 16 * 1024


def test_a_place_that_cannot_be_written(person: Profile, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "missing" / "me.profile", tmp_path / "folder"):
        with pytest.raises(ModelError, match="cannot be written"):
            person.save(target)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


def file_of(person: Profile, **changes: object) -> bytes:
    """A profile's file as :meth:`Profile.save` makes it, with some of it changed."""
    tensors = {
        "mean": changes.pop("mean", person.mean.astype(np.float16)),
        "deviation": changes.pop("deviation", person.deviation.astype(np.float16)),
    }
    about = {
        "format": "1",
        "measure": person.measure,
        "weight": repr(person.weight),
        "seconds": repr(person.seconds),
    } | changes
    return save(tensors, metadata={"affekt": json.dumps(about)})  # type: ignore[arg-type]


def broken(person: Profile) -> Iterator[tuple[str, bytes]]:
    whole, two = file_of(person), np.zeros(2, np.float16)
    yield "nothing", b""
    yield "half", whole[: len(whole) // 2]
    yield "header alone", whole[:60]
    yield "text", b"profile\n" * 200
    yield "a pickle", pickle.dumps({"mean": [0.0]})
    yield "another safetensors file", save({"weight": two})
    yield "no metadata", save({"mean": two, "deviation": two})
    yield "no JSON", save({"mean": two, "deviation": two}, metadata={"affekt": "{"})
    yield "format of tomorrow", file_of(person, format="2")
    yield "no weight", file_of(person, weight="0.0")
    yield "endless weight", file_of(person, weight="inf")
    yield "weight that is no number", file_of(person, weight="nan")
    yield "weight that is a word", file_of(person, weight="much")
    yield "seconds before none", file_of(person, seconds="-1.0")
    yield "a mean without end", file_of(person, mean=np.full(2_048, np.inf, np.float16))
    yield "a mean that is no number", file_of(person, mean=np.full(2_048, np.nan, np.float16))
    yield "a deviation below none", file_of(person, deviation=np.full(2_048, -1, np.float16))
    yield "one number less", file_of(person, deviation=np.zeros(2_047, np.float16))
    yield "two axes", file_of(person, mean=np.zeros((2, 2), np.float16), deviation=np.zeros((2, 2)))


def test_what_is_no_whole_profile_is_refused_in_a_line(person: Profile, tmp_path: Path) -> None:
    for name, content in broken(person):
        file = tmp_path / "other.profile"
        file.write_bytes(content)
        with pytest.raises(ModelError, match="must be a whole profile") as error:
            read_profile(file)
        assert "\n" not in str(error.value), name
        assert "Error" not in str(error.value), name


@settings(max_examples=60)
@given(at=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_a_damaged_profile_is_refused_or_still_numbers(
    person: Profile, at: float, bits: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(file_of(person))
    content[int(at * len(content))] ^= bits
    file = tmp_path_factory.getbasetemp() / "damaged.profile"
    file.write_bytes(content)
    try:
        found = read_profile(file)
    except ModelError as error:
        complaint = str(error)
    else:
        complaint = ""
        assert np.isfinite(found.mean).all()
        assert (found.deviation >= 0).all()
    assert "\n" not in complaint


def test_a_profile_runs_no_code(tmp_path: Path) -> None:
    trace, file = tmp_path / "executed", tmp_path / "me.profile"
    file.write_bytes(pickle.dumps(Malicious(trace)))
    with pytest.raises(ModelError, match="must be a whole profile"):
        read_profile(file)
    assert not trace.exists()


def test_a_file_that_is_too_large_or_not_there(tmp_path: Path) -> None:
    file = tmp_path / "huge.profile"
    with file.open("wb") as stream:
        stream.truncate(PROFILE_BYTES + 1)
    for other in (file, tmp_path, Path("/dev/zero")):  # which never ends
        with pytest.raises(ModelError, match="must be a file of at most"):
            read_profile(other)
    with pytest.raises(ModelError, match=r"cannot be read: .*affekt enroll"):
        read_profile(tmp_path / "missing.profile")


def test_another_models_profile_is_refused(
    predictor: affekt.Predictor, person: Profile, tmp_path: Path
) -> None:
    for odd, words in (
        (
            replace(person, measure="f" * 16),
            "must be made with the features of model own",
        ),
        (replace(person, mean=person.mean[:9], deviation=person.deviation[:9]), "Got 9"),
    ):
        odd.save(tmp_path / "odd.profile")
        with pytest.raises(ModelError, match=words) as error:
            affekt.load(predictor.graph.file, profile=tmp_path / "odd.profile")
        assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match="no speaker normalization; leave out the profile, or"):
        affekt.load("yamnet-lstm", profile=person)


def test_models_with_the_same_trunk_share_profiles(person: Profile, tmp_path: Path) -> None:
    """Another head and other weights of the labels: the measure of profiles is the same."""
    other = affekt.load(own_model(tmp_path, head="mean"), profile=person)
    found = other.predict(made_sound(), sample_rate=RATE)
    unknown = affekt.load(other.graph.file).predict(made_sound(), sample_rate=RATE)
    assert found.probabilities != unknown.probabilities


def test_no_enrolment_is_a_profile_of_zeros(predictor: affekt.Predictor) -> None:
    state = profile_state(None, predictor.graph)
    assert [*state] == [*predictor.graph.profile]
    assert not any(each.any() for each in state.values())


# ---------------------------------------------------------------------------- the command


def test_enroll_on_the_command_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voice, file = tmp_path / "voice", tmp_path / "me.profile"
    voice.mkdir()
    for number, pitch in enumerate((210.0, 190.0)):
        soundfile.write(voice / f"{number}.wav", made_sound(4.0, pitch), RATE, subtype="FLOAT")
    words = ["enroll", f"{file}", "--model", f"{model}"]
    assert main([*words, f"{voice}"]) == 0
    found = read_profile(file)
    assert capsys.readouterr().out == f"{file}: {found.seconds:.1f} seconds of speech\n"
    assert main([*words, f"{voice}"]) == 2
    assert "exists. Use --add or --replace" in capsys.readouterr().err
    assert main([*words, "--replace", f"{voice}"]) == 0
    assert read_profile(file).weight == found.weight
    assert main([*words, "--add", f"{voice / '0.wav'}"]) == 0
    assert read_profile(file).weight > 1.3 * found.weight
    (voice / "2.wav").write_text("no sound")
    before = file.read_bytes()
    capsys.readouterr()
    assert main([*words, "--replace", f"{voice}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert file.read_bytes() == before
    assert main(["enroll", f"{tmp_path / 'new.profile'}", "--add", f"{voice}"]) == 2
    assert "affekt:" in capsys.readouterr().err


def test_a_profile_that_another_program_changes_is_kept(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, enroll = tmp_path / "me.profile", affekt.Predictor.enroll
    words = ["enroll", f"{file}", "--model", f"{model}", f"{SAMPLES / 'loud.flac'}"]
    assert main(words) == 0

    def changed_meanwhile(self: affekt.Predictor, *files: Any, **options: Any) -> Profile:
        monkeypatch.undo()
        assert main([*words, "--add"]) == 0
        return enroll(self, *files, **options)

    monkeypatch.setattr(affekt.Predictor, "enroll", changed_meanwhile)
    weight = read_profile(file).weight
    assert main([*words, "--add"]) == 2
    assert "must not be changed by another program" in capsys.readouterr().err
    assert read_profile(file).weight == pytest.approx(2 * weight, rel=1e-2)


def test_nothing_else_is_written_over(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who forgets to name the profile, or lets the shell list recordings, loses none of them."""
    files = [tmp_path / f"{number}.wav" for number in range(2)]
    for file in files:
        soundfile.write(file, made_sound(4.0, 200.0), RATE, subtype="FLOAT")
    before = [file.read_bytes() for file in files]
    assert main(["enroll", *map(str, files), "--replace", "--model", f"{model}"]) == 2
    assert "named like a recording" in capsys.readouterr().err
    notes = tmp_path / "notes.txt"
    notes.write_text("of a session")
    assert main(["enroll", f"{notes}", *map(str, files), "--replace", "--model", f"{model}"]) == 2
    assert notes.read_text() == "of a session"
    assert [file.read_bytes() for file in files] == before


def test_who_enrolls_little_or_no_speech_is_told(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rain = tmp_path / "rain.wav"
    noise = 0.05 * np.random.default_rng(0).standard_normal(4 * RATE)
    soundfile.write(rain, noise, RATE, subtype="FLOAT")
    words = ["enroll", f"{tmp_path / 'me.profile'}", "--model", f"{model}", f"{rain}"]
    assert main(words) == 2
    assert "rain.wav: no speech detected; the file is skipped." in capsys.readouterr().err
    assert not (tmp_path / "me.profile").exists()
    assert main([*words, str(SAMPLES / "loud.flac")]) == 0
    printed = capsys.readouterr()
    assert "is skipped" in printed.err
    assert "at least 10 s of speech" in printed.err
    alone = affekt.load(model).enroll(SAMPLES / "loud.flac")
    assert read_profile(tmp_path / "me.profile").seconds == pytest.approx(alone.seconds)
