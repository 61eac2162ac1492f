"""Test that a run restores finished folds from an archive and trains the others."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

from affekt.cli import main
from affekt.errors import RunError
from affekt.experiments.recipe import Recipe
from affekt.experiments.runner import run
from affekt.report.tsne import read_points
from affekt.runs.archive import archive_folder, archive_runs
from affekt.runs.folder import Locations
from affekt.runs.reading import DONE, find_runs, read_run
from synthetic_corpus import make_corpus, places_in, tiny_recipe
from synthetic_runs import runs_in
from worker_functions import inline

SPEAKERS = 4
NETWORK = tiny_recipe()
CHANCE = tiny_recipe("chance", method="chance-stratified")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "ravdess", speakers=SPEAKERS)


@pytest.fixture(scope="module")
def undisturbed(corpus: Path) -> Path:
    """The run folder of a network that was trained in one go."""
    places = places_in(corpus.parent, corpus)
    assert run(NETWORK, places, engine=inline) == ()
    return places.runs / NETWORK.run


@pytest.fixture(scope="module")
def begun(corpus: Path) -> Path:
    """Kept results of the first two folds, made on a machine that is gone."""
    places = places_in(corpus.parent / "gone", corpus)
    results = corpus.parent / "results"
    for recipe in (NETWORK, CHANCE):
        assert run(recipe, places, folds=[1, 2], engine=inline) == ()
    archive_runs(runs_in(places.runs), results, points=read_points)
    shutil.rmtree(places.runs)
    return results


def asked(recipe: Recipe, places: Locations, results: Path) -> list[int]:
    """Run what is left; the folds that were."""
    numbers = []

    def engine(function: Callable[..., None], items: object, *, jobs: int | None) -> object:
        for outcome in inline(function, items, jobs=jobs):  # type: ignore[arg-type]
            numbers.append(outcome.item.number)
            yield outcome

    assert run(recipe, places, archive=results, engine=engine) == ()  # type: ignore[arg-type]
    return numbers


def test_a_run_resumed_from_an_archive_gives_the_same_results(
    undisturbed: Path, begun: Path, corpus: Path, tmp_path: Path
) -> None:
    places = places_in(tmp_path, corpus)
    assert asked(NETWORK, places, begun) == [3, 4]
    folder = places.runs / NETWORK.run
    for number in range(1, SPEAKERS + 1):
        here, there = folder / f"fold-{number}", undisturbed / f"fold-{number}"
        assert (here / "predictions.csv").read_bytes() == (there / "predictions.csv").read_bytes()
        assert curve_of(here) == curve_of(there)
    assert [(folder / f"fold-{n}" / "model.pt").is_file() for n in (1, 2, 3, 4)] == [
        False,
        False,
        True,
        True,
    ]
    pd.testing.assert_frame_equal(read_points(read_run(folder)), read_points(read_run(undisturbed)))

    results = shutil.copytree(begun, tmp_path / "results")
    (kept,) = archive_runs(runs_in(folder), results, points=read_points)
    (once,) = archive_runs(runs_in(undisturbed), tmp_path / "once", points=read_points)
    tables = ["predictions.csv.bz2", "validation.csv.bz2", "folds.csv", "points.csv.bz2"]
    for name in tables:
        assert (kept / name).read_bytes() == (once / name).read_bytes()
    assert {path.name for path in kept.iterdir()} == {*tables, "curve.csv.bz2", "run.json"}


def curve_of(fold: Path) -> list[list[str]]:
    """All columns but the seconds."""
    return [row[:-1] for row in csv.reader((fold / "curve.csv").read_text().splitlines())]


def test_each_file_of_a_fold_is_flushed_to_the_disk(
    begun: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = set()
    monkeypatch.setattr(os, "fsync", lambda file: flushed.add(os.fstat(file).st_ino))
    places = places_in(tmp_path, corpus)
    assert asked(NETWORK, places, begun) == [3, 4]
    files = [*(places.runs / NETWORK.run).glob("fold-*/*.*")]
    assert {file.parent.name for file in files} == {f"fold-{number}" for number in (1, 2, 3, 4)}
    assert {file.name for file in files if file.stat().st_ino not in flushed} == set()


def test_a_complete_archived_run_is_restored_whole(
    undisturbed: Path, corpus: Path, tmp_path: Path
) -> None:
    (kept,) = archive_runs(runs_in(undisturbed), tmp_path / "results", points=read_points)
    places = places_in(tmp_path, corpus)
    assert asked(NETWORK, places, tmp_path / "results") == []
    folder = places.runs / NETWORK.run
    pd.testing.assert_frame_equal(read_points(read_run(folder)), read_points(read_run(kept)))
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    archive_runs(runs_in(folder), tmp_path / "results", points=read_points)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before


def test_local_and_archived_folds_are_combined(begun: Path, corpus: Path, tmp_path: Path) -> None:
    """What is done here stays, what another runner is at is left to it."""
    places = places_in(tmp_path, corpus)
    assert run(CHANCE, places, folds=[2, 3], engine=inline) == ()
    folder = places.runs / CHANCE.run
    before = (folder / "fold-2" / DONE).stat()
    (folder / "fold-1").mkdir()
    with FileLock(folder / "fold-1" / "lock"):
        assert run(CHANCE, places, folds=[2], archive=begun, engine=inline) == ()
        assert not (folder / "fold-1" / DONE).exists()
    (folder / "fold-1" / "last.pt").write_bytes(b"an epoch that is not needed any more")
    assert asked(CHANCE, places, begun) == [4]
    assert (folder / "fold-2" / DONE).stat() == before
    assert not (folder / "fold-1" / "last.pt").exists()
    assert read_run(folder).complete


def test_a_seed_without_archive_is_trained(begun: Path, corpus: Path, tmp_path: Path) -> None:
    places = places_in(tmp_path, corpus)
    assert asked(CHANCE.with_(seed=1), places, begun) == [1, 2, 3, 4]


def change(name: str, old: str, new: str) -> Callable[[Path], None]:
    def fault(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return fault


def other_recordings(folder: Path) -> None:
    digest = json.loads((folder / "run.json").read_text())["corpus"]["digest"]
    change("run.json", digest, "f" * 64)(folder)


def swap(folder: Path) -> None:
    """In fold 1, who validated has trained, and one who trained has validated."""
    text = (folder / "folds.csv").read_text()
    (validated,) = [
        row for row in text.splitlines() if row.startswith("1,") and "validation" in row
    ]
    trained = next(row for row in text.splitlines() if row.startswith("1,") and "train" in row)
    for row, part in ((validated, "train"), (trained, "validation")):
        text = text.replace(row, f"{row.rpartition(',')[0]},{part}")
    (folder / "folds.csv").write_text(text)


def lose_a_clip(folder: Path) -> None:
    table = pd.read_csv(folder / "predictions.csv.bz2", dtype=str)
    table[1:].to_csv(folder / "predictions.csv.bz2", index=False)


MISFITS = {
    "digest": (change("run.json", CHANCE.digest, "0123456789ab"), "in: 0123456789ab."),
    "knobs": (change("run.json", '"hop": 7800', '"hop": 3900'), "in: hop 3900."),
    "recordings": (other_recordings, f"in: {'f' * 64}."),
    "speakers": (swap, "in: 1 ravdess:0"),
    "clips": (lose_a_clip, "in: Actor_01/03-01-"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_an_archive_that_differs_is_refused(
    begun: Path, corpus: Path, tmp_path: Path, what: str
) -> None:
    fault, odd = MISFITS[what]
    results = shutil.copytree(begun, tmp_path / "results")
    fault(archive_folder(results, CHANCE.name, 0))
    places = places_in(tmp_path, corpus)
    with pytest.raises(RunError) as caught:
        run(CHANCE, places, archive=results, engine=inline)
    assert f"must have the {what} that recipe chance has now" in str(caught.value)
    assert odd in str(caught.value)
    assert "\n" not in str(caught.value)
    assert find_runs([places.runs]) == ()


def test_missing_and_unwritable_folders_are_refused(
    begun: Path, corpus: Path, tmp_path: Path
) -> None:
    places = places_in(tmp_path, corpus)
    with pytest.raises(RunError, match=r"must be a folder of archived runs\. Got none"):
        run(CHANCE, places, archive=tmp_path / "nowhere", engine=inline)
    assert not places.runs.exists()  # a failed run leaves nothing
    (places.runs / CHANCE.run).mkdir(parents=True)
    (places.runs / CHANCE.run / "fold-1").touch()
    with pytest.raises(RunError, match=r"cannot be written: File exists\. Make room"):
        run(CHANCE, places, archive=begun, engine=inline)


def test_an_archive_does_not_follow_a_link_at_a_temporary_name(
    undisturbed: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    folder = archive_folder(tmp_path / "results", NETWORK.name, 0)
    folder.parent.mkdir(parents=True)
    (folder.parent / f".{folder.name}.part").symlink_to(victim)
    archive_runs(runs_in(undisturbed), tmp_path / "results", points=read_points)
    assert read_run(folder).complete
    assert not [*victim.iterdir()]


def test_the_commands(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.toml").write_text('partial = true\nmethod = "chance-stratified"\n')
    results, page = f"{tmp_path / 'results'}", f"{tmp_path / 'report'}"
    words = ["run", f"{tmp_path / 'mine.toml'}", "--data", f"{corpus}", "--runs"]
    assert main([*words, f"{tmp_path / 'a'}", "--folds", "2,3"]) == 0
    assert main(["report", f"{tmp_path / 'a'}", "-o", page, "--archive", results]) == 0
    assert "<b>Not finished:</b> 2 of 4 folds are done." in Path(page, "index.html").read_text()
    shutil.rmtree(tmp_path / "a")
    assert main([*words, f"{tmp_path / 'b'}", "--archive", results]) == 0
    assert main(["report", f"{tmp_path / 'b'}", "-o", page, "--archive", results]) == 0
    assert read_run(archive_folder(Path(results), "mine", 0)).complete
    assert main([*words, f"{tmp_path / 'c'}", "--archive", f"{tmp_path / 'none'}"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("affekt: ")
