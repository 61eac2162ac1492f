"""Render the report of a journal: one HTML page without script, that needs no network."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

from affekt.errors import JournalError
from affekt.html_templates import html_templates
from affekt.journal.chart import chart
from affekt.journal.course import Course, Watch, course_of, middle
from affekt.journal.entry import Entry
from affekt.journal.estimation import Estimate
from affekt.journal.formats import day, minutes, percent, points, signed
from affekt.journal.store import Journal
from affekt.label_colors import label_colors

QUALITY = (  # name, key and form of each measure
    ("level of speech", "level", "{:.0f} dB"),
    ("speech above noise", "snr", "{:.0f} dB"),
    ("bandwidth", "bandwidth", "{:.0f} Hz"),
    ("clipped samples", "clipping", "{:.1%}"),
)


def report_page(journal: Journal, *, back: bool = False, watch: Watch = iter) -> str:
    """Render the course of a journal as HTML; ``back`` adds a link to the page of the service.

    Raises:
        JournalError: no recording with an emotion in the baseline.
        ModuleNotFoundError: the extra ``journal`` is not installed.
    """
    course = course_of(journal, watch=watch)
    if course is None:
        raise JournalError(
            f"{journal.path} must hold recordings with an emotion in its baseline. Got none in "
            f"{journal.baseline}. Add some, or run affekt journal refresh with another --baseline, "
            f"or with the recordings if an earlier model predicted them."
        )
    environment = html_templates()
    environment.filters |= {each.__name__: each for each in (day, minutes, percent, points, signed)}
    palette = label_colors(course.labels)
    inside = set(journal.baseline_digests())
    return environment.get_template("journal/report.html.jinja").render(
        person=journal.person,
        back=back,
        course=course,
        colours=palette,
        months=list(_months(course, palette, inside)),
        charts=[chart(course, name, palette) for name in course.baseline.measures],
        days=list(_days(course, inside)),
        quality=_quality(journal.entries(), inside),
        verdict=verdict(course),
    )


def verdict(course: Course) -> list[str]:
    """Describe in sentences what differs from the baseline, and what was not detectable."""
    later = course.later
    if later is None:
        return ["There are no recordings after the baseline yet, so there is nothing to compare."]
    said = []
    for label in sorted(later.changed, key=lambda name: -abs(later.measures[name].change)):
        before, after = course.baseline.measures[label], later.measures[label]
        said.append(
            f"The predictions of {label} differ from the baseline by more than chance. The "
            f"estimated share is {percent(before.value)} before and {percent(after.value)} after. "
            f"{_interval(after)}"
        )
    if not said:
        said.append(_nothing(course.detectable[0]))
    marked = [week for week in course.weeks[1] if week.changed]
    if marked:
        weeks = "; ".join(f"{day(week.first)} ({', '.join(week.changed)})" for week in marked)
        said.append(f"Weeks that alone differ from the baseline, by first day: {weeks}.")
    if course.change_points:
        dates = ", ".join(map(day, course.change_points))
        said.append(f"The predictions change around: {dates}.")
    said += [
        f"A straight line through all shares of {trend.label} has a slope of "
        f"{points(trend.slope)} points a week, 95 % interval {points(trend.low)} to "
        f"{points(trend.high)}."
        for trend in course.trends
        if trend.p < 0.05
    ]
    return said


def _interval(after: Estimate) -> str:
    if math.isnan(after.change_low):
        return "There are too few days for an interval of the change."
    return (
        f"The change is {points(after.change)} points, 95 % interval {points(after.change_low)} "
        f"to {points(after.change_high)}."
    )


def _nothing(detectable: Mapping[str, float]) -> str:
    """Say that nothing was found, and how large a change of any emotion had to be."""
    said = "No emotion was found to differ from the baseline by more than chance."
    size = max(detectable.values())
    if math.isnan(size) or size > 1:
        return f"{said} With so few days, even the largest change of an emotion may be missed."
    return (
        f"{said} A change of any emotion by {100 * size:.0f} points would be found in four of five "
        f"cases."
    )


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


def _days(course: Course, inside: set[str]) -> Iterator[dict[str, Any]]:
    """Describe each day with recordings, latest first."""
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
    predicted = [entry for entry in entries if not entry.reason]
    parts = [[e for e in predicted if (e.digest in inside) == within] for within in (True, False)]
    return {
        "recordings": len(entries),
        "predicted": len(predicted),
        "duration": sum(entry.duration for entry in entries),
        "speech": sum(entry.speech for entry in entries),
        "reasons": Counter(entry.reason for entry in entries if entry.reason).most_common(),
        "rows": [
            (name, [_measured(middle(part, key), form) for part in parts])
            for name, key, form in QUALITY
        ],
    }


def _measured(value: float, form: str) -> str:
    return "–" if math.isnan(value) else form.format(value).replace("-", "−")
