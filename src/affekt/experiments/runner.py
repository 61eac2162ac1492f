"""Run all folds of a recipe that are not done, side by side.

A killed run loses at most the current epoch, and running it again resumes it. Runners that share a
run folder share its folds.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from affekt.corpora.folds import Fold, read_folds
from affekt.engines import Engine, local
from affekt.errors import RunError
from affekt.experiments.fold import check_weights, fill_cache, run_fold
from affekt.experiments.preparation import prepare
from affekt.experiments.recipe import Recipe
from affekt.runs.archive import restore_folds
from affekt.runs.folder import Locations, fold_folder, is_done, manifest_of
from affekt.runs.progress import shown


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
    if not recipe.method.startswith("chance"):
        check_weights(recipe, locations)
    folder = prepare(recipe, locations, folds)
    planned = read_folds(folder / "folds.csv")
    chosen = [fold for fold in planned if folds is None or fold.number in folds]
    manifest = manifest_of(folder, locations)
    if archive is not None:
        restore_folds(recipe.identity, folder, archive, manifest=manifest, folds=planned)
    if all(is_done(folder, fold) for fold in chosen):
        return ()
    fill_cache(recipe, manifest, locations)
    work = partial(run_fold, recipe, folder, locations)
    failed = []
    epochs = recipe.epochs if recipe.method == "network" else 1
    with (
        shown(recipe.name, epochs, folder, chosen) as update,
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
