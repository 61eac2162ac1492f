"""Draw reliability diagrams and coverage curves."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from affekt.report.style import CHANCE, INK, MUTED, OURS, PAPER, STYLE


@rc_context(STYLE)
def reliability(tables: Mapping[str, pd.DataFrame], errors: Mapping[str, float]) -> Figure:
    """Draw reliability diagrams: accuracy by confidence; on the diagonal both are equal.

    Args:
        tables: for each title ``low``, ``high``, ``clips``, ``confidence``, ``accuracy``.
        errors: for each title the expected calibration error.
    """
    figure = Figure(figsize=(0.7 + 2.95 * len(tables), 4.1), layout="constrained")
    axes = figure.subplots(
        2, len(tables), sharex=True, sharey="row", squeeze=False, height_ratios=(1, 4)
    )
    for (above, below), (title, table) in zip(axes.T, tables.items(), strict=True):
        centre, width = (table["low"] + table["high"]) / 2, (table["high"] - table["low"]) * 0.92
        confidence, accuracy = table["confidence"], table["accuracy"]
        above.bar(centre, table["clips"], width, color=CHANCE, alpha=0.45)
        below.bar(centre, accuracy, width, color=OURS, alpha=0.45)
        below.plot([0, 1], [0, 1], color=MUTED, lw=1, ls="--", label="confidence = accuracy")
        below.vlines(confidence, confidence, accuracy, color=PAPER, lw=1.6, label="difference")
        below.plot(confidence, accuracy, "o", color=PAPER, ms=4.5)
        above.set_title(f"{title}\nECE {errors[title]:.3f}")
        below.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence")
        below.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        below.grid()
        above.tick_params(length=0, labelbottom=False)
        below.tick_params(length=0)
    axes[0, 0].set_ylabel("clips")
    axes[1, 0].set_ylabel("accuracy")
    axes[1, 0].legend(loc="upper left", fontsize=8)
    return figure


@rc_context(STYLE)
def coverage(curve: pd.DataFrame, marks: pd.DataFrame, chance: float) -> Figure:
    """Draw the UAR of the answered clips against their share, as far as each class has some.

    Args:
        curve: ``coverage``, ``uar``, ``low``, ``high``, as
            :func:`affekt.evaluation.abstention.abstention` returns them.
        marks: the same and ``threshold``, for the minimum confidences to mark.
        chance: expected UAR of guessing.
    """
    figure = Figure(figsize=(6.6, 3.7), layout="constrained")
    axes = figure.subplots()
    curve = pd.concat([curve, marks]).sort_values("coverage")
    axes.fill_between(curve["coverage"], curve["low"], curve["high"], color=OURS, alpha=0.16, lw=0)
    axes.plot(curve["coverage"], curve["uar"], color=OURS, lw=2, label="UAR of answered clips")
    axes.axhline(chance, color=CHANCE, lw=1, ls="--", label="chance")
    given = marks[marks["uar"].notna()].drop_duplicates("coverage", keep="last")
    style: dict[str, Any] = {
        "mfc": "white",
        "mec": INK,
        "mew": 1.3,
        "ms": 6,
        "label": "minimum confidence",
    }
    axes.plot(given["coverage"], given["uar"], "o", **style)
    last = 2.0
    for threshold, share, uar in given[["threshold", "coverage", "uar"]].to_numpy(float):
        if last - share > 0.035:  # labels would overlap
            text: dict[str, Any] = {
                "textcoords": "offset points",
                "ha": "center",
                "fontsize": 8,
                "color": INK,
            }
            axes.annotate(f"{threshold:.1f}", (share, uar), (0, 8), **text)
            last = share
    least = float(np.nanmin([chance, *curve["uar"], *curve["low"]]))
    axes.set(xlim=(1.02, 0), ylim=(max(0, least - 0.1), 1.04))
    axes.set(xlabel="share of clips answered", ylabel="UAR")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.tick_params(length=0)
    axes.grid()
    figure.legend(loc="outside upper left", ncols=3, fontsize=8.5)
    return figure
