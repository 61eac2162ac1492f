"""Test manifest.csv: a written file is read unchanged, and invalid ones are refused."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.corpora.clips import Clip
from affekt.corpora.manifest import Manifest, read_manifest, write_manifest
from affekt.errors import CorpusError

LABELS = ("angry", "happy")
CLIP = Clip("a/1.wav", "angry", "toy:1", "f", seconds=2.5)
HEADER = (
    '# {"corpus": "toy", "task": "four", "labels": ["angry", "happy"], "root": "/r"}\n'
    "file,label,speaker,gender,start,end,channel,seconds,text,intensity\n"
)


def toy(*clips: Clip, labels: tuple[str, ...] = LABELS) -> Manifest:
    return Manifest("toy", "four", labels, Path("/r"), clips)


texts = st.text("aà0_,\"#' =", max_size=8).map(str.strip)
seconds = st.floats(0.001, 1e6)


def clip(number: int, texts: list[str], start: float | None, length: float, bits: int) -> Clip:
    """A clip that breaks no rule, whatever the parts; its number keeps it apart from others."""
    file, speaker, text, intensity = texts
    return Clip(
        f"{number}/{file}.wav",
        LABELS[bits % 2],
        f"toy:{number}{speaker}",
        ("f", "m", "")[bits % 3],
        start,
        (start or 0.0) + length if bits % 5 else None,
        None if bits % 7 else bits,
        length,
        text,
        intensity,
    )


@st.composite
def clips(draw: st.DrawFn) -> tuple[Clip, ...]:
    four_texts = st.lists(texts, min_size=4, max_size=4)
    parts = st.tuples(four_texts, st.none() | seconds, seconds, st.integers(0, 999))
    rows = draw(st.lists(parts, min_size=1, max_size=4))
    return tuple(clip(number, *row) for number, row in enumerate(rows))


@settings(max_examples=50)
@given(clips())
def test_what_is_written_comes_back(tmp_path_factory: Any, rows: tuple[Clip, ...]) -> None:
    manifest = toy(*rows)
    path = tmp_path_factory.mktemp("manifest") / "new" / "manifest.csv"
    write_manifest(manifest, path)
    again = read_manifest(path)
    assert again == manifest
    assert again.digest == manifest.digest


def test_digest_is_of_the_rows_and_not_of_the_place() -> None:
    manifest = toy(CLIP)
    assert manifest.digest == "dbfe432b22f98e19f7286e49ce1c8da6192dcd3b1af2c412b0c6a68a51955c19"
    assert replace(manifest, root=Path("/simulate_channel")).digest == manifest.digest
    assert toy(replace(CLIP, label="happy")).digest != manifest.digest
    assert toy(CLIP, labels=LABELS[::-1]).digest != manifest.digest


def test_root_can_move(tmp_path: Path) -> None:
    write_manifest(toy(CLIP), tmp_path / "m.csv")
    assert read_manifest(tmp_path / "m.csv", tmp_path).root == tmp_path


def test_speakers_are_sorted_and_named_once() -> None:
    other = replace(CLIP, file="b.wav", speaker="toy:0")
    assert toy(CLIP, other, replace(CLIP, file="c.wav")).speakers == ("toy:0", "toy:1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "../a.wav"}, "stays below the root"),
        ({"file": "a/../../b.wav"}, "stays below the root"),
        ({"file": "/a.wav"}, "stays below the root"),
        ({"file": "a\\b.wav"}, "stays below the root"),
        ({"file": "C:/a.wav"}, "stays below the root"),
        ({"file": "./a.wav"}, "stays below the root"),
        ({"file": "."}, "stays below the root"),
        ({"file": ""}, "stays below the root"),
        ({"file": "a\n.wav"}, "one line"),
        ({"file": "a\udcff.wav"}, "one line"),
        ({"label": "calm"}, "must be one of angry, happy. Got 'calm'"),
        ({"label": ""}, "Got an empty label"),
        ({"speaker": ""}, "<corpus>:<id>"),
        ({"speaker": "toy:"}, "<corpus>:<id>"),
        ({"speaker": "toy: "}, "<corpus>:<id>"),
        ({"speaker": ":1"}, "<corpus>:<id>"),
        ({"speaker": "toy:1 "}, "<corpus>:<id>"),
        ({"gender": "female"}, "must be f, m or empty"),
        ({"channel": -1}, "0 or more"),
        ({"start": -0.1}, "0 <= start < end"),
        ({"start": 2.0, "end": 2.0}, "0 <= start < end"),
        ({"end": 0.0}, "0 <= start < end"),
        ({"start": float("nan")}, "0 <= start < end"),
        ({"end": float("nan")}, "0 <= start < end"),
        ({"end": float("inf")}, "seconds must be"),
        ({"start": float("inf")}, "0 <= start < end"),
        ({"seconds": 0.0}, "above 0"),
        ({"seconds": float("nan")}, "above 0"),
    ],
)
def test_refuses_a_clip(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CorpusError, match="manifest of toy, clip") as error:
        toy(replace(CLIP, **change))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_refuses_no_clips() -> None:
    with pytest.raises(CorpusError, match="at least one clip"):
        toy()


@pytest.mark.parametrize("labels", [(), ("angry", ""), ("angry", "angry")])
def test_refuses_labels(labels: tuple[str, ...]) -> None:
    with pytest.raises(CorpusError, match="labels must be different"):
        toy(CLIP, labels=labels)


@pytest.mark.parametrize("gender", ["m", ""])
def test_refuses_two_genders(gender: str) -> None:
    with pytest.raises(CorpusError, match="speaker toy:1 must have one gender"):
        toy(CLIP, replace(CLIP, file="b.wav", gender=gender))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {}, "same part twice"),
        ({}, {"start": 0.0}, "same part twice"),
        ({"start": 1.0, "end": 2.0}, {"start": 1.0, "end": 2.0}, "same part twice"),
        ({"end": 2.0}, {"start": 1.0, "speaker": "toy:2"}, "two speakers must not overlap"),
        ({}, {"start": 1.0, "end": 2.0, "speaker": "toy:2"}, "two speakers must not overlap"),
        ({"end": 1.0}, {"start": 0.5, "channel": 1, "speaker": "toy:2"}, "must not overlap"),
    ],
)
def test_refuses_shared_sound(first: Any, second: Any, message: str) -> None:
    rows = replace(CLIP, **first), replace(CLIP, **second)
    for order in (rows, rows[::-1]):
        with pytest.raises(CorpusError, match=message):
            toy(*order)


def test_takes_parts_of_one_file() -> None:
    parts = (
        replace(CLIP, end=1.0),
        replace(CLIP, start=1.0, end=2.0, speaker="toy:2"),
        replace(CLIP, start=1.5, end=1.8, speaker="toy:2"),  # within its own speaker's
        replace(CLIP, start=2.0),
    )
    assert toy(*parts).clips == parts
    channels = replace(CLIP, channel=0), replace(CLIP, channel=1, speaker="toy:2")
    assert toy(*channels).clips == channels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line of a manifest"),
        ("file,label,speaker\n", "first line of a manifest"),
        ("# []\nfile\n", "first line of a manifest"),
        ('# {"corpus": "toy"}\nfile\n', "first line of a manifest"),
        (HEADER.replace('"/r"', "3"), "first line of a manifest"),
        (HEADER.replace('"four"', "4"), "first line of a manifest"),
        (HEADER.replace("[", "[1, "), "first line of a manifest"),
        ("# " + "[" * 200_000, "first line of a manifest"),
        (HEADER.replace(",text", ",words"), "m.csv: columns must be .* Correct line 2"),
        (HEADER.replace(",text", ""), "columns must be"),
        (HEADER.replace(",text", ",file"), "columns must be"),
        (HEADER.split("\n")[0], "Got none. Correct line 2"),
        (HEADER + "a.wav,angry,toy:1,f,,,,2.5,\n", "m.csv, line 3: must hold 10 cells.*9 cells"),
        (HEADER + "\na.wav,angry,toy:1,f,,,,soon,,\n", "line 4: .* 'soon'"),
        (HEADER + "a.wav,angry,toy:1,f,,,1.5,2.5,,\n", "line 3: .* '1.5'"),
        (HEADER + '"a.wav"b,angry\n', "line 3: must be CSV"),
        (HEADER + "a.wav,calm,toy:1,f,,,,2.5,,\n", "label must be one of"),
        (HEADER, "at least one clip"),
    ],
)
def test_refuses_a_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=message) as error:
        read_manifest(path)
    assert "\n" not in str(error.value)


def test_refuses_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match="cannot be written"):
        write_manifest(toy(CLIP), tmp_path / "file" / "m.csv")


def test_a_full_disk_leaves_the_old_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.csv"
    write_manifest(toy(CLIP), path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CorpusError, match=r"m\.csv cannot be written: No space left on device"):
        write_manifest(toy(replace(CLIP, file="a/2.wav")), path)
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


def test_refuses_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match=r"m\.csv: must be a table in UTF-8.*not UTF-8"):
        read_manifest(tmp_path / "m.csv")
    with pytest.raises(CorpusError, match="No such file or directory"):
        read_manifest(tmp_path / "none.csv")
