"""Check calibration metrics and temperatures against scikit-learn and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import brier_score_loss, log_loss

from affekt.errors import LabelError
from affekt.evaluation.calibration_metrics import (
    FLOOR,
    apply_temperature,
    bin_of,
    brier_scores,
    calibration_floor,
    equal_mass,
    equal_width,
    expected_calibration_error,
    fit_temperature,
    log_losses,
)


def made(clips=400, labels=4, *, temperature=2.0, seed=0):
    """Probabilities of an overconfident classifier, and labels drawn from calibrated ones."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=2.0, size=(clips, labels))
    draws = generator.gumbel(size=logits.shape)
    return softmax(temperature * logits, axis=1), (logits + draws).argmax(1)


class Fixed(ClassifierMixin, BaseEstimator):
    """A classifier that is fitted already, and whose input are its probabilities."""

    classes_ = np.arange(4)

    def fit(self, **_):
        raise AssertionError("it must stay as it is")

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, x):
        return x

    def predict(self, x):
        return x.argmax(axis=1)


def test_bins_of_equal_width_give_the_curve_of_scikit_learn():
    probabilities, truth = made()
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    true, given_ = calibration_curve(right, confidence, n_bins=10, strategy="uniform")
    clips = np.bincount(bin_of(confidence, equal_width(10)), minlength=10)
    expected = np.average(np.abs(true - given_), weights=clips[clips > 0])
    found = expected_calibration_error(confidence, right, edges=equal_width(10))
    assert found == pytest.approx(expected)


def test_bins_of_equal_mass_give_the_curve_of_scikit_learn():
    probabilities, truth = made()
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    true, given_ = calibration_curve(right, confidence, n_bins=8, strategy="quantile")
    edges = equal_mass(confidence, 8)
    clips = np.bincount(bin_of(confidence, edges))
    assert clips.tolist() == [50] * 8
    found = expected_calibration_error(confidence, right, edges=edges)
    assert found == pytest.approx(np.average(np.abs(true - given_), weights=clips), abs=1e-9)


def test_scores_are_those_of_scikit_learn():
    probabilities, truth = made()
    found = brier_scores(probabilities, truth).mean()
    assert found == pytest.approx(
        brier_score_loss(truth, probabilities, labels=range(4), scale_by_half=False)
    )
    assert log_losses(probabilities, truth).mean() == pytest.approx(
        log_loss(truth, probabilities, labels=range(4))
    )


@pytest.mark.parametrize("clips", [40, 336, 5_000])
def test_the_floor_is_the_error_of_perfect_calibration(clips):
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.25, 1, clips)
    errors = [
        expected_calibration_error(confidence, rng.random(clips) < confidence, edges=equal_width())
        for _ in range(400)
    ]
    floor = calibration_floor(confidence, edges=equal_width())
    assert floor == pytest.approx(np.mean(errors), rel=0.05)


def test_a_certain_mistake_costs_what_rounding_leaves():
    certain = np.array([[1.0, 0.0]])
    assert log_losses(certain, np.array([1]))[0] == pytest.approx(-np.log(FLOOR))
    assert brier_scores(certain, np.array([1])).tolist() == [2.0]


def test_the_temperature_is_that_of_scikit_learn():
    probabilities, truth = made(2_000)
    fixed = FrozenEstimator(Fixed())
    theirs = CalibratedClassifierCV(fixed, method="temperature").fit(probabilities, truth)
    ours = apply_temperature(probabilities, fit_temperature(probabilities, truth))
    assert ours == pytest.approx(theirs.predict_proba(probabilities), abs=1e-3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_found_again(temperature):
    probabilities, truth = made(20_000, temperature=temperature)
    assert fit_temperature(probabilities, truth) == pytest.approx(temperature, rel=0.05)


def test_two_classes_have_a_temperature_in_closed_form():
    """Of two confidences that are right equally often, the temperature is known."""
    probabilities = np.tile([[0.9, 0.1]], (100, 1))
    truth = np.array([0] * 75 + [1] * 25)
    found = fit_temperature(probabilities, truth)
    assert found == pytest.approx(np.log(9) / np.log(3), abs=1e-4)
    assert apply_temperature(probabilities, found)[0] == pytest.approx([0.75, 0.25], abs=1e-5)


def test_answers_that_are_all_right_do_not_become_certain():
    probabilities = np.tile([[0.6, 0.4]], (10, 1))
    truth = np.zeros(10, int)
    assert fit_temperature(probabilities, truth) == pytest.approx(0.05, rel=1e-4)


@given(st.integers(0, 999), st.integers(2, 6), st.integers(5, 60))
@settings(max_examples=40)
def test_scaling_never_hurts_where_it_is_fitted(seed, labels, clips):
    probabilities, truth = made(clips, labels, seed=seed)
    before = log_losses(probabilities, truth).mean()
    once = apply_temperature(probabilities, fit_temperature(probabilities, truth))
    assert (once.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert once.sum(axis=1) == pytest.approx(1)
    assert log_losses(once, truth).mean() <= before + 1e-6


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.integers(1, 12))
@settings(max_examples=60)
def test_every_confidence_lies_in_its_bin(confidences, bins):
    confidence = np.array(confidences)
    for edges in (equal_width(bins), equal_mass(confidence, bins)):
        number = bin_of(confidence, edges)
        assert (edges[number] <= confidence).all()
        assert (confidence <= edges[number + 1]).all()
        right = np.ones(len(confidence), bool)
        assert 0 <= expected_calibration_error(confidence, right, edges=edges) <= 1


def test_nothing_has_no_calibration():
    with pytest.raises(LabelError, match="fitting a temperature needs at least one clip"):
        fit_temperature(np.zeros((0, 4)), np.zeros(0, int))
