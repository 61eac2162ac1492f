"""Test the course of a journal: correction, tests for change, change points, warnings, page."""

import importlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("statsmodels")

from affekt.errors import JournalError
from affekt.inference.profile import Profile
from affekt.inference.shipped_models import shipped_digest
from affekt.journal import changes, estimation, report
from affekt.journal.confusion import Confusion, on_simplex
from affekt.journal.course import Course, course_of
from affekt.journal.entry import Entry, Voice
from affekt.journal.estimation import CONTRASTS, RANGE, SPEECH, Sample, estimate, permutation_test
from affekt.journal.prediction import current_profiles
from affekt.journal.store import Journal, create_journal, open_journal

LABELS = ("angry", "happy", "sad", "neutral")
MODEL = shipped_digest("affekt.onnx") or ""
START = date(2026, 9, 7)  # a Monday
ROOT = Path(__file__).parents[1]
STATISTICS = Profile("m", 1.0, np.ones(2, np.float32), np.ones(2, np.float32), 1.0).content()


def entries(
    mixtures: Sequence[Sequence[float]], *, seed: int = 0, seconds: float = 2.0
) -> list[Entry]:
    """One recording a day with two utterances; its emotion is drawn from that day's mixture."""
    rng = np.random.default_rng(seed)
    mean = Confusion.read(LABELS, MODEL).matrices.mean(axis=0)
    found = []
    for number, mixture in enumerate(mixtures):
        row = mean[rng.choice(len(LABELS), p=mixture)]
        parts = [dict(zip(LABELS, rng.dirichlet(6 * row).tolist(), strict=True)) for _ in "ab"]
        utterances = [
            {"start": 0.0, "end": 2.0, "speech": seconds / 2, "probabilities": p} for p in parts
        ]
        shares = {label: (parts[0][label] + parts[1][label]) / 2 for label in LABELS}
        day = START + timedelta(number)
        label = max(shares, key=lambda name: shares[name])
        found.append(
            Entry(
                digest=f"{number:064x}",
                recorded=f"{day}T08:00:00",
                name=f"{day}.wav",
                duration=2 * seconds,
                speech=seconds,
                label=label,
                probabilities=shares,
                utterances=utterances,
                quality={},
                reason="",
                model=MODEL,
                profile="p" * 16,
                note="",
            )
        )
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer resamples than a report makes."""
    monkeypatch.setattr(estimation, "PERMUTATIONS", 999)
    monkeypatch.setattr(estimation, "RESAMPLES", 400)


EVEN, SAD = (0.3, 0.3, 0.1, 0.3), (0.05, 0.05, 0.8, 0.1)
CHANGED = [EVEN] * 28 + [SAD] * 28


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    create_journal(tmp_path / "a.journal", person="Anna <b>", baseline="first=28")
    return open_journal(tmp_path / "a.journal")


def course(journal: Journal, added: Sequence[Entry], *, plain: float = 0.25) -> Course:
    rest = (1 - plain) / 3
    for entry in added:
        known = journal.would_be_baseline(entry.recorded, entry.digest)
        voice = Voice(STATISTICS, {"sad": plain, "angry": rest, "happy": rest, "neutral": rest})
        journal.add(entry, voice if known else None)
    (current,) = current_profiles(journal.voices().values())
    for entry in journal.entries():
        if entry.profile != "earlier":
            journal.update(replace(entry, profile=current))
    found = course_of(journal)
    assert found is not None
    return found


# ------------------------------------------------------------- correction


def test_shares_lie_on_the_simplex_and_shares_stay() -> None:
    rng = np.random.default_rng(0)
    shares = on_simplex(rng.normal(size=(50, 4)))
    assert shares.min() >= 0
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.allclose(on_simplex(shares), shares)


def test_correction_recovers_true_shares() -> None:
    confusion = Confusion.read(LABELS, MODEL)
    true = np.array([[0.1, 0.2, 0.6, 0.1], [0.0, 0.0, 1.0, 0.0]])
    assert np.allclose(confusion.correct(true @ confusion.matrices.mean(axis=0)), true)
    drawn = np.array([3, 5])
    means = np.array([row @ confusion.matrices[k] for row, k in zip(true, drawn, strict=True)])
    assert np.allclose(confusion.correct(means, drawn), true)


def test_only_the_model_of_the_matrices_is_corrected(journal: Journal) -> None:
    """The other shipped models have the same labels and other errors."""
    other = shipped_digest("yamnet-lstm.onnx") or ""
    added = [replace(each, model=other) for each in entries([EVEN] * 57, seed=3)]
    found = course(journal, added)
    assert found.source == ""
    assert any("are not corrected" in each for each in found.warnings)
    shares = np.mean([[each.probabilities[label] for label in LABELS] for each in added[:28]], 0)
    assert [found.baseline.measures[label].value for label in LABELS] == pytest.approx(shares)
    page = report.report_page(journal)
    assert "not the model's errors, which are not known" in page
    assert "Those of trends" not in page


def test_matrices_follow_the_order_of_labels_and_others_are_not_corrected() -> None:
    mine, turned = Confusion.read(LABELS, MODEL), Confusion.read(LABELS[::-1], MODEL)
    assert np.allclose(mine.matrices[:, ::-1, ::-1], turned.matrices)
    assert np.allclose(mine.matrices.sum(axis=2), 1)
    other = Confusion.read(("calm", "sad"), "another")
    assert other.source == ""
    assert np.allclose(other.correct(np.array([[0.3, 0.7]])), [[0.3, 0.7]])


def test_shipped_matrices_are_those_of_the_named_run() -> None:
    bench = importlib.import_module("journal")
    content = json.loads((ROOT / "src/affekt/journal/confusion.json").read_text("utf-8"))
    assert content["source"] == f"{bench.RUN.as_posix()}, enrolment {bench.ENROLMENT}"
    found = bench.matrices(bench.answers(ROOT / bench.RUN))
    assert content["speakers"].keys() == found.keys()
    for speaker, matrix in found.items():
        assert np.allclose(content["speakers"][speaker], matrix, atol=1e-4)


# ------------------------------------------------------------------ tests


def test_a_permutation_test_is_right_without_a_change_and_finds_one() -> None:
    same = Sample.of(entries([EVEN] * 30), LABELS)
    other = Sample.of(entries([SAD] * 30, seed=1), LABELS)
    rng = np.random.default_rng(0)
    assert permutation_test(same, other, rng)["sad"] == pytest.approx(1e-3)
    chances = [
        permutation_test(
            Sample.of(entries([EVEN] * 8, seed=2 * n), LABELS),
            Sample.of(entries([EVEN] * 8, seed=2 * n + 1), LABELS),
            rng,
        )["sad"]
        for n in range(60)
    ]
    assert np.mean(np.array(chances) < 0.05) <= 0.13
    assert 0.35 < np.mean(chances) < 0.65


def test_longer_speech_weighs_more() -> None:
    short, long = entries([EVEN], seconds=1.0), entries([SAD], seed=4, seconds=9.0)
    parts = [Sample.of(each, LABELS).shares[0] for each in (short, long)]
    sample = Sample.of([*short, *long], LABELS)  # of one day
    assert np.allclose(sample.shares, [0.1 * parts[0] + 0.9 * parts[1]])
    assert sample.seconds.tolist() == [10.0]
    days = sample.of([*short, replace(long[0], recorded="2026-09-08")], LABELS)
    assert np.allclose(days.means(np.ones((1, 2))), sample.shares)


def test_intervals_shrink_with_recordings_and_cover_the_value() -> None:
    confusion, widths = Confusion.read(LABELS, MODEL), []
    for number in (5, 40):
        sample = Sample.of(entries([EVEN] * number), LABELS)
        found = estimate(sample, confusion, np.random.default_rng(0))
        assert [*found] == [*LABELS, *CONTRASTS, RANGE, SPEECH]
        for each in found.values():
            assert each.low <= each.value <= each.high
            assert np.isnan(each.change)
        widths.append(found["sad"].high - found["sad"].low)
    assert widths[1] < widths[0]
    few = estimate(Sample.of(entries([EVEN] * 2), LABELS), confusion, np.random.default_rng(0))
    assert np.isnan(few["sad"].low)


def test_change_points_are_found_where_they_are_and_not_elsewhere() -> None:
    shares, even = Sample.of(entries(CHANGED), LABELS).shares, np.ones(56)
    (found,) = changes.change_points(shares, even)
    assert abs(found - 28) <= 2
    constant = [
        changes.change_points(Sample.of(entries([EVEN] * 30, seed=seed), LABELS).shares, even[:30])
        for seed in range(20)
    ]
    assert sum(map(bool, constant)) <= 3
    assert changes.change_points(shares[:7], even[:7]) == []
    assert changes.change_points(np.full((20, 4), 0.25), even[:20]) == []
    thrice = np.concatenate([shares, shares[:28]])
    first, second = changes.change_points(thrice, np.ones(84))
    assert abs(first - 28) <= 2
    assert abs(second - 56) <= 2


# ----------------------------------------------------------------- course


def test_a_change_is_marked_in_its_weeks_and_since_the_baseline(journal: Journal) -> None:
    found = course(journal, entries(CHANGED))
    assert found.later
    assert "sad" in found.later.changed
    assert [week.recordings for week in found.weeks[1]] == [7] * 4
    assert sum("sad" in week.changed for week in found.weeks[1]) >= 2
    change = found.later.measures["sad"]
    assert 0.4 < change.change <= 1.0
    assert change.change_low < 0.7 < change.change_high
    (trend,) = (each for each in found.trends if each.label == "sad")
    assert trend.slope > 0
    assert trend.p < 0.05
    assert found.detectable[0]["sad"] < found.detectable[1]["sad"]
    assert found.warnings == ()
    told = report.verdict(found)
    assert "The predictions of sad differ from the baseline" in told[0]
    assert any(each.startswith("Weeks that alone differ from the baseline, by") for each in told)


def test_without_a_change_nothing_is_marked(journal: Journal) -> None:
    found = course(journal, entries([EVEN] * 57, seed=3))
    assert found.later
    assert found.later.changed == ()
    size = round(100 * max(found.detectable[0].values()))
    assert report.verdict(found)[0] == (
        "No emotion was found to differ from the baseline by more than chance. A change of any "
        f"emotion by {size} points would be found in four of five cases."
    )


def test_a_detectable_change_allows_for_the_unknown_errors_of_a_person(journal: Journal) -> None:
    added = entries([EVEN] * 57, seed=3)
    found = course(journal, added)
    shares = Confusion.read(LABELS, MODEL).linear(Sample.of(added, LABELS).shares)
    known = changes.smallest_detectable(shares, 28, 29)
    assert [*found.detectable[0].values()] == pytest.approx(1.2 * known)


def test_recordings_of_one_day_count_as_one_day(journal: Journal) -> None:
    """One bad day of twenty recordings is no evidence of a change."""
    days, bad = entries([EVEN] * 30, seed=3), entries([SAD] * 20, seed=4)
    added = [
        replace(each, recorded=f"{START + timedelta(31)}T08:{n:02}", digest=f"{900 + n:064x}")
        for n, each in enumerate(bad)
    ]
    found = course(journal, [*days, *added])
    assert [week.recordings for week in found.weeks[1]] == [22]
    assert found.weeks[1][0].changed == ()
    assert len(found.shares) == 31


def test_two_computations_agree(journal: Journal) -> None:
    first = course(journal, entries(CHANGED[20:40]))
    assert repr(course_of(journal)) == repr(first)


@pytest.mark.parametrize(
    ("rule", "days", "plain", "warning"),
    [
        ("first=28", 56, 0.25, ""),
        ("first=5", 40, 0.25, "The baseline has recordings on 5 days."),
        ("first=28", 40, 0.25, "The baseline takes more than half of the journal."),
        ("first=28", 58, 0.25, "Weeks with recordings on fewer than 5 days: 1."),
        ("first=28", 56, 0.7, "Most recordings of the baseline sound sad."),
    ],
)
def test_warnings(journal: Journal, rule: str, days: int, plain: float, warning: str) -> None:
    journal.choose_baseline(rule)
    found = course(journal, entries([EVEN] * days), plain=plain).warnings
    assert any(each.startswith(warning) for each in found) if warning else found == ()


def test_other_models_are_left_out_and_earlier_profiles_are_named(journal: Journal) -> None:
    made = entries([EVEN] * 57)
    made[3] = replace(made[3], model="other")
    made[4] = replace(made[4], profile="earlier")
    found = course(journal, made)
    assert len(found.entries) == 56
    assert "Entries of another model are left out: 1." in " ".join(found.warnings)
    assert "without the present profile of the baseline: 1." in " ".join(found.warnings)
    journal.remove([made[0].digest])
    told = " ".join(getattr(course_of(journal), "warnings", ()))
    assert "without the present profile of the baseline: 55." in told


def test_another_technique_is_named_and_uncertain_recordings_do_not_count(
    journal: Journal,
) -> None:
    studio, telephone = {"bandwidth": 7_800.0, "snr": 40.0}, {"bandwidth": 3_400.0, "snr": None}
    made = [
        replace(each, quality=studio if number < 28 else telephone)
        for number, each in enumerate(entries([EVEN] * 57))
    ]
    made[30] = replace(made[30], reason="0.2 s of speech; at least 0.5 s is needed")
    found = course(journal, made)
    assert len(found.entries) == 56
    assert "Bandwidth differs between the baseline (7800 Hz) and later recordings (3400 Hz)." in (
        " ".join(found.warnings)
    )
    assert "1 uncertain: 0.2 s of speech" in report.report_page(journal)


# ------------------------------------------------------------------- page


def test_the_page_is_whole_and_escapes_names(journal: Journal) -> None:
    course(journal, [replace(e, note="<i>note</i>") for e in entries(CHANGED)])
    watched: list[list[Entry]] = []

    def watch(weeks: Sequence[list[Entry]]) -> Sequence[list[Entry]]:
        watched.extend(weeks)
        return weeks

    page = report.report_page(journal, watch=watch)
    assert [len(week) for week in watched] == [7] * 4
    assert "Voice journal of Anna &lt;b&gt;" in page
    assert "&lt;i&gt;note&lt;/i&gt;" in page
    assert page.count("<svg") == len(LABELS) + 4
    assert "Those of trends cover the number of days alone" in page
    assert "nan" not in page.lower().replace("finance", "")
    for month in ("September 2026", "October 2026", "November 2026"):
        assert month in page


def test_a_first_recording_gives_a_page(journal: Journal) -> None:
    found = course(journal, entries([EVEN]))
    assert found.warnings[0].startswith("The baseline has recordings on 1 day. ")
    page = report.report_page(journal)
    assert "no recordings after the baseline yet" in page
    assert "1 recording with" in page
    assert not re.search(r"\b1 (recordings|days)\b", page)


def test_a_baseline_of_an_earlier_model_alone_is_named(journal: Journal) -> None:
    journal.choose_baseline("first=1")
    one, *others = entries([EVEN] * 3)
    for each in (replace(one, model="other"), *others):
        journal.add(each, None)
    with pytest.raises(JournalError, match="the recordings if an earlier model predicted them"):
        report.report_page(journal)
