"""What the folds of a run have written so far to a bar on standard error."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from affekt.corpora.folds import Fold
from affekt.experiments.recipe import Recipe
from affekt.experiments.run_folder import fold_folder, is_done


@contextmanager
def shown(recipe: Recipe, folder: Path, folds: Sequence[Fold]) -> Iterator[Callable[[], None]]:
    """A bar over all epochs of some folds; epochs of other runners count as well.

    Args:
        recipe: what is run.
        folder: its run folder.
        folds: what to show.

    Yields:
        A function that brings the bar up to date.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # an epoch may take minutes, so its speed is estimated over all of the run
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=1e9) as bar:
        steps = recipe.epochs if recipe.method == "network" else 1
        task = bar.add_task(recipe.name, total=steps * len(folds), done="")

        def update() -> None:
            done = [fold for fold in folds if is_done(folder, fold)]
            at_work = {fold.number: _epochs(folder, fold) for fold in folds if fold not in done}
            text = [f"{len(done)} of {len(folds)} folds"]
            text += [f"fold {number} epoch {epoch}" for number, epoch in at_work.items() if epoch]
            completed = steps * len(done) + sum(at_work.values())
            bar.update(task, completed=completed, done=", ".join(text))

        update()
        yield update
        update()


def _epochs(folder: Path, fold: Fold) -> int:
    try:
        curve = (fold_folder(folder, fold) / "curve.csv").read_text(encoding="utf-8")
    except FileNotFoundError:
        return 0
    return curve.count("\n") - 1
