"""Test speaker normalization: profiles add up and change only when asked to adapt."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from affekt.model.classifier import Classifier
from affekt.model.loudness import State
from affekt.model.speaker_normalization import SpeakerNormalization, window_sums
from synthetic_network import OWN, made_network

FEATURES, STEPS, PRIOR, KEEP = 6, 4, 20.0, 0.97
NO, YES = torch.zeros(1), torch.ones(1)
quick = settings(max_examples=40)


def norm(*, prior: float = PRIOR, keep: float = KEEP) -> SpeakerNormalization:
    """With a population of its own mean and variance."""
    made = SpeakerNormalization(FEATURES, prior, keep)
    generator = torch.Generator().manual_seed(3)
    made.mean.copy_(torch.randn(FEATURES, generator=generator))
    made.variance.copy_(0.5 + torch.rand(FEATURES, generator=generator))
    return made


def voice(clips: int, windows: int, seed: int = 0, offset: float = 2.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    own = offset * torch.randn(FEATURES, generator=generator)
    steps = own + 1.5 * torch.randn(clips, windows, STEPS, FEATURES, generator=generator)
    return steps, torch.rand(clips, windows, STEPS, generator=generator)


def nobody(clips: int) -> State:
    return {name: torch.zeros(clips, *shape) for name, shape in norm().state.items()}


def profile_of(steps: Tensor, shares: Tensor) -> State:
    """Of all windows of each clip."""
    return {name: each.sum(1) for name, each in window_sums(steps, shares).items()}


def assert_same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def assert_states(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], atol=1e-3, rtol=1e-4)


def test_no_enrolment_gives_the_population_statistics() -> None:
    made, (steps, shares) = norm(), voice(2, 5)
    found, unknown, after = made(steps, shares, nobody(2), NO)
    assert_same(found, (steps - made.mean) / made.variance.sqrt())
    assert (unknown == 1).all()
    assert_states(after, nobody(2))


def test_the_population_is_what_it_was_told() -> None:
    made, (steps, shares) = SpeakerNormalization(FEATURES, PRIOR, KEEP), voice(1, 200)
    made.set_population(
        {name: each.sum((0, 1)) for name, each in window_sums(steps, shares).items()}
    )
    share = (shares / shares.sum())[..., None]
    mean = (share * steps).sum((0, 1, 2))
    assert_same(made.mean, mean)
    assert_same(made.variance, (share * (steps - mean) ** 2).sum((0, 1, 2)))


def test_sums_of_a_window_are_weighted_by_speech() -> None:
    steps, shares = voice(2, 3)
    sums = window_sums(steps, shares)
    for clip in range(2):
        for window in range(3):
            plain: State = {name: torch.zeros(1) for name in sums}
            for share, step in zip(shares[clip, window], steps[clip, window], strict=True):
                plain["speaker_weight"] = plain["speaker_weight"] + share
                plain["speaker_sum"] = plain["speaker_sum"] + share * step
                plain["speaker_square"] = plain["speaker_square"] + share * step**2
            for name, each in sums.items():
                assert_same(each[clip, window], plain[name])


@quick
@given(first=st.integers(1, 5), second=st.integers(1, 5))
def test_profiles_add(first: int, second: int) -> None:
    """Some clips' and other clips' together are that of them all."""
    steps, shares = voice(1, first + second)
    one, other = (
        profile_of(steps[:, :first], shares[:, :first]),
        profile_of(steps[:, first:], shares[:, first:]),
    )
    assert_states({name: one[name] + other[name] for name in one}, profile_of(steps, shares))


def test_a_profile_is_shrunk_towards_the_population() -> None:
    made, (steps, shares) = norm(), voice(1, 30)
    for scale in (0.01, 1.0, 100.0):
        profile = {name: scale * each for name, each in profile_of(steps, shares).items()}
        weight = profile["speaker_weight"][0]
        mean = (profile["speaker_sum"][0] + PRIOR * made.mean) / (weight + PRIOR)
        square = profile["speaker_square"][0] + PRIOR * (made.variance + made.mean**2)
        deviation = (square / (weight + PRIOR) - mean**2).sqrt()
        found, *_ = made(steps, shares, profile, NO)
        assert_same(found, (steps - mean) / deviation)


def test_with_many_clips_all_speakers_have_equal_statistics() -> None:
    """Mean 0 and deviation 1 over the speech of each speaker; not with few clips."""
    made, spreads = norm(), []
    for windows in (2, 2_000):
        steps, shares = voice(3, windows, seed=1)
        found, *_ = made(steps, shares, profile_of(steps, shares), NO)
        share = shares[..., None] / shares.sum((1, 2))[:, None, None, None]
        mean = (share * found).sum((1, 2))
        deviation = (share * found**2).sum((1, 2)).sqrt()
        spreads.append(max(mean.abs().max().item(), (deviation - 1).abs().max().item()))
    assert spreads[0] > 0.3
    assert spreads[1] < 0.02


def test_told_not_to_it_learns_nothing_bit_for_bit() -> None:
    made, (steps, shares) = norm(), voice(2, 7)
    profile = profile_of(*voice(2, 3, seed=9))
    *_, after = made(steps, shares, profile, NO)
    for name, value in after.items():
        assert torch.equal(value, profile[name])
    *_, learned = made(steps, shares, profile, YES)
    assert (learned["speaker_weight"] > profile["speaker_weight"]).all()


def test_told_to_each_window_joins_before_it_is_normalized() -> None:
    """The same as window by window: each is added to the profile, then normalized by it."""
    made, (steps, shares) = norm(), voice(2, 9)
    whole, _, last = made(steps, shares, nobody(2), YES)
    profile = nobody(2)
    for window in range(9):
        here = slice(window, window + 1)
        own = profile_of(steps[:, here], shares[:, here])
        profile = {name: KEEP * profile[name] + own[name] for name in own}
        alone, *_ = made(steps[:, here], shares[:, here], profile, NO)
        assert_same(whole[:, here], alone)
    assert_states(last, profile)


@quick
@given(windows=st.integers(2, 15), cuts=st.sets(st.integers(1, 14)), adapt=st.booleans())
def test_in_steps_is_whole(windows: int, cuts: set[int], adapt: bool) -> None:
    made, (steps, shares) = norm(), voice(2, windows)
    told = YES if adapt else NO
    whole, _, last = made(steps, shares, nobody(2), told)
    state, parts = nobody(2), []
    for begin, end in pairwise([0, *sorted(cut for cut in cuts if cut < windows), windows]):
        part, _, state = made(steps[:, begin:end], shares[:, begin:end], state, told)
        parts.append(part)
    assert_same(torch.cat(parts, 1), whole)
    assert_states(state, last)


def test_old_speech_fades_from_a_profile_that_adapts() -> None:
    made = norm(keep=0.5)
    one, other = voice(1, 30, seed=1), voice(1, 30, seed=2)
    *_, first = made(*one, nobody(1), YES)
    *_, both = made(*other, first, YES)
    *_, alone = made(*other, nobody(1), YES)
    assert_states(both, alone)
    assert (first["speaker_sum"] - alone["speaker_sum"]).abs().max() > 1


def test_silence_teaches_nothing_and_is_a_number() -> None:
    made, (steps, shares) = norm(prior=1.0), voice(1, 4)
    found, _, after = made(0 * steps, 0 * shares, nobody(1), YES)
    assert found.isfinite().all()
    assert_states(after, nobody(1))
    constant = torch.ones_like(steps)  # no deviation at all
    found, *_ = norm(prior=0.0)(constant, torch.ones_like(shares), nobody(1), YES)
    assert found.isfinite().all()


# ------------------------------------------------------------------------ in the network


@pytest.fixture(scope="module")
def network() -> Classifier:
    return made_network(**OWN)


def heard(network: Classifier, windows: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    size = windows, network.trunk.steps
    return (
        torch.rand(*size, network.trunk.features, generator=generator),
        torch.rand(*size, generator=generator),
    )


@torch.inference_mode()
@pytest.mark.parametrize("adapt", [NO, YES], ids=["fixed", "adapting"])
def test_clips_of_any_lengths_answer_as_alone(network: Classifier, adapt: Tensor) -> None:
    clips = [heard(network, windows, seed) for seed, windows in enumerate((3, 1, 6))]
    steps, shares = (torch.cat(parts) for parts in zip(*clips, strict=True))
    profiles = {
        name: torch.stack(
            [window_sums(*clip)[name].sum(0) * turn for turn, clip in enumerate(clips)]
        )
        for name in window_sums(steps, shares)
    }
    together, _ = network.logits_by_window(
        steps, shares, torch.tensor([3, 1, 6]), profiles, adapt=adapt
    )
    for row, clip in enumerate(clips):
        own = {name: each[row : row + 1] for name, each in profiles.items()}
        alone, _ = network.logits_by_window(*clip, torch.tensor([len(clip[0])]), own, adapt=adapt)
        assert_same(together[row, : len(clip[0])], alone[0])
        without_profile, _ = network.logits_by_window(
            *clip, torch.tensor([len(clip[0])]), adapt=adapt
        )
        assert (row == 0) == torch.allclose(without_profile, alone)  # row 0 has no profile


@torch.inference_mode()
def test_a_shifted_speaker_with_a_profile_gives_the_same_logits(network: Classifier) -> None:
    """Another body moves and scales all numbers; a long profile takes that off again."""
    assert network.speaker is not None
    steps, shares = heard(network, 400, 0)
    moved = 3.0 * steps + torch.randn(
        network.trunk.features, generator=torch.Generator().manual_seed(1)
    )
    lengths = torch.tensor([400])
    answers = []
    for each in (steps, moved):
        sums = window_sums(each, shares)
        profile = {name: 100 * total.sum(0, keepdim=True) for name, total in sums.items()}
        answers.append(network.logits_by_window(each, shares, lengths, profile)[0])
    found, expected = (each.softmax(-1) for each in answers[::-1])
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)  # what the prior weighs still
    unknown, _ = network.logits_by_window(moved, shares, lengths)
    assert (unknown - answers[0]).abs().max() > 0.1
