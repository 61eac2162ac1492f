"""Find change points and trends in a person's predictions, and the smallest detectable change.

Change points: binary segmentation of the probabilities with a squared-error cost, in which days
weigh by the inverse of their variance. A split must gain more than the best split in 95 % of random
orders of the same days. Trends: least squares with standard errors that allow for unequal variance
(HC3, ``statsmodels``), and Student's t.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from math import comb

import numpy as np
from numpy.typing import NDArray

from affekt.journal.confusion import Floats
from affekt.journal.estimation import PERMUTATIONS

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


def change_points(shares: Floats, variances: Floats, seed: int = 0) -> list[int]:
    """Find the number of the first day after each change of the probabilities.

    Args:
        shares: ``(days, labels)``, by time.
        variances: ``(days,)`` of the shares, or multiples of them.
        seed: of the random orders.
    """
    if len(shares) < 2 * SHORTEST:
        return []
    rng, weights = np.random.default_rng(seed), 1 / variances
    orders = (rng.permutation(len(shares)) for _ in range(ORDERS))
    gains = [_best_split(shares[order], weights[order])[0] for order in orders]
    limit = float(np.quantile(gains, 1 - ALPHA, method="higher"))
    return _splits(shares, weights, max(limit, 1e-9))


def _splits(shares: Floats, weights: Floats, limit: float) -> list[int]:
    """Split days as long as a split gains more than the limit."""
    if len(shares) < 2 * SHORTEST:
        return []
    gain, at = _best_split(shares, weights)
    if gain <= limit:
        return []
    later = _splits(shares[at:], weights[at:], limit)
    return [*_splits(shares[:at], weights[:at], limit), at, *(at + found for found in later)]


def _best_split(shares: Floats, weights: Floats) -> tuple[float, int]:
    """Find the split that lowers the weighted sum of squared errors most: by how much, and where.

    It is the number of the first day after the split.
    """
    errors = shares - np.average(shares, axis=0, weights=weights)
    inside = slice(SHORTEST - 1, len(shares) - SHORTEST)
    squares = (np.cumsum(weights[:, None] * errors, axis=0)[inside] ** 2).sum(axis=1)
    before = np.cumsum(weights)[inside]
    gains = squares * weights.sum() / (before * (weights.sum() - before))
    return float(gains.max()), int(gains.argmax()) + SHORTEST


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
    shares: Floats,
    before: int,
    after: float,
    periods: int = 1,
    evenness: Sequence[float] = (1.0, 1.0),
) -> NDArray[np.float64]:
    """Compute the change of each share, ``(labels,)``, that a test finds with a power of 0.8.

    Args:
        shares: ``(days, labels)``, corrected one by one, unbounded.
        before: days in the baseline; with fewer than two, the result is NaN.
        after: days compared with it; likewise with fewer than one.
        periods: that are tested, each label in each of them.
        evenness: effective number of days, by their number, before and after.

    The result is infinite if the permutation test finds no change at all: so few days have too few
    orders, or so many periods need a smaller p than its permutations can give.
    """
    from statsmodels.stats.power import TTestIndPower

    if before < 2 or after < 1:
        return np.full(shares.shape[1], np.nan)
    alpha = ALPHA / (shares.shape[1] * periods)
    first, second = before * evenness[0], after * evenness[1]
    test = partial(TTestIndPower().solve_power, nobs1=first, ratio=second / first, alpha=alpha)
    effect = float(np.squeeze(test(power=POWER)))
    orders = comb(before + round(after), before) / (1 + (before == round(after)))
    if 1 / min(orders, PERMUTATIONS + 1) >= alpha or test(effect) < POWER - 0.05:  # not solved
        return np.full(shares.shape[1], np.inf)
    return np.asarray(effect * shares.std(axis=0, ddof=1))
