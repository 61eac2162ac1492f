"""Assemble the tables and figures that a report shows of one corpus and protocol."""

from collections.abc import Sequence
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from affekt.evaluation import abstention, calibration, tables
from affekt.evaluation.ablation import ablation, groups, is_variant
from affekt.evaluation.calibration_metrics import equal_width
from affekt.evaluation.results import Result
from affekt.label_colors import label_colors
from affekt.report import charts, figures
from affekt.report.figures import ExampleClip
from affekt.report.names import method_names, used_knobs
from affekt.report.style import data_uri, to_svg
from affekt.report.tsne import read_points

VERSIONS = {calibration.UNSCALED: "uncalibrated", calibration.TEMPERATURE: "temperature scaling"}


class Files:
    """Collect the tables and figures of one section, for the page and as texts of files."""

    def __init__(self, name: str, texts: dict[str, str]) -> None:
        self.name, self.texts = name, texts  # the latter by name of a file
        self.tables: dict[str, list[Any]] = {}  # rows, as dictionaries
        self.pictures: dict[str, dict[str, Any]] = {}

    def table(self, part: str, table: pd.DataFrame) -> pd.DataFrame:
        """Add a table as ``<name>-<part>.csv``."""
        self.texts[f"{self.name}-{part}.csv"] = table.to_csv(index=False, lineterminator="\n")
        self.tables[part.replace("-", "_")] = table.to_dict("records")
        return table

    def picture(self, part: str, figure: Figure) -> dict[str, Any]:
        """Add a figure as ``<name>-<part>.svg``."""
        name = f"{self.name}-{part}"
        drawing = self.texts[f"{name}.svg"] = to_svg(figure)
        width, height = (round(inches * 96) for inches in figure.get_size_inches())
        self.pictures[part] = {
            "source": data_uri(drawing),
            "text": name.replace("-", " "),
            "file": f"{name}.svg",
            "width": width,  # CSS pixels
            "height": height,
        }
        return self.pictures[part]


def section(
    results: Sequence[Result], how: str, files: Files, clips: Sequence[ExampleClip]
) -> dict[str, Any]:
    """Collect the tables and figures of recipes with the same recordings and protocol ``how``.

    Returns:
        The variables of the page's template.

    Raises:
        RunError: the activations of a run belong to other clips.
    """
    results = sorted(results, key=_order)
    chosen, leading = _chosen(results), _leading(results)
    headline = _headline(leading, chosen)
    labels = chosen.tally.labels
    names = method_names(results)
    _scores(files, chosen, results, names)
    for part, figure in _drawings(chosen, clips).items():
        files.picture(part, figure)
    return {
        "corpus": chosen.tested,
        "name": files.name,
        "names": names,
        "labels": labels,
        "colours": label_colors(labels),
        "chosen": chosen,
        "leading": headline,
        "picked": _picked(leading if leading and headline else chosen, results),
        "calibrated": _calibration(files, results, chosen),
        "enrolled": _enrolment(files, results),
        "ablations": _ablations(files, results),
        "tables": files.tables,
        "pictures": files.pictures,
        "protocol": how,
        "train": chosen.trained,
        "knobs": used_knobs(chosen.runs[0].knobs),
        "origins": _origins(chosen),
    }


def _scores(files: Files, chosen: Result, results: Sequence[Result], names: dict[str, str]) -> None:
    """Tables and figures of accuracy."""
    chance = 1 / len(chosen.tally.labels)
    comparable = chosen.complete and not np.isnan(chosen.uar.value)  # a label may have no clip
    whole = [r for r in results if comparable and r.complete and r is not chosen]
    others = [result for result in whole if result.clips == chosen.clips]
    scores = files.table("table-2", tables.scores(results))
    by_speaker = files.table("speakers", tables.speakers(chosen))
    for part, table in {
        "table-1": tables.classes(chosen.runs[0]),
        "table-3": tables.confusion(chosen),
        "comparisons": tables.comparisons(chosen, others),
        "genders": tables.genders(chosen),
        "seeds": tables.seeds(results),
    }.items():
        files.table(part, table)
    finished = scores.dropna(subset="uar").sort_values("uar", kind="stable")
    if len(finished) > 1:
        labels = [names[recipe] for recipe in finished["recipe"]]
        files.picture("recipes", charts.recipes(finished, labels, chance))
    files.picture("speakers", charts.speakers(by_speaker, chosen.uar.value, chance))
    files.picture("confusion", figures.confusion(chosen.counts, chosen.tally.labels))


def _calibration(files: Files, results: Sequence[Result], chosen: Result) -> dict[str, Any]:
    """Calibration and rejection of the best recipe with validation predictions, if any."""
    best = _leading([result for result in results if calibration.scalable(result)]) or chosen
    if not best.complete:
        return {}
    found = files.table("calibration", calibration.calibrations(best))
    bins = {}
    for scaling, version in calibration.versions(best).items():
        part = "reliability" if scaling == calibration.UNSCALED else f"reliability-{scaling}"
        rows = calibration.reliability(version, equal_width())
        bins[VERSIONS[scaling]] = files.table(part, rows)
    *_, (scaling, last) = calibration.versions(best).items()
    errors = dict(zip(bins, found["ece"], strict=True))
    files.picture("reliability", charts.reliability(bins, errors))
    curve = files.table("coverage", abstention.abstention(last, abstention.thresholds(last)))
    marks = files.table("abstention", abstention.abstention(last, abstention.MIN_CONFIDENCES))
    files.picture("coverage", charts.coverage(curve, marks, 1 / len(best.tally.labels)))
    return {"recipe": best.recipe, "scaling": scaling, "titles": VERSIONS}


def _enrolment(files: Files, results: Sequence[Result]) -> str:
    """Name the best recipe that was tested with enrolment; empty if there is none."""
    best = _leading([result for result in results if len(result.profiles) > 1])
    if best is None:
        return ""
    table = files.table("enrolment", tables.enrolments(best))
    files.picture("enrolment", charts.enrolment(table, 1 / len(best.tally.labels)))
    return best.recipe


def _ablations(files: Files, results: Sequence[Result]) -> list[dict[str, Any]]:
    """Each recipe with variants: its tables by enrolment condition, and a figure."""
    found = []
    for full, group in groups(results).items():
        table = ablation(group)
        drawn = table[(table["recipe"] != full) & (table["profile"] == "none")][::-1]
        if drawn.empty:
            continue
        files.table(f"ablation-{full}", table)
        labels = [shorten(each, 88, placeholder=" …") for each in drawn["changes"]]
        picture = files.picture(f"ablation-{full}", charts.variants(drawn, labels))
        by_profile = {
            profile: rows.to_dict("records")
            for profile, rows in table.groupby("profile", sort=False)
        }
        found.append({"full": full, "profiles": by_profile, "picture": picture})
    return found


def _leading(results: Sequence[Result]) -> Result | None:
    """The finished recipe with the highest UAR; variants of other recipes do not count."""
    whole = [r for r in results if r.complete and not is_variant(r, results)]
    return max(whole, key=_uar, default=None)


def _uar(result: Result) -> float:
    """UAR to rank recipes by; a recipe of clips that lack a class is the last."""
    return float(np.nan_to_num(result.uar.value))


def _headline(leading: Result | None, chosen: Result) -> list[tuple[str, str, Result]]:
    """The best recipe without and with enrolment, unless it is shown already."""
    if leading is None or (leading is chosen and len(leading.profiles) == 1):
        return []
    profiles = tables.main_profiles(leading)[leading is chosen : 2]
    return [(leading.recipe, profile, leading.under(profile)) for profile in profiles]


def _picked(shown: Result, results: Sequence[Result]) -> tuple[str, bool] | None:
    """The recipe if it is shown for its UAR, and whether a variant has a higher one."""
    uars = [_uar(result) for result in results if result.complete]
    picked = len(uars) > 1 and not _is_main(shown)
    return (shown.recipe, max(uars) > _uar(shown)) if picked else None


def _drawings(result: Result, clips: Sequence[ExampleClip]) -> dict[str, Figure]:
    """Draw figures from example clips, activations and curves, where these exist."""
    run = result.runs[0]
    drawn = {}
    if clips:
        drawn["examples"] = figures.examples(clips)
    if "corpora" in run.corpus:  # activations and curves belong to several corpora
        return drawn
    points = read_points(run)
    if len(points):
        drawn["t-sne"] = figures.scatter(
            points[["x", "y"]].to_numpy(), list(points["truth"]), result.tally.labels
        )
    if len(run.curves):
        drawn["curves"] = charts.curves(run.curves)
    return drawn


def _order(result: Result) -> tuple[bool, float]:
    """The methods of the paper first, in the order of its UARs, then others by UAR."""
    published = result.published
    return published is None, published.uar if published else _uar(result)


def _chosen(results: Sequence[Result]) -> Result:
    """The paper's main method if it is finished, else the best finished recipe."""
    return max(results, key=lambda result: (result.complete, _is_main(result), _uar(result)))


def _is_main(result: Result) -> bool:
    return bool(result.published and result.published.recalls)


def _origins(result: Result) -> list[str]:
    """Revision, package versions and hardware of the folds, without repetitions."""
    lines = []
    for fold in (fold for run in result.runs for fold in run.folds):
        versions = ", ".join(f"{name} {number}" for name, number in fold["versions"].items())
        lines.append(f"Revision {fold['revision']}. {versions}. {fold['hardware']}.")
    return list(dict.fromkeys(lines))
