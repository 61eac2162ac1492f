"""Prepare the run folder of a recipe: knobs, manifest and folds, before the first fold starts."""

import json
from collections.abc import Collection
from pathlib import Path

from filelock import FileLock

from affekt.aliases import from_stored
from affekt.atomic_write import atomic_write
from affekt.corpora import load, read_manifest, write_manifest
from affekt.corpora.folds import Fold, write_folds
from affekt.corpora.manifest import Manifest
from affekt.corpora.splits import (
    hold_out,
    leave_one_corpus_out,
    leave_one_speaker_out,
    speaker_folds,
    train_on_everybody,
    train_on_one_corpus,
)
from affekt.errors import RunError, writing
from affekt.experiments.recipe import Recipe
from affekt.runs.folder import Locations, write_json


def prepare(recipe: Recipe, locations: Locations, numbers: Collection[int] | None = None) -> Path:
    """Make the run folder with its recipe, manifest and folds, unless it is there.

    Args:
        numbers: of the folds to run; all by default.

    Returns:
        The run folder.

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
    (folder / "recipe.toml").write_text("".join(lines), encoding="utf-8")
    write_json(folder / "recipe.json", recipe.values())
    write_manifest(manifest, folder / "manifest.csv")
    with atomic_write(folder / "folds.csv") as part:  # last: a folder that has it is complete
        write_folds(folds, part)


def _refuse_others(folder: Path, recipe: Recipe, manifest: Manifest) -> None:
    """Refuse other recordings or knobs than before; add knobs that are newer than the run."""
    if read_manifest(folder / "manifest.csv", manifest.root).digest != manifest.digest:
        raise RunError(
            f"{folder} must continue with the recordings that it began with. Got others in "
            f"{manifest.root}. Use --runs with another folder."
        )
    knobs = json.loads(json.dumps(recipe.values()))  # lists in place of tuples
    before = from_stored(json.loads((folder / "recipe.json").read_text(encoding="utf-8")))
    odd = [name for name in before if name in knobs and before[name] != knobs[name]]
    if odd:
        raise RunError(
            f"{folder} must continue with the knobs that it began with. Got other "
            f"{', '.join(odd)}. Use --runs with another folder."
        )
    if before.keys() != knobs.keys():
        write_json(folder / "recipe.json", knobs)


def make_folds(recipe: Recipe, manifest: Manifest) -> tuple[Fold, ...]:
    """Divide a manifest's speakers into folds by the recipe's protocol."""
    seed, validation = recipe.seed, recipe.validation
    match recipe.protocol:
        case "leave-one-speaker-out":
            return leave_one_speaker_out(manifest, seed=seed, validation=validation)
        case "speaker-folds":
            return speaker_folds(manifest, folds=recipe.folds, seed=seed, validation=validation)
        case "leave-one-corpus-out":
            return leave_one_corpus_out(manifest, seed=seed, validation=validation)
        case "train-on-one-corpus":
            return train_on_one_corpus(manifest, recipe.source, seed=seed, validation=validation)
        case "train-on-everybody":
            return train_on_everybody(manifest)
        case _:
            return hold_out(manifest, recipe.held_out, seed=seed, validation=validation)
