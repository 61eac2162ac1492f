"""Define what worker processes run in tests; they must be able to import it."""

import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Collection, Generator, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from affekt.corpora.folds import Fold
from affekt.engines import Outcome, local
from affekt.errors import RunError
from affekt.experiments.recipe import Recipe
from affekt.experiments.runner import run
from affekt.runs.folder import Locations

# The fork server and the workers of Ray must be able to import this module.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
).rstrip(os.pathsep)


def forked(target: Callable[..., object], *arguments: object) -> Any:
    """Prepare a forked process that has imported this module only; it is not started."""
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context.Process(target=target, args=arguments)


def inline(
    function: Callable[[Any], None],
    items: Iterable[Any],
    *,
    jobs: int | None,
) -> Generator[Outcome[Any] | None]:
    """Run items in this process, as an engine."""
    for item in items:
        function(item)
        yield Outcome(item, "")


def run_inline(recipe: Recipe, places: Locations, folds: Collection[int] | None = None) -> None:
    """Run a recipe in this process."""
    run(recipe, places, folds=folds, engine=inline)


def run_and_die(recipe: Recipe, places: Locations, name: str, epoch: int) -> None:
    """Run fold 1 of a recipe, and kill this process before it renames the n-th file of a name."""
    events = itertools.count(1)
    replace = Path.replace

    def deadly(path: Path, target: Path) -> Path:
        if target.name.startswith(name) and next(events) == epoch:
            die()
        return replace(path, target)

    Path.replace = deadly  # type: ignore[method-assign, assignment]
    run_inline(recipe, places, [1])


def die(*_: object) -> None:
    """End this process as ``kill -9`` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_two(function: Callable[[Fold], None], fold: Fold) -> None:
    """Run the function, but die in fold 2."""
    if fold.number == 2:
        die()
    function(fold)


def end(how: str) -> None:
    """Fail in the given way."""
    if how == "refuse":
        raise RunError("what must be so is not. Got this. Do that.")
    if how == "fault":
        raise KeyError("a fault\nof two lines")
    if how == "hungry":
        raise MemoryError
    if how == "exit":
        os._exit(3)
    if how == "kill":
        die()
    if how == "interrupt":
        raise KeyboardInterrupt


def note(folder: Path, item: int) -> None:
    """Write a file with the process ID, and another one at the end."""
    (folder / f"{item}").write_text(str(os.getpid()))
    time.sleep(0.3)
    (folder / f"{item} done").touch()


def sleep(folder: Path, item: int) -> None:
    """Write a file with the process ID, and sleep."""
    (folder / f"{item}.part").write_text(str(os.getpid()))
    (folder / f"{item}.part").replace(folder / f"{item}")
    time.sleep(600)


def run_forever(folder: Path) -> None:
    """Run items that never end."""
    list(local(partial(sleep, folder), range(9), jobs=1))


def note_and_work(folder: Path, function: Callable[[Fold], None], fold: Fold) -> None:
    """Write a file named after fold and process, and run the function when a node is lost."""
    (folder / f"begun-{fold.number}-{os.getpid()}").touch()
    while not (folder / "lost").exists():
        time.sleep(0.05)
    function(fold)
