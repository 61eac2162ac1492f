"""A recipe to finished folds: ``run`` gives an engine all that are not done.

Whatever is killed loses at most the epoch under way; running again goes on. Runners that share
a run folder share its folds.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from affekt.corpora.folds import Fold, read_folds
from affekt.engines import Engine, local
from affekt.errors import RunError
from affekt.experiments.fold import fill_cache, run_fold
from affekt.experiments.kept import take_over
from affekt.experiments.progress import shown
from affekt.experiments.recipe import Recipe
from affekt.experiments.run_folder import (
    Places,
    fold_folder,
    is_done,
    manifest_of,
    prepare,
)


def run(
    recipe: Recipe,
    places: Places,
    *,
    folds: Collection[int] | None = None,
    kept: Path | None = None,
    jobs: int | None = None,
    engine: Engine = local,
) -> tuple[str, ...]:
    """Run all folds of a recipe that are not done, side by side, one thread each.

    Args:
        recipe: the knobs.
        places: where things are; the run folder is ``<runs>/<recipe>-<digest>``.
        folds: numbers of the folds to run; all by default.
        kept: folder of kept results, whose finished folds of this recipe and seed are taken over.
        jobs: folds at a time; one a core by default.
        engine: where they run.

    Returns:
        One line for each fold that failed; all others are done.

    Raises:
        AffektError: what keeps every fold from running: recordings, weights, folders, numbers.
    """
    folder = prepare(recipe, places)
    planned = read_folds(folder / "folds.csv")
    chosen = _chosen(planned, folds, recipe)
    manifest = manifest_of(folder, places)
    if kept is not None:
        take_over(recipe, folder, kept, manifest=manifest, folds=planned)
    if all(is_done(folder, fold) for fold in chosen):
        return ()
    fill_cache(recipe, manifest, places)
    work = partial(_run_fold, recipe, folder, places)
    failed = []
    with (
        shown(recipe, folder, chosen) as update,
        closing(engine(work, free_first(folder, chosen), jobs=jobs)) as outcomes,
    ):
        for outcome in outcomes:
            update()
            if outcome is not None and outcome.error:
                failed.append(f"{recipe.name}, fold {outcome.item.number}: {outcome.error}")
    return tuple(failed)


def _run_fold(recipe: Recipe, folder: Path, places: Places, fold: Fold) -> None:
    run_fold(recipe, fold, folder, places)


def _chosen(
    folds: Sequence[Fold], numbers: Collection[int] | None, recipe: Recipe
) -> tuple[Fold, ...]:
    unknown = set(numbers or ()) - {fold.number for fold in folds}
    if unknown:
        raise RunError(
            f"folds of {recipe.name} must be in 1 to {len(folds)}. "
            f"Got {', '.join(map(str, sorted(unknown)))}. Leave --folds out to run them all."
        )
    return tuple(fold for fold in folds if numbers is None or fold.number in numbers)


def free_first(folder: Path, folds: Sequence[Fold]) -> Iterator[Fold]:
    """Folds still to do, those that another runner is at last; decided as each is asked for."""
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
