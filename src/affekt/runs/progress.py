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
def show_progress(
    name: str, epochs: int, folder: Path, folds: Sequence[Fold]
) -> Iterator[Callable[[], None]]:
    """Show how many epochs of some folds are done; epochs of other runners count too.

    A method without epochs counts as one epoch a fold. Yields a function that updates what is
    shown.
    """

    def update() -> None:
        done = [fold for fold in folds if is_done(folder, fold)]
        running = {fold.number: _epochs(folder, fold) for fold in folds if fold not in done}
        text = [f"{len(done)} of {len(folds)} fold{'s' * (len(folds) != 1)}"]
        text += [f"fold {number} epoch {epoch}" for number, epoch in running.items() if epoch]
        show(epochs * len(done) + sum(running.values()), ", ".join(text))

    display = _bar if sys.stderr.isatty() else _lines
    with display(name, epochs * len(folds)) as show:
        update()
        yield update
        update()


@contextmanager
def _bar(name: str, total: int) -> Iterator[Callable[[int, str], None]]:
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
    console = Console(stderr=True)
    with progress.Progress(*columns, console=console, speed_estimate_period=1e9) as bar:
        task = bar.add_task(name, total=total, done="")
        yield lambda completed, text: bar.update(task, completed=completed, done=text)


@contextmanager
def _lines(name: str, total: int) -> Iterator[Callable[[int, str], None]]:
    started, last = time.monotonic(), -INTERVAL
    before = printed = -1

    def show(completed: int, text: str) -> None:
        nonlocal before, last, printed
        now = time.monotonic()
        before = completed if before < 0 else before
        if completed == printed or (now - last < INTERVAL and completed < total):
            return
        last, printed = now, completed
        speed = (completed - before) / max(now - started, 1e-9)
        left = f", {(total - completed) / speed / 60:.0f} min left" if speed else ""
        text += f", {completed} of {total} epoch{'s' * (total != 1)}{left}"
        print(f"{name}: {text}", file=sys.stderr, flush=True)

    yield show


def _epochs(folder: Path, fold: Fold) -> int:
    curve = fold_folder(folder, fold) / "curve.csv"
    return curve.read_text(encoding="utf-8").count("\n") - 1 if curve.is_file() else 0
