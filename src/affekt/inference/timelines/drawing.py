"""Draw predictions and timelines as SVG, for notebooks.

Text has the color of its surroundings, so drawings suit light and dark notebooks.
"""

from collections.abc import Sequence
from html import escape

from affekt.inference.prediction import Prediction
from affekt.inference.timelines.timeline import Utterance

BLUE = "#2f8fd0"  # contrast of at least 3 with white and with black
WIDTH, NAMES, ROW = 640, 90, 22  # pixels: drawing, column of names, height of a row
PERCENT = 50  # pixels: column of percentages
TICKS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600)  # s between two times on the axis
FAINT = 0.05  # probabilities below it are not drawn
_TEXT = 'font-family="sans-serif" font-size="13" fill="currentColor"'


def draw_prediction(prediction: Prediction) -> str:
    """Draw a bar for each label of a prediction, as an ``svg`` element."""
    title = f"{prediction.file or 'sound'}, {prediction.duration:.1f} s: {prediction.label}"
    longest = WIDTH - NAMES - PERCENT
    parts = [_text(0, 0, title, bold=True)]
    for number, (label, share) in enumerate(prediction.probabilities.items(), 1):
        y = number * ROW
        parts.append(_text(0, y, label, bold=label == prediction.label))
        parts.append(_box(NAMES, y, share * longest))
        parts.append(_text(NAMES + share * longest + 6, y, f"{share:.0%}"))
    return _svg(title, ROW * (1 + len(prediction.probabilities)), parts)


def draw_timeline(utterances: Sequence[Utterance], labels: Sequence[str]) -> str:
    """Draw a row for each label, as an ``svg`` element.

    The opacity of an utterance is its probability; its tooltip has times, label and probability.
    The utterances are those of one recording.
    """
    if not utterances:
        return _svg("no speech", ROW, [_text(0, 0, "no speech detected")])
    begin = min(each.start for each in utterances)
    end = max(each.end for each in utterances)
    scale = (WIDTH - NAMES - 10) / (end - begin)
    name = utterances[0].file or "sound"
    number = f"{len(utterances)} utterance{'s' * (len(utterances) != 1)}"
    title = f"{name}: {number}, {_clock(begin)} to {_clock(end)}"
    parts = [_text(0, row * ROW, label) for row, label in enumerate(labels)]
    for each in utterances:
        left, width = NAMES + (each.start - begin) * scale, (each.end - each.start) * scale
        times = f"{_clock(each.start)} to {_clock(each.end)}"
        for row, label in enumerate(labels):
            share = each.probabilities[label]
            if share >= FAINT:
                tip = f"{times}: {label} {share:.0%}"
                parts.append(_box(left, row * ROW, max(width, 1.0), share, tip))
    step = next((t for t in TICKS if (end - begin) / t <= 10), (end - begin) / 10)
    tick = -(-begin // step) * step
    while tick <= end:
        parts.append(_text(NAMES + (tick - begin) * scale, len(labels) * ROW, _clock(tick)))
        tick += step
    return _svg(title, ROW * (1 + len(labels)), parts)


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {height}" '
        f'style="max-width: {WIDTH}px; width: 100%"><title>{escape(title)}</title>'
        f"{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, text: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y + 16:.1f}" {_TEXT}{weight}>{escape(text)}</text>'


def _box(x: float, y: float, width: float, opacity: float = 1.0, tip: str = "") -> str:
    return (
        f'<rect x="{x:.1f}" y="{y + 4:.1f}" width="{width:.1f}" height="{ROW - 8}" fill="{BLUE}" '
        f'fill-opacity="{opacity:.2f}"><title>{escape(tip)}</title></rect>'
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"
