"""Draw a timeline of emotions: waveform, probabilities, and a lane for each emotion."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import NDArray

from affekt.atomic_write import atomic_text
from affekt.label_colors import label_colors
from affekt.report.style import LINE, STYLE, save_png, themed, to_svg

if TYPE_CHECKING:
    from affekt.inference.timelines.timeline import Utterance
    from affekt.inference.timelines.waveform_peaks import WaveformPeaks

WIDTH = 7.0  # inches: the text width of a page
COLUMNS = 250  # longer timelines are averaged over this number of equal parts
TITLE = 40  # characters, so that the legend fits beside the title
STEPS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 43_200)


@rc_context(STYLE)
def draw_timeline(
    answers: "Sequence[Utterance]",
    waveform: "WaveformPeaks",
    *,
    labels: Sequence[str],
    title: str = "",
) -> Figure:
    """Draw a timeline.

    Args:
        answers: sorted by time, without overlap.
        waveform: of the whole recording.
        labels: of the model, in the order of lanes and legend.
        title: above it.
    """
    figure = Figure(figsize=(WIDTH, 2.9 + 0.17 * len(labels)), layout="constrained")
    wave, stack, lanes = figure.subplots(
        3, sharex=True, height_ratios=(1.0, 1.0, 0.12 + 0.17 * len(labels))
    )
    palette = label_colors(labels)
    _draw_wave(wave, answers, waveform, palette)
    _draw_stack(stack, answers, waveform.seconds, palette)
    _draw_lanes(lanes, answers, palette)
    wave.set_title(title if len(title) <= TITLE else f"{title[:TITLE]}…", loc="left", pad=9)
    wave.legend(
        handles=[Patch(color=palette[label], label=label) for label in labels],
        loc="lower right",
        bbox_to_anchor=(1, 0.99),
        ncols=len(labels),
        handlelength=0.9,
        handleheight=0.9,
        columnspacing=1.2,
    )
    _mark_time(lanes, waveform.seconds)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Save a figure as ``.png`` or ``.svg``, by the ending of the path."""
    if path.suffix.lower() == ".svg":
        atomic_text(path, themed(to_svg(figure)))
    else:
        save_png(figure, path)


def _draw_wave(
    axes: Axes,
    answers: "Sequence[Utterance]",
    waveform: "WaveformPeaks",
    palette: dict[str, str],
) -> None:
    """The waveform in the color of the emotion, gray without speech."""
    peaks = waveform.peaks
    times = (np.arange(len(peaks)) + 0.5) * waveform.seconds_per_part
    shades = np.full(len(peaks), LINE, dtype=object)
    for answer in answers:
        first, end = np.searchsorted(times, (answer.start, answer.end))
        shades[first:end] = palette.get(answer.label, LINE)  # gray also if uncertain
    loudest = float(np.abs(peaks).max(initial=1e-4))
    axes.axhline(0, color=LINE, lw=0.6, zorder=0)
    axes.vlines(times, peaks[:, 0], peaks[:, 1], colors=shades.tolist(), lw=0.5, rasterized=True)
    axes.set(ylim=(-loudest, loudest), yticks=[], ylabel="waveform")
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(bottom=False)


def _draw_stack(
    axes: Axes, answers: "Sequence[Utterance]", seconds: float, palette: dict[str, str]
) -> None:
    """The probabilities over time, stacked."""
    starts, widths, shares = _columns(answers, seconds, [*palette])
    bottom = np.zeros(len(starts))
    for label, heights in zip(reversed(palette), shares.T[::-1], strict=True):  # first on top
        axes.bar(starts, heights, widths, bottom, align="edge", color=palette[label], lw=0)
        bottom += heights
    axes.set(ylim=(0, 1), yticks=[0, 0.5, 1], ylabel="probability")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    axes.tick_params(bottom=False)
    axes.grid(axis="y")


def _columns(
    answers: "Sequence[Utterance]", seconds: float, labels: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Starts, widths and probabilities of answers, or of their averages in a long timeline."""
    times = np.array([(each.start, each.end) for each in answers]).reshape(-1, 2)
    shares = np.array([[each.probabilities[label] for label in labels] for each in answers])
    starts, widths = times[:, 0], times[:, 1] - times[:, 0]
    if len(answers) <= COLUMNS:
        return starts, widths, shares.reshape(-1, len(labels))
    column = np.minimum(times.mean(axis=1) / seconds * COLUMNS, COLUMNS - 1).astype(int)
    weights = np.bincount(column, widths, COLUMNS)
    sums = np.stack([np.bincount(column, widths * share, COLUMNS) for share in shares.T], axis=1)
    some = np.flatnonzero(weights)
    width = np.full(some.size, seconds / COLUMNS)
    return some * width, width, sums[some] / weights[some, None]


def _draw_lanes(axes: Axes, answers: "Sequence[Utterance]", palette: dict[str, str]) -> None:
    """A block for each answer in the lane of its label."""
    for lane, (label, colour) in enumerate(palette.items()):
        blocks = [(each.start, each.end - each.start) for each in answers if each.label == label]
        axes.axhline(lane, color=LINE, lw=0.6, zorder=0)
        axes.broken_barh(blocks, (lane - 0.36, 0.72), color=colour, lw=0.4)
    axes.set_yticks(range(len(palette)), palette)
    axes.set(ylim=(len(palette) - 0.4, -0.6))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _mark_time(axes: Axes, seconds: float) -> None:
    """Ticks at round times, at most ten, as seconds, m:ss or h:mm:ss."""
    step = next((step for step in STEPS if seconds <= 10 * step), 86_400)
    axes.set(xlim=(0, seconds))
    axes.xaxis.set_major_locator(MultipleLocator(step))
    if seconds < 60:
        axes.set_xlabel("time in s")
        return
    axes.set_xlabel("time in min:s" if seconds < 3_600 else "time in h:min:s")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda time, _: _clock(time, seconds >= 3_600)))


def _clock(seconds: float, hours: bool) -> str:
    """Format seconds as minutes and seconds, or with hours.

    >>> _clock(75, hours=False), _clock(3_675, hours=True)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
