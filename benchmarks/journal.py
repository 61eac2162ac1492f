"""Measure false alarms and power of the journal, and write its confusion matrices.

    python benchmarks/journal.py --confusion   # src/affekt/journal/confusion.json
    python benchmarks/journal.py --baseline    # results/journal-baseline.csv
    python benchmarks/journal.py --smallest    # results/journal-smallest.csv
    python benchmarks/journal.py               # results/journal.csv, docs/journal-power.svg

Nothing is trained and no sound is read: answers are drawn from the archived cross-validation, in
which no speaker was in training. Each simulated journal has two weeks of baseline and two weeks
after it, with 1 to 10 recordings a day. In the baseline, 20 % of the recordings are sad; after it,
20, 40 or 60 %; the rest is angry, happy and neutral in equal parts. Recordings are drawn with
replacement from the clips of one held-out speaker. The confusion matrices are those of the other
speakers. An alarm is what the report marks: a share with p below 0.05, adjusted after Holm.
"""

import argparse
import gc
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track

from affekt.journal import confusion as confusion_module
from affekt.journal import estimation
from affekt.journal.changes import ALPHA, change_points, holm, smallest_detectable
from affekt.journal.confusion import Confusion
from affekt.journal.course import MARGIN, ONE_EMOTION
from affekt.journal.estimation import Sample, estimate, permutation_test
from affekt.label_colors import EMOTIONS
from affekt.report.style import LINE, STYLE, to_svg
from affekt.runs.reading import read_run

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


def sample(clips: dict[str, np.ndarray], sad: float, rate: int, rng: np.random.Generator) -> Sample:
    """Draw the days of two weeks, with recordings of one utterance of 2 s each."""
    number = rate * DAYS
    rest = (1 - sad) / (len(LABELS) - 1)
    mixture = [sad if label == "sad" else rest for label in LABELS]
    drawn = [rng.choice(clips[LABELS[k]]) for k in rng.choice(len(LABELS), number, p=mixture)]
    shares, seconds, days = np.array(drawn), np.full(number, 2.0), np.arange(number) // rate
    means = shares.reshape(DAYS, rate, -1).mean(axis=1)
    return Sample(LABELS, means, np.full(DAYS, 2.0 * rate), shares, seconds, days)


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
    before = sample(clips, BEFORE, rate, rng)
    after = sample(clips, share, rate, rng)
    found = estimate(after, confusion, rng, before)
    adjusted = holm([found[label].p for label in LABELS])
    weeks = [part(after, slice(n, n + 7)) for n in (0, 7)]
    weekly = [estimate(week, confusion, rng, before) for week in weeks]
    marks = holm([week[label].p for week in weekly for label in LABELS])
    points = change_points(np.concatenate([before.shares, after.shares]), int(rng.integers(99)))
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
        mixture = [0.25 if not prevailing else 0.8 if x == prevailing else 0.2 / 3 for x in LABELS]
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
            before = sample(clips, BEFORE, rate, rng)
            every = np.concatenate([before.shares, sample(clips, BEFORE, rate, rng).shares])
            stated = margin * smallest_detectable(confusion.linear(every), DAYS, DAYS)[SAD]
            row = {"recordings_a_day": rate, "margin": margin, "change": stated}
            if stated <= 1 - BEFORE:
                after = sample(clips, BEFORE + stated, rate, rng)
                chances = permutation_test(before, after, rng)
                row["found"] = holm([chances[label] for label in LABELS])[SAD] < ALPHA
            rows.append(row)
    means = pd.DataFrame(rows).astype({"found": float}).groupby(["recordings_a_day", "margin"])
    table = means.mean().round(3).assign(journals=means["found"].count(), drawn=means.size())
    return table.reset_index()


def figure(table: pd.DataFrame) -> Figure:
    """Draw how often a change is found, by recordings a day."""
    whole = table[table["corpus"] == "all"]
    with rc_context(STYLE):
        drawn = Figure(figsize=(7.2, 3.1), layout="constrained")
        panels = {
            "alarm_sad": "share of sad marked, two weeks",
            "change_point_near": "change point within 3 days",
        }
        for axes, (column, title) in zip(
            drawn.subplots(1, 2, sharey=True), panels.items(), strict=True
        ):
            for share, line in zip(SHARES, (":", "--", "-"), strict=True):
                rows = whole[whole["share_sad_after"] == share]
                name = "no change" if share == BEFORE else f"sad {BEFORE:.0%} to {share:.0%}"
                style = {"color": EMOTIONS["sad"], "ls": line, "marker": "o", "ms": 4}
                axes.plot(rows["recordings_a_day"], rows[column], label=name, **style)
            axes.axhline(ALPHA, color=LINE, lw=1)
            axes.set(title=title, xlabel="recordings a day", ylim=(0, 1), xticks=RATES)
            axes.grid(axis="y")
        drawn.axes[0].set_ylabel("share of journals")
        handles, names = drawn.axes[0].get_legend_handles_labels()
        drawn.legend(handles, names, loc="outside upper left", ncols=3)
        return drawn


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--confusion", action="store_true", help="write the matrices and stop")
    parser.add_argument("--baseline", action="store_true", help="measure its warning and stop")
    parser.add_argument("--smallest", action="store_true", help="measure it and stop")
    parser.add_argument("--figure", action="store_true", help="draw the table again and stop")
    chosen = parser.parse_args()
    if chosen.confusion:
        write_confusion()
        return
    estimation.PERMUTATIONS, estimation.RESAMPLES = 1_999, 500  # a quarter of the report's
    file = Path("results/journal.csv")
    if chosen.baseline:
        table, file = one_emotion_baselines(), file.with_name("journal-baseline.csv")
    elif chosen.smallest:
        table, file = smallest_changes(), file.with_name("journal-smallest.csv")
    elif chosen.figure:
        table = pd.read_csv(file)
    else:
        gc.freeze()  # statsmodels collects garbage at every adjustment
        table = summary(pd.DataFrame(journals()))
    table.to_csv(file, index=False, lineterminator="\n")
    if file.name == "journal.csv":
        Path("docs/journal-power.svg").write_text(to_svg(figure(table)), encoding="utf-8")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
