"""Recipes of one corpus and protocol to all that the page says of them.

Tables are computed, saved as CSV and handed on as rows; figures are drawn, saved as PNG and
handed on as pictures. The page shows what is there and leaves the rest out.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from affekt.evaluation import abstention, calibration, tables
from affekt.evaluation.ablation import ablation, groups, is_variant
from affekt.evaluation.calibration_metrics import equal_width
from affekt.report import charts, figures
from affekt.report.calibration_charts import coverage, reliability
from affekt.report.comparison_charts import enrolment, forest
from affekt.report.diagram import method, steps_of
from affekt.report.figures import Voice
from affekt.evaluation.enrolment import enrolments, flagships
from affekt.evaluation.results import Result
from affekt.report.style import colours, save_png, to_svg
from affekt.evaluation.summary import tested_corpora, trained_corpora
from affekt.evaluation.tsne import read_points


@dataclass(frozen=True)
class Picture:
    """A figure on the page.

    Attributes:
        source: the drawing as a ``data:`` address.
        text: what it shows, in words, for who cannot see it.
        file: name of the PNG beside the page.
        width: on the page at most, in CSS pixels.
        height: that goes with it.
    """

    source: str
    text: str
    file: str
    width: int
    height: int


class Desk:
    """Where the tables and pictures of one section are laid down, under one name."""

    def __init__(self, output: Path, name: str) -> None:
        self.output, self.name = output, name
        self.tables: dict[str, list[dict[str, Any]]] = {}
        self.pictures: dict[str, Picture] = {}

    def table(self, part: str, table: pd.DataFrame) -> pd.DataFrame:
        """Save a table as ``<name>-<part>.csv`` and keep its rows for the page."""
        path = self.output / f"{self.name}-{part}.csv"
        table.to_csv(path, index=False, lineterminator="\n")
        self.tables[part.replace("-", "_")] = _records(table)
        return table

    def picture(self, part: str, figure: Figure) -> Picture:
        """Save a figure as ``<name>-<part>.png`` and keep it for the page."""
        self.pictures[part] = _picture(figure, self.output, f"{self.name}-{part}")
        return self.pictures[part]


def section(
    results: Sequence[Result], how: str, output: Path, voices: Sequence[Voice]
) -> dict[str, Any]:
    """Everything that the page says of recipes with the same recordings and protocol.

    Args:
        results: of one corpus, protocol and set of labels.
        how: the protocol's name; a part of a result alone seems to have fewer folds.
        output: folder for pictures and tables.
        voices: the clips of Figure 2; may be none.

    Returns:
        What the page's template asks for.

    Raises:
        RunError: activations that are not those of the run's clips.
        OSError: a file that cannot be written.
    """
    results = sorted(results, key=_order)
    chosen, leading = _chosen(results), _leading(results)
    labels = chosen.tally.labels
    corpus, train = tested_corpora(chosen), trained_corpora(chosen)
    name = "-".join([*dict.fromkeys([train, corpus]), *how.split(), str(len(labels))])
    desk = Desk(output, name)
    _scores(desk, chosen, results, voices)
    others = {
        f"confusion-{result.recipe}": figures.matrix(result.counts, labels, result.recipe)
        for result in results
        if result.complete
    }
    matrices = [_picture(figure, output, f"{name}-{k}") for k, figure in others.items()]
    return {
        "corpus": corpus,
        "name": name,
        "labels": labels,
        "colours": colours(labels),
        "chosen": chosen,
        "verdict": verdict_of(chosen),
        "leading": _headline(leading, chosen),
        "results": results,
        "certain": _certainty(desk, results, chosen),
        "enrolled": _enrolment(desk, results),
        "ablations": _ablations(desk, results),
        "tables": desk.tables,
        "pictures": desk.pictures,
        "matrices": matrices,
        "protocol": how,
        "train": train,
        "knobs": sorted(chosen.runs[0].knobs.items()),
        "origins": _origins(chosen),
    }


def _scores(desk: Desk, chosen: Result, results: Sequence[Result], voices: Sequence[Voice]) -> None:
    """The paper's tables and figures."""
    chance = 1 / len(chosen.tally.labels)
    scores = desk.table("table-2", tables.scores(results))
    by_speaker = desk.table("speakers", tables.speakers(chosen))
    for part, table in {
        "table-1": tables.classes(chosen.runs[0]),
        "chance": tables.chance(chosen),
        "table-3": tables.confusion(chosen),
        "comparisons": tables.comparisons(chosen, _comparable(chosen, results)),
        "genders": tables.genders(chosen),
        "seeds": tables.seeds(results),
    }.items():
        desk.table(part, table)
    drawn = {
        **_drawings(chosen, voices),
        **_ladder(scores, chance),
        "speakers": charts.speakers(by_speaker, chosen.uar.value, chance),
    }
    for part, figure in drawn.items():
        desk.picture(part, figure)


def _certainty(desk: Desk, results: Sequence[Result], chosen: Result) -> dict[str, Any]:
    """Calibration and abstention of a finished recipe, one that can be scaled if there is."""
    able = _leading([result for result in results if calibration.scalable(result)])
    best = able or chosen
    scaling = "temperature" if able else calibration.UNSCALED
    titles = {calibration.UNSCALED: "as trained", "temperature": "temperature", "vector": "vector"}
    if not best.complete:  # there is no score of it to speak of
        return {}
    after = calibration.scaled(best, scaling)
    found = desk.table("calibration", calibration.calibrations(best)).set_index("scaling")
    edges = equal_width()
    bins = {}
    for name in found.index:
        part = "reliability" if name == calibration.UNSCALED else f"reliability-{name}"
        rows = calibration.reliability(calibration.scaled(best, name), edges)
        bins[titles[name]] = desk.table(part, rows)
    errors = {titles[name]: float(found.loc[name, "ece"]) for name in found.index}
    desk.picture("reliability", reliability(bins, errors))
    curve = desk.table("coverage", abstention.abstention(after, abstention.thresholds(after)))
    marks = abstention.abstention(after, abstention.MIN_CONFIDENCES)
    desk.table("abstention", marks)
    desk.picture("coverage", coverage(curve, marks, 1 / len(best.tally.labels)))
    return {"recipe": best.recipe, "scaling": scaling, "titles": titles}


def _enrolment(desk: Desk, results: Sequence[Result]) -> str:
    """The recipe whose enrolment is shown; empty if none was tested under profiles."""
    best = _leading([result for result in results if len(result.profiles) > 1])
    if best is None:
        return ""
    table = desk.table("enrolment", enrolments(best))
    desk.picture("enrolment", enrolment(table, 1 / len(best.tally.labels)))
    return best.recipe


def _ablations(desk: Desk, results: Sequence[Result]) -> list[dict[str, Any]]:
    """Each recipe that has variants, with its tables by profile and its picture."""
    found = []
    for full, group in groups(results).items():
        table = ablation(group)
        variants = table[table["recipe"] != full]
        if variants.empty:
            continue
        desk.table(f"ablation-{full}", table)
        drawn = desk.picture(f"ablation-{full}", forest(variants[variants["profile"] == "none"]))
        by_profile = {
            str(profile): _records(rows) for profile, rows in table.groupby("profile", sort=False)
        }
        found.append({"full": full, "profiles": by_profile, "picture": drawn})
    return found


def _leading(results: Sequence[Result]) -> Result | None:
    """The best finished recipe, no variant of another: a variant is there to be compared."""
    whole = [r for r in results if r.complete and not is_variant(r, results)]
    return max(whole, key=lambda result: result.uar.value, default=None)


def _headline(leading: Result | None, chosen: Result) -> list[tuple[str, str, Result]]:
    """Ours beside the paper's own system, with and without profile, where ours is better."""
    if leading is None or (leading is chosen and len(leading.profiles) == 1):
        return []
    profiles = flagships(leading)[leading is chosen : 2]
    return [(leading.recipe, profile, leading.under(profile)) for profile in profiles]


def _drawings(result: Result, voices: Sequence[Voice]) -> dict[str, Figure]:
    """Figures that need more than predictions, as far as that is there."""
    run = result.runs[0]
    drawn = {}
    steps = steps_of(run.knobs, result.tally.labels)
    if steps:
        drawn["figure-1"] = method(steps)
    if voices:
        drawn["figure-2"] = figures.voices(voices)
    points = read_points(run) if "corpora" not in run.corpus else pd.DataFrame()
    if len(points):  # those of several corpora lie in one plane, none's by itself
        drawn["figure-3"] = figures.scatter(
            points[["x", "y"]].to_numpy(), list(points["truth"]), result.tally.labels
        )
    if len(run.curves):
        drawn["curves"] = charts.curves(run.curves)
    return drawn


def _ladder(scores: pd.DataFrame, chance: float) -> dict[str, Figure]:
    """The finished recipes, if there is one."""
    finished = scores.dropna(subset="uar").sort_values("uar", ascending=False, kind="stable")
    return {"ladder": charts.ladder(finished, chance)} if len(finished) else {}


def _order(result: Result) -> tuple[bool, float]:
    """The paper's rows first, as it lists them, then ours; in both the best comes last."""
    published = result.published
    return published is None, published.uar if published else result.uar.value


def _chosen(results: Sequence[Result]) -> Result:
    """The paper's own system where it was run to its end, else the best of the finished ones."""

    def merit(result: Result) -> tuple[bool, bool, float]:
        own = bool(result.published and result.published.recalls)
        return result.complete, own, result.uar.value

    return max(results, key=merit)


def _comparable(chosen: Result, results: Sequence[Result]) -> list[Result]:
    clips = set(chosen.predictions["file"])
    return [
        result
        for result in results
        if result is not chosen
        and result.complete
        and chosen.complete
        and set(result.predictions["file"]) == clips
    ]


def verdict_of(result: Result) -> str:
    """Where the paper's value lies, in words; empty without one, or without an interval."""
    if not result.complete or not result.published or np.isnan(result.uar.low):
        return ""
    if result.published.uar > result.uar.high:
        return "above our interval"
    return "below our interval" if result.published.uar < result.uar.low else "inside our interval"


def _origins(result: Result) -> list[str]:
    """On what, and by which versions, the folds were run; a line for each that differs."""
    lines: dict[str, None] = {}
    for fold in (fold for run in result.runs for fold in run.folds):
        versions = ", ".join(f"{name} {number}" for name, number in fold["versions"].items())
        lines[f"Revision {fold['revision']}. {versions}. {fold['hardware']}."] = None
    return list(lines)


def _picture(figure: Figure, output: Path, name: str) -> Picture:
    save_png(figure, output / f"{name}.png")
    drawing = base64.b64encode(to_svg(figure).encode()).decode()
    width, height = (round(inches * 96) for inches in figure.get_size_inches())
    source = f"data:image/svg+xml;base64,{drawing}"
    return Picture(source, name.replace("-", " "), f"{name}.png", width, height)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
