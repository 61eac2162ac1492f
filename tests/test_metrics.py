"""Check scores against scikit-learn and the table of the paper."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, recall_score

from affekt.errors import LabelError
from affekt.evaluation import metrics

LABELS = ("angry", "happy", "sad", "neutral")

# Table III of the paper, DEMoS: the clips of each class are known, and each rounded recall leaves
# one possible diagonal. How the mistakes spread over the other classes is ours.
TABLE_THREE = np.array(
    [[207, 9, 22, 8], [12, 108, 33, 14], [26, 25, 318, 53], [5, 9, 26, 292]], dtype=np.int64
)


@st.composite
def scored(draw):
    """Labels, and truth with every label at least once, and predictions of the same length."""
    labels = draw(st.sampled_from([LABELS, LABELS[:2], ("calm", *LABELS)]))
    truth = [*labels, *draw(st.lists(st.sampled_from(labels), max_size=40))]
    size = len(truth)
    predicted = draw(st.lists(st.sampled_from(labels), min_size=size, max_size=size))
    return labels, draw(st.permutations(truth)), predicted


@given(scored())
@settings(deadline=None, max_examples=100, derandomize=True)
def test_scores_equal_those_of_scikit_learn(case):
    labels, truth, predicted = case
    counts = metrics.confusion(truth, predicted, labels=labels)
    assert np.array_equal(counts, confusion_matrix(truth, predicted, labels=labels))
    np.testing.assert_allclose(
        metrics.recalls_of(counts), recall_score(truth, predicted, labels=labels, average=None)
    )
    assert metrics.unweighted_average_recall(truth, predicted, labels=labels) == pytest.approx(
        balanced_accuracy_score(truth, predicted)
    )
    np.testing.assert_allclose(
        metrics.f1_of(counts),
        f1_score(truth, predicted, labels=labels, average=None, zero_division=0),
    )


def test_each_class_accuracy_of_the_paper_leaves_one_count():
    published = (0.841, 0.647, 0.754, 0.880)
    for clips, recall, hits in zip(
        TABLE_THREE.sum(axis=1), published, TABLE_THREE.diagonal(), strict=True
    ):
        possible = [n for n in range(clips + 1) if abs(n / clips - recall) <= 0.0005]
        assert possible == [hits]


def test_the_papers_row_follows_from_its_confusion_matrix():
    assert TABLE_THREE.sum(axis=1).tolist() == [246, 167, 422, 332]
    truth = np.repeat(LABELS, TABLE_THREE.sum(axis=1)).tolist()
    predicted = [label for row in TABLE_THREE for label in np.repeat(LABELS, row).tolist()]
    assert np.array_equal(metrics.confusion(truth, predicted, labels=LABELS), TABLE_THREE)
    found = metrics.recalls_of(TABLE_THREE)
    assert found.round(3).tolist() == [0.841, 0.647, 0.754, 0.880]
    assert round(metrics.unweighted_average_recall(truth, predicted, labels=LABELS), 3) == 0.780


def test_recalls_of_many_matrices_are_those_of_each():
    several = np.stack([TABLE_THREE, TABLE_THREE.T])
    np.testing.assert_array_equal(metrics.recalls_of(several)[1], metrics.recalls_of(several[1]))


def test_a_label_without_clips_is_refused():
    with pytest.raises(LabelError, match=r"Got none of c\."):
        metrics.unweighted_average_recall("aabb", "aabb", labels="abc")


@pytest.mark.parametrize(
    ("truth", "predicted", "labels", "message"),
    [
        ("ax", "ab", "ab", "truth must have only the labels a, b. Got 'x' for clip 2"),
        ("ab", "xb", "ab", "predicted must have only the labels a, b. Got 'x' for clip 1"),
        ("ab", "aba", "ab", "one length. Got 2 and 3"),
        ("ab", "ab", "aba", "all different. Got a, b, a"),
        ("", "", "", "one or more, all different. Got nothing"),
    ],
)
def test_labels_that_do_not_fit_are_refused_in_one_line(truth, predicted, labels, message):
    with pytest.raises(LabelError) as caught:
        metrics.confusion(truth, predicted, labels=labels)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
