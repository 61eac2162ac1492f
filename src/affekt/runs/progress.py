"""Show the progress of a run: a bar on a terminal, one line a minute in a file."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from affekt.corpora.folds import Fold
from affekt.runs.folder import fold_folder, is_done

INTERVAL = 60.0  # s between the lines in a file


@contextmanager
def shown(
    name: str, epochs: int, folder: Path, folds: Sequence[Fold]
) -> Iterator[Callable[[], None]]:
    """Show how many epochs of some folds are done; epochs of other runners count too.

    A method without epochs counts as one epoch a fold. Yields a function that updates what is
    shown.
    """

    def status() -> tuple[int, str]:
        """Epochs done, and folds in words."""
        done = [fold for fold in folds if is_done(folder, fold)]
        running = {fold.number: _epochs(folder, fold) for fold in folds if fold not in done}
        text = [f"{len(done)} of {len(folds)} folds"]
        text += [f"fold {number} epoch {epoch}" for number, epoch in running.items() if epoch]
        return epochs * len(done) + sum(running.values()), ", ".join(text)

    show = _bar if sys.stderr.isatty() else _lines
    with show(name, epochs * len(folds), status) as update:
        update()
        yield update
        update()


@contextmanager
def _bar(
    name: str, total: int, status: Callable[[], tuple[int, str]]
) -> Iterator[Callable[[], None]]:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[done]}"),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    )
    # an epoch may take minutes, so its speed is estimated over the whole run
    with progress.Progress(
        *columns, console=Console(stderr=True), speed_estimate_period=1e9
    ) as bar:
        task = bar.add_task(name, total=total, done="")

        def update() -> None:
            completed, text = status()
            bar.update(task, completed=completed, done=text)

        yield update


@contextmanager
def _lines(
    name: str, total: int, status: Callable[[], tuple[int, str]]
) -> Iterator[Callable[[], None]]:
    started = time.monotonic()
    before, last = status()[0], -INTERVAL
    printed = -1

    def update() -> None:
        nonlocal last, printed
        now = time.monotonic()
        completed, text = status()
        if completed == printed or (now - last < INTERVAL and completed < total):
            return
        last, printed = now, completed
        speed = (completed - before) / max(now - started, 1e-9)
        left = f", {(total - completed) / speed / 60:.0f} min left" if speed else ""
        print(f"{name}: {text}, {completed} of {total} epochs{left}", file=sys.stderr, flush=True)

    yield update


def _epochs(folder: Path, fold: Fold) -> int:
    curve = fold_folder(folder, fold) / "curve.csv"
    return curve.read_text(encoding="utf-8").count("\n") - 1 if curve.is_file() else 0
