"""Prepare the run folder of a recipe, and run all its folds that are not done, side by side.

A killed run loses at most the current epoch, and running it again resumes it. Runners that share a
run folder share its folds.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from affekt.aliases import from_stored
from affekt.corpora import load, read_manifest, splits, write_manifest
from affekt.corpora.folds import Fold, read_folds, write_folds
from affekt.corpora.manifest import Manifest
from affekt.corpora.tables import write_text
from affekt.engines import Engine, local
from affekt.errors import RunError, writing
from affekt.experiments.fold import check_weights, fill_cache, run_fold
from affekt.experiments.recipe import Recipe
from affekt.runs.archive import restore_folds
from affekt.runs.folder import Locations, fold_folder, is_done, manifest_of, write_json
from affekt.runs.progress import show_progress
from affekt.runs.reading import read_json


def run(
    recipe: Recipe,
    locations: Locations,
    *,
    folds: Collection[int] | None = None,
    archive: Path | None = None,
    jobs: int | None = None,
    engine: Engine = local,
) -> tuple[str, ...]:
    """Run all folds of a recipe that are not done, side by side, one thread each.

    Args:
        locations: of data, runs, cache and weights; the run folder is ``<runs>/<recipe>-<digest>``.
        folds: numbers of the folds to run; all by default.
        archive: folder of archived runs, from which finished folds are restored.
        jobs: folds at a time; one a core by default.
        engine: runs the folds, on this machine or a cluster.

    Returns:
        One line for each fold that failed; all others are done.

    Raises:
        AffektError: a fault that stops every fold: recordings, weights, folders, numbers.
    """
    if archive is not None and not archive.is_dir():
        raise RunError(f"{archive}: must be a folder of archived runs. Got none. Check --archive.")
    if archive is None and not (locations.runs / recipe.run).exists():
        check_weights(recipe, locations)  # before the folder is made
    folder = prepare(recipe, locations, folds)
    planned = read_folds(folder / "folds.csv")
    chosen = [fold for fold in planned if folds is None or fold.number in folds]
    manifest = manifest_of(folder, locations)
    if archive is not None:
        restore_folds(recipe.identity, folder, archive, manifest=manifest, folds=planned)
    if all(is_done(folder, fold) for fold in chosen):
        return ()
    check_weights(recipe, locations)
    fill_cache(recipe, manifest, locations)
    work = partial(run_fold, recipe, folder, locations)
    failed = []
    epochs = recipe.epochs if recipe.method == "network" else 1
    with (
        show_progress(recipe.name, epochs, folder, chosen) as update,
        closing(engine(work, free_first(folder, chosen), jobs=jobs)) as outcomes,
    ):
        for outcome in outcomes:
            update()
            if outcome is not None and outcome.error:
                failed.append(f"{recipe.name}, fold {outcome.item.number}: {outcome.error}")
    return tuple(failed)


def free_first(folder: Path, folds: Sequence[Fold]) -> Iterator[Fold]:
    """Folds still to do; those that another runner trains come last. Decided one by one."""
    left = list(folds)
    while left := [fold for fold in left if not is_done(folder, fold)]:
        fold = next((fold for fold in left if not _is_locked(folder, fold)), left[0])
        left.remove(fold)
        yield fold


def _is_locked(folder: Path, fold: Fold) -> bool:
    own = fold_folder(folder, fold)
    own.mkdir(exist_ok=True)
    try:
        with FileLock(own / "lock", timeout=0):
            return False
    except Timeout:
        return True


def prepare(recipe: Recipe, locations: Locations, numbers: Collection[int] | None = None) -> Path:
    """Make the run folder with its recipe, manifest and folds, unless it is there, and return it.

    Raises:
        CorpusError: the recordings are not those of the recipe.
        RunError: no such folds, other recordings than the run folder began with, or a folder that
            cannot be written.
    """
    folder = locations.runs / recipe.run
    manifest = load(recipe.corpus, locations.data, task=recipe.task, partial=recipe.partial)
    folds = make_folds(recipe, manifest)  # before any folder is made: it may fail
    unknown = sorted(set(numbers or ()) - {fold.number for fold in folds})
    if unknown:
        raise RunError(
            f"folds of {recipe.name} must be in 1 to {len(folds)}. "
            f"Got {', '.join(map(str, unknown))}. Leave --folds out to run them all."
        )
    with writing(folder, RunError, "Name another folder with --runs."):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            if (folder / "folds.csv").is_file():
                _refuse_others(folder, recipe, manifest)
            else:
                _fill(folder, recipe, manifest, folds)
    return folder


def _fill(folder: Path, recipe: Recipe, manifest: Manifest, folds: tuple[Fold, ...]) -> None:
    lines = [f"{knob} = {json.dumps(value)}\n" for knob, value in recipe.changed.items()]
    write_json(folder / "recipe.json", recipe.values())
    write_text(folder / "recipe.toml", "".join(lines))
    write_manifest(manifest, folder / "manifest.csv")
    write_folds(folds, folder / "folds.csv")  # last: a folder that has it is complete


def _refuse_others(folder: Path, recipe: Recipe, manifest: Manifest) -> None:
    """Refuse other recordings or knobs than before; add knobs that are newer than the run."""
    knobs = recipe.values()
    before = from_stored(read_json(folder / "recipe.json"))
    odd = [name for name in before if name in knobs and before[name] != knobs[name]]
    if read_manifest(folder / "manifest.csv", manifest.root).digest != manifest.digest:
        odd.append(f"recordings in {manifest.root}")
    if odd:
        raise RunError(
            f"{folder} must continue with the recordings and knobs that it began with. Got other "
            f"{', '.join(odd)}. Use --runs with another folder."
        )
    if before.keys() != knobs.keys():
        write_json(folder / "recipe.json", knobs)


def make_folds(recipe: Recipe, manifest: Manifest) -> tuple[Fold, ...]:
    """Divide a manifest's speakers into folds by the recipe's protocol."""
    options: dict[str, Any] = {"seed": recipe.seed, "validation": recipe.validation}
    match recipe.protocol:
        case "leave-one-speaker-out":
            return splits.leave_one_speaker_out(manifest, **options)
        case "speaker-folds":
            return splits.speaker_folds(manifest, folds=recipe.folds, **options)
        case "leave-one-corpus-out":
            return splits.leave_one_corpus_out(manifest, **options)
        case "train-on-one-corpus":
            return splits.train_on_one_corpus(manifest, recipe.source, **options)
        case "train-on-everybody":
            return splits.train_on_everybody(manifest)
        case _:
            return splits.hold_out(manifest, recipe.held_out, **options)
