"""Recompute every published number from the predictions under ``results/``."""

import csv
import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, t

import affekt
from affekt.aliases import from_stored
from affekt.corpora.joined import corpus_of
from affekt.evaluation.ablation import changed_knobs
from affekt.evaluation.calibration import answers_of, pooled_temperatures
from affekt.evaluation.calibration_metrics import fit_temperature
from affekt.evaluation.comparison import compare
from affekt.evaluation.cross_corpus import cross_corpus_matrix
from affekt.evaluation.intervals import FEW_SPEAKERS
from affekt.evaluation.metrics import recalls_of, tally
from affekt.evaluation.paper import PUBLISHED
from affekt.evaluation.results import ADDED, Result, collect
from affekt.evaluation.summary import COLUMNS, summarize
from affekt.experiments.recipe import Recipe
from affekt.experiments.recipe_files import read_recipe
from affekt.journal.changes import holm
from affekt.report.page import build_report
from affekt.runs.folder import table_file
from affekt.runs.reading import find_runs, read_run

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
KINDS = ("rf", "svm", "mlp")  # of baselines
VECTORS = "docs/artefacts/vectors.json"
OF_REMOVED_KNOBS = {  # results of recipes whose knobs or values are gone
    "ingredients-coarse-steps",
    "ingredients-half-colour",
    "ingredients-transformer",
}
LABELS = ("angry", "happy", "sad", "neutral")
COMMAND = r"`affekt run ([\w-]+)`"
FOLDERS = find_runs([RESULTS])
every_run = pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f"{f.parent.name}-{f.name}")
archived = cache(read_run)  # each is read once, and only by who asks for it


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def rows_of(table: str) -> list[dict[str, str]]:
    with (RESULTS / table).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


#: Scores of results/voices.csv that the page on conversations has.
SCORED = [
    *(("UAR", kind) for kind in ("alone", "true turns", "found turns")),
    *(("EDER", kind) for kind in ("alone", "found turns", "one timeline")),
]


@cache
def of_recipe(name: str) -> Result:
    (result,) = collect([archived(folder) for folder in FOLDERS if folder.parent.name == name])
    assert result.recipe == name
    return result


@every_run
def test_every_clip_is_tested_once_without_its_speaker_in_training(folder: Path) -> None:
    """Counted anew from the files, whatever the reader of runs has checked."""
    run = archived(folder)
    rows = pd.read_csv(table_file(run.folder, "predictions"))
    parts = pd.read_csv(run.folder / "folds.csv")
    assert not rows["file"].duplicated().any()
    for fold, answered in rows.groupby("fold"):
        of_it = parts[parts["fold"] == fold].groupby("part")["speaker"].agg(set)
        assert set(answered["speaker"]) == of_it["test"]
        assert not of_it["test"] & (of_it["train"] | of_it["validation"])
    labels = [row["label"] for row in run.corpus["classes"]]
    probable = rows[[f"p_{label}" for label in labels]].to_numpy()
    given = probable[np.arange(len(rows)), [labels.index(label) for label in rows["predicted"]]]
    assert (given == probable.max(axis=1)).all()
    whole = {row["label"]: row["clips"] for row in run.corpus["classes"]}
    held_out = run.knobs["protocol"] in ("held-out", "train-on-one-corpus")
    if run.complete and not held_out:
        assert rows["truth"].value_counts().to_dict() == whole


def test_the_summary_follows_from_the_predictions() -> None:
    found = pd.read_csv(RESULTS / "summary.csv", dtype=str, keep_default_na=False)
    made = summarize([result for result in collect(map(archived, FOLDERS)) if result.complete])
    pd.testing.assert_frame_equal(found, made.astype(str), check_dtype=False)
    assert tuple(found.columns) == COLUMNS


def test_the_archive_is_small() -> None:
    """A clone holds all measured results, so they must not grow unnoticed."""
    files = filter(Path.is_file, RESULTS.rglob("*"))
    assert sum(path.stat().st_size for path in files) < 20 * 2**20


@every_run
def test_every_run_is_of_a_recipe_as_it_stands(folder: Path) -> None:
    run = archived(folder)
    assert folder.parent.name == run.recipe
    name, *changes = re.split(r"-(?=\w+=)", run.recipe)
    path = ROOT / "recipes" / f"{name}.toml"
    if run.recipe in OF_REMOVED_KNOBS:
        assert not path.exists()
        return
    recipe = read_recipe(path, changes).with_(seed=run.seed)
    assert run.recipe == recipe.name
    assert run.digest == recipe.digest
    knobs = json.loads(json.dumps(recipe.values()))
    assert {name: run.knobs.get(name, knobs[name]) for name in knobs} == knobs


def test_variants_of_archived_runs_are_named_by_what_they_change() -> None:
    """Runs of release 0.1 lack knobs that later ones have."""
    assert {name: getattr(Recipe("any"), name) for name in ADDED} == ADDED
    for file in RESULTS.glob("*/seed-*/run.json"):
        knobs = from_stored(json.loads(file.read_text(encoding="utf-8"))["knobs"])
        assert Recipe("any").values().keys() - knobs.keys() <= ADDED.keys()
    for full, variant, changes in (
        ("ravdess-ablation", "ravdess-ablation-power", "front_end = power"),
        ("ravdess-mfcc-svm", "ravdess-mfcc-svm-all-features", "select_features = false"),
    ):
        assert changed_knobs(of_recipe(full), of_recipe(variant)) == changes


def test_the_cross_corpus_matrix_has_its_diagonal() -> None:
    table = cross_corpus_matrix(
        [r for r in collect(map(archived, FOLDERS)) if r.complete and len(r.tally.labels) == 4]
    )
    cells = set(zip(table["train"], table["test"], strict=True))
    assert {("ravdess", "ravdess"), ("emovo", "emovo"), ("ravdess", "emovo")} <= cells


def table_rows() -> Iterator[tuple[str, str, str]]:
    """Of each row of Table II its recipe, the paper's value and ours, as they are printed."""
    for line in text_of("docs/reproduce.md").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        command = re.fullmatch(COMMAND, cells[-1])
        if command and len(cells) == 5:
            yield command[1], cells[2], cells[3]


def test_the_page_on_reproducing_has_the_measured_enrolment() -> None:
    measured = {(r["recipe"], r["test"], r["profile"]): r for r in rows_of("summary.csv")}
    seen = 0
    for line in text_of("docs/reproduce.md").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        command = re.fullmatch(COMMAND, cells[-1])
        if command and len(cells) == 7:
            profiles = ("none", "neutral-4", "random-8", "all")
            for profile, ours in zip(profiles, cells[2:6], strict=True):
                row = measured[command[1], cells[0].lower().replace("-", ""), profile]
                uar, low, high = (float(row[name]) for name in ("uar", "low", "high"))
                assert ours == f"{uar:.3f} ({low:.3f} to {high:.3f})"
                seen += 1
    assert seen == 92


def test_the_page_on_reproducing_holds_every_row_of_the_papers_table() -> None:
    papers = {recipe: paper for recipe, paper, _ in table_rows()}
    assert papers.keys() >= PUBLISHED.keys()
    for recipe, paper in papers.items():
        published = PUBLISHED.get(recipe)
        assert paper == (f"{published.uar:.3f}" if published else "")
        assert (ROOT / "recipes" / f"{recipe}.toml").is_file()


@pytest.mark.parametrize(("recipe", "ours"), [(row[0], row[2]) for row in table_rows()])
def test_the_page_on_reproducing_has_the_measured_scores(recipe: str, ours: str) -> None:
    measured = {row["recipe"]: row for row in rows_of("summary.csv")}
    if recipe in measured:
        uar, low, high = (float(measured[recipe][name]) for name in ("uar", "low", "high"))
        assert ours == f"{uar:.3f} ({low:.3f} to {high:.3f})"
    elif recipe.startswith("demos"):
        assert ours == "needs the corpus"
    else:
        assert ours.startswith("not finished")


def test_the_readme_has_the_measured_enrolment() -> None:
    """Means of four corpora, seen and unseen in training, without enrolment and with 8 clips."""
    page = text_of("README.md")
    for recipe, words in (
        ("corpora-encoder", "a corpus seen in training"),
        ("cross-corpus-encoder", "an unseen corpus"),
    ):
        means = [
            np.mean([part.under(profile).uar.value for part in of_recipe(recipe).by_corpus])
            for profile in ("none", "random-8")
        ]
        assert re.search(rf"`affekt` on {words}.* \| {means[0]:.3f} \| {means[1]:.3f} \|", page)


@pytest.mark.parametrize("model", ["affekt", "affekt-open", "affekt-small"])
def test_the_shipped_models_card_follows_from_its_cross_validation(model: str) -> None:
    shipped = import_module("shipped")
    page = text_of(f"src/affekt/models/{model}.md")
    plain, known = pooled_temperatures([RESULTS / shipped.RECIPES[model][0]])
    assert shipped.markdown(shipped.card(RESULTS, model), (plain, known)) in page
    graph = affekt.load(model).graph
    assert graph.digest in page
    assert graph.metadata["temperature"] == pytest.approx(plain, rel=1e-4)
    assert graph.metadata["temperature_known"] == pytest.approx(known, rel=1e-4)
    assert f"temperatures: {plain:.2f} without enrolment, {known:.2f} with" in page


def test_the_page_on_the_method_has_the_measured_temperatures() -> None:
    page = " ".join(text_of("docs/method.md").split())
    found = pooled_temperatures([RESULTS / "corpora"])
    whole = of_recipe("corpora")
    best = []
    for profile in ("random-1", "random-4", "random-8"):
        answers = answers_of(whole.under(profile))
        best.append(fit_temperature(answers.probabilities, answers.truth))
    cells = [f"{each:.2f}" for each in (found[0], *best, found[1])]
    assert f"| temperature of `affekt-small` | {' | '.join(cells)} |" in page


def test_the_vectors_for_ports_are_the_shipped_models() -> None:
    made, kept = import_module("vectors").vectors(), json.loads(text_of(VECTORS))
    ours, theirs = made.pop("probabilities"), kept.pop("probabilities")
    assert made == kept
    for name, rows in ours.items():
        np.testing.assert_allclose(rows, theirs[name], atol=1e-3)


def test_no_other_number_is_claimed_in_the_readme() -> None:
    """A score outside of the table would have nothing that checks it."""
    prose = [line for line in text_of("README.md").splitlines() if not line.startswith("|")]
    assert not re.findall(r"0\.\d{3}", "\n".join(prose))


def test_the_card_follows_from_its_answers() -> None:
    answered = pd.read_csv(RESULTS / "yamnet-lstm" / "answers.csv", dtype={"file": str})
    made = import_module("card").card(answered)
    pd.testing.assert_frame_equal(pd.read_csv(RESULTS / "yamnet-lstm" / "card.csv"), made)
    plain = text_of("src/affekt/models/yamnet-lstm.md").replace("*", "").replace(",", "")
    for row in made.to_dict("records"):
        recalls = " | ".join(f"{row[label]:.3f}" for label in LABELS)
        facts = f"| {row['clips']} | {row['speakers']} | {recalls} | {row['uar']:.3f}"
        assert facts in plain
        between = re.search(f"{re.escape(facts)} \\((.*?)\\)", plain)
        assert row["speakers"] < FEW_SPEAKERS  # so that ranges are shown
        assert not between or between[1] == f"range {row['low']:.3f} to {row['high']:.3f}"


def test_the_shipped_network_answers_as_the_run_did() -> None:
    """What was measured of the file is what the run measured of the network that is in it."""
    answered = pd.DataFrame(rows_of("yamnet-lstm/answers.csv"))
    shipped = answered[answered["condition"] == answered["condition"][0]].set_index("file")
    run = of_recipe("ravdess-held-out").predictions.set_index("file")
    assert shipped["predicted"].to_dict() == run["predicted"].to_dict()
    for label in LABELS:
        difference = shipped[f"p_{label}"].astype(float) - run[f"p_{label}"]
        assert difference.abs().max() < 0.01  # as the card says of float16
    digest = hashlib.sha256((ROOT / "src/affekt/models/yamnet-lstm.onnx").read_bytes())
    assert digest.hexdigest() in text_of("src/affekt/models/yamnet-lstm.md")


def test_the_page_on_timelines_has_the_measured_scores() -> None:
    page = text_of("docs/timeline.md")
    rows = rows_of("conversation.csv")
    found = re.findall(r"\| (0\.\d{3}) \| ([\d.]+) s \| ([\d.]+) s \| ([\d.]+) s \|", page)
    names = ("EDER", "false_alarm", "missed", "confusion")
    assert [[*map(float, row)] for row in found] == [
        [float(row[name]) for name in names] for row in rows
    ]
    silence = next(row for row in rows if row["timeline"] == "silence")
    assert f"is {silence['seconds']} s long, {silence['missed']} s of them emotional" in page


def test_the_page_on_ablations_has_the_measured_neutral_clips() -> None:
    page = text_of("docs/ablations.md")
    found = pd.read_csv(RESULTS / "neutral-clips.csv")
    table = found.pivot(index=["enrolment", "clips"], columns="corpus", values="uar")
    for (kind, clips), scores in table.iterrows():
        what = f"{clips} {kind} clip{'s' if clips > 1 else ''}" if clips else "none"
        cells = ["" if np.isnan(uar) else f"{uar:.3f}" for uar in scores]
        assert f"| {what} | {' | '.join(cells)} |" in page


def test_the_page_on_finetuning_has_the_measured_scores() -> None:
    page = text_of("docs/integrate/finetune.md")
    found = pd.read_csv(RESULTS / "finetune.csv")
    found = found[found["enrolment"] == "none"]
    before = found[found["speakers"] == 0].groupby("case")["uar"].agg(["mean", "min", "max"])
    emovo, cremad = before.loc["emovo"], before.loc["cremad"]
    cells = "{mean:.3f} ({min:.3f} to {max:.3f})".format(**emovo)
    assert f"| no speaker (`affekt-open`) | {cells} |" in page
    assert f"| no speaker | {cremad['mean']:.3f} |" in page
    assert cremad["min"] == cremad["max"]  # the same test speakers in each draw
    found = found[found["speakers"] > 0]
    for (_, speakers), group in found.groupby(["case", "speakers"]):
        cells = []
        for method in ("finetune", "random head", "logistic regression"):
            uar = group.loc[group["method"] == method, "uar"]
            cells.append(f"{uar.mean():.3f} ({uar.min():.3f} to {uar.max():.3f})")
        speaker = "speaker" if speakers == 1 else "speakers"
        assert f"| {speakers} {speaker} | {' | '.join(cells)} |" in page


def test_the_page_on_journals_has_the_measured_power() -> None:
    page = text_of("docs/journal.md")
    found = pd.read_csv(RESULTS / "journal.csv")
    ends = (
        f"{100 * rows['covered'].min():.0f} % to {100 * rows['covered'].max():.0f} %"
        for rows in (found[found["corpus"] == name] for name in ("all", "RAVDESS"))
    )
    covered = "covers the true change in {} of the journals (RAVDESS: {})".format(*ends)
    assert covered in " ".join(page.split())
    found = found[found["corpus"] == "all"].set_index("share_sad_after")
    for row, after, column, digits in (
        ("no change: any share marked since the baseline", 0.2, "alarm", 1),
        ("no change: any week marked", 0.2, "alarm_week", 1),
        ("no change: a change point", 0.2, "change_point", 1),
        ("sad 20 to 40 %: sad marked", 0.4, "alarm_sad", 0),
        ("sad 20 to 60 %: sad marked", 0.6, "alarm_sad", 0),
        ("sad 20 to 60 %: change point within 3 days", 0.6, "change_point_near", 0),
    ):
        shares = [f"{100 * share:.{digits}f} %" for share in found.loc[after, column]]
        assert f"| {row} | {' | '.join(shares)} |" in page
    baseline = pd.read_csv(RESULTS / "journal-baseline.csv").set_index("prevailing")["warned"]
    for emotion in LABELS:
        assert f"| 80 % {emotion} | {100 * baseline[emotion]:.0f} % |" in page
    smallest = pd.read_csv(RESULTS / "journal-smallest.csv").sort_values(
        ["margin", "recordings_a_day"]
    )
    few, many, few_with, many_with = (f"{100 * share:.0f} %" for share in smallest["found"])
    assert (
        f"{few_with} were marked at three recordings a day and {many_with} at ten; without the "
        f"factor {few} and {many}" in " ".join(page.split())
    )
    marks = pd.read_csv(RESULTS / "journal-marks.csv").set_index(["change", "units", "days"])
    of_days, of_recordings = (
        marks.loc[("none", units)].iloc[0] for units in ("days", "recordings")
    )
    assert (
        f"marks {100 * of_recordings['any']:.0f} % of {of_days['journals']:.0f} journals, the test "
        f"of days {100 * of_days['any']:.0f} %" in " ".join(page.split())
    )
    for days, row in marks.loc[("sad to angry", "days")].iterrows():
        assert f"| {days} | {100 * row['happy']:.0f} % | {100 * row['neutral']:.0f} % |" in page


def test_the_page_on_the_method_has_the_measured_training_speed() -> None:
    measured = json.loads((RESULTS / "training-speed.json").read_text())
    page = " ".join(text_of("docs/method.md").split())
    times = {name: loop["times_plain"] for name, loop in measured["loops"].items()}
    for name in ("float32", "bfloat16"):
        seconds = round(measured["loops"][name]["seconds_an_epoch"])
        assert f"| {name} | {times[name]:.2f} | {seconds} s |" in page
    assert f"| two float32 processes side by side | {times['two at once']:.2f} | |" in page


def test_the_page_on_reproducing_has_the_measured_comparisons() -> None:
    page = " ".join(text_of("docs/reproduce.md").split())
    ours = of_recipe("ravdess-yamnet-lstm")
    baselines = [f"ravdess-{cepstra}-{kind}" for cepstra in ("mfcc", "gtcc") for kind in KINDS]
    baseline = max(map(of_recipe, baselines), key=lambda result: result.uar.value)
    lead = compare(ours.tally, baseline.tally).difference
    assert (
        f"lead over the highest is {lead.value:.3f} ({lead.low:+.3f} to {lead.high:+.3f})" in page
    )
    assert f"up to {baseline.uar.value:.3f}." in page
    plain = compare(ours.tally, of_recipe("ravdess-mfcc-svm-all-features").tally).difference
    assert f"it is {plain.value:.3f} ({plain.low:+.3f} to {plain.high:+.3f})" in page
    frozen = of_recipe("ravdess-yamnet-lstm-frozen")
    cost = compare(frozen.tally, ours.tally).difference
    words = f"UAR is {frozen.uar.value:.3f}, {-cost.value:.3f} lower"
    assert f"{words} ({cost.low:.3f} to {cost.high:.3f})" in page
    few, drawn = of_recipe("ravdess-ablation"), of_recipe("ravdess-ablation-random")
    assert f"still has {few.uar.value:.3f} ({few.uar.low:.3f} to {few.uar.high:.3f})" in page
    cost = compare(drawn.tally, few.tally).difference
    words = f"has {drawn.uar.value:.3f}, {-cost.value:.3f} lower"
    assert f"{words} ({cost.low:.3f} to {cost.high:.3f}; p < 0.001)" in page
    for name in ("mean", "power"):
        other = of_recipe(f"ravdess-ablation-{name}")
        found = compare(other.tally, few.tally)
        cost = found.difference
        words = f"has {other.uar.value:.3f}: {cost.value:.3f}"
        assert f"{words} ({cost.low:.3f} to {cost.high:+.3f}; p {found.p:.2f})" in page


def test_the_page_on_reproducing_has_the_measured_baselines() -> None:
    """Class accuracies of each, and what their selection of features changes."""
    page = text_of("docs/reproduce.md")
    rows = re.findall(r"^\| `(ravdess-[\w-]+)` \| (\d) \| (.*) \|(.*) \|$", page, re.MULTILINE)
    assert len(rows) >= 11
    chances = {}
    for recipe, seeds, recalls, difference in rows:
        found = of_recipe(recipe)
        assert int(seeds) == len(found.runs)
        assert recalls == " | ".join(f"{each.value:.3f}" for each in found.recalls.values())
        if recipe.endswith("-all-features"):
            other = of_recipe(recipe.removesuffix("-all-features"))
            cost = compare(found.tally, other.tally)
            chances[f"`{other.recipe}`"] = cost.p
            p = f"p {cost.p:.3f}".replace("p 0.000", "p < 0.001")
            ends = f"({cost.difference.low:+.3f} to {cost.difference.high:+.3f}; {p})"
            assert difference == f" {cost.difference.value:+.3f} {ends}"
    assert len(chances) == 6
    adjusted = zip(chances, holm([*chances.values()]), strict=True)
    first, second, third = (recipe for recipe, p in adjusted if p < 0.05)
    words = f"adjustment, those of {first}, {second} and {third} are below 0.05."
    assert words in " ".join(page.split())
    names = (f"ravdess-{cepstra}-{kind}" for cepstra in ("mfcc", "gtcc") for kind in ("svm", "mlp"))
    costs = [
        compare(of_recipe(name).tally, of_recipe(f"{name}-all-features").tally).difference.value
        for name in names
    ]
    assert f"all features cost {min(costs):.3f} to {max(costs):.3f}" in page
    assert f"SVMs and MLPs by {min(costs):.3f} to {max(costs):.3f};" in " ".join(page.split())


def test_the_page_on_reproducing_has_the_measured_order_of_windows() -> None:
    page = " ".join(text_of("docs/reproduce.md").split())
    rows = {row["order"]: row for row in rows_of("window-order.csv")}
    words = []
    for order in ("shuffled", "reversed"):
        value, low, high, p = (
            float(rows[order][name]) for name in ("difference", "low", "high", "p")
        )
        words.append(f"by {value:.3f} ({low:.3f} to {high:+.3f}; p {p:.2f})")
    assert f"UAR differs {words[0]} and {words[1]}." in page
    changed = [round(100 * float(rows[order]["changed"])) for order in ("shuffled", "reversed")]
    assert f"{changed[0]} % and {changed[1]} % of the labels change" in page
    measured = of_recipe("ravdess-ablation-power").uar.value
    assert float(rows["in order"]["uar"]) == pytest.approx(measured, abs=1e-4)


def test_the_page_on_reproducing_has_the_validation_of_the_chosen_epoch() -> None:
    page = " ".join(text_of("docs/reproduce.md").split())
    epochs = pd.read_csv(RESULTS / "ravdess-yamnet-lstm" / "seed-0" / "curve.csv.bz2")
    folds = epochs.groupby("fold")["validation_uar"]
    best, last = folds.max().mean(), folds.apply(lambda each: each.tail(10).mean()).mean()
    tested = of_recipe("ravdess-yamnet-lstm").with_seeds({0}).uar.value
    assert (
        f"it is {best:.3f} at the chosen epoch and {last:.3f} in the mean of the last ten" in page
    )
    assert f"beside {tested:.3f} on the test speakers" in page


def test_the_page_on_reproducing_has_the_spread_between_runs() -> None:
    """The pooled variance of each speaker's share of the UAR between the networks that score it."""
    page = " ".join(text_of("docs/reproduce.md").split())
    folders = [RESULTS / "ravdess-yamnet-lstm" / f"seed-{seed}" for seed in range(3)]

    def shares(table: str, within: list[str], network: str) -> Any:
        rows = pd.concat([pd.read_csv(table_file(folder, table)) for folder in folders])
        clips = rows.drop_duplicates("file")["truth"].value_counts()
        share = (rows["predicted"] == rows["truth"]) / rows["truth"].map(clips) / len(LABELS)
        return share.groupby([rows[name] for name in (*within, network)]).sum().groupby(within)

    def spread(found: Any) -> tuple[float, float]:
        free = (found.size() - 1).sum()
        return float(np.sqrt(24 * ((found.size() - 1) * found.var()).sum() / free)), float(free)

    run, free = spread(shares("predictions", ["speaker"], "seed"))
    low, high = run * np.sqrt(free / chi2.ppf([0.975, 0.025], free))
    assert f"a standard deviation of {run:.3f} ({low:.3f} to {high:.3f})" in page
    validated = shares("validation", ["seed", "speaker"], "fold")
    assert (validated.size().min(), validated.size().max()) == (1, 12)
    words = "each scored by one to twelve networks of a run, give"
    assert f"{words} {spread(validated)[0]:.3f}." in page
    ours, paper = of_recipe("ravdess-yamnet-lstm"), PUBLISHED["ravdess-yamnet-lstm"].uar
    runs = len(ours.runs)
    width = t.ppf(0.975, free) * run * np.sqrt(1 + 1 / runs)
    uar = ours.uar.value
    assert f"are expected from {uar - width:.3f} to {uar + width:.3f}." in page
    assert abs(paper - uar) < width
    row = f"| the paper's on RAVDESS, mean of three runs (the paper: {paper}) | {uar:.3f} |"
    assert row in text_of("README.md")
    assert f"one below {width:.3f} could not be detected" in page
    each = [ours.with_seeds({seed}).uar.value for seed in range(runs)]
    assert f"have UAR {', '.join(f'{uar:.3f}' for uar in each[:-1])} and {each[-1]:.3f}." in page


def test_the_page_on_reproducing_has_the_measured_rules_of_selection() -> None:
    page = text_of("docs/reproduce.md")
    text = " ".join(page.split())
    every = pd.read_csv(RESULTS / "selection.csv")
    scored = every[every["speakers"] == "validation"]
    by_variant = scored.pivot_table("uar", ["seed", "fold"], ["variant", "rule"])
    table = by_variant["published"].dropna()
    gains = table.sub(table["best epoch"], axis=0)
    assert f"{len(table)} networks" in text
    for rule in table.drop(columns="best epoch"):
        higher = (gains[rule] > 0).sum()
        cells = f"| {table[rule].mean():.3f} | {gains[rule].mean():+.3f} | {higher} |"
        assert cells in page, rule
    best = gains["averaged, recomputed"]
    error = best.std() / np.sqrt(len(best))
    assert f"gain {best.mean():.3f} (standard error {error:.3f}) over the best epoch" in text
    assert f"| [averaged weights](#which-weights-to-use): {best.mean():+.3f} on" in page


def runs_of(numbers: list[int]) -> str:
    """``[1, 2, 3, 7]`` as ``1 to 3, 7``."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    spans = zip(starts, ends, strict=True)
    return ", ".join(f"{low} to {high}" if low < high else f"{low}" for low, high in spans)


def test_the_page_on_reproducing_has_the_measured_defaults_of_matlab() -> None:
    text = " ".join(text_of("docs/reproduce.md").split())
    every = pd.read_csv(RESULTS / "selection.csv")
    for speakers in ("validation", "test"):
        for rule, words in (
            ("last epoch", "last epoch"),
            ("averaged, recomputed", "averaged, statistics recomputed"),
        ):
            scored = every[(every["speakers"] == speakers) & (every["rule"] == rule)]
            both = scored.pivot_table("uar", ["seed", "fold"], "variant").dropna()
            folds = both.reset_index().groupby("seed")["fold"].agg(list)
            trained = "; ".join(
                f"seed {seed}: {runs_of(numbers)}" for seed, numbers in folds.items()
            )
            assert f"in {len(both)} folds ({trained})." in text
            gain = both["matlab"] - both["published"]
            error = gain.std() / np.sqrt(len(gain))
            scores = f"{both['published'].mean():.3f} | {both['matlab'].mean():.3f}"
            row = f"| {speakers} speakers | {words} | {scores} | {gain.mean():+.3f} ({error:.3f}) |"
            assert row in text
            if (speakers, rule) == ("test", "last epoch"):
                one, two = both.loc[1, "matlab"], both.loc[2, "matlab"]
                assert len(one) == len(two) == 24
                runs = f"{one.mean():.3f} (seed 1) and {two.mean():.3f} (seed 2)"
                assert f"the last epoch has UAR {runs} with them" in text
                every_seed = scored[scored["variant"] == "matlab"]
                shared = every_seed.pivot_table("uar", "fold", "seed").dropna()
                zero, one, two = shared.mean()
                of_zero = runs_of(list(shared.index))
                assert (
                    f"Of seed 0, {len(shared)} folds were trained with them ({of_zero}): UAR "
                    f"{zero:.3f} on their test speakers, where seeds 1 and 2 have "
                    f"{one:.3f} and {two:.3f}."
                ) in text
            if speakers == "validation":
                cell = f"{gain.mean():+.3f} (standard error {error:.3f}) with the last epoch, "
                if rule != "last epoch":
                    cell = f", {gain.mean():+.3f} ({error:.3f}) with averaged weights |"
                assert text.count(cell) == 1


def test_the_page_on_reproducing_has_the_averaged_weights_on_test_speakers() -> None:
    page = " ".join(text_of("docs/reproduce.md").split())
    averaged = of_recipe("ravdess-yamnet-lstm-averaged")
    published = of_recipe("ravdess-yamnet-lstm").with_seeds({run.seed for run in averaged.runs})
    found = compare(averaged.tally, published.tally)
    uar, gain = averaged.uar, found.difference
    assert (
        f"has UAR {uar.value:.3f} ({uar.low:.3f} to {uar.high:.3f}), and {published.uar.value:.3f} "
        f"with the best epoch: {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}; "
        f"p {found.p:.3f})"
    ) in page
    assert f"{gain.value:+.3f} on test speakers |" in page


def test_the_page_on_ablations_has_the_measured_ablations() -> None:
    for recipe in ("ingredients", "encoder-ablation"):
        assert import_module("ablations").markdown(RESULTS, recipe) in text_of("docs/ablations.md")
    (tuned,) = [each for each in FOLDERS if "frozen=false" in each.parent.name]
    plain = tuned.parent.name.replace("-epochs=5-frozen=false-learning_rate=0.0001", "")
    ours, theirs = of_recipe(tuned.parent.name), of_recipe(plain)
    found = compare(ours.tally, theirs.tally)
    gain = found.difference
    page = " ".join(text_of("docs/ablations.md").split())
    assert (
        f"it has UAR {ours.uar.value:.3f}; frozen, with 15 epochs and otherwise the same settings, "
        f"{theirs.uar.value:.3f}: {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}; "
        f"p {found.p:.3f})"
    ) in page


def test_the_page_on_ablations_has_the_measured_svm() -> None:
    page = text_of("docs/ablations.md")
    rows = rows_of("plain.csv")
    assert len(rows) == 12
    for row in rows:
        svm, network, cost, low, high, p = (float(row[name]) for name in (*row,)[3:])
        scores = (
            f"| {svm:.3f} | {network:.3f} | {cost:+.3f} ({low:+.3f} to {high:+.3f}; p {p:.3f}) |"
        )
        assert scores in page
        (whole,) = collect([archived(RESULTS / row["recipe"] / "seed-0")])
        parts = {part.tally.speakers[0].partition(":")[0]: part for part in whole.by_corpus}
        assert parts[row["test"]].under(row["profile"]).uar.value == pytest.approx(
            network, abs=1e-6
        )
    on_ravdess = [row for row in rows if row["test"] == "ravdess"]
    assert [float(row["difference"]) > 0 for row in on_ravdess] == [True] * 6
    assert sum(float(row["p"]) < 0.05 for row in on_ravdess) == 4
    assert min(holm([float(row["p"]) for row in rows])) > 0.05
    words = (
        "in all six rows, with p below 0.05 in four. After Holm's adjustment for twelve tests no p"
    )
    assert words in " ".join(page.split())


def test_the_page_on_ablations_has_the_effect_of_noise() -> None:
    """With both; the predictions without are in the commit that the page names."""
    page = text_of("docs/ablations.md")
    for words, recipe, seeds in (
        ("unseen corpora", "cross-corpus-encoder", {0, 1, 2}),
        ("unseen speakers", "corpora-encoder", {0}),
    ):
        parts = of_recipe(recipe).with_seeds(seeds).by_corpus
        for profile, enrolment in (("none", "no enrolment"), ("random-8", "8 clips")):
            uars = [part.under(profile).uar.value for part in parts]
            row = rf"\| UAR on {words}, {enrolment} \| 0\.\d{{3}} \| {np.mean(uars):.3f} \|"
            assert re.search(row, page)


def test_the_page_on_ablations_has_the_calibration_on_unseen_corpora() -> None:
    """The mean of the three corpora of the table of aims, and of all four."""
    page = " ".join(text_of("docs/ablations.md").split())
    shipped = import_module("shipped")
    trained = of_recipe("corpora-encoder")
    means = []
    for profile in ("none", "random-8"):
        answers = answers_of(trained.under(profile))
        temperature = fit_temperature(answers.probabilities, answers.truth)
        parts = of_recipe("cross-corpus-encoder").by_corpus
        errors = {
            corpus_of(part.tally.speakers[0]): shipped.calibration_error(
                part.under(profile), temperature
            )[0]
            for part in parts
        }
        means.append((np.mean([errors[x] for x in ("ravdess", "emovo", "nemo")]), errors))
    (none, all_none), (enrolled, all_enrolled) = means
    assert f"{none:.2f} without enrolment, {enrolled:.2f} with 8 clips. With CREMA-D" in page
    four = [np.mean([*errors.values()]) for errors in (all_none, all_enrolled)]
    assert f"means are [{four[0]:.2f} and {four[1]:.2f}]" in page


def test_the_page_on_ablations_has_the_measured_context() -> None:
    page = text_of("docs/ablations.md")
    rows = rows_of("encoder-context.csv")
    assert len(rows) == 18
    for row in rows:
        settings = f"{row['context']} | {row['positions']} | {row['layers']}"
        uar, normalized = float(row["uar"]), float(row["uar_normalized"])
        assert f"| {settings} | {uar:.3f} | {normalized:.3f} |" in page
    of_ravdess = [row for row in rows if row["corpus"] == "ravdess"]
    whole, stream = (
        [
            [float(row["uar"]), float(row["uar_normalized"])]
            for row in of_ravdess
            if (row["context"], row["positions"]) == (context, "first")
        ]
        for context in ("whole", "1")
    )
    cost = np.max(np.subtract(whole, stream))
    assert f"costs at most {cost:.3f} of UAR" in " ".join(page.split())


def test_the_page_on_ablations_compares_the_trunks() -> None:
    page = text_of("docs/ablations.md")
    (small,) = collect([archived(RESULTS / "ravdess-profile" / "seed-0")])
    (encoder,) = collect([archived(RESULTS / "ravdess-encoder" / "seed-0")])
    for profile in ("none", "random-8", "all"):
        found = compare(encoder.under(profile).tally, small.under(profile).tally)
        cost, low, high = found.difference.value, found.difference.low, found.difference.high
        scores = [each.under(profile).uar.value for each in (small, encoder)]
        row = f"| {scores[0]:.3f} | {scores[1]:.3f} | {cost:+.3f} ({low:+.3f} to {high:+.3f}; "
        assert f"{row}p {found.p:.3f}) |" in page


def test_the_page_on_speed_has_the_measured_precisions() -> None:
    rows = {row["weights"]: row for row in rows_of("precision.csv") if "mean" in row["corpus"]}
    page = text_of("docs/speed.md")
    assert f"| float32 | {float(rows['float32']['uar']):.3f} | |" in page
    for weights, name in (("float16", "float16, as shipped"), ("int8", "int8")):
        uar, changed = float(rows[weights]["uar"]), float(rows[weights]["changed"])
        assert f"| {name} | {uar:.3f} | {changed:.1%} |".replace("%", " %") in page
    assert f"of the {int(rows['int8']['clips']):,} labels" in page
    assert rows.keys() - {*import_module("precision").KINDS} == {"int8"}
    assert "the script has it at commit `8035821`" in page
    assert float(rows["float16"]["uar"]) > float(rows["float32"]["uar"]) - 0.005


def test_the_readme_shows_what_the_shipped_model_answers() -> None:
    shown = re.findall(r"^(samples/\S+) +[\d.]+ +(\w+) +(.*%)$", text_of("README.md"), re.MULTILINE)
    assert len(shown) == 4
    predictor = affekt.load()
    for file, label, shares in shown:
        prediction = predictor.predict(ROOT / file)
        assert prediction.label == label
        percents = [100 * share for share in prediction.probabilities.values()]
        assert [int(each) for each in re.findall(r"\d+", shares)] == pytest.approx(percents, abs=1)


def test_the_report_names_the_protocol_of_the_whole_run(tmp_path: Path) -> None:
    """Not that of the part of one corpus, whose six speakers are in six of the ten folds."""
    page = build_report([of_recipe("corpora")], tmp_path).read_text(encoding="utf-8")
    for name in ("EMOVO", "nEMO", "RAVDESS"):
        assert f"{name}, 4 classes, 10 speaker-folds" in page


def test_the_page_on_ablations_has_the_measured_aims() -> None:
    told = re.findall(
        r"\| (.*) \| (.*) \| 0\.\d\d \| (0\.\d{3}) \| `(.*)` \|", text_of("docs/ablations.md")
    )
    assert len(told) == 10
    profiles = {"none": "none", "8 clips": "random-8", "all other clips": "all"}
    for tested, enrolment, measured, recipe in told:
        corpus = tested.partition(",")[0].lower().replace("-", "")
        tests = ("ravdess", "emovo", "nemo") if corpus == "an unseen corpus" else (corpus,)
        found = [
            float(row["uar"])
            for row in rows_of("summary.csv")
            if (row["recipe"], row["profile"]) == (recipe, profiles[enrolment])
            and row["test"] in tests
        ]
        assert len(found) == len(tests)
        assert measured == f"{np.mean(found):.3f}"


def test_the_page_on_ablations_has_the_effect_of_cremad() -> None:
    page = text_of("docs/ablations.md")
    without, with_it = (
        archived(RESULTS / name / "seed-0")
        for name in ("corpora-encoder-corpus=ravdess+emovo+nemo", "corpora-encoder")
    )
    for corpus in ("RAVDESS", "EMOVO", "nEMO"):
        for profile, words in (
            ("none", "none"),
            ("random-8", "8 clips"),
            ("all", "all other clips"),
        ):
            tallies = []
            for run in (without, with_it):
                rows = pd.concat([run.predictions.assign(profile="none"), run.enrolment])
                rows = rows[(rows["profile"] == profile)]
                tallies.append(tally(rows[rows["speaker"].map(corpus_of) == corpus.lower()]))
            scores = [f"{recalls_of(each.counts.sum(axis=(0, 1))).mean():.3f}" for each in tallies]
            found = compare(tallies[1], tallies[0])
            gain = found.shown
            ends = f"({gain.low:+.3f} to {gain.high:+.3f}; p {found.p:.2f})"
            row = f"| {corpus} | {words} | {' | '.join(scores)} | {gain.value:+.3f} {ends} |"
            assert row in page


def test_the_page_on_conversations_has_the_measured_scores() -> None:
    page = text_of("docs/conversations.md")
    lines: list[str] = []
    for row in pd.read_csv(RESULTS / "voices.csv").to_dict("records"):
        room = f"{row['room']} s" if row["room"] else "none"
        start = f"| {row['recordings']} | {room} | {row['speakers']} | {row['overlap']:.0%} |"
        lines.append(f"{start} {row['counted']} | {row['noted']} |")
        for columns in (
            ("DER", "DER range", "missed", "false_alarm", "confusion"),
            [f"{score} {kind}" for score, kind in SCORED],
        ):
            cells = [row[column] for column in columns]
            shown = [each if isinstance(each, str) else f"{each:.3f}" for each in cells]
            if row["speakers"] > 1:
                lines.append(f"{start} {' | '.join(shown)} |")
    assert not [line for line in lines if line not in page]


def test_the_page_on_conversations_has_the_recall_of_one_timeline() -> None:
    page = text_of("docs/conversations.md")
    found = pd.read_csv(RESULTS / "voices.csv")
    found = found[found["speakers"] > 1]
    easy = (found["speakers"] == 2) & (found["overlap"] == 0)
    for rows, words in (
        (found[easy], "2 speakers, no overlap"),
        (found[~easy], "others"),
    ):
        spans = [
            f"{rows[name].min():.2f} to {rows[name].max():.2f}"
            for name in ("UAR one timeline", "UAR found turns")
        ]
        assert f"| {words} | {spans[0]} | {spans[1]} |" in page


def test_the_page_on_conversations_has_the_measured_falls() -> None:
    found = pd.read_csv(RESULTS / "voices.csv")
    found = found[found["speakers"] > 1]
    conditions = [found["speakers"], found["overlap"] > 0, found["room"] > 0]
    for (speakers, overlap, room), rows in found.groupby(conditions):
        cells = []
        for turns in ("true", "found"):
            falls = rows["UAR alone"] - rows[f"UAR {turns} turns"]
            cells.append(f"{falls.min():.2f} to {falls.max():.2f}")
        words = f"{speakers} speakers{', overlap' * overlap}{', room' * room}"
        assert f"| {words} | {' | '.join(cells)} |" in text_of("docs/conversations.md")
