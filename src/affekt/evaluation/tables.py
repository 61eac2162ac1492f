"""Compute the tables of a report, each as a data frame that is also saved as CSV.

Ends of scores are 95 % intervals over speakers or, with fewer than 8 speakers, the lowest and the
highest speaker; the column ``spread`` says which. Scores of several seeds are averaged, counts are
summed.

Source: paper, Tables I (clips per class), II (accuracies) and III (confusion matrix).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from affekt.corpora.joined import corpus_of
from affekt.evaluation.comparison import compare
from affekt.evaluation.intervals import Interval, shown_uar, speaker_uars
from affekt.evaluation.metrics import f1_of, recalls_of, tally
from affekt.evaluation.paper import Published
from affekt.evaluation.results import NO_PROFILE, Result
from affekt.runs.reading import Run

OTHER_COLUMNS = {"recipe", "seeds", "folds", "planned", "clips", "uar", "low", "high", "spread"}
OTHER_COLUMNS |= {"paper", "accuracy", "macro_f1", "speaker", "speakers", "gender", "truth"}
CLIPS = {NO_PROFILE: "0", "all": "all"} | {f"random-{n}": str(n) for n in (1, 2, 4, 8, 16)}
MAIN = ("random-8", "all")  # conditions that other tables show beside no enrolment


def column_of(label: str) -> str:
    """Name the column of a label: by the label, unless another column has this name.

    >>> column_of("angry"), column_of("low")
    ('angry', 'label_low')
    """
    return f"label_{label}" if label in OTHER_COLUMNS | {"recall"} else label


def classes(run: Run) -> pd.DataFrame:
    """Count clips, speakers and durations of each class of the tested corpora (Table I).

    Returns:
        A row for each label and one for all: ``label``, ``clips``, ``speakers``, ``seconds`` in
        all, of the ``shortest`` and ``longest`` clip, and ``mean``.
    """
    table = pd.DataFrame(run.corpus["classes"])
    tested = {corpus_of(name) for name in run.parts["speaker"][run.parts["part"] == "test"]}
    whole = {
        "label": "all",
        "clips": table["clips"].sum(),
        "speakers": sum(corpus_of(name) in tested for name in run.parts["speaker"].unique()),
        "seconds": table["seconds"].sum(),
        "shortest": table["shortest"].min(),
        "longest": table["longest"].max(),
    }
    table = pd.concat([table, pd.DataFrame([whole])], ignore_index=True)
    return table.assign(mean=table["seconds"] / table["clips"])


def scores(results: Sequence[Result]) -> pd.DataFrame:
    """Score recipes beside the values of the paper (Table II).

    Returns:
        A row for each: ``recipe``, ``seeds``, ``folds`` done, ``planned``, ``clips``, ``uar``,
        ``low``, ``high``, ``spread``, ``paper``, ``accuracy``, ``macro_f1``, and for each label
        ``<label>``, ``<label>_low``, ``<label>_high``, ``<label>_paper``; NaN where the paper
        has no value, for all scores of an unfinished recipe, and for the ends of a label that
        fewer than 8 speakers have if the ends of UAR are an interval.
    """
    rows = []
    for result in results:
        none, paper = Interval(np.nan), result.published or Published(np.nan)
        uar = result.uar if result.complete else none
        accuracy = np.trace(result.counts) / result.counts.sum()
        macro_f1 = f1_of(result.tally.counts.sum(axis=1)).mean()
        row: dict[str, object] = {
            "recipe": result.recipe,
            "seeds": len(result.runs),
            "folds": sum(len(run.folds) for run in result.runs),
            "planned": sum(run.planned for run in result.runs),
            "clips": len(result.clips),
            **uar.columns(),
            "spread": uar.kind,
            "paper": paper.uar,
            "accuracy": accuracy if result.complete else np.nan,
            "macro_f1": macro_f1 if result.complete else np.nan,
        }
        for label in result.tally.labels:
            recall, column = result.recalls[label] if result.complete else none, column_of(label)
            ends = recall if recall.kind == uar.kind else Interval(recall.value)
            row |= ends.columns(column, f"{column}_")
            row[f"{column}_paper"] = paper.recalls.get(label, np.nan)
        rows.append(row)
    return pd.DataFrame(rows)


def confusion(result: Result) -> pd.DataFrame:
    """Count clips by ``truth`` and predicted label, with the ``recall`` of each row (Table III)."""
    labels = list(result.tally.labels)
    table = pd.DataFrame(result.counts, columns=[*map(column_of, labels)])
    table.insert(0, "truth", labels)
    return table.assign(recall=recalls_of(result.counts))


def speakers(result: Result) -> pd.DataFrame:
    """Score each speaker, the lowest UAR first.

    Returns:
        ``speaker``, ``gender``, ``clips``, ``uar`` (over the speaker's classes), ``accuracy``,
        and the recall of each label, NaN if the speaker has no clip of it.
    """
    counts = result.tally.counts.sum(axis=0)
    by_speaker = result.predictions.groupby("speaker")  # sorted, as the tally is
    table = by_speaker.agg(gender=("gender", "first"), clips=("file", "nunique")).reset_index()
    table["uar"] = speaker_uars(result.tally)
    table["accuracy"] = np.trace(counts, axis1=1, axis2=2) / counts.sum(axis=(1, 2))
    table[[*map(column_of, result.tally.labels)]] = recalls_of(counts)
    return table.sort_values(["uar", "speaker"], ignore_index=True)


def genders(result: Result) -> pd.DataFrame:
    """Score the speakers of each gender.

    Returns:
        ``gender``, ``speakers``, ``clips``, ``uar``, ``low``, ``high``, ``spread``, and the
        recall of each label.
    """
    rows = []
    for gender, predictions in result.predictions.groupby("gender"):
        part = tally(predictions)
        uar, recalls = shown_uar(part), recalls_of(part.counts.sum(axis=1)).mean(axis=0)
        row = {"gender": gender, "speakers": len(part.speakers)}
        row["clips"] = predictions["file"].nunique()
        row |= uar.columns() | {"spread": uar.kind}
        rows.append(row | dict(zip(map(column_of, part.labels), recalls, strict=True)))
    return pd.DataFrame(rows)


def seeds(results: Sequence[Result]) -> pd.DataFrame:
    """Score each seed, with the time that it took.

    Returns:
        ``recipe``, ``seed``, ``folds`` done, ``planned``, ``uar`` (NaN while a fold is missing;
        other tables also leave out a seed with missing folds of another corpus),
        ``best_epoch`` (median over folds), ``minutes`` (sum over folds), ``digest``,
        ``command``.
    """
    rows = []
    for result in results:
        for run in sorted((*result.runs, *result.unfinished), key=lambda run: run.seed):
            whole = Result(run.recipe, (run,))
            uar = recalls_of(whole.counts).mean() if run.complete else np.nan
            epochs = [f["best_epoch"] for f in run.folds if f.get("best_epoch") is not None]
            # a resumed fold takes the time of all its epochs
            trained = run.curves.groupby("fold")["seconds"].sum()
            seconds = sum(max(f["seconds"], trained.get(f["fold"], 0.0)) for f in run.folds)
            row = {"recipe": run.recipe, "seed": run.seed, "folds": len(run.folds)}
            row |= {"planned": run.planned, "uar": uar}
            row |= {"best_epoch": float(np.median(epochs)) if epochs else np.nan}
            row |= {"minutes": seconds / 60, "digest": run.digest, "command": run.command}
            rows.append(row)
    return pd.DataFrame(rows)


def comparisons(reference: Result, others: Sequence[Result]) -> pd.DataFrame:
    """Compare a recipe with others on the same clips, paired by speaker.

    Returns:
        ``recipe``, ``against``, ``difference`` in UAR, ``low``, ``high``, ``spread``, ``p``.
    """
    rows = []
    for other in others:
        found = compare(reference.tally, other.tally)
        row: dict[str, object] = {"recipe": reference.recipe, "against": other.recipe}
        row |= found.shown.columns("difference") | {"spread": found.shown.kind, "p": found.p}
        rows.append(row)
    columns = ["recipe", "against", "difference", "low", "high", "spread", "p"]
    return pd.DataFrame(rows, columns=columns)


def enrolments(result: Result) -> pd.DataFrame:
    """Score a recipe under each enrolment condition, on the same test clips.

    Returns:
        A row for each condition, ``none`` first: ``profile``; ``clips`` enrolled, ``0`` to
        ``all``, empty unless they were drawn at random from all emotions; ``uar``, ``low``,
        ``high``; ``gain`` in UAR over ``none`` on the same clips, ``gain_low``, ``gain_high``
        and its ``p``, NaN for ``none`` and if a label has no clip; ``spread``, the kind of the
        ends (:class:`~affekt.evaluation.intervals.Interval`).
    """
    rows = []
    for profile in result.profiles:
        found = result.under(profile)
        row: dict[str, object] = {"profile": profile, "clips": CLIPS.get(profile, "")}
        row |= found.uar.columns() | {"spread": found.uar.kind}
        gain, p = Interval(np.nan), np.nan
        if profile != NO_PROFILE and not np.isnan(found.uar.value):
            against = compare(found.tally, result.tally)
            gain, p = against.shown, against.p
        row |= gain.columns("gain", "gain_") | {"p": p}
        rows.append(row)
    return pd.DataFrame(rows)


def main_profiles(result: Result) -> tuple[str, ...]:
    """Return the tested ones among no enrolment, 8 clips and all clips, to compare recipes by."""
    return (NO_PROFILE, *(profile for profile in MAIN if profile in result.profiles))
