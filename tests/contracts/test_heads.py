"""Test that every head is causal, continues from its state, and ignores padding."""

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from affekt.errors import ModelError
from affekt.model.architecture import Architecture
from affekt.model.classifier import Classifier
from affekt.model.heads import HEADS, Head, LSTMHead, MeanHead, StatisticsHead
from affekt.model.loudness import State
from affekt.model.yamnet import EMBEDDING

FEATURES, LABELS = 12, 3
KEEP = 0.8  # decay of the previous window
every_head = pytest.mark.parametrize("name", HEADS)
every_cut = pytest.mark.parametrize("steps", [1, 3])
lengths_of_clips = st.lists(st.integers(1, 9), min_size=1, max_size=5)
quick = settings(max_examples=25)


@cache
def head(name: str, steps: int = 1, keep: float = KEEP) -> Head:
    torch.manual_seed(5)
    made = HEADS[name](FEATURES, LABELS, decays_by=(keep,))
    made.eval()  # type: ignore[attr-defined]  # drops nothing
    answers: Head = made
    return answers


def start(head: Head, clips: int) -> dict[str, Tensor]:
    return {name: torch.zeros(clips, *shape) for name, shape in head.state.items()}


def heard(clips: int, windows: int, steps: int = 1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Steps as YAMNet's, of which none is negative, and how much of each is speech."""
    generator = torch.Generator().manual_seed(seed)
    features = 3 * torch.rand(clips, windows, steps, FEATURES, generator=generator)
    return features, torch.rand(clips, windows, steps, generator=generator)


def answered(head: Head, *given: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits after each window, by the first time constant, and the state."""
    pooled, after = head.pool(*given)
    return head.classes(pooled)[:, :, 0], after


def assert_same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@every_cut
@every_head
def test_shapes(name: str, steps: int) -> None:
    made = head(name, steps)
    for clips, windows in ((1, 1), (4, 7)):
        answers, after = answered(made, *heard(clips, windows, steps), start(made, clips))
        assert answers.shape == (clips, windows, LABELS)
        assert answers.dtype == torch.float32
        assert {each: tuple(x.shape[1:]) for each, x in after.items()} == made.state
        assert list(after) == list(made.state)  # a graph's outputs are in this order
        assert all(len(x) == clips for x in after.values())


@every_cut
@every_head
def test_logits_differ_and_depend_on_earlier_windows(name: str, steps: int) -> None:
    """Without this, a head that always says the same would pass all the rest."""
    made = head(name, steps)
    before, shares = heard(1, 6, steps)
    changed = before.clone()
    changed[:, 0] = 0
    answers, _ = answered(made, before, shares, start(made, 1))
    others, _ = answered(made, changed, shares, start(made, 1))
    assert answers.std(dim=1).max() > 1e-3
    assert (answers[:, -1] - others[:, -1]).abs().max() > 1e-4


@every_cut
@every_head
@given(windows=st.integers(2, 25), at=st.integers(1, 24))
@quick
def test_causal(name: str, steps: int, windows: int, at: int) -> None:
    """What comes from window ``at`` on changes no answer before it."""
    at = min(at, windows - 1)
    made = head(name, steps)
    sound, shares = heard(2, windows, steps)
    other, others_shares = sound.clone(), shares.clone()
    loud, all_of_it = heard(2, windows - at, steps, seed=1)
    other[:, at:], others_shares[:, at:] = 100 * loud, all_of_it
    answers, _ = answered(made, sound, shares, start(made, 2))
    others, _ = answered(made, other, others_shares, start(made, 2))
    assert_same(others[:, :at], answers[:, :at])
    assert (others[:, at:] - answers[:, at:]).abs().max() > 1e-4


@every_cut
@every_head
@given(lengths=lengths_of_clips, filling=st.sampled_from([0.0, -7.0, 1e3]))
@quick
def test_padding_changes_nothing(name: str, steps: int, lengths: list[int], filling: float) -> None:
    made = head(name, steps)
    clips = [heard(1, windows, steps, seed) for seed, windows in enumerate(lengths)]
    padded = nn.utils.rnn.pad_sequence(
        [sound[0] for sound, _ in clips], batch_first=True, padding_value=filling
    )
    shares = nn.utils.rnn.pad_sequence([shares[0] for _, shares in clips], batch_first=True)
    together, _ = answered(made, padded, shares, start(made, len(clips)))
    for row, clip in enumerate(clips):
        alone, _ = answered(made, *clip, start(made, 1))
        assert_same(together[row, : lengths[row]], alone[0])


@every_cut
@every_head
@given(windows=st.integers(2, 25), cuts=st.sets(st.integers(1, 24)))
@quick
def test_in_steps_with_the_state_carried(
    name: str, steps: int, windows: int, cuts: set[int]
) -> None:
    made = head(name, steps)
    sound, shares = heard(3, windows, steps)
    whole, last = answered(made, sound, shares, start(made, 3))
    state, answers = start(made, 3), []
    edges = [0, *sorted(cut for cut in cuts if cut < windows), windows]
    for begin, end in pairwise(edges):
        answer, state = answered(made, sound[:, begin:end], shares[:, begin:end], state)
        answers.append(answer)
    assert_same(torch.cat(answers, dim=1), whole)
    for each, value in state.items():
        assert_same(value, last[each])


@every_cut
@every_head
def test_gradient_reaches_every_parameter(name: str, steps: int) -> None:
    torch.manual_seed(0)
    trained = HEADS[name](FEATURES, LABELS)
    sound, shares = heard(4, 5, steps)
    sound.requires_grad_()
    answers, _ = answered(trained, sound, shares, start(trained, 4))
    nn.functional.cross_entropy(answers[:, -1], torch.tensor([0, 1, 2, 0])).backward()
    for parameter, value in trained.named_parameters():
        assert value.grad is not None, parameter
        assert value.grad.isfinite().all(), parameter
        assert value.grad.abs().max() > 0, parameter
    assert sound.grad is not None
    assert (sound.grad.abs().amax(dim=(0, 3)) > 0).all()  # every step of every window has its part


@pytest.mark.parametrize("keep", [1.0, KEEP])
@every_head
def test_silence_is_a_number(name: str, keep: float) -> None:
    """Nothing but silence, for a long time: no share of any step is speech."""
    made = head(name, 3, keep)
    sound, shares = heard(1, 300, 3)
    answers, state = answered(made, 0 * sound, 0 * shares, start(made, 1))
    assert answers.isfinite().all()
    assert_same(answers[0, 100:], answers[0, -1:].expand(200, -1))
    again, _ = answered(made, sound[:, :20], shares[:, :20], state)  # then speech begins
    assert (again[0, -1] - answers[0, -1]).abs().max() > 1e-3


@every_head
def test_construction_follows_the_seed(name: str) -> None:
    def built(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(HEADS[name](FEATURES, LABELS).parameters())

    assert torch.equal(built(1), built(1))
    assert not torch.equal(built(1), built(2))


@every_cut
@every_head
def test_last_layer_is_given_the_activation(name: str, steps: int) -> None:
    """What the figures draw: one vector a window, from which the answer is linear."""
    made, given = head(name, steps), []
    hook = made.classes.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    answers, _ = answered(made, *heard(2, 4, steps), start(made, 2))
    hook.remove()
    assert given[0].shape == (2, 4, 1, made.classes.in_features)
    assert_same(made.classes(given[0])[:, :, 0], answers)


# ------------------------------------------------------------------------ in the network


@cache
def classifier(name: str) -> Classifier:
    torch.manual_seed(6)
    return Classifier(Architecture(("a", "b", "c"), head=name)).eval()


@every_head
@given(lengths=lengths_of_clips)
@settings(quick, max_examples=10)
def test_clips_of_any_lengths_answer_as_alone(name: str, lengths: list[int]) -> None:
    network = classifier(name)
    rng = np.random.default_rng(sum(lengths))
    sound = torch.from_numpy(rng.random((sum(lengths), 1, EMBEDDING), np.float32))
    shares = torch.from_numpy(rng.random((sum(lengths), 1), np.float32))
    with torch.inference_mode():
        together, _ = network.logits_by_window(sound, shares, torch.tensor(lengths))
        clips = zip(torch.split(sound, lengths), torch.split(shares, lengths), strict=True)
        for row, clip in enumerate(clips):
            alone, _ = network.logits_by_window(*clip, torch.tensor([len(clip[0])]))
            assert_same(together[row, : len(clip[0])], alone[0])


@every_head
def test_a_clip_is_answered_after_its_last_window(name: str) -> None:
    network, lengths = classifier(name), torch.tensor([1, 4, 2])
    sound = torch.rand(7, 1, EMBEDDING, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        answers, _ = network.logits_by_window(sound, torch.ones(7, 1), lengths)
        found = network.read(sound, torch.ones(7, 1), lengths)
    assert answers.std(dim=1).max() > 1e-3
    assert_same(found, torch.stack([answers[0, 0, 0], answers[1, 3, 0], answers[2, 1, 0]]))


@pytest.mark.parametrize("knob", ["head", "front_end", "loudness", "last_window"])
def test_unknown_parts_are_refused(knob: str) -> None:
    with pytest.raises(ModelError, match=rf"{knob} .* must be one of .*\. Got 'none'\."):
        Architecture(("a", "b"), **{knob: "none"})


# ------------------------------------------------------------------------------ one by one


def test_lstm_is_the_papers() -> None:
    made = LSTMHead(EMBEDDING, 4)
    assert (made.lstm.hidden_size, made.lstm.num_layers) == (150, 2)
    sizes = {name: tuple(x.shape) for name, x in made.lstm.named_parameters()}
    assert sizes["weight_ih_l0"] == (600, 1_024)
    assert sizes["weight_ih_l1"] == (600, 150)


def test_lstm_starts_as_matlabs() -> None:
    """Glorot input weights, orthogonal recurrent weights, biases 0 but the forget gate's 1."""
    made = LSTMHead(FEATURES, LABELS)
    for name, value in made.lstm.state_dict().items():
        gates = dict(zip("ifgo", value.chunk(4), strict=True))
        if "weight_ih" in name:
            bound = (6 / sum(value.shape)) ** 0.5
            assert 0.9 * bound < value.abs().max() <= bound
        elif "weight_hh" in name:
            for gate in gates.values():
                torch.testing.assert_close(gate @ gate.T, torch.eye(150), atol=1e-5, rtol=0)
        else:
            for letter, gate in gates.items():
                assert (gate == ("bias_ih" in name and letter == "f")).all()


def test_mean_is_the_mean_so_far_of_what_was_speech() -> None:
    made = MeanHead(FEATURES, LABELS)
    sound, shares = heard(2, 5, 3)
    answers, after = answered(made, sound, shares, start(made, 2))
    for window in range(5):
        steps, weights = (x[:, : window + 1].flatten(1, 2) for x in (sound, shares))
        mean = (steps * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)
        assert_same(answers[:, window], made.classes(mean))
    assert_same(after["count"][:, 0], shares.sum((1, 2)))


def test_of_embeddings_as_recorded_the_mean_is_the_plain_one() -> None:
    made = MeanHead(FEATURES, LABELS)
    sound, _ = heard(2, 5)
    answers, _ = answered(made, sound, torch.ones(2, 5, 1), start(made, 2))
    for window in range(5):
        assert_same(answers[:, window], made.classes(sound[:, : window + 1].mean(dim=(1, 2))))


@torch.inference_mode()
def test_statistics_are_weighted_mean_and_deviation() -> None:
    """By a plain loop over windows, whose weights fade."""
    made = StatisticsHead(FEATURES, LABELS, decays_by=(KEEP,)).eval()
    sound, shares = heard(1, 6, 3)
    answers, _ = answered(made, sound, shares, start(made, 1))
    units = torch.relu(made.projection(sound))[0]
    scores = 5 * torch.tanh(units @ made.attention[0] / 5)
    for window in range(6):
        ages = torch.arange(window, -1, -1)[:, None, None]
        weights = KEEP**ages * scores[: window + 1].exp() * shares[0, : window + 1, :, None]
        share = weights / weights.sum((0, 1))
        mean = (share * units[: window + 1]).sum((0, 1))
        variance = (share * (units[: window + 1] - mean) ** 2).sum((0, 1))
        pooled = torch.cat([mean, variance.clamp_min(1e-5).sqrt()])
        torch.testing.assert_close(answers[0, window], made.classes(pooled), atol=1e-3, rtol=1e-3)


def test_members_learn_apart_and_answer_together() -> None:
    torch.manual_seed(0)
    made = StatisticsHead(FEATURES, LABELS, ensemble_size=3, decays_by=(KEEP,))
    made.dropout.p = 0.0
    sound, shares = heard(2, 4, 3)
    each, _ = answered(made, sound, shares, start(made, 2))
    assert each.shape == (2, 4, 3, LABELS)
    together, _ = answered(made.eval(), sound, shares, start(made, 2))
    assert_same(together, each.mean(dim=2))
    assert (each[:, :, 0] - each[:, :, 1]).abs().max() > 0.01

    each[:, :, 1].sum().backward()  # what the second one answers teaches the second one only
    for parameter in made.parameters():
        assert parameter.grad is not None
        of_members = parameter.grad.reshape(3, -1).abs().amax(dim=1)
        assert of_members[1] > 0
        assert of_members[[0, 2]].max() == 0


@torch.inference_mode()
def test_one_of_the_members_alone_is_a_head_of_one() -> None:
    torch.manual_seed(0)
    all_three = StatisticsHead(FEATURES, LABELS, ensemble_size=3, decays_by=(KEEP,))
    alone = StatisticsHead(FEATURES, LABELS, decays_by=(KEEP,)).eval()
    alone.load_state_dict(
        {
            name: value.reshape(3, -1)[2].reshape(alone.state_dict()[name].shape)
            for name, value in all_three.state_dict().items()
        }
    )
    all_three.dropout.p = 0.0
    sound, shares = heard(2, 4, 3)
    each, _ = answered(all_three, sound, shares, start(all_three, 2))
    answers, _ = answered(alone, sound, shares, start(alone, 2))
    assert_same(each[:, :, 2], answers)


@pytest.mark.parametrize("name", ["mean", "statistics"])
def test_what_is_no_speech_has_no_weight(name: str) -> None:
    made = head(name, 3)
    sound, shares = heard(2, 6, 3)
    shares[:, :, 1] = 0
    other = sound.clone()
    other[:, :, 1] = 50
    answers, _ = answered(made, sound, shares, start(made, 2))
    others, _ = answered(made, other, shares, start(made, 2))
    assert_same(others, answers)


@pytest.mark.parametrize("name", ["mean", "statistics"])
def test_earlier_windows_lose_weight(name: str) -> None:
    """After 100 windows at 0.8 nothing is left of another beginning; without, it stays."""
    sound, shares = heard(1, 110, 2)
    other = sound.clone()
    other[:, :10] = 0
    for keep, stays in ((KEEP, False), (1.0, True)):
        made = head(name, 2, keep)
        answers, _ = answered(made, sound, shares, start(made, 1))
        others, _ = answered(made, other, shares, start(made, 1))
        assert ((answers[:, -1] - others[:, -1]).abs().max() > 1e-4) == stays


@torch.inference_mode()
def test_each_time_constant_has_an_answer_of_its_own() -> None:
    torch.manual_seed(0)
    both = StatisticsHead(FEATURES, LABELS, ensemble_size=2, decays_by=(1.0, KEEP)).eval()
    sound, shares = heard(2, 6, 3)
    pooled, after = both.pool(sound, shares, start(both, 2))
    assert pooled.shape == (2, 6, 2, both.classes.in_features)
    assert {name: tuple(x.shape[1:]) for name, x in after.items()} == both.state
    for which, decay in enumerate((1.0, KEEP)):
        alone = StatisticsHead(FEATURES, LABELS, ensemble_size=2, decays_by=(decay,)).eval()
        alone.load_state_dict(both.state_dict())
        expected, state = alone.pool(sound, shares, start(alone, 2))
        assert_same(pooled[:, :, which], expected[:, :, 0])
        for name, value in state.items():
            assert_same(after[("", "recent_")[which] + name], value)
    assert (pooled[:, -1, 0] - pooled[:, -1, 1]).abs().max() > 1e-3


def test_in_training_each_time_constant_and_head_has_a_loss() -> None:
    torch.manual_seed(0)
    shape = {"head": "statistics", "time_constant": 20.0, "recent_time_constant": 3.0}
    network = Classifier(Architecture(("a", "b", "c"), ensemble_size=2, **shape)).train()
    sound = torch.rand(7, 1, EMBEDDING)
    lengths = torch.tensor([1, 4, 2])
    assert network.read(sound, torch.ones(7, 1), lengths).shape == (3, 4, 3)
    assert network.eval().read(sound, torch.ones(7, 1), lengths).shape == (3, 3)


def test_a_second_time_constant_needs_a_statistics_head() -> None:
    with pytest.raises(ModelError, match="recent_time_constant of Architecture must be 0 with"):
        Architecture(("a", "b"), head="mean", recent_time_constant=3.0)


class _ThreeLogits(MeanHead):
    """A head with a logit for a label that the network does not have."""

    def __init__(self, features: int, labels: int, **options: Any) -> None:
        super().__init__(features, labels + 1, **options)


class _NoAnswers(MeanHead):
    """A head whose pooled features lack the axis of time constants."""

    def pool(self, steps: Tensor, shares: Tensor, state: State) -> tuple[Tensor, State]:
        pooled, after = super().pool(steps, shares, state)
        return pooled[:, :, 0], after


class _LostState(MeanHead):
    """A head that does not return the whole state."""

    def pool(self, steps: Tensor, shares: Tensor, state: State) -> tuple[Tensor, State]:
        pooled, after = super().pool(steps, shares, state)
        return pooled, {"sum": after["sum"]}


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (_ThreeLogits, r"logits of head 'odd' must have shape \(2, 3, 1, 2\).* Got \(2, 3, 1, 3\)"),
        (_NoAnswers, r"pooled features of head 'odd' must have shape \(2, 3, 1, 2048\)"),
        (_LostState, "state of head 'odd' must have shape .*count.* Got .*Correct its class"),
    ],
)
def test_a_network_refuses_a_head_of_other_shapes(
    kind: type[MeanHead], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HEADS, "odd", kind)
    with pytest.raises(ModelError, match=what):
        Classifier(Architecture(("calm", "tense"), blocks=2, head="odd"))
