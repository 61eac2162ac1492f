"""Kept results to the table of the shipped model's card: who it was tested on, knowing them or not.

    python benchmarks/shipped.py

Nobody is left to test the shipped network on, as everybody trained it. What stands for it are the
networks of its cross-validation, and those that never heard a corpus.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from affekt.evaluation.results import Result, collect
from affekt.evaluation.runs import Run, find_runs, read_run

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


def markdown(rows: Iterator[tuple[str, str, Result]]) -> str:
    """The same as a table."""
    lines = [
        "| tested on | profile | clips | speakers | angry | happy | sad | neutral | average |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for tested, profile, result in rows:
        recalls = " | ".join(f"{recall.value:.3f}" for recall in result.recalls.values())
        uar = result.uar
        clips = len(result.predictions) // len(result.runs)
        lines.append(
            f"| {tested} | {profile} | {clips:,} | {len(result.tally.speakers)} | {recalls} "
            f"| **{uar.value:.3f}** ({uar.low:.3f} to {uar.high:.3f}) |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    print(markdown(card(parser.parse_args().results)))


if __name__ == "__main__":
    main()
