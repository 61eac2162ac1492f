"""Archive runs as small files without paths, weights or sound, and restore folds from them.

An unfinished run is archived as far as it has come, so that another machine can continue it. Its
activations stay beside it until the last fold, when they are replaced by their projection to the
plane.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from affekt.atomic_write import atomic_folder, atomic_text, atomic_write
from affekt.corpora.folds import Fold, fold_rows
from affekt.corpora.manifest import Manifest
from affekt.errors import RunError, writing
from affekt.runs.folder import (
    ACTIVATIONS,
    ARCHIVED,
    DONE,
    LAST,
    POINTS,
    RunIdentity,
    archive_folder,
    fold_folder,
    fold_name,
    is_done,
    table_file,
    write_json,
)
from affekt.runs.reading import Run, read_run
from affekt.runs.writing import write_table

ABOUT = ("recipe", "digest", "seed", "knobs", "corpus", "planned", "folds")
Points = Callable[[Run], pd.DataFrame]


def archive_runs(
    runs: Sequence[Run],
    results: Path,
    *,
    points: Points,
    progress: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> list[Path]:
    """Archive some runs, all or none of them.

    Args:
        results: folder of all archived runs.
        points: projects the activations of a complete run to the plane.
        progress: iterates over the runs, and may show how far it is.

    Returns:
        The folders written.

    Raises:
        RunError: a seed twice; or one that would replace folds that it lacks, or a run of the same
            name of another recipe or other recordings (nothing is written then); or the folder
            cannot be written.
    """
    for (recipe, seed), count in Counter((run.recipe, run.seed) for run in runs).items():
        if count > 1:
            raise RunError(
                f"runs to archive must differ in recipe or seed. Got {count} of {recipe}, seed "
                f"{seed}. Name one of them."
            )
    for run in runs:
        _refuse_loss(run, archive_folder(results, run.recipe, run.seed))
    return [archive_run(run, results, points=points) for run in progress(runs)]


def archive_run(run: Run, results: Path, *, points: Points) -> Path:
    """Archive a run, finished or not, in place of what was archived of it before.

    Arguments and errors are those of :func:`archive_runs`. Returns the folder written.
    """
    folder = archive_folder(results, run.recipe, run.seed)
    if run.folder.resolve() == folder.resolve():
        return folder
    _refuse_loss(run, folder)
    about = {name: getattr(run, name) for name in ABOUT}
    tables = _tables_of_folds(run) | {"folds": run.parts}
    if run.complete and not run.seed:  # a report draws one seed
        tables["points"] = points(run)
    with writing(folder, RunError, "Name another folder."):
        with atomic_folder(folder) as part:
            for name, table in tables.items():
                if len(table):
                    _write_table(table, part, name)
            if not run.complete:
                _copy_activations(run, part)
        text = json.dumps(about, indent=1, ensure_ascii=False)
        atomic_text(folder / ARCHIVED, text + "\n")  # last: it makes it a run
    return folder


def _tables_of_folds(run: Run) -> dict[str, pd.DataFrame]:
    names = ("predictions", "enrolment", "validation")
    return {name: getattr(run, name) for name in names} | {"curve": run.curves}


def _write_table(table: pd.DataFrame, folder: Path, name: str) -> None:
    if name == "enrolment":  # nine tenths of all bytes: rows of one clip side by side pack best
        table = table.round(4).sort_values("file", kind="stable")
    path = folder / ("folds.csv" if name == "folds" else f"{name}.csv.bz2")  # others are large
    table.to_csv(path, index=False, lineterminator="\n")


def _copy_activations(run: Run, folder: Path) -> None:
    for fold in run.folds:
        source = run.folder / fold_name(fold["fold"]) / ACTIVATIONS
        if source.is_file():
            (folder / source.parent.name).mkdir(exist_ok=True)
            shutil.copyfile(source, folder / source.parent.name / source.name)


def _refuse_loss(run: Run, folder: Path) -> None:
    if not (folder / ARCHIVED).is_file():
        return
    archived = read_run(folder)
    for what, before, now in (
        ("recipe", archived.digest, run.digest),
        ("recordings", archived.corpus["digest"], run.corpus["digest"]),
    ):
        if before != now:
            raise RunError(
                f"{run.folder}: must be of the {what} archived in {folder}, digest {before}. "
                f"Got {now}. Remove that folder to replace it."
            )
    lost = {fold["fold"] for fold in archived.folds} - {fold["fold"] for fold in run.folds}
    if lost and not run.complete:
        raise RunError(
            f"{run.folder}: an unfinished run must hold all folds that are archived of it. "
            f"Missing: {', '.join(map(str, sorted(lost)))}. Restore them first: "
            f"{run.command} --archive {folder.parents[1]}"
        )


def restore_folds(
    identity: RunIdentity, folder: Path, results: Path, *, manifest: Manifest, folds: Sequence[Fold]
) -> None:
    """Fill a run folder with the archived folds of its recipe and seed.

    A restored fold has all that a report needs, and no network.

    Args:
        folder: the run folder, prepared; folds that are done there stay unchanged.
        results: folder of all archived runs; it may lack this recipe.

    Raises:
        RunError: the archive is of another recipe, other recordings or other folds; or the run
            folder cannot be written.
    """
    archived = archive_folder(results, identity.recipe, identity.seed)
    if not (archived / ARCHIVED).is_file():
        return
    run = read_run(archived)
    _refuse_others(run, identity, manifest, folds)
    done = {facts["fold"]: facts for facts in run.folds}
    points = table_file(archived, POINTS)
    with writing(folder, RunError, "Make room, or name another folder with --runs."):
        for fold in folds:
            if fold.number in done:
                _restore_fold(run, fold, folder, done[fold.number])
        if run.complete and points.is_file():
            _copy(points, folder)


def _restore_fold(run: Run, fold: Fold, folder: Path, facts: dict[str, object]) -> None:
    """Write a fold's files as they were made, and last the one that says it is done."""
    own = fold_folder(folder, fold)
    own.mkdir(exist_ok=True)
    with suppress(Timeout), FileLock(own / "lock", timeout=0):  # else another runner trains it
        if is_done(folder, fold):
            return
        for name, table in _tables_of_folds(run).items():
            rows = table[table["fold"] == fold.number]
            rows = rows.drop(columns="fold") if name == "curve" else rows
            if len(rows):
                write_table(own / f"{name}.csv", rows)
        activations = run.folder / own.name / ACTIVATIONS
        if activations.is_file():
            _copy(activations, own)
        write_json(own / DONE, facts)
        (own / LAST).unlink(missing_ok=True)


def _copy(file: Path, folder: Path) -> None:
    with atomic_write(folder / file.name) as part:
        shutil.copyfile(file, part)


def _refuse_others(
    run: Run, identity: RunIdentity, manifest: Manifest, folds: Sequence[Fold]
) -> None:
    """Compare what must be the same in the run and in the archive, as lines of text."""
    knobs = identity.knobs
    both = [name for name in run.knobs if name in knobs]  # knobs come and go between releases
    done = {facts["fold"] for facts in run.folds}
    tested = {who for fold in folds if fold.number in done for who in fold.test}
    named = zip(manifest.names, manifest.clips, strict=True)
    clips = ((name, clip.label) for name, clip in named if clip.speaker in tested)
    for what, ours, archived in (
        ("digest", {identity.digest}, {run.digest}),
        ("knobs", _lines((k, knobs[k]) for k in both), _lines((k, run.knobs[k]) for k in both)),
        ("recordings", {manifest.digest}, {run.corpus["digest"]}),
        ("speakers", _lines(fold_rows(folds)), _lines(run.parts.to_numpy())),
        ("clips", _lines(clips), _lines(run.predictions[["file", "truth"]].to_numpy())),
    ):
        if ours != archived:
            odd = min(archived - ours or ours - archived)
            raise RunError(
                f"{run.folder}: archived folds must have the {what} that recipe {identity.recipe} "
                f"has now. They differ in: {odd}. Leave --archive out to train all folds."
            )


def _lines(rows: Iterable[Iterable[object]]) -> set[str]:
    return {" ".join(map(str, row)) for row in rows}
