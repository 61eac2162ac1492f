"""Apply a predictor to many recordings in parallel, with results in the order of the recordings.

It uses threads: decoding, resampling and the graph release the interpreter lock. Few results wait
at a time, so memory does not grow with the number of recordings.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from affekt.errors import AffektError, ModelError
from affekt.inference.graph import load_graph

if TYPE_CHECKING:
    from affekt.inference.predictor import Predictor

Item = TypeVar("Item")
Value = TypeVar("Value")

AHEAD = 8  # items: how far a worker may be ahead of the oldest unfinished item
SETTLED = 8  # items after which a worker loads its own model: loading takes as long


def in_order(
    predictor: "Predictor",
    work: "Callable[[Predictor, Item], Value]",
    items: Iterable[Item],
    *,
    jobs: int | None = None,
) -> Iterator[Value]:
    """Apply ``work``, a function of a predictor and an item, to many items, ``jobs`` at a time.

    Items are taken as needed; by default, there is one job a core. Values come in the order of the
    items, and an error of ``work`` or ``items`` is raised in its place. ``work`` may get a copy of
    the predictor, in any thread.

    Raises:
        ModelError: ``jobs`` is not at least 1.
    """
    from affekt.engines import at_a_time  # slow to load

    jobs = at_a_time(jobs, ModelError)
    worker = _Worker(predictor, iter([predictor]))
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="affekt")

    def value(item: Item) -> Value:
        return work(worker.predictor(), item)

    def submitted() -> "Iterator[Future[Value]]":
        try:
            for item in items:
                yield pool.submit(value, item)
        except Exception as error:
            failed = Future[Value]()
            failed.set_exception(error)
            yield failed

    try:
        futures = submitted()
        waiting = deque(islice(futures, AHEAD * jobs))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(islice(futures, 1))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Worker(threading.local):
    """The model of a worker thread: shared at first, its own after several items.

    Runs of one ONNX Runtime session share an allocator: two threads with a session each are 1.1
    times as fast as two threads with one session.
    """

    def __init__(self, shared: "Predictor", free: "Iterator[Predictor]") -> None:
        self._predictor, self._free = shared, free
        self._items = 0

    def predictor(self) -> "Predictor":
        self._items += 1
        if self._items == SETTLED:
            self._predictor = next(self._free, None) or _another(self._predictor)
        return self._predictor


def _another(predictor: "Predictor") -> "Predictor":
    """Load the same model again; keep the loaded one if its file has changed."""
    old = predictor.graph
    threads = old.session.get_session_options().intra_op_num_threads
    try:
        new = load_graph(old.file, threads=threads)
    except AffektError:
        return predictor
    return replace(predictor, graph=new) if new.digest == old.digest else predictor
