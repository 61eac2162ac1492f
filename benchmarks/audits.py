"""Print the tables of audits, and join the audits of networks that each left out one corpus.

    python benchmarks/audits.py
    python benchmarks/audits.py --join PARTS... -o results/audit/affekt-unseen

The first prints what docs/audit.md and the model cards hold, from the tables in results/audit/.
The second scores the answers of several audits as those of one recognizer: each of a network of
one recipe, on the corpus that it was not trained on.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from affekt.audit.answers import CLEAN
from affekt.evaluation.comparison import compare
from affekt.evaluation.metrics import tally

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "audit"
NAMES = ("affekt", "affekt-open", "affekt-small", "yamnet-lstm")  # in the order of the columns
UNSEEN = {  # each trained three times, without the corpus that it is audited on
    "affekt-unseen": "`affekt`'s recipe",
    "egemaps-unseen": "eGeMAPS and SVM",
    "mfcc-unseen": "MFCC and SVM",
}
APART = 10  # tests that the comparison lists: those where the falls of UAR differ most


def summary(name: str) -> dict[str, Any]:
    """The summary of an audit."""
    return json.loads((RESULTS / name / "summary.json").read_text(encoding="utf-8"))


def summaries() -> list[str]:
    """Rows of Markdown: one for each audit."""
    lines = [
        "| | clips | trained on | UAR | ECE | tiny changes | robustness | fairness |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in NAMES:
        found = summary(name)
        known, speakers = found["speakers_of_training"], found["speakers"]
        cells = [
            f"`{name}`",
            str(found["clips"]),
            f"{known or 0} of {speakers} speakers",
            f"{found['uar']:.3f} ({found['low']:.3f} to {found['high']:.3f})",
            f"{found['ece']:.3f}",
            *(_passed(found, x) for x in ("tiny_changes", "tests", "comparisons")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def robustness() -> list[str]:
    """Rows of Markdown: one for each test; each cell names the strengths that fail."""
    tables = {name: pd.read_csv(RESULTS / name / "robustness.csv") for name in NAMES}
    lines = [f"| | {' | '.join(f'`{x}`' for x in NAMES)} |", "| --- " * (len(tables) + 1) + "|"]
    for test in next(iter(tables.values()))["test"].unique()[1:]:
        cells = [test]
        for table in tables.values():
            rows = table[table["test"] == test]
            failed = rows["strength"][~rows["passed"]]
            if failed.empty or rows["tiny"].any():
                cells.append("pass" if failed.empty else f"**{rows['unchanged'].iloc[0]:.2f}**")
            else:
                cells.append(f"**fails at {', '.join(f'{x:g}' for x in failed)}**")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def unseen() -> list[str]:
    """Rows of Markdown: recognizers that were not trained on the audited corpus, as columns."""
    found, tables, falls = {}, {}, pd.DataFrame()
    for name in UNSEEN:
        found[name] = summary(name)
        table = pd.read_csv(RESULTS / name / "robustness.csv", na_values="")
        tables[name], falls[name] = table, table["drop"].where(~table["tiny"])
    first = tables["affekt-unseen"]

    def line(title: str, text: Callable[[str], str]) -> str:
        return f"| {title} | {' | '.join(map(text, UNSEEN))} |"

    def mean(name: str, tiny: bool, column: str) -> float:
        rows = tables[name][1:]
        return float(rows[column][rows["tiny"] == tiny].mean())

    lines = [line("", UNSEEN.__getitem__), "| --- " * (len(UNSEEN) + 1) + "|"]
    lines += [
        line("UAR", lambda x: f"{found[x]['uar']:.3f}"),
        line("interval", lambda x: f"{found[x]['low']:.3f} to {found[x]['high']:.3f}"),
        line("UAR of `affekt`'s recipe minus this", _behind),
        *(
            line(f"recall, {label}", lambda x, y=label: f"{found[x]['recalls'][y]:.3f}")
            for label in found["affekt-unseen"]["recalls"]
        ),
        line("ECE", lambda x: f"{found[x]['ece']:.3f}"),
        line("tiny changes passed", lambda x: _passed(found[x], "tiny_changes")),
        line("labels that stay, tiny changes", lambda x: f"{mean(x, True, 'unchanged'):.3f}"),
        line("robustness passed", lambda x: _passed(found[x], "tests")),
        line("labels that stay, robustness", lambda x: f"{mean(x, False, 'unchanged'):.3f}"),
        line("mean fall of UAR, robustness", lambda x: f"{mean(x, False, 'drop'):+.3f}"),
        line("fairness passed", lambda x: _passed(found[x], "comparisons")),
    ]
    apart = (falls.max(axis=1) - falls.min(axis=1)).sort_values(ascending=False, kind="stable")
    for at in sorted(apart.index[:APART]):
        title = f"fall: {first['test'][at]}, {first['strength'][at]:g} {first['unit'][at]}"
        lines.append(line(title, lambda x, row=at: f"{falls[x][row]:+.3f}"))
    return lines


def _behind(name: str) -> str:
    """Difference of UAR on the same clips, undistorted, with its interval, paired by speaker."""
    if name == "affekt-unseen":
        return "-"
    both = ("affekt-unseen", name)
    found = compare(*(tally(pd.read_csv(RESULTS / x / "undistorted.csv")) for x in both))
    gain = found.shown
    return f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}; p {found.p:.2f})"


def _passed(found: dict[str, Any], what: str) -> str:
    return f"{found[f'{what}_passed']} of {found[what]}"


def profiles() -> list[str]:
    """Rows of Markdown: how well a profile identifies a person, by model and corpus."""
    lines = ["| model | corpus | speakers | EER | identified |", "| --- | --- | --- | --- | --- |"]
    for name in NAMES:
        file = RESULTS / name / "profiles.csv"
        for row in pd.read_csv(file).to_dict("records") if file.is_file() else ():
            shares = f"{row['eer']:.3f} | {100 * row['identified']:.0f} %"
            lines.append(f"| `{name}` | {row['corpus']} | {row['speakers']} | {shares} |")
    return lines


def card(model: str) -> str:
    """Sentences for a model card, in lines of at most 100 characters."""
    found = summary(model)
    table = pd.read_csv(RESULTS / model / "robustness.csv")[1:]
    failed = table[table["tiny"] & ~table["passed"]]
    lines = [
        "| audit | passed |",
        "| --- | --- |",
        f"| tiny changes: at least 95 % of the labels stay | {found['tiny_changes_passed']} of "
        f"{found['tiny_changes']} |",
        f"| robustness: UAR falls by at most 0.05 | {found['tests_passed']} of {found['tests']} |",
        f"| fairness: within chance | {found['comparisons_passed']} of {found['comparisons']} |",
    ]
    lines += [f"| {row.test} | no: {row.unchanged:.2f} stay |" for row in failed.itertuples()]
    return "\n".join(lines)


def join(parts: list[Path], output: Path) -> None:
    """Score the answers of several audits as one, and keep those to undistorted clips."""
    from affekt.audit.page import write_audit
    from affekt.audit.recognizers import Recognizer

    answers = pd.concat([pd.read_csv(part / "answers.csv", na_values="") for part in parts])
    recognizer = Recognizer(output.name, lambda _: [], trained_on=frozenset())
    rows = answers.fillna({"unit": "", "gender": "", "language": ""}).to_dict("records")
    write_audit(rows, recognizer, output, seed=0, checks={})
    undistorted = answers[answers["test"] == CLEAN.test]
    undistorted.to_csv(output / "undistorted.csv", index=False, float_format="%.4f")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--join", nargs="+", type=Path, metavar="PART")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    if options.join:
        join(options.join, options.output)
        return
    for lines in (summaries(), robustness(), profiles(), unseen()):
        print(*lines, "", sep="\n")
    for model in NAMES:
        print(model, card(model), "", sep="\n")


if __name__ == "__main__":
    main()
