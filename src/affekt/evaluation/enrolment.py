"""Measure how UAR depends on the enrolment of the speaker.

The test clips are the same under every enrolment condition, so each condition is compared with no
enrolment, paired by speaker.
"""

import numpy as np
import pandas as pd

from affekt.evaluation.comparison import compare
from affekt.evaluation.intervals import Interval
from affekt.evaluation.results import NO_PROFILE, Result

CLIPS = {NO_PROFILE: "0", "all": "all"} | {f"random-{n}": str(n) for n in (1, 2, 4, 8, 16)}
MAIN = ("random-8", "all")  # conditions that other tables show beside no enrolment


def enrolments(result: Result) -> pd.DataFrame:
    """Score a recipe under each enrolment condition.

    Returns:
        A row for each condition, ``none`` first: ``profile``; ``clips`` enrolled, ``0`` to
        ``all``, empty unless they were drawn at random from all emotions; ``uar``, ``low``,
        ``high``; ``gain`` in UAR over ``none`` on the same clips, ``gain_low``, ``gain_high``
        and its ``p``, NaN for ``none`` and if a label has no clip; ``spread``, the kind of the
        ends (:class:`~affekt.evaluation.intervals.Interval`).
    """
    rows = []
    for profile in result.profiles:
        found = result.under(profile)
        row: dict[str, object] = {"profile": profile, "clips": CLIPS.get(profile, "")}
        row |= found.shown.columns() | {"spread": found.shown.kind}
        gain, p = Interval(np.nan), np.nan
        if profile != NO_PROFILE and not np.isnan(found.shown.value):
            against = compare(found.tally, result.tally)
            gain, p = against.shown, against.p
        row |= gain.columns("gain", "gain_") | {"p": p}
        rows.append(row)
    return pd.DataFrame(rows)


def main_profiles(result: Result) -> tuple[str, ...]:
    """Return the tested ones among no enrolment, 8 clips and all clips, to compare recipes by."""
    return (NO_PROFILE, *(profile for profile in MAIN if profile in result.profiles))
