"""``results/bench.json`` to a picture: how far each figure is from what it must reach.

python benchmarks/speed_figure.py
"""

import json
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from affekt.report.style import CHANCE, INK, OURS, PAPER, STYLE, themed, to_svg
from arguments import parser_of
from speed import TARGETS


@rc_context(STYLE)
def picture(bench: dict[str, Any]) -> Figure:
    """A bar for each figure: as many times better than the must as it is; the goal is a line.

    Args:
        bench: as ``benchmarks/speed.py`` writes it.
    """
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    axes = figure.subplots()
    for place, (key, target) in enumerate(TARGETS.items()):
        better = [x / target.must for x in (bench[key], target.goal)]
        value, goal = better if target.more else [1 / x for x in better]
        axes.barh(place, value - 1, left=1, height=0.5, color=OURS if value >= 1 else PAPER)
        axes.vlines(goal, place - 0.38, place + 0.38, color=INK, lw=1.4)
        label = target.form.format(bench[key])
        beside = axes.get_yaxis_transform()
        axes.text(1.01, place, label, va="center", fontweight="bold", transform=beside)
    axes.axvline(1, color=CHANCE, lw=1)
    axes.set(xscale="log", ylim=(len(TARGETS) - 0.4, -0.6))
    axes.set_yticks(range(len(TARGETS)), [target.what for target in TARGETS.values()])
    ticks = [0.5, 1, 2, 4, 8]
    axes.set_xticks(ticks, ["½", "must", "2 x", "4 x", "8 x"], minor=False)
    axes.tick_params(which="minor", bottom=False, labelbottom=False)
    axes.set_xlim(0.45, max(8, *axes.get_xlim()))
    model, machine = bench["versions"]["model"], bench["machine"]
    axes.set_title(f"{model} on {machine}, {bench['date']}; upright lines are goals", fontsize=8)
    return figure


def main() -> None:
    parser = parser_of(__doc__, output="docs/speed.svg")
    parser.add_argument("bench", type=Path, nargs="?", default=Path("results/bench.json"))
    chosen = parser.parse_args()
    bench = json.loads(chosen.bench.read_text(encoding="utf-8"))
    chosen.output.write_text(themed(to_svg(picture(bench))), encoding="utf-8")


if __name__ == "__main__":
    main()
