"""Print predictions as a table, JSON lines or CSV, to standard output or into a file."""

import csv
import errno
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, Union

from affekt.commands.output.printing import complain, print_columns, printable
from affekt.csv_rows import CsvRows, no_formula
from affekt.errors import RunError, writing

if TYPE_CHECKING:
    from affekt.inference.files import Failure
    from affekt.inference.prediction import Prediction, Segment
    from affekt.inference.timelines.timeline import Utterance

Result = Union["Prediction", "Utterance", "Segment", "Failure"]
Printer = Callable[[Result], None]
Prepared = TypeVar("Prepared")
Shown = TypeVar("Shown")
_TEXT: Any = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
HINT_FROM, HINT_SHARE = 10, 0.8  # recordings, and share of the most frequent label
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def print_results(results: Iterable[Result], printer: Printer) -> int:
    """Print results as they come; return the exit code, which is 1 if any file failed, else 0."""
    from affekt.inference.files import Failure

    code = 0
    for result in results:
        printer(result)
        if isinstance(result, Failure):
            complain(result.error)
            code = 1
    return code


def with_hint(results: Iterable[Shown]) -> Iterator[Shown]:
    """Pass on results without a profile; then suggest enrolment if nearly all have one label."""
    from affekt.inference.prediction import UNCERTAIN, Prediction

    labels: Counter[str] = Counter()
    for result in results:
        if isinstance(result, Prediction) and result.label != UNCERTAIN:
            labels[result.label] += 1
        yield result
    for label, count in labels.most_common(1):
        if labels.total() >= HINT_FROM and count >= HINT_SHARE * labels.total():
            complain(
                f"{count} of {labels.total()} recordings are labelled {label}. If they are of one "
                f"person, enroll the person (affekt enroll)."
            )


def json_lines(out: TextIO) -> Printer:
    """Print each result as one JSON object; a failure has the keys ``file`` and ``error``."""
    return lambda result: print(json.dumps(result.as_dict()), file=out, flush=True)


def csv_columns(
    labels: Iterable[str], about: Sequence[str] = ("file", "duration", "label")
) -> list[str]:
    """List the columns: ``about``, a probability per label, the reason for no label, the error."""
    return [*about, *(f"p_{label}" for label in labels), "reason", "error"]


def printer_of(
    form: str, out: TextIO, columns: Sequence[str], *, header: bool = True
) -> Printer | None:
    """Print each result in the form ``json``, or ``csv`` with these columns; None for others."""
    if form != "csv":
        return json_lines(out) if form == "json" else None
    writer = csv.DictWriter(CsvRows(out), columns, extrasaction="ignore")
    if header:
        writer.writeheader()

    def row(result: Result) -> None:
        cells: dict[str, Any] = result.as_dict()
        for label, probability in cells.get("probabilities", {}).items():
            cells[f"p_{label}"] = probability
        if "speaker" in cells:  # it may be from a file of turns
            cells["speaker"] = no_formula(cells["speaker"])
        writer.writerow(cells)
        out.flush()

    return row


def table(out: TextIO, labels: Sequence[str]) -> Printer:
    """Print one line per file: seconds, emotion, percentages, and a bar of the highest.

    A narrow terminal has no bar; with many labels, it has no percentages either.
    """
    from rich.bar import Bar
    from rich.console import Console
    from rich.text import Text

    from affekt.inference.prediction import UNCERTAIN, Prediction

    console = Console(file=out)
    emotion = max(map(len, [*labels, "emotion", UNCERTAIN]))
    percent = [max(4, len(label)) for label in labels]
    room = console.width - (30 + 9 + emotion)
    with_percent = room >= sum(2 + width for width in percent)
    with_bar = room >= 12 + with_percent * sum(2 + width for width in percent)
    widths = [0, 7, emotion, *(percent if with_percent else ()), *([10] if with_bar else ())]

    def row(result: Result) -> None:
        if isinstance(result, Prediction):
            shares = result.probabilities.values()
            name, label = Text(printable(result.file)), Text(result.label, "bold")
            cells = [name, f"{result.duration:.1f}", label]
            cells += [f"{share:.0%}" for share in shares] if with_percent else []
            cells += [Bar(1, 0, max(shares), width=10, color="cyan")] if with_bar else []
            print_columns(console, cells, widths, left=[0, 2])
            if result.reason:
                console.print(Text(f"  {result.reason}", "dim"), soft_wrap=True)

    names = ["file", "seconds", "emotion", *(labels if with_percent else ()), *([""] * with_bar)]
    print_columns(console, [Text(name, "bold") for name in names], widths, left=[0, 2])
    return row


@contextmanager
def results_output(
    output: str | None, prepare: Callable[[Path], Prepared] | None = None
) -> Iterator[tuple[TextIO, Prepared | None]]:
    """Open a file, location or standard output; other printing goes to standard error meanwhile.

    Yields the output, and what ``prepare`` returned for its file; without it, files are
    overwritten.

    Raises:
        RunError: the file cannot be written, or another command writes it.
    """
    if output is None:
        out = sys.stdout
        with redirect_stdout(sys.stderr):
            yield out, None
        return
    from affekt.locations import is_location, local_copy

    with ExitStack() as opened:
        path = Path(output)
        if is_location(output):
            path = opened.enter_context(local_copy(output, fetch=prepare is not None))
        file = opened.enter_context(_open_locked(path, output))
        prepared = None
        if prepare:
            prepared = prepare(path)
            if not os.path.samestat(os.fstat(file.fileno()), path.stat()):  # it was replaced
                file = opened.enter_context(_open_locked(path, output))
        elif path.is_file():
            file.truncate(0)
        try:
            with file, redirect_stdout(sys.stderr):
                yield file, prepared
        except OSError as error:
            if error.errno not in _DISK_ERRORS:
                raise
            raise RunError(
                f"{output} cannot be written any further: {error.strerror}. Free some space."
            ) from error


def _open_locked(path: Path, output: str) -> TextIO:
    """Open a file to append to, which no other command may write meanwhile."""
    with writing(output, RunError, "Name a file in a folder that exists."):
        file: TextIO = path.open("a", **_TEXT)
    if sys.platform == "win32" or not path.is_file():
        return file
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if not isinstance(error, BlockingIOError):  # some network disks have no locks
            return file
        file.close()
        raise RunError(
            f"{output} must not be written by two commands at a time. Got another one that writes "
            f"it. Wait for its end, or name another file with --output."
        ) from error
    return file
