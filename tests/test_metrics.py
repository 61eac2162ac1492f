"""Check scores against scikit-learn and the table of the paper."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, recall_score

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
@settings(max_examples=100)
def test_scores_equal_those_of_scikit_learn(case):
    labels, truth, predicted = case
    counts = confusion_matrix(truth, predicted, labels=labels)
    np.testing.assert_allclose(
        metrics.recalls_of(counts), recall_score(truth, predicted, labels=labels, average=None)
    )
    np.testing.assert_allclose(
        metrics.f1_of(counts),
        f1_score(truth, predicted, labels=labels, average=None, zero_division=0),
    )


def test_the_papers_row_follows_from_its_confusion_matrix():
    assert TABLE_THREE.sum(axis=1).tolist() == [246, 167, 422, 332]
    found = metrics.recalls_of(TABLE_THREE)
    assert found.round(3).tolist() == [0.841, 0.647, 0.754, 0.880]
    assert round(found.mean(), 3) == 0.780


def test_recalls_of_many_matrices_are_those_of_each():
    several = np.stack([TABLE_THREE, TABLE_THREE.T])
    np.testing.assert_array_equal(metrics.recalls_of(several)[1], metrics.recalls_of(several[1]))
