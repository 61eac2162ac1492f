"""Results to how far their probabilities can be trusted: calibration before and after scaling.

A score is the mean over seeds of the score over all folds pooled, with an interval over
speakers, as everywhere. What scales a fold is fitted on all folds' ``validation.csv``, without
the speakers that the fold tests: one or two of validation are too few to tell a temperature by.

Source: Guo et al., "On Calibration of Modern Neural Networks" (2017).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from affekt.errors import RunError
from affekt.evaluation import calibration_metrics
from affekt.evaluation.intervals import (
    RESAMPLES,
    SEED,
    Interval,
    percentiles,
    speaker_draws,
)
from affekt.evaluation.predictions import PROBABILITY, PROFILE, labels_of
from affekt.evaluation.results import Result
from affekt.evaluation.runs import Run, find_runs, read_run

SCALINGS = {
    "temperature": calibration_metrics.fit_temperature,
    "vector": calibration_metrics.fit_vector,
}
UNSCALED = "none"
WHOLE_PROFILE = "all"


@dataclass(frozen=True)
class Answers:
    """A result's rows as arrays, all seeds below each other.

    Attributes:
        probabilities: ``(rows, labels)``.
        truth: ``(rows,)`` columns of the true labels.
        seed: ``(rows,)`` places among the seeds.
        speaker: ``(rows,)`` places among the speakers.
        shape: how many seeds and speakers.
    """

    probabilities: NDArray[np.float64]
    truth: NDArray[np.int64]
    seed: NDArray[np.int64]
    speaker: NDArray[np.int64]
    shape: tuple[int, int]

    @property
    def confidence(self) -> NDArray[np.float64]:
        """``(rows,)`` highest probability."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def right(self) -> NDArray[np.bool_]:
        """``(rows,)`` whether the label of the highest probability is the true one."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.truth)

    def sums(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """``(rows, columns)`` values to their ``(seeds, speakers, columns)`` sums."""
        found = np.zeros((*self.shape, values.shape[1]))
        np.add.at(found, (self.seed, self.speaker), values)
        return found


def answers_of(result: Result) -> Answers:
    """A result's rows as arrays."""
    rows, tally = result.predictions, result.tally
    seeds = {seed: place for place, seed in enumerate(tally.seeds)}
    speakers = {speaker: place for place, speaker in enumerate(tally.speakers)}
    return Answers(
        *_arrays(rows),
        seed=np.asarray(rows["seed"].map(seeds), np.int64),
        speaker=np.asarray(rows["speaker"].map(speakers), np.int64),
        shape=(len(seeds), len(speakers)),
    )


def drawn_sums(draws: NDArray[np.int64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(draws, seeds, columns)`` sums over the speakers drawn."""
    return np.asarray(np.einsum("rs,ksc->rkc", draws, sums))


def scalable(result: Result) -> bool:
    """Whether every fold tells what its network answered the validation speakers."""
    return all(len(run.validation) for run in result.runs)


def pooled_temperatures(runs: Iterable[Path]) -> tuple[float, float]:
    """The temperatures of a model that nobody is left to calibrate: of its cross-validation.

    A network is right more often about a voice that it knows, so it may be surer of it.

    Args:
        runs: cross-validated runs of networks like the model, whose tested speakers none of
            those networks had heard.

    Returns:
        The two that make all of their test clips' labels most likely: where nobody is known, and
        where all other clips of the speaker are (the same, if that was not tested).

    Raises:
        RunError: no run, or one with a fold missing.
        LabelError: predictions that do not fit their labels.
    """
    found = [read_run(folder) for folder in find_runs(runs)]
    unfinished = [run.recipe for run in found if not run.complete]
    if unfinished or not found:
        raise RunError(
            f"runs to calibrate by must have every fold. Got no run that has. Unfinished: "
            f"{', '.join(unfinished) or 'none'}. Run them to their end."
        )
    known = [run.enrolment[run.enrolment[PROFILE] == WHOLE_PROFILE] for run in found]
    strangers = _temperature([run.predictions for run in found])
    return strangers, _temperature(known) if all(map(len, known)) else strangers


def _temperature(tables: Iterable[pd.DataFrame]) -> float:
    arrays = [_arrays(rows) for rows in tables]
    probabilities, truth = (np.concatenate(each) for each in zip(*arrays, strict=True))
    return 1.0 / float(calibration_metrics.fit_temperature(probabilities, truth).scale[0])


def scaled(result: Result, scaling: str) -> Result:
    """The same result with each fold's probabilities calibrated on validation speakers.

    Those of all folds but for whom the fold tests.

    Args:
        result: a scalable one.
        scaling: ``temperature`` or ``vector``; ``none`` leaves all as it is.

    Returns:
        The result with other probabilities; a vector may change what is predicted.
    """
    if scaling == UNSCALED:
        return result
    return Result(result.recipe, tuple(_scaled(run, scaling) for run in result.runs))


def calibrations(result: Result, *, resamples: int = RESAMPLES, seed: int = SEED) -> pd.DataFrame:
    """How far probabilities can be trusted, as they are and after each scaling.

    Args:
        result: any recipe.
        resamples: how many times to draw the speakers anew.
        seed: of the drawing.

    Returns:
        A row for ``none`` and, where the result is scalable, for each scaling: ``scaling``;
        ``ece`` (ten bins of equal width), ``ece_mass`` (of equal mass), ``brier`` in [0, 2],
        ``nll`` in nats, ``uar``; each with ``<score>_low`` and ``<score>_high``.
    """
    draws = speaker_draws(result.tally, resamples, seed)
    rows = []
    for scaling in (UNSCALED, *(SCALINGS if scalable(result) else ())):
        after = scaled(result, scaling)
        row: dict[str, object] = {"scaling": scaling}
        for score, found in _scores(answers_of(after), draws).items():
            row |= {score: found.value, f"{score}_low": found.low, f"{score}_high": found.high}
        uar = after.uar
        rows.append({**row, "uar": uar.value, "uar_low": uar.low, "uar_high": uar.high})
    return pd.DataFrame(rows)


def reliability(result: Result, edges: NDArray[np.floating]) -> pd.DataFrame:
    """How often answers of each confidence are right.

    Args:
        result: a recipe; the rows of all seeds count.
        edges: of the bins.

    Returns:
        A row for each bin that holds a clip: ``low``, ``high``, ``clips``, ``confidence`` (mean
        of the highest probability), ``accuracy``.
    """
    answers = answers_of(result)
    number = calibration_metrics.bin_of(answers.confidence, edges)
    rows = pd.DataFrame(
        {"bin": number, "confidence": answers.confidence, "accuracy": answers.right.astype(float)}
    )
    found = rows.groupby("bin").mean()
    found.insert(0, "clips", rows.groupby("bin").size())
    found.insert(0, "high", edges[found.index + 1])
    found.insert(0, "low", edges[found.index])
    return found.reset_index(drop=True)


def _arrays(rows: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    labels = labels_of(rows)
    columns = {label: place for place, label in enumerate(labels)}
    probabilities = np.asarray(rows[[PROBABILITY + label for label in labels]], np.float64)
    return probabilities, np.asarray(rows["truth"].map(columns), np.int64)


def _scaled(run: Run, scaling: str) -> Run:
    columns = [PROBABILITY + label for label in labels_of(run.predictions)]
    rows = run.predictions.copy()
    for _, of_fold in rows.groupby("fold"):
        tested = rows.index.isin(of_fold.index)
        strangers = ~run.validation["speaker"].isin(of_fold["speaker"].unique())
        scale = SCALINGS[scaling](*_arrays(run.validation[strangers]))
        rows.loc[tested, columns] = scale(rows.loc[tested, columns].to_numpy(np.float64))
    if scaling != "temperature":
        labels = np.array(labels_of(rows))
        rows["predicted"] = labels[rows[columns].to_numpy().argmax(axis=1)]
    return replace(run, predictions=rows)


def _scores(answers: Answers, draws: NDArray[np.int64]) -> dict[str, Interval]:
    """Each score with its interval; all are sums over clips before anything else."""
    rows = np.ones((len(answers.truth), 1))
    clips = answers.sums(rows)
    gap = answers.confidence - answers.right
    found = {}
    edges = {
        "ece": calibration_metrics.equal_width(),
        "ece_mass": calibration_metrics.equal_mass(answers.confidence),
    }
    for score, of_bins in edges.items():
        bins = np.eye(len(of_bins) - 1)[calibration_metrics.bin_of(answers.confidence, of_bins)]
        value, drawn = _means(answers.sums(bins * gap[:, np.newaxis]), clips, draws)
        found[score] = _centred(value, drawn, draws.shape[1])
    for score, losses in (
        ("brier", calibration_metrics.brier_scores(answers.probabilities, answers.truth)),
        ("nll", calibration_metrics.log_losses(answers.probabilities, answers.truth)),
    ):
        value, drawn = _means(answers.sums(losses[:, np.newaxis]), clips, draws)
        found[score] = percentiles(value, drawn, speakers=draws.shape[1])
    return found


def _means(
    sums: NDArray[np.float64], clips: NDArray[np.float64], draws: NDArray[np.int64]
) -> tuple[float, NDArray[np.float64]]:
    """Absolute sums of the columns over the clips, as they are and for each draw of speakers."""
    whole = np.abs(sums.sum(axis=1)).sum(axis=-1) / clips.sum(axis=(1, 2))
    drawn = np.abs(drawn_sums(draws, sums)).sum(axis=-1) / drawn_sums(draws, clips)[..., 0]
    return float(whole.mean()), np.asarray(drawn.mean(axis=1))


def _centred(value: float, drawn: NDArray[np.float64], speakers: int) -> Interval:
    """Percentiles of resamples that are moved until their median is the value.

    Noise in a bin can only add to an ECE, and a resample adds noise: plain percentiles would
    lie too high, at times above the value itself.
    """
    moved = np.maximum(drawn - np.median(drawn) + value, 0) if len(drawn) else drawn
    return percentiles(value, moved, speakers=speakers)
