"""Tables of comparisons to charts: profiles, ingredients, and corpora held against each other."""

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from affekt.report.style import CHANCE, COUNTS, INK, OURS, PAPER, STYLE


@rc_context(STYLE)
def enrolment(table: pd.DataFrame, chance: float) -> Figure:
    """UAR against how many clips of the speaker are enrolled; other kinds of profile beside it.

    Args:
        table: ``profile``, ``clips``, ``uar``, ``low``, ``high``, as
            :func:`affekt.evaluation.enrolment.enrolments` gives them.
        chance: what guessing is expected to score.

    Returns:
        The picture: the curve on the left, one mood and adaptive on the right.
    """
    drawn, other = table[table["clips"] != ""], table[table["clips"] == ""]
    widths = [1.2 + 0.6 * len(part) for part in (drawn, other) if len(part)]
    figure = Figure(figsize=(max(4.6, 0.6 + sum(widths)), 3.7), layout="constrained")
    left, *right = figure.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[
        0
    ]
    place = np.arange(len(drawn))
    left.fill_between(place, drawn["low"], drawn["high"], color=OURS, alpha=0.16, lw=0)
    left.plot(place, drawn["uar"], "o-", color=OURS, lw=2, ms=6)
    left.set_xticks(place, drawn["clips"])
    least = float(np.nanmin([chance, *table["uar"], *table["low"]]))
    left.set(xlabel="clips enrolled, of all moods", ylabel="UAR", ylim=(max(0, least - 0.1), 1))
    left.set_xlim(-0.4, len(drawn) - 0.6)
    for axes in right:
        _points(axes, other)
    for axes in (left, *right):
        axes.axhline(chance, color=CHANCE, lw=1, ls="--", label="chance")
        axes.axhline(float(drawn["uar"].iloc[0]), color=INK, lw=0.9, ls=":", label="no profile")
        axes.tick_params(length=0)
        axes.grid(axis="y")
    left.legend(loc="center right", bbox_to_anchor=(1, 0.3), fontsize=8.5)
    return figure


def _points(axes: Axes, table: pd.DataFrame) -> None:
    """A point with its interval for each profile, named by its words."""
    place = np.arange(len(table))
    axes.vlines(place, table["low"], table["high"], color=PAPER, lw=3, alpha=0.35)
    axes.plot(place, table["uar"], "D", color=PAPER, ms=6)
    names = [profile.partition("-") for profile in table["profile"]]
    axes.set_xticks(place, [f"{kind}\n{n} clips" if n else kind for kind, _, n in names])
    axes.set(xlabel="enrolled in one mood, or as heard so far", xlim=(-0.6, len(table) - 0.4))


@rc_context(STYLE)
def forest(table: pd.DataFrame) -> Figure:
    """What each variant loses or gains against the full recipe, with its interval.

    Args:
        table: ``recipe``, ``difference``, ``difference_low``, ``difference_high`` of variants,
            the first on top.

    Returns:
        The picture; right of the line is better than the full recipe.
    """
    figure = Figure(figsize=(7.6, 0.85 + 0.33 * len(table)), layout="constrained")
    axes = figure.subplots()
    rank = np.arange(len(table))[::-1]
    sure = ((table["difference_low"] > 0) | (table["difference_high"] < 0)).to_numpy()
    axes.axvline(0, color=INK, lw=1)
    axes.hlines(
        rank, table["difference_low"], table["difference_high"], color=OURS, lw=3, alpha=0.35
    )
    for of_it, face, name in (
        (sure, OURS, "interval without 0"),
        (~sure, "white", "interval with 0"),
    ):
        if of_it.any():
            axes.plot(
                table["difference"][of_it], rank[of_it], "o", color=OURS, mfc=face, ms=7, label=name
            )
    axes.set_yticks(rank, table["recipe"], color=INK)
    axes.set(ylim=(-0.6, len(table) - 0.4), xlabel="UAR less that of the full recipe")
    axes.tick_params(length=0, labelcolor=INK)
    axes.grid(axis="x")
    figure.legend(loc="outside upper left", ncols=2, fontsize=8.5, columnspacing=1.6)
    return figure


@rc_context(STYLE)
def crossing(table: pd.DataFrame, names: dict[str, str]) -> Figure:
    """The cross-corpus matrix: a row for each recipe and what it learned from, a panel a profile.

    Args:
        table: ``recipe``, ``train``, ``test``, ``profile``, ``uar``, ``low``, ``high``.
        names: how to write each value of ``train``, ``test`` and ``profile``.

    Returns:
        The picture; a framed cell is of a corpus that was learned from, by other speakers.
    """
    rows, columns = _rows(table), sorted(table["test"].unique())
    count = max(rows.values()) + 1
    profiles = list(dict.fromkeys(table["profile"]))
    size = (2.2 + len(profiles) * (0.3 + 1.02 * len(columns)), 1.0 + 0.56 * count)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(profiles), sharey=True, squeeze=False)[0]
    for axes, profile in zip(panels, profiles, strict=True):
        grid = np.full((count, len(columns)), np.nan)
        for cell in table[table["profile"] == profile].to_dict("records"):
            at = rows[cell["train"], cell["recipe"]], columns.index(cell["test"])
            grid[at] = cell["uar"]
            _cell(axes, at, cell, cell["test"] in cell["train"].split("+"))
        axes.imshow(grid, cmap=COUNTS, vmin=0.2, vmax=1, aspect="auto")
        axes.set_xticks(range(len(columns)), [names[name] for name in columns])
        axes.set_title(names[profile])
        axes.tick_params(length=0, labelcolor=INK)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("tested on")
    learned = {row: names[train] for (train, _), row in rows.items()}
    panels[0].set_yticks(range(count), [learned[row] for row in range(count)])
    panels[0].set_ylabel("learned from")
    return figure


def _rows(table: pd.DataFrame) -> dict[tuple[str, str], int]:
    """In which row each recipe stands: in one with others that learned from the same corpora,
    unless they were tested on the same one.
    """
    found: dict[tuple[str, str], int] = {}
    taken: list[tuple[str, set[str]]] = []
    for (train, recipe), part in table.groupby(["train", "recipe"]):
        tests = set(part["test"])
        free = (row for row, (of, cells) in enumerate(taken) if of == train and not cells & tests)
        row = next(free, len(taken))
        if row == len(taken):
            taken.append((str(train), set()))
        taken[row][1].update(tests)
        found[str(train), str(recipe)] = row
    return found


def _cell(axes: Axes, at: tuple[int, int], cell: dict[str, float], heard: bool) -> None:
    row, column = at
    colour = "#ffffff" if cell["uar"] > 0.6 else "#12202e"
    text = f"{cell['uar']:.2f}"
    if np.isfinite(cell["low"]):
        text += f"\n{cell['low']:.2f} to {cell['high']:.2f}"
    axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    if heard:
        frame = (column - 0.46, row - 0.44), 0.92, 0.88
        axes.add_patch(Rectangle(*frame, fill=False, ec=PAPER, lw=1.6))
