"""Sound and predictions to the paper's pictures: Figure 2, Figure 3, and Table III as one.

Source: paper, Figures 2 and 3, Table III.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from affekt.report.style import COUNTS, MARKERS, STYLE, colours


@dataclass(frozen=True)
class Voice:
    """One clip of Figure 2.

    Attributes:
        label: its emotion.
        samples: ``(samples,)`` waveform.
        log_mel: ``(frames, bands)`` log-mel spectrogram.
        sample_rate: Hz.
        hop_seconds: from one frame to the next.
    """

    label: str
    samples: NDArray[np.float32]
    log_mel: NDArray[np.float32]
    sample_rate: int
    hop_seconds: float


@rc_context(STYLE)
def voices(clips: Sequence[Voice]) -> Figure:
    """Figure 2: waveform above log-mel spectrogram, one column for each emotion.

    Args:
        clips: the same speaker and words, one clip for each emotion.

    Returns:
        The picture; all columns share their scales.
    """
    figure = Figure(figsize=(2.35 * len(clips), 3.9), layout="constrained")
    axes = figure.subplots(
        2, len(clips), sharex="col", sharey="row", squeeze=False, height_ratios=(1, 1.7)
    )
    low = min(float(clip.log_mel.min()) for clip in clips)
    high = max(float(clip.log_mel.max()) for clip in clips)
    palette = colours([clip.label for clip in clips])
    for (wave, patch), clip in zip(axes.T, clips, strict=True):
        seconds = np.arange(clip.samples.size) / clip.sample_rate
        wave.plot(seconds, clip.samples, lw=0.4, color=palette[clip.label], rasterized=True)
        wave.set_title(clip.label, color=palette[clip.label])
        wave.tick_params(length=0)
        end = len(clip.log_mel) * clip.hop_seconds
        image = patch.imshow(
            clip.log_mel.T,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=low,
            vmax=high,
            extent=(0, end, 0.5, clip.log_mel.shape[1] + 0.5),
        )
        patch.set_xlabel("time in s")
    axes[0, 0].set_ylabel("amplitude")
    axes[1, 0].set_ylabel("mel band")
    bar = figure.colorbar(image, ax=axes[1], aspect=18, pad=0.01)
    bar.set_label("log magnitude")
    bar.outline.set_visible(False)
    return figure


@rc_context(STYLE)
def scatter(points: NDArray[np.float64], truth: Sequence[str], labels: Sequence[str]) -> Figure:
    """Figure 3: each test clip a point, its colour and shape the true class.

    Args:
        points: ``(clips, 2)`` as :func:`affekt.evaluation.tsne.project` gives.
        truth: ``(clips,)`` labels.
        labels: all labels of the task, in the order of the legend.

    Returns:
        The picture.
    """
    figure = Figure(figsize=(6.2, 4.6), layout="constrained")
    axes = figure.subplots()
    palette, given = colours(labels), np.asarray(truth)
    for label, marker in zip(labels, cycle(MARKERS), strict=False):
        of_it = points[given == label]
        axes.scatter(
            of_it[:, 0],
            of_it[:, 1],
            s=17,
            marker=marker,
            color=palette[label],
            alpha=0.75,
            lw=0,
            label=label,
        )
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.4)
    return figure


@rc_context(STYLE)
def matrix(counts: NDArray[np.int64], labels: Sequence[str], title: str = "") -> Figure:
    """A confusion matrix: counts, shaded by their share of the true class.

    Args:
        counts: ``(labels, labels)``, a row for each true label.
        labels: of rows and columns.
        title: above it.

    Returns:
        The picture.
    """
    side = 1.0 + 0.62 * len(labels)
    figure = Figure(figsize=(side + 0.4, side), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap=COUNTS, vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        text = f"{counts[row, column]}\n{share:.0%}"
        dark = share > 0.45
        colour = "#ffffff" if dark else "#12202e"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    return figure
