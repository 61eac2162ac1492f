"""Where work runs: one function over many items, side by side; results meet in files.

An engine starts ``function(item)`` for each item and tells how each one ended. The function
writes what it makes itself, so that a dead worker loses nothing that was finished.
"""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Generic, TypeVar

from affekt.errors import AffektError

Item = TypeVar("Item")
HEARTBEAT = 1.0  # seconds


@dataclass(frozen=True)
class Outcome(Generic[Item]):
    """How one item ended.

    Attributes:
        item: which.
        error: one line, or empty if all went well.
    """

    item: Item
    error: str


def local(
    function: Callable[[Item], None], items: Iterable[Item], *, jobs: int
) -> Iterator[Outcome[Item] | None]:
    """Run in processes of this machine, a fresh one for each item.

    Args:
        function: importable, as the processes start from nothing.
        items: taken one by one, as processes become free.
        jobs: processes at a time.

    Yields:
        Outcomes as they come, and ``None`` about every second, so that a caller can show how far
        things are.
    """
    context = multiprocessing.get_context("spawn")
    waiting = iter(items)
    running: dict[int, tuple[Any, Any, Item]] = {}
    more = True
    try:
        while more or running:
            while more and len(running) < jobs:
                item = next(waiting, None)
                more = item is not None
                if item is not None:
                    ours, theirs = context.Pipe(duplex=False)
                    process = context.Process(target=_work, args=(function, item, theirs))
                    process.start()
                    theirs.close()
                    running[process.sentinel] = (process, ours, item)
            ended = connection.wait(list(running), timeout=HEARTBEAT)
            for sentinel in ended:
                process, ours, item = running.pop(int(sentinel))  # type: ignore[arg-type]
                process.join()
                yield Outcome(item, _fate(process.exitcode, ours))
            if not ended:
                yield None
    finally:
        for process, _, _ in running.values():
            process.terminate()


def _work(function: Callable[[Item], None], item: Item, pipe: Any) -> None:
    try:
        function(item)
    except AffektError as error:
        pipe.send(str(error))
    except KeyboardInterrupt:
        pipe.send("interrupted")
    except BaseException as error:
        pipe.send(f"{type(error).__name__}: {error}".splitlines()[0])
        raise


def _fate(exitcode: int | None, pipe: Any) -> str:
    try:
        if pipe.poll():
            return str(pipe.recv())
    except EOFError:
        pass
    if exitcode:
        how = f"signal {-exitcode}" if exitcode < 0 else f"exit code {exitcode}"
        return f"its worker died ({how}); out of memory, or killed"
    return ""
