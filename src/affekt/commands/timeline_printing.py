"""Timelines to text and picture: table, JSON lines, CSV, annotation files, a plot."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from affekt.commands.printing import (
    Result,
    Row,
    clock,
    csv_rows,
    json_lines,
    printable,
    show,
    stopped_by_term,
)
from affekt.errors import RunError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import RenderableType

    from affekt.inference.outline import Outline
    from affekt.inference.predictor import Predictor
    from affekt.inference.timeline import Utterance, Watch

ANNOTATIONS = ("audacity", "textgrid", "webvtt", "rttm")
ONE_RECORDING = ("audacity", "textgrid", "webvtt")  # forms that cannot tell recordings apart
PICTURES = (".png", ".svg")
ABOUT = ("file", "start", "end", "label", "speech")  # columns of the CSV


def show_timelines(
    predictor: "Predictor", paths: Sequence[str], *, form: str, plot: Path | None = None
) -> int:
    """Print timelines as they are heard, and draw one.

    Args:
        predictor: the loaded model.
        paths: recordings and folders; a single recording for a plot or :data:`ONE_RECORDING`.
        form: ``table``, ``json``, ``csv``, or one of :data:`ANNOTATIONS`.
        plot: picture to make, with one of the suffixes :data:`PICTURES`.

    Returns:
        The exit code: 1 if any recording failed, else 0.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; what was heard until then is printed and drawn.
        RunError: the picture cannot be written.
    """
    from affekt.inference.annotations import textgrid
    from affekt.inference.files import timeline_files
    from affekt.inference.outline import Outline

    if plot:
        import affekt.report.timeline_picture  # noqa: F401 -- if it is missing, say so at once
    outline = Outline()
    kept: list[Utterance] | None = [] if plot or form == "textgrid" else None
    stopped: list[KeyboardInterrupt] = []
    with _watching(outline, form) as watch, stopped_by_term():
        results = _until_stopped(timeline_files(predictor, paths, watch=watch), stopped)
        code = show(results, predictor.labels, partial(_rows, form=form, kept=kept))
    if form == "textgrid" and outline.seconds:
        print(textgrid(kept or [], outline.seconds), end="")
    if plot and outline.seconds:
        _draw(plot, kept or [], outline, predictor.labels, title=Path(paths[0]).name)
    if stopped:
        sys.stdout.flush()
        raise stopped[0]
    return code


def _until_stopped(results: Iterator[Result], stopped: list[KeyboardInterrupt]) -> Iterator[Result]:
    try:
        yield from results
    except KeyboardInterrupt as interrupt:
        stopped.append(interrupt)


def _rows(labels: Sequence[str], *, form: str, kept: "list[Utterance] | None") -> Row:
    """How to print a result; those of one recording are ``kept`` where the whole is needed."""
    from affekt.inference.timeline import Utterance

    row = _row(labels, form)

    def keep(result: Result) -> None:
        if kept is not None and isinstance(result, Utterance):
            kept.append(result)
        row(result)

    return keep


def _row(labels: Sequence[str], form: str) -> Row:
    from affekt.inference.annotations import LINES, WEBVTT_HEAD
    from affekt.inference.timeline import Utterance

    if form == "table":
        return timeline_table(labels)
    if form == "json":
        return json_lines(labels)
    if form == "csv":
        return csv_rows(labels, ABOUT)
    if form == "webvtt":
        print(WEBVTT_HEAD, flush=True)
    line = LINES.get(form)

    def row(result: Result) -> None:
        if line and isinstance(result, Utterance):
            print(line(result), flush=True)

    return row


def timeline_table(labels: Sequence[str]) -> Row:
    """One line an utterance below its file's name: times, emotion, per cents, share of speech.

    A narrow terminal goes without the per cents.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from affekt.inference.stream import UNCERTAIN
    from affekt.inference.timeline import Utterance

    console = Console(highlight=False)
    widths = [10, 10, max(map(len, [*labels, "emotion", UNCERTAIN]))]
    names = ["start", "end", "emotion"]
    per_cents = console.width >= sum(widths) + 14 + sum(2 + max(4, len(label)) for label in labels)
    if per_cents:
        names += labels
        widths += [max(4, len(label)) for label in labels]
    file = ""

    def show_line(what: "RenderableType") -> None:
        with console.capture() as text:
            console.print(what)
        print(text.get(), end="", flush=True)  # above the bar, which takes what is printed

    def line(cells: Sequence[Text]) -> None:
        grid = Table.grid(padding=(0, 2, 0, 0))
        for name, width in zip([*names, "speech"], [*widths, 6], strict=True):
            grid.add_column(width=width, justify="left" if name == "emotion" else "right")
        grid.add_row(*cells)
        show_line(grid)

    def row(result: Result) -> None:
        nonlocal file
        if isinstance(result, Utterance):
            if result.file != file:
                file = result.file
                show_line(Text(printable(file), "bold"))
            shares = result.probabilities.values() if per_cents else ()
            times = [Text(clock(result.start)), Text(clock(result.end))]
            numbers = [Text(f"{share:.0%}") for share in (*shares, result.speech)]
            line([*times, Text(result.label, "bold"), *numbers])

    line([Text(name, "bold") for name in (*names, "speech")])
    return row


def _draw(
    plot: Path,
    utterances: "Sequence[Utterance]",
    outline: "Outline",
    labels: Sequence[str],
    title: str,
) -> None:
    from affekt.report.timeline_picture import draw_timeline, save

    figure = draw_timeline(
        utterances,
        outline.swings,
        seconds=outline.seconds,
        seconds_per_part=outline.seconds_per_part,
        labels=labels,
        title=printable(title),
    )
    try:
        save(figure, plot)
    except OSError as error:
        raise RunError(
            f"{plot} cannot be written: {error.strerror}. Name a file in a folder that exists."
        ) from error


@contextmanager
def _watching(outline: "Outline", form: str) -> Iterator[Callable[[str], "Watch"]]:
    """What to call with every block of each file: it keeps the outline, and a bar on a terminal.

    Where the results are seen on that terminal too, a table scrolls by above the bar; other
    forms, whose lines it would break, go without.
    """
    seen = sys.stdout.isatty()
    if not sys.stderr.isatty() or (seen and form != "table"):
        yield lambda _: outline.push
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from affekt.audio.windows import SAMPLE_RATE

    columns = BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=seen) as progress:
        task = progress.add_task("")

        def watch(file: str) -> "Watch":
            progress.reset(task, total=_seconds(file), description=printable(Path(file).name))

            def heard(block: "NDArray[np.float32]") -> None:
                outline.push(block)
                progress.advance(task, block.size / SAMPLE_RATE)

            return heard

        yield watch


def _seconds(file: str) -> float | None:
    """How long a recording is, if that can be told without hearing it."""
    from affekt.audio.reading import probe
    from affekt.errors import AffektError
    from affekt.inference.files import STDIN

    try:
        return None if file == STDIN else probe(file).seconds
    except AffektError:
        return None  # said when it is heard
