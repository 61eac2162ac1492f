"""Test exported models: equal answers, complete metadata, no partial files."""

import io
import json
import math
import os
import pickle
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import scipy.special
import torch
from onnx import numpy_helper
from torch import nn

import affekt
from affekt.audio.windows import sliding_windows
from affekt.cli import main
from affekt.errors import ModelError
from affekt.inference.graph import Graph, load_graph
from affekt.model import export as exporting
from affekt.model.architecture import Architecture
from affekt.model.classifier import (
    Classifier,
    fold_batch_norms,
    load_classifier,
    save_classifier,
    trunk_digest,
)
from affekt.model.export import (
    TOLERANCE,
    export,
    find_network,
    largest_difference,
    round_to_halves,
    write_network,
)
from affekt.model.heads import HEADS
from affekt.model.yamnet import YAMNet
from affekt.model.yamnet_weights import load_yamnet
from small_model import probabilities_by
from synthetic_network import (
    FACTS,
    LABELS,
    OWN,
    Floats,
    made_network,
    made_sound,
    own_model,
    spread,
)


@dataclass(frozen=True)
class Exported:
    source: Path
    file: Path
    printed: str


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A run of one fold, exported by the command with its defaults."""
    run = tmp_path_factory.mktemp("made-0123456789ab")
    source, file = run / "fold-3" / "model.pt", run / "made-model.onnx"
    source.parent.mkdir()
    save_classifier(made_network(hop=3_900), source, **FACTS)
    with redirect_stdout(io.StringIO()) as printed:
        assert main(["export", str(run), "-o", str(file)]) == 0
    return Exported(source, file, printed.getvalue())


@torch.inference_mode()
def by_torch(network: Classifier, windows: Floats, *, adapt: bool = False) -> Floats:
    state = {name: value[0] for name, value in network.start(1).items()}
    given = torch.from_numpy(windows.copy()), state, torch.full((1,), float(adapt))
    answers: Floats = network.step(*given)[0]["probabilities"].numpy()
    return answers


def rounded(source: Path) -> Classifier:
    """The network of a file, with the weights that a float16 export has."""
    network = fold_batch_norms(load_classifier(source)[0])
    round_to_halves(network)
    return network


def in_steps(graph: Graph, windows: Floats, size: int, *, adapt: bool = False) -> Floats:
    state, answers = graph.start, []
    for start in range(0, len(windows), size):
        answer, state = probabilities_by(graph, windows[start : start + size], state, adapt=adapt)
        answers.append(answer)
    return np.concatenate(answers)


# ------------------------------------------------------------------------------- answers


def test_answers_are_pytorchs(exported: Exported) -> None:
    windows = sliding_windows(made_sound(), hop=3_900)
    expected = by_torch(rounded(exported.source), windows)
    assert expected.std(axis=0).max() > 0.05  # the comparison is of something
    graph = load_graph(exported.file)
    found, _ = probabilities_by(graph, windows, graph.start)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_in_steps_is_whole(exported: Exported, size: int) -> None:
    graph, windows = load_graph(exported.file), sliding_windows(made_sound(), hop=3_900)
    whole, _ = probabilities_by(graph, windows, graph.start)
    np.testing.assert_allclose(in_steps(graph, windows, size), whole, atol=1e-5, rtol=0)


def test_halves_cost_little(exported: Exported) -> None:
    """A network of drawn numbers is moved the most; a trained one, a few hundredths at worst."""
    windows = sliding_windows(made_sound())
    exact = by_torch(load_classifier(exported.source)[0], windows)
    assert 0 < np.abs(by_torch(rounded(exported.source), windows) - exact).max() < 0.05


def test_folding_keeps_the_function(exported: Exported) -> None:
    network, _ = load_classifier(exported.source)
    windows = sliding_windows(made_sound())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold_batch_norms(network)
    np.testing.assert_allclose(by_torch(folded, windows), by_torch(network, windows), atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("head", [name for name in HEADS if name != "lstm"])
def test_every_head_exports(head: str, tmp_path: Path) -> None:
    source = tmp_path / "model.pt"
    save_classifier(made_network(head=head), source, **FACTS)
    assert export(source, tmp_path / "model.onnx", name=head) <= TOLERANCE
    graph, windows = load_graph(tmp_path / "model.onnx"), sliding_windows(made_sound())
    expected = by_torch(rounded(source), windows)
    assert expected.std(axis=0).max() > 0.01
    np.testing.assert_allclose(in_steps(graph, windows, 2), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", ["windows", "adapt", "embedding", "speaker_sum", "count_next"])
def test_a_head_whose_state_has_the_name_of_another_tensor_is_refused(
    name: str, tmp_path: Path
) -> None:
    network = made_network(**OWN)
    network.head.state = {"count": (1,), name: (1,)}
    with pytest.raises(ModelError, match=rf"names of their own in the graph\. Got {name}, as"):
        write_network(network, "{}", tmp_path / "model.onnx")
    assert not [*tmp_path.iterdir()]


# ------------------------------------------------------------- the network that knows speakers


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """affekt's own network, cut short."""
    folder = tmp_path_factory.mktemp("own")
    file = own_model(folder)
    return Exported(folder / "model.pt", file, "")


@pytest.mark.parametrize("changes", [{"ensemble_size": 3}, {"head": "mean"}], ids=str)
def test_answers_of_its_variants_are_pytorchs(tmp_path: Path, changes: dict[str, object]) -> None:
    file = own_model(tmp_path, **changes)
    graph, windows = load_graph(file), sliding_windows(made_sound(), hop=15_360, last_window="pad")
    expected = by_torch(rounded(tmp_path / "model.pt"), windows)
    assert expected.std(axis=0).max() > 0.05
    np.testing.assert_allclose(in_steps(graph, windows, 2), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("adapt", [False, True])
def test_answers_of_the_own_network_are_pytorchs(own: Exported, adapt: bool) -> None:
    graph, windows = (
        load_graph(own.file),
        sliding_windows(made_sound(), hop=15_360, last_window="pad"),
    )
    expected = by_torch(rounded(own.source), windows, adapt=adapt)
    assert expected.std(axis=0).max() > 0.05
    for size in (1, 2, 7):
        found = in_steps(graph, windows, size, adapt=adapt)
        np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
    others = by_torch(rounded(own.source), windows, adapt=not adapt)
    assert np.abs(others - expected).max() > 0.01  # the input matters


def test_a_graph_learns_a_profile_only_when_told(own: Exported) -> None:
    graph, windows = load_graph(own.file), sliding_windows(made_sound(), hop=15_360)
    known = {n: np.float32(0.1) + each for n, each in graph.start.items() if n in graph.profile}
    before = {**graph.start, **known}
    _, after = probabilities_by(graph, windows, before)
    for name in graph.profile:
        assert after[name].tobytes() == before[name].tobytes()
    _, learned = probabilities_by(graph, windows, before, adapt=True)
    network = rounded(own.source)
    state = {name: torch.from_numpy(np.array(each)) for name, each in before.items()}
    with torch.inference_mode():
        _, expected = network.step(torch.tensor(windows), state, torch.ones(1))
    for name in graph.profile:
        np.testing.assert_allclose(learned[name], expected[name], rtol=1e-3, atol=1e-3)
        assert np.abs(learned[name] - before[name]).max() > 1


def test_the_temperature_follows_the_weight_of_the_profile(own: Exported, tmp_path: Path) -> None:
    file = tmp_path / "sure.onnx"
    export(own.source, file, name="sure", temperature=2.0, temperature_known=0.5)
    plain, sure = load_graph(own.file), load_graph(file)
    windows = sliding_windows(made_sound(), hop=15_360)
    speaker = load_classifier(own.source)[0].speaker
    assert speaker is not None
    mean, square = speaker.mean, speaker.variance + speaker.mean.square()
    before = np.log(probabilities_by(plain, windows, plain.start)[0])
    for heard in (0.0, speaker.prior, 1e4):  # steps of a speaker like the population
        sums = (np.full(1, heard), heard * mean.numpy(), heard * square.numpy())
        person = {n: each.astype(np.float32) for n, each in zip(plain.profile, sums, strict=True)}
        share = speaker.prior / (speaker.prior + heard)
        expected = scipy.special.softmax(before / (0.5 + 1.5 * share), axis=1)
        found, _ = probabilities_by(sure, windows, {**sure.start, **person})
        np.testing.assert_allclose(found, expected, atol=1e-3, rtol=0)


def test_metadata_of_the_own_network(own: Exported) -> None:
    graph, network = load_graph(own.file), load_classifier(own.source)[0]
    assert (graph.hop, graph.last_window) == (15_360, "pad")
    assert graph.profile == ("speaker_weight", "speaker_sum", "speaker_square")
    assert graph.metadata["profile"] == {
        "of": trunk_digest(network),
        "steps": 24,
        "state": ["speaker_weight", "speaker_sum", "speaker_square"],
    }
    assert graph.measure == trunk_digest(network)
    assert list(graph.start) == list(network.state)


def test_the_measure_of_profiles_depends_on_trunk_and_front_end() -> None:
    """The measure depends on CNN, blocks, loudness and hop, not on head and labels."""
    network = Classifier(Architecture(LABELS, **OWN))

    def twin(labels: tuple[str, ...] = LABELS, **changes: object) -> str:
        other = Classifier(Architecture(labels, **{**OWN, **changes}))
        ours, theirs = network.trunk.rows, other.trunk.rows
        for one, another in zip(ours, theirs, strict=False):
            another.load_state_dict(one.state_dict())
        return trunk_digest(other)

    same = trunk_digest(network)
    assert twin() == twin(head="mean") == twin(("a", "b")) == twin(time_constant=3.0) == same
    changed = {twin(hop=7_800), twin(blocks=3), twin(loudness="given"), same}
    changed.add(trunk_digest(Classifier(Architecture(LABELS, **OWN))))
    assert len(changed) == 5


@pytest.mark.parametrize("head", sorted(HEADS))
def test_every_head_reads_several_steps(head: str, tmp_path: Path) -> None:
    graph = load_graph(own_model(tmp_path, head=head))
    windows = sliding_windows(made_sound(), hop=15_360)
    expected = by_torch(rounded(tmp_path / "model.pt"), windows, adapt=True)
    found = in_steps(graph, windows, 2, adapt=True)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)


# ------------------------------------------------------------------------------ the file


def test_metadata_is_complete(exported: Exported) -> None:
    (entry,) = onnx.load(exported.file).metadata_props
    assert entry.key == "affekt"
    assert json.loads(entry.value) == {
        "format": 1,
        "name": "made-model",
        "labels": list(LABELS),
        "sample_rate": 16_000,
        "window": 15_600,
        "architecture": load_classifier(exported.source)[0].architecture.stored()
        | {"labels": list(LABELS)},
        "hop": 3_900,
        "tail": "drop",
        "state": [{"name": "hidden", "shape": [2, 150]}, {"name": "cell", "shape": [2, 150]}],
        "profile": None,
        "temperature": 1.0,
        "temperature_known": 1.0,
        "corpora": FACTS["corpora"],
        "licence": "CC BY 4.0; CC0",
        "encoder": "A made encoder, MIT.",
        "recipe": "0123456789ab",
        "version": affekt.__version__,
    }


def test_a_model_of_ones_own_credits_its_encoder(
    exported: Exported, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", str(exported.file)]) == 0
    printed = capsys.readouterr().out
    assert "  credit       Encoder: A made encoder, MIT.\n" in printed
    assert "  trained on   made (1 speaker, 8 clips), also (1 speaker, 8 clips), " in printed


def test_inference_takes_it(exported: Exported) -> None:
    predictor = affekt.load(exported.file)
    sound = made_sound()
    found = predictor.predict(sound, sample_rate=16_000)
    expected = by_torch(rounded(exported.source), sliding_windows(sound, hop=3_900))
    assert predictor.labels == LABELS
    assert len(found.segments) == len(expected)
    answers = [[segment.probabilities[label] for label in LABELS] for segment in found.segments]
    np.testing.assert_allclose(answers, expected, atol=TOLERANCE)


def test_large_arrays_are_halves_and_the_front_end_is_exact(exported: Exported) -> None:
    graph = onnx.load(exported.file).graph
    constants = [node.attribute[0].t for node in graph.node if node.op_type == "Constant"]
    arrays = [numpy_helper.to_array(each) for each in (*graph.initializer, *constants)]
    halves = [array.size for array in arrays if array.dtype == np.float16]
    whole = [array for array in arrays if array.dtype == np.float32 and array.size >= 1_024]
    network = rounded(exported.source)
    assert sum(halves) > 0.99 * sum(value.numel() for value in network.parameters())
    for buffer in network.front_end.buffers():
        assert any(np.array_equal(array, buffer) for array in whole)
    assert len(whole) == len(list(network.front_end.buffers()))


def test_convolutions_pad_for_themselves(exported: Exported) -> None:
    """As TensorFlow's SAME: a stride of 1 pads all sides by 1, a stride of 2 the far ones."""
    graph = onnx.load(exported.file).graph
    nodes = graph.node
    assert not [node for node in nodes if node.op_type == "Pad"]
    found = [
        (tuple(facts["strides"].ints), tuple(facts["pads"].ints))
        for facts in ({each.name: each for each in node.attribute} for node in nodes)
        if "kernel_shape" in facts and tuple(facts["kernel_shape"].ints) == (3, 3)
    ]
    expected = {1: ((1, 1), (1, 1, 1, 1)), 2: ((2, 2), (0, 0, 1, 1))}
    convolutions = [row.convolution for row in YAMNet().rows]
    strides = [each.stride[0] for each in convolutions if each.kernel_size == (3, 3)]
    assert found == [expected[stride] for stride in strides]
    read = {name for node in nodes for name in node.input} | {each.name for each in graph.output}
    assert all(read & set(node.output) for node in nodes)  # nothing is left of the pads


def test_halves_make_half_the_file(exported: Exported, tmp_path: Path) -> None:
    """The other half of the front end's matrices and the graph stay: 0.53, not 0.50."""
    whole = tmp_path / "whole.onnx"
    assert export(exported.source, whole, name="whole", precision="float32") <= TOLERANCE
    assert exported.file.stat().st_size < 0.55 * whole.stat().st_size
    graph, windows = load_graph(whole), sliding_windows(made_sound())
    expected = by_torch(load_classifier(exported.source)[0], windows)
    found, _ = probabilities_by(graph, windows, graph.start)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
    assert not list(tmp_path.glob("*.part"))


def test_the_command_prints_size_and_difference(exported: Exported) -> None:
    assert exported.printed.startswith(f"{exported.file}: {exported.file.stat().st_size:,} bytes")
    assert exported.printed.count("\n") == 1
    assert not list(exported.file.parent.glob("*.part"))


# ------------------------------------------------------------------------------ refusals


@cache
def proto(file: Path) -> onnx.ModelProto:
    return onnx.load(file)


def refused(source: Path, target: Path, **options: Any) -> str:
    with pytest.raises(ModelError) as error:
        export(source, target, name="refused", **options)
    message = str(error.value)
    assert "\n" not in message
    assert not list(target.parent.glob("*.part"))
    return message


def test_a_graph_that_answers_otherwise_is_refused(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One number of the exported graph is off; what stood at the target stays."""

    def wrong(network: Classifier) -> onnx.ModelProto:
        model = onnx.ModelProto()
        model.CopyFrom(proto(exported.file))
        (bias,) = (x for x in model.graph.initializer if x.name.endswith("classes.bias"))
        values = numpy_helper.to_array(bias) + np.float32([0, 0.01, 0, 0])
        bias.CopyFrom(numpy_helper.from_array(values, bias.name))
        return model

    monkeypatch.setattr(exporting, "to_onnx", wrong)
    target = tmp_path / "model.onnx"
    target.write_text("what stood here")
    message = refused(exported.source, target)
    assert "within 0.0001" in message
    assert "Nothing was written" in message
    assert target.read_text() == "what stood here"


def test_the_same_graph_is_not_refused(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the test above refuses for the number, not for the way it was put in."""
    monkeypatch.setattr(exporting, "to_onnx", lambda _: proto(exported.file))
    assert export(exported.source, tmp_path / "model.onnx", name="same") <= TOLERANCE


@pytest.mark.parametrize("difference", [1.01e-4, math.nan])
def test_a_difference_above_the_tolerance_is_refused(
    difference: float, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "to_onnx", lambda _: proto(exported.file))
    monkeypatch.setattr(exporting, "largest_difference", lambda *_: difference)
    assert f"Got {difference:.2g} apart" in refused(exported.source, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_diverged_weights_are_no_small_difference(exported: Exported) -> None:
    network = rounded(exported.source)
    with torch.no_grad():
        network.head.classes.bias[0] = math.nan
    assert math.isnan(largest_difference(network, exported.file.read_bytes()))


def test_difference_sees_every_output(exported: Exported) -> None:
    """A graph that forgets the cell is caught, since the proof goes on with the state."""
    network = rounded(exported.source)
    assert largest_difference(network, exported.file.read_bytes()) <= TOLERANCE
    model = onnx.load(exported.file)
    for node in model.graph.node:
        for place, name in enumerate(node.output):
            if name == "cell_next":
                node.output[place] = "cell_unused"
    zeros = numpy_helper.from_array(np.zeros((2, 150), np.float32), "cell_next")
    model.graph.initializer.append(zeros)
    assert largest_difference(network, model.SerializeToString()) > TOLERANCE


@pytest.mark.parametrize("missing", ["digest", "corpora"])
def test_network_without_its_facts_is_refused(missing: str, tmp_path: Path) -> None:
    facts = {name: fact for name, fact in FACTS.items() if name != missing}
    save_classifier(Classifier(Architecture(LABELS)), tmp_path / "model.pt", **facts)
    assert missing in refused(tmp_path / "model.pt", tmp_path / "model.onnx")


def test_the_checkpoint_is_not_overwritten(
    exported: Exported, capsys: pytest.CaptureFixture[str]
) -> None:
    before = exported.source.read_bytes()
    assert main(["export", str(exported.source), "-o", str(exported.source)]) == 2
    assert "--output must not be a file that the command uses" in capsys.readouterr().err
    assert exported.source.read_bytes() == before


def test_unknown_precision_is_refused(exported: Exported, tmp_path: Path) -> None:
    message = refused(exported.source, tmp_path / "model.onnx", precision="int4")
    assert "float16, float32. Got 'int4'" in message


@pytest.mark.parametrize("options", [{"temperature": -1.0}, {"temperature_known": 0.0}])
def test_a_temperature_that_is_not_above_0_is_refused(
    options: dict[str, float], exported: Exported, tmp_path: Path
) -> None:
    message = refused(exported.source, tmp_path / "model.onnx", **options)
    assert "must be above 0 and finite. Got" in message


@pytest.mark.parametrize("target", ["", "missing/model.onnx", "file/model.onnx"])
def test_target_that_cannot_be_written_is_refused(
    target: str, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "to_onnx", lambda _: proto(exported.file))
    monkeypatch.setattr(exporting, "largest_difference", lambda *_: 0.0)
    (tmp_path / "file").touch()
    message = refused(exported.source, tmp_path / target)
    assert "cannot be written" in message


# ----------------------------------------------------------------- which network of a run


def test_finds_the_network_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fold(number: int) -> Path:
        file = tmp_path / f"fold-{number}" / "model.pt"
        file.parent.mkdir(exist_ok=True)
        file.touch()
        return file

    def complaint(*arguments: str) -> str:
        assert main(["export", str(tmp_path), *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        return captured.err

    with pytest.raises(ModelError, match=r"must be the folder of a run\. Got nothing there"):
        find_network(tmp_path / "missing")
    assert "Got none. Train one with affekt run." in complaint()
    (tmp_path / "fold-7").mkdir()  # at work, not done
    assert "Got none" in complaint("--fold", "7")
    second = fold(2)
    assert find_network(tmp_path) == find_network(tmp_path, 2) == second
    assert find_network(second.parent) == find_network(second) == second
    twelfth = fold(12)
    assert find_network(tmp_path, 12) == twelfth
    assert "fold-12, fold-2" in complaint()
    assert "of fold 1." in complaint("--fold", "1")
    assert "Choose a trained one with --fold" in complaint("--fold", "7")


# ------------------------------------------------------------------- model.pt is no pickle


class Malicious:
    """Creates a file when unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self.file), os.O_CREAT)


def test_model_file_runs_no_code(tmp_path: Path) -> None:
    trace, file = tmp_path / "executed", tmp_path / "model.pt"
    content = {"architecture": Malicious(trace), "weights": {}, "facts": {}}
    for write in (
        lambda: torch.save(content, file),
        lambda: torch.save(content, file, _use_new_zipfile_serialization=False),
        lambda: file.write_bytes(pickle.dumps(content)),
    ):
        write()
        with pytest.raises(ModelError, match="must be a checkpoint that affekt wrote"):
            load_classifier(file)
        assert not trace.exists()
    os.close(pickle.loads(file.read_bytes())["architecture"])  # noqa: S301  # it would have
    assert trace.exists()


def test_model_file_rebuilds_itself(tmp_path: Path) -> None:
    torch.manual_seed(9)
    architecture = Architecture(("no", "yes"), **OWN)
    network = Classifier(architecture)
    network.speaker.mean.fill_(0.5)  # type: ignore[union-attr]
    save_classifier(network, tmp_path / "model.pt", corpora=[{"name": "made"}])
    found, facts = load_classifier(tmp_path / "model.pt")
    assert found.architecture == architecture
    assert facts == {"corpora": [{"name": "made"}]}
    assert not found.training
    for name, value in network.state_dict().items():
        assert torch.equal(found.state_dict()[name], value)


def changed(**changes: object) -> dict[str, object]:
    network = Classifier(Architecture(LABELS))
    content = {"architecture": {"labels": LABELS}, "weights": network.state_dict(), "facts": {}}
    return {name: value for name, value in (content | changes).items() if value is not None}


BAD_CONTENTS = {
    "no dictionary": [1, 2],
    "no architecture": changed(architecture=None),
    "unknown knob": changed(architecture={"labels": LABELS, "depth": 3}),
    "unknown head": changed(architecture={"labels": LABELS, "head": "none"}),
    "other labels": changed(architecture={"labels": LABELS[:3]}),
    "no weights": changed(weights={}),
    "no facts": changed(facts=None),
    "facts of another kind": changed(facts=3),
}


@pytest.mark.parametrize("content", BAD_CONTENTS.values(), ids=BAD_CONTENTS)
def test_other_contents_are_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"must be|has no field"):
        load_classifier(tmp_path / "model.pt")


def test_what_is_no_model_file_is_refused(exported: Exported, tmp_path: Path) -> None:
    whole = exported.source.read_bytes()
    faults = {"half": whole[: len(whole) // 2], "empty": b"", "text": b"no model", "short": b"PK"}
    for name, content in faults.items():
        (tmp_path / name).write_bytes(content)
    for name in (*faults, ".", "missing"):
        with pytest.raises(ModelError) as error:
            load_classifier(tmp_path / name)
        assert "\n" not in str(error.value)


# ---------------------------------------------------------------------------- real sounds


@pytest.fixture(scope="module")
def real(weights: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The official CNN with a seeded head, exported."""
    from yamnet_reference import real_windows

    torch.manual_seed(10)
    network = Classifier(Architecture(LABELS))
    with torch.inference_mode():
        patches = network.front_end(torch.from_numpy(real_windows(data)[::4]))
    load_yamnet(network.trunk, patches, path=weights)
    spread(network, network.eval().trunk(patches), network.shares(patches))
    folder = tmp_path_factory.mktemp("real")
    save_classifier(network, folder / "model.pt", **FACTS)
    export(folder / "model.pt", folder / "model.onnx", name="real")
    return Exported(folder / "model.pt", folder / "model.onnx", "")


def test_real_clips_answer_as_pytorchs(real: Exported, data: Path) -> None:
    from yamnet_reference import real_clips

    network, graph = rounded(real.source), load_graph(real.file)
    spread = []
    for clip in real_clips(data):
        windows = sliding_windows(clip)
        expected = by_torch(network, windows)
        found, _ = probabilities_by(graph, windows, graph.start)
        np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
        spread.append(found[-1])
    assert len(spread) == 50
    assert np.std(spread, axis=0).max() > 0.02


@pytest.mark.parametrize("name", ["affekt", "yamnet-lstm"])
def test_shipped_models_give_the_same_window_by_window_as_in_one_run(name: str, data: Path) -> None:
    from yamnet_reference import real_clips

    graph = affekt.load(name).graph
    answers = []
    for clip in real_clips(data):
        windows = sliding_windows(clip, hop=graph.hop)
        whole, last = probabilities_by(graph, windows, graph.start)
        state, steps = graph.start, []
        for window in windows:
            answer, state = probabilities_by(graph, window[None], state)
            steps.append(answer[0])
        np.testing.assert_allclose(steps, whole, atol=TOLERANCE, rtol=0)
        for name, value in state.items():
            np.testing.assert_allclose(value, last[name], atol=1e-3, rtol=1e-4)
        answers.append(int(whole[-1].argmax()))
    assert set(answers) == set(range(len(graph.labels)))
