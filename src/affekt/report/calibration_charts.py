"""Tables of certainty to charts: what confidence means, and what abstaining gives."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from affekt.report.style import CHANCE, INK, MUTED, OURS, PAPER, STYLE


@rc_context(STYLE)
def reliability(tables: Mapping[str, pd.DataFrame], errors: Mapping[str, float]) -> Figure:
    """How right the network is when it is so sure; the diagonal is a perfect judge of itself.

    Args:
        tables: for each title ``low``, ``high``, ``clips``, ``confidence``, ``accuracy``.
        errors: for each title the expected calibration error.

    Returns:
        The picture: a column for each title, the clips of each bin above its accuracy.
    """
    figure = Figure(figsize=(0.7 + 2.95 * len(tables), 4.1), layout="constrained")
    axes = figure.subplots(
        2, len(tables), sharex=True, sharey="row", squeeze=False, height_ratios=(1, 4)
    )
    for (above, below), (title, table) in zip(axes.T, tables.items(), strict=True):
        above.set_title(f"{title}\nECE {errors[title]:.3f}")
        _bars(above, table, table["clips"], CHANCE)
        above.tick_params(labelbottom=False)
        _bars(below, table, table["accuracy"], OURS)
        below.plot([0, 1], [0, 1], color=MUTED, lw=1, ls="--", label="confidence = accuracy")
        below.vlines(
            table["confidence"],
            table[["confidence", "accuracy"]].min(axis=1),
            table[["confidence", "accuracy"]].max(axis=1),
            color=PAPER,
            lw=1.6,
            label="gap",
        )
        below.plot(table["confidence"], table["accuracy"], "o", color=PAPER, ms=4.5)
        below.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence")
        below.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        below.grid()
    axes[0, 0].set_ylabel("clips")
    axes[1, 0].set_ylabel("accuracy")
    axes[1, 0].legend(loc="upper left", fontsize=8)
    return figure


@rc_context(STYLE)
def coverage(curve: pd.DataFrame, marks: pd.DataFrame, chance: float) -> Figure:
    """UAR of the clips answered against their share, from all clips on the left to few.

    Args:
        curve: ``coverage``, ``uar``, ``low``, ``high``, as
            :func:`affekt.evaluation.abstention.abstention` gives them.
        marks: the same and ``threshold``, for the least confidences to name.
        chance: what guessing is expected to score.

    Returns:
        The picture; the line ends where a class has no clip left.
    """
    figure = Figure(figsize=(6.6, 3.7), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(curve["coverage"], curve["low"], curve["high"], color=OURS, alpha=0.16, lw=0)
    axes.plot(curve["coverage"], curve["uar"], color=OURS, lw=2, label="UAR of the clips answered")
    axes.axhline(chance, color=CHANCE, lw=1, ls="--", label="chance")
    known = marks[marks["uar"].notna()]
    axes.plot(
        known["coverage"],
        known["uar"],
        "o",
        mfc="white",
        mec=INK,
        mew=1.3,
        ms=6,
        label="least confidence",
    )
    for mark in known.itertuples():
        axes.annotate(
            f"{mark.threshold:.1f}",
            (float(str(mark.coverage)), float(str(mark.uar))),
            (0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=INK,
        )
    least = float(np.nanmin([chance, *curve["uar"], *curve["low"]]))
    axes.set(xlim=(1.02, 0), ylim=(max(0, least - 0.1), 1.04))
    axes.set(xlabel="clips answered", ylabel="UAR")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.tick_params(length=0)
    axes.grid()
    axes.legend(loc="center left", bbox_to_anchor=(0, 0.32), fontsize=8.5)
    return figure


def _bars(axes: Axes, table: pd.DataFrame, heights: "pd.Series[float]", colour: str) -> None:
    width = (table["high"] - table["low"]) * 0.92
    centre = (table["high"] + table["low"]) / 2
    axes.bar(centre, heights, width, color=colour, alpha=0.45)
    axes.tick_params(length=0)
