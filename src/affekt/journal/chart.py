"""Compute the geometry of the chart of one measure over the weeks."""

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np

from affekt.journal.course import Course, Period
from affekt.journal.estimation import RANGE, SPEECH, Estimate
from affekt.journal.formats import day, percent

INK = "#5d6875"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 150, 40, 8, 10, 24
TICKS = 4  # spaces between dates on the axis, at most


def chart(course: Course, name: str, palette: dict[str, str]) -> dict[str, Any]:
    """Compute coordinates, texts and colors of the chart of a measure, in a box of 340 x 150."""
    before, after = course.weeks
    estimates = [week.measures[name] for week in (*before, *after)]
    low, high, unit = _scale(name, course.labels, estimates)
    first, last = course.entries[0].day, course.entries[-1].day
    span = max(1, (last - first).days)

    def x(when: date) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (when - first).days / span, 1)

    def y(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share, 1)

    def point(week: Period, inside: bool) -> dict[str, Any]:
        found = week.measures[name]
        interval = not math.isnan(found.low)
        text = f"{day(week.first)}: {_text(found.value, unit)}"
        if interval:
            ends = max(found.low, low), min(found.high, high)
            text += f", 95 % interval {_text(ends[0], unit)} to {_text(ends[1], unit)}"
        return {
            "x": x(week.first + (week.last - week.first) / 2),
            "y": y(found.value),
            "low": y(found.low) if interval else None,
            "high": y(found.high) if interval else None,
            "changed": name in week.changed,
            "inside": inside,
            "text": f"{text}, {week.recordings} recording{'s' * (week.recordings != 1)}",
        }

    usual = course.baseline.measures[name].value
    days = [first + timedelta(n) for n in range(0, span + 1, math.ceil(span / TICKS))]
    shares = name in course.labels
    return {
        "name": f"share of {name}" if shares else name,
        "colour": palette.get(name, INK),
        "points": [
            point(week, inside)
            for weeks, inside in ((before, True), (after, False))
            for week in weeks
            if not math.isnan(week.measures[name].value)
        ],
        "daily": [(x(when), y(each[name])) for when, each in course.shares.items() if shares],
        "baseline": None if math.isnan(usual) else y(usual),
        "baseline_end": x(course.baseline.last),
        "ticks": [(y(value), _text(value, unit)) for value in (low, (low + high) / 2, high)],
        "dates": [(x(when), f"{when.day} {when:%b}") for when in days],
        "changes": [x(when) for when in course.change_points],
        "change": course.later.measures[name] if course.later else None,
        "unit": unit,
    }


def _scale(
    name: str, labels: Sequence[str], estimates: Sequence[Estimate]
) -> tuple[float, float, str]:
    """Ends of the axis, and the unit."""
    if name in labels:
        return 0.0, 1.0, "%"
    if name == SPEECH:
        top = np.nanmax([(each.value, each.high) for each in estimates])
        return 0.0, math.ceil(top * 1.1), "s"
    return (0.0 if name == RANGE else -1.0), 1.0, ""


def _text(value: float, unit: str) -> str:
    if unit == "%":
        return percent(value)
    return f"{value:.1f} s" if unit == "s" else f"{value:.1f}".replace("-", "−")
