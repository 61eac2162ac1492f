"""Results to what it is worth to know the speaker: UAR against the clips enrolled.

The test clips are the same under every profile, so each is compared with none speaker by
speaker.
"""

import numpy as np
import pandas as pd

from affekt.evaluation.intervals import compare
from affekt.evaluation.results import NO_PROFILE, Result

CLIPS = {NO_PROFILE: "0", "all": "all"} | {f"random-{n}": str(n) for n in (1, 2, 4, 8, 16)}
FLAGSHIP = ("random-8", "all")  # profiles that tables of other things show beside none


def enrolments(result: Result) -> pd.DataFrame:
    """How well a recipe listens under each profile of the speaker.

    Args:
        result: a recipe that was tested under one profile or more.

    Returns:
        A row for each profile, ``none`` first: ``profile``; ``clips`` enrolled, ``0`` to
        ``all``, empty unless they were drawn from all moods at random; ``uar``, ``low``,
        ``high``; ``gain`` in UAR over ``none`` on the same clips, ``gain_low``, ``gain_high``
        and its ``p``, NaN for ``none`` and where a label has no clip.
    """
    rows = []
    for profile in result.profiles:
        found = result.under(profile)
        row: dict[str, object] = {"profile": profile, "clips": CLIPS.get(profile, "")}
        row |= {"uar": found.uar.value, "low": found.uar.low, "high": found.uar.high}
        if profile != NO_PROFILE and not np.isnan(found.uar.value):
            against = compare(found.tally, result.tally)
            gain = against.difference
            row |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
            row |= {"p": against.p}
        rows.append(row)
    columns = ["profile", "clips", "uar", "low", "high", "gain", "gain_low", "gain_high", "p"]
    return pd.DataFrame(rows, columns=columns)


def flagships(result: Result) -> tuple[str, ...]:
    """The profiles under which a recipe is shown beside others: none, and two if it has them."""
    return (NO_PROFILE, *(profile for profile in FLAGSHIP if profile in result.profiles))
