"""Test annotation files of many recordings, read by Praat itself and by a library for ELAN."""

from pathlib import Path

import numpy as np
import parselmouth
import pytest
from parselmouth import praat
from pympi import Eaf

import affekt
from affekt.cli import main
from affekt.commands.output.timeline_printing import _targets
from affekt.inference.timelines.annotation_files import SUFFIXES, eaf
from affekt.inference.timelines.timeline import Utterance
from conftest import SAMPLES, Captured

FILES = sorted(SAMPLES.glob("*.flac"))


def run(*words: object) -> int:
    return main(["predict", "--timeline", *map(str, words)])


@pytest.mark.parametrize("form", SUFFIXES)
def test_a_folder_gets_a_file_for_each_recording(
    form: str, model: str, tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "labels"
    assert run(SAMPLES, "--format", form, "-o", f"{folder}/", "--model", model) == 0
    expected = [folder / f"{file.stem}{SUFFIXES[form]}" for file in FILES]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in expected]
    assert sorted(folder.iterdir()) == expected
    single = tmp_path / "single"
    assert run(FILES[0], "--format", form, "-o", single, "--model", model) == 0
    texts = [path.read_text(encoding="utf-8") for path in (expected[0], single)]
    assert texts[0].splitlines()[3:] == texts[1].splitlines()[3:]  # EAF has the date before


def test_praat_reads_the_textgrids(model: str, tmp_path: Path) -> None:
    assert run(SAMPLES, "--format", "textgrid", "-o", f"{tmp_path}/", "--model", model) == 0
    predictor = affekt.load(model)
    for file in FILES:
        grid = parselmouth.read(str(tmp_path / f"{file.stem}.TextGrid"))
        count = int(praat.call(grid, "Get number of intervals", 1))
        found = [
            (
                praat.call(grid, "Get start time of interval", 1, number),
                praat.call(grid, "Get end time of interval", 1, number),
                praat.call(grid, "Get label of interval", 1, number),
            )
            for number in range(1, count + 1)
        ]
        spoken = [each for each in found if each[2]]
        expected = [(u.start, u.end, u.label) for u in predictor.timeline(file)]
        assert [each[2] for each in spoken] == [each[2] for each in expected]
        np.testing.assert_allclose(
            [each[:2] for each in spoken], [each[:2] for each in expected], atol=1e-5
        )
        seconds = len(affekt.read(file)) / 16_000
        assert praat.call(grid, "Get end time") == pytest.approx(seconds, abs=1e-5)


def test_elan_documents_are_read(model: str, tmp_path: Path) -> None:
    assert run(SAMPLES, "--format", "eaf", "-o", f"{tmp_path}/", "--model", model) == 0
    predictor = affekt.load(model)
    for file in FILES:
        document = Eaf(str(tmp_path / f"{file.stem}.eaf"))
        assert [*document.get_tier_names()] == ["emotion"]
        found = [each[:3] for each in document.get_annotation_data_for_tier("emotion")]
        assert found == [
            (round(1_000 * u.start), round(1_000 * u.end), u.label)
            for u in predictor.timeline(file)
        ]
        (media,) = document.get_linked_files()
        assert media["RELATIVE_MEDIA_URL"] == f"./{file.name}"
        assert media["MIME_TYPE"].startswith("audio/")


def test_labels_are_escaped_in_elan_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.eaf"
    path.write_text(eaf([Utterance("", 0.0, 1.0, 'a<b>&"c"', {"a": 1.0}, 1.0)], ""))
    (found,) = Eaf(str(path)).get_annotation_data_for_tier("emotion")
    assert found[2] == 'a<b>&"c"'


def test_speakers_have_tiers_of_their_own(tmp_path: Path) -> None:
    said = [
        Utterance("", 0.0, 2.0, "sad", {"sad": 1.0}, 1.0, speaker="anna"),
        Utterance("", 1.0, 3.0, "angry", {"angry": 1.0}, 1.0, speaker="dr"),
        Utterance("", 4.0, 5.0, "happy", {"happy": 1.0}, 1.0, speaker="anna"),
    ]
    path = tmp_path / "a.eaf"
    path.write_text(eaf(said, "call.wav"))
    document = Eaf(str(path))
    assert sorted(document.get_tier_names()) == ["anna", "dr"]
    anna = sorted(each[:3] for each in document.get_annotation_data_for_tier("anna"))
    assert anna == [(0, 2_000, "sad"), (4_000, 5_000, "happy")]


def test_each_location_has_a_file_of_its_own() -> None:
    files = [f"s3://bucket/{person}/memo.wav" for person in "abcd"]
    targets = _targets(files, Path("out"), ".eaf")
    names = ["memo.eaf", "memo.wav.eaf", "memo.wav-2.eaf", "memo.wav-3.eaf"]
    assert targets == {file: Path("out", name) for file, name in zip(files, names, strict=True)}


def test_folders_and_equal_names_are_kept_apart(
    model: str, tmp_path: Path, capsys: Captured
) -> None:
    for name in ("in/a.flac", "in/sub/a.flac", "in/a.wav", "in/bad.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"RIFF" if "bad" in name else FILES[1].read_bytes())
    out = tmp_path / "out"
    out.mkdir()
    words = [tmp_path / "in", tmp_path / "none.wav", "--format", "textgrid", "-o", out]
    assert run(*words, "--model", model) == 1
    made = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert made == {"in/a.TextGrid", "in/a.wav.TextGrid", "in/sub/a.TextGrid"}
    messages = capsys.readouterr().err.splitlines()
    assert [("bad.wav" in line, "none.wav" in line) for line in messages] == [
        (True, False),
        (False, True),
    ]


def test_speakers_of_many_recordings_are_distinguished(model: str, tmp_path: Path) -> None:
    words = ["--speakers", "2", "--format", "rttm", "-o", f"{tmp_path}/"]
    assert run(*FILES[:2], *words, "--model", model) == 0
    for file in FILES[:2]:
        assert " speaker_1 " in (tmp_path / f"{file.stem}.rttm").read_text()


def test_what_is_refused(model: str, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "file").write_text("")
    for words, message in (
        ([SAMPLES, "--format", "eaf"], "For several, name a folder as --output."),
        (
            [SAMPLES, "--format", "eaf", "-o", f"{tmp_path}/", "--plot", tmp_path / "x.png"],
            "--plot cannot be combined with a folder as --output.",
        ),
        ([SAMPLES, "--format", "eaf", "-o", f"{tmp_path}/file/x/"], "cannot be written"),
    ):
        assert run(*words, "--model", model) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
