"""Test every baseline: the clips that it is fitted on, and its probabilities."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import recall_score
from sklearn.model_selection import ParameterGrid

from affekt.errors import LabelError
from affekt.experiments import baselines
from affekt.experiments.baselines import GRIDS, KINDS, Baseline

LABELS = ("angry", "happy", "sad", "neutral")
CHANCE = tuple(kind for kind in KINDS if kind.startswith("chance"))
LEARNING = tuple(kind for kind in KINDS if kind not in CHANCE)
each = pytest.mark.parametrize("kind", KINDS)
each_learning = pytest.mark.parametrize("kind", LEARNING)


@pytest.fixture(scope="module", autouse=True)
def _quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "TREES", 8)
        patch.setattr(baselines, "EPOCHS", 25)
        yield


class Fold:
    """Ten speakers of 16 clips: 6 to train, 2 to validate, 2 to test; labels shift two columns."""

    def __init__(self, separation: float = 1.5, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        speakers = np.repeat(np.arange(10), 16)
        self.truth = np.tile(np.repeat(np.array(LABELS), 4), 10)
        number = np.array([LABELS.index(label) for label in self.truth])
        self.features = rng.normal(size=(160, 40)).astype(np.float32)
        self.features[:, 0] += separation * (number // 2)
        self.features[:, 1] += separation * (number % 2)
        self.features[:, 2] = 0  # a unit that never fires
        self.train, self.validation = speakers < 6, (speakers >= 6) & (speakers < 8)
        self.test = speakers >= 8

    def fitted(self, kind: str, *, seed: int = 1, labels=LABELS, **changes) -> Baseline:
        parts = {"features": self.features, "truth": self.truth}
        parts |= {"train": self.train, "validation": self.validation, **changes}
        parts |= {name: np.arange(160)[parts[name]] for name in ("train", "validation")}
        return Baseline(kind, labels, seed).fit(**parts)


@pytest.fixture(scope="module")
def fold():
    return Fold()


@pytest.fixture(scope="module")
def fitted(fold):
    return {kind: fold.fitted(kind) for kind in KINDS}


@each
def test_answers_what_anything_trained_answers(kind, fold, fitted):
    recognizer = fitted[kind]
    assert recognizer.labels == LABELS
    probabilities = recognizer.predict_proba(fold.features[fold.test])
    assert probabilities.shape == (32, 4)
    assert (probabilities >= 0).all()
    assert_allclose(probabilities.sum(axis=1), 1)


@each
def test_same_seed_same_answer(kind, fold, fitted):
    first, second = fitted[kind], fold.fitted(kind)
    assert first.chosen == second.chosen
    assert_array_equal(first.predict_proba(fold.features), second.predict_proba(fold.features))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("svm", "chance-majority")])
def test_seed_matters_where_chance_does(kind, fold, fitted):
    first, second = fitted[kind], fold.fitted(kind, seed=2)
    assert not np.array_equal(
        first.predict_proba(fold.features), second.predict_proba(fold.features)
    )


@each
def test_never_sees_test_rows(kind, fold, fitted):
    poisoned, truth = fold.features.copy(), fold.truth.astype(object)
    poisoned[fold.test] = np.nan
    truth[fold.test] = "unknown"
    clean = fitted[kind]
    blind = fold.fitted(kind, features=poisoned, truth=truth)
    assert clean.chosen == blind.chosen
    assert_array_equal(
        clean.predict_proba(fold.features[fold.test]), blind.predict_proba(fold.features[fold.test])
    )


@each_learning
def test_validation_chooses_but_teaches_nothing(kind, fold, fitted):
    baseline = fitted[kind]
    seeds = np.random.SeedSequence([1, *np.flatnonzero(fold.train)]).generate_state(1)
    by_hand = baselines._pipeline(kind, int(seeds[0])).set_params(**baseline.chosen)
    with pytest.warns() if kind == "mlp" else np.errstate():
        by_hand.fit(fold.features[fold.train], fold.truth[fold.train])
    assert_array_equal(
        baseline.predict_proba(fold.features), baseline._probabilities(by_hand, fold.features)
    )


@pytest.mark.parametrize("kind", ["svm", "mlp"])  # trees may tie, and break ties by name
def test_the_most_probable_label_is_the_prediction_and_scores_the_settings(kind, fold, fitted):
    baseline = fitted[kind]
    predicted = baseline._pipeline.predict(fold.features)
    likeliest = baseline.predict_proba(fold.features).argmax(axis=1)
    assert_array_equal(np.array(LABELS)[likeliest], predicted)
    uar = recall_score(fold.truth[fold.validation], predicted[fold.validation], average="macro")
    assert baseline.validation_uar == pytest.approx(uar)


@each_learning
def test_all_features_are_used_without_selection(kind, fold):
    parts = {"train": np.flatnonzero(fold.train), "validation": np.flatnonzero(fold.validation)}
    baseline = Baseline(kind, LABELS, 1, select_features=False)
    baseline.fit(fold.features, fold.truth, **parts)
    assert baseline.chosen["select__percentile"] == 100
    assert baseline._pipeline["select"].get_support().all()


def test_validation_labels_make_the_choice(fold, fitted):
    truth = fold.truth.copy()
    truth[fold.validation] = np.roll(truth[fold.validation], 8)
    assert fold.fitted("svm", truth=truth).chosen != fitted["svm"].chosen


@pytest.mark.parametrize("kind", ["rf", "svm"])
def test_first_of_equals_is_chosen(kind, fold):
    number = np.array([LABELS.index(label) for label in fold.truth])
    easy = fold.features + 100 * number[:, None].astype(np.float32)
    chosen = fold.fitted(kind, features=easy).chosen
    assert chosen == next(iter(ParameterGrid(dict(GRIDS[kind]))))


@each_learning
def test_learns_what_can_be_learned(kind):
    easy = Fold(separation=4.0)
    probabilities = easy.fitted(kind).predict_proba(easy.features[easy.test])
    predicted = np.array(LABELS)[probabilities.argmax(axis=1)]
    assert (predicted == easy.truth[easy.test]).mean() > 0.8


def test_majority_is_one_label_and_its_uar_chance(fold):
    truth = fold.truth.copy()
    truth[np.flatnonzero(fold.train)[:8]] = "sad"
    majority = fold.fitted("chance-majority", truth=truth)
    assert_array_equal(majority.predict_proba(fold.features), np.tile([0, 0, 1, 0], (160, 1)))
    assert majority.validation_uar == 0.25


def test_stratified_draws_labels_as_often_as_they_were_met(fold):
    drawn = fold.fitted("chance-stratified").predict_proba(np.zeros((4_000, 1), np.float32))
    assert_allclose(drawn.mean(axis=0), 0.25, atol=0.03)


def test_folds_of_one_seed_draw_differently(fold):
    other = fold.fitted("chance-stratified", train=fold.test)
    here = fold.fitted("chance-stratified").predict_proba(fold.features)
    assert not np.array_equal(here, other.predict_proba(fold.features))


@each
def test_a_label_never_learned_has_probability_zero(kind, fold):
    baseline = fold.fitted(kind, train=fold.train & (fold.truth != "happy"))
    assert (baseline.predict_proba(fold.features)[:, 1] == 0).all()


@each
def test_a_label_that_validation_lacks_does_not_count(kind, fold):
    baseline = fold.fitted(kind, validation=fold.validation & (fold.truth != "happy"))
    assert 0 <= baseline.validation_uar <= 1


@each
def test_two_labels_are_enough(kind):
    fold = Fold(separation=4.0)
    two = np.isin(fold.truth, ["sad", "neutral"])
    baseline = fold.fitted(
        kind, labels=("sad", "neutral"), train=fold.train & two, validation=fold.validation & two
    )
    probabilities = baseline.predict_proba(fold.features[fold.test & two])
    assert probabilities.shape == (16, 2)
    assert_allclose(probabilities.sum(axis=1), 1)
    if kind in LEARNING:
        hits = probabilities.argmax(axis=1) == (fold.truth[fold.test & two] == "neutral")
        assert hits.mean() > 0.8


@each_learning
def test_one_clip_of_each_label_is_learned_from(kind, fold):
    baseline = fold.fitted(kind, train=np.array([0, 4, 8, 12]))
    assert np.isfinite(baseline.predict_proba(fold.features)).all()


def test_one_label_cannot_be_learned_from(fold):
    with pytest.raises(LabelError, match=r"two or more of .* Got angry") as caught:
        fold.fitted("svm", train=np.arange(4))
    assert "\n" not in str(caught.value)


def test_chance_needs_no_features(fold):
    nothing = np.full((160, 1), np.nan, np.float32)
    assert fold.fitted("chance-majority", features=nothing).validation_uar == 0.25
