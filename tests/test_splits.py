"""Test folds: disjoint speakers, equal on every machine."""

import csv
import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.corpora import CORPORA, splits
from affekt.corpora.clips import Clip
from affekt.corpora.folds import PARTS, Fold, read_folds, write_folds
from affekt.corpora.manifest import Manifest
from affekt.corpora.spec import recognize
from affekt.corpora.splits import (
    hold_out,
    leave_one_corpus_out,
    leave_one_speaker_out,
    speaker_folds,
    train_on_everybody,
    train_on_one_corpus,
)
from affekt.errors import CorpusError

LABELS = ("angry", "happy", "sad", "neutral")


def corpus(counts: dict[str, tuple[int, ...]]) -> Manifest:
    """A corpus with so many clips of each label by speaker, as in ``{"01f": (0, 5, 6, 6)}``."""
    clips = (
        Clip(f"{who}/{label}{number}.wav", label, f"toy:{who}", who[-1], seconds=1.0)
        for who, clips in counts.items()
        for label, count in zip(LABELS, clips, strict=True)
        for number in range(count)
    )
    return Manifest("toy", "four", LABELS, Path("/r"), tuple(clips))


def demos_shape() -> Manifest:
    """The published shape of DEMoS' paper subset: very uneven, one class only for many."""
    form = CORPORA["demos"]
    rows = {
        f"{name}{speaker.gender}": tuple((speaker.clips or {})[code] for code in form.tasks["four"])
        for name, speaker in form.speakers.items()
    }
    return corpus({who: counts for who, counts in rows.items() if any(counts)})


def prove(folds: tuple[Fold, ...], manifest: Manifest, *, all_tested: bool = True) -> None:
    """Written apart from the code under test: it must hold whatever ``Fold`` itself checks."""
    everybody = {clip.speaker for clip in manifest.clips}
    for fold in folds:
        train, validation, test = set(fold.train), set(fold.validation), set(fold.test)
        assert train
        assert validation
        assert test
        assert not train & validation
        assert not train & test
        assert not validation & test
        assert train | validation | test == everybody
        assert len(fold.train) + len(fold.validation) + len(fold.test) == len(everybody)
    tested = [speaker for fold in folds for speaker in fold.test]
    assert len(set(tested)) == len(tested)
    assert not all_tested or set(tested) == everybody
    assert [fold.number for fold in folds] == list(range(1, len(folds) + 1))


def spelled(speakers: bytes) -> Manifest:
    """A corpus from one byte a speaker: its gender, and 0 to 2 clips of each label."""
    rows = {}
    for number, byte in enumerate(speakers):
        counts = tuple(byte // 2 // 3**place % 3 for place in range(4))
        rows[f"{number}{'fm'[byte % 2]}"] = counts if any(counts) else (0, 0, 0, 1)
    return corpus(rows)


corpora = st.binary(min_size=3, max_size=10).map(spelled)


@settings(max_examples=1_000)
@given(corpora, st.integers(-3, 3), st.floats(0.01, 0.99))
def test_no_speaker_leaks_when_one_is_left_out(manifest: Manifest, seed: int, share: float) -> None:
    folds = leave_one_speaker_out(manifest, seed=seed, validation=share)
    prove(folds, manifest)
    assert [fold.test for fold in folds] == [(s,) for s in manifest.speakers]


@settings(max_examples=1_000)
@given(corpora, st.integers(-3, 3), st.floats(0.01, 0.99), st.integers(0, 99))
def test_no_speaker_leaks_between_folds(
    manifest: Manifest, seed: int, share: float, choice: int
) -> None:
    speakers = len(manifest.speakers)
    possible = [k for k in range(2, speakers + 1) if -(-speakers // k) <= speakers - 2]
    count = possible[choice % len(possible)]
    folds = speaker_folds(manifest, folds=count, seed=seed, validation=share)
    prove(folds, manifest)
    sizes = [len(fold.test) for fold in folds]
    assert len(sizes) == count
    assert max(sizes) - min(sizes) <= 1
    for fold in folds:
        rest = speakers - len(fold.test)
        wanted = rest * Fraction(str(share))
        assert abs(len(fold.validation) - min(max(wanted, 1), rest - 1)) <= 1


def joined_of(parts: list[bytes]) -> Manifest:
    """Several corpora in one table, named a, b, ...; the same people's numbers in each."""
    clips = tuple(
        replace(clip, file=f"{name}/{clip.file}", speaker=clip.speaker.replace("toy", name))
        for name, speakers in zip("abcd", parts, strict=False)
        for clip in spelled(speakers).clips
    )
    names = "+".join("abcd"[: len(parts)])
    return Manifest(names, "four", LABELS, Path("/r"), clips)


joined = st.lists(st.binary(min_size=2, max_size=5), min_size=2, max_size=4).map(joined_of)


def of_corpora(speakers: tuple[str, ...]) -> set[str]:
    return {speaker.split(":")[0] for speaker in speakers}


@settings(max_examples=100)
@given(joined, st.integers(-3, 3), st.floats(0.01, 0.99))
def test_no_speaker_leaks_when_a_corpus_is_left_out(
    manifest: Manifest, seed: int, share: float
) -> None:
    folds = leave_one_corpus_out(manifest, seed=seed, validation=share)
    prove(folds, manifest)
    names = manifest.corpus.split("+")
    assert [of_corpora(fold.test) for fold in folds] == [{name} for name in names]
    for fold, name in zip(folds, names, strict=True):
        assert not of_corpora((*fold.train, *fold.validation)) & {name}


@settings(max_examples=100)
@given(joined, st.integers(-3, 3), st.floats(0.01, 0.99), st.integers(0, 3))
def test_no_speaker_leaks_when_one_corpus_trains(
    manifest: Manifest, seed: int, share: float, choice: int
) -> None:
    names = manifest.corpus.split("+")
    source = names[choice % len(names)]
    folds = train_on_one_corpus(manifest, source, seed=seed, validation=share)
    assert len(folds) == 1
    prove(folds, manifest, all_tested=False)
    assert of_corpora((*folds[0].train, *folds[0].validation)) == {source}
    assert of_corpora(folds[0].test) == {*names} - {source}


def test_folds_of_corpora_need_several() -> None:
    manifest = joined_of([b"123", b"456"])
    for act in (
        lambda: leave_one_corpus_out(demos_shape(), seed=0),
        lambda: train_on_one_corpus(demos_shape(), "toy", seed=0),
    ):
        with pytest.raises(CorpusError, match=r"several corpora joined by \+\. Got one"):
            act()
    with pytest.raises(CorpusError, match=r"must be one of a, b\. Got 'c'"):
        train_on_one_corpus(manifest, "c", seed=0)
    with pytest.raises(
        CorpusError, match="two speakers beside each test part, to train and to validate"
    ):
        train_on_one_corpus(joined_of([b"1", b"234"]), "a", seed=0)


def test_train_on_everybody_has_one_fold_without_test_speakers(tmp_path: Path) -> None:
    manifest = demos_shape()
    folds = train_on_everybody(manifest)
    assert folds == (Fold(1, manifest.speakers, (), ()),)
    write_folds(folds, tmp_path / "folds.csv")
    assert read_folds(tmp_path / "folds.csv") == folds


@settings(max_examples=10)
@given(st.integers(0, 10**9))
def test_every_part_of_the_uneven_shape_holds_every_class(seed: int) -> None:
    manifest = demos_shape()
    folds = speaker_folds(manifest, folds=10, seed=seed)
    prove(folds, manifest)
    for fold in folds:
        assert len(fold.test) in (6, 7)
        assert len(fold.validation) == 12
        for part in PARTS:
            clips = [clip for clip in manifest.clips if clip.speaker in getattr(fold, part)]
            assert {clip.label for clip in clips} == set(LABELS)
            assert {clip.gender for clip in clips} == {"f", "m"}


def shares(manifest: Manifest, speakers: tuple[str, ...]) -> list[Fraction]:
    every, some = Counter[str](), Counter[str]()
    for clip in manifest.clips:
        every[clip.label] += 1
        some[clip.label] += clip.speaker in speakers
    return [Fraction(some[label], every[label]) for label in LABELS]


def test_folds_of_the_uneven_shape_are_stratified() -> None:
    manifest = demos_shape()
    for fold in speaker_folds(manifest, folds=10, seed=1):
        for share in shares(manifest, fold.test):
            assert abs(share - Fraction(10, 100)) < Fraction(8, 100)
        for share in shares(manifest, fold.validation):
            assert abs(share - Fraction(18, 100)) < Fraction(10, 100)


def test_validation_of_an_even_corpus_is_balanced_by_gender() -> None:
    manifest = corpus({f"{n:02}{'fm'[n % 2]}": (8, 8, 8, 4) for n in range(24)})
    for fold in leave_one_speaker_out(manifest, seed=3):
        genders = Counter(speaker[-1] for speaker in fold.validation)
        assert sorted(genders.values()) == [2, 3]  # 5 of 23


def test_a_seed_gives_these_folds_everywhere() -> None:
    manifest = corpus({f"{n}{'fm'[n % 2]}": (n, 4, 2, n % 3) for n in range(8)})
    assert speaker_folds(manifest, folds=3, seed=1)[0] == Fold(
        number=1,
        train=("toy:1m", "toy:3m", "toy:4f", "toy:7m"),
        validation=("toy:2f",),
        test=("toy:0f", "toy:5m", "toy:6f"),
    )
    assert leave_one_speaker_out(manifest, seed=1)[7] == Fold(
        number=8,
        train=("toy:0f", "toy:2f", "toy:3m", "toy:4f", "toy:5m", "toy:6f"),
        validation=("toy:1m",),
        test=("toy:7m",),
    )


def test_folds_depend_on_the_seed_and_not_on_the_order_of_clips() -> None:
    manifest = demos_shape()
    turned = Manifest("toy", "four", LABELS, Path("/r"), manifest.clips[::-1])
    assert speaker_folds(turned, folds=10, seed=1) == speaker_folds(manifest, folds=10, seed=1)
    assert speaker_folds(manifest, folds=10, seed=2) != speaker_folds(manifest, folds=10, seed=1)
    one, two = (leave_one_speaker_out(manifest, seed=seed) for seed in (1, 2))
    assert one != two


MAKERS = (
    leave_one_speaker_out,
    speaker_folds,
    hold_out,
    leave_one_corpus_out,
    train_on_one_corpus,
    train_on_everybody,
)


def test_named_speakers_are_held_out() -> None:
    manifest = demos_shape()
    (fold,) = hold_out(manifest, ["toy:69m", "toy:05m", "toy:69m"], seed=1)
    assert fold.test == ("toy:05m", "toy:69m")
    assert len(fold.validation) == 13  # of 63
    assert {*fold.train, *fold.validation, *fold.test} == set(manifest.speakers)
    with pytest.raises(CorpusError, match=r"among its own, such as toy:01f. Got toy:99\."):
        hold_out(manifest, ["toy:99", "toy:69m"], seed=1)
    with pytest.raises(CorpusError, match="test must hold at least one speaker"):
        hold_out(manifest, [], seed=1)


def test_nothing_splits_by_clip() -> None:
    public = {name for name in vars(splits) if re.match("[a-z]", name)}
    makers = {name for name in public if re.search("fold|hold|split|leave|deal|train", name)}
    assert makers == {f.__name__ for f in MAKERS}


@pytest.mark.parametrize("folds", [-1, 0, 1, 4])
def test_refuses_a_number_of_folds(folds: int) -> None:
    manifest = corpus(dict.fromkeys(("1f", "2m", "3f"), (1, 1, 1, 1)))
    with pytest.raises(CorpusError, match=rf"folds of toy must be in \[2, 3\].*Got {folds}\."):
        speaker_folds(manifest, folds=folds, seed=0)


def test_refuses_too_few_speakers() -> None:
    manifest = corpus(dict.fromkeys(("1f", "2m"), (1, 1, 1, 1)))
    with pytest.raises(CorpusError, match="two speakers beside each test part, to train and to v"):
        leave_one_speaker_out(manifest, seed=0)
    three = corpus(dict.fromkeys(("1f", "2m", "3f"), (1, 1, 1, 1)))
    with pytest.raises(CorpusError, match="Got 1 beside part 1"):
        speaker_folds(three, folds=2, seed=0)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, float("nan")])
def test_refuses_a_share(share: float) -> None:
    with pytest.raises(CorpusError, match="validation must be a share"):
        leave_one_speaker_out(demos_shape(), seed=0, validation=share)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((("a",), ("b",), ()), "fold 1: test must hold at least one speaker"),
        (((), ("b",), ("c",)), "train must hold"),
        ((("a",), ("b",), ("a",)), "Got a twice"),
        ((("a", "a"), ("b",), ("c",)), "Got a twice"),
    ],
)
def test_refuses_a_fold(parts: Any, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        Fold(1, *parts)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    folds = speaker_folds(demos_shape(), folds=10, seed=1)
    path = tmp_path / "new" / "folds.csv"
    write_folds(folds, path)
    assert read_folds(path) == folds
    assert path.read_text().startswith("fold,speaker,part\n1,toy:")


GOOD = (
    "fold,speaker,part\n1,a,train\n1,b,validation\n1,c,test\n2,c,train\n2,a,validation\n2,b,test\n"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "1,c,train\n", "fold 1: each speaker must be in one part only. Got c twice"),
        (GOOD.replace("2,b,test", "2,c,test"), "Got c twice"),
        (GOOD.replace("1,b,validation", "1,b,train"), "validation must hold at least one"),
        (GOOD + "3,a,train\n3,b,validation\n3,d,test\n", "Got c in only one of fold 1 and fold 3"),
        (GOOD + "3,a,train\n3,b,validation\n3,c,test\n", "tested in one fold only. Got c in two"),
        (GOOD + "x,a,train\n", "line 8: must hold a fold's number"),
        (GOOD + "0,a,train\n", "line 8: must hold a fold's number"),
        (GOOD + "3,,train\n", "line 8: must hold"),
        (GOOD + "3,a,dev\n", "line 8: must hold"),
        (GOOD + "3,a\n", "line 8: must hold"),
        (GOOD + '3,"a"b,train\n', "line 8: must be CSV"),
        (GOOD.replace("speaker", "who"), "must have the columns fold, speaker, part"),
        ("fold,speaker,part\n", "at least one fold"),
        ("", "Got columns none and rows: 0."),
    ],
)
def test_refuses_a_hand_edited_leak(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "folds.csv"
    path.write_text(GOOD)
    assert len(read_folds(path)) == 2
    path.write_text(text)
    with pytest.raises(CorpusError, match=message) as error:
        read_folds(path)
    assert "\n" not in str(error.value)


def test_the_paper_folds_of_real_demos_names(data: Path) -> None:
    with (data / "demos-filelist.csv").open(encoding="utf-8") as table:
        files = [row["file"] for row in csv.DictReader(table)]
    clips, _ = recognize(CORPORA["demos"], files, "four")
    measured = (Clip(c.file, c.label, c.speaker, c.gender, seconds=1.0) for c in clips)
    manifest = Manifest("demos", "four", LABELS, data, tuple(measured))
    assert len(manifest.speakers) == 65
    folds = speaker_folds(manifest, folds=10, seed=1)
    prove(folds, manifest)
    twin = speaker_folds(demos_shape(), folds=10, seed=1)
    assert [len(fold.test) for fold in folds] == [len(fold.test) for fold in twin]
    for fold in folds:
        for part in PARTS:
            found = {clip.label for clip in clips if clip.speaker in getattr(fold, part)}
            assert found == set(LABELS)
