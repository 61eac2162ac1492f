"""Print messages, times and progress bars on a terminal."""

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

Item = TypeVar("Item")


def complain(message: str) -> None:
    """Print a message to standard error, in one line."""
    print("affekt: " + printable(message), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    r"""Escape line breaks and characters that a terminal cannot show.

    >>> print(printable("a\nb"))
    a\nb
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def clock(seconds: float) -> str:
    """Format a time as hours, minutes and seconds.

    >>> clock(3.04), clock(3_725.5)
    ('0:03.0', '1:02:05.5')
    """
    minutes, tenths = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    whole = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{whole}:{tenths // 10:02}.{tenths % 10}"


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM too; outside the main thread, change nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def with_progress(
    items: Iterable[Item], total: int | Callable[[], int], *, delay: float = 2.0
) -> Iterator[Item]:
    """Pass items on and show a progress bar, if standard error is a terminal.

    Args:
        items: whose progress is shown.
        total: number of items, or a function that counts them once the bar appears.
        delay: seconds before the bar appears.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    begin = time.monotonic() + delay if console.is_terminal else math.inf
    progress = Progress(*columns, console=console, transient=True, redirect_stdout=False)
    task = progress.add_task("", total=None)
    with ExitStack() as shown:
        for item in items:
            yield item
            progress.advance(task)
            if time.monotonic() >= begin:
                progress.update(task, total=total() if callable(total) else total)
                shown.enter_context(progress)
                begin = math.inf


def knob_table() -> None:
    """Print every knob of a recipe."""
    from rich.console import Console
    from rich.table import Table

    from affekt.experiments.knobs import KNOB_COLUMNS, knobs

    lines = Table(title="Knobs of a recipe", title_justify="left", box=None, pad_edge=False)
    for name in KNOB_COLUMNS:
        lines.add_column(name, no_wrap=name != "meaning", overflow="fold")
    for row in knobs():
        lines.add_row(*row)
    console = Console(highlight=False, markup=False)
    console.print(lines)
    console.print("\npaper: Sharan, Mascolo & Schuller, the sections that fix the value")
