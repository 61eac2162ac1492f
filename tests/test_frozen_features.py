"""Test the cached features of a frozen trunk, and a whole run of affekt's own network."""

import csv
import json
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

import affekt
from affekt.audio.reading import read
from affekt.audio.windows import sliding_windows
from affekt.corpora import Manifest, load, read_manifest
from affekt.corpora.folds import Fold, read_folds
from affekt.errors import RunError
from affekt.experiments import feature_cache
from affekt.experiments.feature_cache import Patches
from affekt.experiments.fold import clips_of, source_of
from affekt.experiments.minibatches import Inputs
from affekt.experiments.network import load_inputs, set_population, start_network, usual_device
from affekt.experiments.profiles import ADAPTIVE, AMOUNTS
from affekt.experiments.recipe_files import read_recipe
from affekt.experiments.runner import run
from affekt.model.classifier import Classifier, load_classifier
from affekt.model.export import export
from affekt.model.speaker_normalization import window_sums
from affekt.runs.folder import Locations
from affekt.runs.reading import read_run
from synthetic_corpus import make_corpus, own_recipe, places_in
from worker_functions import inline

SPEAKERS = 3
RECIPE = own_recipe()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus") / "ravdess", speakers=SPEAKERS)


@pytest.fixture(scope="module")
def manifest(corpus: Path) -> Manifest:
    return load("ravdess", corpus, partial=True)


@pytest.fixture(scope="module")
def places(corpus: Path) -> Locations:
    return places_in(corpus.parent, corpus)


def made(manifest: Manifest, places: Locations, fold: int = 1) -> tuple[Classifier, Inputs]:
    source = source_of(RECIPE, manifest, places)
    classifier = start_network(RECIPE, fold, source, np.arange(len(manifest.clips)), places)
    return classifier, load_inputs(RECIPE, source, classifier)


def patches_of(manifest: Manifest, places: Locations) -> tuple[Patches, ...]:
    source = source_of(RECIPE, manifest, places)
    return tuple(source.patches(speaker) for speaker in range(2))


# ----------------------------------------------------------------------------- activations


def test_features_equal_the_output_of_the_trunk(manifest: Manifest, places: Locations) -> None:
    classifier, found = made(manifest, places)
    patches = patches_of(manifest, places)
    assert len(patches) == len(found.features) == 2  # as recorded, and another speaker
    clips, spoken = np.array([5, 0, 7]), np.array([1, 0, 1])
    steps, shares, lengths = found.encode(classifier, clips, spoken)
    with torch.inference_mode():
        plain = Inputs(patches).encode(classifier.eval(), clips, spoken)
    assert steps.shape[1:] == (24, 2_048)
    torch.testing.assert_close(steps, plain[0], rtol=1e-3, atol=1e-4)  # kept in halves
    torch.testing.assert_close(shares, plain[1])
    assert torch.equal(lengths, plain[2])
    for voice, kept in zip(patches, found.features, strict=True):
        for clip in (0, 7):
            heard = voice.gather([clip])
            with torch.inference_mode():
                sums = window_sums(classifier.trunk(heard), classifier.shares(heard))
            for name, each in sums.items():
                torch.testing.assert_close(kept.sums[name][clip], each.sum(0), rtol=1e-3, atol=1e-3)


def test_features_are_computed_once(
    manifest: Manifest, places: Locations, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, before = made(manifest, places)
    monkeypatch.setattr(feature_cache, "each_clip", None)
    _, again = made(manifest, places)
    for one, other in zip(before.features, again.features, strict=True):
        np.testing.assert_array_equal(one.steps, other.steps)
        np.testing.assert_array_equal(one.shares, other.shares)
    with pytest.raises(TypeError):  # a CNN of random weights is another one in each fold
        made(manifest, places, fold=2)


def test_clips_are_computed_on_the_cores_of_the_process(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    threads = feature_cache.each_clip(lambda _: threading.get_ident(), manifest, "features")
    assert len({*threads}) == 1


def test_an_unwritable_cache_is_an_error(
    manifest: Manifest, places: Locations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "each_clip", None)  # found out before hours of computing
    file = tmp_path / "file"
    file.touch()
    source = source_of(RECIPE, manifest, Locations(places.data, file, file))
    classifier = start_network(RECIPE, 1, source, np.arange(3), places)
    with pytest.raises(RunError, match="Make room, or set AFFEKT_CACHE"):
        load_inputs(RECIPE, source, classifier)


def test_a_trained_trunk_has_patches_and_no_features(manifest: Manifest, places: Locations) -> None:
    trained = own_recipe(frozen=False, speaker_normalization=False)
    source = source_of(trained, manifest, places)
    classifier = start_network(trained, 1, source, np.arange(3), places)
    inputs = load_inputs(trained, source, classifier)
    assert inputs.features == ()
    assert len(inputs.patches) == 2


def test_population_statistics_are_of_all_training_clips(
    manifest: Manifest, places: Locations
) -> None:
    classifier, found = made(manifest, places)
    clips = clips_of(manifest, manifest.speakers[:2])
    set_population(classifier, found.features, clips)
    parts = [voice.gather(clips) for voice in patches_of(manifest, places)]
    with torch.inference_mode():
        steps = torch.cat([classifier.trunk(part) for part in parts]).double()
        shares = torch.cat([classifier.shares(part) for part in parts]).double()[..., None]
    mean = (steps * shares).sum((0, 1)) / shares.sum()
    variance = ((steps - mean) ** 2 * shares).sum((0, 1)) / shares.sum()
    assert classifier.speaker is not None
    torch.testing.assert_close(classifier.speaker.mean.double(), mean, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(classifier.speaker.variance.double(), variance, rtol=1e-2, atol=1e-4)


# -------------------------------------------------------------------------------- the run


@pytest.fixture(scope="module")
def folder(places: Locations) -> Path:
    assert run(RECIPE, places, engine=inline) == ()
    return places.runs / RECIPE.run


def table(path: Path) -> list[dict[str, str]]:
    return [*csv.DictReader(path.read_text(encoding="utf-8").splitlines())]


def folds_of(folder: Path) -> list[tuple[Fold, Path]]:
    folds = read_folds(folder / "folds.csv")
    return [(fold, folder / f"fold-{fold.number}") for fold in folds]


def test_a_run_records_every_enrolment_condition(folder: Path) -> None:
    labels = read_manifest(folder / "manifest.csv", folder).labels
    conditions = [*(f"random-{n}" for n in AMOUNTS), "all", *(f"{label}-4" for label in labels)]
    for fold, own in folds_of(folder):
        assert sorted(path.name for path in own.iterdir()) == [
            "activations.npz",
            "curve.csv",
            "enrolment.csv",
            "lock",
            "model.pt",
            "predictions.csv",
            "result.json",
            "validation.csv",
        ]
        plain, enrolled = table(own / "predictions.csv"), table(own / "enrolment.csv")
        assert list(enrolled[0]) == ["profile", *plain[0]]
        assert list(dict.fromkeys(row["profile"] for row in enrolled)) == [*conditions, ADAPTIVE]
        who = [
            {key: row[key] for key in ("recipe", "seed", "fold", "file", "speaker", "truth")}
            for row in plain
        ]
        for start in range(0, len(enrolled), len(plain)):
            rows = enrolled[start : start + len(plain)]
            assert len({row["profile"] for row in rows}) == 1
            assert [{key: row[key] for key in who[0]} for row in rows] == who
        for row in enrolled:
            shares = {label: float(row[f"p_{label}"]) for label in labels}
            assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
            assert shares[row["predicted"]] == max(shares.values())
        answered = Counter(row["speaker"] for row in table(own / "validation.csv"))
        assert answered == dict.fromkeys(fold.validation, 4)
    assert read_run(folder).complete


def test_predictions_equal_the_saved_network_without_enrolment(folder: Path, corpus: Path) -> None:
    """From the sound itself, as a user of the model would ask it."""
    for _, own in folds_of(folder)[:2]:
        network, _ = load_classifier(own / "model.pt")
        for row in table(own / "predictions.csv"):
            sound = read(corpus / row["file"])
            windows = torch.tensor(sliding_windows(sound, hop=15_360, last_window="pad"))
            state = {name: each[0] for name, each in network.start(1).items()}
            with torch.inference_mode():
                outputs, _ = network.step(windows, state)
            given = [float(row[f"p_{label}"]) for label in network.architecture.labels]
            np.testing.assert_allclose(outputs["probabilities"][-1].numpy(), given, atol=2e-3)


def test_an_exported_network_gives_the_tested_predictions(
    folder: Path, corpus: Path, tmp_path: Path
) -> None:
    """Without enrolment as in predictions.csv, with enrolment as in enrolment.csv."""
    _, own = folds_of(folder)[0]
    export(own / "model.pt", tmp_path / "own.onnx", name="own", precision="float32")
    predictor = affekt.load(tmp_path / "own.onnx")
    plain = table(own / "predictions.csv")
    everybody = [row for row in table(own / "enrolment.csv") if row["profile"] == "all"]
    files = [corpus / row["file"] for row in plain]
    moved = 0.0
    for file, row, known in zip(files, plain, everybody, strict=True):
        others = [other for other in files if other != file]
        person = affekt.load(tmp_path / "own.onnx", profile=predictor.enroll(others))
        for who, given in ((predictor, row), (person, known)):
            answers = who.predict(file).probabilities
            expected = [float(given[f"p_{label}"]) for label in predictor.labels]
            np.testing.assert_allclose([*answers.values()], expected, atol=5e-3)
        moved = max(moved, *(abs(float(row[c]) - float(known[c])) for c in row if c[:2] == "p_"))
    assert moved > 0.01


def test_the_network_lists_its_training_speakers(folder: Path) -> None:
    facts = json.loads((folder / "fold-1" / "result.json").read_text())
    assert facts["best_epoch"] == RECIPE.epochs
    learned = load_classifier(folder / "fold-1" / "model.pt")[1]["corpora"][0]
    fold, _ = folds_of(folder)[0]
    assert learned["speakers"] == list(fold.train)
    assert learned["clips"] == 4 * len(fold.train)


@pytest.mark.corpus
def test_the_published_recipe_on_real_recordings(data: Path, weights: Path, tmp_path: Path) -> None:
    """Four epochs of the recipe as it is on four speakers: better than chance, as exported."""
    root = tmp_path / "ravdess"
    for actor in ("Actor_01", "Actor_02", "Actor_03", "Actor_04"):
        (root / actor).mkdir(parents=True)
        for file in sorted((data / "ravdess" / actor).glob("03-01-0[1345]-*")):
            (root / actor / file.name).symlink_to(file)
    published = read_recipe(Path(__file__).parents[1] / "recipes" / "ravdess-profile.toml")
    recipe = published.with_(partial=True, epochs=4, augmented_speakers=1, batch=8)
    where = Locations(root, tmp_path / "runs", tmp_path / "cache", weights)
    assert run(recipe, where, folds=[1], engine=inline) == ()
    own = where.runs / recipe.run / "fold-1"
    right = {
        name: np.mean([row["truth"] == row["predicted"] for row in rows])
        for name, rows in {
            "nobody": table(own / "predictions.csv"),
            "all": [r for r in table(own / "enrolment.csv") if r["profile"] == "all"],
        }.items()
    }
    assert min(right.values()) > 0.35
    assert export(own / "model.pt", tmp_path / "own.onnx", name="own") <= 1e-4
    model = affekt.load(tmp_path / "own.onnx")
    files = [root / row["file"] for row in table(own / "predictions.csv")]
    person = model.enroll(files[:8])
    person.save(tmp_path / "me.profile")
    assert (tmp_path / "me.profile").stat().st_size < 16 * 1024
    assert person.seconds > 8


def test_convolutions_on_a_gpu_are_not_rounded_to_tf32() -> None:
    usual_device()
    assert not torch.backends.cudnn.allow_tf32
