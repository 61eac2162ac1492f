"""Test the running loudness: causal, independent of the level, equal in steps and whole."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from affekt.model.architecture import Architecture
from affekt.model.classifier import Classifier
from affekt.model.logmel import LogMel
from affekt.model.loudness import (
    FLOOR,
    REFERENCE,
    RunningLoudness,
    State,
    decaying_sums,
    speech_shares,
)
from synthetic_network import OWN, made_network, made_sound

KEEP = 0.9
quick = settings(max_examples=40)
keeps = st.sampled_from([1.0, 0.999, KEEP, 0.3])


def start(clips: int = 1) -> State:
    return {name: torch.zeros(clips, *shape) for name, shape in RunningLoudness(KEEP).state.items()}


def windows_of(seconds: float = 12.0) -> Tensor:
    return torch.from_numpy(made_sound(seconds)).unfold(0, 15_600, 15_360).contiguous()


@pytest.fixture(scope="module")
def patches() -> Tensor:
    """``(2, windows, 96, 64)``: a voice, and the same one backwards."""
    heard: Tensor = LogMel()(windows_of())
    return torch.stack([heard, heard.flip(0)])


def power_of(patches: Tensor) -> Tensor:
    """Of each frame, from the log-mels."""
    return (patches.exp() - 0.001).square().sum(dim=-1)


# ---------------------------------------------------------------------------- fading sums


@quick
@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=2),
    windows=st.integers(1, 12),
    keep=keeps,
    seed=st.integers(0, 99),
)
def test_fading_sums_are_a_plain_loop(
    shape: list[int], windows: int, keep: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(2, windows, *shape, generator=generator)
    running = before = torch.randn(2, *shape, generator=generator)
    found = decaying_sums(values, before, keep)
    assert found.shape == values.shape
    for window in range(windows):
        running = keep * running + values[:, window]
        torch.testing.assert_close(found[:, window], running, atol=1e-5, rtol=1e-4)


@quick
@given(windows=st.integers(2, 30), cuts=st.sets(st.integers(1, 29)), keep=keeps)
def test_fading_sums_go_on(windows: int, cuts: set[int], keep: float) -> None:
    values = torch.randn(1, windows, 3, generator=torch.Generator().manual_seed(windows))
    whole = decaying_sums(values, torch.zeros(1, 3), keep)
    state, parts = torch.zeros(1, 3), []
    for begin, end in pairwise([0, *sorted(cut for cut in cuts if cut < windows), windows]):
        parts.append(decaying_sums(values[:, begin:end], state, keep))
        state = parts[-1][:, -1]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-4)


def test_a_week_of_windows_overflows_nothing() -> None:
    state = torch.zeros(1, 1)
    for _ in range(6_000):  # 100 windows each
        state = decaying_sums(torch.ones(1, 100, 1), state, 0.999)[:, -1]
    assert state.item() == pytest.approx(1_000, rel=1e-3)


# -------------------------------------------------------------------------- one loudness


def test_every_window_has_the_loudness_of_the_sound_so_far(patches: Tensor) -> None:
    """By a plain loop: power weighted by power, over all windows so far, older ones fading."""
    leveled, _ = RunningLoudness(KEEP)(patches, start(2))
    for clip in range(2):
        linear = square = 0.0
        for window in range(patches.shape[1]):
            power = power_of(patches[clip, window]).double()
            linear = KEEP * linear + power.sum().item()
            square = KEEP * square + power.square().sum().item()
            gain = REFERENCE / max(square / linear, FLOOR)
            found = power_of(leveled[clip, window]).double()
            torch.testing.assert_close(found, gain * power, rtol=1e-3, atol=1e-2)


def test_a_steady_sound_has_the_reference_loudness() -> None:
    noise = torch.randn(6, 15_600, generator=torch.Generator().manual_seed(1))
    for level in (0.003, 0.05, 0.8):
        leveled, _ = RunningLoudness(KEEP)(LogMel()(level * noise)[None], start())
        power = power_of(leveled)
        loudness = power.square().sum() / power.sum()
        assert loudness.item() == pytest.approx(REFERENCE, rel=0.02)


@quick
@given(decibels=st.floats(-20, 20))
def test_how_loud_a_recording_is_changes_nothing(decibels: float) -> None:
    """Above the floor: the results of the whole network with adaptation."""
    network = quiet_network()
    windows = windows_of(4.0)
    state = {name: each[0] for name, each in network.start(1).items()}
    with torch.inference_mode():
        expected, _ = network.step(windows, state, torch.ones(1))
        found, _ = network.step(10 ** (decibels / 20) * windows, state, torch.ones(1))
    found, expected = found["probabilities"], expected["probabilities"]
    torch.testing.assert_close(found, expected, atol=2e-2, rtol=0)
    assert expected.std(dim=0).max() > 0.1


_MADE: list[Classifier] = []


def quiet_network() -> Classifier:
    if not _MADE:
        _MADE.append(made_network(**OWN))
    return _MADE[0]


def test_silence_is_not_brought_up(patches: Tensor) -> None:
    silence = torch.full((1, 5, 96, 64), math.log(0.001))
    leveled, _ = RunningLoudness(KEEP)(silence, start())
    assert leveled.isfinite().all()
    torch.testing.assert_close(leveled, silence)
    hiss = LogMel()(1e-5 * torch.randn(5, 15_600, generator=torch.Generator().manual_seed(0)))
    leveled, _ = RunningLoudness(KEEP)(hiss[None], start())
    assert (leveled - hiss).max() < math.log(math.sqrt(REFERENCE / FLOOR)) + 1e-5
    assert speech_shares(leveled[0], 12).max() < 0.02


@quick
@given(at=st.integers(1, 11))
def test_what_comes_later_changes_no_window_before(patches: Tensor, at: int) -> None:
    other = patches.clone()
    other[:, at:] += torch.linspace(0.0, 4.0, 64)
    leveled, _ = RunningLoudness(KEEP)(patches, start(2))
    others, _ = RunningLoudness(KEEP)(other, start(2))
    torch.testing.assert_close(others[:, :at], leveled[:, :at], atol=1e-4, rtol=1e-4)


@quick
@given(cuts=st.sets(st.integers(1, 11)))
def test_in_steps_is_whole(patches: Tensor, cuts: set[int]) -> None:
    whole, last = RunningLoudness(KEEP)(patches, start(2))
    state, parts = start(2), []
    for begin, end in pairwise([0, *sorted(cuts), patches.shape[1]]):
        part, state = RunningLoudness(KEEP)(patches[:, begin:end], state)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-4, rtol=1e-4)
    for name, value in state.items():
        torch.testing.assert_close(value, last[name], rtol=1e-4, atol=1e-2)


def test_a_voice_that_grows_soft_is_brought_up_in_time() -> None:
    """A tenth as loud from the sixth window on: at once it is soft, in the end as loud."""
    noise = LogMel()(torch.randn(120, 15_600, generator=torch.Generator().manual_seed(2)))
    softer = LogMel()(0.1 * torch.randn(120, 15_600, generator=torch.Generator().manual_seed(2)))
    heard = torch.cat([noise[:6], softer[6:]])
    leveled, _ = RunningLoudness(KEEP)(heard[None], start())
    loudness = power_of(leveled[0]).mean(dim=1) / REFERENCE
    assert 0.005 < loudness[6] < 0.03
    assert loudness[-1] == pytest.approx(1, abs=0.1)


# --------------------------------------------------------------------------------- shares


@quick
@given(
    level=st.floats(-12, 12),
    steps=st.sampled_from([1, 2, 3, 6, 12, 24, 48]),
    seed=st.integers(0, 9),
)
def test_shares_of_speech_are_shares(level: float, steps: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    patches = level + torch.randn(3, 96, 64, generator=generator)
    patches = patches.clamp_min(math.log(0.001))
    shares = speech_shares(patches, steps)
    assert shares.shape == (3, steps)
    assert (shares >= 0).all()
    assert (shares <= 1).all()


def test_shares_grow_with_loudness_and_are_half_25_decibels_down() -> None:
    def shares_at(decibels: float) -> Tensor:
        magnitude = math.sqrt(REFERENCE * 10 ** (decibels / 10) / 64)
        return speech_shares(torch.full((1, 96, 64), math.log(magnitude + 0.001)), 12)[0]

    torch.testing.assert_close(shares_at(-25.0), torch.full((12,), 0.5), atol=1e-4, rtol=0)
    rising = [shares_at(decibels)[0].item() for decibels in range(-60, 20, 5)]
    assert rising == sorted(rising)
    assert rising[0] < 0.001
    assert 0.99 < rising[-1] < 1


def test_a_step_has_its_own_frames() -> None:
    patches = torch.full((1, 96, 64), math.log(0.001))
    patches[:, 16:24] = 1.0  # frames of the third of twelve steps
    shares = speech_shares(patches, 12)[0]
    assert shares[2] > 0.9
    assert shares.sum() - shares[2] < 1e-5


def test_at_a_level_as_given_all_is_speech() -> None:
    network = Classifier(Architecture(("a", "b"), blocks=5))
    assert torch.equal(network.shares(torch.zeros(3, 96, 64)), torch.ones(3, 12))
