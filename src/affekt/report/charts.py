"""Draw scores of recipes, speakers, enrolment conditions and variants, and calibration.

Bars and bands are 95 % intervals over speakers or, with fewer than 8, the range over speakers.
``chance`` is the expected UAR of guessing.
"""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from affekt.evaluation.intervals import INTERVAL
from affekt.report.style import CHANCE, INK, LINE, MUTED, OURS, PAPER, STYLE, panel

GENDERS = {"f": ("o", "#cc79a7", "female"), "m": ("s", "#0072b2", "male")}


@rc_context(STYLE)
def curves(table: pd.DataFrame) -> Figure:
    """Draw learning curves: a thin line for each fold, a thick one for their median.

    Args:
        table: ``fold``, ``epoch``, ``train_loss``, ``validation_loss``, ``validation_uar``.
    """
    figure = Figure(figsize=(9.4, 2.9), layout="constrained")
    panels = ("train_loss", "validation_loss", "validation_uar")
    titles = ("training loss", "validation loss", "validation UAR")
    for axes, column, title in zip(figure.subplots(1, 3), panels, titles, strict=True):
        by_fold = table.pivot(index="epoch", columns="fold", values=column)
        axes.plot(by_fold.index, by_fold.to_numpy(), color=OURS, lw=0.7, alpha=0.28)
        axes.plot(by_fold.index, by_fold.median(axis=1), color=PAPER, lw=2)
        axes.set(title=title, xlabel="epoch")
        axes.grid(axis="y")
    axes.set_ylim(0, 1)
    return figure


@rc_context(STYLE)
def speakers(table: pd.DataFrame, uar: float, chance: float) -> Figure:
    """Draw the UAR of each speaker, the highest on top, with the gender as marker.

    Args:
        table: ``speaker``, ``gender``, ``uar``, the lowest first.
        uar: of all speakers together; NaN if a class has no clip.
    """
    figure, axes = panel(6.6, 0.9 + 0.19 * len(table))
    rank = np.arange(len(table))
    axes.hlines(rank, 0, table["uar"], color=LINE, lw=1)
    for gender in sorted(table["gender"].unique()):
        marker, colour, name = GENDERS.get(gender, ("D", CHANCE, "gender not given"))
        of_it = (table["gender"] == gender).to_numpy()
        style: dict[str, Any] = {"marker": marker, "color": colour, "label": name}
        axes.scatter(table["uar"][of_it], rank[of_it], s=30, zorder=3, **style)
    if not np.isnan(uar):
        axes.axvline(uar, color=INK, lw=1, label=f"all {uar:.3f}")
    axes.axvline(chance, color=CHANCE, lw=1, ls="--", label=f"chance {chance:.2f}")
    axes.set(xlim=(0, 1.01))
    _rows(axes, [str(name) for name in table["speaker"]], "UAR", fontsize=7.5)
    figure.legend(loc="outside upper left", ncols=4, fontsize=8, columnspacing=1.4)
    return figure


@rc_context(STYLE)
def recipes(table: pd.DataFrame, names: Sequence[str], chance: float) -> Figure:
    """Draw the UAR of each recipe, the value of the paper, and chance.

    Args:
        table: ``uar``, ``low``, ``high``, ``spread``, ``paper``, the highest UAR last.
    """
    names, height = _wrapped(names)
    figure, axes = panel(7.6, 1.05 + max(0.33, height) * len(table))
    rank = np.arange(len(table))
    axes.hlines(rank, table["low"], table["high"], color=OURS, lw=3, alpha=0.35)
    label = f"measured, {' or '.join(table['spread'].unique())}"
    axes.plot(table["uar"], rank, "o", color=OURS, ms=7, label=label)
    if table["paper"].notna().any():
        (paper,) = axes.plot(table["paper"], rank, "D", mfc="none", mec=PAPER, mew=1.6, ms=7)
        paper.set_label("paper")
    axes.axvline(chance, color=CHANCE, lw=1, ls="--", label="chance")
    axes.set(xlim=(0, 1))
    _rows(axes, names, "UAR")
    figure.legend(loc="outside upper left", ncols=3, fontsize=8.5, columnspacing=1.6)
    return figure


@rc_context(STYLE)
def variants(table: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Draw the difference in UAR between each variant and the full recipe.

    Args:
        table: ``difference``, ``difference_low``, ``difference_high``, ``spread`` of variants,
            the last on top.
    """
    names, height = _wrapped(names)
    figure, axes = panel(7.6, 0.85 + max(0.36, height) * len(table))
    rank, spread = np.arange(len(table)), table["spread"].iloc[0]
    axes.axvline(0, color=INK, lw=1)
    ends = table["difference_low"], table["difference_high"]
    axes.hlines(rank, *ends, color=OURS, lw=3, alpha=0.35)
    apart = ((ends[0] > 0) | (ends[1] < 0)).to_numpy() & (spread == INTERVAL)
    for of_it, face, name in ((apart, OURS, f"{spread} without 0"), (~apart, "white", spread)):
        if of_it.any():
            style: dict[str, Any] = {"color": OURS, "mfc": face, "ms": 7, "label": name}
            axes.plot(table["difference"][of_it], rank[of_it], "o", **style)
    _rows(axes, names, "UAR minus UAR of the full recipe", fontsize=8)
    figure.legend(loc="outside upper left", ncols=2, fontsize=8.5, columnspacing=1.6)
    return figure


@rc_context(STYLE)
def enrolment(table: pd.DataFrame, chance: float) -> Figure:
    """Draw UAR by enrolment condition: a curve for random clips, then the other conditions.

    Args:
        table: ``profile``, ``clips``, ``uar``, ``low``, ``high``, ``spread``, as
            :func:`affekt.evaluation.tables.enrolments` returns them.
    """
    figure, axes = panel(1.6 + 0.6 * len(table), 3.7)
    curve, spread = table[table["clips"] != ""], table["spread"].iloc[0]
    other = table[table["clips"] == ""]
    band = curve.index, curve["low"], curve["high"]
    axes.fill_between(*band, color=OURS, alpha=0.16, lw=0, label=spread)
    axes.plot(curve.index, curve["uar"], "o-", color=OURS, lw=2, ms=6)
    axes.vlines(other.index, other["low"], other["high"], color=PAPER, lw=3, alpha=0.35)
    axes.plot(other.index, other["uar"], "D", color=PAPER, ms=6)
    axes.axhline(chance, color=CHANCE, lw=1, ls="--", label="chance")
    axes.axhline(table["uar"].iloc[0], color=INK, lw=0.9, ls=":", label="no enrolment")
    kinds = [profile.partition("-") for profile in table["profile"]]
    ticks = [
        c or f"{kind}\n{n}".strip() for c, (kind, _, n) in zip(table["clips"], kinds, strict=True)
    ]
    axes.set_xticks(table.index, ticks)
    least = float(np.nanmin([chance, *table["uar"], *table["low"]]))
    axes.set(ylim=(max(0, least - 0.1), 1), xlabel="enrolled clips", ylabel="UAR")
    axes.tick_params(length=0)
    axes.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=3, fontsize=8.5)
    return figure


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
    """Draw the UAR of the accepted clips against their share, as far as each class has some.

    Args:
        curve: ``coverage``, ``uar``, ``low``, ``high``, as
            :func:`affekt.evaluation.abstention.abstention` returns them.
        marks: the same and ``threshold``, for the minimum confidences to mark.
    """
    figure, axes = panel(6.6, 3.7)
    curve = pd.concat([curve, marks]).sort_values("coverage")
    axes.fill_between(curve["coverage"], curve["low"], curve["high"], color=OURS, alpha=0.16, lw=0)
    axes.plot(curve["coverage"], curve["uar"], color=OURS, lw=2, label="UAR of accepted clips")
    axes.axhline(chance, color=CHANCE, lw=1, ls="--", label="chance")
    given = marks[marks["uar"].notna()].drop_duplicates("coverage", keep="last")
    style: dict[str, Any] = {"mfc": "white", "mec": INK, "mew": 1.3, "ms": 6}
    axes.plot(given["coverage"], given["uar"], "o", label="minimum confidence", **style)
    text: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 8}
    last = 2.0
    for threshold, share, uar in given[["threshold", "coverage", "uar"]].to_numpy(float):
        if last - share > 0.035:  # labels would overlap
            axes.annotate(f"{threshold:.1f}", (share, uar), (0, 8), color=INK, **text)
            last = share
    least = float(np.nanmin([chance, *curve["uar"], *curve["low"]]))
    axes.set(xlim=(1.02, 0), ylim=(max(0, least - 0.1), 1.04))
    axes.set(xlabel="coverage (share of clips accepted)", ylabel="UAR")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.tick_params(length=0)
    axes.grid()
    figure.legend(loc="outside upper left", ncols=3, fontsize=8.5)
    return figure


def _wrapped(names: Sequence[str]) -> tuple[list[str], float]:
    """Wrap long names, but not at an equals sign; also return the height of a row in inches."""
    wrapped = [fill(name.replace(" = ", "\u00a0=\u00a0"), 44) for name in names]
    return wrapped, 0.06 + 0.15 * max(name.count("\n") + 1 for name in wrapped)


def _rows(axes: Axes, names: Sequence[str], score: str, **text: Any) -> None:
    """A row for each name, the last on top."""
    axes.set_yticks(range(len(names)), names, color=INK, **text)
    axes.set(ylim=(-0.6, len(names) - 0.4), xlabel=score)
    axes.tick_params(length=0, labelcolor=INK)
    axes.grid(axis="x")
