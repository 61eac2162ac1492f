"""Test that a model file is the same network in PyTorch as in ONNX Runtime."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

import affekt
from affekt.audio.sound_files import SUFFIXES
from affekt.audio.windows import sliding_windows
from affekt.errors import ModelError
from affekt.model import load_pretrained
from affekt.model.classifier import Classifier
from small_model import metadata, small_model
from synthetic_network import own_model

SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("*.flac"))
SHIPPED = ("affekt", "affekt-open", "affekt-small", "yamnet-lstm")


def check_recordings(model: str | Path, recordings: list[Path], *, adapt: bool = False) -> None:
    """Compare all outputs and the state after each recording."""
    network, graph = load_pretrained(model), affekt.load(model).graph
    a = network.architecture
    assert (a.labels, a.hop, a.last_window) == (graph.labels, graph.hop, graph.last_window)
    assert recordings
    for file in recordings:
        windows = sliding_windows(affekt.read(file), hop=a.hop, last_window=a.last_window)
        state = {name: each[0] for name, each in network.start(1).items()}
        with torch.inference_mode():
            found, after = network.step(
                torch.tensor(windows), state, torch.full((1,), float(adapt))
            )
        expected, expected_after = graph.run(windows, graph.start, adapt=adapt)
        assert expected.keys() <= found.keys()
        for name, values in expected.items():
            largest = 1e-3 if name == "embedding" else 1e-4
            np.testing.assert_allclose(found[name], values, rtol=0, atol=largest)
        for name, values in expected_after.items():
            np.testing.assert_allclose(after[name], values, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("model", SHIPPED)
def test_shipped_models_on_samples(model: str) -> None:
    check_recordings(model, SAMPLES)


@pytest.mark.parametrize("model", SHIPPED)
def test_shipped_models_on_real_recordings(model: str, data: Path) -> None:
    found = (sorted(data.glob(f"{name}/**/*.*")) for name in ("emovo", "ravdess"))
    files = [file for each in found for file in each if file.suffix in SUFFIXES][::400]
    check_recordings(model, files)


@pytest.mark.parametrize("model", ["affekt", "affekt-small"])
def test_an_adapting_profile_gives_the_same(model: str) -> None:
    check_recordings(model, SAMPLES, adapt=True)


@pytest.mark.parametrize("changes", [{}, {"head": "mean", "speaker_normalization": False}])
def test_an_exported_network_loads(tmp_path: Path, changes: dict[str, object]) -> None:
    check_recordings(own_model(tmp_path, **changes), SAMPLES[:1])


def test_gradients_reach_every_weight_of_the_head() -> None:
    network = load_pretrained("affekt-small")
    state = {name: each[0] for name, each in network.start(1).items()}
    outputs, _ = network.step(0.1 * torch.randn(2, 15_600), state)
    outputs["probabilities"][-1, 0].backward()
    assert all(weight.grad.abs().sum() > 0 for weight in network.head.parameters())


def changed(file: Path, *, architecture: object = None) -> Path:
    """Replace the architecture in the metadata of a model file."""
    model = onnx.load(file)
    metadata = json.loads(model.metadata_props[0].value)
    metadata |= {"recipe": "0" * 12}
    del metadata["architecture"]
    if architecture:
        metadata["architecture"] = architecture
    helper.set_model_props(model, {"affekt": json.dumps(metadata)})
    onnx.save(model, file)
    return file


def test_a_file_without_its_architecture_is_refused(tmp_path: Path) -> None:
    file = changed(own_model(tmp_path))
    with pytest.raises(ModelError, match="must name its architecture"):
        load_pretrained(file)
    facts = metadata()
    del facts["recipe"]
    with pytest.raises(ModelError, match="must name its architecture"):
        load_pretrained(small_model(tmp_path / "small.onnx", note=facts))


@pytest.mark.parametrize(
    "wrong", [["labels"], {"blocks": 2}, {"labels": ["a", "b"], "blocks": "2"}]
)
def test_a_file_with_a_damaged_architecture_is_refused(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(ModelError, match="must hold the float weights"):
        load_pretrained(changed(own_model(tmp_path), architecture=wrong))


@pytest.mark.parametrize("wrong", [{"blocks": 3}, {"time_constant": 5.0}])
def test_a_file_of_another_architecture_is_refused(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    file = own_model(tmp_path)
    stored = json.loads(onnx.load(file).metadata_props[0].value)["architecture"]
    assert isinstance(load_pretrained(file), Classifier)
    with pytest.raises(ModelError, match=r"must hold the float weights.*\. Got .*apart|Missing"):
        load_pretrained(changed(file, architecture=stored | wrong))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ModelError, match="affekt-open"):
        load_pretrained("nothing")
