"""Compute a person's course: periods, their changes from the baseline, and warnings."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from itertools import groupby
from statistics import fmean

import numpy as np

from affekt.journal import changes
from affekt.journal.confusion import Confusion, Floats
from affekt.journal.entry import Entry
from affekt.journal.estimation import (
    FEWEST,
    Estimate,
    Sample,
    day_variances,
    estimate,
    evenness,
)
from affekt.journal.prediction import current_profiles
from affekt.journal.store import Journal

FEW_BASELINE = 10  # days
ONE_EMOTION = 0.6  # mean probability of one label without enrolment, in the baseline
MOST_BASELINE = 0.5  # of the journal: a longer baseline gives a warning
MARGIN = 1.2  # of the smallest change, for unknown errors: results/journal-smallest.csv
SEED = 0  # of resamples and permutations

#: Differences of quality after a change of equipment: name, key, unit, smallest difference.
TECHNIQUE = (("Bandwidth", "bandwidth", "Hz", 1_500.0), ("Noise", "snr", "dB below speech", 10.0))

Watch = Callable[[Sequence[list[Entry]]], Iterable[list[Entry]]]


@dataclass(frozen=True)
class Period:
    """Recordings of some days."""

    first: date  #: its first day
    last: date  #: its last day
    recordings: int  #: with speech
    seconds: float  #: of speech
    measures: Mapping[str, Estimate]  #: an estimate for each measure
    #: labels whose share differs from the baseline; p adjusted over all periods of the same kind
    #: and all labels
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Course:
    """The course of a person."""

    labels: tuple[str, ...]  #: of the model
    source: str  #: of the confusion matrices; empty if shares are not corrected
    entries: tuple[Entry, ...]  #: that are evaluated: not ``uncertain``, and predicted by one model
    baseline: Period  #: the period to which others are compared
    later: Period | None  #: the period after it; None if it is empty
    weeks: tuple[tuple[Period, ...], tuple[Period, ...]]  #: of the baseline, then after it
    #: for each day with recordings, the mean probability of each label
    shares: Mapping[date, Mapping[str, float]]
    change_points: tuple[date, ...]  #: first day after each change
    trends: tuple[changes.Trend, ...]  #: of each share, per week
    #: smallest detectable change of each share: for all recordings after the baseline, and for
    #: those of a typical week
    detectable: tuple[Mapping[str, float], ...]
    warnings: tuple[str, ...]  #: sentences about limits of the data


def course_of(journal: Journal, *, watch: Watch = iter) -> Course | None:
    """Compute the course of a journal; None if its baseline has no recording with speech.

    Args:
        watch: shows progress; gets the weeks after the baseline, and passes them on.

    Raises:
        ModuleNotFoundError: the extra ``journal`` is not installed.
    """
    spoken = [entry for entry in journal.entries() if not entry.reason]
    counts = Counter(entry.model for entry in spoken)
    model = max(counts, key=lambda one: (counts[one], one == spoken[-1].model), default="")
    entries = [entry for entry in spoken if entry.model == model]
    inside = set(journal.baseline_digests())
    before = [entry for entry in entries if entry.digest in inside]
    after = [entry for entry in entries if entry.digest not in inside]
    if not before:
        return None
    labels = tuple(entries[0].probabilities)
    confusion = Confusion.read(labels, model)
    rng = np.random.default_rng(SEED)
    reference, every = Sample.of(before, labels), Sample.of(entries, labels)
    days = list(dict.fromkeys(entry.day for entry in entries))
    period = partial(_period, labels=labels, confusion=confusion, rng=rng)
    weeks = [period(week, reference=reference) for week in watch(_weeks(after))]
    later = _adjusted([period(after, reference=reference)] if after else [], labels)
    corrected = confusion.linear(every.shares)
    variances = day_variances(every.shares, every.seconds)
    split = changes.change_points(every.shares, variances, SEED)
    return Course(
        labels=labels,
        source=confusion.source,
        entries=tuple(entries),
        baseline=period(before),
        later=later[0] if later else None,
        weeks=(tuple(map(period, _weeks(before))), tuple(_adjusted(weeks, labels))),
        shares={
            day: dict(zip(labels, row.tolist(), strict=True))
            for day, row in zip(days, every.shares, strict=True)
        },
        change_points=tuple(days[n] for n in split),
        trends=tuple(changes.trends(labels, corrected, days)),
        detectable=tuple(
            dict(zip(labels, (MARGIN * size).tolist(), strict=True))
            for size in _detectable(corrected, every.seconds, variances, before, after)
        ),
        warnings=tuple(_warnings(journal, entries, before, after, len(spoken), confusion)),
    )


def _detectable(
    corrected: Floats,
    seconds: Floats,
    variances: Floats,
    before: Sequence[Entry],
    after: Sequence[Entry],
) -> list[Floats]:
    """Smallest detectable changes: for all recordings after the baseline, and for a week."""
    first, later = (len({entry.day for entry in each}) for each in (before, after))
    days = range(len(seconds))
    even = [evenness(seconds[n], variances[n]) for n in (days[:first], days[-later:])]
    return [
        changes.smallest_detectable(corrected, first, later / periods, periods, even)
        for periods in (1, max(1, len(_weeks(after))))
    ]


def _weeks(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries by calendar week, which begins on Monday."""
    grouped = groupby(entries, lambda each: each.day.isocalendar()[:2])
    return [list(week) for _, week in grouped]


def _period(
    entries: Sequence[Entry],
    labels: tuple[str, ...],
    confusion: Confusion,
    rng: np.random.Generator,
    reference: Sample | None = None,
) -> Period:
    sample = Sample.of(entries, labels)
    measured = estimate(sample, confusion, rng, reference)
    seconds = float(sample.seconds.sum())
    return Period(entries[0].day, entries[-1].day, len(entries), seconds, measured)


def _adjusted(periods: Sequence[Period], labels: Sequence[str]) -> list[Period]:
    """Mark the labels that changed, with p adjusted over all periods and labels."""
    chances = changes.holm([each.measures[label].p for each in periods for label in labels])
    adjusted = iter(chances)
    changed = [tuple(name for name in labels if next(adjusted) < changes.ALPHA) for _ in periods]
    return [replace(each, changed=found) for each, found in zip(periods, changed, strict=True)]


def _warnings(
    journal: Journal,
    entries: Sequence[Entry],
    before: Sequence[Entry],
    after: Sequence[Entry],
    spoken: int,
    confusion: Confusion,
) -> Iterator[str]:
    days = len({entry.day for entry in before})
    if days < FEW_BASELINE:
        yield (
            f"The baseline has recordings on {days} day{'s' * (days != 1)}. With fewer than "
            f"{FEW_BASELINE}, changes are hard to distinguish from chance. For a longer one, run "
            f"affekt journal refresh with --baseline until=DATE."
        )
    few = [week for week in _weeks(after) if len({entry.day for entry in week}) < FEWEST]
    if few:
        yield (
            f"Weeks with recordings on fewer than {FEWEST} days: {len(few)}. They have no "
            f"intervals."
        )
    span, whole = (each[-1].day - each[0].day for each in (before, entries))
    if span > MOST_BASELINE * whole or len(before) > MOST_BASELINE * len(entries):
        yield (
            "The baseline takes more than half of the journal. A change within it cannot be seen, "
            "and the profile takes it as usual for this person."
        )
    if label := _one_emotion(journal, before):
        yield (
            f"Most recordings of the baseline sound {label}. The profile takes that as usual for "
            f"this person, so later recordings may seem less {label} than they are."
        )
    for name, key, unit, limit in TECHNIQUE:
        first, second = middle(before, key), middle(after, key)
        if abs(first - second) > limit:
            yield (
                f"{name} differs between the baseline ({first:.0f} {unit}) and later recordings "
                f"({second:.0f} {unit}). Another microphone, room or line may explain a change."
            )
    if spoken > len(entries):
        yield (
            f"Entries of another model are left out: {spoken - len(entries)}. Run affekt journal "
            f"refresh with their recordings."
        )
    current = current_profiles(journal.voices().values())
    if earlier := sum(entry.profile not in current for entry in entries):
        yield (
            f"Entries predicted without the present profile of the baseline: {earlier}. "
            f"Run affekt journal refresh with their recordings."
        )
    if not confusion.source:
        yield (
            "Shares are not corrected for the model's errors: those of the default model alone are "
            "known."
        )


def middle(entries: Sequence[Entry], key: str) -> float:
    """Median of a measure of quality; NaN where no recording has it."""
    values = [entry.quality[key] for entry in entries if entry.quality.get(key) is not None]
    return float(np.median(values)) if values else np.nan


def _one_emotion(journal: Journal, before: Sequence[Entry]) -> str:
    """Return the emotion that dominates the baseline without enrolment; empty if none does."""
    voices = journal.voices()
    plain = [voices[entry.digest].plain for entry in before if entry.digest in voices]
    plain = plain or [entry.probabilities for entry in before]
    means = {label: fmean(each.get(label, 0.0) for each in plain) for label in plain[0]}
    label = max(means, key=means.__getitem__)
    return label if means[label] >= ONE_EMOTION else ""
