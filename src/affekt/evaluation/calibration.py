"""Measure the calibration of recipes before and after temperature scaling.

A score is the mean over seeds of the score over all folds pooled, with an interval over speakers.
The temperature of a fold is fitted on the validation predictions of all folds, without the
speakers that the fold tests: the few validation speakers of a single fold are not enough.

Source: Guo et al., "On Calibration of Modern Neural Networks" (2017).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.errors import RunError
from affekt.evaluation.calibration_metrics import (
    apply_temperature,
    bin_of,
    brier_scores,
    calibration_floor,
    equal_mass,
    equal_width,
    fit_temperature,
    log_losses,
)
from affekt.evaluation.intervals import (
    FEW_SPEAKERS,
    Interval,
    drawn_sums,
    percentiles,
    speaker_draws,
)
from affekt.evaluation.results import Result
from affekt.runs.predictions import PROBABILITY, PROFILE, labels_of
from affekt.runs.reading import Run, find_runs, read_run

UNSCALED, TEMPERATURE = "none", "temperature"
ALL_CLIPS = "all"  # enrolment with all other clips of the speaker


@dataclass(frozen=True)
class Answers:
    """The predictions of a result as arrays, the seeds one after the other."""

    probabilities: NDArray[np.float64]  #: ``(rows, labels)``
    truth: NDArray[np.int64]  #: ``(rows,)`` columns of the true labels
    seed: NDArray[np.int64]  #: ``(rows,)`` positions among the seeds
    speaker: NDArray[np.int64]  #: ``(rows,)`` positions among the speakers
    shape: tuple[int, int]  #: number of seeds and of speakers

    @property
    def confidence(self) -> NDArray[np.float64]:
        """``(rows,)`` highest probability."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def right(self) -> NDArray[np.bool_]:
        """``(rows,)`` whether the label of the highest probability is the true one."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.truth)

    def sums(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Sum ``(rows, columns)`` values to ``(seeds, speakers, columns)``."""
        found = np.zeros((*self.shape, values.shape[1]))
        np.add.at(found, (self.seed, self.speaker), values)
        return found


@lru_cache(maxsize=4)
def answers_of(result: Result) -> Answers:
    """Convert the predictions of a result to arrays."""
    rows, tally = result.predictions, result.tally
    return Answers(
        *_arrays(rows),
        seed=pd.Index(tally.seeds).get_indexer(pd.Index(rows["seed"])),
        speaker=pd.Index(tally.speakers).get_indexer(pd.Index(rows["speaker"])),
        shape=(len(tally.seeds), len(tally.speakers)),
    )


def scalable(result: Result) -> bool:
    """Return whether every run has validation predictions to fit a temperature on."""
    return all(len(run.validation) for run in result.runs)


def pooled_temperatures(runs: Iterable[Path]) -> tuple[float, float]:
    """Fit the temperatures of a model that was trained on all speakers.

    No speaker is left to calibrate such a model on, so its temperatures are fitted on the test
    predictions of cross-validated runs of the same network.

    Returns:
        Temperatures without enrolment, and with all other clips of the speaker enrolled (the
        same, if that was not tested).

    Raises:
        RunError: no run, runs of several recipes, or one with a missing fold.
        LabelError: predictions with unknown labels.
    """
    found = [read_run(folder) for folder in find_runs(runs)]
    unfinished = [run.recipe for run in found if not run.complete]
    if len(recipes := sorted({run.recipe for run in found})) > 1:
        raise RunError(
            f"runs to calibrate by must be of one recipe, that of the network. "
            f"Got {', '.join(recipes)}. Name their folders."
        )
    if unfinished or not found:
        raise RunError(
            f"runs to calibrate by must have every fold. Got runs: {len(found)}, of them "
            f"unfinished: {', '.join(unfinished) or 'none'}. Run their recipes to the end."
        )
    enrolled = [run.enrolment[run.enrolment[PROFILE] == ALL_CLIPS] for run in found]
    tables = [run.predictions for run in found]
    without, known = (
        fit_temperature(*_arrays(pd.concat(each)))
        for each in (tables, enrolled if all(map(len, enrolled)) else tables)
    )
    return without, known


@lru_cache(maxsize=2)
def scaled(result: Result) -> Result:
    """Calibrate the probabilities of each fold of a :func:`scalable` result by its temperature.

    The predicted labels stay.
    """
    return Result(result.recipe, tuple(map(_scaled, result.runs)))


def versions(result: Result) -> dict[str, Result]:
    """Return a result before and, if it is :func:`scalable`, after temperature scaling."""
    return {UNSCALED: result} | ({TEMPERATURE: scaled(result)} if scalable(result) else {})


def calibrations(result: Result) -> pd.DataFrame:
    """Score the probabilities of a recipe before and after temperature scaling.

    Returns:
        A row for each of its :func:`versions`: ``scaling``; ``ece_floor``, the ``ece`` of perfect
        calibration on as many clips, mean over seeds; ``ece`` (ten bins of equal width),
        ``ece_mass`` (of equal mass), ``brier`` in [0, 2], ``nll`` in nats, ``uar``; each with
        ``<score>_low`` and ``<score>_high``, NaN with fewer than 8 speakers.
    """
    draws, uar = speaker_draws(result.tally), result.uar
    if draws.shape[1] < FEW_SPEAKERS:
        draws, uar = draws[:0], Interval(uar.value)
    rows = []
    for scaling, version in versions(result).items():
        answers = answers_of(version)
        row: dict[str, object] = {"scaling": scaling, "ece_floor": _floor(answers)}
        for score, found in (_scores(answers, draws) | {"uar": uar}).items():
            row |= found.columns(score, f"{score}_")
        rows.append(row)
    return pd.DataFrame(rows)


def reliability(result: Result, edges: NDArray[np.floating]) -> pd.DataFrame:
    """Compute confidence and accuracy of all seeds' predictions in each bin of confidence.

    Returns:
        A row for each bin with clips: ``low``, ``high``, ``clips``, ``confidence`` (mean of the
        highest probability), ``accuracy``.
    """
    answers = answers_of(result)
    number = bin_of(answers.confidence, edges)
    rows = pd.DataFrame(
        {"bin": number, "confidence": answers.confidence, "accuracy": answers.right.astype(float)}
    )
    bins = rows.groupby("bin")
    found = pd.DataFrame({"clips": bins.size()}).join(bins.mean())
    ends = {"low": edges[found.index], "high": edges[found.index + 1]}
    return pd.DataFrame(ends).join(found.reset_index(drop=True))


def _arrays(rows: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    labels = labels_of(rows)
    probabilities = np.asarray(rows[[PROBABILITY + label for label in labels]], np.float64)
    return probabilities, pd.Index(labels).get_indexer(pd.Index(rows["truth"]))


def _scaled(run: Run) -> Run:
    rows = run.predictions.copy()
    columns = [PROBABILITY + label for label in labels_of(rows)]
    values = rows[columns].to_numpy(np.float64, copy=True)
    probabilities, truth = _arrays(run.validation)
    for _, of_fold in rows.groupby("fold"):
        other = ~run.validation["speaker"].isin(of_fold["speaker"].unique()).to_numpy()
        temperature = fit_temperature(probabilities[other], truth[other])
        values[of_fold.index] = apply_temperature(values[of_fold.index], temperature)
    rows[columns] = values
    return replace(run, predictions=rows)


def _floor(answers: Answers) -> float:
    of_seeds = (answers.confidence[answers.seed == seed] for seed in range(answers.shape[0]))
    return float(np.mean([calibration_floor(each, edges=equal_width()) for each in of_seeds]))


def _scores(answers: Answers, draws: NDArray[np.float64]) -> dict[str, Interval]:
    """Each score with its interval; all are ratios of sums over clips."""
    clips = answers.sums(np.ones((len(answers.truth), 1)))
    drawn_clips = drawn_sums(draws, clips)[..., 0]

    def means(values: NDArray[np.floating]) -> tuple[float, NDArray[np.float64]]:
        """Absolute column sums divided by clips: of all speakers, and of each draw of speakers."""
        sums = answers.sums(values)
        whole = np.abs(sums.sum(axis=1)).sum(axis=-1) / clips.sum(axis=(1, 2))
        drawn = np.abs(drawn_sums(draws, sums)).sum(axis=-1) / drawn_clips
        return float(whole.mean()), np.asarray(drawn.mean(axis=1))

    gap = answers.confidence - answers.right
    found = {}
    for score, edges in (("ece", equal_width()), ("ece_mass", equal_mass(answers.confidence))):
        bins = np.eye(len(edges) - 1)[bin_of(answers.confidence, edges)]
        value, drawn = means(bins * gap[:, np.newaxis])
        if len(drawn):  # resampling adds noise, which always raises an ECE: shift the median back
            drawn = np.maximum(drawn - np.median(drawn) + value, 0)
        found[score] = value, drawn
    for score, losses in (("brier", brier_scores), ("nll", log_losses)):
        found[score] = means(losses(answers.probabilities, answers.truth)[:, np.newaxis])
    speakers = draws.shape[1]
    return {score: percentiles(*pair, speakers=speakers) for score, pair in found.items()}
