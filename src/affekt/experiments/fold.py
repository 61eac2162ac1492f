"""One fold to its folder: trained, tested, recorded; or gone on with where it was killed."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from affekt.corpora.folds import Fold
from affekt.corpora.joined import corpus_of
from affekt.corpora.manifest import Manifest
from affekt.errors import AffektError, RunError
from affekt.evaluation.runs import DONE, TRAINING
from affekt.experiments.baselines import KINDS, Baseline
from affekt.experiments.batches import Patches
from affekt.experiments.clashes import YAMNET
from affekt.experiments.enrolled import answer_enrolled
from affekt.experiments.features import load_features
from affekt.experiments.material import Material, load_all_patches, load_material
from affekt.experiments.network import architecture_of, evaluate, set_population, start_network
from affekt.experiments.profiles import same_speaker
from affekt.experiments.recipe import Recipe
from affekt.experiments.records import (
    corpora_facts,
    fold_facts,
    write_enrolment,
    write_json,
    write_predictions,
)
from affekt.experiments.run_folder import (
    EPOCHS,
    Places,
    fold_folder,
    is_done,
    manifest_of,
)
from affekt.experiments.teacher import read_answers
from affekt.experiments.training import Part, predict, train
from affekt.model.classifier import Classifier, save_classifier
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
    facts = fold_facts(recipe, fold)  # now, as the checkout may have moved on by the end
    manifest = manifest_of(own.parent, places)
    patches = () if recipe.method in KINDS else _patches(recipe, manifest, places)
    if patches:
        facts["sound"] = patches[0].digest
        _refuse_other_sound(own.parent, patches[0].digest)
    probabilities: NDArray[Any]
    if recipe.method == "network":
        probabilities, found = _network(recipe, fold, manifest, patches, own, places, facts)
    else:
        probabilities, found = _baseline(recipe, fold, manifest, patches, places)
    if fold.test:
        clips = part_of(manifest, fold.test).clips
        write_predictions(own / "predictions.csv", recipe, fold, manifest, clips, probabilities)
    seconds = round(time.monotonic() - started, 1)
    write_json(own / DONE, {**facts, **found, "seconds": seconds})


def _refuse_other_sound(folder: Path, sound: str) -> None:
    """Folds of one run hear the same recordings, whatever a manifest cannot see of them."""
    for done in folder.glob(f"fold-*/{DONE}"):
        if json.loads(done.read_text(encoding="utf-8")).get("sound", sound) != sound:
            raise RunError(
                f"{folder} must go on with the recordings that {done.parent.name} heard. Got the "
                f"same names with other sound. Put them back, or use --runs with another folder."
            )


def fill_cache(recipe: Recipe, manifest: Manifest, places: Places) -> None:
    """Compute what all folds share once, before they start side by side.

    Raises:
        AffektError: recordings, weights or cache are not as they must be.
    """
    if recipe.method.startswith("chance"):
        return
    if recipe.weights != "random" and recipe.backbone == YAMNET:
        find(recipe.weights, places.weights)
    patches = _patches(recipe, manifest, places)
    if recipe.method != "network":
        load_features(recipe, manifest, patches[0], places)
    elif recipe.frozen and recipe.weights != "random":
        # the whole corpus may be looked at: an unfolded batch norm changes no activation
        everything = np.arange(len(manifest.clips))
        classifier = start_network(recipe, manifest.labels, 0, patches[0], everything, places)
        load_material(recipe, manifest, patches, classifier, places)


def part_of(manifest: Manifest, speakers: Sequence[str], *, balance: bool = False) -> Part:
    """The clips of some speakers, in the manifest's order.

    Args:
        manifest: whose clips.
        speakers: of the part.
        balance: let every class of every corpus weigh the same, instead of every clip.
    """
    chosen = [row for row, clip in enumerate(manifest.clips) if clip.speaker in speakers]
    clips = np.array(chosen, np.int64)
    truth = [manifest.labels.index(manifest.clips[row].label) for row in clips]
    kinds = [(corpus_of(manifest.clips[row].speaker), manifest.clips[row].label) for row in clips]
    count = Counter(kinds)
    share = len(clips) / max(len(count), 1)
    weights = [share / count[kind] if balance else 1.0 for kind in kinds]
    return Part(
        clips,
        np.array(truth, np.int64),
        np.array(weights, np.float32),
        same_speaker(manifest, clips),
    )


def _patches(recipe: Recipe, manifest: Manifest, places: Places) -> tuple[Patches, ...]:
    return load_all_patches(recipe, manifest, architecture_of(recipe, manifest.labels), places)


def _network(
    recipe: Recipe,
    fold: Fold,
    manifest: Manifest,
    patches: tuple[Patches, ...],
    own: Path,
    places: Places,
    facts: dict[str, Any],
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Train the network; probabilities of the test clips, and what the fold's facts add."""
    torch.set_num_threads(1)
    training = part_of(manifest, fold.train, balance=recipe.balance)
    if recipe.teacher:
        answers = read_answers(places.runs / recipe.teacher, fold, manifest, training.clips)
        training = replace(training, answers=answers)
    validation = part_of(manifest, fold.validation)
    classifier = start_network(
        recipe, manifest.labels, fold.number, patches[0], training.clips, places
    )
    material = load_material(recipe, manifest, patches, classifier, places)
    set_population(classifier, material.activations, training.clips)
    best_epoch = train(
        classifier, material, training, validation, own, recipe=recipe, fold=fold.number
    )
    if recipe.teach:
        answers = predict(classifier, material, training.clips).softmax(dim=1).numpy()
        write_predictions(own / TRAINING, recipe, fold, manifest, training.clips, answers)
    probabilities = np.zeros((0, len(manifest.labels)), np.float32)
    if fold.test:
        probabilities = _test(recipe, fold, manifest, classifier, material, own)
    corpora = corpora_facts(manifest, fold, patches[0].digest)
    save_classifier(classifier, own / "model.pt", corpora=corpora, best_epoch=best_epoch, **facts)
    return probabilities, {"best_epoch": best_epoch}


def _test(
    recipe: Recipe,
    fold: Fold,
    manifest: Manifest,
    classifier: Classifier,
    material: Material,
    own: Path,
) -> NDArray[np.float32]:
    """Probabilities of the test clips; beside them the folder takes what else can be told."""
    validation, tested = (part_of(manifest, part).clips for part in (fold.validation, fold.test))
    probabilities, activations = evaluate(classifier, material, tested)
    files = np.array([manifest.names[clip] for clip in tested])
    np.savez_compressed(own / "activations.npz", activations=activations, files=files)
    chosen_by = predict(classifier, material, validation).softmax(dim=1).numpy()
    about = (recipe, fold, manifest)
    write_predictions(own / "validation.csv", *about, validation, chosen_by)
    if recipe.profile:
        seed = (recipe.seed, fold.number)
        answers = answer_enrolled(classifier, material, manifest, tested, seed=seed)
        write_enrolment(own / "enrolment.csv", *about, tested, dict(answers))
    return probabilities


def _baseline(
    recipe: Recipe,
    fold: Fold,
    manifest: Manifest,
    patches: tuple[Patches, ...],
    places: Places,
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Fit a baseline; probabilities of the test clips, and what the fold's facts add."""
    truth = np.array([clip.label for clip in manifest.clips])
    if recipe.method in KINDS:  # a chance line, which hears nothing
        kind, features = recipe.method, np.zeros((len(truth), 1), np.float32)
    else:
        kind = recipe.method.partition("-")[2]
        features = load_features(recipe, manifest, patches[0], places)
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
