"""A recipe to its run folder: ``run_fold`` does one fold, ``run`` all that are not done.

``runs/<recipe>-<digest>/`` holds ``recipe.toml`` (what differs), ``recipe.json`` (every knob),
``manifest.csv``, ``folds.csv`` and a folder per fold; ``result.json`` in it means done, and a
fold that is done is never run again.
"""

import csv
import json
import math
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch import Tensor

from affekt.corpora import CORPORA, load
from affekt.corpora.manifest import Manifest, read_manifest, write_manifest
from affekt.corpora.splits import (
    PARTS,
    Fold,
    hold_out,
    leave_one_speaker_out,
    read_folds,
    speaker_folds,
    write_folds,
)
from affekt.errors import RunError
from affekt.experiments.batches import Patches, load_patches
from affekt.experiments.engines import local
from affekt.experiments.recipe import Recipe
from affekt.experiments.training import Part, predict, seed_torch, train
from affekt.model.classifier import Architecture, Classifier, save_classifier
from affekt.model.weights import load_yamnet

DONE = "result.json"
LIBRARIES = ("affekt", "numpy", "torch", "scikit-learn", "soxr", "soundfile")
UNFOLDING_CLIPS = 96  # of the training part, whose windows the batch norms' statistics come from


@dataclass(frozen=True)
class Places:
    """Where things are on this machine; nothing of it changes a result.

    Attributes:
        data: folder of the corpus.
        runs: folder that takes run folders.
        cache: folder that keeps log-mels.
        weights: YAMNet's file or its folder, ``None`` for the usual places.
    """

    data: Path
    runs: Path
    cache: Path
    weights: Path | None = None


def prepare(recipe: Recipe, places: Places) -> Path:
    """Make the run folder, with its recipe, manifest and folds, unless it is there.

    Returns:
        The run folder.

    Raises:
        CorpusError: the recordings are not those of the recipe, or not those of the run folder.
    """
    folder = places.runs / recipe.run
    manifest = load(recipe.corpus, places.data, task=recipe.task, partial=recipe.partial)
    if (folder / "folds.csv").is_file():
        found = read_manifest(folder / "manifest.csv", places.data)
        if found.digest != manifest.digest:
            raise RunError(
                f"{folder} must go on with the recordings that it began with. Got others under "
                f"{places.data}. Use --runs with another folder."
            )
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{knob} = {json.dumps(value)}\n" for knob, value in recipe.changed.items()]
    (folder / "recipe.toml").write_text("".join(lines), encoding="utf-8")
    (folder / "recipe.json").write_text(json.dumps(recipe.values(), indent=1) + "\n")
    write_manifest(manifest, folder / "manifest.csv")
    write_folds(make_folds(recipe, manifest), folder / "folds.csv")
    return folder


def make_folds(recipe: Recipe, manifest: Manifest) -> tuple[Fold, ...]:
    """The folds that a recipe's protocol makes of a manifest's speakers."""
    if recipe.protocol == "leave-one-speaker-out":
        return leave_one_speaker_out(manifest, seed=recipe.seed, validation=recipe.validation)
    if recipe.protocol == "speaker-folds":
        return speaker_folds(
            manifest, folds=recipe.folds, seed=recipe.seed, validation=recipe.validation
        )
    return hold_out(manifest, recipe.held_out, seed=recipe.seed, validation=recipe.validation)


def run(
    recipe: Recipe,
    places: Places,
    *,
    folds: Collection[int] | None = None,
    jobs: int | None = None,
) -> Path:
    """Run all folds of a recipe that are not done, side by side, one thread each.

    Args:
        recipe: the knobs.
        places: where things are.
        folds: numbers of the folds to run; all by default.
        jobs: folds at a time; one a core by default.

    Returns:
        The run folder.

    Raises:
        RunError: some fold failed; the others are done.
    """
    folder = prepare(recipe, places)
    chosen = [f for f in read_folds(folder / "folds.csv") if folds is None or f.number in folds]
    if not chosen:
        raise RunError(f"folds of {recipe.name} must be some of its own. Got {folds}.")
    manifest = read_manifest(folder / "manifest.csv", places.data)
    load_patches(manifest, places.cache, front_end=recipe.front_end, hop=recipe.hop)
    work = partial(_run_numbered, recipe, folder, places)
    failed = []
    with _progress(recipe, folder, chosen) as show:
        for outcome in local(work, free_first(folder, chosen), jobs=jobs or os.cpu_count() or 1):
            show()
            if outcome is not None and outcome.error:
                failed.append(f"fold {outcome.item.number}: {outcome.error}")
    if failed:
        raise RunError(
            f"{folder}: {len(failed)} of {len(chosen)} folds failed, the others are done. "
            f"Got {'; '.join(failed)}. Mend that and run it again."
        )
    return folder


def _run_numbered(recipe: Recipe, folder: Path, places: Places, fold: Fold) -> None:
    run_fold(recipe, fold, folder, places)


def free_first(folder: Path, folds: Sequence[Fold]) -> Iterator[Fold]:
    """Folds still to do, those that another process is at last; decided as each is asked for."""
    left = [fold for fold in folds if not (folder / f"fold-{fold.number}" / DONE).is_file()]
    while left:
        fold = next((fold for fold in left if not _is_locked(folder, fold)), left[0])
        left.remove(fold)
        yield fold


def _is_locked(folder: Path, fold: Fold) -> bool:
    own = folder / f"fold-{fold.number}"
    own.mkdir(exist_ok=True)
    try:
        with FileLock(own / "lock", timeout=0):
            return False
    except Timeout:
        return True


@contextmanager
def _progress(recipe: Recipe, folder: Path, folds: Sequence[Fold]) -> Iterator[Callable[[], None]]:
    """A bar over all epochs of all folds, read from the files that the folds write."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[folds]} of {task.fields[all]} folds, {task.fields[epochs]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        total = recipe.epochs * len(folds)
        task = bar.add_task(recipe.name, total=total, folds=0, all=len(folds), epochs="")

        def show() -> None:
            done, epochs, at_work = 0, 0, []
            for fold in folds:
                own = folder / f"fold-{fold.number}"
                if (own / DONE).is_file():
                    done, epochs = done + 1, epochs + recipe.epochs
                elif (own / "curve.csv").is_file():
                    at = len((own / "curve.csv").read_text().splitlines()) - 1
                    epochs += at
                    at_work.append(f"fold {fold.number} epoch {at}")
            bar.update(task, completed=epochs, folds=done, epochs=", ".join(at_work))

        show()
        yield show
        show()


def run_fold(recipe: Recipe, fold: Fold, folder: Path, places: Places) -> None:
    """Train and test one fold, or go on where it was killed.

    Args:
        recipe: the knobs.
        fold: who trains, validates and is tested.
        folder: the run folder, prepared; the fold's own is ``fold-<number>`` in it.
        places: where data and weights are.

    Raises:
        AffektError: data, weights or disk are not as they must be; what is done stays done.
    """
    own = folder / f"fold-{fold.number}"
    own.mkdir(exist_ok=True)
    with FileLock(own / "lock"):
        if (own / DONE).is_file():
            return
        started = time.monotonic()
        torch.set_num_threads(1)
        manifest = read_manifest(folder / "manifest.csv", places.data)
        patches = load_patches(manifest, places.cache, front_end=recipe.front_end, hop=recipe.hop)
        parts = {name: part_of(manifest, getattr(fold, name)) for name in PARTS}
        classifier = start_network(recipe, manifest, fold, patches, parts["train"], places)
        best = train(
            classifier,
            patches,
            parts["train"],
            parts["validation"],
            own,
            recipe=recipe,
            fold=fold.number,
        )
        logits, activations = test(classifier, patches, parts["test"].clips)
        facts = fold_facts(recipe, fold, best, time.monotonic() - started)
        write_predictions(own / "predictions.csv", recipe, fold, manifest, parts["test"], logits)
        files = np.array([manifest.clips[clip].file for clip in parts["test"].clips])
        np.savez_compressed(own / "activations.npz", activations=activations, files=files)
        trained_on = corpus_facts(manifest, fold, patches)
        save_classifier(classifier, own / "model.pt", corpora=[trained_on], hop=recipe.hop, **facts)
        part = own / "result.part"
        part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        part.replace(own / DONE)
        for epoch in ("last.pt", "best.pt"):
            (own / epoch).unlink(missing_ok=True)


def part_of(manifest: Manifest, speakers: Sequence[str]) -> Part:
    """The clips of some speakers, in the manifest's order."""
    clips = [row for row, clip in enumerate(manifest.clips) if clip.speaker in speakers]
    truth = [manifest.labels.index(manifest.clips[row].label) for row in clips]
    return Part(np.array(clips), np.array(truth))


def start_network(
    recipe: Recipe, manifest: Manifest, fold: Fold, patches: Patches, training: Part, places: Places
) -> Classifier:
    """The network before its first step: pretrained CNN, fresh head, seeded by recipe and fold."""
    seed_torch(recipe.seed, fold.number)
    ceiling = math.inf if recipe.weights == "yamnet.h5" else 6.0
    classifier = Classifier(
        Architecture(manifest.labels, recipe.front_end, ceiling=ceiling, head=recipe.head)
    )
    if recipe.weights != "random":
        spread = np.linspace(0, len(training.clips) - 1, UNFOLDING_CLIPS).astype(int)
        windows, _ = patches.gather(training.clips[np.unique(spread)])
        load_yamnet(classifier.trunk, windows, recipe.weights, places.weights)
    return classifier


@torch.inference_mode()
def test(
    classifier: Classifier, patches: Patches, clips: NDArray[np.int64]
) -> tuple[Tensor, NDArray[np.float32]]:
    """Logits of the test clips, and what the head's last layer was given for each.

    Returns:
        ``(clips, labels)`` and ``(clips, features)``.
    """
    seen: list[Tensor] = []
    hook = classifier.head.classes.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    logits = predict(classifier, patches, clips, batch=1)
    hook.remove()
    return logits, np.concatenate([answers[0, -1:].numpy() for answers in seen])


def write_predictions(
    path: Path, recipe: Recipe, fold: Fold, manifest: Manifest, part: Part, logits: Tensor
) -> None:
    """Write ``predictions.csv``: one row per test clip."""
    labels = manifest.labels
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        columns = ("recipe", "seed", "fold", "file", "speaker", "gender", "truth", "predicted")
        table.writerow([*columns, *(f"p_{label}" for label in labels)])
        for row, probabilities in zip(part.clips, logits.softmax(dim=1).tolist(), strict=True):
            clip = manifest.clips[row]
            predicted = labels[max(range(len(labels)), key=probabilities.__getitem__)]
            who = (clip.file, clip.speaker, clip.gender, clip.label, predicted)
            numbers = (f"{p:.6f}" for p in probabilities)
            table.writerow([recipe.name, recipe.seed, fold.number, *who, *numbers])


def fold_facts(recipe: Recipe, fold: Fold, best_epoch: int, seconds: float) -> dict[str, Any]:
    """What ``result.json`` says of a finished fold."""
    return {
        "recipe": recipe.name,
        "digest": recipe.digest,
        "seed": recipe.seed,
        "fold": fold.number,
        "test_speakers": list(fold.test),
        "best_epoch": best_epoch,
        "seconds": round(seconds, 1),
        "versions": {"python": platform.python_version(), **{n: version(n) for n in LIBRARIES}},
        "hardware": hardware(),
        "revision": revision(),
    }


def corpus_facts(manifest: Manifest, fold: Fold, patches: Patches) -> dict[str, Any]:
    """Who a fold's network has learned from, for the model file."""
    clips = sum(clip.speaker in fold.train for clip in manifest.clips)
    return {
        "name": manifest.corpus,
        "licence": CORPORA[manifest.corpus].licence,
        "digest": patches.digest,
        "clips": clips,
        "speakers": list(fold.train),
        "validation_speakers": list(fold.validation),
    }


def hardware() -> str:
    """The processor's name and its number of cores."""
    try:
        cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        cpu = None
    return (
        f"{cpu[1] if cpu else platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    )


def revision() -> str:
    """Git's name of the code that runs, or empty where it is not a checkout."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()
