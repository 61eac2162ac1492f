"""Run one function over many items, in local processes or on a Ray cluster.

An engine runs ``function(item)`` for each item and reports each outcome. The function saves large
results itself; a cluster also returns the function's value.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import connection
from numbers import Integral
from typing import Any, Generic, Protocol, TypeVar

from affekt.errors import AffektError, RunError, first_line, shortage

Item = TypeVar("Item")
HEARTBEAT = 1.0  # seconds
RETRIES = 5  # of an item whose node was lost


@dataclass(frozen=True)
class Outcome(Generic[Item]):
    """The outcome of one item."""

    item: Item
    error: str  #: one line, or empty if all went well
    made: Any = None  #: the function's return value, on a :func:`cluster`


class Engine(Protocol):
    """The interface of an engine; closing the generator stops running items."""

    def __call__(
        self, function: Callable[[Item], object], items: Iterable[Item], *, jobs: int | None
    ) -> Generator[Outcome[Item] | None]:
        """Yield outcomes as they come, and ``None`` about every second."""


def engine_named(name: str, address: str | None = None) -> Engine:
    """Return the engine ``local``, or ``ray`` with the address of a cluster.

    Raises:
        RunError: no such engine, or an address for one that has none.
    """
    if name == "ray":
        return partial(cluster, address=address)
    if name != "local":
        raise RunError(f"--engine must be local or ray. Got {name}. Choose one of them.")
    if address is not None:
        raise RunError(
            f"--engine must be ray when an address is given. Got local with address {address}. "
            f"Leave out the address, or use --engine ray."
        )
    return local


def local(
    function: Callable[[Item], object], items: Iterable[Item], *, jobs: int | None = None
) -> Generator[Outcome[Item] | None]:
    """Run in processes of this machine, a fresh one for each item; by default one a core.

    The function can be imported, or is a ``partial`` of such a one. Items are taken one by one, as
    processes become free. ``None`` comes about every second, for progress displays.

    Raises:
        RunError: ``jobs`` is not at least 1.
    """
    context: Any = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
    # Processes are forked from a server that has imported the module, which saves its import time.
    context.set_forkserver_preload([getattr(function, "func", function).__module__])
    waiting = iter(items)
    running: dict[int, tuple[Any, Any, Item]] = {}
    limit = at_a_time(jobs)
    try:
        while True:
            for item in islice(waiting, limit - len(running)):
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(function, item, theirs))
                process.start()
                theirs.close()
                running[process.sentinel] = (process, ours, item)
            if not running:
                break
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


def at_a_time(jobs: int | None, error: type[AffektError] = RunError) -> int:
    """Return a number of jobs, by default one a core; raise ``error`` unless whole, above 0."""
    if jobs is not None and not (isinstance(jobs, Integral) and jobs >= 1):
        raise error(
            f"jobs must be a whole number, at least 1. Got {jobs!r}. Leave it out for one a core."
        )
    return jobs or cores()


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _work(function: Callable[[Item], object], item: Item, pipe: Any) -> None:
    threading.Thread(target=_follow_parent, daemon=True).start()
    try:
        function(item)
    except AffektError as error:
        pipe.send(str(error))
    except KeyboardInterrupt:
        pipe.send("interrupted")
    except BaseException as error:
        lacking = shortage(error)
        pipe.send(lacking or f"{type(error).__name__}: {error}".splitlines()[0])
        if not lacking:
            raise


def _follow_parent() -> None:
    """Exit when the parent process has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _fate(exitcode: int | None, pipe: Any) -> str:
    with suppress(EOFError):
        if pipe.poll():
            return str(pipe.recv())
    if exitcode:
        how = f"signal {-exitcode}" if exitcode < 0 else f"exit code {exitcode}"
        return f"its worker died ({how}); out of memory, or killed"
    return ""


def cluster(
    function: Callable[[Item], object],
    items: Iterable[Item],
    *,
    jobs: int | None = None,
    address: str | None = None,
) -> Generator[Outcome[Item] | None]:
    """Run on a Ray cluster as :func:`local` does, each item a task with one CPU.

    All nodes must reach the run folder, recordings and weights under the same paths. Tasks of a
    lost node are repeated on another one. By default, each of the cluster's CPUs has one job, and
    the address, such as ``ray://head:10001``, is ``RAY_ADDRESS`` or the cluster on this machine.

    Raises:
        RunError: Ray is not installed, there is no cluster, or ``jobs`` is not at least 1.
    """
    at_a_time(jobs)
    ray = _connected(address)
    task: Any = ray.remote(num_cpus=1, max_retries=RETRIES)(_run_remotely)
    waiting = iter(items)
    running: dict[Any, Item] = {}
    try:
        while True:
            limit = jobs or int(ray.cluster_resources().get("CPU", 1))
            for item in islice(waiting, max(0, limit - len(running))):  # a node may have left
                running[task.remote(function, item)] = item
            if not running:
                break
            ended, _ = ray.wait(list(running), timeout=HEARTBEAT)
            for reference in ended:
                yield Outcome(running.pop(reference), *_result_of(ray, reference))
            if not ended:
                yield None
    finally:
        ray.shutdown()  # which ends the tasks that run


def _connected(address: str | None) -> Any:
    """The package Ray, connected to a cluster."""
    try:
        import ray
    except ImportError as error:
        raise RunError(
            "engine ray must have Ray. Got none. Install it with: pip install 'affekt[cluster]'"
        ) from error
    before = signal.getsignal(signal.SIGTERM)  # which Ray replaces, to exit with a traceback
    try:
        ray.init(address or "auto", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise RunError(
            f"engine ray must reach a cluster. Got none at {address or 'the usual address'}: "
            f"{first_line(error)}. Start one with: ray start --head"
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
    return ray


def _run_remotely(function: Callable[[Item], object], item: Item) -> tuple[str, object]:
    try:
        return "", function(item)
    except AffektError as error:
        return str(error), None


def _result_of(ray: Any, reference: Any) -> tuple[str, object]:
    """Error and returned value."""
    try:
        error, made = ray.get(reference)
    except ray.exceptions.RayTaskError as fault:
        return f"{type(fault.cause).__name__}: {fault.cause}".splitlines()[0], None
    except ray.exceptions.RayError as fault:
        lost = f"its node or worker died {RETRIES + 1} times"
        return f"{lost}: {str(fault).splitlines()[0]}", None
    return str(error), made
