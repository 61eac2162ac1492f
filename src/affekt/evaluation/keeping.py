"""Finished runs to what a repository keeps: small text files without paths, weights or sound."""

import json
from collections.abc import Iterable
from pathlib import Path

from affekt.errors import RunError
from affekt.evaluation.runs import KEPT, Run, find_runs, read_run
from affekt.evaluation.tsne import read_points

ABOUT = ("recipe", "digest", "seed", "knobs", "corpus", "planned", "folds")


def keep_runs(runs: Iterable[Path], results: Path) -> list[Path]:
    """Keep every finished run among some folders.

    Args:
        runs: run folders, or folders that hold some.
        results: folder of all kept results.

    Returns:
        The folders written.

    Raises:
        RunError: a broken run, or the folder cannot be written.
    """
    found = [read_run(folder) for folder in find_runs(runs)]
    return [keep_run(run, results) for run in found if run.complete]


def keep_run(run: Run, results: Path) -> Path:
    """Write a run in the form that a repository keeps.

    Args:
        run: a complete one.
        results: folder of all kept results.

    Returns:
        The folder written, ``results/<recipe>/seed-<n>``.

    Raises:
        RunError: a fold is missing, or the folder cannot be written.
    """
    if not run.complete:
        raise RunError(
            f"{run.recipe}, seed {run.seed}: all {run.planned} folds must be done to be kept. "
            f"Got {len(run.folds)}. Run the recipe again to finish it."
        )
    folder = results / run.recipe / f"seed-{run.seed}"
    about = {name: getattr(run, name) for name in ABOUT}
    tables = {
        "predictions": run.predictions,
        "folds": run.parts,
        "curve": run.curves,
        "points": read_points(run),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            if len(table):
                table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
        text = json.dumps(about, indent=1, ensure_ascii=False)
        (folder / KEPT).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}.") from error
    return folder
