"""What every head promises, whichever it is: causal, carried by its state, deaf to padding."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from affekt.errors import ModelError
from affekt.model.classifier import Architecture, Classifier
from affekt.model.heads import HEADS, Head, LSTMHead, MeanHead
from affekt.model.yamnet import EMBEDDING

FEATURES, LABELS = 12, 3
every_head = pytest.mark.parametrize("name", HEADS)
lengths_of_clips = st.lists(st.integers(1, 9), min_size=1, max_size=5)
quick = settings(deadline=None, max_examples=25, derandomize=True)


@cache
def head(name: str) -> Head:
    torch.manual_seed(5)
    made: Head = HEADS[name](FEATURES, LABELS)
    return made


def start(head: Head, clips: int) -> dict[str, Tensor]:
    return {name: torch.zeros(clips, *shape) for name, shape in head.state.items()}


def embeddings(clips: int, windows: int, seed: int = 0) -> Tensor:
    """As YAMNet's: none is negative."""
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.rand(clips, windows, FEATURES, generator=generator)


def assert_same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@every_head
def test_shapes(name: str) -> None:
    for clips, windows in ((1, 1), (4, 7)):
        answers, after = head(name)(embeddings(clips, windows), start(head(name), clips))
        assert answers.shape == (clips, windows, LABELS)
        assert answers.dtype == torch.float32
        assert {each: tuple(x.shape[1:]) for each, x in after.items()} == head(name).state
        assert all(len(x) == clips for x in after.values())


@every_head
def test_answers_differ_and_depend_on_what_was_heard(name: str) -> None:
    """Without this, a head that always says the same would pass all the rest."""
    before = embeddings(1, 6)
    changed = before.clone()
    changed[:, 0] = 0
    answers, _ = head(name)(before, start(head(name), 1))
    others, _ = head(name)(changed, start(head(name), 1))
    assert answers.std(dim=1).max() > 1e-3
    assert (answers[:, -1] - others[:, -1]).abs().max() > 1e-4


@every_head
@given(windows=st.integers(2, 12), at=st.integers(1, 11))
@quick
def test_causal(name: str, windows: int, at: int) -> None:
    """What comes from window ``at`` on changes no answer before it."""
    at = min(at, windows - 1)
    other = embeddings(2, windows)
    other[:, at:] = 100 * embeddings(2, windows - at, seed=1)
    answers, _ = head(name)(embeddings(2, windows), start(head(name), 2))
    others, _ = head(name)(other, start(head(name), 2))
    assert_same(others[:, :at], answers[:, :at])
    assert (others[:, at:] - answers[:, at:]).abs().max() > 1e-4


@every_head
@given(lengths=lengths_of_clips, filling=st.sampled_from([0.0, -7.0, 1e3]))
@quick
def test_padding_changes_nothing(name: str, lengths: list[int], filling: float) -> None:
    clips = [embeddings(1, windows, seed)[0] for seed, windows in enumerate(lengths)]
    padded = nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=filling)
    together, _ = head(name)(padded, start(head(name), len(clips)))
    for row, clip in enumerate(clips):
        alone, _ = head(name)(clip[None], start(head(name), 1))
        assert_same(together[row, : len(clip)], alone[0])


@every_head
@given(windows=st.integers(2, 12), cuts=st.sets(st.integers(1, 11)))
@quick
def test_in_steps_with_the_state_carried(name: str, windows: int, cuts: set[int]) -> None:
    sound = embeddings(3, windows)
    whole, last = head(name)(sound, start(head(name), 3))
    state, answers = start(head(name), 3), []
    edges = [0, *sorted(cut for cut in cuts if cut < windows), windows]
    for begin, end in pairwise(edges):
        answer, state = head(name)(sound[:, begin:end], state)
        answers.append(answer)
    assert_same(torch.cat(answers, dim=1), whole)
    for each, value in state.items():
        assert_same(value, last[each])


@every_head
def test_gradient_reaches_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    trained = HEADS[name](FEATURES, LABELS)
    sound = embeddings(4, 5).requires_grad_()
    answers, _ = trained(sound, start(trained, 4))
    nn.functional.cross_entropy(answers[:, -1], torch.tensor([0, 1, 2, 0])).backward()
    for parameter, value in trained.named_parameters():
        assert value.grad is not None, parameter
        assert value.grad.abs().max() > 0, parameter
    assert sound.grad is not None
    assert (sound.grad.abs().amax(dim=(0, 2)) > 0).all()  # every window has its part


@every_head
def test_construction_follows_the_seed(name: str) -> None:
    def built(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(HEADS[name](FEATURES, LABELS).parameters())

    assert torch.equal(built(1), built(1))
    assert not torch.equal(built(1), built(2))


@every_head
def test_last_layer_is_given_the_activation(name: str) -> None:
    """What the figures draw: one vector a window, from which the answer is linear."""
    given: list[Tensor] = []
    hook = head(name).classes.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    answers, _ = head(name)(embeddings(2, 4), start(head(name), 2))
    hook.remove()
    assert given[0].shape == (2, 4, head(name).classes.in_features)
    assert_same(head(name).classes(given[0]), answers)


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
    sound = torch.from_numpy(rng.random((sum(lengths), EMBEDDING), np.float32))
    with torch.inference_mode():
        together = network.answers(sound, torch.tensor(lengths))
        for row, clip in enumerate(torch.split(sound, lengths)):
            alone = network.answers(clip, torch.tensor([len(clip)]))
            assert_same(together[row, : len(clip)], alone[0])


@every_head
def test_forward_answers_after_each_clips_last_window(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, lengths = classifier(name), torch.tensor([1, 4, 2])
    sound = torch.rand(7, EMBEDDING, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(network.trunk, "forward", lambda _: sound)
    with torch.inference_mode():
        answers = network.answers(sound, lengths)
        found = network(torch.zeros(7, 96, 64), lengths)
    assert answers.std(dim=1).max() > 1e-3
    assert_same(found, torch.stack([answers[0, 0], answers[1, 3], answers[2, 1]]))


@pytest.mark.parametrize("knob", ["head", "front_end"])
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


def test_mean_is_the_mean_so_far() -> None:
    made = MeanHead(FEATURES, LABELS)
    sound = embeddings(2, 5)
    answers, after = made(sound, start(made, 2))
    for window in range(5):
        assert_same(answers[:, window], made.classes(sound[:, : window + 1].mean(dim=1)))
    assert after["count"].tolist() == [[5.0], [5.0]]
