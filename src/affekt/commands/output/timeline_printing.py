"""Print timelines as a table, JSON lines, CSV or annotation files, and draw one as a picture."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, Unpack

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

    from affekt.inference.options import Channel, SpeakerOptions
    from affekt.inference.predictor import Predictor
    from affekt.inference.timelines.timeline import Watch
    from affekt.inference.timelines.waveform_peaks import WaveformPeaks

ANNOTATIONS = ("audacity", "textgrid", "eaf", "webvtt", "rttm")
ONE_RECORDING = ("audacity", "textgrid", "eaf", "webvtt")  # formats without file names
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

    def collected(results: Iterable[Result]) -> Iterator[Result]:
        for result in results:
            if (plot or form in ("textgrid", "eaf")) and isinstance(result, Utterance):
                utterances.append(result)
            yield result

    try:
        with _progress(peaks, out, form) as (watch, console):
            found = timeline_files(
                predictor, paths, watch=watch, note=complain, channel=channel, **speakers
            )
            printer = _printer(form, predictor.labels, out, console, columns)
            return print_results(collected(found), printer)
    finally:
        if form in ("textgrid", "eaf") and peaks.seconds:
            text = annotation_file(form, utterances, peaks.seconds, paths[0])
            print(text, end="", file=out, flush=True)
        if plot and peaks.seconds:
            figure = draw_timeline(
                utterances,
                peaks.peaks,
                seconds=peaks.seconds,
                seconds_per_part=peaks.seconds_per_part,
                labels=predictor.labels,
                title=printable(Path(paths[0]).name),
            )
            with writing(plot, RunError, "Name a file in a folder that exists."):
                save(figure, plot)


def _printer(
    form: str, labels: Sequence[str], out: TextIO, console: "Console", columns: Sequence[str]
) -> Printer:
    from affekt.inference.timelines.annotation_files import LINES, WEBVTT_HEAD
    from affekt.inference.timelines.timeline import Utterance

    if form == "table":
        return timeline_table(console, labels, speakers=bool(columns))
    if printer := printer_of(form, out, csv_columns(labels, (*ABOUT, *columns))):
        return printer
    if form == "webvtt":
        print(WEBVTT_HEAD, file=out, flush=True)
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
