"""Write an audit: one HTML page that needs no other file, and its tables as CSV."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context

from affekt.atomic_write import atomic_text
from affekt.audit.answers import CLEAN
from affekt.audit.recognizers import Recognizer
from affekt.audit.scores import (
    MAX_DROP,
    MIN_UNCHANGED,
    confidence_of,
    fairness,
    robustness,
    speakers,
)
from affekt.corpora import CORPORA
from affekt.errors import RunError, writing
from affekt.evaluation.calibration_metrics import calibration_floor, equal_width
from affekt.html_templates import html_templates
from affekt.report.style import INK, LINE, OURS, PAPER, STYLE, data_uri, panel, to_svg

WORST, ENOUGH = 5, 4  # speakers that the page names, and how many clips each must have


def write_audit(
    found: Sequence[dict[str, object]],
    recognizer: Recognizer,
    output: Path,
    *,
    seed: int,
    checks: Mapping[str, pd.DataFrame],
) -> dict[str, Any]:
    """Score the answers, and write the page and its tables.

    Args:
        found: rows of :func:`affekt.audit.answers.rows`.
        output: folder for ``index.html`` and the CSV files; created if missing.
        seed: of the simulation of fairness.
        checks: ``consistency`` and ``profiles``, as far as they were measured.

    Returns:
        The summary: clips, speakers, UAR, recalls, tests and comparisons passed.

    Raises:
        RunError: a folder that cannot be written.
    """
    answers = pd.DataFrame(found)
    tables = {"robustness": robustness(answers), "fairness": fairness(answers, seed)}
    tables["speakers"] = speakers(answers)
    summary = _summary(answers, recognizer, tables)
    summary |= {name: table.to_dict("records") for name, table in checks.items()}
    with writing(output, RunError, "Name another folder."):
        output.mkdir(parents=True, exist_ok=True)
        for name, table in {"answers": answers, **tables, **checks}.items():
            text = table.to_csv(index=False, float_format="%.4f", lineterminator="\n")
            atomic_text(output / f"{name}.csv", text)
        atomic_text(output / "summary.json", json.dumps(summary, indent=1))
        atomic_text(output / "index.html", _page(summary, tables))
    return summary


def _summary(
    answers: pd.DataFrame, recognizer: Recognizer, tables: dict[str, pd.DataFrame]
) -> dict[str, Any]:
    robust, fair, by_speaker = tables.values()
    tests, clean = robust[robust["test"] != CLEAN.test], robust.iloc[0]
    tiny, undistorted = tests["tiny"], answers[answers["test"] == CLEAN.test]
    right = undistorted["truth"] == undistorted["predicted"]
    known = len({*by_speaker["speaker"]} & (recognizer.trained_on or set()))
    named = recognizer.trained_on is not None and {*answers["corpus"]} <= CORPORA.keys()
    scores = ("uar", "low", "high", "ece", "error")  # None in place of NaN, which JSON has not
    return {
        "model": recognizer.name,
        "corpora": sorted(answers["corpus"].unique()),
        "clips": len(undistorted),
        "speakers": len(by_speaker),
        "speakers_of_training": known if known or named else None,  # own names tell nothing
        **{x: float(clean[x]) if np.isfinite(clean[x]) else None for x in scores},
        "ece_floor": calibration_floor(confidence_of(undistorted), edges=equal_width()),
        "spread": str(clean["spread"]),
        "recalls": right.groupby(undistorted["truth"]).mean().to_dict(),
        "tiny_changes": int(tiny.sum()),
        "tiny_changes_passed": int(tests["passed"][tiny].sum()),
        "tests": int((~tiny).sum()),
        "tests_passed": int(tests["passed"][~tiny].sum()),
        "comparisons": len(fair),
        "comparisons_passed": int(fair["passed"].sum()),
    }


def _page(summary: dict[str, Any], tables: dict[str, pd.DataFrame]) -> str:
    robust, fair, by_speaker = tables.values()
    clean, tests = robust.iloc[0], robust.iloc[1:]
    uar = float(clean["uar"])
    return (
        html_templates()
        .get_template("audit/page.html.jinja")
        .render(
            summary=summary,
            tiny=tests[tests["tiny"]].to_dict("records"),
            tests=[
                {"name": name, "picture": _curve(group, uar), "rows": group.to_dict("records")}
                for name, group in tests[~tests["tiny"]].groupby("test", sort=False)
            ],
            clean=clean.to_dict(),
            fairness=fair.assign(name=fair["kind"] + " " + fair["group"]).to_dict("records"),
            worst=by_speaker[by_speaker["clips"] >= ENOUGH].head(WORST).to_dict("records"),
            max_drop=MAX_DROP,
            min_unchanged=MIN_UNCHANGED,
        )
    )


@rc_context(STYLE)
def _curve(group: pd.DataFrame, uar: float) -> str:
    """UAR and unchanged answers by strength, as a data URI."""
    figure, axes = panel(3.6, 2.2)
    at = range(len(group))
    axes.axhline(uar, color=INK, lw=0.9, ls=":", label="undistorted")
    axes.vlines(at, group["low"], group["high"], color=OURS, lw=3, alpha=0.35)
    axes.plot(at, group["uar"], "o-", color=OURS, label="UAR")
    axes.plot(at, group["unchanged"], "D--", color=PAPER, ms=4, label="unchanged")
    axes.set_xticks(at, [f"{value:g}" for value in group["strength"]])
    axes.set(ylim=(0, 1.02), xlim=(-0.5, len(group) - 0.5), xlabel=group["unit"].iloc[0])
    axes.grid(axis="y", color=LINE)
    figure.legend(loc="outside upper left", ncols=3, fontsize=7.5, columnspacing=1.2)
    return data_uri(to_svg(figure))
