"""Test that the recognizers of benchmarks/competitors.py can be trained and audited."""

import json
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from affekt.cli import main


def trained(monkeypatch: pytest.MonkeyPatch, folder: Path, data: Path, name: str) -> ModuleType:
    """The module, after it was trained on two clips of each label of two corpora."""
    monkeypatch.chdir(folder)
    module = import_module("competitors")
    monkeypatch.setattr(module, "CLIPS", 8)
    module.FOLDER.mkdir(parents=True)
    tables = [module.table(name, corpus, data, module.FOLDER) for corpus in ("ravdess", "nemo")]
    model, words = module.train(tables)
    assert " C = " in words
    module._save(module.FOLDER / f"{name}-without-emovo.npz", model)
    return module


@pytest.mark.corpus
def test_a_competitor_can_be_audited(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained(monkeypatch, tmp_path, data, "mfcc")
    words = ["audit", "competitors:mfcc_without_emovo", "--data", str(data / "emovo")]
    assert main([*words, "--clips", "4", "--json", "-o", str(tmp_path / "audit")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["clips"] == 4
    assert "consistency" not in found


@pytest.mark.corpus
def test_functionals_of_opensmile_give_probabilities(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opensmile", reason="licensed for research only, so not a dependency")
    module = trained(monkeypatch, tmp_path, data, "egemaps")
    paths = sorted(str(path) for path in (data / "emovo").rglob("*") if path.is_file())[:3]
    answers = module.egemaps_without_emovo(paths)
    assert [sum(answer.values()) for answer in answers] == pytest.approx([1.0] * 3)
    assert {*answers[0]} == {"angry", "happy", "sad", "neutral"}
