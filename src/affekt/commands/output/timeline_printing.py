"""Print timelines as a table, JSON lines, CSV or annotation files, and draw one as a picture."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import StringIO
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, Unpack

from affekt.atomic_write import atomic_text
from affekt.commands.output.printing import clock, complain, print_columns, printable
from affekt.commands.output.result_printing import (
    Printer,
    Result,
    csv_columns,
    print_results,
    printer_of,
)
from affekt.errors import AffektError, RunError, writing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from affekt.audio.reading import Channel
    from affekt.inference.options import SpeakerOptions
    from affekt.inference.predictor import Predictor
    from affekt.inference.timelines.timeline import Watch
    from affekt.inference.timelines.waveform_peaks import WaveformPeaks

ANNOTATIONS = ("audacity", "textgrid", "eaf", "webvtt", "rttm")
ONE_RECORDING = ANNOTATIONS[:-1]  # formats without file names
WHOLE = ANNOTATIONS[1:-1]  # formats that need all utterances
PICTURES = (".png", ".svg")
ABOUT = ("file", "start", "end", "label", "speech")  # columns of the CSV
SPEAKER = ("channel", "speaker")  # those of speakers who are distinguished


def print_timelines(
    predictor: "Predictor",
    paths: Sequence[str],
    out: TextIO,
    *,
    form: str,
    plot: Path | None,
    columns: Sequence[str] = (),
    channel: "Channel" = None,
    **speakers: Unpack["SpeakerOptions"],
) -> int:
    """Print utterances while recordings are read, draw them, and return the exit code.

    The form is ``table``, ``json``, ``csv`` or one of :data:`ANNOTATIONS`. A plot, and a form of
    :data:`ONE_RECORDING`, need exactly one recording. After an interruption, the utterances so
    far are printed and drawn. CSV has these further columns; the table has a column of speakers
    if they are distinguished.
    """
    from affekt.inference.files import timeline_files
    from affekt.inference.timelines.annotation_files import annotation_file
    from affekt.inference.timelines.timeline import Utterance
    from affekt.inference.timelines.waveform_peaks import WaveformPeaks

    if plot:  # a missing package fails now
        from affekt.report.timeline_picture import draw_timeline, save
    peaks = WaveformPeaks()
    utterances: list[Utterance] = []  # only if they are all needed at the end
    try:
        with _progress(peaks, out, form) as (watch, console):
            found = timeline_files(
                predictor, paths, watch=watch, note=complain, channel=channel, **speakers
            )
            printer = _printer(form, predictor.labels, out, console, columns)

            def show(result: Result) -> None:
                if (plot or form in WHOLE) and isinstance(result, Utterance):
                    utterances.append(result)
                printer(result)

            return print_results(found, show)
    finally:
        if form in WHOLE and peaks.seconds:
            text = annotation_file(form, utterances, peaks.seconds, paths[0])
            print(text, end="", file=out, flush=True)
        if plot and peaks.seconds:
            title = printable(Path(paths[0]).name)
            figure = draw_timeline(utterances, peaks, labels=predictor.labels, title=title)
            with writing(plot, RunError, "Name a file in a folder that exists."):
                save(figure, plot)


def _printer(
    form: str, labels: Sequence[str], out: TextIO, console: "Console", columns: Sequence[str]
) -> Printer:
    from affekt.inference.timelines.annotation_files import LINES
    from affekt.inference.timelines.timeline import Utterance

    if form == "table":
        return timeline_table(console, labels, speakers=bool(columns))
    if printer := printer_of(form, out, csv_columns(labels, (*ABOUT, *columns))):
        return printer
    line = LINES.get(form)

    def print_line(result: Result) -> None:
        if line and isinstance(result, Utterance):
            print(line(result), file=out, flush=True)

    return print_line


def timeline_table(console: "Console", labels: Sequence[str], *, speakers: bool = False) -> Printer:
    """Print a heading per file, and per utterance times, speaker, emotion, share of speech.

    A narrow terminal has no percentages.
    """
    from rich.text import Text

    from affekt.inference.prediction import UNCERTAIN
    from affekt.inference.timelines.timeline import Utterance

    emotion = max(map(len, [*labels, "emotion", UNCERTAIN]))
    percent = [max(4, len(label)) for label in labels]
    room = console.width - 14 * speakers
    with_percent = room >= emotion + 34 + sum(2 + width for width in percent)
    who = ["speaker"] * speakers
    names = ["start", "end", *who, "emotion", *(labels if with_percent else ()), "speech"]
    widths = [10, 10, *[12] * speakers, emotion, *(percent if with_percent else ()), 6]
    left = [2, 3] if speakers else [2]
    file = ""

    def row(result: Result) -> None:
        nonlocal file
        if isinstance(result, Utterance):
            if result.file != file:
                file = result.file
                console.print(Text(printable(file), "bold"))
            shares = (*(result.probabilities.values() if with_percent else ()), result.speech)
            times = Text(clock(result.start)), Text(clock(result.end))
            said = [Text(printable(result.speaker or ""))] * speakers
            said += [Text(result.label, "bold"), *(Text(f"{share:.0%}") for share in shares)]
            print_columns(console, [*times, *said], widths, left=left)

    print_columns(console, [Text(name, "bold") for name in names], widths, left=left)
    return row


@contextmanager
def _progress(
    peaks: "WaveformPeaks", out: TextIO, form: str
) -> "Iterator[tuple[Callable[[str], Watch], Console]]":
    """Yield what observes the samples of a file, and the console for the table.

    A terminal shows a progress bar too, unless it shows results other than the table.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from affekt.audio.reading import probe
    from affekt.audio.windows import SAMPLE_RATE

    bar_console = Console(stderr=True, highlight=False)
    if not bar_console.is_terminal or (out.isatty() and form != "table"):
        yield (lambda _: peaks.push), Console(file=out, highlight=False)
        return
    columns = BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn()
    with Progress(*columns, console=bar_console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("")

        def watch(file: str) -> "Watch":
            seconds = None
            with suppress(AffektError):  # the reader reports it
                seconds = probe(file).seconds
            progress.reset(task, total=seconds, description=printable(Path(file).name))

            def push(block: "NDArray[np.float32]") -> None:
                peaks.push(block)
                progress.advance(task, block.size / SAMPLE_RATE)

            return push

        # The table scrolls above the bar if both are on one terminal.
        yield watch, bar_console if out.isatty() else Console(file=out, highlight=False)


def is_output_folder(output: str | None) -> bool:
    """Whether an output is a folder: one that exists, or a name that ends in a slash."""
    return output is not None and (output.endswith(("/", os.sep)) or Path(output).is_dir())


def write_annotations(
    predictor: "Predictor", paths: Sequence[str], folder: Path, form: str, **options: Any
) -> int:
    """Predict recordings, write and print a file for each, and return the exit code.

    The folder gets the subfolders of the recordings below their common folder. A recording that
    failed has no file. Options are those of :func:`print_timelines`.

    Raises:
        RunError: a file cannot be written.
    """
    from affekt.inference.files import Failure, find_files
    from affekt.inference.timelines.annotation_files import SUFFIXES

    found = [*find_files(paths)]
    failures = [each for each in found if isinstance(each, Failure)]
    files = [each for each in found if isinstance(each, str)]
    code = 1 if failures else 0
    for file, target in _targets(files, folder, SUFFIXES[form]).items():
        text = StringIO()
        if print_timelines(predictor, [file], text, form=form, plot=None, **options):
            code = 1
            continue
        with writing(target, RunError, "Name another --output."):
            target.parent.mkdir(parents=True, exist_ok=True)
            atomic_text(target, text.getvalue())
        print(target, flush=True)
    for failure in failures:
        complain(failure.error)
    return code


def _targets(files: Sequence[str], folder: Path, suffix: str) -> dict[str, Path]:
    """The file to write for each recording; those of one name keep their suffix or get a number."""
    from affekt.locations import is_location

    local = [Path(file).absolute() for file in files if not is_location(file)]
    common = Path(os.path.commonpath([file.parent for file in local])) if local else Path()
    targets: dict[Path, str] = {}
    for file in dict.fromkeys(files):
        name = Path(Path(file).name)
        inside = name if is_location(file) else Path(file).absolute().relative_to(common)
        numbered = (Path(f"{inside}-{number}{suffix}") for number in count(2))
        names = chain([inside.with_suffix(suffix), Path(f"{inside}{suffix}")], numbered)
        targets[next(folder / each for each in names if folder / each not in targets)] = file
    return {file: target for target, file in targets.items()}
