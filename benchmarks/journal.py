"""Measure false alarms and power of the journal, and write its confusion matrices.

    python benchmarks/journal.py --confusion   # src/affekt/journal/confusion.json
    python benchmarks/journal.py --baseline    # results/journal-baseline.csv
    python benchmarks/journal.py --smallest    # results/journal-smallest.csv
    python benchmarks/journal.py --marks       # results/journal-marks.csv
    python benchmarks/journal.py               # results/journal.csv

Nothing is trained and no sound is read: answers are drawn from the archived cross-validation, in
which no speaker was in training. Each simulated journal has two weeks of baseline and two weeks
after it, with 1 to 10 recordings a day. In the baseline, 20 % of the recordings are sad; after it,
20, 40 or 60 %; the rest is angry, happy and neutral in equal parts. Recordings are drawn with
replacement from the clips of one held-out speaker. The confusion matrices are those of the other
speakers. An alarm is what the report marks: a share with p below 0.05, adjusted after Holm.
"""

import gc
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track

from affekt.journal import confusion as confusion_module
from affekt.journal import estimation
from affekt.journal.changes import ALPHA, change_points, holm, smallest_detectable
from affekt.journal.confusion import Confusion
from affekt.journal.course import MARGIN, ONE_EMOTION
from affekt.journal.estimation import Sample, estimate, permutation_test
from affekt.runs.reading import read_run
from arguments import parser_of, save

RUN = Path("results/corpora-encoder/seed-0")
ENROLMENT, NO_ENROLMENT = "random-8", "none"
LABELS = ("angry", "happy", "sad", "neutral")
SAD = LABELS.index("sad")
DAYS = 14  # of the baseline, and again after it
BEFORE, SHARES, RATES = 0.2, (0.2, 0.4, 0.6), (1, 2, 3, 5, 10)
DRAWS = 6  # journals of each speaker and condition
SMALLEST_RATES = (3, 10)  # recordings a day; with fewer, most changes would exceed 80 points
CORPORA = {"ravdess": "RAVDESS", "emovo": "EMOVO", "nemo": "nEMO"}  # whose speakers are simulated


def answers(run: Path = RUN, enrolment: str = ENROLMENT) -> dict[str, dict[str, np.ndarray]]:
    """Probabilities of the clips of each true emotion, for each held-out speaker."""
    read = read_run(run)
    table = read.predictions
    if enrolment != NO_ENROLMENT:
        table = read.enrolment[read.enrolment["profile"] == enrolment]
    columns = [f"p_{label}" for label in LABELS]
    return {
        str(speaker): {
            label: rows.loc[rows["truth"] == label, columns].to_numpy(np.float64)
            for label in LABELS
        }
        for speaker, rows in table.groupby("speaker", sort=False)
    }


def matrices(by_speaker: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Confusion matrix of each speaker; their spread is reduced by the noise of few clips."""
    raw = {
        speaker: np.array([clips[label].mean(axis=0) for label in LABELS])
        for speaker, clips in by_speaker.items()
    }
    every = np.array([*raw.values()])
    noise = np.mean(
        [
            [clips[label].var(axis=0, ddof=1) / len(clips[label]) for label in LABELS]
            for clips in by_speaker.values()
        ],
        axis=0,
    )
    kept = np.sqrt(np.clip(1 - noise.sum() / every.var(axis=0, ddof=1).sum(), 0, 1))
    mean = every.mean(axis=0)
    return {speaker: mean + kept * (matrix - mean) for speaker, matrix in raw.items()}


def write_confusion() -> None:
    found = matrices(answers())
    about = {
        "source": f"{RUN.as_posix()}, enrolment {ENROLMENT}",
        "labels": LABELS,
        "speakers": {name: matrix.round(4).tolist() for name, matrix in found.items()},
    }
    text = json.dumps(about).replace(']], "', ']],\n"').replace('"speakers": {', '"speakers": {\n')
    confusion_module.FILE.write_text(text + "\n", encoding="utf-8")


def mostly(label: str, share: float) -> list[float]:
    """Shares of the labels: that of one, and equal ones of the others."""
    rest = (1 - share) / (len(LABELS) - 1)
    return [share if each == label else rest for each in LABELS]


def sample(
    clips: dict[str, np.ndarray],
    mixture: list[float],
    rate: int,
    rng: np.random.Generator,
    *,
    days: int = DAYS,
    of_the_day: float = 0.0,
) -> Sample:
    """Draw days, with recordings of one utterance of 2 s each.

    ``of_the_day`` is the share of recordings that have the emotion drawn for their day.
    """
    number = rate * days
    emotions = rng.choice(len(LABELS), number, p=mixture)
    if of_the_day:
        moods = rng.choice(len(LABELS), days, p=mixture).repeat(rate)
        emotions = np.where(rng.random(number) < of_the_day, moods, emotions)
    shares = np.array([rng.choice(clips[LABELS[k]]) for k in emotions])
    means = shares.reshape(days, rate, -1).mean(axis=1)
    owners = np.arange(number) // rate
    return Sample(LABELS, means, np.full(days, 2.0 * rate), shares, np.full(number, 2.0), owners)


def journals() -> Iterator[dict[str, object]]:
    """Simulate journals: one row each."""
    for number, (speaker, clips, confusion) in enumerate(simulated()):
        for share, rate, draw in product(SHARES, RATES, range(DRAWS)):
            rng = np.random.default_rng((number, round(100 * share), rate, draw))
            row = {"speaker": speaker, "sad": share, "rate": rate}
            yield row | one_journal(clips, confusion, share, rate, rng)


def simulated() -> Iterator[tuple[str, dict[str, np.ndarray], Confusion]]:
    """Name and clips of each speaker to simulate, and the confusion matrices of the others."""
    by_speaker = answers()
    known = matrices(by_speaker)
    drawn = [item for item in by_speaker.items() if item[0].partition(":")[0] in CORPORA]
    for speaker, clips in track(drawn, "", console=Console(stderr=True)):
        others = np.array([matrix for name, matrix in known.items() if name != speaker])
        yield speaker, clips, Confusion("", others)


def one_journal(
    clips: dict[str, np.ndarray],
    confusion: Confusion,
    share: float,
    rate: int,
    rng: np.random.Generator,
) -> dict[str, object]:
    before = sample(clips, mostly("sad", BEFORE), rate, rng)
    after = sample(clips, mostly("sad", share), rate, rng)
    found = estimate(after, confusion, rng, before)
    adjusted = holm([found[label].p for label in LABELS])
    weeks = [part(after, slice(n, n + 7)) for n in (0, 7)]
    weekly = [estimate(week, confusion, rng, before) for week in weeks]
    marks = holm([week[label].p for week in weekly for label in LABELS])
    every, seed = np.concatenate([before.shares, after.shares]), int(rng.integers(99))
    points = change_points(every, np.ones(len(every)), seed)  # days have equal speech
    near = [abs(point - DAYS) <= 3 for point in points]
    sad = found["sad"]
    return {
        "alarm": min(adjusted) < ALPHA,
        "alarm_sad": adjusted[SAD] < ALPHA,
        "alarm_week": min(marks) < ALPHA,
        "change_point": bool(points),
        "change_point_near": any(near),
        "change": sad.change,
        "covered": sad.change_low <= share - BEFORE <= sad.change_high,
        "width": sad.change_high - sad.change_low,
    }


def part(whole: Sample, rows: slice) -> Sample:
    shares, seconds = whole.shares[rows], whole.seconds[rows]
    return Sample(LABELS, shares, seconds, shares, seconds, np.arange(len(seconds)))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Average over journals, for each corpus and for all speakers with equal weight."""
    corpus = table["speaker"].str.partition(":")[0].map(CORPORA)
    parts = [table.assign(corpus=corpus), table.assign(corpus="all")]
    grouped = pd.concat(parts).groupby(["corpus", "sad", "rate"], sort=False)
    means = grouped.mean(numeric_only=True).round(3)
    sizes = grouped.agg(speakers=("speaker", "nunique"), journals=("speaker", "size"))
    columns = {"sad": "share_sad_after", "rate": "recordings_a_day"}
    return sizes.join(means).reset_index().rename(columns=columns)


def one_emotion_baselines(draws: int = 30, recordings: int = 10) -> pd.DataFrame:
    """Measure how often a baseline is taken for one of a single emotion, without enrolment."""
    clips, rng = answers(enrolment=NO_ENROLMENT), np.random.default_rng(0)
    rows = []
    for prevailing in ("", *LABELS):
        mixture = mostly(prevailing, 0.8) if prevailing else mostly("sad", 0.25)
        warned = []
        for of_speaker in clips.values():
            for _ in range(draws):
                drawn = rng.choice(len(LABELS), recordings, p=mixture)
                means = np.mean([rng.choice(of_speaker[LABELS[k]]) for k in drawn], axis=0)
                name = LABELS[int(means.argmax())]
                warned.append(means.max() >= ONE_EMOTION and name == (prevailing or name))
        rows.append({"prevailing": prevailing or "none", "warned": round(np.mean(warned), 3)})
    return pd.DataFrame(rows).assign(recordings=recordings, journals=len(warned))


def smallest_changes() -> pd.DataFrame:
    """Measure how often a change of sad is found that is as small as the report states."""
    rows = []
    for number, (_, clips, confusion) in enumerate(simulated()):
        for rate, draw, margin in product(SMALLEST_RATES, range(DRAWS), (1.0, MARGIN)):
            rng = np.random.default_rng((number, rate, draw))
            before, again = (sample(clips, mostly("sad", BEFORE), rate, rng) for _ in range(2))
            every = np.concatenate([before.shares, again.shares])
            stated = margin * smallest_detectable(confusion.linear(every), DAYS, DAYS)[SAD]
            row = {"recordings_a_day": rate, "margin": margin, "change": stated}
            if stated <= 1 - BEFORE:
                after = sample(clips, mostly("sad", BEFORE + stated), rate, rng)
                row["found"] = marked(before, after, rng)["sad"]
            rows.append(row)
    means = pd.DataFrame(rows).astype({"found": float}).groupby(["recordings_a_day", "margin"])
    table = means.mean().round(3).assign(journals=means["found"].count(), drawn=means.size())
    return table.reset_index()


def marked(before: Sample, after: Sample, rng: np.random.Generator) -> dict[str, bool]:
    """Whether the report marks the share of each emotion."""
    chances = permutation_test(before, after, rng)
    adjusted = holm([chances[label] for label in LABELS])
    return {label: p < ALPHA for label, p in zip(LABELS, adjusted, strict=True)}


def marks_of_shares_that_stay() -> pd.DataFrame:
    """Measure how often a share is marked that does not change.

    Change "none": of five recordings a day, half have an emotion drawn for the day. The test
    exchanges days, as the report does, or recordings. Change "sad to angry": of one recording a
    day, 30 % turn from sad to angry; happy and neutral stay.
    """
    rows = []
    for number, (_, clips, _) in enumerate(simulated()):
        for draw in range(20):
            rng = np.random.default_rng((number, draw))
            mixture = mostly("sad", BEFORE)
            days = [sample(clips, mixture, 5, rng, of_the_day=0.5) for _ in range(2)]
            apart = [replace(each, shares=each.utterances, seconds=each.lengths) for each in days]
            for units, periods in (("days", days), ("recordings", apart)):
                about = {"change": "none", "days": f"{DAYS}, {DAYS}", "units": units}
                rows.append(about | marked(*periods, rng))
        for spans, draw in product(((28, 28), (70, 140), (140, 560)), range(10)):
            rng = np.random.default_rng((number, *spans, draw))
            shares = [0.2, 0.2, 0.4, 0.2], [0.5, 0.2, 0.1, 0.2]
            periods = [
                sample(clips, mixture, 1, rng, days=span)
                for mixture, span in zip(shares, spans, strict=True)
            ]
            about = {"change": "sad to angry", "days": f"{spans[0]}, {spans[1]}", "units": "days"}
            rows.append(about | marked(*periods, rng))
    table = pd.DataFrame(rows)
    table["any"] = table[list(LABELS)].any(axis=1)
    grouped = table.groupby(["change", "days", "units"], sort=False)
    return grouped.mean().round(3).assign(journals=grouped.size()).reset_index()


def main() -> None:
    others = {
        "baseline": one_emotion_baselines,
        "smallest": smallest_changes,
        "marks": marks_of_shares_that_stay,
    }
    parser = parser_of(__doc__)
    for name in ("confusion", *others):
        parser.add_argument(f"--{name}", action="store_const", dest="chosen", const=name)
    chosen = parser.parse_args().chosen
    if chosen == "confusion":
        write_confusion()
        return
    estimation.PERMUTATIONS, estimation.RESAMPLES = 1_999, 500  # a quarter of the report's
    gc.freeze()  # statsmodels collects garbage at every adjustment
    if chosen:
        save(others[chosen](), Path(f"results/journal-{chosen}.csv"))
    else:
        save(summary(pd.DataFrame(journals())), Path("results/journal.csv"))


if __name__ == "__main__":
    main()
