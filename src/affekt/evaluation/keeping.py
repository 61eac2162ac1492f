"""Runs to what a repository keeps: small files without paths, weights or sound.

An unfinished run is kept as well, as far as it has come, so that it can be gone on with
elsewhere. Its activations stay beside it until the last fold, when they become the points of
Figure 3 and go.
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from affekt.errors import RunError
from affekt.evaluation.results import collect
from affekt.evaluation.runs import ACTIVATIONS, KEPT, TRAINING, Run, find_runs, fold_name, read_run
from affekt.evaluation.tsne import read_points

NOTHING = pd.DataFrame()
ABOUT = ("recipe", "digest", "seed", "knobs", "corpus", "planned", "folds")


def keep_runs(runs: Iterable[Path], results: Path) -> list[Path]:
    """Keep every run among some folders.

    Args:
        runs: run folders, or folders that hold some.
        results: folder of all kept results.

    Returns:
        The folders written.

    Raises:
        RunError: a broken run, a seed twice, or one that would displace more than it holds or
            what another recipe of its name made (nothing is written then); or the folder cannot
            be written.
    """
    found = [read_run(folder) for folder in find_runs(runs)]
    collect(found)  # which refuses a seed that is there twice
    for run in found:
        _refuse_loss(run, kept_folder(results, run.recipe, run.seed))
    return [keep_run(run, results) for run in found]


def kept_folder(results: Path, recipe: str, seed: int) -> Path:
    """Where a seed of a recipe is kept, ``results/<recipe>/seed-<n>``."""
    return results / recipe / f"seed-{seed}"


def keep_run(run: Run, results: Path) -> Path:
    """Write a run in the form that a repository keeps, in place of what was kept of it before.

    Args:
        run: a complete one, or the finished folds of one.
        results: folder of all kept results.

    Returns:
        The folder written.

    Raises:
        RunError: it is unfinished and lacks a fold that is kept, or another recipe of its name
            is kept, or the folder cannot be written.
    """
    folder = kept_folder(results, run.recipe, run.seed)
    if run.folder.resolve() == folder.resolve():
        return folder
    _refuse_loss(run, folder)
    about = {name: getattr(run, name) for name in ABOUT}
    tables = {
        "predictions": run.predictions,
        "enrolment": run.enrolment,
        "validation": run.validation,
        "folds": run.parts,
        "curve": run.curves,
        "points": read_points(run) if run.complete else NOTHING,
    }
    part = folder.with_name(f".{folder.name}.part")  # what was kept stays until this is whole
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, table in tables.items():
            if len(table):
                table.to_csv(part / f"{name}.csv", index=False, lineterminator="\n")
        _keep_folds(run, part)
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
        text = json.dumps(about, indent=1, ensure_ascii=False)
        (folder / KEPT).write_text(text + "\n", encoding="utf-8")  # last: half a folder is no run
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}.") from error
    return folder


def _keep_folds(run: Run, folder: Path) -> None:
    """Files of folds as they were made, so that a fold kept before stays what it is."""
    for fold in run.folds:
        own = run.folder / fold_name(fold["fold"])
        for source in (own / TRAINING, own / ACTIVATIONS)[: 1 if run.complete else 2]:
            if source.is_file():
                (folder / own.name).mkdir(exist_ok=True)
                shutil.copyfile(source, folder / own.name / source.name)


def _refuse_loss(run: Run, folder: Path) -> None:
    if not (folder / KEPT).is_file():
        return
    kept = read_run(folder)
    if kept.digest != run.digest:
        raise RunError(
            f"{run.folder}: must be of the recipe that {folder} keeps, digest {kept.digest}. "
            f"Got {run.digest}. Remove that folder if this is to take its place."
        )
    if run.complete:
        return
    lost = _numbers(kept) - _numbers(run)
    if lost:
        raise RunError(
            f"{run.folder}: an unfinished run must hold all folds that {folder} keeps of it. "
            f"Missing: {', '.join(map(str, sorted(lost)))}. Take them over first: "
            f"{run.command} --kept {folder.parents[1]}"
        )


def _numbers(run: Run) -> set[int]:
    return {fold["fold"] for fold in run.folds}
