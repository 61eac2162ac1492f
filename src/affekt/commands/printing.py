"""Results to text: a table for people; JSON lines and CSV for machines; one line a complaint."""

import csv
import errno
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union

from affekt.errors import RunError

if TYPE_CHECKING:
    from affekt.corpora import Survey
    from affekt.inference.files import Failure
    from affekt.inference.predictor import Prediction
    from affekt.inference.stream import Segment
    from affekt.inference.timeline import Utterance

Result = Union["Prediction", "Utterance", "Segment", "Failure"]
Row = Callable[[Result], None]
Some = TypeVar("Some", bound=Result)
Item = TypeVar("Item")
_TEXT: Any = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}


def complain(message: str) -> None:
    """Print one line to standard error, whatever the message holds."""
    print("affekt: " + printable(message), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    r"""Text for one line of any terminal: line breaks and stray bytes of file names escaped.

    >>> print(printable("a\nb"))
    a\nb
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def clock(seconds: float) -> str:
    """Time for people.

    >>> clock(3.04), clock(3_725.5)
    ('0:03.0', '1:02:05.5')
    """
    minutes, tenths = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    whole = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{whole}:{tenths // 10:02}.{tenths % 10}"


@contextmanager
def stopped_by_term() -> Iterator[None]:
    """Let SIGTERM end as Ctrl-C does, where this thread may decide on it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def show(results: Iterable[Result], labels: Sequence[str], form: Callable[..., Row]) -> int:
    """Print results as they come, and complain of those that failed.

    Args:
        results: of :func:`affekt.inference.files.predict_files`.
        labels: of the model.
        form: :func:`table`, :func:`json_lines` or :func:`csv_rows`.

    Returns:
        The exit code: 1 if any failed, else 0.
    """
    from affekt.inference.files import Failure

    code = 0
    row = form(labels)
    for result in results:
        row(result)
        if isinstance(result, Failure):
            complain(result.error)
            code = 1
    return code


def json_lines(_: Sequence[str]) -> Row:
    """One object a line: the prediction, or file and error."""
    return lambda result: print(json.dumps(result, default=_fields), flush=True)


def _fields(result: Any) -> dict[str, Any]:
    """As :func:`dataclasses.asdict`, but without a copy of all that is inside."""
    return {each.name: getattr(result, each.name) for each in fields(result)}


def csv_columns(
    labels: Iterable[str], about: Sequence[str] = ("file", "duration", "label")
) -> list[str]:
    """What is asked ``about`` a result, probabilities, and an error or nothing."""
    return [*about, *(f"p_{label}" for label in labels), "error"]


def csv_rows(
    labels: Sequence[str],
    about: Sequence[str] = ("file", "duration", "label"),
    *,
    heading: bool = True,
) -> Row:
    """One row a result, with the :func:`csv_columns`."""
    columns = csv_columns(labels, about)
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    if heading:
        writer.writeheader()

    def row(result: Result) -> None:
        cells = asdict(result)
        for label, probability in cells.get("probabilities", {}).items():
            cells[f"p_{label}"] = probability
        writer.writerow(cells)
        sys.stdout.flush()

    return row


def table(labels: Sequence[str]) -> Row:
    """One line a file: seconds, emotion, per cents of each label, a bar of the likeliest.

    A narrow terminal goes without the bar, or, with many labels, without the per cents.
    """
    from rich.bar import Bar
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

    from affekt.inference.predictor import Prediction
    from affekt.inference.stream import UNCERTAIN

    console = Console()
    emotion = max(map(len, [*labels, "emotion", UNCERTAIN]))
    wide = {label: max(4, len(label)) for label in labels}
    room = console.width - (30 + 9 + emotion)
    per_cents = room >= sum(wide.values()) + 2 * len(wide)
    bars = room >= 12 + per_cents * (sum(wide.values()) + 2 * len(wide))

    def line(*cells: RenderableType, header: bool = False) -> None:
        lines = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0))
        lines.show_header = header
        lines.add_column("file", ratio=1, overflow="fold")
        lines.add_column("seconds", width=7, justify="right")
        lines.add_column("emotion", width=emotion)
        for label, width in wide.items() if per_cents else ():
            lines.add_column(label, width=width, justify="right")
        if bars:
            lines.add_column(width=10)
        if cells:
            lines.add_row(*cells)
        console.print(lines)

    def row(result: Result) -> None:
        if isinstance(result, Prediction):
            name, emotion = Text(printable(result.file)), Text(result.label, "bold")
            numbers = [f"{p:.0%}" for p in result.probabilities.values()] if per_cents else []
            likely = max(result.probabilities.values())
            bar = [Bar(1, 0, likely, width=10, color="cyan")] if bars else []
            line(name, f"{result.duration:.1f}", emotion, *numbers, *bar)

    line(header=True)
    return row


@contextmanager
def into(output: str | None, go_on: Callable[[Path], Item] | None = None) -> Iterator[Item | None]:
    """Let all that is printed go into a file, if one is named.

    Args:
        output: the file or location, which must not be named like a recording: it might be one.
        go_on: what to do with a file that is there before more is added to it; by default it
            begins anew.

    Yields:
        What ``go_on`` returned.

    Raises:
        RunError: it cannot be written, or must not.
    """
    if output is None:
        yield None
        return
    from affekt.audio.reading import SUFFIXES
    from affekt.locations import is_location, local_copy

    if Path(output).suffix.lower() in SUFFIXES:
        raise RunError(f"{output} is named like a recording. Name another file to print into.")
    with ExitStack() as opened:
        path = Path(output)
        if is_location(output):
            path = opened.enter_context(local_copy(output, fetch=go_on is not None))
        begun = go_on(path) if go_on else None
        try:
            file = path.open("a" if go_on else "w", **_TEXT)
        except OSError as error:
            raise RunError(
                f"{output} cannot be written: {error.strerror}. "
                f"Name a file in a folder that exists."
            ) from error
        try:
            with file, redirect_stdout(file):
                yield begun
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
                raise
            raise RunError(
                f"{output} cannot be written any further: {error.strerror}. Make room for it."
            ) from error


def with_progress(results: Iterator[Some], total: Callable[[], int]) -> Iterator[Some]:
    """Pass results on, with a bar on standard error where the results themselves are not seen.

    Args:
        results: as they come.
        total: counts how many will come; asked only if there is a bar.
    """
    if sys.stdout.isatty() or not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        yield from progress.track(results, total=total())


def watched(items: Iterable[Item], total: int) -> Iterator[Item]:
    """Pass items on; once that takes more than two seconds, with a bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    patience = time.monotonic() + 2.0
    progress = Progress(*columns, console=console, transient=True, redirect_stdout=False)
    task = progress.add_task("", total=total)
    with ExitStack() as shown:
        for item in items:
            yield item
            progress.advance(task)
            if console.is_terminal and time.monotonic() > patience:
                shown.enter_context(progress)
                patience = math.inf


def comparison(survey: "Survey") -> None:
    """Print what a corpus holds: ``7/8`` where 7 were found and 8 are published, else ``8``."""
    from rich.console import Console
    from rich.table import Table

    lines = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    lines.add_column(survey.corpus, no_wrap=True)
    for name in ("speakers", *survey.labels, "clips"):
        lines.add_column(name, justify="right", no_wrap=True)
    for row in survey.rows():
        cells = [
            str(found) if published in (found, None) else f"[red]{found}/{published}[/red]"
            for found, published in zip(row.found, row.published, strict=True)
        ]
        lines.add_row(row.name, *cells)
    Console(width=1_000).print(lines)  # a terminal may break lines, but no number is cut


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
