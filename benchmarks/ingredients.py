"""Kept results to the table of what each ingredient of affekt's own network is worth.

    python benchmarks/ingredients.py

Prints the table that stands in ``docs/ingredients.md``.
"""

import argparse
from pathlib import Path

import pandas as pd

from affekt.evaluation.ablation import ablation
from affekt.evaluation.results import collect
from affekt.evaluation.runs import find_runs, read_run

FULL = "ingredients"
PROFILES = {"none": "nobody known", "all": "all other clips known"}
BEYOND_CHANCE = 0.05


def markdown(results: Path) -> str:
    """The full recipe and each variant's difference to it, under both profiles, and a last line.

    The line says how many p values are small even when multiplied by how many there are
    (Bonferroni's correction).
    """
    found = collect(read_run(folder) for folder in find_runs(results.glob(f"{FULL}*")))
    full = next(result for result in found if result.recipe == FULL)
    table = ablation([full, *(result for result in found if result is not full)])
    lines = [
        f"| what differs | {' | '.join(PROFILES.values())} |",
        "| --- |" + " --- |" * len(PROFILES),
        f"| nothing | {' | '.join(_score(table, profile) for profile in PROFILES)} |",
    ]
    for changes in dict.fromkeys(table[table["changes"] != ""]["changes"]):
        cells = " | ".join(_difference(table, changes, profile) for profile in PROFILES)
        lines.append(f"| `{changes}` | {cells} |")
    chances = table[table["profile"].isin(PROFILES)]["p"].dropna()
    beyond = int((len(chances) * chances < BEYOND_CHANCE).sum())
    lines += ["", f"Of {len(chances)} comparisons, {beyond} have a p value below {BEYOND_CHANCE} "]
    lines[-1] += "once it is multiplied by their number."
    return "\n".join(lines)


def _score(table: pd.DataFrame, profile: str) -> str:
    row = table[(table["recipe"] == FULL) & (table["profile"] == profile)].iloc[0]
    return f"**{row['uar']:.3f}** ({row['low']:.3f} to {row['high']:.3f})"


def _difference(table: pd.DataFrame, changes: str, profile: str) -> str:
    rows = table[(table["changes"] == changes) & (table["profile"] == profile)]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    between = f"{row['difference_low']:+.3f} to {row['difference_high']:+.3f}"
    chance = "p < 0.001" if row["p"] < 0.001 else f"p {row['p']:.3f}"
    return f"{row['difference']:+.3f} ({between}; {chance})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    print(markdown(parser.parse_args().results))


if __name__ == "__main__":
    main()
