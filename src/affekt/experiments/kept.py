"""Kept results to finished folds of a run folder, so that only the others are trained.

The counterpart of :mod:`affekt.evaluation.keeping`. A fold taken over has all that a report
needs, and no network.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from affekt.corpora.folds import PARTS, Fold
from affekt.corpora.manifest import Manifest
from affekt.errors import RunError
from affekt.evaluation.keeping import kept_folder
from affekt.evaluation.runs import ACTIVATIONS, DONE, KEPT, POINTS, TRAINING, Run, read_run
from affekt.experiments.recipe import Recipe
from affekt.experiments.records import write_json
from affekt.experiments.run_folder import EPOCHS, fold_folder, is_done


def take_over(
    recipe: Recipe, folder: Path, results: Path, *, manifest: Manifest, folds: Sequence[Fold]
) -> None:
    """Fill a run folder with the finished folds that are kept of its recipe and seed.

    Args:
        recipe: the knobs.
        folder: the run folder, prepared; folds that are done there stay as they are.
        results: folder of all kept results; it need not hold this recipe.
        manifest: the run's.
        folds: the run's.

    Raises:
        RunError: no such folder, or what is kept is of another recipe, other recordings or other
            folds; or the run folder cannot be written.
    """
    if not results.is_dir():
        raise RunError(f"{results}: must be a folder of kept results. Got none. Check --kept.")
    kept = kept_folder(results, recipe.name, recipe.seed)
    if not (kept / KEPT).is_file():
        return
    run = read_run(kept)
    _refuse_others(run, recipe, manifest, folds)
    done = {facts["fold"]: facts for facts in run.folds}
    try:
        for fold in folds:
            if fold.number in done:
                _take_over_fold(run, fold, folder, done[fold.number])
        if run.complete and (kept / POINTS).is_file():
            shutil.copyfile(kept / POINTS, folder / POINTS)
    except OSError as error:
        raise RunError(f"{folder} must take the kept folds. Got: {error.strerror}.") from error


def _take_over_fold(run: Run, fold: Fold, folder: Path, facts: dict[str, object]) -> None:
    """Write a fold's files as they were made; the one that says it is done comes last."""
    own = fold_folder(folder, fold)
    own.mkdir(exist_ok=True)
    with suppress(Timeout), FileLock(own / "lock", timeout=0):  # else a runner is at it
        if is_done(folder, fold):
            return
        for name, table in (
            ("predictions", run.predictions),
            ("enrolment", run.enrolment),
            ("validation", run.validation),
            ("curve", run.curves),
        ):
            rows = table[table["fold"] == fold.number]
            rows = rows.drop(columns="fold") if name == "curve" else rows
            if len(rows):
                path = own / f"{name}.csv"
                rows.to_csv(path, index=False, float_format="%.6f", lineterminator="\n")
        for file in (run.folder / own.name / ACTIVATIONS, run.folder / own.name / TRAINING):
            if file.is_file():
                shutil.copyfile(file, own / file.name)
        write_json(own / DONE, facts)
        for epoch in EPOCHS:
            (own / epoch).unlink(missing_ok=True)


def _refuse_others(run: Run, recipe: Recipe, manifest: Manifest, folds: Sequence[Fold]) -> None:
    for what, ours, kept in _compared(run, recipe, manifest, folds):
        if ours != kept:
            odd = min(kept - ours or ours - kept)
            raise RunError(
                f"{run.folder}: kept folds must be of the {what} that recipe {recipe.name} runs "
                f"with. They differ in: {odd}. Leave --kept out to train all folds."
            )


def _compared(
    run: Run, recipe: Recipe, manifest: Manifest, folds: Sequence[Fold]
) -> Iterator[tuple[str, set[str], set[str]]]:
    """What must be the same here and in what is kept, as lines of text."""
    yield "digest", {recipe.digest}, {run.digest}
    knobs = json.loads(json.dumps(recipe.values()))  # lists in place of tuples
    both = [name for name in run.knobs if name in knobs]  # a knob may have been added since
    yield "knobs", _lines((k, knobs[k]) for k in both), _lines((k, run.knobs[k]) for k in both)
    yield "recordings", {manifest.digest}, {run.corpus["digest"]}
    parts = ((f.number, who, part) for f in folds for part in PARTS for who in getattr(f, part))
    yield "speakers", _lines(parts), _lines(run.parts.to_numpy())
    done = {facts["fold"] for facts in run.folds}
    tested = {who for fold in folds if fold.number in done for who in fold.test}
    named = zip(manifest.names, manifest.clips, strict=True)
    clips = ((name, clip.label) for name, clip in named if clip.speaker in tested)
    yield "clips", _lines(clips), _lines(run.predictions[["file", "truth"]].to_numpy())


def _lines(rows: Iterable[Iterable[object]]) -> set[str]:
    return {" ".join(map(str, row)) for row in rows}
