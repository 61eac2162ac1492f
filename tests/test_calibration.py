"""Check calibration and abstention of runs against scikit-learn and by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, brier_score_loss

from affekt.errors import RunError
from affekt.evaluation.abstention import abstention, thresholds
from affekt.evaluation.calibration import (
    Answers,
    _scores,
    answers_of,
    calibrations,
    pooled_temperatures,
    reliability,
    scalable,
    scaled,
)
from affekt.evaluation.calibration_metrics import (
    FLOOR,
    apply_temperature,
    bin_of,
    calibration_floor,
    equal_width,
    expected_calibration_error,
    fit_temperature,
)
from affekt.evaluation.results import collect
from affekt.runs.reading import find_runs, read_run
from synthetic_runs import LABELS, make_run

SHARES = [f"p_{label}" for label in LABELS]


def only(runs):
    (result,) = collect(read_run(folder) for folder in find_runs([runs]))
    return result


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Two seeds of an overconfident recipe, on eight speakers."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        make_run(folder, seed=seed, speakers=8, sure=20, validation=True, epochs=0)
    return only(folder)


def places(rows):
    return rows["truth"].map(LABELS.index).to_numpy()


def test_a_fold_is_scaled_by_validation_predictions_of_other_speakers(result):
    run = result.runs[0]
    after = scaled(result).runs[0].predictions
    for fold, tested in after.groupby("fold"):
        others = run.validation[~run.validation["speaker"].isin(tested["speaker"])]
        assert set(others["fold"]) > {fold}
        scale = fit_temperature(others[SHARES].to_numpy(), places(others))
        expected = apply_temperature(run.predictions.loc[tested.index, SHARES].to_numpy(), scale)
        assert tested[SHARES].to_numpy() == pytest.approx(expected)


def test_validation_predictions_of_test_speakers_are_not_used(result):
    """A speaker who is tested in one fold and validates in another never scales itself."""
    run = result.runs[0]
    for fold, tested in run.predictions.groupby("fold"):
        theirs = run.validation["speaker"].isin(tested["speaker"])
        assert theirs.any()
        lied = run.validation.assign(truth=run.validation["truth"].mask(theirs, "angry"))
        other = type(result)("r", (type(run)(**{**vars(run), "validation": lied}),))
        one, two = (scaled(of).runs[0].predictions for of in (result, other))
        ours = (one["fold"] == fold).to_numpy()
        pd.testing.assert_frame_equal(one.loc[ours, SHARES], two.loc[ours, SHARES])
        assert not one.loc[~ours, SHARES].equals(two.loc[~ours, SHARES])


def test_answers_for_tested_speakers_do_not_move_their_scaling(result, tmp_path):
    """Whatever the test clips' truth, their probabilities are scaled alike."""
    run = result.runs[0]
    lied = run.predictions.assign(truth="angry")
    other = type(result)("r", (type(run)(**{**vars(run), "predictions": lied}),))
    one, two = (scaled(of).runs[0].predictions for of in (result, other))
    pd.testing.assert_frame_equal(one[SHARES], two[SHARES])


def test_a_temperature_changes_no_answer(result):
    after = scaled(result).predictions
    assert (after["predicted"] == result.predictions["predicted"]).all()
    most = np.array(LABELS)[after[SHARES].to_numpy().argmax(axis=1)]
    assert (after["predicted"] == most).mean() > 0.99  # ties of rounded probabilities


def test_calibration_is_the_mean_of_the_seeds_of_all_folds_pooled(result):
    table = calibrations(result).set_index("scaling")
    assert list(table.index) == ["none", "temperature"]
    for scaling, row in table.iterrows():
        rows = (scaled(result) if scaling == "temperature" else result).predictions
        seeds = [part for _, part in rows.groupby("seed")]
        shares = [part[SHARES].to_numpy() for part in seeds]
        truth = [places(part) for part in seeds]
        pairs = list(zip(truth, shares, strict=True))
        brier = [
            brier_score_loss(t, p / p.sum(axis=1, keepdims=True), labels=range(4)) for t, p in pairs
        ]
        assert row["brier"] == pytest.approx(np.mean(brier), abs=1e-5)
        floored = [np.maximum(p, FLOOR) for p in shares]
        losses = [
            -np.log(p[np.arange(len(t)), t]).mean() for t, p in zip(truth, floored, strict=True)
        ]
        assert row["nll"] == pytest.approx(np.mean(losses))
        errors = [
            expected_calibration_error(p.max(axis=1), p.argmax(axis=1) == t, edges=equal_width())
            for t, p in pairs
        ]
        assert row["ece"] == pytest.approx(np.mean(errors))
        floors = [calibration_floor(p.max(axis=1), edges=equal_width()) for p in shares]
        assert row["ece_floor"] == pytest.approx(np.mean(floors))
        uars = [balanced_accuracy_score(part["truth"], part["predicted"]) for part in seeds]
        assert row["uar"] == pytest.approx(np.mean(uars))
        for score in ("ece", "ece_mass", "brier", "nll", "uar"):
            assert row[f"{score}_low"] <= row[score] <= row[f"{score}_high"]


def test_an_overconfident_network_gets_a_temperature_above_one(result):
    table = calibrations(result).set_index("scaling")
    assert table.loc["temperature", "ece"] < table.loc["none", "ece"]
    assert table.loc["temperature", "nll"] < table.loc["none", "nll"]


def test_a_model_is_calmed_by_the_cross_validation_of_its_like(tmp_path):
    make_run(tmp_path, speakers=6, sure=12, validation=True, epochs=0)
    found = only(tmp_path)
    rows = found.predictions
    truth = rows["truth"].map({label: place for place, label in enumerate(LABELS)}).to_numpy()
    temperature = fit_temperature(rows[SHARES].to_numpy(), truth)
    plain, known = pooled_temperatures([tmp_path])
    assert plain == known == pytest.approx(temperature)
    assert plain > 1


def test_enrolment_may_lower_the_temperature(tmp_path):
    make_run(tmp_path, speakers=6, sure=4, profiles={"all": 0.25, "random-8": 0.2}, epochs=0)
    plain, known = pooled_temperatures([tmp_path])
    assert known < plain
    (run,) = only(tmp_path).runs
    rows = run.enrolment[run.enrolment["profile"] == "all"]
    temperature = fit_temperature(rows[SHARES].to_numpy(), places(rows))
    assert known == pytest.approx(temperature)


def test_a_temperature_needs_whole_runs(tmp_path):
    with pytest.raises(RunError, match="Got runs: 0"):
        pooled_temperatures([tmp_path])
    make_run(tmp_path, "a", speakers=3, epochs=0)
    make_run(tmp_path, "b", speakers=3, epochs=0)
    with pytest.raises(RunError, match=r"must be of one recipe.*Got a, b"):
        pooled_temperatures([tmp_path])


def test_without_validation_nothing_is_scaled(tmp_path):
    result = only(make_run(tmp_path, speakers=3, epochs=0).parent)
    assert not scalable(result)
    assert calibrations(result)["scaling"].tolist() == ["none"]


def test_one_speaker_leaves_the_intervals_open(tmp_path):
    result = only(make_run(tmp_path, speakers=3, epochs=0, done=1).parent)
    (row,) = calibrations(result).to_dict("records")
    assert np.isfinite(row["ece"])
    assert np.isnan([row["ece_low"], row["brier_high"], row["uar_low"]]).all()
    assert np.isnan(abstention(result, [0.0])["low"]).all()


def test_the_interval_of_an_ece_is_not_above_it():
    """Resamples add noise to every bin: uncorrected they lie above the value they are of."""
    generator = np.random.default_rng(0)
    speakers, clips, centred, plain = 20, 20, [], []
    for _ in range(40):
        confidence = generator.uniform(0.5, 1, speakers * clips)
        right = generator.random(speakers * clips) < confidence  # a perfect judge of itself
        answers = Answers(
            np.column_stack([confidence, 1 - confidence]),
            (~right).astype(np.int64),
            np.zeros(speakers * clips, np.int64),
            np.repeat(np.arange(speakers), clips),
            (1, speakers),
        )
        draws = generator.multinomial(speakers, np.full(speakers, 1 / speakers), 300)
        found = _scores(answers, draws)["ece"]
        assert found.low <= found.value <= found.high
        bins = np.eye(10)[bin_of(confidence, equal_width())]
        gaps = answers.sums(bins * (confidence - right)[:, np.newaxis])[0]
        drawn = np.abs(draws @ gaps).sum(axis=1) / (speakers * clips)
        centred.append(found.low)
        plain.append(np.percentile(drawn, 2.5))
    assert np.mean(centred) < 0.9 * np.mean(plain)


def test_reliability_adds_up_to_the_ece(result):
    table = reliability(result, equal_width())
    assert table["clips"].sum() == len(result.predictions)
    assert ((table["low"] <= table["confidence"]) & (table["confidence"] <= table["high"])).all()
    answers = answers_of(result)
    gap = (table["confidence"] - table["accuracy"]).abs()
    assert np.average(gap, weights=table["clips"]) == pytest.approx(
        expected_calibration_error(answers.confidence, answers.right, edges=equal_width())
    )


def test_who_answers_everything_has_the_uar_of_all(result):
    (row,) = abstention(result, [0.0]).to_dict("records")
    assert (row["coverage"], row["vanished"]) == (1.0, "")
    assert row["uar"] == pytest.approx(result.uar.value)
    assert row["low"] == pytest.approx(result.uar.low, abs=0.03)


def test_abstention_scores_the_clips_answered(result):
    table = abstention(result, [0.5, 0.7]).set_index("threshold")
    for threshold, row in table.iterrows():
        sure = result.predictions[result.predictions[SHARES].max(axis=1) >= threshold]
        seeds = [part for _, part in sure.groupby("seed")]
        assert row["coverage"] == pytest.approx(len(sure) / len(result.predictions))
        uars = [balanced_accuracy_score(part["truth"], part["predicted"]) for part in seeds]
        assert row["uar"] == pytest.approx(np.mean(uars))
        shares = [(part["truth"] == part["predicted"]).mean() for part in seeds]
        assert row["accuracy"] == pytest.approx(np.mean(shares))
        assert row["low"] <= row["uar"] <= row["high"]


def test_a_class_without_answers_is_named_and_not_left_out_of_the_mean(result):
    run = result.runs[0]
    unsure = run.predictions.copy()
    unsure.loc[unsure["truth"] == "neutral", SHARES] = 0.25
    lost = type(result)("r", (type(run)(**{**vars(run), "predictions": unsure}),))
    some, none = abstention(lost, [0.3, 1.1]).to_dict("records")
    assert some["vanished"] == "neutral"
    assert 0 < some["coverage"] < 1
    assert np.isnan([some["uar"], some["low"]]).all()
    assert some["accuracy"] > 0
    assert none["vanished"].split() == list(LABELS)
    assert none["coverage"] == 0
    assert np.isnan(none["accuracy"])


def test_resamples_that_lose_a_class_are_left_out(tmp_path):
    result = only(make_run(tmp_path, speakers=8, epochs=0, sure=2).parent)
    run = result.runs[0]
    rows = run.predictions.copy()
    unsure = (rows["truth"] == "sad") & (rows["speaker"] != "ravdess:01")
    rows.loc[unsure, SHARES] = 0.25
    one = type(result)("r", (type(run)(**{**vars(run), "predictions": rows}),))
    (row,) = abstention(one, [0.26]).to_dict("records")
    assert row["vanished"] == ""
    assert np.isfinite([row["low"], row["high"]]).all()


def test_answered_clips_of_few_speakers_have_no_interval(result):
    """The speakers that answer count, and not all that were asked."""
    run = result.runs[0]
    rows = run.predictions.copy()
    rows.loc[rows["speaker"].isin(["ravdess:01", "ravdess:02"]), SHARES] = 0.25
    six = type(result)("r", (type(run)(**{**vars(run), "predictions": rows}),))
    every, some = abstention(six, [0.0, 0.26]).to_dict("records")
    assert np.isfinite([every["low"], every["high"]]).all()
    assert np.isfinite(some["uar"])
    assert np.isnan([some["low"], some["high"]]).all()


def test_thresholds_give_the_coverage_they_are_for(result):
    wanted = [1.0, 0.6, 0.2]
    even = scaled(result)  # fewer equal confidences
    table = abstention(even, thresholds(even, wanted))
    assert table["coverage"].to_numpy() == pytest.approx(wanted, abs=0.02)
