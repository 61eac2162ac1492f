"""Moments to a terminal: bars that move, or a line for each window; JSON lines for machines."""

import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from affekt.commands.printing import clock, json_lines

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from affekt.inference.listening import Moment
    from affekt.inference.stream import Segment

BETWEEN = 0.1  # s from one picture to the next, at least, unless there is an answer
QUIETEST = -60.0  # dB at which the level meter begins
WIDEST = 50  # columns of a bar


def show_moments(moments: "Iterable[Moment]", labels: Sequence[str], *, as_json: bool) -> None:
    """Show answers as they come.

    Args:
        moments: of :func:`affekt.inference.listening.listen`.
        labels: of the model.
        as_json: print objects, one a line, rather than what people read: a bar chart on a
            terminal, and elsewhere a line for each window.
    """
    from rich.console import Console

    console = Console(highlight=False)
    plain = console.is_dumb_terminal or console.options.ascii_only
    if not as_json and sys.stdout.isatty() and not plain:
        _chart(moments, labels, console)
        return
    row = json_lines(labels) if as_json else _line
    for moment in moments:
        for segment in moment.segments:
            row(segment)


def _line(segment: "Segment") -> None:
    shares = [f"{label} {share:4.0%}" for label, share in segment.probabilities.items()]
    wide = max(map(len, [*segment.probabilities, "uncertain"]))
    print(f"{clock(segment.end):>10}  {segment.label:{wide}}  {'  '.join(shares)}", flush=True)


def _chart(moments: "Iterable[Moment]", labels: Sequence[str], console: "Console") -> None:
    """Draw in place; the last picture stays."""
    from rich.live import Live

    from affekt.inference.listening import Moment

    moment, segment, drawn = Moment(0.0, QUIETEST, ()), None, 0.0
    with Live(console=console, auto_refresh=False) as live:

        def draw() -> None:
            live.update(_picture(moment, segment, labels, console.width), refresh=True)

        draw()
        for moment in moments:
            segment = moment.segments[-1] if moment.segments else segment
            if moment.segments or time.monotonic() - drawn >= BETWEEN:
                draw()
                drawn = time.monotonic()
        draw()


def _picture(
    moment: "Moment", segment: "Segment | None", labels: Sequence[str], width: int
) -> "RenderableType":
    """One bar a label, above them the time and the level.

    A narrow terminal has shorter bars.
    """
    from rich.bar import Bar
    from rich.table import Table
    from rich.text import Text

    names = max(map(len, [*labels, clock(moment.seconds)]))
    room = max(1, min(WIDEST, width - names - 10))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=names, no_wrap=True)
    grid.add_column(width=room)
    grid.add_column(width=6, justify="right", no_wrap=True)
    level = max(moment.level, QUIETEST)
    meter = Bar(-QUIETEST, 0, level - QUIETEST, width=room, color="green")
    grid.add_row(Text(clock(moment.seconds), "bold"), meter, Text(f"{level:.0f} dB"))
    for label in labels:
        share = segment.probabilities[label] if segment else 0.0
        likeliest = segment is not None and label == segment.label
        bar = Bar(1, 0, share, width=room, color="cyan" if likeliest else "bright_black")
        style = "bold" if likeliest else ""
        grid.add_row(Text(label, style), bar, Text(f"{share:.0%}" if segment else "", style))
    return grid
