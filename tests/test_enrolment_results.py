"""Compare enrolment conditions, variants and corpora, and refuse inconsistent files."""

import json

import numpy as np
import pandas as pd
import pytest

from affekt.errors import LabelError, RunError
from affekt.evaluation.ablation import ablation, groups, is_variant
from affekt.evaluation.comparison import compare
from affekt.evaluation.cross_corpus import cross_corpus_matrix, unseen_means
from affekt.evaluation.intervals import shown_mean_uar, shown_uar
from affekt.evaluation.results import collect
from affekt.evaluation.summary import summarize
from affekt.evaluation.tables import enrolments, main_profiles
from affekt.report.tsne import read_points
from affekt.runs.archive import archive_run
from affekt.runs.reading import find_runs, read_run
from synthetic_runs import LABELS, PROFILES, make_run

THREE = ("emovo", "nemo", "ravdess")


def results_of(runs):
    return {result.recipe: result for result in collect(map(read_run, find_runs([runs])))}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A recipe with profiles, two variants of it, and one that was tested on unseen corpora."""
    folder = tmp_path_factory.mktemp("runs")
    small = {"speakers": 4, "epochs": 0}
    for seed in (0, 1):
        make_run(folder, "sequel", seed=seed, profiles=PROFILES, validation=True, **small)
    make_run(folder, "sequel-frozen", seed=1, skill=0.4, frozen=True, **small)
    make_run(folder, "sequel-loud", seed=7, level=True, **small)
    few = {"random-8": 0.1, "all": 0.2}
    make_run(
        folder,
        "sequel-loco",
        corpora=THREE,
        by_corpus=True,
        profiles=few,
        validation=True,
        skill=0.4,
        speakers=3,
        protocol="leave-one-corpus-out",
        epochs=2,
    )
    return folder


@pytest.fixture(scope="module")
def results(runs):
    return results_of(runs)


def test_enrolment_conditions_are_in_the_order_of_a_curve(results):
    assert results["sequel"].profiles == (
        "none",
        *(f"random-{clips}" for clips in (1, 2, 4, 8, 16)),
        "all",
        *(f"{mood}-4" for mood in ("angry", "happy", "neutral", "sad")),
        "adaptive",
    )
    assert results["sequel-frozen"].profiles == ("none",)
    assert main_profiles(results["sequel"]) == ("none", "random-8", "all")


def test_a_profile_that_one_seed_lacks_is_no_profile_of_the_recipe(tmp_path):
    make_run(tmp_path, "r", profiles={"all": 0.1}, epochs=0)
    make_run(tmp_path, "r", seed=1, epochs=0)
    assert results_of(tmp_path)["r"].profiles == ("none",)


def test_enrolment_is_compared_with_none_on_the_same_clips(results):
    result = results["sequel"]
    table = enrolments(result).set_index("profile")
    assert table["clips"].tolist() == ["0", "1", "2", "4", "8", "16", "all", *[""] * 5]
    assert table.loc["none", "uar"] == result.uar.value
    assert np.isnan(table.loc["none", ["gain", "p"]].to_numpy(float)).all()
    rows = pd.concat(run.enrolment[run.enrolment["profile"] == "all"] for run in result.runs)
    by_seed = [
        np.mean([(p["predicted"] == p["truth"]).mean() for _, p in part.groupby("truth")])
        for _, part in rows.groupby("seed")
    ]
    assert table.loc["all", "uar"] == pytest.approx(np.mean(by_seed))
    expected = compare(result.under("all").tally, result.tally)
    assert table.loc["all", "gain"] == expected.difference.value
    assert table.loc["all", "p"] == expected.p
    gain = table["uar"] - result.uar.value
    assert table["gain"].dropna().to_numpy() == pytest.approx(gain.iloc[1:].to_numpy())


def test_without_a_clip_of_each_label_nothing_is_compared(tmp_path):
    clips = {"angry": 3, "sad": 2}
    make_run(tmp_path, "r", clips=clips, profiles={"all": 0.1}, epochs=0)
    table = enrolments(results_of(tmp_path)["r"])
    assert table[["uar", "gain", "p"]].isna().all(axis=None)


def test_variants_are_grouped_with_their_recipe(results):
    found = groups(list(results.values()))
    assert {full: [r.recipe for r in group] for full, group in found.items()} == {
        "sequel": ["sequel", "sequel-frozen", "sequel-loco", "sequel-loud"]
    }
    assert is_variant(results["sequel-loud"], list(results.values()))
    assert not is_variant(results["sequel"], list(results.values()))
    assert groups([results["sequel-loud"]]) == {}


def test_an_ablation_compares_over_the_seeds_that_both_have(results):
    full, frozen = results["sequel"], results["sequel-frozen"]
    table = ablation([full, frozen, results["sequel-loud"], results["sequel-loco"]])
    plain = table[table["profile"] == "none"].set_index("recipe")
    assert list(plain.index) == ["sequel", "sequel-frozen"]  # other seeds, other clips: no row
    row = plain.loc["sequel-frozen"]
    assert (row["changes"], row["seeds"]) == ("frozen = true", "1")
    found = compare(frozen.tally, full.with_seeds({1}).tally)
    assert row["difference"] == found.difference.value
    assert (row["difference_low"], row["p"]) == (found.difference.low, found.p)
    assert plain.loc["sequel", "seeds"] == "0 1"
    assert np.isnan(plain.loc["sequel", "difference"])
    assert table["profile"].tolist() == ["none", "none", "random-8", "all"]


def test_an_ablation_names_the_knobs_that_differ(tmp_path):
    make_run(tmp_path, "a", speakers=3, epochs=0)
    make_run(tmp_path, "a-b", speakers=3, epochs=0, head="mean", hop=100)
    make_run(tmp_path, "a-b-c", speakers=3, epochs=0, done=2)
    (group,) = groups(list(results_of(tmp_path).values())).values()
    assert [result.recipe for result in group] == ["a", "a-b", "a-b-c"]
    table = ablation(group)
    assert table["recipe"].tolist() == ["a", "a-b"]  # the third is not finished
    assert table["changes"].tolist() == ["", "hop = 100, head = mean"]


def test_a_result_falls_into_the_corpora_that_it_tested(results):
    loco = results["sequel-loco"]
    assert results["sequel"].by_corpus == (results["sequel"],)
    assert len(loco.by_corpus) == 3
    emovo = loco.by_corpus[0]
    run = emovo.runs[0]
    assert set(emovo.predictions["speaker"]) == {f"emovo:0{n}" for n in (1, 2, 3)}
    assert (run.planned, len(run.folds), set(run.validation["fold"])) == (1, 1, {1})
    assert run.corpus["name"] == "emovo"
    assert sum(row["clips"] for row in run.corpus["classes"]) == 3 * 28
    assert set(run.curves["fold"]) == {1}
    assert emovo.under("all").predictions["file"].nunique() == 3 * 28
    assert emovo.complete
    pooled = pd.concat([part.predictions for part in loco.by_corpus])
    assert len(pooled) == len(loco.predictions)


def test_a_corpus_that_one_seed_has_not_come_to_has_the_other_seeds(tmp_path):
    plan = {"corpora": THREE, "by_corpus": True, "speakers": 2, "epochs": 0}
    make_run(tmp_path, "r", done=2, **plan)
    make_run(tmp_path, "r", seed=1, done=1, **plan)
    result = results_of(tmp_path)["r"]
    assert [[run.seed for run in part.runs] for part in result.by_corpus] == [[0, 1], [0]]
    assert all(part.protocol == "leave-one-corpus-out" for part in result.by_corpus)
    assert not result.complete
    assert unseen_means([result]).empty


def test_speakers_of_several_corpora_in_one_fold_fall_apart(tmp_path):
    folder = make_run(tmp_path, "r", corpora=("emovo", "nemo"), speakers=3, epochs=0)
    folds = pd.read_csv(folder / "folds.csv")
    assert folds["fold"].nunique() == 6
    (result,) = results_of(tmp_path).values()
    emovo = result.by_corpus[0]
    parts = emovo.runs[0].parts
    assert parts["fold"].nunique() == 3
    assert emovo.protocol == "leave-one-speaker-out"
    assert set(parts.loc[parts["part"] == "train", "speaker"].str[:4]) == {"emov", "nemo"}


def test_the_protocol_names_an_unseen_corpus(results, tmp_path):
    loco = results["sequel-loco"]
    assert loco.protocol == "leave-one-corpus-out"
    assert [part.protocol for part in loco.by_corpus] == ["leave-one-corpus-out"] * 3
    folder = make_run(tmp_path, "s", corpora=("a", "b"), by_corpus=True, epochs=0, done=1)
    folds = pd.read_csv(folder / "folds.csv")
    folds[folds["fold"] == 1].to_csv(folder / "folds.csv", index=False)
    assert results_of(tmp_path)["s"].protocol == "cross-corpus"


def test_the_matrix_has_unseen_corpora_and_the_diagonal_of_the_same_method(results, runs):
    loco, full = results["sequel-loco"], results["sequel"]
    table = cross_corpus_matrix([full, results["sequel-frozen"], loco])
    cells = table[table["profile"] == "none"].set_index(["train", "test"])
    assert list(cells.index) == [
        ("emovo+nemo", "ravdess"),
        ("emovo+ravdess", "nemo"),
        ("nemo+ravdess", "emovo"),
        ("ravdess", "ravdess"),
    ]
    ravdess = loco.by_corpus[2]
    assert cells.loc[("emovo+nemo", "ravdess"), "uar"] == ravdess.uar.value
    assert set(table["profile"]) == {"none", "random-8", "all"}
    assert cross_corpus_matrix([full]).empty


def test_the_mean_over_unseen_corpora_weights_them_equally(results):
    loco = results["sequel-loco"]
    table = unseen_means([results["sequel"], loco]).set_index("profile")
    assert list(table.index) == ["none", "random-8", "all"]
    by_corpus = [part.under("all").uar.value for part in loco.by_corpus]
    assert table.loc["all", "uar"] == pytest.approx(np.mean(by_corpus))
    assert table.loc["all", "low"] < table.loc["all", "uar"] < table.loc["all", "high"]


def test_the_mean_of_corpora_has_a_narrower_interval_than_one(results):
    tallies = [part.tally for part in results["sequel-loco"].by_corpus]
    mean = shown_mean_uar(tallies)
    widths = [found.high - found.low for found in map(shown_uar, tallies)]
    assert mean.high - mean.low < np.mean(widths)


def test_the_summary_has_a_row_for_each_profile_corpus_and_mean(results):
    table = summarize([results["sequel"], results["sequel-loco"]])
    assert list(table["recipe"]) == ["sequel"] * 12 + ["sequel-loco"] * 12
    first = table.iloc[:12]
    assert first["profile"].tolist() == list(results["sequel"].profiles)
    assert set(first["seeds"]) == {"0 1"}
    rest = table.iloc[12:]
    whole = "emovo+nemo+ravdess"
    assert rest["test"].tolist() == [x for x in (*THREE, whole) for _ in range(3)]
    assert set(rest["protocol"]) == {"leave-one-corpus-out"}
    assert rest["train"].iloc[0] == "nemo+ravdess"
    single = rest[(rest["profile"] == "all") & (rest["test"] != whole)]["uar"].astype(float)
    mean = rest[(rest["profile"] == "all") & (rest["test"] == whole)]["uar"].astype(float)
    assert mean.item() == pytest.approx(single.mean(), abs=2e-4)


def test_the_papers_value_is_shown_without_enrolment_only(tmp_path):
    make_run(tmp_path, profiles={"all": 0.1}, epochs=0)
    table = summarize(list(results_of(tmp_path).values()))
    assert table["paper"].tolist() == ["0.711", ""]


def test_a_kept_run_keeps_its_enrolment_and_validation(results, tmp_path):
    for recipe in ("sequel", "sequel-loco"):
        run = results[recipe].runs[0]
        kept = read_run(archive_run(run, tmp_path, points=read_points))
        for name, digits in {"predictions": 6, "enrolment": 4, "validation": 6}.items():
            expected = getattr(run, name).round(digits)
            if name == "enrolment":
                expected = expected.sort_values("file", kind="stable", ignore_index=True)
            pd.testing.assert_frame_equal(getattr(kept, name), expected, check_dtype=False)
        assert kept.corpus == run.corpus


def change(name, edit):
    def changed(folder):
        path = folder / "fold-1" / name
        table = pd.read_csv(path, keep_default_na=False)
        edit(table).to_csv(path, index=False)

    return changed


def remove(name):
    return lambda folder: (folder / "fold-2" / name).unlink()


FAULTS = {
    "enrolment missing": (remove("enrolment.csv"), "in every finished fold or in none. Got 3 of 4"),
    "validation missing": (remove("validation.csv"), "validation.csv must be in every finished"),
    "a clip missing": (
        change("enrolment.csv", lambda t: t[1:]),
        "profile all of enrolment.csv must hold the clips of predictions.csv",
    ),
    "another truth": (
        change("enrolment.csv", lambda t: t.assign(truth="sad")),
        "must hold the clips of predictions.csv",
    ),
    "a clip twice": (
        change("enrolment.csv", lambda t: pd.concat([t, t])),
        "file must be there once for a recipe, seed and profile",
    ),
    "no profile": (change("enrolment.csv", lambda t: t.assign(profile="")), "profile must be fill"),
    "no column": (
        change("enrolment.csv", lambda t: t.drop(columns="profile")),
        "the columns profile, recipe",
    ),
    "a tested speaker": (
        change("validation.csv", lambda t: t.assign(speaker="ravdess:01", gender="m")),
        "validation clips must be those of manifest and folds. They differ in fold, file",
    ),
    "another recipe": (
        change("validation.csv", lambda t: t.assign(recipe="other")),
        "predictions must be of recipe r, seed 0",
    ),
    "a fold without": (
        change("validation.csv", lambda t: t.assign(fold=2, speaker="ravdess:03", gender="m")),
        "must be",
    ),
}


@pytest.mark.parametrize(("fault", "message"), FAULTS.values(), ids=FAULTS)
def test_sisters_of_predictions_that_do_not_fit_are_refused(tmp_path, fault, message):
    folder = make_run(tmp_path, "r", profiles={"all": 0.1}, validation=True, epochs=0)
    fault(folder)
    with pytest.raises(RunError) as caught:
        read_run(folder)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_labels_are_refused(tmp_path):
    folder = make_run(tmp_path, "r", validation=True, epochs=0)
    for path in folder.glob("fold-*/validation.csv"):
        table = pd.read_csv(path, keep_default_na=False)
        table.rename(columns={"p_sad": "p_calm"}).replace("sad", "calm").to_csv(path, index=False)
    with pytest.raises(LabelError, match=r"must have the labels of predictions\.csv"):
        read_run(folder)


def test_a_manifest_of_several_corpora_counts_each(runs):
    (folder,) = runs.glob("sequel-loco-*")
    corpora = read_run(folder).corpus["corpora"]
    assert {name: [row["clips"] for row in rows] for name, rows in corpora.items()} == {
        name: [24, 24, 24, 12] for name in THREE
    }
    assert json.dumps(corpora)
    assert [row["label"] for row in corpora["nemo"]] == list(LABELS)
