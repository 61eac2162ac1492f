"""A small student of a teacher's saved answers: it nears them, and no teacher leaks."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.corpora import Manifest, read_manifest
from affekt.corpora.folds import Fold, read_folds
from affekt.errors import RecipeError, RunError
from affekt.evaluation.keeping import keep_runs
from affekt.evaluation.predictions import read_predictions
from affekt.experiments.fold import part_of, run_fold
from affekt.experiments.kept import take_over
from affekt.experiments.recipe import Recipe, read_recipe
from affekt.experiments.run_folder import Places, prepare
from affekt.experiments.teacher import read_answers, student_loss
from made_corpus import make_corpus, places_in, tiny_recipe

SMALL = {"head": "mean", "blocks": 2, "learning_rate": 3e-3, "batch": 4}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    root = tmp_path_factory.mktemp("distilled")
    return places_in(root, make_corpus(root / "ravdess", speakers=4))


def done(recipe: Recipe, places: Places, fold: int = 1) -> Path:
    """A run folder with one fold trained and tested."""
    folder = prepare(recipe, places)
    run_fold(recipe, read_folds(folder / "folds.csv")[fold - 1], folder, places)
    return folder


@pytest.fixture(scope="module")
def teacher(places: Places) -> Path:
    """A teacher who is wrong on purpose: its labels are smoothed almost away."""
    knobs = {**SMALL, "epochs": 12, "label_smoothing": 0.6, "keep": "last"}
    return done(tiny_recipe("teacher", teach=True, **knobs), places)


def student(teacher: Path, **knobs: object) -> Recipe:
    own = {**SMALL, "epochs": 40, "teacher": teacher.name, "teach": True, "keep": "last"}
    return tiny_recipe("student", **{**own, **knobs})


def answers_in(folder: Path) -> pd.DataFrame:
    table = read_predictions(folder / "fold-1/training.csv").set_index("file").sort_index()
    return table[[column for column in table if column.startswith("p_")]]


def of(folder: Path, places: Places) -> tuple[Manifest, Fold, np.ndarray]:
    manifest = read_manifest(folder / "manifest.csv", places.data)
    fold = read_folds(folder / "folds.csv")[0]
    return manifest, fold, part_of(manifest, fold.train).clips


# ------------------------------------------------------------------------------- learning


def test_a_teacher_answers_to_its_training_clips_alone(teacher: Path, places: Places) -> None:
    manifest, fold, clips = of(teacher, places)
    table = read_predictions(teacher / "fold-1/training.csv")
    assert set(table["speaker"]) == set(fold.train)
    assert table["file"].tolist() == [manifest.clips[row].file for row in clips]


def test_a_student_with_share_1_nears_its_teacher(teacher: Path, places: Places) -> None:
    """And one with share 0, all else the same, does not: it goes to its labels."""
    far = []
    for share in (1.0, 0.0):
        folder = done(student(teacher, teacher_share=share), places)
        apart = (answers_in(folder) - answers_in(teacher)).abs().max(axis=1).mean()
        far.append(apart)
    assert far[0] < 0.08
    assert far[1] > 3 * far[0]


def test_kept_results_teach_the_same(teacher: Path, places: Places, tmp_path: Path) -> None:
    (kept,) = keep_runs([teacher], tmp_path / "results")
    manifest, fold, clips = of(teacher, places)
    expected = read_answers(teacher, fold, manifest, clips)
    np.testing.assert_array_equal(read_answers(kept, fold, manifest, clips), expected)
    recipe = tiny_recipe(
        "teacher", teach=True, **SMALL, epochs=12, label_smoothing=0.6, keep="last"
    )
    elsewhere = Places(places.data, tmp_path / "runs", places.cache)
    folder = prepare(recipe, elsewhere)
    folds = read_folds(folder / "folds.csv")
    take_over(recipe, folder, tmp_path / "results", manifest=manifest, folds=folds)
    np.testing.assert_array_equal(read_answers(folder, fold, manifest, clips), expected)


def test_answers_come_in_the_order_of_the_clips(teacher: Path, places: Places) -> None:
    manifest, fold, clips = of(teacher, places)
    forth = read_answers(teacher, fold, manifest, clips)
    assert forth.std(axis=0).min() > 0
    np.testing.assert_array_equal(read_answers(teacher, fold, manifest, clips[::-1]), forth[::-1])
    columns = [f"p_{label}" for label in manifest.labels]
    table = read_predictions(teacher / "fold-1/training.csv").set_index("file")
    for row, answer in zip(clips, forth, strict=True):
        expected = table.loc[manifest.clips[row].file, columns].to_numpy(float)
        np.testing.assert_allclose(answer, expected, atol=1e-6)


def test_the_recipe_of_the_repository_names_its_teacher() -> None:
    """A knob that changes the teacher changes its folder's name."""
    recipes = Path(__file__).parents[1] / "recipes"
    teacher, pupil = (read_recipe(recipes / f"ravdess-{n}.toml") for n in ("wavlm", "distilled"))
    assert teacher.teach
    assert pupil.teacher == teacher.run
    same = ("corpus", "task", "protocol", "validation", "seed")
    assert all(getattr(pupil, name) == getattr(teacher, name) for name in same)


# ------------------------------------------------------------------------------- the loss


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@settings(deadline=None)  # machines are busy
@given(st.integers(0, 99), st.floats(0, 1), st.floats(1, 10))
def test_loss_is_the_formula(seed: int, share: float, temperature: float) -> None:
    generator = np.random.default_rng(seed)
    own, theirs = generator.normal(0, 2, (2, 5, 4))
    labels = generator.uniform(0, 3, 5)
    p, q = softmax(theirs / temperature), softmax(own / temperature)
    apart = (p * np.log(p / q)).sum(axis=1)
    expected = (1 - share) * labels + share * temperature**2 * apart
    found = student_loss(
        torch.tensor(own),
        torch.tensor(labels),
        torch.tensor(softmax(theirs)),
        share=share,
        temperature=temperature,
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_loss_is_finite_where_the_teacher_is_certain() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    certain = torch.tensor([[1.0, 0.0, 0.0]])
    loss = student_loss(logits, torch.zeros(1), certain, share=1.0, temperature=2.0)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]


# ------------------------------------------------------------------------------- no leak


def changed(teacher: Path, to: Path, file: str, replacements: Mapping[str, str]) -> Path:
    folder = Path(shutil.copytree(teacher, to))
    text = (folder / file).read_text()
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new)
    (folder / file).write_text(text)
    return folder


def refusal(teacher: Path, told: tuple[Manifest, Fold, np.ndarray]) -> str:
    manifest, fold, clips = told
    with pytest.raises(RunError) as error:
        read_answers(teacher, fold, manifest, clips)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_other_folds_are_refused_before_anything_is_learned(
    teacher: Path, places: Places, tmp_path: Path
) -> None:
    """A teacher of another seed has trained on whom this student is tested on."""
    recipe = student(teacher, seed=1)
    folder = prepare(recipe, places)
    fold = read_folds(folder / "folds.csv")[0]
    theirs = read_folds(teacher / "folds.csv")[0]
    assert fold != theirs
    with pytest.raises(RunError, match="may have heard whom the student is tested on"):
        run_fold(recipe, fold, folder, places)
    assert not (folder / "fold-1/last.pt").exists()


def test_a_fold_with_other_parts_is_refused(teacher: Path, places: Places, tmp_path: Path) -> None:
    told = of(teacher, places)
    heard, chosen = told[1].train[0], told[1].validation[0]
    swap = {f"1,{heard},train": "1,X,train", f"1,{chosen},validation": f"1,{heard},validation"}
    swap["1,X,train"] = f"1,{chosen},train"
    message = refusal(changed(teacher, tmp_path / "swapped", "folds.csv", swap), told)
    assert "divide the speakers of fold 1" in message


def test_answers_of_others_are_refused(teacher: Path, places: Places, tmp_path: Path) -> None:
    told = of(teacher, places)
    file = "fold-1/training.csv"
    text = (teacher / file).read_text()
    row = text.splitlines(keepends=True)[1]
    label = row.split(",")[6]
    other = next(name for name in ("angry", "sad") if name != label)
    for name, swap in {
        "missing": {row: ""},
        "foreign": {row: row.replace("Actor", "Bctor")},
        "relabelled": {row: row.replace(f",{label},", f",{other},", 1)},
        "of another fold": {"teacher,0,1,": "teacher,0,2,"},
        "other labels": {"p_happy": "p_joyful"},
    }.items():
        swapped = changed(teacher, tmp_path / name, file, swap)
        if name == "other labels":
            text = (swapped / file).read_text()
            (swapped / file).write_text(text.replace(",happy,", ",joyful,"))
            (swapped / file).write_text((swapped / file).read_text().replace(",happy,", ",joyful,"))
        assert "training clips of fold 1" in refusal(swapped, told)


def test_a_run_that_does_not_teach_is_refused(
    teacher: Path, places: Places, tmp_path: Path
) -> None:
    told = of(teacher, places)
    silent = Path(shutil.copytree(teacher, tmp_path / "silent"))
    (silent / "fold-1/training.csv").unlink()
    assert "Run its recipe with teach = true" in refusal(silent, told)


@pytest.mark.parametrize(
    "knobs",
    [
        {"teacher_share": 1.0},
        {"temperature": 4.0},
        {"teacher": "t", "temperature": 0.5},
        {"teacher": "t", "teacher_share": 1.5},
        {"teacher": "t", "method": "mfcc-rf"},
        {"teach": True, "method": "chance-majority"},
    ],
)
def test_knobs_that_do_not_go_together(knobs: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="of recipe odd must be"):
        Recipe("odd").with_(**knobs)
