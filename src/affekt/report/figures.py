"""Draw example clips, t-SNE projections, confusion matrices and the cross-corpus matrix.

Source: paper, Figures 2 and 3, Table III.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from affekt.evaluation.intervals import RANGE
from affekt.label_colors import label_colors
from affekt.report.style import INK, MARKERS, PAPER, SHADES, STYLE, panel


@dataclass(frozen=True)
class ExampleClip:
    """A clip of Figure 2."""

    label: str  #: its emotion
    samples: NDArray[np.float32]  #: ``(samples,)`` waveform
    log_mel: NDArray[np.float32]  #: ``(frames, bands)`` log-mel spectrogram
    sample_rate: int  #: Hz
    hop_seconds: float  #: from one frame to the next


@rc_context(STYLE)
def examples(clips: Sequence[ExampleClip]) -> Figure:
    """Draw waveform and log-mel spectrogram of a clip of each emotion (Figure 2)."""
    figure = Figure(figsize=(2.35 * len(clips), 3.9), layout="constrained")
    axes = figure.subplots(
        2, len(clips), sharex="col", sharey="row", squeeze=False, height_ratios=(1, 1.7)
    )
    low = min(float(clip.log_mel.min()) for clip in clips)
    high = max(float(clip.log_mel.max()) for clip in clips)
    palette = label_colors([clip.label for clip in clips])
    for (wave, patch), clip in zip(axes.T, clips, strict=True):
        seconds = np.arange(clip.samples.size) / clip.sample_rate
        wave.plot(seconds, clip.samples, lw=0.4, color=palette[clip.label], rasterized=True)
        wave.set_title(clip.label, color=palette[clip.label])
        wave.tick_params(length=0)
        end = len(clip.log_mel) * clip.hop_seconds
        extent = (0, end, 0.5, clip.log_mel.shape[1] + 0.5)
        style: dict[str, Any] = {"origin": "lower", "aspect": "auto", "cmap": "magma"}
        image = patch.imshow(clip.log_mel.T, extent=extent, vmin=low, vmax=high, **style)
        patch.set_xlabel("time in s")
    axes[0, 0].set_ylabel("amplitude")
    axes[1, 0].set_ylabel("mel band")
    bar = figure.colorbar(image, ax=axes[1], aspect=18, pad=0.01)
    bar.set_label("log magnitude")
    bar.outline.set_visible(False)
    return figure


@rc_context(STYLE)
def scatter(points: NDArray[np.float64], truth: Sequence[str], labels: Sequence[str]) -> Figure:
    """Draw ``(clips, 2)`` points with the true class as color and marker (Figure 3)."""
    figure, axes = panel(6.2, 4.6)
    palette, given = label_colors(labels), np.asarray(truth)
    for label, marker in zip(labels, cycle(MARKERS), strict=False):
        style: dict[str, Any] = {"marker": marker, "color": palette[label], "label": label}
        x, y = points[given == label].T
        axes.scatter(x, y, s=17, alpha=0.75, lw=0, **style)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.4)
    return figure


@rc_context(STYLE)
def confusion(counts: NDArray[np.int64], labels: Sequence[str]) -> Figure:
    """Draw ``(labels, labels)`` counts, shaded by the share of the true class (Table III)."""
    side = 1.0 + 0.72 * len(labels)
    figure, axes = panel(side + 0.4, side)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap=SHADES, vmin=0, vmax=1)
    for at, share in np.ndenumerate(shares):
        _cell(axes, at, f"{counts[at]}\n{share:.0%}", dark=share > 0.45)
    axes.set_yticks(range(len(labels)), labels)
    _columns(axes, labels)
    axes.set(xlabel="predicted", ylabel="true")
    return figure


@rc_context(STYLE)
def cross_corpus(table: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Draw the cross-corpus matrix: training corpora by test corpus, a panel per enrolment.

    Frames mark test corpora with other speakers in training.

    Args:
        table: ``train``, ``test``, ``profile``, ``uar``, ``low``, ``high``, ``spread``, as
            :func:`affekt.evaluation.cross_corpus.cross_corpus_matrix` returns them.
        names: how to print each value of ``train``, ``test`` and ``profile``.
    """
    rows, columns = (sorted(table[name].unique()) for name in ("train", "test"))
    profiles = list(dict.fromkeys(table["profile"]))
    size = (2.2 + len(profiles) * (0.3 + 1.02 * len(columns)), 1.0 + 0.56 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(profiles), sharey=True, squeeze=False)[0]
    for axes, profile in zip(panels, profiles, strict=True):
        grid = np.full((len(rows), len(columns)), np.nan)
        for cell in table[table["profile"] == profile].to_dict("records"):
            row, column = at = rows.index(cell["train"]), columns.index(cell["test"])
            grid[at] = cell["uar"]
            ends = f"{cell['low']:.2f} to {cell['high']:.2f}" if cell["low"] == cell["low"] else ""
            mark = "*" if ends and cell["spread"] == RANGE else ""
            score = f"{cell['uar']:.2f}".replace("nan", "–")  # a label has no clip
            _cell(axes, at, f"{score}\n{ends}{mark}".strip(), dark=cell["uar"] > 0.6)
            if cell["test"] in cell["train"].split("+"):
                frame = (column - 0.46, row - 0.44), 0.92, 0.88
                axes.add_patch(Rectangle(*frame, fill=False, ec=PAPER, lw=1.6))
        axes.imshow(grid, cmap=SHADES, vmin=0.2, vmax=1, aspect="auto")
        _columns(axes, [names[name] for name in columns])
        axes.set(title=f"enrolment: {names[profile]}", xlabel="tested on")
    panels[0].set_yticks(range(len(rows)), [names[name] for name in rows])
    panels[0].set_ylabel("trained on")
    return figure


def _columns(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)


def _cell(axes: Axes, at: tuple[int, ...], text: str, *, dark: bool) -> None:
    colour = "#ffffff" if dark else "#12202e"
    axes.text(at[1], at[0], text, ha="center", va="center", color=colour, fontsize=8)
