"""Draw how often the report of a journal finds a change, from ``results/journal.csv``.

python benchmarks/journal_figure.py    # docs/journal-power.svg
"""

from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from affekt.journal.changes import ALPHA
from affekt.label_colors import EMOTIONS
from affekt.report.style import LINE, STYLE, to_svg
from arguments import parser_of
from journal import BEFORE, RATES, SHARES


def figure(table: pd.DataFrame) -> Figure:
    """Draw how often a change is found, by recordings a day."""
    whole = table[table["corpus"] == "all"]
    with rc_context(STYLE):
        drawn = Figure(figsize=(7.2, 3.1), layout="constrained")
        panels = {
            "alarm_sad": "share of sad marked, two weeks",
            "change_point_near": "change point within 3 days",
        }
        for axes, (column, title) in zip(
            drawn.subplots(1, 2, sharey=True), panels.items(), strict=True
        ):
            for share, line in zip(SHARES, (":", "--", "-"), strict=True):
                rows = whole[whole["share_sad_after"] == share]
                name = "no change" if share == BEFORE else f"sad {BEFORE:.0%} to {share:.0%}"
                style = {"color": EMOTIONS["sad"], "ls": line, "marker": "o", "ms": 4}
                axes.plot(rows["recordings_a_day"], rows[column], label=name, **style)
            axes.axhline(ALPHA, color=LINE, lw=1)
            axes.set(title=title, xlabel="recordings a day", ylim=(0, 1), xticks=RATES)
            axes.grid(axis="y")
        drawn.axes[0].set_ylabel("share of journals")
        handles, names = drawn.axes[0].get_legend_handles_labels()
        drawn.legend(handles, names, loc="outside upper left", ncols=3)
        return drawn


def main() -> None:
    parser_of(__doc__).parse_args()
    drawing = to_svg(figure(pd.read_csv("results/journal.csv")))
    Path("docs/journal-power.svg").write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    main()
