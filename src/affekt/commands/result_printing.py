"""Print predictions as a table, JSON lines or CSV, to standard output or into a file."""

import csv
import errno
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, Union

from affekt.commands.printing import complain, printable
from affekt.errors import RunError

if TYPE_CHECKING:
    from rich.console import Console

    from affekt.inference.files import Failure
    from affekt.inference.predictor import Prediction
    from affekt.inference.stream import Segment
    from affekt.inference.timeline import Utterance

Result = Union["Prediction", "Utterance", "Segment", "Failure"]
Printer = Callable[[Result], None]
Prepared = TypeVar("Prepared")
_TEXT: Any = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def print_results(results: Iterable[Result], printer: Printer) -> int:
    """Print results as they come, and each failure to standard error too.

    Args:
        results: from :func:`affekt.inference.files.predict_files`.
        printer: :func:`table`, :func:`json_lines` or :func:`csv_rows`.

    Returns:
        The exit code: 1 if any file failed, else 0.
    """
    from affekt.inference.files import Failure

    code = 0
    for result in results:
        printer(result)
        if isinstance(result, Failure):
            complain(result.error)
            code = 1
    return code


def json_lines(out: TextIO) -> Printer:
    """Print each result as one JSON object; a failure has the keys ``file`` and ``error``."""
    return lambda result: print(json.dumps(result, default=_fields), file=out, flush=True)


def _fields(result: Any) -> dict[str, Any]:
    """Convert as :func:`dataclasses.asdict`, but without copying the values."""
    return {each.name: getattr(result, each.name) for each in fields(result)}


def csv_columns(
    labels: Iterable[str], about: Sequence[str] = ("file", "duration", "label")
) -> list[str]:
    """List the columns: ``about``, a probability per label, and the error."""
    return [*about, *(f"p_{label}" for label in labels), "error"]


def csv_rows(out: TextIO, columns: Sequence[str], *, header: bool = True) -> Printer:
    """Print each result as one CSV row with :func:`csv_columns`."""
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    if header:
        writer.writeheader()

    def row(result: Result) -> None:
        cells = asdict(result)
        for label, probability in cells.get("probabilities", {}).items():
            cells[f"p_{label}"] = probability
        writer.writerow(cells)
        out.flush()

    return row


def table(console: "Console", labels: Sequence[str]) -> Printer:
    """Print one line per file: seconds, emotion, percentages, and a bar of the highest.

    A narrow terminal has no bar; with many labels, it has no percentages either.
    """
    from rich.bar import Bar
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from affekt.inference.predictor import Prediction
    from affekt.inference.stream import UNCERTAIN

    emotion_width = max(map(len, [*labels, "emotion", UNCERTAIN]))
    widths = {label: max(4, len(label)) for label in labels}
    room = console.width - (30 + 9 + emotion_width)
    with_percent = room >= sum(widths.values()) + 2 * len(widths)
    with_bar = room >= 12 + with_percent * (sum(widths.values()) + 2 * len(widths))

    def line(*cells: RenderableType, header: bool = False) -> None:
        lines = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0))
        lines.show_header = header
        lines.add_column("file", ratio=1, overflow="fold")
        lines.add_column("seconds", width=7, justify="right")
        lines.add_column("emotion", width=emotion_width)
        for label, width in widths.items() if with_percent else ():
            lines.add_column(label, width=width, justify="right")
        if with_bar:
            lines.add_column(width=10)
        if cells:
            lines.add_row(*cells)
        console.print(lines)

    def row(result: Result) -> None:
        if isinstance(result, Prediction):
            shares = result.probabilities.values()
            percent = [f"{share:.0%}" for share in shares] if with_percent else []
            bar = [Bar(1, 0, max(shares), width=10, color="cyan")] if with_bar else []
            name, emotion = Text(printable(result.file)), Text(result.label, "bold")
            line(name, f"{result.duration:.1f}", emotion, *percent, *bar)

    line(header=True)
    return row


@contextmanager
def results_output(
    output: str | None, prepare: Callable[[Path], Prepared] | None = None
) -> Iterator[tuple[TextIO, Prepared | None]]:
    """Open where results go. All other printing of the process goes to standard error meanwhile.

    Args:
        output: file or location, which must not be named like a recording; standard output by
            default.
        prepare: is called with the file before results are appended to it; by default, the file
            is overwritten.

    Yields:
        The opened file, and what ``prepare`` returned.

    Raises:
        RunError: the file is named like a recording, or cannot be written.
    """
    if output is None:
        out = sys.stdout
        with redirect_stdout(sys.stderr):
            yield out, None
        return
    from affekt.audio.reading import SUFFIXES
    from affekt.locations import is_location, local_copy

    if Path(output).suffix.lower() in SUFFIXES:
        raise RunError(f"{output} is named like a recording. Name another output file.")
    with ExitStack() as opened:
        path = Path(output)
        if is_location(output):
            path = opened.enter_context(local_copy(output, fetch=prepare is not None))
        prepared = prepare(path) if prepare else None
        try:
            file = path.open("a" if prepare else "w", **_TEXT)
        except OSError as error:
            raise RunError(
                f"{output} cannot be written: {error.strerror}. "
                f"Name a file in a folder that exists."
            ) from error
        try:
            with file, redirect_stdout(sys.stderr):
                yield file, prepared
        except OSError as error:
            if error.errno not in _DISK_ERRORS:
                raise
            raise RunError(
                f"{output} cannot be written any further: {error.strerror}. Free some space."
            ) from error
