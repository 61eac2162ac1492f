"""Score robustness, calibration under distortion, and fairness from a recognizer's answers."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.audit.answers import CLEAN
from affekt.evaluation.calibration_metrics import equal_width, expected_calibration_error
from affekt.evaluation.comparison import compare
from affekt.evaluation.intervals import shown_uar, speaker_uars
from affekt.evaluation.metrics import tally

MAX_DROP = 0.05  # of UAR, as ser-tests for noise and telephones
MIN_UNCHANGED = 0.95  # share of answers, under tiny changes, as ser-tests
SIMULATIONS = 1_000  # of a model that is blind to groups, as ser-tests
ANSWERED = 0.8  # share of clean clips that the minimum confidence keeps
ROUNDING = 1e-9
CLIP = ["corpus", "clip"]
FEWEST = 10  # clips of a label in a group, below which its recall is not judged


def robustness(answers: pd.DataFrame) -> pd.DataFrame:
    """Score each test and strength in the rows of :func:`affekt.audit.answers.rows`.

    Returns:
        A row for each, clean clips first: ``test``, ``strength``, ``unit``, ``uar`` with ``low``
        and ``high``, ``drop`` of UAR with ``drop_low`` and ``drop_high``, ``spread`` (what the ends
        are), ``unchanged`` share of answers, ``ece``, ``answered`` share of clips whose confidence
        reaches what 80 % of the clean clips reach, ``error`` share of these, ``tiny``, ``passed``.
    """
    clean = answers[answers["test"] == CLEAN.test].set_index(CLIP)
    undistorted = tally(clean.reset_index())
    least = float(np.quantile(confidence_of(clean), 1 - ANSWERED, method="lower"))
    found = []
    for (test, strength), group in answers.groupby(["test", "strength"], sort=False, dropna=False):
        counts, first = tally(group), group.iloc[0]
        shown, drop = shown_uar(counts), compare(undistorted, counts).shown
        before = clean.loc[pd.MultiIndex.from_frame(group[CLIP]), "predicted"].to_numpy()
        unchanged = float((group["predicted"] == before).mean())
        right = (group["predicted"] == group["truth"]).to_numpy()
        confident = confidence_of(group) >= least
        ece = expected_calibration_error(confidence_of(group), right, edges=equal_width())
        row = {"test": test, "strength": strength, "unit": first["unit"], **shown.columns()}
        row |= {**drop.columns("drop", "drop_"), "spread": shown.kind, "unchanged": unchanged}
        row |= {"ece": ece, "answered": float(confident.mean())}
        row["error"] = float(1 - right[confident].mean()) if confident.any() else np.nan
        passed = unchanged >= MIN_UNCHANGED if first["tiny"] else drop.value <= MAX_DROP + ROUNDING
        found.append(row | {"tiny": bool(first["tiny"]), "passed": bool(passed)})
    return pd.DataFrame(found)


def confidence_of(answers: pd.DataFrame) -> NDArray[np.float64]:
    """The highest probability of each row."""
    return answers.filter(regex="^p_").max(axis=1).clip(0, 1).to_numpy()


def fairness(answers: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Compare recall and prediction rate of groups with those of a model blind to groups.

    The blind model draws its answers from the confusion matrix of all clips. ``limit`` is its
    largest difference in 1,000 simulations, drawn by the seed.

    Returns:
        ``kind`` (gender, corpus, or language if corpora share one), ``group``, ``label``,
        ``score``, ``difference`` from all clips, ``limit``, ``passed``. Recalls of fewer than 10
        clips are left out.
    """
    clean = answers[answers["test"] == CLEAN.test].reset_index(drop=True)
    whole = tally(clean)
    names = pd.Index(whole.labels)
    truth = names.get_indexer(pd.Index(clean["truth"]))
    counts = whole.counts.sum(axis=(0, 1))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    draws = np.random.default_rng(seed).random((SIMULATIONS, len(clean)))
    last = len(names) - 1
    blind = (draws[..., None] > shares.cumsum(axis=1)[truth]).sum(axis=-1).clip(max=last)
    given = names.get_indexer(pd.Index(clean["predicted"]))[None]
    found = []
    for kind in ("gender", "corpus", "language"):
        groups = [name for name in clean[kind].unique() if name]
        if len(groups) == 1 or (kind == "language" and len(groups) == clean["corpus"].nunique()):
            continue  # one group; or each corpus has its own language: the same groups again
        for group in groups:
            of_it = (clean[kind] == group).to_numpy()
            measured = _differences(given, truth, of_it)
            simulated = _differences(blind, truth, of_it)
            for (score, at, value), (*_, null) in zip(measured, simulated, strict=True):
                limit = float(np.abs(null).max())
                row = {"kind": kind, "group": group, "label": names[at], "score": score}
                row |= {"difference": float(value[0]), "limit": limit}
                found.append(row | {"passed": bool(abs(value[0]) <= limit + ROUNDING)})
    columns = ["kind", "group", "label", "score", "difference", "limit", "passed"]
    return pd.DataFrame(found, columns=columns)


def _differences(
    answers: NDArray[np.int64], truth: NDArray[np.int64], group: NDArray[np.bool_]
) -> Iterator[tuple[str, int, NDArray[np.float64]]]:
    """Score, label and ``(simulations,)`` differences of a group from all clips."""
    for at in np.unique(truth):
        hit, of_label = answers == at, truth == at
        if (of_label & group).sum() >= FEWEST:
            recall = hit[:, of_label & group].mean(axis=1) - hit[:, of_label].mean(axis=1)
            yield "recall", int(at), recall
        yield "prediction rate", int(at), hit[:, group].mean(axis=1) - _expected(hit, truth, group)


def _expected(
    hit: NDArray[np.bool_], truth: NDArray[np.int64], group: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Prediction rate of all clips, weighted to the labels that the group's clips have."""
    weights = np.bincount(truth[group]) / group.sum()
    each = [weights[at] * hit[:, truth == at].mean(axis=1) for at in np.unique(truth[group])]
    return np.asarray(np.sum(each, axis=0))


def speakers(answers: pd.DataFrame) -> pd.DataFrame:
    """Compute ``speaker``, ``clips`` and ``uar`` of clean clips, the worst speaker first."""
    found = tally(answers[answers["test"] == CLEAN.test])
    table = {"speaker": found.speakers, "clips": found.counts.sum(axis=(0, 2, 3))}
    return pd.DataFrame(table | {"uar": speaker_uars(found)}).sort_values("uar", kind="stable")
