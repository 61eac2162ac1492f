"""Write the report of a journal: one HTML page without script, that needs no network."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import cycle, groupby
from pathlib import Path
from typing import Any

from affekt.atomic_write import atomic_write
from affekt.errors import JournalError
from affekt.journal.course import Course, Period, course_of, middle
from affekt.journal.entry import Entry
from affekt.journal.estimation import RANGE, SPEECH, Estimate
from affekt.journal.store import Journal

COLOURS = {"angry": "#d55e00", "happy": "#e69f00", "sad": "#0072b2", "neutral": "#7f8790"}
OTHERS = ("#009e73", "#cc79a7", "#56b4e9", "#b3a100")
INK = "#5d6875"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 150, 40, 8, 10, 24  # of a chart
QUALITY = (  # name, key and form of each measure
    ("level of speech", "level", "{:.0f} dB"),
    ("speech above noise", "snr", "{:.0f} dB"),
    ("bandwidth", "bandwidth", "{:.0f} Hz"),
    ("clipped samples", "clipping", "{:.1%}"),
)
TICKS = 4  # dates on the axis of a chart, at most


def write_report(journal: Journal, output: Path) -> None:
    """Write the report.

    Args:
        journal: open; it is only read.
        output: HTML file to write.

    Raises:
        JournalError: no recording with speech, or a file that cannot be written.
        ModuleNotFoundError: the extra ``journal`` is not installed.
    """
    course = course_of(journal)
    if course is None:
        raise JournalError(
            f"{journal.path} must hold recordings with speech in its baseline. Got none. Add some "
            f"with affekt journal add."
        )
    try:
        with atomic_write(output) as part:
            part.write_text(page(journal, course), encoding="utf-8")
    except OSError as error:
        raise JournalError(f"{output} cannot be written: {error.strerror}.") from error


def page(journal: Journal, course: Course) -> str:
    """Render the report as HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("affekt.journal", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "points": points, "signed": signed}
    environment.filters |= {"day": day, "minutes": minutes}
    others = cycle(OTHERS)
    palette = {label: COLOURS.get(label) or next(others) for label in course.labels}
    inside = set(journal.baseline_digests())
    return environment.get_template("report.html.jinja").render(
        person=journal.person,
        course=course,
        colours=palette,
        months=list(_months(course, palette, inside)),
        charts=[_chart(course, name, palette) for name in course.baseline.measures],
        days=list(_days(course, inside)),
        quality=_quality(journal.entries(), inside),
        verdict=verdict(course),
    )


def verdict(course: Course) -> list[str]:
    """Say in sentences what differs from the baseline, and what could not be seen."""
    later = course.later
    if later is None:
        return ["There are no recordings after the baseline yet, so there is nothing to compare."]
    said = []
    for label in sorted(later.changed, key=lambda name: -abs(later.measures[name].change)):
        before, after = course.baseline.measures[label], later.measures[label]
        said.append(
            f"The share of {label} differs from the baseline by more than chance: "
            f"{percent(before.value)} before, {percent(after.value)} after. The change is "
            f"{points(after.change)} points, 95 % interval {points(after.change_low)} to "
            f"{points(after.change_high)}."
        )
    if not said:
        said.append("No share of an emotion differs from the baseline by more than chance.")
    marked = [week for week in course.weeks[1] if week.changed]
    if marked:
        weeks = "; ".join(f"{day(week.first)} ({', '.join(week.changed)})" for week in marked)
        said.append(f"Weeks that differ by themselves, from: {weeks}.")
    if course.change_points:
        dates = ", ".join(day(entry.day) for entry in course.change_points)
        said.append(f"The answers change around: {dates}.")
    for trend in (trend for trend in course.trends if trend.p < 0.05):
        said.append(
            f"The share of {trend.label} changes by {points(trend.slope)} points a week, "
            f"95 % interval {points(trend.low)} to {points(trend.high)}."
        )
    return said


def percent(share: float) -> str:
    """Format a share.

    >>> percent(0.256), percent(float("nan"))
    ('26 %', '–')
    """
    return "–" if math.isnan(share) else f"{share:.0%}".replace("%", " %")


def points(share: float) -> str:
    """Format a difference of shares in percentage points.

    >>> points(0.256), points(-0.1), points(-0.001), points(float("nan"))
    ('+26', '−10', '0', '–')
    """
    if math.isnan(share):
        return "–"
    rounded = round(100 * share)
    return f"{rounded:+d}".replace("-", "−") if rounded else "0"


def signed(value: float) -> str:
    """Format a difference.

    >>> signed(0.256), signed(-0.001)
    ('+0.26', '0.00')
    """
    rounded = round(value, 2)
    return f"{rounded:+.2f}".replace("-", "−") if rounded else "0.00"


def day(when: date) -> str:
    """Format a date.

    >>> day(date(2026, 9, 1))
    '1 September 2026'
    """
    return f"{when.day} {when:%B %Y}"


def minutes(seconds: float) -> str:
    """Format a duration.

    >>> minutes(5_400), minutes(75.2), minutes(42.0)
    ('1 h 30 min', '1 min 15 s', '42 s')
    """
    whole, rest = divmod(round(seconds), 60)
    if whole >= 60:
        return f"{whole // 60} h {whole % 60} min"
    return f"{whole} min {rest} s" if whole else f"{rest} s"


def _months(
    course: Course, palette: dict[str, str], inside: set[str]
) -> Iterator[tuple[str, int, list[dict[str, Any]]]]:
    """For each month: its name, the weekday of its first day, and its days."""
    baseline = {entry.day for entry in course.entries if entry.digest in inside}
    counts = Counter(entry.day for entry in course.entries)
    first, last = course.entries[0].day.replace(day=1), course.entries[-1].day
    every = (first + timedelta(n) for n in range((last - first).days + 1))
    for _, days in groupby(every, lambda each: (each.year, each.month)):
        cells = []
        for each in days:
            shares = course.shares.get(each, {})
            label = max(shares, key=lambda name: shares[name]) if shares else ""
            strength = round(0.25 + 0.75 * shares[label], 2) if label else 0.0
            cells.append(
                {
                    "day": each,
                    "label": label,
                    "colour": f"{palette[label]}{round(255 * strength):02x}" if label else "",
                    "dark": strength > 0.7 and label in ("sad", "angry"),
                    "baseline": each in baseline,
                    "recordings": counts[each],
                    "shares": ", ".join(f"{k} {percent(v)}" for k, v in shares.items()),
                }
            )
        begin: Any = cells[0]["day"]
        yield f"{begin:%B %Y}", begin.weekday(), cells


def _chart(course: Course, name: str, palette: dict[str, str]) -> dict[str, Any]:
    """The geometry of the chart of one measure."""
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
            text += f", 95 % interval {_text(found.low, unit)} to {_text(found.high, unit)}"
        return {
            "x": x(week.first + (week.last - week.first) / 2),
            "y": y(found.value),
            "low": y(found.low) if interval else None,
            "high": y(found.high) if interval else None,
            "changed": name in week.changed,
            "inside": inside,
            "text": f"{text}, {week.recordings} recordings",
        }

    step = max(1, math.ceil(span / TICKS))
    shares = name in course.labels
    return {
        "name": f"share of {name}" if shares else name,
        "colour": palette.get(name, INK),
        "points": [point(week, True) for week in before] + [point(week, False) for week in after],
        "daily": [(x(when), y(each[name])) for when, each in course.shares.items() if shares],
        "baseline": y(course.baseline.measures[name].value),
        "baseline_end": x(course.baseline.last),
        "ticks": [(y(value), _text(value, unit)) for value in (low, (low + high) / 2, high)],
        "dates": [
            (x(when), f"{when.day} {when:%b}")
            for when in (first + timedelta(n) for n in range(0, span + 1, step))
        ],
        "changes": [x(entry.day) for entry in course.change_points],
        "change": course.later.measures[name] if course.later else None,
        "unit": unit,
    }


def _scale(
    name: str, labels: Sequence[str], estimates: Sequence[Estimate]
) -> tuple[float, float, str]:
    """Ends of the axis, and the unit."""
    if name in labels:
        return 0.0, 1.0, "%"
    if name in (RANGE, SPEECH):
        top = max(max(each.value, 0 if math.isnan(each.high) else each.high) for each in estimates)
        return (0.0, 1.0, "") if name == RANGE else (0.0, math.ceil(top * 1.1), "s")
    return -1.0, 1.0, ""


def _text(value: float, unit: str) -> str:
    if unit == "%":
        return percent(value)
    return f"{value:.1f} s" if unit == "s" else f"{value:.1f}".replace("-", "−")


def _days(course: Course, inside: set[str]) -> Iterator[dict[str, Any]]:
    """The days behind the course, latest first."""
    grouped = [(when, list(g)) for when, g in groupby(course.entries, lambda each: each.day)]
    for when, entries in reversed(grouped):
        yield {
            "day": when,
            "recordings": len(entries),
            "speech": sum(entry.speech for entry in entries),
            "shares": course.shares[when],
            "baseline": any(entry.digest in inside for entry in entries),
            "notes": "; ".join(entry.note for entry in entries if entry.note),
        }


def _quality(entries: Sequence[Entry], inside: set[str]) -> dict[str, Any]:
    """Counts over all entries, and medians in the baseline and after it."""
    answered = [entry for entry in entries if not entry.reason]
    parts = [[e for e in answered if (e.digest in inside) == within] for within in (True, False)]
    rows = [
        (name, [_measured(middle(part, key), form) for part in parts])
        for name, key, form in QUALITY
    ]
    return {
        "recordings": len(entries),
        "answered": len(answered),
        "duration": sum(entry.duration for entry in entries),
        "speech": sum(entry.speech for entry in entries),
        "reasons": Counter(entry.reason for entry in entries if entry.reason).most_common(),
        "rows": rows,
    }


def _measured(value: float, form: str) -> str:
    return "–" if math.isnan(value) else form.format(value).replace("-", "−")
