"""One fold to its folder: trained, tested, recorded; or gone on with where it was killed."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from affekt.corpora import read_manifest
from affekt.corpora.manifest import Manifest
from affekt.corpora.splits import Fold
from affekt.errors import AffektError, RunError
from affekt.experiments.baselines import KINDS, Baseline
from affekt.experiments.batches import Patches, load_patches
from affekt.experiments.features import load_features
from affekt.experiments.network import evaluate, start_network
from affekt.experiments.recipe import Recipe
from affekt.experiments.records import (
    corpus_facts,
    fold_facts,
    write_json,
    write_predictions,
)
from affekt.experiments.run_folder import DONE, EPOCHS, Places, fold_folder, is_done
from affekt.experiments.training import Part, train
from affekt.model.classifier import save_classifier
from affekt.model.official import find


def run_fold(recipe: Recipe, fold: Fold, folder: Path, places: Places) -> None:
    """Train and test one fold on one thread, unless it is done.

    Args:
        recipe: the knobs.
        fold: who trains, validates and is tested.
        folder: the run folder, prepared; the fold's own is ``fold-<number>`` in it.
        places: where data and weights are.

    Raises:
        AffektError: data, weights or disk are not as they must be; what is done stays done.
    """
    own = fold_folder(folder, fold)
    try:
        own.mkdir(exist_ok=True)
        with FileLock(own / "lock"):  # another runner may be at it
            if not is_done(folder, fold):
                _run(recipe, fold, own, places)
            for epoch in EPOCHS:
                (own / epoch).unlink(missing_ok=True)
    except AffektError:
        raise
    except OSError as error:
        raise RunError(
            f"{own} must take what the fold makes. Got: {error.strerror}. Make room and run it "
            f"again: the epochs that are done are kept."
        ) from error


def _run(recipe: Recipe, fold: Fold, own: Path, places: Places) -> None:
    started = time.monotonic()
    manifest = read_manifest(own.parent / "manifest.csv", places.data)
    tested = part_of(manifest, fold.test)
    probabilities: NDArray[Any]
    if recipe.method == "network":
        probabilities, facts = _network(recipe, fold, manifest, own, places)
    else:
        probabilities, facts = _baseline(recipe, fold, manifest, places)
    write_predictions(own / "predictions.csv", recipe, fold, manifest, tested.clips, probabilities)
    seconds = round(time.monotonic() - started, 1)
    write_json(own / DONE, {**fold_facts(recipe, fold), **facts, "seconds": seconds})


def fill_cache(recipe: Recipe, manifest: Manifest, places: Places) -> None:
    """Compute what all folds share once, before they start side by side.

    Raises:
        AffektError: recordings, weights or cache are not as they must be.
    """
    if recipe.method.startswith("chance"):
        return
    if recipe.weights != "random":
        find(recipe.weights, places.weights)
    patches = _patches(recipe, manifest, places)
    if recipe.method != "network":
        load_features(recipe, manifest, patches, places)


def part_of(manifest: Manifest, speakers: Sequence[str]) -> Part:
    """The clips of some speakers, in the manifest's order."""
    clips = [row for row, clip in enumerate(manifest.clips) if clip.speaker in speakers]
    truth = [manifest.labels.index(manifest.clips[row].label) for row in clips]
    return Part(np.array(clips), np.array(truth))


def _patches(recipe: Recipe, manifest: Manifest, places: Places) -> Patches:
    return load_patches(manifest, places.cache, front_end=recipe.front_end, hop=recipe.hop)


def _network(
    recipe: Recipe, fold: Fold, manifest: Manifest, own: Path, places: Places
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Train the network; probabilities of the test clips, and what the fold's facts add."""
    torch.set_num_threads(1)
    patches = _patches(recipe, manifest, places)
    training, validation = part_of(manifest, fold.train), part_of(manifest, fold.validation)
    classifier = start_network(
        recipe, manifest.labels, fold.number, patches, training.clips, places
    )
    best_epoch = train(
        classifier, patches, training, validation, own, recipe=recipe, fold=fold.number
    )
    clips = part_of(manifest, fold.test).clips
    probabilities, activations = evaluate(classifier, patches, clips)
    files = np.array([manifest.clips[clip].file for clip in clips])
    np.savez_compressed(own / "activations.npz", activations=activations, files=files)
    corpora = [corpus_facts(manifest, fold, patches.digest)]
    facts = {"best_epoch": best_epoch, **fold_facts(recipe, fold)}
    save_classifier(classifier, own / "model.pt", corpora=corpora, hop=recipe.hop, **facts)
    return probabilities, {"best_epoch": best_epoch}


def _baseline(
    recipe: Recipe, fold: Fold, manifest: Manifest, places: Places
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Fit a baseline; probabilities of the test clips, and what the fold's facts add."""
    truth = np.array([clip.label for clip in manifest.clips])
    if recipe.method in KINDS:  # a chance line, which hears nothing
        kind, features = recipe.method, np.zeros((len(truth), 1), np.float32)
    else:
        kind = recipe.method.partition("-")[2]
        features = load_features(recipe, manifest, _patches(recipe, manifest, places), places)
    with threadpool_limits(1):
        baseline = Baseline(kind, manifest.labels, recipe.seed).fit(
            features,
            truth,
            train=part_of(manifest, fold.train).clips,
            validation=part_of(manifest, fold.validation).clips,
        )
        probabilities = baseline.predict_proba(features[part_of(manifest, fold.test).clips])
    uar = round(baseline.validation_uar, 6)
    chosen = {"chosen": baseline.chosen, "validation_uar": uar}
    return probabilities, {"best_epoch": None, **chosen}
