"""Test predictions on a cluster: equal to local ones when nodes or workers fail."""

import json
import pickle
from collections.abc import Generator, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import affekt
from affekt.cli import main
from affekt.engines import Outcome, engine_named
from affekt.errors import ModelError
from affekt.inference.cluster import BATCH, batch_predictor, batches, predict_on
from affekt.inference.files import Failure, predict_files
from cluster_functions import note_and_answer
from small_model import metadata, small_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return small_model(tmp_path / "small.onnx")


def make_folder(place: Path, files: int) -> Path:
    """Recordings, and two files that are none."""
    place.mkdir()
    rng = np.random.default_rng(8)
    for number in range(files):
        sound = rng.normal(size=8_000 + 700 * (number % 7)) * 0.1
        soundfile.write(place / f"{number:03}.wav", sound, 16_000)
    (place / "017b.wav").write_text("no sound")
    (place / "empty.wav").touch()
    return place


def by_name(results: Iterable[Any]) -> list[Any]:
    return sorted(results, key=lambda result: str(result.file))


def test_batches_hold_every_file_once() -> None:
    names = [str(number) for number in range(20_000)]
    cut = list(batches(names))
    assert [name for batch in cut for name in batch] == names
    assert [len(batch) for batch in cut[:65]] == [1] * 64 + [2]
    assert max(map(len, cut)) == BATCH
    assert len(cut) < 700


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray's own sockets and processes
def test_a_cluster_that_loses_a_node(
    two_nodes: Any, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(tmp_path / "sounds", 30)
    predictor = affekt.load(model)
    expected = by_name(predict_files(predictor, [str(folder)]))
    assert sum(isinstance(result, Failure) for result in expected) == 2
    nodes = {*two_nodes.worker_nodes}

    def lossy(function: Any, items: Iterable[Any], *, jobs: int | None) -> Any:
        work = partial(note_and_answer, tmp_path, function)
        for outcome in engine_named("ray", two_nodes.address)(work, items, jobs=jobs):
            if nodes and len(list(tmp_path.glob("begun-*"))) > 1:  # both nodes are at work
                two_nodes.remove_node(nodes.pop(), allow_graceful=False)
            yield outcome

    found = by_name(predict_on(lossy, predictor, [str(folder)]))
    assert not nodes
    assert found == expected

    output = tmp_path / "results.jsonl"
    words = ["predict", str(folder), "--json", "--model", str(model), "-o", str(output)]
    output.write_text("")
    assert main([*words, "--resume"]) == 1
    whole = output.read_text()
    output.write_text(whole[: len(whole) // 3])
    capsys.readouterr()
    engine = ["--engine", "ray", "--address", two_nodes.address]
    assert main([*words, "--resume", *engine]) == 1
    assert sorted(output.read_text().splitlines()) == sorted(whole.splitlines())
    lines = capsys.readouterr().err.splitlines()  # Ray may write some of its own
    assert sum(line.startswith("affekt: ") for line in lines) == 2


def test_one_file_that_ends_its_worker_costs_no_other_its_result(
    model: Path, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "sounds", 100)
    predictor = affekt.load(model)
    deadly = str(folder / "090.wav")
    asked: list[tuple[Any, ...]] = []

    def dying(function: Any, items: Iterable[Any], *, jobs: int | None) -> Generator[Any]:
        yield None
        for item in items:
            asked.append(item)
            died = "its node or worker died 6 times: segmentation fault"
            dead = deadly in item
            yield Outcome(item, died if dead else "", None if dead else function(item))

    results = by_name(predict_on(dying, predictor, [str(folder)]))
    expected = by_name(predict_files(predictor, [str(folder)]))
    assert len(results) == len(expected) == 102
    differing = [one for one, other in zip(results, expected, strict=True) if one != other]
    died = "its node or worker died 6 times: segmentation fault"
    assert differing == [Failure(deadly, f"{deadly} has no result: {died}.")]
    assert (deadly,) in asked


def test_a_node_with_another_model_answers_nothing(model: Path) -> None:
    predict = batch_predictor(affekt.load(model))
    small_model(model, note=metadata(name="another"))
    with pytest.raises(ModelError, match="must be the same on all nodes"):
        predict(("a.wav",))


def test_the_shipped_model_is_known_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = Path(__file__).parents[1] / "samples"
    monkeypatch.chdir(samples)
    predict = pickle.dumps(batch_predictor(affekt.load("yamnet-lstm", min_confidence=0.99)))
    assert b"yamnet-lstm" in predict
    assert b".onnx" not in predict  # it may lie elsewhere on another node
    monkeypatch.chdir("/")
    (result,) = pickle.loads(predict)(("calm.flac",))  # noqa: S301 -- just made here
    assert not isinstance(result, Failure)
    assert (result.file, result.label) == ("calm.flac", "uncertain")
    assert json.dumps(result.probabilities)
