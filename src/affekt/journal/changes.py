"""Find change points and trends in a person's predictions, and the smallest detectable change.

Change points: binary segmentation of the probabilities with a squared-error cost (``ruptures``). A
split must gain more than the best split in 95 % of random orders of the same days. Trends:
least squares with standard errors that allow for unequal variance (HC3, ``statsmodels``), and
Student's t.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from affekt.journal.confusion import Floats

ORDERS = 199  # random orders
SHORTEST = 4  # days with recordings between two change points
ALPHA = 0.05
POWER = 0.8
MIN_TREND = 10  # days with recordings


@dataclass(frozen=True)
class Trend:
    """Change of the share of an emotion in a week; p is adjusted for the number of emotions."""

    label: str
    slope: float
    low: float
    high: float
    p: float


def change_points(shares: Floats, seed: int = 0) -> list[int]:
    """Find the number of the first day after each change of the probabilities.

    Args:
        shares: ``(days, labels)``, by time.
        seed: of the random orders.
    """
    import ruptures

    if len(shares) < 2 * SHORTEST:
        return []
    rng = np.random.default_rng(seed)
    gains = [_best_gain(rng.permutation(shares)) for _ in range(ORDERS)]
    limit = float(np.quantile(gains, 1 - ALPHA, method="higher"))
    search = ruptures.Binseg(model="l2", min_size=SHORTEST, jump=1).fit(shares)
    return [int(found) for found in search.predict(pen=max(limit, 1e-9))[:-1]]


def _best_gain(shares: Floats) -> float:
    """Compute by how much the best single split lowers the sum of squared errors."""
    number = len(shares)
    sums = np.cumsum(shares - shares.mean(axis=0), axis=0)[SHORTEST - 1 : number - SHORTEST]
    before = np.arange(SHORTEST, number - SHORTEST + 1)
    square = (sums**2).sum(axis=1)
    return float(np.max(square * number / (before * (number - before))))


def trends(labels: Sequence[str], shares: Floats, days: Sequence[date]) -> list[Trend]:
    """Fit a line to the share of each label over time, if ten days span a week or more.

    Args:
        shares: ``(days, labels)``, corrected one by one, unbounded.
        days: of the rows.
    """
    weeks = np.array([(day - days[0]).days / 7 for day in days])
    if len(days) < MIN_TREND or weeks[-1] < 1:
        return []
    import statsmodels.api as sm

    line = sm.add_constant(weeks)
    fits = [sm.OLS(share, line).fit(cov_type="HC3", use_t=True) for share in shares.T]
    adjusted = holm([fit.pvalues[1] for fit in fits])
    return [
        Trend(label, float(fit.params[1]), float(low), float(high), p)
        for label, fit, p in zip(labels, fits, adjusted, strict=True)
        for low, high in fit.conf_int(ALPHA)[1:]
    ]


def holm(chances: Sequence[float]) -> list[float]:
    """Adjust p-values for their number, after Holm.

    >>> [round(p, 2) for p in holm([0.01, 0.04])]
    [0.02, 0.04]
    """
    if not len(chances):
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(chances, ALPHA, "holm")[1]]


def smallest_detectable(
    shares: Floats, before: float, after: float, periods: int = 1
) -> NDArray[np.float64]:
    """Compute the change of each share, ``(labels,)``, that a test finds with a power of 0.8.

    Args:
        shares: ``(days, labels)``, corrected one by one, unbounded.
        before: days in the baseline; with fewer than two, the result is NaN.
        after: days compared with it; likewise with fewer than one.
        periods: that are tested, each label in each of them.
    """
    from statsmodels.stats.power import TTestIndPower

    if before < 2 or after < 1:
        return np.full(shares.shape[1], np.nan)
    alpha = ALPHA / (shares.shape[1] * periods)
    effect = TTestIndPower().solve_power(
        None, nobs1=before, ratio=after / before, alpha=alpha, power=POWER
    )
    return np.asarray(float(np.squeeze(effect)) * shares.std(axis=0, ddof=1))
