"""Test the statistics of a journal against independent computations."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("statsmodels")

from datetime import date, timedelta

from affekt.inference.shipped_models import shipped_digest
from affekt.journal import changes, estimation
from affekt.journal.confusion import Confusion
from affekt.journal.estimation import CONTRASTS, RANGE, SPEECH, Sample, estimate

LABELS = ("angry", "happy", "sad", "neutral")
CONFUSION = Confusion.read(LABELS, shipped_digest("affekt.onnx") or "")


def sample(shares: np.ndarray, seconds: np.ndarray | None = None) -> Sample:
    """Recordings of one utterance each, of 2 s by default."""
    seconds = np.full(len(shares), 2.0) if seconds is None else seconds
    return Sample(LABELS, shares, seconds, shares, seconds, np.arange(len(shares)))


def drawn(number: int, seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    return sample(rng.dirichlet(np.ones(4), number), rng.uniform(1, 5, number))


def test_an_emotion_that_no_recording_had_may_still_be_one_of_the_person() -> None:
    confusion = Confusion("", np.eye(4)[None])  # of a model without errors
    shares = np.eye(4)[[0, 0, 1, 3, 3]]
    found = estimate(sample(shares), confusion, np.random.default_rng(0))["sad"]
    assert found.value == found.low == 0.0
    low, high = stats.beta.ppf((0.025, 0.975), 0.5, 5 + 1.5)  # Jeffreys' prior of four emotions
    assert low < 0.01
    assert found.high == pytest.approx(high, abs=0.1)


@pytest.mark.parametrize("number", [5, 12])
def test_intervals_of_means_are_those_of_student(number: int) -> None:
    few, before = drawn(number, seed=1), drawn(30, seed=2)
    found = estimate(few, CONFUSION, np.random.default_rng(0), before)[SPEECH]
    wanted = stats.ttest_1samp(few.seconds, 0).confidence_interval()
    assert found.high - found.low == pytest.approx(wanted.high - wanted.low, rel=0.15)
    assert found.value == pytest.approx(few.seconds.mean())
    welch = stats.ttest_ind(few.seconds, before.seconds, equal_var=False).confidence_interval()
    assert found.change_high - found.change_low > 0.9 * (welch.high - welch.low)


def test_few_recordings_have_no_interval() -> None:
    for each in estimate(drawn(4, 0), CONFUSION, np.random.default_rng(0)).values():
        assert np.isnan(each.low)


def test_expressive_range_is_the_distance_of_utterances_of_two_recordings() -> None:
    rng = np.random.default_rng(0)
    owners, points, lengths = (
        np.array([0, 0, 1, 1, 1, 2]),
        rng.dirichlet(np.ones(4), 6),
        rng.random(6),
    )
    one = Sample(LABELS, points[:3], np.bincount(owners, lengths), points, lengths, owners)
    pairs = [(i, j) for i, j in product(range(6), repeat=2) if owners[i] != owners[j]]
    weights = [lengths[i] * lengths[j] for i, j in pairs]
    apart = [np.abs(points[i] - points[j]).sum() / 2 for i, j in pairs]
    found = estimate(one, CONFUSION, rng)[RANGE]
    assert found.value == pytest.approx(np.average(apart, weights=weights))
    assert np.isnan(estimate(drawn(1, 0), CONFUSION, rng)[RANGE].value)


def test_expressive_range_does_not_depend_on_the_number_of_recordings() -> None:
    means = []
    for number in (3, 40):
        once = np.ones((1, number))
        values = [estimation._expressive_range(drawn(number, seed), once) for seed in range(200)]
        means.append(np.mean(values))
    assert means[0] == pytest.approx(means[1], rel=0.05)


def test_trends_of_few_recordings_use_students_t() -> None:
    rng = np.random.default_rng(0)
    days = [date(2026, 9, 7) + timedelta(n) for n in range(10)]
    shares = rng.dirichlet(np.ones(4), 10)
    line = np.stack([np.ones(10), np.arange(10) / 7], axis=1)
    inverse = np.linalg.inv(line.T @ line)
    leverage = np.einsum("ij,jk,ik->i", line, inverse, line)
    for found, share in zip(changes.trends(LABELS, shares, days), shares.T, strict=True):
        fit = inverse @ line.T @ share
        error = (share - line @ fit) / (1 - leverage)  # HC3
        deviation = np.sqrt(((inverse @ line.T)[1] ** 2 * error**2).sum())
        assert found.slope == pytest.approx(fit[1])
        assert found.high - found.slope == pytest.approx(stats.t.ppf(0.975, 8) * deviation)


def test_the_smallest_detectable_change_is_found_in_four_of_five_cases() -> None:
    rng, before, after, weeks = np.random.default_rng(0), 60, 30, 6
    noise = rng.normal(size=(1000, before + after))
    (size,) = changes.smallest_detectable(noise.reshape(-1, 1), before, after, weeks)
    change = stats.ttest_ind(noise[:, :before], noise[:, before:] + size, axis=1)
    assert np.mean(change.pvalue < 0.05 / weeks) == pytest.approx(0.8, abs=0.04)
    (one,) = changes.smallest_detectable(noise.reshape(-1, 1), before, after)
    assert one < size
    assert np.isnan(changes.smallest_detectable(noise.reshape(-1, 1), 1, 9)).all()


def test_the_smallest_change_allows_for_a_baseline_of_little_speech() -> None:
    """A baseline of one recording a day, and then five."""
    rng, before, after = np.random.default_rng(0), 30, 60
    seconds = np.repeat([1.0, 5.0], (before, after))
    noise = rng.normal(size=(1000, before + after)) / np.sqrt(seconds)
    variances = estimation.day_variances(noise.T, seconds)
    even = [
        estimation.evenness(seconds[n], variances[n]) for n in (slice(before), slice(before, None))
    ]
    (size,) = changes.smallest_detectable(noise.reshape(-1, 1), before, after, 1, even)
    change = stats.ttest_ind(noise[:, :before], noise[:, before:] + size, axis=1, equal_var=False)
    assert np.mean(change.pvalue < 0.05) == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize(("before", "after", "weeks"), [(3, 3, 1), (10, 1, 1), (60, 30, 600)])
def test_no_change_is_detectable_where_no_p_is_small_enough(
    before: int, after: int, weeks: int
) -> None:
    """Even the largest difference has a p above 0.05 after the adjustment."""
    shares = np.zeros((before + after, 4))
    shares[np.arange(before + after), [0] * before + [1] * after] = 1.0
    parts = sample(shares[:before]), sample(shares[before:])
    p = estimation.permutation_test(*parts, np.random.default_rng(0))
    assert changes.holm([p["happy"], *[1.0] * (4 * weeks - 1)])[0] > changes.ALPHA
    noise = 1e-3 * np.random.default_rng(0).normal(size=(before + after, 4))
    assert np.isinf(changes.smallest_detectable(noise, before, after, weeks)).all()
    uneven_days = changes.smallest_detectable(noise, 10, 10, 1, (0.12, 0.12))
    assert np.isinf(uneven_days).all()  # an effect that statsmodels does not find


def test_contrasts_of_days_of_unequal_speech_have_wide_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Student's t for the number of days covers 83 % of the true contrasts."""
    monkeypatch.setattr(estimation, "RESAMPLES", 300)
    rng, name = np.random.default_rng(0), next(iter(CONTRASTS))
    signs = np.array([1 if label in CONTRASTS[name][:2] else -1 for label in LABELS])
    covered = []
    for _ in range(200):
        shares = rng.dirichlet(np.ones(4), 10)
        found = estimate(sample(shares, rng.lognormal(3, 1.5, 10)), CONFUSION, rng)[name]
        covered.append(found.low <= 0.25 * signs.sum() <= found.high)
    assert 0.91 < np.mean(covered) < 0.99


def uneven(days: int, rate: int, rng: np.random.Generator) -> Sample:
    """Days with some recordings of 2 s each, whose emotion is random."""
    mean = CONFUSION.matrices.mean(axis=0)
    draws = rng.standard_gamma(8 * mean[rng.integers(4, size=(days, rate))])
    shares = (draws / draws.sum(axis=2, keepdims=True)).mean(axis=1)
    return sample(shares, np.full(days, 2.0 * rate))


def test_more_recordings_a_day_are_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days with few recordings vary more; a plain permutation test marks 58 % of these journals."""
    monkeypatch.setattr(estimation, "PERMUTATIONS", 199)
    rng = np.random.default_rng(0)
    found = [
        min(changes.holm([*estimation.permutation_test(uneven(10, 1, rng), after, rng).values()]))
        for after in (uneven(60, 5, rng) for _ in range(150))
    ]
    assert np.mean(np.array(found) < 0.05) < 0.12


def test_more_recordings_a_day_are_no_change_point() -> None:
    """Without weights, 37 % of these journals have one."""
    rng, found = np.random.default_rng(0), []
    for _ in range(100):
        parts = uneven(10, 1, rng), uneven(60, 5, rng)
        shares, seconds = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("shares", "seconds")
        )
        found.append(changes.change_points(shares, estimation.day_variances(shares, seconds)))
    assert np.mean([bool(each) for each in found]) < 0.12


def test_the_variance_of_a_day_falls_with_its_speech() -> None:
    rng = np.random.default_rng(0)
    seconds = rng.uniform(1, 20, 4000)
    variances = 0.2 + 0.8 / seconds
    noise = rng.normal(size=(4000, 4)) * np.sqrt(variances)[:, None]
    found = estimation.day_variances(noise, seconds)
    assert found == pytest.approx(variances / variances.mean(), rel=0.1)
    assert estimation.day_variances(np.full((5, 4), 0.25), seconds[:5]).tolist() == [1.0] * 5


def test_recordings_of_unequal_length_count_for_fewer() -> None:
    even, seconds = np.ones(4), np.array([1.0, 1.0, 1.0, 9.0])
    assert estimation.evenness(even, even) == pytest.approx(1.0)
    assert estimation.evenness(seconds, even) == pytest.approx(144 / 336)
    assert estimation.evenness(even, 2 * even) == pytest.approx(0.5)


def test_intervals_of_few_recordings_cover_the_truth() -> None:
    """A person whose confusion matrix is one of those that are known; five recordings a week."""
    confusion, rng = CONFUSION, np.random.default_rng(3)
    true, covered = np.array([0.4, 0.3, 0.2, 0.1]), []
    for _ in range(60):
        rows = confusion.matrices[rng.integers(len(confusion.matrices))]
        week = sample(rows[rng.choice(4, 5, p=true)])
        found = estimate(week, confusion, rng)
        covered += [found[k].low <= p <= found[k].high for k, p in zip(LABELS, true, strict=True)]
    assert np.mean(covered) >= 0.9
    assert {*CONTRASTS} <= found.keys()
