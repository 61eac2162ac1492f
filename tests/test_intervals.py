"""Check intervals and comparisons against SciPy, brute force and simulations."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, norm, t

from affekt.errors import LabelError
from affekt.evaluation import intervals
from affekt.evaluation.comparison import compare
from affekt.evaluation.intervals import (
    drawn_recalls,
    percentiles,
    shown_mean_uar,
    shown_recalls,
    shown_uar,
)
from affekt.evaluation.metrics import Tally, recalls_of

LABELS = ("angry", "sad")


def made(speakers, *, skill=0.7, seeds=1, spread=0.2, clips=10, seed=0):
    """Counts of speakers who each have ``clips`` of both labels."""
    generator = np.random.default_rng(seed)
    skills = np.clip(skill + spread * generator.normal(size=(speakers, 1)), 0, 1)
    hits = generator.binomial(clips, skills, size=(seeds, speakers, 2))
    counts = np.zeros((seeds, speakers, 2, 2), np.int64)
    counts[..., 0, 0], counts[..., 1, 1] = hits[..., 0], hits[..., 1]
    counts[..., 0, 1], counts[..., 1, 0] = clips - hits[..., 0], clips - hits[..., 1]
    names = tuple(f"c:{number}" for number in range(speakers))
    return Tally(LABELS, tuple(range(seeds)), names, counts)


def uar(counts):
    return recalls_of(counts.sum(axis=1)).mean()


def uar_interval(tally):
    """The interval also of fewer speakers than tables show one of."""
    drawn = drawn_recalls(tally).mean(axis=1)
    return percentiles(uar(tally.counts), drawn, speakers=len(tally.speakers))


def test_the_interval_is_that_of_scipy():
    """Its percentiles, taken further out by Student's t."""
    tail = norm.cdf(t.ppf(0.025, 11) * np.sqrt(12 / 11))
    tally = made(12, seeds=2)
    found = uar_interval(tally)

    def score(drawn):
        return uar(tally.counts[:, drawn])

    theirs = bootstrap(
        (np.arange(12),),
        score,
        n_resamples=4_000,
        confidence_level=1 - 2 * tail,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert found.value == pytest.approx(uar(tally.counts))
    assert found.low == pytest.approx(theirs.low, abs=0.01)
    assert found.high == pytest.approx(theirs.high, abs=0.01)


def test_labels_of_one_speaker_each_have_no_interval():
    """Draws with all of them are too rare: to wait for 10,000 would take hours."""
    labels, at = tuple(map(str, range(16))), np.arange(16)
    counts = np.zeros((1, 16, 16, 16), np.int64)
    counts[0, at, at, at] = 1
    found = uar_interval(Tally(labels, (0,), labels, counts))
    assert found.value == 1.0
    assert np.isnan([found.low, found.high]).all()


def test_class_accuracies_have_intervals_of_their_own():
    tally = made(12, seeds=2)
    found = shown_recalls(tally)
    assert list(found) == list(LABELS)
    for label, recall in zip(
        LABELS, recalls_of(tally.counts.sum(axis=1)).mean(axis=0), strict=True
    ):
        assert found[label].value == pytest.approx(recall)
        assert found[label].low < recall < found[label].high


@given(st.integers(2, 9), st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=40)
def test_an_interval_is_in_the_unit_range(speakers, seeds, seed):
    tally = made(speakers, seeds=seeds, seed=seed)
    found = uar_interval(tally)
    assert 0 <= found.low <= found.high <= 1
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9 or speakers < 6


def test_an_interval_is_reproducible():
    found = uar_interval(made(9))
    intervals._draws.cache_clear()
    assert found == uar_interval(made(9))


def test_equal_speakers_give_an_interval_of_zero_width():
    found = uar_interval(made(8, skill=1.0, spread=0.0))
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_clips_of_one_voice_count_as_one_voice():
    """Ten times the clips of equally different speakers hardly narrow the interval."""
    few, many = made(20, spread=0.3), made(20, spread=0.3, clips=100)
    widths = [found.high - found.low for found in (uar_interval(few), uar_interval(many))]
    assert widths[1] > 0.75 * widths[0]


def test_resamples_that_miss_a_label_are_drawn_again():
    counts = made(4).counts
    counts[:, 1:, 1] = 0  # one speaker alone has the second label
    found = uar_interval(Tally(LABELS, (0,), ("a", "b", "c", "d"), counts))
    assert np.isfinite([found.low, found.high]).all()


def test_one_speaker_or_a_missing_label_leaves_the_interval_open():
    alone = uar_interval(made(1))
    assert np.isfinite(alone.value)
    assert np.isnan([alone.low, alone.high]).all()
    counts = made(4).counts
    counts[..., 1, :] = 0
    nothing = uar_interval(Tally(LABELS, (0,), ("a", "b", "c", "d"), counts))
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()


def test_p_is_the_share_of_all_exchanges_for_few_speakers():
    first, second = made(6, skill=0.8, seed=1), made(6, skill=0.6, seed=2)
    found = compare(first, second)
    seen = abs(uar(first.counts) - uar(second.counts))
    as_large = []
    for exchanged in product((False, True), repeat=6):
        mask = np.array(exchanged)[None, :, None, None]
        one = np.where(mask, second.counts, first.counts)
        other = np.where(mask, first.counts, second.counts)
        as_large.append(abs(uar(one) - uar(other)) >= seen - 1e-9)
    assert found.p == pytest.approx(np.mean(as_large))
    assert found.difference.value == pytest.approx(uar(first.counts) - uar(second.counts))
    assert found.difference.low < found.difference.value < found.difference.high


def test_p_of_many_speakers_agrees_with_all_exchanges(monkeypatch):
    first, second = made(12, skill=0.7, seed=3), made(12, skill=0.62, seed=4)
    exact = compare(first, second).p
    monkeypatch.setattr("affekt.evaluation.comparison.EXACT_SPEAKERS", 0)
    assert compare(first, second).p == pytest.approx(exact, abs=0.02)


def test_a_recipe_equals_itself():
    found = compare(made(20), made(20))
    assert (found.difference.value, found.difference.low, found.difference.high) == (0, 0, 0)
    assert found.p == 1


def test_recipes_may_have_different_seeds_but_not_different_clips():
    assert compare(made(5, seeds=3), made(5)).p > 0
    for other in (made(6), made(5, clips=9)):
        with pytest.raises(LabelError, match="for the same clips, speakers and labels"):
            compare(made(5), other)


def test_recipes_without_a_label_are_not_compared():
    counts = made(4).counts
    counts[..., 1, :] = 0
    tally = Tally(LABELS, (0,), ("a", "b", "c", "d"), counts)
    with pytest.raises(LabelError, match="and a clip of each label"):
        compare(tally, tally)


def test_equal_recipes_are_called_different_as_often_as_promised():
    """Of equally good recipes, some 5 % come out with p <= 0.05, and intervals miss 0 so often."""
    found = [compare(made(16, seed=i), made(16, seed=1000 + i)) for i in range(200)]
    assert np.mean([each.p <= 0.05 for each in found]) < 0.1
    missed = [not each.difference.low <= 0 <= each.difference.high for each in found]
    assert np.mean(missed) < 0.1


@pytest.mark.parametrize(("speakers", "least"), [(4, 0.85), (6, 0.9), (24, 0.92)])
def test_intervals_hold_the_truth_nearly_as_often_as_promised(speakers, least):
    """Plain percentiles of four speakers hold it four times in five; no resampling does it all."""
    tallies = [made(speakers, spread=0.1, clips=200, seed=i) for i in range(300)]
    found = [uar_interval(tally) for tally in tallies]
    assert np.mean([each.low <= 0.7 <= each.high for each in found]) > least


def test_the_interval_of_a_mean_over_corpora_holds_the_truth_too():
    corpora = [[made(n, spread=0.1, clips=200, seed=i + n) for n in (24, 4)] for i in range(300)]
    found = [shown_mean_uar(tallies) for tallies in corpora]
    assert 0.9 < np.mean([each.low <= 0.7 <= each.high for each in found]) < 0.99


def test_a_mean_over_corpora_that_leave_no_doubt_has_none():
    found = shown_mean_uar([made(n, skill=1.0, spread=0.0) for n in (4, 8)])
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_the_mean_over_one_corpus_is_its_uar():
    assert shown_mean_uar([made(9)]) == shown_uar(made(9))


def test_a_corpus_of_one_speaker_leaves_the_mean_open():
    found = shown_mean_uar([made(1), made(8)])
    assert np.isfinite(found.value)
    assert np.isnan([found.low, found.high]).all()
