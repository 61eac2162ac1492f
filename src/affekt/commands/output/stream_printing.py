"""Print live predictions: a bar chart on a terminal, else a line or a JSON object per window.

Chart and line show the probabilities of the last 2 s and then the label of the last 20 s, where the
model tells them apart.
"""

import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from affekt.commands.output.printing import clock
from affekt.commands.output.result_printing import json_lines

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from affekt.inference.live import Moment
    from affekt.inference.prediction import Segment

REFRESH = 0.1  # s between two drawings of the chart, unless there is a new prediction
MIN_LEVEL = -60.0  # dB at the left end of the level meter
MAX_BAR = 50  # columns


def print_stream(
    moments: "Iterable[Moment]",
    labels: Sequence[str],
    *,
    min_confidence: float = 0.0,
    as_json: bool = False,
) -> None:
    """Print predictions as they come: JSON, a bar chart on a terminal, or a line per window."""
    from rich.console import Console

    console = Console(highlight=False)
    plain = console.is_dumb_terminal or console.options.ascii_only
    if not as_json and sys.stdout.isatty() and not plain:
        _draw_chart(moments, labels, console, min_confidence)
        return
    row = json_lines(sys.stdout) if as_json else partial(_line, min_confidence)
    for moment in moments:
        for segment in moment.segments:
            row(segment)


def _now(segment: "Segment", min_confidence: float) -> tuple[str, dict[str, float], str]:
    """Label and probabilities of the last seconds, and the words for the label of the last 20 s."""
    from affekt.inference.prediction import label_of

    if segment.recent is None:
        return segment.label, segment.probabilities, ""
    label = label_of(segment.recent, min_confidence, segment.reason)
    return label, segment.recent, f"last 20 s: {segment.label}"


def _line(min_confidence: float, segment: "Segment") -> None:
    label, probabilities, lately = _now(segment, min_confidence)
    width = max(map(len, [*probabilities, "uncertain"]))
    speaker = "" if segment.channel is None else f"speaker {segment.channel + 1}"
    shares = [f"{name} {share:4.0%}" for name, share in probabilities.items()]
    cells = [f"{clock(segment.end):>10}", speaker, f"{label:{width}}", *shares, lately]
    print("  ".join(filter(None, cells)), flush=True)


def _draw_chart(
    moments: "Iterable[Moment]", labels: Sequence[str], console: "Console", min_confidence: float
) -> None:
    """Draw the chart again and again in the same place."""
    from rich.console import Group
    from rich.live import Live

    moment: Moment | None = None
    shown: dict[int | None, Segment] = {}
    drawn = 0.0
    with Live(console=console, auto_refresh=False) as live:

        def draw() -> None:
            seconds, levels = (moment.seconds, moment.levels) if moment else (0.0, (MIN_LEVEL,))
            several = len(levels) > 1
            charts = []
            for n, level in enumerate(levels):
                segment = shown.get(n if several else None)
                now = _now(segment, min_confidence) if segment else None
                charts.append(_chart(seconds, level, now, labels, console.width))
            live.update(Group(*charts), refresh=True)

        draw()
        for moment in moments:
            shown |= {segment.channel: segment for segment in moment.segments}
            if moment.segments or time.monotonic() - drawn >= REFRESH:
                draw()
                drawn = time.monotonic()
        draw()


def _chart(
    seconds: float,
    level: float,
    now: tuple[str, dict[str, float], str] | None,
    labels: Sequence[str],
    width: int,
) -> "RenderableType":
    """Draw time and level, and below them a bar per label; bars fit the terminal's width."""
    from rich.bar import Bar
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    names = max(map(len, [*labels, clock(seconds)]))
    room = max(1, min(MAX_BAR, width - names - 10))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=names, no_wrap=True)
    grid.add_column(width=room)
    grid.add_column(width=6, justify="right", no_wrap=True)
    level = max(level, MIN_LEVEL)
    meter = Bar(-MIN_LEVEL, 0, level - MIN_LEVEL, width=room, color="green")
    grid.add_row(Text(clock(seconds), "bold"), meter, Text(f"{level:.0f} dB"))
    chosen, shares, lately = now or ("", {}, "")
    for label in labels:
        share = shares.get(label, 0.0)
        bar = Bar(1, 0, share, width=room, color="cyan" if label == chosen else "bright_black")
        style = "bold" if label == chosen else ""
        grid.add_row(Text(label, style), bar, Text(f"{share:.0%}" if now else "", style))
    return Group(grid, lately) if lately else grid
