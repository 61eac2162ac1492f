"""Test embeddings: those of the network, for every kind of recording, and as tables."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import affekt
from affekt.audio.windows import PATCH_HOP, sliding_windows
from affekt.cli import main
from affekt.errors import ModelError
from affekt.model.classifier import load_classifier
from conftest import SAMPLES
from small_model import small_model
from synthetic_network import made_sound, own_model

RATE = 16_000
FILES = sorted(SAMPLES.glob("*.flac"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def predictor(model: Path) -> affekt.Predictor:
    return affekt.load(model)


def test_the_embedding_is_what_the_classes_are_computed_from(
    model: Path, predictor: affekt.Predictor
) -> None:
    sound = made_sound(5.0)
    found = predictor.embed(sound, sample_rate=RATE)
    classifier, _ = load_classifier(model.with_name("model.pt"))
    windows = torch.from_numpy(sliding_windows(sound, hop=PATCH_HOP, last_window="pad").copy())
    state = {name: sums[0] for name, sums in classifier.eval().start(1).items()}
    with torch.inference_mode():
        outputs, _ = classifier.step(windows, state, torch.zeros(1))
    np.testing.assert_allclose(found, outputs["embedding"][-1], atol=1e-3)  # float16 weights
    assert found.dtype == np.float32


def test_all_kinds_of_recordings_are_embedded(predictor: affekt.Predictor) -> None:
    expected = predictor.embed(FILES[0])
    sound = affekt.read(FILES[0])
    for same in (FILES[0].read_bytes(), {"array": sound, "sampling_rate": RATE}):
        np.testing.assert_array_equal(predictor.embed(same), expected)
    np.testing.assert_array_equal(
        predictor.embed(torch.from_numpy(sound), sample_rate=RATE), expected
    )
    many = predictor.embed(iter(FILES), jobs=2)
    np.testing.assert_array_equal(next(many), expected)
    assert not np.allclose(next(many), expected)
    stereo = {"array": np.stack([0 * sound, sound]), "sampling_rate": RATE}
    right = replace(predictor, channel=1)
    np.testing.assert_array_equal(right.embed(stereo, channel=None), expected)
    part = predictor.embed(FILES[0], start=1.0, end=3.0)
    np.testing.assert_array_equal(part, predictor.embed(sound[16_000:48_000], sample_rate=RATE))


def test_a_stream_has_the_embedding_of_the_sound_so_far(predictor: affekt.Predictor) -> None:
    sound = affekt.read(FILES[0])
    stream = predictor.stream()
    with pytest.raises(ModelError, match="after its first window"):
        _ = stream.embedding
    for at in range(0, len(sound), 5_000):
        stream.push(sound[at : at + 5_000])
    stream.flush()
    np.testing.assert_allclose(stream.embedding, predictor.embed(FILES[0]), atol=1e-4)


def test_a_profile_changes_the_embedding(predictor: affekt.Predictor) -> None:
    profile = predictor.enroll([made_sound(8.0)], sample_rate=RATE)
    enrolled = affekt.Predictor(predictor.graph, profile)
    assert not np.allclose(enrolled.embed(FILES[0]), predictor.embed(FILES[0]))


def test_a_model_without_embeddings_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = small_model(tmp_path / "small.onnx")
    for call in (affekt.load(model).embed, lambda _: affekt.load(model).stream().embedding):
        with pytest.raises(ModelError, match=r"model small must have the output embedding\. Got"):
            call(FILES[0])
    output = tmp_path / "x.parquet"
    assert main(["embed", f"{FILES[0]}", "-o", f"{output}", "--model", f"{model}"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not output.exists()


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_the_command_writes_a_table(
    model: Path,
    predictor: affekt.Predictor,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
) -> None:
    monkeypatch.setattr("affekt.commands.embed.BATCH", 3)
    output = tmp_path / f"embeddings{suffix}"
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    words = ["embed", f"{SAMPLES}", f"{tmp_path / 'bad.wav'}", "-o", f"{output}"]
    assert main([*words, "--model", f"{model}"]) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert "bad.wav" in message
    read = pd.read_parquet if suffix == ".parquet" else pd.read_csv
    table = read(output).set_index("file")
    assert [*table.index] == [f"{file}" for file in FILES]
    assert table.columns[0] == "e0"
    expected = np.stack([predictor.embed(file) for file in FILES])
    np.testing.assert_allclose(table.to_numpy(np.float32), expected, rtol=1e-6)


def test_a_name_that_is_no_text_is_escaped(model: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.flac")
    try:
        path.write_bytes(FILES[0].read_bytes())
    except OSError:
        pytest.skip("this disk has no such names")
    output = tmp_path / "x.parquet"
    assert main(["embed", f"{path}", "-o", f"{output}", "--model", f"{model}"]) == 0
    assert pd.read_parquet(output)["file"].tolist() == [f"{tmp_path / 'caf'}\\udce9.flac"]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such names")
def test_a_name_with_a_carriage_return_stays_in_its_row(model: Path, tmp_path: Path) -> None:
    path, output = tmp_path / "a\rb.flac", tmp_path / "x.csv"
    path.write_bytes(FILES[0].read_bytes())
    assert main(["embed", f"{path}", "-o", f"{output}", "--model", f"{model}"]) == 0
    assert pd.read_csv(output)["file"].tolist() == [f"{path}"]


def test_outputs_that_cannot_be_written(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for output, words in (
        (tmp_path / "x.txt", "--output must end in .parquet or .csv"),
        (tmp_path / "none" / "x.csv", "cannot be written: No such file or directory"),
    ):
        assert main(["embed", f"{FILES[0]}", "-o", f"{output}", "--model", f"{model}"]) == 2
        assert words in capsys.readouterr().err
