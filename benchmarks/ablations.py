"""Print the table of the variants of a recipe, as it is in the documentation.

    python benchmarks/ablations.py [RECIPE]

RECIPE is ``ingredients`` (affekt-small; the default) or ``encoder-ablation`` (affekt). Reads
archived results; needs no recordings.
"""

from pathlib import Path

import pandas as pd

from affekt.evaluation.ablation import ablation
from affekt.evaluation.results import collect
from affekt.runs.reading import find_runs, read_run
from arguments import parser_of

PROFILES = {"none": "no enrolment", "all": "all other clips enrolled"}
SIGNIFICANT = 0.05


def markdown(results: Path, recipe: str = "ingredients") -> str:
    """Tabulate the full recipe and the difference of each variant, with and without enrolment.

    The last line counts the p values that are significant after Bonferroni's correction.
    """
    found = collect(read_run(folder) for folder in find_runs(results.glob(f"{recipe}*")))
    full = next(result for result in found if result.recipe == recipe)
    table = ablation([full, *(result for result in found if result is not full)])
    lines = [
        f"| changed setting | {' | '.join(PROFILES.values())} |",
        "| --- |" + " --- |" * len(PROFILES),
        f"| none | {' | '.join(_score(table, recipe, profile) for profile in PROFILES)} |",
    ]
    for changes in dict.fromkeys(table[table["changes"] != ""]["changes"]):
        cells = " | ".join(_difference(table, changes, profile) for profile in PROFILES)
        lines.append(f"| `{changes}` | {cells} |")
    p_values = table[table["profile"].isin(PROFILES)]["p"].dropna()
    significant = int((len(p_values) * p_values < SIGNIFICANT).sum())
    lines += ["", f"{significant} of {len(p_values)} differences are significant "]
    lines[-1] += f"(p < {SIGNIFICANT} after Bonferroni's correction)."
    return "\n".join(lines)


def _score(table: pd.DataFrame, recipe: str, profile: str) -> str:
    row = table[(table["recipe"] == recipe) & (table["profile"] == profile)].iloc[0]
    return f"**{row['uar']:.3f}** ({row['low']:.3f} to {row['high']:.3f})"


def _difference(table: pd.DataFrame, changes: str, profile: str) -> str:
    rows = table[(table["changes"] == changes) & (table["profile"] == profile)]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    between = f"{row['difference_low']:+.3f} to {row['difference_high']:+.3f}"
    p = "p < 0.001" if row["p"] < 0.001 else f"p {row['p']:.3f}"
    return f"{row['difference']:+.3f} ({between}; {p})"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("recipe", nargs="?", default="ingredients")
    parser.add_argument("--results", type=Path, default=Path("results"))
    given = parser.parse_args()
    print(markdown(given.results, given.recipe))


if __name__ == "__main__":
    main()
