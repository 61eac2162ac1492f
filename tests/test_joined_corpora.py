"""Test that several corpora form one table with unchanged speakers and recordings."""

import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from affekt.audio.reading import read
from affekt.corpora import Manifest, load, read_manifest, write_manifest
from affekt.corpora.folds import read_folds
from affekt.corpora.joined import corpus_of
from affekt.corpora.recordings import read_samples
from affekt.errors import CorpusError, RunError
from affekt.experiments.fold import clips_of, part_of
from affekt.experiments.runner import run
from affekt.model.classifier import load_classifier
from affekt.runs.folder import Locations, usual_locations
from affekt.runs.reading import find_runs, read_run
from synthetic_corpus import make_corpus, make_emovo, places_in, tiny_recipe
from worker_functions import inline

BOTH = "ravdess+emovo"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a folder of each corpus."""
    folder = tmp_path_factory.mktemp("corpora")
    make_corpus(folder / "ravdess", speakers=3)
    make_emovo(folder / "emovo")
    return folder


@pytest.fixture(scope="module")
def manifest(root: Path) -> Manifest:
    return load(BOTH, root, partial=True)


def test_clips_of_all_corpora_are_listed(manifest: Manifest, root: Path) -> None:
    first, second = (load(name, root / name, partial=True) for name in ("ravdess", "emovo"))
    assert (manifest.corpus, manifest.task) == (BOTH, "four")
    assert manifest.labels == first.labels == second.labels
    assert manifest.root == root
    alone = [*first.clips, *second.clips]
    assert [clip.speaker for clip in manifest.clips] == [clip.speaker for clip in alone]
    assert [clip.label for clip in manifest.clips] == [clip.label for clip in alone]
    names = [f"ravdess/{clip.file}" for clip in first.clips]
    names += [f"emovo/{clip.file}" for clip in second.clips]
    assert [clip.file for clip in manifest.clips] == names
    assert {corpus_of(speaker) for speaker in manifest.speakers} == {"ravdess", "emovo"}


def test_channels_are_those_of_each_corpus(manifest: Manifest) -> None:
    for clip in manifest.clips:
        channel = 0 if clip.speaker.startswith("emovo:") else None
        expected = read(manifest.root / clip.file, channel=channel)
        np.testing.assert_array_equal(read_samples(manifest, clip), expected)


def test_what_is_written_comes_back(manifest: Manifest, tmp_path: Path) -> None:
    write_manifest(manifest, tmp_path / "manifest.csv")
    found = read_manifest(tmp_path / "manifest.csv", manifest.root)
    assert found == manifest
    assert found.digest == manifest.digest


def test_relative_and_linked_folders(
    manifest: Manifest, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    near = load(BOTH, root.name, partial=True)
    (tmp_path / "link").symlink_to(root)
    linked = load(BOTH, tmp_path / "link", partial=True)
    (tmp_path / "links").mkdir()
    for name in BOTH.split("+"):
        (tmp_path / "links" / name).symlink_to(root / name)
    links = load(BOTH, tmp_path / "links", partial=True)
    for found in (near, linked, links):
        assert found.clips == manifest.clips
        assert all((found.root / clip.file).is_file() for clip in found.clips)


def test_corpora_are_listed_in_the_order_of_the_name(root: Path) -> None:
    assert load("emovo+ravdess", root, partial=True).clips[0].speaker.startswith("emovo:")


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("ravdess+ravdess", "four", r"joined must differ\. Got ravdess\+ravdess"),
        (BOTH, "all", r"must have the same labels\. Got .* in ravdess and .*Use task four"),
        ("ravdess+mine", "four", "corpus must be one of"),
        ("ravdess+", "four", "corpus must be one of"),
        ("ravdess+tess", "four", "must be a folder"),
    ],
)
def test_corpora_that_cannot_be_joined(root: Path, name: str, task: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message) as error:
        load(name, root, task=task, partial=True)
    assert "\n" not in str(error.value)


def test_every_class_of_every_corpus_weighs_the_same(manifest: Manifest) -> None:
    rows = clips_of(manifest, manifest.speakers[:-1])
    plain, balanced = (part_of(manifest, rows, balance=each) for each in (False, True))
    np.testing.assert_array_equal(plain.weights, 1)
    assert balanced.weights.dtype == np.float32
    np.testing.assert_array_equal(plain.clips, balanced.clips)
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for row, weight in zip(balanced.clips, balanced.weights, strict=True):
        clip = manifest.clips[row]
        sums[corpus_of(clip.speaker), clip.label] += weight
    assert len(sums) == 8
    assert len({corpus for corpus, _ in sums}) == 2
    np.testing.assert_allclose(list(sums.values()), len(plain.clips) / 8, rtol=1e-6)


def test_a_part_lists_other_clips_of_the_same_speaker(manifest: Manifest) -> None:
    part = part_of(manifest, clips_of(manifest, manifest.speakers[:3]))
    for row, others in part.others.items():
        speaker = manifest.clips[row].speaker
        same = {r for r in part.clips if manifest.clips[r].speaker == speaker}
        assert {*others} == same - {row}


# ----------------------------------------------------------------------------------- runs


def test_leave_one_corpus_out(root: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(corpus=BOTH, protocol="leave-one-corpus-out", epochs=1, balance=True)
    places = places_in(tmp_path, root)
    assert run(recipe, places, engine=inline) == ()
    folder = places.runs / recipe.run
    for fold in read_folds(folder / "folds.csv"):
        own = folder / f"fold-{fold.number}"
        (learned,) = load_classifier(own / "model.pt")[1]["corpora"]
        (tested,) = {corpus_of(speaker) for speaker in fold.test}
        assert {learned["name"], tested} == {"ravdess", "emovo"}
        assert learned["speakers"] == list(fold.train)
        assert learned["validation_speakers"] == list(fold.validation)
        assert learned["clips"] == 4 * len(fold.train)
        rows = [*csv.DictReader((own / "predictions.csv").read_text().splitlines())]
        assert {corpus_of(row["speaker"]) for row in rows} == {tested}
    whole = read_run(folder)
    assert whole.complete
    assert len(whole.predictions) == 7 * 4


def test_train_on_one_corpus(root: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(
        corpus=BOTH, protocol="train-on-one-corpus", source="emovo", method="chance-majority"
    )
    places = places_in(tmp_path, root)
    assert run(recipe, places, engine=inline) == ()
    (fold,) = read_folds(places.runs / recipe.run / "folds.csv")
    assert {corpus_of(speaker) for speaker in fold.test} == {"ravdess"}
    assert json.loads((places.runs / recipe.run / "fold-1" / "result.json").read_text())


def test_train_on_all_speakers(root: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(corpus=BOTH, protocol="train-on-everybody", checkpoint="last", epochs=1)
    places = places_in(tmp_path, root)
    assert run(recipe, places, engine=inline) == ()
    own = places.runs / recipe.run / "fold-1"
    learned = load_classifier(own / "model.pt")[1]["corpora"]
    assert [(each["name"], each["clips"]) for each in learned] == [("ravdess", 12), ("emovo", 16)]
    for name in ("predictions", "validation", "enrolment"):
        assert not (own / f"{name}.csv").exists()
    assert find_runs([places.runs]) == ()  # there is nothing to report
    assert json.loads((own / "result.json").read_text())["best_epoch"] == 1


def test_default_folder_of_several_corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFFEKT_DATA", f"{tmp_path}")
    assert usual_locations(BOTH, data=None, runs=Path("runs"), weights=None).data == tmp_path
    monkeypatch.delenv("AFFEKT_DATA")
    with pytest.raises(RunError, match=r"recordings of ravdess\+emovo must be named"):
        usual_locations(BOTH, data=None, runs=Path("runs"), weights=None)
    named = usual_locations(BOTH, data=Path("here"), runs=Path("runs"), weights=None)
    assert isinstance(named, Locations)
    assert named.data.name == "here"
