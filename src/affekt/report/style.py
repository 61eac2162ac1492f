"""Define the colors and fonts of all figures, and save figures as SVG and PNG.

Overlapping points differ in their colors and markers. Text in the SVG of a page follows the
reader's light or dark theme.
"""

import base64
import io
import re
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from affekt.atomic_write import atomic_write

INK, MUTED, LINE = "#1b2430", "#5d6875", "#d3d9e0"
OURS, PAPER, CHANCE = "#0072b2", "#d55e00", "#8a939e"
MARKERS = "os^Dv*P"
SHADES = LinearSegmentedColormap.from_list("counts", ["#eef4f9", "#56a3d0", "#00446e"])
STYLE: Any = {  # keys that matplotlib checks itself
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,  # a name may hold dollar signs
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.hashsalt": "affekt",
}
THEME = """<style>
:root{--ink:#1b2430;--muted:#5d6875;--line:#d3d9e0;--blue:#0072b2}
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf1;--muted:#a4aeba;--line:#3a434e;--blue:#3d9bd8}}
</style>"""


def panel(width: float, height: float) -> tuple[Figure, Axes]:
    """Make a figure of one panel, of a size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def save_png(figure: Figure, path: Path) -> None:
    """Save a figure as PNG with 200 dots per inch on white."""
    with rc_context(STYLE), atomic_write(path) as part:
        figure.savefig(
            part,
            format="png",
            dpi=200,
            facecolor="white",
            metadata={"Software": None},
            pil_kwargs={"compress_level": 3},
        )


def to_svg(figure: Figure) -> str:
    """Convert a figure to SVG with fixed colors; equal figures give equal text."""
    text = io.StringIO()
    with rc_context(STYLE):
        if engine := figure.get_layout_engine():  # savefig would draw the figure twice
            engine.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(text, format="svg", dpi=110, metadata={"Date": None, "Creator": None})
    return text.getvalue()


def themed(drawing: str) -> str:
    """Let the text and lines of an SVG document turn light in a dark theme."""
    for colour, name in ((INK, "ink"), (MUTED, "muted"), (LINE, "line"), (OURS, "blue")):
        drawing = drawing.replace(colour, f"var(--{name})")
    return re.sub(r"(<svg[^>]*>)", lambda start: start[1] + THEME, drawing, count=1)


def data_uri(drawing: str) -> str:
    """Encode an SVG document, with the theme of its reader, as the source of an image."""
    return f"data:image/svg+xml;base64,{base64.b64encode(themed(drawing).encode()).decode()}"
