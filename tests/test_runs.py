"""Test reading run folders and archived runs, their faults, and the summary."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from affekt.corpora import read_manifest
from affekt.errors import AffektError, RunError
from affekt.evaluation import tables
from affekt.evaluation.ablation import changed_knobs
from affekt.evaluation.intervals import INTERVAL, RANGE
from affekt.evaluation.paper import PUBLISHED
from affekt.evaluation.results import Result, collect
from affekt.evaluation.summary import COLUMNS, summarize, write_summary
from affekt.report.tsne import read_points
from affekt.runs.archive import archive_run, archive_runs
from affekt.runs.reading import find_runs, read_run
from synthetic_runs import LABELS, make_run, runs_in


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two seeds of the paper's recipe, one of a baseline, on four speakers."""
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder, activations=True)
    make_run(folder, seed=1)
    make_run(folder, "ravdess-mfcc-svm", epochs=0, skill=0.3, method="mfcc-svm")
    return folder


def results_of(folder):
    return collect(runs_in(folder))


@pytest.fixture(scope="module")
def results(runs):
    return results_of(runs)


def only(runs):
    """The one result of some runs."""
    (result,) = collect(runs_in(runs))
    return result


def test_runs_are_found_at_any_depth_and_once(runs):
    assert len(find_runs([runs, *runs.iterdir(), runs])) == 3


def test_a_run_is_what_its_folds_say(runs):
    run = read_run(runs / "ravdess-yamnet-lstm-0000001dc900")
    assert (run.recipe, run.seed, run.planned, run.complete) == ("ravdess-yamnet-lstm", 0, 4, True)
    assert len(run.predictions) == 4 * 28
    assert not run.predictions.duplicated("file").any()
    assert run.corpus["classes"][0] | {"seconds": 0} == {
        "label": "angry",
        "clips": 32,
        "speakers": 4,
        "seconds": 0,
        "shortest": 3.1,
        "longest": 3.8,
    }
    assert set(run.curves["fold"]) == {1, 2, 3, 4}


def test_the_digest_is_that_of_the_manifest(runs):
    folder = next(runs.iterdir())
    assert read_run(folder).corpus["digest"] == read_manifest(folder / "manifest.csv").digest


def test_an_archived_run_has_the_same_numbers_in_fewer_bytes(runs, tmp_path):
    run = read_run(runs / "ravdess-yamnet-lstm-0000001dc900")
    kept = read_run(archive_run(run, tmp_path, points=read_points))
    for name in ("predictions", "parts", "curves"):
        pd.testing.assert_frame_equal(getattr(kept, name), getattr(run, name), check_dtype=False)
    for name in ("recipe", "digest", "seed", "knobs", "corpus", "planned", "folds"):
        assert getattr(kept, name) == getattr(run, name)
    pd.testing.assert_frame_equal(read_points(kept), read_points(run), check_dtype=False)
    files = {path.name for path in (tmp_path / "ravdess-yamnet-lstm/seed-0").iterdir()}
    tables = {"predictions.csv.bz2", "folds.csv", "curve.csv.bz2", "points.csv.bz2"}
    assert files == {"run.json", *tables}
    assert "/somewhere" not in (tmp_path / "ravdess-yamnet-lstm/seed-0/run.json").read_text()


def test_a_baseline_has_no_curves_and_no_points(runs, tmp_path):
    folders = archive_runs(runs_in(runs), tmp_path, points=read_points)
    assert len(folders) == 3
    baseline = read_run(tmp_path / "ravdess-mfcc-svm" / "seed-0")
    assert len(baseline.curves) == 0
    assert len(read_points(baseline)) == 0


def test_points_of_one_class_lie_together(runs):
    points = read_points(read_run(runs / "ravdess-yamnet-lstm-0000001dc900"))
    assert len(points) == 4 * 28
    plane = points[["x", "y"]].to_numpy()
    distance = np.linalg.norm(plane[:, None] - plane, axis=-1)
    np.fill_diagonal(distance, np.inf)
    same = points["truth"].to_numpy()[distance.argmin(axis=1)] == points["truth"]
    assert same.mean() > 0.6


def test_an_unfinished_run_is_kept_as_far_as_it_has_come(tmp_path):
    whole = make_run(tmp_path / "whole", activations=True)
    run = read_run(make_run(tmp_path / "runs", done=2, activations=True))
    assert not run.complete
    results = tmp_path / "results"
    kept = read_run(archive_run(run, results, points=read_points))
    assert (kept.planned, len(kept.folds), kept.complete) == (4, 2, False)
    pd.testing.assert_frame_equal(kept.predictions, run.predictions)
    pd.testing.assert_frame_equal(read_points(kept), read_points(run))
    names = {path.relative_to(kept.folder).as_posix() for path in kept.folder.rglob("*.*")}
    tables = {"run.json", "predictions.csv.bz2", "folds.csv", "curve.csv.bz2"}
    assert names == tables | {f"fold-{number}/activations.npz" for number in (1, 2)}
    before = {path: path.read_bytes() for path in kept.folder.rglob("*.*")}
    archive_run(kept, results, points=read_points)  # in its own place
    assert {path: path.read_bytes() for path in kept.folder.rglob("*.*")} == before
    archive_run(read_run(whole), results, points=read_points)
    assert {path.name for path in kept.folder.iterdir()} == tables | {"points.csv.bz2"}


def test_what_another_recipe_of_its_name_made_is_not_displaced(tmp_path):
    run = read_run(make_run(tmp_path / "runs"))
    folder = archive_run(run, tmp_path / "results", points=read_points)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RunError, match=f"digest {run.digest}. Got 0123. Remove that folder"):
        archive_run(replace(run, digest="0123"), tmp_path / "results", points=read_points)
    fewer = read_run(make_run(tmp_path / "fewer", speakers=3))
    with pytest.raises(RunError, match=f"of the recordings .* {run.corpus['digest']}. Got"):
        archive_run(fewer, tmp_path / "results", points=read_points)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_fold_that_is_kept_is_not_lost_to_a_younger_run(tmp_path):
    """Nothing is written then, not even the other runs."""
    results = tmp_path / "results"
    folder = archive_run(
        read_run(make_run(tmp_path / "older", done=2)), results, points=read_points
    )
    before = (folder / "run.json").read_bytes()
    make_run(tmp_path / "younger", done=1)
    make_run(tmp_path / "younger", "another", epochs=0)
    command = f"affekt run ravdess-yamnet-lstm --archive {results}"
    with pytest.raises(RunError, match=f"Missing: 2. Restore them first: {command}$"):
        archive_runs(runs_in(tmp_path / "younger"), results, points=read_points)
    assert (folder / "run.json").read_bytes() == before
    assert not (results / "another").exists()
    make_run(tmp_path / "third", done=3)
    archive_runs(runs_in(tmp_path / "third"), results, points=read_points)
    assert len(read_run(folder).folds) == 3


def test_an_unfinished_run_has_no_score(tmp_path):
    make_run(tmp_path, done=2)
    unfinished = only(tmp_path)
    assert unfinished.progress == "2 of 4 folds"
    (run,) = unfinished.runs
    assert Result("r", (replace(run, planned=1, folds=run.folds[:1]),)).progress == "1 of 1 fold"
    assert summarize([unfinished]).empty
    make_run(tmp_path, "ravdess-mfcc-svm", epochs=0)
    write_summary(results_of(tmp_path), tmp_path / "summary.csv")
    assert pd.read_csv(tmp_path / "summary.csv")["recipe"].tolist() == ["ravdess-mfcc-svm"]
    row = tables.scores([unfinished]).iloc[0]
    assert row[["folds", "planned", "clips", "paper", "angry_paper"]].tolist() == [
        2,
        4,
        56,
        0.711,
        0.854,
    ]
    scored = ["uar", "low", "high", "accuracy", "macro_f1", *LABELS]
    assert row[scored].isna().all()


def test_an_unfinished_seed_counts_in_no_score(tmp_path):
    make_run(tmp_path)
    whole = only(tmp_path)
    make_run(tmp_path, seed=1, done=2)
    result = only(tmp_path)
    assert result.complete
    assert (result.uar, result.command) == (whole.uar, whole.command)
    listed = tables.seeds([result])
    assert listed[["seed", "folds", "planned"]].to_numpy().tolist() == [[0, 4, 4], [1, 2, 4]]
    assert listed["uar"].isna().tolist() == [False, True]


def test_unfinished_seeds_of_different_folds_are_counted_apart(tmp_path):
    """One seed has tested all speakers of a corpus, and another not yet the third."""
    plan = {"corpora": ("emovo", "nemo"), "speakers": 3, "epochs": 0}
    make_run(tmp_path, done=2, **plan)
    make_run(tmp_path, seed=1, done=3, **plan)
    emovo = only(tmp_path).by_corpus[0]
    rows = emovo.runs[1].predictions
    score = balanced_accuracy_score(rows["truth"], rows["predicted"])
    assert tables.seeds([emovo])["uar"].tolist() == pytest.approx([np.nan, score], nan_ok=True)
    assert tables.speakers(emovo)["clips"].tolist() == [28] * 3
    assert tables.genders(emovo)["clips"].tolist() == [28, 56]


def test_unfinished_seeds_are_listed_for_each_corpus(tmp_path):
    plan = {"corpora": ("emovo", "nemo"), "speakers": 3, "epochs": 0}
    make_run(tmp_path, **plan)
    make_run(tmp_path, seed=1, done=4, **plan)
    emovo, nemo = only(tmp_path).by_corpus
    assert (emovo.seeds, nemo.seeds) == ("0", "0")
    listed = [tables.seeds([part]) for part in (emovo, nemo)]
    columns = ["seed", "folds", "planned"]
    rows = [table[columns].to_numpy().tolist() for table in listed]
    assert rows == [[[0, 3, 3], [1, 3, 3]], [[0, 3, 3], [1, 1, 3]]]
    assert [table["uar"].isna().tolist() for table in listed] == [[False] * 2, [False, True]]
    assert listed[0]["uar"].iloc[0] == pytest.approx(emovo.uar.value)


def test_seeds_that_have_not_come_to_a_corpus_are_listed_too(tmp_path):
    plan = {"corpora": ("emovo", "nemo"), "speakers": 3, "epochs": 0}
    make_run(tmp_path, done=4, **plan)
    make_run(tmp_path, seed=1, done=2, **plan)
    emovo, nemo = (tables.seeds([part]) for part in only(tmp_path).by_corpus)
    assert emovo["folds"].tolist() == [3, 2]
    assert nemo["folds"].tolist() == [1, 0]


def test_labels_named_as_other_columns_have_columns_of_their_own(tmp_path):
    """Arousal, for example, is low or high."""
    for path in make_run(tmp_path, epochs=0).rglob("*.csv"):
        path.write_text(path.read_text().replace("sad", "low").replace("angry", "truth"))
    result = only(tmp_path)
    uar, (row,) = result.uar, tables.scores([result]).to_dict("records")
    assert (row["uar"], row["low"], row["high"]) == (uar.value, uar.low, uar.high)
    assert row["label_low"] == result.recalls["low"].value
    assert tables.genders(result)["low"].max() < tables.genders(result)["uar"].max()
    assert tables.confusion(result)["truth"].tolist() == ["truth", "happy", "low", "neutral"]
    assert tables.confusion(result)["label_low"].sum() == result.counts[:, 2].sum()


def test_a_label_of_few_speakers_has_no_interval(tmp_path):
    make_run(tmp_path, speakers=9, epochs=0)
    (run,) = only(tmp_path).runs
    rows = run.predictions
    some = rows[(rows["truth"] != "sad") | (rows["speaker"] < "ravdess:04")]
    fewer = Result("r", (replace(run, predictions=some.reset_index(drop=True)),))
    assert (fewer.uar.kind, fewer.recalls["sad"].kind) == (INTERVAL, RANGE)
    (row,) = tables.scores([fewer]).to_dict("records")
    assert np.isfinite([row["sad"], row["angry_low"], row["angry_high"]]).all()
    assert np.isnan([row["sad_low"], row["sad_high"]]).all()


def test_seeds_and_conditions_are_divided_once(results):
    paper = results[1]
    assert paper.with_seeds({0}) is paper.with_seeds({0})
    assert paper.with_seeds({0, 1}) is paper


def test_a_knob_that_only_newer_seeds_have_must_have_its_old_effect(tmp_path):
    make_run(tmp_path, "r", epochs=0)
    make_run(tmp_path, "r", seed=1, perceived=0.0, epochs=0)
    assert only(tmp_path).seeds == "0 1"
    make_run(tmp_path, "r", seed=2, perceived=0.5, epochs=0)
    with pytest.raises(RunError, match="Got seeds 0 and 2 with different perceived"):
        only(tmp_path)


def test_fewer_than_four_clips_have_no_projection(tmp_path):
    few = {"clips": {"angry": 1}, "done": 1, "activations": True}
    assert read_points(read_run(make_run(tmp_path, **few))).empty


def test_a_run_that_has_just_begun_is_passed_over(tmp_path):
    make_run(tmp_path, done=0)
    assert find_runs([tmp_path]) == ()


def break_file(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def change_json(name, **changes):
    def change(folder):
        about = {**json.loads((folder / name).read_text()), **changes}
        kept = {key: value for key, value in about.items() if value is not None}
        (folder / name).write_text(json.dumps(kept))

    return change


def leak(folder):
    """The speaker tested in fold 1 is also trained on there."""
    text = (folder / "folds.csv").read_text()
    (folder / "folds.csv").write_text(text + "1,ravdess:01,train\n")


def swap_speaker(folder):
    text = (folder / "folds.csv").read_text()
    (folder / "folds.csv").write_text(text.replace("1,ravdess:01,test", "1,ravdess:09,test"))


def leave_folder(folder):
    """The name of the corpus leads out of a report's folder."""
    for path in folder.rglob("*.csv"):
        path.write_text(path.read_text().replace("ravdess:", "../ravdess:"))


def cut(folder):
    path = folder / "fold-1/predictions.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))


def relabel(column, label):
    def changed(folder):
        path = folder / "fold-1/predictions.csv"
        table = pd.read_csv(path)
        table.loc[0, column] = label
        table.to_csv(path, index=False)

    return changed


FAULTS = {
    "no folds.csv": (lambda f: (f / "folds.csv").unlink(), "folds.csv: must be a table in UTF-8"),
    "no recipe": (break_file("recipe.json", b"["), "recipe.json: must be JSON"),
    "a list": (break_file("recipe.json", b"[1]"), "must be a JSON object. Got list"),
    "no manifest": (
        lambda f: (f / "manifest.csv").unlink(),
        "must be a table in UTF-8",
    ),
    "bad manifest": (
        break_file("manifest.csv", b"# {}\n"),
        "first line of a manifest",
    ),
    "empty folds": (break_file("folds.csv", b""), "at least one fold"),
    "other columns": (
        break_file("folds.csv", b"a,b\n1,2\n"),
        "must have the columns fold, speaker",
    ),
    "no fact": (change_json("fold-1/result.json", hardware=None), "Missing: hardware"),
    "other seed": (
        change_json("fold-1/result.json", seed=5),
        "of recipe ravdess-yamnet-lstm, seed 5",
    ),
    "a path as name": (leave_folder, "names that files can have. Got '../ravdess'"),
    "other digest": (change_json("fold-1/result.json", digest="0"), "digest. Got 0, 0000"),
    "clips lost": (cut, "test clips must be those of manifest and folds"),
    "other truth": (relabel("truth", "neutral"), "file, speaker, truth: 1, Actor_01/"),
    "no speaker": (
        lambda f: (f / "folds.csv").write_text(
            (f / "folds.csv").read_text().replace("2,ravdess:04,train\n", "")
        ),
        "each fold must hold every speaker",
    ),
    "leak": (leak, "Got ravdess:01 twice, which leaks test data"),
    "wrong speaker": (swap_speaker, "each fold must hold every speaker"),
    "a fold more": (
        lambda f: (f / "fold-4/result.json").write_text((f / "fold-3/result.json").read_text()),
        "must be of the finished folds, 1, 2, 3, 3 of 4. Got 1, 2, 3, 4 of 4",
    ),
    "no predictions": (lambda f: (f / "fold-2/predictions.csv").unlink(), "cannot be read"),
}


@pytest.mark.parametrize(("fault", "message"), FAULTS.values(), ids=FAULTS)
def test_a_broken_run_is_refused_in_one_line(tmp_path, fault, message):
    folder = make_run(tmp_path)
    fault(folder)
    with pytest.raises(AffektError) as caught:
        read_run(folder)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_kept_run_is_refused(runs, tmp_path):
    folder = archive_run(read_run(next(runs.iterdir())), tmp_path, points=read_points)
    change_json("run.json", planned=None)(folder)
    with pytest.raises(RunError, match="must be a run as it was written"):
        read_run(folder)
    for name, other in (("knobs", []), ("corpus", None)):
        whole = (folder / "run.json").read_text()
        change_json("run.json", planned=4, **{name: other})(folder)
        with pytest.raises(RunError, match="must be a run as it was written"):
            read_run(folder)
        (folder / "run.json").write_text(whole)
    (folder / "run.json").write_text("[" * 100_000)
    with pytest.raises(RunError, match="must be a run as it was written"):
        read_run(folder)
    (folder / "run.json").write_text(whole)
    change_json("run.json", planned=5)(folder)
    with pytest.raises(RunError, match=r"of 5\. Got 1, 2, 3, 4 of 4"):
        read_run(folder)
    change_json("run.json", planned=4)(folder)
    table = pd.read_csv(folder / "predictions.csv.bz2")
    table[1:].to_csv(folder / "predictions.csv.bz2", index=False)
    with pytest.raises(RunError, match=r"must be of all clips, \{'angry': 32"):
        read_run(folder)
    (folder / "run.json").unlink()
    (folder / "run.json").mkdir()
    with pytest.raises(RunError, match="must hold a finished fold"):
        read_run(folder)


def test_missing_files_are_reported(tmp_path):
    folder = make_run(tmp_path)
    (folder / "recipe.json").unlink()
    with pytest.raises(RunError, match="cannot be read: No such file"):
        read_run(folder)
    with pytest.raises(RunError, match="must be a folder of runs"):
        find_runs([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("name", "arrays", "message"),
    [
        ("no array", {"activations": np.ones((28, 3))}, "must hold the arrays"),
        (
            "strangers",
            {"activations": np.ones((1, 3)), "files": np.array(["x"])},
            "of the clips in",
        ),
    ],
)
def test_activations_of_something_else_are_refused(tmp_path, name, arrays, message):
    folder = make_run(tmp_path)
    np.savez(folder / "fold-1" / "activations.npz", **arrays)
    with pytest.raises(RunError, match=message):
        read_points(read_run(folder))


def test_torn_activations_are_refused(tmp_path):
    folder = make_run(tmp_path, activations=True)
    (folder / "fold-1" / "activations.npz").write_bytes(b"PK\x03\x04torn")
    with pytest.raises(RunError, match="Remove the file"):
        read_points(read_run(folder))


def test_results_cannot_be_written_over_a_file(runs, tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        archive_runs(runs_in(runs), tmp_path / "results", points=read_points)
    with pytest.raises(RunError, match="cannot be written"):
        write_summary(results_of(runs), tmp_path)


def test_seeds_are_averaged(results):
    (baseline, paper) = results
    assert [run.seed for run in paper.runs] == [0, 1]
    by_seed = [
        balanced_accuracy_score(rows["truth"], rows["predicted"])
        for _, rows in paper.predictions.groupby("seed")
    ]
    assert paper.uar.value == pytest.approx(np.mean(by_seed))
    assert paper.published == PUBLISHED["ravdess-yamnet-lstm"]
    assert paper.complete
    assert baseline.command == "affekt run ravdess-mfcc-svm"
    both = "affekt run ravdess-yamnet-lstm"
    assert paper.command == f"{both} && {both} --seed 1"


def test_a_seed_twice_or_seeds_of_different_recipes_are_refused(runs, tmp_path):
    first = read_run(runs / "ravdess-yamnet-lstm-0000001dc900")
    with pytest.raises(RunError, match="Got seed 0 twice"):
        collect([first, first])
    for change, named in (({"head": "mean"}, "head"), ({"speakers": 5}, "recordings")):
        other = read_run(make_run(tmp_path / named, seed=3, **change))
        with pytest.raises(RunError, match=f"seeds 0 and 3 with different {named}"):
            collect([first, other])


def test_table_one_adds_up(runs):
    table = tables.classes(read_run(next(runs.iterdir())))
    assert table["clips"].tolist() == [32, 32, 32, 16, 112]
    assert table["seconds"].iloc[-1] == pytest.approx(table["seconds"].iloc[:-1].sum())
    assert table["label"].tolist() == [*LABELS, "all"]


def test_table_two_holds_ours_beside_the_papers(results):
    table = tables.scores(results).set_index("recipe")
    ours = table.loc["ravdess-yamnet-lstm"]
    assert (ours["paper"], ours["angry_paper"], ours["clips"]) == (0.711, 0.854, 112)
    assert np.isnan(table.loc["ravdess-mfcc-svm", "angry_paper"])
    rows = results[1].predictions
    assert ours["accuracy"] == pytest.approx((rows["truth"] == rows["predicted"]).mean())
    by_seed = [
        f1_score(part["truth"], part["predicted"], average="macro")
        for _, part in rows.groupby("seed")
    ]
    assert ours["macro_f1"] == pytest.approx(np.mean(by_seed))
    assert ours["low"] < ours["uar"] < ours["high"]


def test_table_three_speakers_and_genders_add_up(results):
    result = results[1]
    counted = tables.confusion(result)
    assert counted[list(LABELS)].to_numpy().sum() == 2 * 112
    by_speaker = tables.speakers(result)
    assert by_speaker["uar"].is_monotonic_increasing
    assert by_speaker["clips"].tolist() == [28] * 4
    assert by_speaker["accuracy"].mean() == pytest.approx(np.trace(result.counts) / 224)
    by_gender = tables.genders(result)
    assert by_gender[["gender", "speakers", "clips"]].to_numpy().tolist() == [
        ["f", 2, 56],
        ["m", 2, 56],
    ]


def test_recipes_are_compared_and_seeds_listed(results):
    found = tables.comparisons(results[1], [results[0]])
    expected = results[1].uar.value - results[0].uar.value
    assert found["difference"].tolist() == [pytest.approx(expected)]
    listed = tables.seeds(results)
    assert listed["seed"].tolist() == [0, 0, 1]
    assert listed["minutes"].tolist() == [4, 4, 4]
    killed = results[1].runs[0]
    longer = replace(killed, curves=killed.curves.assign(seconds=30.0))
    (row,) = tables.seeds([Result("r", (longer,))]).to_dict("records")
    assert row["minutes"] == 4 * 5 * 30 / 60  # each of four folds took its five epochs
    assert listed["best_epoch"].isna().tolist() == [True, False, False]
    assert listed["uar"][1:].mean() == pytest.approx(results[1].uar.value)


def test_a_summary_names_training_and_test_corpora(results, tmp_path, runs):
    write_summary(results_of(runs), tmp_path / "summary.csv")
    table = pd.read_csv(tmp_path / "summary.csv", dtype=str)
    assert tuple(table.columns) == COLUMNS
    row = table.set_index("recipe").loc["ravdess-yamnet-lstm"]
    assert row[["train", "test", "protocol", "profile", "classes", "seeds", "paper"]].tolist() == [
        "ravdess",
        "ravdess",
        "leave-one-speaker-out",
        "none",
        "4",
        "0 1",
        "0.711",
    ]
    assert float(row["uar"]) == pytest.approx(results[1].uar.value, abs=5e-7)


@pytest.mark.parametrize(("folds", "name"), [(2, "2 speaker-folds"), (1, "held-out")])
def test_the_protocol_follows_from_the_folds(results, folds, name):
    run = results[0].runs[0]
    fewer = Result("r", (type(run)(**{**vars(run), "planned": folds}),))
    assert fewer.protocol == name


def test_a_mean_over_corpora_of_few_speakers_has_no_interval(tmp_path):
    make_run(tmp_path, "loco", corpora=("emovo", "nemo"), by_corpus=True, speakers=3, epochs=0)
    rows = summarize(results_of(tmp_path)).set_index("test")
    assert (rows.loc["emovo+nemo", "low"], rows.loc["emovo+nemo", "high"]) == ("nan", "nan")
    assert float(rows.loc["emovo", "low"]) > 0  # the range over speakers


def test_table_one_counts_the_speakers_of_the_tested_corpus(tmp_path):
    """Not those of the other corpora in training, nor clips of corpora that are not tested."""
    folder = make_run(tmp_path, "both", corpora=("emovo", "nemo"), speakers=3, epochs=0)
    whole = only(tmp_path)
    for part in whole.by_corpus:
        assert tables.classes(part.runs[0]).set_index("label").loc["all", "speakers"] == 3
    folds = pd.read_csv(folder / "folds.csv")
    folds[folds["fold"] == 1].to_csv(folder / "folds.csv", index=False)
    for other in range(2, 7):
        (folder / f"fold-{other}" / "result.json").unlink()
    (held_out,) = only(tmp_path).by_corpus
    assert tables.classes(held_out.runs[0])["clips"].iloc[-1] == 3 * 28


def test_a_knob_that_is_newer_than_a_recipe_is_no_change(tmp_path):
    make_run(tmp_path, "a-recipe")
    make_run(tmp_path, "a-recipe-frozen", frozen=True, augment_noise=False, perceived=0.0)
    assert changed_knobs(*results_of(tmp_path)) == "frozen = true"
