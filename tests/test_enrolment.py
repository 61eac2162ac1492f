"""Test which clips a speaker is enrolled with, in training and in tests."""

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from affekt.corpora.clips import Clip
from affekt.corpora.manifest import Manifest
from affekt.experiments.feature_cache import Features
from affekt.experiments.minibatches import Inputs
from affekt.experiments.profiles import (
    ADAPTIVE,
    AMOUNTS,
    MOST,
    ONE_EMOTION,
    UNENROLLED,
    draw_profiles,
    enrolments,
    predict_enrolled,
    profile_of,
    same_speaker,
)
from affekt.model.architecture import Architecture
from affekt.model.classifier import Classifier
from affekt.model.speaker_normalization import window_sums
from synthetic_network import LABELS, OWN

Rows = NDArray[np.int64]
CONDITIONS = [
    *(f"random-{n}" for n in AMOUNTS),
    "all",
    *(f"{label}-{ONE_EMOTION}" for label in LABELS),
]
quick = settings(max_examples=60)
#: Speaker and label of each clip.
tables = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(LABELS)), min_size=1, max_size=50)


def manifest_of(table: list[tuple[int, str]]) -> Manifest:
    clips = (
        Clip(f"{row}.wav", label, f"toy:{speaker}", "f", seconds=1.0)
        for row, (speaker, label) in enumerate(table)
    )
    return Manifest("toy", "four", LABELS, Path("/r"), tuple(clips))


def speaker_of(manifest: Manifest, row: int) -> str:
    return manifest.clips[row].speaker


def some(table: list[tuple[int, str]], tested: int) -> Rows:
    """Rows of all speakers but one: a part of a fold."""
    rows = [row for row, (speaker, _) in enumerate(table) if speaker != tested]
    return np.array(rows, np.int64)


# ------------------------------------------------------------------------------- testing


@quick
@given(tables, st.integers(0, 3), st.integers(0, 9))
def test_a_tested_clip_is_never_in_its_own_profile(
    table: list[tuple[int, str]], tested: int, seed: int
) -> None:
    manifest, clips = manifest_of(table), some(table, tested)
    others = same_speaker(manifest, clips)
    found = dict(enrolments(manifest, clips, seed=(seed, 1)))
    assert list(found) == CONDITIONS
    for name, enrolling in found.items():
        assert enrolling.keys() == {*map(int, clips)}
        for row, chosen in enrolling.items():
            assert row not in chosen
            assert len({*chosen}) == len(chosen)
            assert {*chosen} <= {*map(int, clips)}
            assert {speaker_of(manifest, each) for each in chosen} <= {speaker_of(manifest, row)}
            pool = {*others[row]}
            if name.startswith("random-"):
                assert len(chosen) == min(int(name.removeprefix("random-")), len(pool))
            elif name == "all":
                assert {*chosen} == pool
            else:
                label = name.removesuffix(f"-{ONE_EMOTION}")
                alike = [each for each in pool if manifest.clips[each].label == label]
                assert {manifest.clips[each].label for each in chosen} <= {label}
                assert len(chosen) == min(ONE_EMOTION, len(alike))


def test_enrolment_follows_the_seed_and_differs_between_conditions() -> None:
    table = [(row % 3, LABELS[row // 3 % 4]) for row in range(120)]
    manifest, clips = manifest_of(table), np.arange(120)

    def drawn(*seed: int) -> dict[str, dict[int, list[int]]]:
        found = enrolments(manifest, clips, seed=seed)
        return {name: {r: sorted(c) for r, c in rows.items()} for name, rows in found}

    one = drawn(0, 1)
    assert one == drawn(0, 1)
    for other in (drawn(0, 2), drawn(1, 1)):
        assert all((one[name] == other[name]) == (name == "all") for name in one)
    nested = [{*one["random-4"][row]} <= {*one["random-16"][row]} for row in range(120)]
    assert np.mean(nested) < 0.5  # a lucky draw of few is no part of more


# ------------------------------------------------------------------------------ training


def telling(clips: int, voice: int) -> Features:
    """Activations whose profiles identify their clips and the simulated speaker."""
    own = torch.eye(clips)
    return Features(
        np.zeros((clips, 1, clips), np.float16),
        np.ones((clips, 1), np.float32),
        np.arange(clips + 1),
        {
            "speaker_weight": torch.ones(clips, 1),
            "speaker_sum": own,
            "speaker_square": (1 + voice) * own,
        },
    )


@quick
@given(tables, st.integers(0, 3), st.integers(0, 9))
def test_training_profiles_are_of_other_training_clips_of_the_speaker(
    table: list[tuple[int, str]], tested: int, seed: int
) -> None:
    manifest, clips = manifest_of(table), some(table, tested)
    if not len(clips):
        return
    voices = [telling(len(table), voice) for voice in range(3)]
    generator = np.random.default_rng(seed)
    spoken = generator.integers(3, size=len(clips))
    profiles = draw_profiles(voices, clips, spoken, same_speaker(manifest, clips), generator)
    for place, row in enumerate(clips):
        counts = profiles["speaker_sum"][place]
        chosen = counts.nonzero()[:, 0].tolist()
        assert counts.max() <= 1
        assert row not in chosen
        assert {*chosen} <= {*map(int, clips)}
        assert {speaker_of(manifest, each) for each in chosen} <= {speaker_of(manifest, row)}
        assert profiles["speaker_weight"][place].item() == len(chosen)
        assert torch.equal(profiles["speaker_square"][place], (1 + int(spoken[place])) * counts)


def test_training_profiles_are_often_small_and_a_quarter_empty() -> None:
    table = [(0, LABELS[row % 4]) for row in range(100)]
    clips = np.arange(100)
    others, voices = same_speaker(manifest_of(table), clips), [telling(100, 0)]
    generator = np.random.default_rng(0)
    amounts = Counter[int]()
    for _ in range(20):
        profiles = draw_profiles(voices, clips, np.zeros(100, np.int64), others, generator)
        amounts.update(profiles["speaker_weight"][:, 0].int().tolist())
    drawn = sum(amounts.values())
    assert amounts[0] / drawn == pytest.approx(UNENROLLED, abs=0.04)
    assert max(amounts) <= MOST
    assert max(amounts) > MOST / 2
    few = sum(count for amount, count in amounts.items() if 0 < amount <= 8)
    assert few / (drawn - amounts[0]) == pytest.approx(np.log(9) / np.log(MOST + 1), abs=0.06)


def test_training_profiles_follow_the_generator() -> None:
    clips = np.arange(30)
    others = same_speaker(manifest_of([(0, "sad")] * 30), clips)
    one, again, other = (
        draw_profiles(
            [telling(30, 0)], clips, np.zeros(30, np.int64), others, np.random.default_rng(seed)
        )["speaker_sum"]
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_profile_without_clips_is_zero() -> None:
    profile = profile_of(telling(5, 0), np.empty(0, np.int64))
    assert {name: tuple(each.shape) for name, each in profile.items()} == {
        "speaker_weight": (1,),
        "speaker_sum": (5,),
        "speaker_square": (5,),
    }
    assert not any(each.any() for each in profile.values())


# ------------------------------------------------------------------------------- answers


@cache
def network() -> Classifier:
    torch.manual_seed(4)
    made = Classifier(Architecture(LABELS, **OWN)).eval()
    with torch.no_grad():
        made.head.classes.weight *= 5
    return made


@cache
def spoken() -> tuple[Manifest, Features]:
    """Twelve clips of two very different speakers, of one to three windows each."""
    table = [(row % 2, LABELS[row % 4]) for row in range(12)]
    lengths = [1 + row % 3 for row in range(12)]
    starts = np.cumsum([0, *lengths])
    generator = np.random.default_rng(7)
    size = int(starts[-1]), network().trunk.steps
    steps = generator.normal(size=(*size, network().trunk.features)).astype(np.float16)
    for row, (speaker, _) in enumerate(table):
        steps[starts[row] : starts[row + 1]] += np.float16(4 * speaker - 2)
    shares = generator.random(size, np.float32)
    per_window = window_sums(torch.from_numpy(steps).float(), torch.from_numpy(shares))
    parts = {name: torch.split(each, lengths) for name, each in per_window.items()}
    sums = {name: torch.stack([part.sum(0) for part in each]) for name, each in parts.items()}
    return manifest_of(table), Features(steps, shares, starts, sums)


def answers_of(voice: Features) -> dict[str, NDArray[np.float32]]:
    manifest, _ = spoken()
    material = Inputs((), (voice,))
    return dict(predict_enrolled(network(), material, manifest, np.arange(12), seed=(0, 1)))


def test_every_condition_predicts_every_clip_with_its_profile() -> None:
    manifest, voice = spoken()
    found = answers_of(voice)
    assert list(found) == [*CONDITIONS, ADAPTIVE]
    for name, enrolling in enrolments(manifest, np.arange(12), seed=(0, 1)):
        assert found[name].shape == (12, 4)
        np.testing.assert_allclose(found[name].sum(axis=1), 1, atol=1e-5)
        for row in (0, 5, 11):
            embedded = Inputs((), (voice,)).encode(network(), np.array([row]))
            profile = {n: s[enrolling[row]].sum(0)[None] for n, s in voice.sums.items()}
            with torch.inference_mode():
                expected = network().read(*embedded, profile).softmax(dim=1)[0]
            np.testing.assert_allclose(found[name][row], expected, atol=1e-5)
    assert np.abs(found["all"] - found["random-1"]).max() > 0.01  # profiles matter


@pytest.mark.parametrize("row", [0, 3, 7])
def test_a_clip_changes_the_profiles_of_all_others_but_not_its_own(row: int) -> None:
    """The sums of one clip are no numbers: its own answers stay, those it enrols for do not."""
    _, voice = spoken()
    sums = {name: each.clone() for name, each in voice.sums.items()}
    for each in sums.values():
        each[row] = torch.nan
    clean, poisoned = answers_of(voice), answers_of(replace(voice, sums=sums))
    mates = [r for r in range(12) if r != row and r % 2 == row % 2]
    strangers = [r for r in range(12) if r % 2 != row % 2]
    for name in CONDITIONS:
        np.testing.assert_array_equal(
            poisoned[name][[row, *strangers]], clean[name][[row, *strangers]]
        )
    assert np.isnan(poisoned["all"][mates]).all()
    np.testing.assert_array_equal(poisoned[ADAPTIVE], clean[ADAPTIVE])  # computed from the clips


def test_adaptive_profiles_grow_clip_by_clip() -> None:
    """By hand: the speaker's clips in the order drawn, the profile handed on, the head anew."""
    _, voice = spoken()
    found = answers_of(voice)[ADAPTIVE]
    order = np.random.default_rng([0, 1, *ADAPTIVE.encode()]).permutation(12)
    for speaker in (0, 1):
        state = {n: each for n, each in network().start(1).items() if n.startswith("speaker")}
        for row in (int(each) for each in order if each % 2 == speaker):
            steps, shares, lengths = Inputs((), (voice,)).encode(network(), np.array([row]))
            with torch.inference_mode():
                answers, after = network().logits_by_window(
                    steps, shares, lengths, state, adapt=torch.ones(1)
                )
            np.testing.assert_allclose(found[row], answers[0, -1, 0].softmax(0), atol=1e-5)
            state = {name: after[name] for name in state}


def test_adaptive_profiles_ignore_other_speakers_and_later_clips() -> None:
    _, voice = spoken()
    clean = answers_of(voice)[ADAPTIVE]
    order = np.random.default_rng([0, 1, *ADAPTIVE.encode()]).permutation(12)
    late = int(order[8])
    steps = np.array(voice.steps)
    steps[voice.starts[late] : voice.starts[late + 1]] = np.nan
    poisoned = answers_of(replace(voice, steps=steps))[ADAPTIVE]
    after = [int(each) for each in order[8:] if each % 2 == late % 2]
    rest = [row for row in range(12) if row not in after]
    np.testing.assert_array_equal(poisoned[rest], clean[rest])
    assert np.isnan(poisoned[after]).all()
