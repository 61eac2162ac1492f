"""Test the comparison of rules that choose the weights: benchmarks/selection.py."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affekt.corpora.folds import read_folds
from affekt.experiments.runner import prepare
from affekt.experiments.training import validation_uar
from affekt.runs.folder import Locations
from synthetic_corpus import make_corpus, tiny_recipe


@pytest.fixture
def selection(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = import_module("selection")
    monkeypatch.setattr(module, "AVERAGED", 2)
    torch.set_num_threads(1)
    return module


@pytest.mark.parametrize("name", ["published", "matlab"])
def test_rules_score_the_kept_epochs(selection: Any, tmp_path: Path, name: str) -> None:
    root = make_corpus(tmp_path / "ravdess", speakers=5)
    places = Locations(root, tmp_path / "runs", tmp_path / "cache")
    recipe = tiny_recipe(epochs=3, validation=0.5)
    folder = prepare(recipe, places)
    fold, variant = read_folds(folder / "folds.csv")[0], selection.VARIANTS[name]
    own = folder / "fold-1"
    fitted = selection.fit(variant, recipe, fold, own, places)
    kept = sorted(path.name for path in own.iterdir())
    assert kept == ["2.pt", "3.pt", "curve.csv", *(f"validation-{n}.npy" for n in (1, 2, 3))]
    truth = fitted.validation.truth
    uars = [
        validation_uar(torch.from_numpy(np.load(own / f"validation-{n}.npy")), truth)
        for n in (1, 2, 3)
    ]
    rows = selection.scores(fitted)
    found = {
        rule: float(uar) for speakers, rule, uar in map(dict.values, rows) if speakers != "test"
    }
    assert found["mean of the last ten"] == pytest.approx(np.mean(uars[1:]), abs=1e-4)
    assert found["best epoch, as reported"] == pytest.approx(max(uars), abs=1e-4)
    assert found["last epoch"] == pytest.approx(uars[-1], abs=1e-4)
    tested = [row["rule"] for row in rows if row["speakers"] == "test"]
    assert tested == ["last epoch", "last epoch, recomputed", "averaged", "averaged, recomputed"]
    assert all(0.0 <= float(row["uar"]) <= 1.0 for row in rows)
    assert selection.scores(selection.fit(variant, recipe, fold, own, places)) == rows


def test_an_epoch_is_chosen_on_other_speakers(selection: Any) -> None:
    truth = np.array([0, 1, 0, 1])
    speakers = np.array(["a", "a", "b", "b"])
    good, bad = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    for_a, for_b = torch.cat([good, bad]), torch.cat([bad, good])
    assert selection.crossed([for_a, for_b], truth, speakers) == 0.0
    assert max(validation_uar(each, truth) for each in (for_a, for_b)) == 0.5


def test_padding_gives_all_clips_the_longest_length(selection: Any, tmp_path: Path) -> None:
    root = make_corpus(tmp_path / "ravdess", speakers=5)
    places = Locations(root, tmp_path / "runs", tmp_path / "cache")
    recipe = tiny_recipe(validation=0.5)
    folder = prepare(recipe, places)
    fold = read_folds(folder / "folds.csv")[0]
    fitted = selection.fit(selection.VARIANTS["matlab"], recipe, fold, folder / "fold-1", places)
    clips = fitted.training.clips[:6]
    steps, _, lengths = fitted.inputs.encode(fitted.classifier, clips)
    own = np.diff(fitted.inputs.patches[0].starts)[clips]
    assert len(steps) == 6 * int(own.max()) == int(lengths.sum())
