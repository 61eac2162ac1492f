"""A recipe and its recordings to a run folder: what is fixed before the first fold starts.

``runs/<recipe>-<digest>/`` holds ``recipe.toml`` (what differs), ``recipe.json`` (every knob),
``manifest.csv``, ``folds.csv`` and a folder per fold; ``result.json`` in that means done.
"""

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path

import pooch
from filelock import FileLock

from affekt.atomic_write import atomic_write
from affekt.corpora import load, read_manifest, write_manifest
from affekt.corpora.folds import Fold, write_folds
from affekt.corpora.joined import JOINT
from affekt.corpora.manifest import Manifest
from affekt.corpora.splits import (
    hold_out,
    leave_one_corpus_out,
    leave_one_speaker_out,
    speaker_folds,
    train_on_everybody,
    train_on_one_corpus,
)
from affekt.errors import AffektError, RunError
from affekt.evaluation.runs import DONE, fold_name
from affekt.experiments.recipe import Recipe
from affekt.experiments.records import write_json

EPOCHS = ("last.pt", "best.pt")  # of a fold under way


@dataclass(frozen=True)
class Places:
    """Where things are; nothing of it changes a result.

    Made absolute, as workers may stand in another folder.

    Attributes:
        data: folder of the corpus, or the manifest of one's own recordings.
        runs: folder that takes run folders.
        cache: folder that keeps what is computed from recordings.
        weights: YAMNet's file or its folder, ``None`` for the usual places.
    """

    data: Path
    runs: Path
    cache: Path
    weights: Path | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            path = getattr(self, field.name)
            object.__setattr__(self, field.name, path and path.absolute())


def usual_places(recipe: Recipe, *, data: Path | None, runs: Path, weights: Path | None) -> Places:
    """Where things are by default: data in ``AFFEKT_DATA``, cache in ``AFFEKT_CACHE``.

    Args:
        recipe: whose corpus.
        data: folder of the corpus; ``None`` for ``AFFEKT_DATA/<corpus>``, and of several corpora
            for ``AFFEKT_DATA``.
        runs: folder that takes run folders.
        weights: YAMNet's file or its folder, ``None`` for the usual places.

    Raises:
        RunError: neither ``data`` nor ``AFFEKT_DATA`` says where the corpus is.
    """
    home = os.environ.get("AFFEKT_DATA")
    if data is None and not home:
        raise RunError(
            f"the recordings of {recipe.corpus} must be named. Got neither --data nor "
            f"AFFEKT_DATA. Use --data FOLDER."
        )
    cache = os.environ.get("AFFEKT_CACHE") or pooch.os_cache("affekt")
    folder = "" if JOINT in recipe.corpus else recipe.corpus
    return Places(data or Path(home or "", folder), runs, Path(cache), weights)


def fold_folder(folder: Path, fold: Fold) -> Path:
    """A fold's own folder in a run folder."""
    return folder / fold_name(fold.number)


def is_done(folder: Path, fold: Fold) -> bool:
    """Whether nothing is left to do for a fold."""
    return (fold_folder(folder, fold) / DONE).is_file()


def manifest_of(folder: Path, places: Places) -> Manifest:
    """The clips of a run folder that is prepared, their recordings where they are now."""
    data = places.data
    root = read_manifest(data).root if data.is_file() else data
    return read_manifest(folder / "manifest.csv", root)


def prepare(recipe: Recipe, places: Places) -> Path:
    """Make the run folder, with its recipe, manifest and folds, unless it is there.

    Args:
        recipe: the knobs.
        places: where things are.

    Returns:
        The run folder.

    Raises:
        CorpusError: the recordings are not those of the recipe.
        RunError: not those that the run folder began with, or a folder that cannot be written.
    """
    folder = places.runs / recipe.run
    manifest = load(recipe.corpus, places.data, task=recipe.task, partial=recipe.partial)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            if (folder / "folds.csv").is_file():
                _refuse_others(folder, manifest)
                _complete_knobs(folder, recipe)
            else:
                _fill(folder, recipe, manifest)
    except AffektError:
        raise
    except OSError as error:
        raise RunError(
            f"{folder} must be a folder to write to. Got: {error.strerror}. "
            f"Use --runs with another."
        ) from error
    return folder


def _fill(folder: Path, recipe: Recipe, manifest: Manifest) -> None:
    lines = [f"{knob} = {json.dumps(value)}\n" for knob, value in recipe.changed.items()]
    (folder / "recipe.toml").write_text("".join(lines), encoding="utf-8")
    write_json(folder / "recipe.json", recipe.values())
    write_manifest(manifest, folder / "manifest.csv")
    with atomic_write(folder / "folds.csv") as part:  # the last one: a folder that has it has all
        write_folds(make_folds(recipe, manifest), part)


def _refuse_others(folder: Path, manifest: Manifest) -> None:
    if read_manifest(folder / "manifest.csv", manifest.root).digest != manifest.digest:
        raise RunError(
            f"{folder} must go on with the recordings that it began with. Got others under "
            f"{manifest.root}. Use --runs with another folder."
        )


def _complete_knobs(folder: Path, recipe: Recipe) -> None:
    """Add the knobs that have come since the run began, if those of then are what they were."""
    knobs = json.loads(json.dumps(recipe.values()))  # lists in place of tuples
    before = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    odd = [name for name in before if name in knobs and before[name] != knobs[name]]
    if odd:
        raise RunError(
            f"{folder} must go on with the knobs that it began with. Got other "
            f"{', '.join(odd)}. Use --runs with another folder."
        )
    if before.keys() != knobs.keys():
        write_json(folder / "recipe.json", knobs)


def make_folds(recipe: Recipe, manifest: Manifest) -> tuple[Fold, ...]:
    """The folds that a recipe's protocol makes of a manifest's speakers."""
    if recipe.protocol == "leave-one-speaker-out":
        return leave_one_speaker_out(manifest, seed=recipe.seed, validation=recipe.validation)
    if recipe.protocol == "speaker-folds":
        return speaker_folds(
            manifest, folds=recipe.folds, seed=recipe.seed, validation=recipe.validation
        )
    if recipe.protocol == "leave-one-corpus-out":
        return leave_one_corpus_out(manifest, seed=recipe.seed, validation=recipe.validation)
    if recipe.protocol == "train-on-everybody":
        return train_on_everybody(manifest)
    if recipe.protocol == "train-on-one-corpus":
        return train_on_one_corpus(
            manifest, recipe.source, seed=recipe.seed, validation=recipe.validation
        )
    return hold_out(manifest, recipe.held_out, seed=recipe.seed, validation=recipe.validation)
