"""Kept results to the table of the shipped model's card: who it was tested on, knowing them or not.

    python benchmarks/shipped.py

Nobody is left to test the shipped network on, as everybody trained it. What stands for it are the
networks of its cross-validation, and those that never heard a corpus.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from affekt.evaluation.calibration import answers_of, pooled_temperatures
from affekt.evaluation.calibration_metrics import equal_width, expected_calibration_error
from affekt.evaluation.results import Result, collect
from affekt.evaluation.runs import Run, find_runs, read_run

FEWEST = 4  # speakers of an interval: resamples of fewer say next to nothing
TITLES = {"ravdess": "RAVDESS", "emovo": "EMOVO", "nemo": "nEMO"}
PROFILES = {
    "none": "nobody's",
    "random-4": "4 clips",
    "random-8": "8 clips",
    "all": "all other clips",
    "adaptive": "learned as they speak",
}


def card(results: Path) -> Iterator[tuple[str, str, Result]]:
    """The rows: what was tested, whose profile was known, and the result."""
    for recipe, heard in (("corpora", "unheard voices"), ("crossing", "unheard corpus")):
        runs = [read_run(folder) for folder in find_runs([results / recipe])]
        (whole,) = collect(run for run in runs if run.complete)
        for part in whole.by_corpus:
            name = TITLES[part.tally.speakers[0].partition(":")[0]]
            for profile, words in PROFILES.items():
                yield f"{name}, {heard}", words, part.under(profile)
            for gender, word in (("f", "women"), ("m", "men")) if recipe == "corpora" else ():
                of_them = tuple(_of_gender(run, gender) for run in part.runs)
                yield f"{name}, {word}", PROFILES["none"], Result(recipe, of_them)


def _of_gender(run: Run, gender: str) -> Run:
    rows = run.predictions[run.predictions["gender"] == gender]
    return replace(run, predictions=rows.reset_index(drop=True))


def calibration_error(result: Result, temperature: float) -> float:
    """ECE, the mean of the seeds', of answers at one of the shipped model's temperatures."""
    answers = answers_of(result)
    shares = answers.probabilities ** (1.0 / temperature)
    confidence = shares.max(axis=1) / shares.sum(axis=1)
    of_seeds = [
        expected_calibration_error(confidence[of], answers.right[of], edges=equal_width())
        for of in (answers.seed == seed for seed in range(answers.shape[0]))
    ]
    return sum(of_seeds) / len(of_seeds)


def markdown(rows: Iterator[tuple[str, str, Result]], temperatures: tuple[float, float]) -> str:
    """The same as a table; ECE where it is certain how well the speaker was known."""
    at = dict(zip((PROFILES["none"], PROFILES["all"]), temperatures, strict=True))
    heading = [
        "tested on",
        "profile",
        "clips",
        "speakers",
        "angry",
        "happy",
        "sad",
        "neutral",
        "average",
        "ECE",
    ]
    lines = [f"| {' | '.join(heading)} |", "| --- " * len(heading) + "|"]
    for tested, profile, result in rows:
        recalls = " | ".join(f"{recall.value:.3f}" for recall in result.recalls.values())
        uar = result.uar
        clips = len(result.predictions) // len(result.runs)
        speakers = len(result.tally.speakers)
        between = f" ({uar.low:.3f} to {uar.high:.3f})" if speakers >= FEWEST else ""
        error = f"{calibration_error(result, at[profile]):.2f}" if profile in at else ""
        lines.append(
            f"| {tested} | {profile} | {clips:,} | {speakers} | {recalls} "
            f"| **{uar.value:.3f}**{between} "
            f"| {error} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    results = parser.parse_args().results
    print(markdown(card(results), pooled_temperatures([results / "corpora"])))


if __name__ == "__main__":
    main()
