"""Define the run folder: its files, its identity, and the folders of its data.

``runs/<recipe>-<digest>/`` holds ``recipe.toml`` (the knobs that differ from their defaults),
``recipe.json`` (all knobs), ``manifest.csv``, ``folds.csv`` and a folder for each fold. A fold is
done when its folder holds ``result.json``. An archived run, ``results/<recipe>/seed-<n>/``, holds
the same numbers in a few small files, without paths, weights or sound.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from affekt.atomic_write import atomic_text
from affekt.corpora.folds import Fold
from affekt.corpora.joined import JOINT
from affekt.corpora.manifest import Manifest, read_manifest
from affekt.errors import RunError
from affekt.shipped_folders import shipped_folder

DONE = "result.json"
LAST = "last.pt"  # checkpoint of a fold in training
SOUND = "sound.json"  # digest of the recordings that a run began with
CURVE = ("epoch", "train_loss", "validation_loss", "validation_uar", "seconds")
ACTIVATIONS = "activations.npz"
ARCHIVED = "run.json"  # in an archived run
POINTS = "points"  # table of an archived run: activations projected to the plane


@dataclass(frozen=True)
class RunIdentity:
    """Name and digest of a recipe, seed of all random choices, and every knob with its value."""

    recipe: str
    digest: str
    seed: int
    knobs: dict[str, Any]


@dataclass(frozen=True)
class Locations:
    """Folders that a run reads and writes; none of them changes a result.

    They are made absolute, since workers may run in another folder.
    """

    data: Path  #: folder of the corpus, or a manifest of one's own recordings
    runs: Path  #: folder of the run folders
    cache: Path  #: folder of what is computed from recordings
    #: file or folder of pretrained weights; ``None`` for the usual folders
    weights: Path | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            path = getattr(self, field.name)
            object.__setattr__(self, field.name, path and path.absolute())


def usual_locations(
    corpus: str, *, data: Path | None, runs: Path, weights: Path | None
) -> Locations:
    """The default folders: cache in ``AFFEKT_CACHE``, else the user's cache.

    Without ``data``, the corpus is in ``AFFEKT_DATA/<corpus>``, and several corpora in
    ``AFFEKT_DATA``.

    Raises:
        RunError: neither ``data`` nor ``AFFEKT_DATA`` names the recordings.
    """
    import pooch

    home = os.environ.get("AFFEKT_DATA")
    if data is None and not home:
        raise RunError(
            f"the recordings of {corpus} must be named. Got neither --data nor "
            f"AFFEKT_DATA. Use --data FOLDER."
        )
    cache = os.environ.get("AFFEKT_CACHE") or pooch.os_cache("affekt")
    folder = "" if JOINT in corpus else corpus
    return Locations(data or Path(home or "", folder), runs, Path(cache), weights)


def variant_name(recipe: str, changes: Mapping[str, Any]) -> str:
    """Name of a recipe with changed knobs: ``ingredients-head=mean``.

    The seed is left out, and so is a value that is neither a number, a boolean nor a word.

    >>> variant_name("ingredients", {"hop": 7680, "frozen": True, "seed": 1})
    'ingredients-frozen=true-hop=7680'
    """
    values = {name: str(value).lower() for name, value in sorted(changes.items())}
    words = {name: word for name, word in values.items() if re.fullmatch(r"[\w.+-]{1,40}", word)}
    words.pop("seed", None)
    return "-".join([recipe, *(f"{name}={word}" for name, word in words.items())])


def command_of(recipe: str, seed: int) -> str:
    """The command that makes a run of this name, from a shipped recipe or a file of that name.

    The seed of a recipe is 0.

    >>> command_of("ingredients-frozen=true-hop=7680", 1)
    'affekt run ingredients --set frozen=true --set hop=7680 --seed 1'
    >>> command_of("mine-hop=7680", 0)
    'affekt run mine.toml --set hop=7680'
    """
    return f"affekt run {' --set '.join(parts_of(recipe))}{f' --seed {seed}' if seed else ''}"


def parts_of(recipe: str) -> list[str]:
    """Divide a :func:`variant_name`: a shipped recipe, or the file of another; then each change."""
    name, *changes = re.split(r"-(?=\w+=)", recipe)
    file = f"{name}.toml"
    return [name if (shipped_folder("recipes") / file).is_file() else file, *changes]


def fold_name(number: int) -> str:
    """Name of a fold's folder in its run folder."""
    return f"fold-{number}"


def fold_folder(folder: Path, fold: Fold) -> Path:
    """A fold's folder in a run folder."""
    return folder / fold_name(fold.number)


def is_done(folder: Path, fold: Fold) -> bool:
    """Whether a fold is finished."""
    return (fold_folder(folder, fold) / DONE).is_file()


def archive_folder(results: Path, recipe: str, seed: int) -> Path:
    """Folder of an archived run, ``results/<recipe>/seed-<n>``."""
    return results / recipe / f"seed-{seed}"


def manifest_of(folder: Path, locations: Locations) -> Manifest:
    """The clips of a prepared run folder, with the recordings where they are now."""
    data = locations.data
    root = read_manifest(data).root if data.is_file() else data
    return read_manifest(folder / "manifest.csv", root)


def table_file(folder: Path, name: str) -> Path:
    """The file ``<name>.csv`` of a table, or ``<name>.csv.bz2`` if only that is there."""
    plain, compressed = folder / f"{name}.csv", folder / f"{name}.csv.bz2"
    return compressed if compressed.is_file() and not plain.is_file() else plain


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file atomically."""
    atomic_text(path, json.dumps(content, indent=1) + "\n")
