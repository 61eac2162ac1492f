"""Print messages, times and progress bars on a terminal."""

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from operator import length_hint
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")
NARROWEST = 40  # columns of a table; narrower terminals wrap its lines


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


def print_columns(
    console: "Console", cells: Sequence[Any], widths: Sequence[int], *, left: Collection[int]
) -> None:
    """Print one line of a table; a column of width 0 takes the space that the others leave."""
    from rich.table import Table

    if console.width < NARROWEST:
        console.width = NARROWEST
    line = Table.grid(padding=(0, 2, 0, 0), expand=0 in widths)
    for column, width in enumerate(widths):
        line.add_column(
            width=width or None,
            ratio=None if width else 1,
            overflow="ellipsis" if width else "fold",
            justify="left" if column in left else "right",
        )
    line.add_row(*cells)
    console.print(line)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM, and on SIGHUP when the terminal is closed.

    Outside the main thread, and below ``nohup``, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = [signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]
    before = {each: signal.getsignal(each) for each in signals}
    for each in signals:
        if before[each] is not signal.SIG_IGN:
            signal.signal(each, signal.default_int_handler)
    try:
        yield
    finally:
        for each in signals:
            signal.signal(each, before[each])


def with_progress(
    items: Iterable[Item], total: int | Callable[[], int] | None = None, *, delay: float = 2.0
) -> Iterator[Item]:
    """Pass items on; after ``delay`` seconds, show a progress bar if standard error is a terminal.

    It appears before the next item. ``total`` may be a function, which is called then; the length
    by default.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    begin = time.monotonic() + delay if console.is_terminal else math.inf
    progress = Progress(*columns, console=console, transient=True, redirect_stdout=False)
    task = progress.add_task("", total=None)
    total = length_hint(items) if total is None else total
    with ExitStack() as shown:
        for item in items:
            if time.monotonic() >= begin:
                progress.update(task, total=total() if callable(total) else total)
                shown.enter_context(progress)
                begin = math.inf
            yield item
            progress.advance(task)
