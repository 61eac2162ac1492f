"""Run folders to one page that stands beside a paper, and its pictures and tables as files.

The page holds everything itself: no network, no script. What it claims is computed here from
``predictions.csv``; no model is loaded and no sound is needed.
"""

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from affekt.errors import RunError
from affekt.evaluation import charts, figures, tables
from affekt.evaluation.diagram import method, steps_of
from affekt.evaluation.figures import Voice
from affekt.evaluation.results import Result, collect
from affekt.evaluation.runs import find_runs, read_run
from affekt.evaluation.style import colours, save_png, to_svg
from affekt.evaluation.summary import protocol, tested_corpora, trained_corpora
from affekt.evaluation.tsne import read_points

TITLES = {"demos": "DEMoS", "nemo": "nEMO", "emodb": "EMO-DB", "cremad": "CREMA-D"}


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


def no_voices(_: str) -> Sequence[Voice]:
    """Leave Figure 2 out."""
    return ()


def build_report(
    runs: Iterable[Path], output: Path, *, voices: Callable[[str], Sequence[Voice]] = no_voices
) -> Path:
    """Make the page of everything that was measured so far.

    Args:
        runs: run folders, or folders that hold some, of either form.
        output: folder for the page, its PNG pictures and its CSV tables; made if missing.
        voices: gives, for the name of a corpus, the clips of Figure 2, which is left out if
            there are none.

    Returns:
        The page, ``output/index.html``.

    Raises:
        RunError: nothing to report, a broken run, or a folder that cannot be written.
        LabelError: predictions that do not fit their labels.
    """
    results = collect(read_run(folder) for folder in find_runs(runs))
    if not results:
        raise RunError("report must be given a run or more. Got none. Run a recipe first.")
    try:
        output.mkdir(parents=True, exist_ok=True)
        return _write(results, output, voices)
    except OSError as error:
        raise RunError(f"{output}: cannot be written: {error.strerror}.") from error


def _write(
    results: Sequence[Result], output: Path, voices: Callable[[str], Sequence[Voice]]
) -> Path:
    groups: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        task = (tested_corpora(result), protocol(result), trained_corpora(result))
        groups.setdefault((*task, *result.tally.labels), []).append(result)
    papers_first = sorted(groups.values(), key=lambda group: not any(r.published for r in group))
    sections = [_section(sorted(group, key=_order), output, voices) for group in papers_first]
    environment = Environment(
        loader=PackageLoader("affekt.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": _score, "title": _title, "p": _p}
    page = output / "index.html"
    text = environment.get_template("report.html.jinja").render(sections=sections)
    page.write_text(text, encoding="utf-8")
    return page


def _section(
    results: Sequence[Result], output: Path, voices: Callable[[str], Sequence[Voice]]
) -> dict[str, Any]:
    """Everything that the page says of recipes with the same recordings and protocol."""
    chosen = _chosen(results)
    labels = chosen.tally.labels
    corpus, train = tested_corpora(chosen), trained_corpora(chosen)
    name = "-".join([*dict.fromkeys([train, corpus]), *protocol(chosen).split(), str(len(labels))])
    by_speaker, by_gender = tables.speakers(chosen), tables.genders(chosen)
    certainty = tables.reliability(chosen)
    parts = {
        "table-1": tables.classes(chosen.runs[0]),
        "table-2": tables.scores(results),
        "chance": tables.chance(chosen),
        "table-3": tables.confusion(chosen),
        "comparisons": tables.comparisons(chosen, _comparable(chosen, results)),
        "speakers": by_speaker,
        "genders": by_gender,
        "reliability": certainty,
        "seeds": tables.seeds(results),
    }
    for part, table in parts.items():
        table.to_csv(output / f"{name}-{part}.csv", index=False, lineterminator="\n")
    drawn = {
        **_drawings(chosen, voices(corpus)),
        **_ladder(parts["table-2"], 1 / len(labels)),
        "speakers": charts.speakers(by_speaker, chosen.uar.value, 1 / len(labels)),
        "reliability": charts.reliability(certainty, tables.calibration_error(certainty)),
    }
    others = {
        f"confusion-{result.recipe}": figures.matrix(result.counts, labels, result.recipe)
        for result in results
        if result.complete
    }
    return {
        "corpus": corpus,
        "name": name,
        "labels": labels,
        "colours": colours(labels),
        "chosen": chosen,
        "verdict": verdict_of(chosen),
        "results": results,
        "tables": {part.replace("-", "_"): _records(table) for part, table in parts.items()},
        "pictures": {
            part: _picture(figure, output, f"{name}-{part}") for part, figure in drawn.items()
        },
        "matrices": [_picture(figure, output, f"{name}-{k}") for k, figure in others.items()],
        "protocol": protocol(chosen),
        "train": train,
        "knobs": sorted(chosen.runs[0].knobs.items()),
        "origins": _origins(chosen),
    }


def _drawings(result: Result, voices: Sequence[Voice]) -> dict[str, Figure]:
    """Figures that need more than predictions, as far as that is there."""
    run = result.runs[0]
    drawn = {}
    steps = steps_of(run.knobs, result.tally.labels)
    if steps:
        drawn["figure-1"] = method(steps)
    if voices:
        drawn["figure-2"] = figures.voices(voices)
    points = read_points(run)
    if len(points):
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


def _score(value: float, digits: int = 3) -> str:
    """A number for a table; a dash where there is none."""
    return "–" if np.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def _title(corpus: str) -> str:
    return " + ".join(TITLES.get(name, name.upper()) for name in corpus.split("+"))


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
