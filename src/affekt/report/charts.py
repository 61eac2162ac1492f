"""Tables to charts: how recipes, folds and speakers compare."""

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from affekt.report.style import CHANCE, INK, LINE, OURS, PAPER, STYLE


@rc_context(STYLE)
def curves(table: pd.DataFrame) -> Figure:
    """Learning curves: a thin line for each fold, a thick one for their median.

    Args:
        table: ``fold``, ``epoch``, ``train_loss``, ``validation_loss``, ``validation_uar`` of
            one run.

    Returns:
        The picture: train loss, validation loss, validation UAR.
    """
    figure = Figure(figsize=(9.4, 2.9), layout="constrained")
    panels = {
        "train_loss": "training loss",
        "validation_loss": "validation loss",
        "validation_uar": "validation UAR",
    }
    for axes, (column, title) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        by_fold = table.pivot(index="epoch", columns="fold", values=column)
        axes.plot(by_fold.index, by_fold.to_numpy(), color=OURS, lw=0.7, alpha=0.28)
        axes.plot(by_fold.index, by_fold.median(axis=1), color=PAPER, lw=2)
        axes.set(title=title, xlabel="epoch")
        axes.grid(axis="y")
    axes.set_ylim(0, 1)
    return figure


@rc_context(STYLE)
def speakers(table: pd.DataFrame, uar: float, chance: float) -> Figure:
    """UAR of each speaker, best on top, the shape of the point their gender.

    Args:
        table: ``speaker``, ``gender``, ``uar``, worst first.
        uar: of all speakers together.
        chance: what guessing is expected to score.

    Returns:
        The picture.
    """
    figure = Figure(figsize=(6.6, 0.9 + 0.19 * len(table)), layout="constrained")
    axes = figure.subplots()
    rank = np.arange(len(table))
    axes.hlines(rank, 0, table["uar"], color=LINE, lw=1)
    known = {"f": ("o", "#cc79a7", "female"), "m": ("s", "#0072b2", "male")}
    for gender in sorted(table["gender"].unique()):
        marker, colour, name = known.get(gender, ("D", CHANCE, "gender not given"))
        of_it = (table["gender"] == gender).to_numpy()
        axes.scatter(
            table["uar"][of_it],
            rank[of_it],
            s=30,
            marker=marker,
            color=colour,
            label=name,
            zorder=3,
        )
    axes.axvline(uar, color=INK, lw=1, label=f"all {uar:.3f}")
    axes.axvline(chance, color=CHANCE, lw=1, ls="--", label=f"chance {chance:.2f}")
    axes.set_yticks(rank, table["speaker"], fontsize=7.5)
    axes.set(xlim=(0, 1.01), ylim=(-0.7, len(table) - 0.3), xlabel="UAR")
    axes.tick_params(length=0)
    axes.grid(axis="x")
    figure.legend(loc="outside upper left", ncols=4, fontsize=8, columnspacing=1.4)
    return figure


@rc_context(STYLE)
def ladder(table: pd.DataFrame, chance: float) -> Figure:
    """UAR of each recipe with its interval, the paper's value, and chance.

    Args:
        table: ``recipe``, ``uar``, ``low``, ``high``, ``paper``, best first.
        chance: what guessing is expected to score.

    Returns:
        The picture.
    """
    figure = Figure(figsize=(7.6, 1.05 + 0.33 * len(table)), layout="constrained")
    axes = figure.subplots()
    rank = np.arange(len(table))[::-1]
    axes.hlines(rank, table["low"], table["high"], color=OURS, lw=3, alpha=0.35)
    axes.plot(table["uar"], rank, "o", color=OURS, ms=7, label="measured here, 95 % interval")
    if table["paper"].notna().any():
        (paper,) = axes.plot(table["paper"], rank, "D", mfc="none", mec=PAPER, mew=1.6, ms=7)
        paper.set_label("the paper")
    axes.axvline(chance, color=CHANCE, lw=1, ls="--", label="chance")
    axes.set_yticks(rank, table["recipe"], color=INK)
    axes.set(xlim=(0, 1), ylim=(-0.6, len(table) - 0.4), xlabel="UAR")
    axes.tick_params(length=0, labelcolor=INK)
    axes.grid(axis="x")
    figure.legend(loc="outside upper left", ncols=3, fontsize=8.5, columnspacing=1.6)
    return figure
