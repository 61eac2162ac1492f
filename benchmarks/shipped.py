"""Print the table of results in the card of a shipped model.

    python benchmarks/shipped.py --model affekt

The shipped network was trained on all speakers, so no speaker is left to test it on. The table
shows the networks of its cross-validation, and networks that were tested on an unseen corpus.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from affekt.corpora.spec import FOUR
from affekt.evaluation.calibration import answers_of, pooled_temperatures
from affekt.evaluation.calibration_metrics import (
    apply_temperature,
    calibration_floor,
    equal_width,
    expected_calibration_error,
)
from affekt.evaluation.intervals import RANGE
from affekt.evaluation.results import Result, collect
from affekt.runs.reading import Run, find_runs, read_run
from arguments import parser_of

TITLES = {"ravdess": "RAVDESS", "emovo": "EMOVO", "nemo": "nEMO", "cremad": "CREMA-D"}
ENROLMENTS = {
    "none": "none",
    "random-4": "4 clips",
    "random-8": "8 clips",
    "all": "all",
    "adaptive": "adaptive",
}
HEADING = ("tested on", "enrolment", "clips", "speakers", *FOUR, "UAR", "ECE")
#: For each model, the recipes of its cross-validation and of its networks on an unseen corpus.
RECIPES = {
    "affekt": ("corpora-encoder", "cross-corpus-encoder"),
    "affekt-open": ("cremad-encoder", "cross-corpus-open"),
    "affekt-small": ("corpora", "crossing"),
}


def card(results: Path, model: str) -> Iterator[tuple[str, str, Result]]:
    """Yield tested speakers, enrolment condition and result of each row."""
    validated, crossed = RECIPES[model]
    for recipe, unseen in ((validated, "unseen speakers"), (crossed, "unseen corpus")):
        runs = [read_run(folder) for folder in find_runs([results / recipe])]
        (whole,) = collect(run for run in runs if run.complete)
        for part in whole.by_corpus:
            name = TITLES[part.tally.speakers[0].partition(":")[0]]
            for profile, words in ENROLMENTS.items():
                yield f"{name}, {unseen}", words, part.under(profile)
            for gender, word in (("f", "women"), ("m", "men")) if recipe == validated else ():
                of_them = tuple(_of_gender(run, gender) for run in part.runs)
                yield f"{name}, {word}", ENROLMENTS["none"], Result(recipe, of_them)


def _of_gender(run: Run, gender: str) -> Run:
    rows = run.predictions[run.predictions["gender"] == gender]
    return replace(run, predictions=rows.reset_index(drop=True))


def calibration_error(result: Result, temperature: float) -> tuple[float, float]:
    """Compute ECE at a temperature of the shipped model, and that of perfect calibration.

    Both are averaged over seeds.
    """
    answers = answers_of(result)
    confidence = apply_temperature(answers.probabilities, temperature).max(axis=1)
    edges, errors, floors = equal_width(), [], []
    for of in (answers.seed == seed for seed in range(answers.shape[0])):
        errors.append(expected_calibration_error(confidence[of], answers.right[of], edges=edges))
        floors.append(calibration_floor(confidence[of], edges=edges))
    return sum(errors) / len(errors), sum(floors) / len(floors)


def markdown(rows: Iterator[tuple[str, str, Result]], temperatures: tuple[float, float]) -> str:
    """Format the rows; ECE only for the conditions that have a temperature, none and all."""
    at = dict(zip((ENROLMENTS["none"], ENROLMENTS["all"]), temperatures, strict=True))
    lines = [f"| {' | '.join(HEADING)} |", "| --- " * len(HEADING) + "|"]
    for tested, enrolment, result in rows:
        recalls = " | ".join(f"{recall.value:.3f}" for recall in result.recalls.values())
        uar = result.uar
        clips = len(result.predictions) // len(result.runs)
        ends = f"{'range ' if uar.kind == RANGE else ''}{uar.low:.3f} to {uar.high:.3f}"
        error = ""
        if enrolment in at:
            error = "{:.2f} ({:.2f})".format(*calibration_error(result, at[enrolment]))
        lines.append(
            f"| {tested} | {enrolment} | {clips:,} | {len(result.tally.speakers)} | {recalls} "
            f"| **{uar.value:.3f}** ({ends}) | {error} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--model", choices=tuple(RECIPES), default="affekt")
    given = parser.parse_args()
    temperatures = pooled_temperatures([given.results / RECIPES[given.model][0]])
    print(markdown(card(given.results, given.model), temperatures))


if __name__ == "__main__":
    main()
