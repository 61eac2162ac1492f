"""Test loading model files, and that inconsistent ones are refused."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import affekt
from affekt.errors import ModelError
from affekt.inference import shipped_models
from small_model import FEATURES, LABELS, metadata, small_model


def test_a_graph_has_its_metadata(tmp_path: Path) -> None:
    loaded = affekt.load(small_model(tmp_path / "small.onnx"))
    assert loaded.labels == LABELS
    assert loaded.metadata == metadata()
    assert {name: zeros.shape for name, zeros in loaded.graph.start.items()} == {
        "sums": (1, FEATURES),
        "count": (1, 1),
    }


STATE = metadata()["state"]
CHANGES: dict[str, dict[str, Any]] = {
    "format of tomorrow": {"format": 2},
    "another rate": {"sample_rate": 8_000},
    "another window": {"window": 16_000},
    "a tail of another kind": {"tail": "cut"},
    "names of state that are no names": {
        "state": [{"name": ["a"], "shape": [1]}, *STATE],
        "profile": {"of": "", "steps": 1, "state": ["a", "b", "c"]},
    },
    "hop of zero": {"hop": 0},
    "hop beyond the window": {"hop": 15_601},
    "hop that is no number": {"hop": "7800"},
    "hop that is a truth": {"hop": True},
    "one label": {"labels": ["angry"]},
    "a label twice": {"labels": ["angry", "happy", "sad", "sad"]},
    "a label without a name": {"labels": ["angry", "happy", "sad", ""]},
    "a label that clears the terminal": {"labels": ["angry", "happy", "sad", "\x1b[2J"]},
    "labels that are text": {"labels": "abcd"},
    "more labels than outputs": {"labels": [*LABELS, "calm"]},
    "fewer labels than outputs": {"labels": list(LABELS[:3])},
    "no state": {"state": []},
    "state that is no list": {"state": 3},
    "state without a shape": {"state": [{"name": "sums"}]},
    "state of another shape": {"state": [{"name": "sums", "shape": [2, FEATURES]}, STATE[1]]},
    "state of another name": {"state": [{"name": "total", "shape": [1, FEATURES]}, STATE[1]]},
    "state with a free axis": {"state": [{"name": "sums", "shape": ["n", FEATURES]}, STATE[1]]},
    "state twice": {"state": [STATE[0], *STATE]},
    "state with an endless axis": {"state": [{"name": "sums", "shape": [1, 1 << 60]}, STATE[1]]},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES.keys())
def test_a_file_at_odds_with_itself_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="contradicts itself"):
        affekt.load(small_model(tmp_path / "odd.onnx", note=metadata(**changes)))


PROFILE = {"of": "ab", "steps": 12, "state": ["weight", "sum", "square"]}
PROFILED = [
    {"name": "weight", "shape": [1]},
    {"name": "sum", "shape": [9]},
    {"name": "square", "shape": [9]},
]


@pytest.mark.parametrize(
    "profile",
    [
        {**PROFILE, "state": ["weight", "sum"]},
        {**PROFILE, "state": ["weight", "sum", "sum"]},
        {**PROFILE, "state": ["weight", "sum", "count"]},
        {**PROFILE, "state": ["sum", "weight", "square"]},
        {**PROFILE, "state": "weight"},
        {**PROFILE, "steps": 0},
        {**PROFILE, "steps": True},
        {**PROFILE, "steps": "12"},
        {**PROFILE, "of": 3},
        {"of": "ab", "steps": 12},
        ["weight", "sum", "square"],
        "yes",
    ],
    ids=str,
)
def test_a_profile_that_is_none_is_refused(tmp_path: Path, profile: object) -> None:
    note = metadata(state=[*STATE, *PROFILED], profile=profile)
    with pytest.raises(ModelError, match="its profile must be three tensors of its state"):
        affekt.load(small_model(tmp_path / "odd.onnx", note=note))


@pytest.mark.parametrize("shapes", [([2], [9], [9]), ([1], [9], [8]), ([1], [3, 3], [3, 3])])
def test_a_profile_of_odd_shapes_is_refused(tmp_path: Path, shapes: tuple[list[int], ...]) -> None:
    odd = [{**each, "shape": shape} for each, shape in zip(PROFILED, shapes, strict=True)]
    note = metadata(state=[*STATE, *odd], profile=PROFILE)
    with pytest.raises(ModelError, match="its profile must be three tensors of its state"):
        affekt.load(small_model(tmp_path / "odd.onnx", note=note))


def test_a_profile_that_the_graph_lacks_is_refused(tmp_path: Path) -> None:
    note = metadata(state=[*STATE, *PROFILED], profile=PROFILE)
    with pytest.raises(ModelError, match=r"its inputs must be float .*adapt"):
        affekt.load(small_model(tmp_path / "odd.onnx", note=note))


def test_an_early_model_file_drops_the_last_window_and_has_no_profile(tmp_path: Path) -> None:
    loaded = affekt.load(small_model(tmp_path / "small.onnx")).graph
    assert "tail" not in loaded.metadata
    assert (loaded.last_window, loaded.profile, loaded.measure) == ("drop", (), "")


@pytest.mark.parametrize("note", ["", "{", "[]", "null", "{}", "[" * 100_000, '{"format": NaN}'])
def test_metadata_that_is_no_object_is_refused(tmp_path: Path, note: str) -> None:
    with pytest.raises(ModelError, match="contradicts itself"):
        affekt.load(small_model(tmp_path / "odd.onnx", note=note))


def test_a_model_of_another_make_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="must have affekt's metadata"):
        affekt.load(small_model(tmp_path / "foreign.onnx", key="other"))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = small_model(tmp_path / "cut.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match=r"cut\.onnx"):
        affekt.load(path)


@pytest.mark.parametrize("name", [b"licence", b"loudness"])
def test_names_that_are_no_text_are_refused_without_a_word(
    tmp_path: Path, name: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = small_model(tmp_path / "damaged.onnx")
    content = path.read_bytes()
    path.write_bytes(content.replace(name, b"\xd0" + name[1:], 1))
    with pytest.raises(ModelError, match=r"damaged\.onnx"):
        affekt.load(path)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("not a model\n" * 100)
    with pytest.raises(ModelError, match="whole ONNX file") as caught:
        affekt.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [1 << 29, (1 << 31) - 1, 1 << 31])
def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path, size: int) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(size)
    with pytest.raises(ModelError, match="at most"):
        affekt.load(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.onnx", "nul\0.onnx"):
        with pytest.raises(ModelError, match=r"cannot be read: (No such file|embedded null)"):
            affekt.load(path)
    with pytest.raises(ModelError, match="Got a folder"):
        affekt.load(tmp_path)


def test_weights_outside_of_the_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(small_model(tmp_path / "small.onnx"))
    outside = tmp_path / "outside.onnx"
    options = {"all_tensors_to_one_file": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(model, outside, save_as_external_data=True, **options)
    assert (tmp_path / "weights.bin").is_file()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="whole ONNX file"):
        affekt.load(outside)


def test_names_are_those_of_shipped_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped_models, "MODELS", tmp_path)
    with pytest.raises(ModelError, match="shipped"):
        affekt.load()
    file = small_model(tmp_path / f"{shipped_models.DEFAULT_MODEL}.onnx")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  {file.name}\n")
    assert affekt.load().labels == LABELS
    assert affekt.load(shipped_models.DEFAULT_MODEL).labels == LABELS
    file.rename(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert affekt.load("./mine").labels == LABELS


def test_at_least_one_thread(tmp_path: Path) -> None:
    path = small_model(tmp_path / "small.onnx")
    assert affekt.load(path, threads=2).labels == LABELS
    for threads in (0, 1.5):
        with pytest.raises(ModelError, match=f"whole number, at least 1. Got {threads}. Leave"):
            affekt.load(path, threads=threads)  # type: ignore[arg-type]


def test_an_embedding_without_axes_is_refused(tmp_path: Path) -> None:
    model = onnx.load(small_model(tmp_path / "small.onnx"))
    mean = onnx.helper.make_node("ReduceMean", ["windows"], ["embedding"], keepdims=0)
    model.graph.node.append(mean)
    scalar = onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, [])
    model.graph.output.append(scalar)
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(ModelError, match="its outputs must be float"):
        affekt.load(tmp_path / "odd.onnx")


def test_answers_that_are_no_probabilities_are_refused(tmp_path: Path) -> None:
    path = small_model(tmp_path / "small.onnx")
    model = onnx.load(path)
    (softmax,) = (node for node in model.graph.node if node.op_type == "Softmax")
    softmax.op_type = "Identity"
    del softmax.attribute[:]
    onnx.save(model, path)
    loud = np.linspace(-1, 1, 15_600, dtype=np.float32)
    with pytest.raises(ModelError, match=r"\[0, 1\]"):
        affekt.load(path).predict(loud, sample_rate=16_000)


def test_too_little_memory_is_no_fault_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry(*_: object, **__: object) -> None:
        raise RuntimeError("Exception during initialization: std::bad_alloc")

    path = small_model(tmp_path / "small.onnx")
    monkeypatch.setattr("onnxruntime.InferenceSession", hungry)
    with pytest.raises(ModelError, match=r"small\.onnx cannot be loaded: .* more memory") as caught:
        affekt.load(path)
    assert "xport it again" not in str(caught.value)


def test_a_graph_that_cannot_run_is_named(tmp_path: Path) -> None:
    loaded = affekt.load(small_model(tmp_path / "small.onnx")).graph
    with pytest.raises(ModelError, match=r"small\.onnx cannot run 2 windows") as caught:
        loaded.run(np.zeros((2, 100), np.float32), loaded.start)
    assert "\n" not in str(caught.value)
