"""Train and test one fold and write its results; resume it if it was killed."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from affekt.atomic_write import atomic_write
from affekt.corpora.folds import Fold
from affekt.corpora.joined import corpus_of
from affekt.corpora.manifest import Manifest
from affekt.corpora.perceived import perceived_labels
from affekt.errors import RunError, writing
from affekt.experiments.augmentation import Augmentation
from affekt.experiments.baselines import Baseline, load_features
from affekt.experiments.feature_cache import Source, sound_digest
from affekt.experiments.minibatches import Inputs, predict
from affekt.experiments.network import (
    architecture_of,
    evaluate,
    load_inputs,
    set_population,
    start_network,
)
from affekt.experiments.profiles import predict_enrolled, same_speaker
from affekt.experiments.recipe import Recipe
from affekt.experiments.training import Part, train
from affekt.model.classifier import Classifier, save_classifier
from affekt.model.pretrained import OFFICIAL, TURN_DETECTOR, find
from affekt.runs.folder import (
    ACTIVATIONS,
    DONE,
    LAST,
    SOUND,
    Locations,
    fold_folder,
    is_done,
    manifest_of,
    write_json,
)
from affekt.runs.reading import read_json
from affekt.runs.writing import corpora_facts, fold_facts, predictions_of, write_table


def run_fold(recipe: Recipe, folder: Path, locations: Locations, fold: Fold) -> None:
    """Train and test one fold of a prepared run folder on one thread, unless it is done.

    Raises:
        AffektError: unusable data, weights or disk; finished epochs remain.
    """
    own = fold_folder(folder, fold)
    with writing(own, RunError, "Make room and run it again: finished epochs are kept."):
        own.mkdir(exist_ok=True)
        with FileLock(own / "lock"):  # another runner may train it
            if not is_done(folder, fold):
                _run(recipe, fold, own, locations)
            (own / LAST).unlink(missing_ok=True)


def _run(recipe: Recipe, fold: Fold, own: Path, locations: Locations) -> None:
    started = time.monotonic()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    facts = fold_facts(recipe.identity, fold, gpu=gpu)  # now: the checkout may change later
    manifest = manifest_of(own.parent, locations)
    if recipe.method.startswith("chance"):  # uses no features
        features = np.zeros((len(manifest.clips), 1), np.float32)
        facts |= _baseline(recipe, fold, manifest, features, own)
    else:
        source = source_of(recipe, manifest, locations)
        facts["sound"] = source.digest
        _refuse_other_sound(own.parent, source.digest)
        if recipe.method == "network":
            facts |= _network(recipe, fold, source, own, locations, facts)
        else:
            features = load_features(recipe, source, locations)
            facts |= _baseline(recipe, fold, manifest, features, own)
    write_json(own / DONE, {**facts, "seconds": round(time.monotonic() - started, 1)})


def source_of(recipe: Recipe, manifest: Manifest, locations: Locations) -> Source:
    """The recordings of a manifest as a recipe's network needs them."""
    return Source(
        manifest,
        sound_digest(manifest),
        architecture_of(recipe, manifest.labels),
        Augmentation(recipe.augment_channel, recipe.augment_bandwidth, recipe.augment_noise),
        locations.cache,
    )


def _refuse_other_sound(folder: Path, sound: str) -> None:
    """Check that all folds and epochs of a run use the same recordings, by their content."""
    for file in (*folder.glob(SOUND), *folder.glob(f"fold-*/{DONE}")):
        if read_json(file).get("sound", sound) != sound:
            raise RunError(
                f"{folder} must continue with the recordings that it began with. Got the same "
                f"names with other sound. Put them back, or use --runs with another folder."
            )
    write_json(folder / SOUND, {"sound": sound})


def check_weights(recipe: Recipe, locations: Locations) -> None:
    """Raise a ModelError for pretrained weights that are missing or not the published ones."""
    if (name := _weights(recipe)) in OFFICIAL and not recipe.method.startswith("chance"):
        find(name, locations.weights)


def _weights(recipe: Recipe) -> str:
    """Name of the file of the trunk's first weights, or ``random``."""
    return TURN_DETECTOR if recipe.trunk == "whisper" else recipe.weights


def fill_cache(recipe: Recipe, manifest: Manifest, locations: Locations) -> None:
    """Compute the cached arrays, before the folds start in parallel.

    Raises:
        AffektError: unusable recordings, weights or cache.
    """
    if recipe.method.startswith("chance"):
        return
    source = source_of(recipe, manifest, locations)
    if recipe.method != "network":
        load_features(recipe, source, locations)
    elif recipe.frozen and recipe.weights != "random":
        # all clips may be used: an unfolded batch norm changes no feature
        classifier = start_network(recipe, 0, source, np.arange(len(manifest.clips)), locations)
        load_inputs(recipe, source, classifier)
    elif not recipe.frozen:
        for speaker in range(recipe.augmented_speakers + 1):
            source.patches(speaker)


def clips_of(manifest: Manifest, speakers: Sequence[str]) -> NDArray[np.int64]:
    """The rows of some speakers' clips, in the manifest's order."""
    rows = [row for row, clip in enumerate(manifest.clips) if clip.speaker in speakers]
    return np.array(rows, np.int64)


def part_of(
    manifest: Manifest, clips: NDArray[np.int64], *, balance: bool = False, perceived: float = 0.0
) -> Part:
    """Describe one part of a fold.

    Args:
        clips: ``(clips,)`` rows of the manifest.
        balance: give every class of every corpus the same weight, instead of every clip.
        perceived: share of the perceived emotion in the labels of the loss.

    Raises:
        CorpusError: a corpus' table of votes is missing or not the published one.
    """
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
        perceived_labels(manifest, clips, perceived) if perceived and len(clips) else None,
    )


def _network(
    recipe: Recipe,
    fold: Fold,
    source: Source,
    own: Path,
    locations: Locations,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """Train and test the network, and write it; return further facts."""
    torch.set_num_threads(1)
    manifest = source.manifest
    clips = clips_of(manifest, fold.train)
    training = part_of(manifest, clips, balance=recipe.balance, perceived=recipe.perceived)
    validation = part_of(manifest, clips_of(manifest, fold.validation))
    classifier = start_network(recipe, fold.number, source, clips, locations)
    inputs = load_inputs(recipe, source, classifier)
    set_population(classifier, inputs.features, clips)
    seed = (recipe.seed, fold.number)
    best_epoch = train(classifier, inputs, training, validation, own, recipe=recipe, seed=seed)
    if fold.test:
        _test(recipe, fold, manifest, classifier, inputs, own)
    encoder = OFFICIAL[_weights(recipe)].credit if _weights(recipe) in OFFICIAL else ""
    facts = facts | {"best_epoch": best_epoch, "encoder": encoder}
    corpora = corpora_facts(manifest, fold, source.digest)
    save_classifier(classifier, own / "model.pt", corpora=corpora, **facts)
    return {"best_epoch": best_epoch}


def _test(
    recipe: Recipe,
    fold: Fold,
    manifest: Manifest,
    classifier: Classifier,
    inputs: Inputs,
    own: Path,
) -> None:
    """Write predictions of the test clips, also with enrolment, and of the validation clips."""
    validation, tested = (clips_of(manifest, part) for part in (fold.validation, fold.test))
    about = (recipe.identity, fold, manifest)
    probabilities, activations = evaluate(classifier, inputs, tested)
    files = np.array([manifest.names[clip] for clip in tested])
    with atomic_write(own / ACTIVATIONS) as part, part.open("wb") as file:
        np.savez_compressed(file, activations=activations, files=files)
    write_table(own / "predictions.csv", predictions_of(*about, tested, probabilities))
    validated = predict(classifier, inputs, validation).softmax(dim=1).numpy()
    write_table(own / "validation.csv", predictions_of(*about, validation, validated))
    if recipe.speaker_normalization:
        seed = (recipe.seed, fold.number)
        enrolled = predict_enrolled(classifier, inputs, manifest, tested, seed=seed)
        tables = (predictions_of(*about, tested, p, profile=name) for name, p in enrolled)
        write_table(own / "enrolment.csv", *tables)


def _baseline(
    recipe: Recipe, fold: Fold, manifest: Manifest, features: NDArray[np.float32], own: Path
) -> dict[str, Any]:
    """Fit a baseline and write its predictions of the test clips; return further facts."""
    truth = np.array([clip.label for clip in manifest.clips])
    kind = recipe.method.removeprefix("mfcc-").removeprefix("gtcc-")
    train, validation, tested = (
        clips_of(manifest, part) for part in (fold.train, fold.validation, fold.test)
    )
    with threadpool_limits(1):
        baseline = Baseline(kind, manifest.labels, recipe.seed, recipe.select_features)
        baseline.fit(features, truth, train=train, validation=validation)
        probabilities = baseline.predict_proba(features[tested])
    predictions = predictions_of(recipe.identity, fold, manifest, tested, probabilities)
    write_table(own / "predictions.csv", predictions)
    uar = round(baseline.validation_uar, 6)
    return {"best_epoch": None, "chosen": baseline.chosen, "validation_uar": uar}
