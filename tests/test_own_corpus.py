"""Test corpora of a user: a table, or folders named after labels."""

import unicodedata
from pathlib import Path
from typing import Any

import audformat
import numpy as np
import pandas as pd
import pytest
import soundfile

from affekt.cli import main
from affekt.corpora import survey_own
from affekt.corpora.clips import Clip
from affekt.corpora.manifest import read_manifest, write_manifest
from affekt.corpora.recordings import measured
from affekt.errors import CorpusError
from affekt.evaluation.results import collect
from affekt.report.tsne import read_points
from affekt.runs.archive import archive_runs
from affekt.runs.reading import find_runs, read_run
from synthetic_runs import runs_in


def sound(path: Path, seconds: float = 2.0, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros((int(seconds * 8_000), channels)), 8_000)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for name in ("a.wav", "sub/b.wav", "c.wav"):
        sound(tmp_path / name)
    path = tmp_path / "table.csv"
    path.write_text(
        "speaker, label,file,start,end,gender\n"
        "1, wut,a.wav,,1.5,f\n"
        "2,neutral,a.wav,1.5,,\n"
        "1,calm,./sub/b.wav,0.5,2,f\n"
        "\n"
        "3,neutral,c.wav,,,m\n",
        encoding="utf-8-sig",
    )
    return path


def test_table(table: Path) -> None:
    survey = survey_own("clinic", table)
    assert survey.faults() == ""
    manifest = survey.manifest()
    assert (manifest.corpus, manifest.task, manifest.root) == ("clinic", "all", table.parent)
    assert manifest.labels == ("neutral", "calm", "wut")  # known labels first
    assert manifest.clips == (
        Clip("a.wav", "wut", "clinic:1", "f", None, 1.5, None, 1.5),
        Clip("a.wav", "neutral", "clinic:2", "", 1.5, None, None, 0.5),
        Clip("sub/b.wav", "calm", "clinic:1", "f", 0.5, 2.0, None, 1.5),
        Clip("c.wav", "neutral", "clinic:3", "m", seconds=2.0),
    )


def test_an_end_that_is_rounded_up_is_that_of_the_recording(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    (tmp_path / "table.csv").write_text(
        "file,label,speaker,start,end\na.wav,sad,1,1.5,2.000000001\na.wav,sad,1,0,0.5\n"
    )
    clip, _ = survey_own("clinic", tmp_path / "table.csv").manifest().clips
    assert (clip.end, clip.seconds) == (2.000000001, 0.5)


def test_own_labels_map_to_a_task(table: Path) -> None:
    survey = survey_own("clinic", table, "four", labels={"wut": "angry", "calm": ""})
    assert survey.labels == ("angry", "happy", "sad", "neutral")
    assert [clip.label for clip in survey.clips] == ["angry", "neutral", "neutral"]
    rows = {row.name: row for row in survey.rows()}
    assert rows["all"].found == (3, 1, 0, 0, 2, 3)
    assert rows["unknown"].found == (1, 0, 0, 0, 1, 1)
    assert set(rows["all"].published) == {None}
    assert survey_own("x", table, labels={"calm": "neutral"}).labels == ("neutral", "wut")


@pytest.fixture(params=["csv", "parquet"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A table as audformat stores it, with columns of its own."""
    for name in ("a.wav", "sub/b.wav"):
        sound(tmp_path / name)
    stored = audformat.Database("calls")
    files = ["a.wav", "a.wav", "sub/b.wav"]
    stored["turns"] = audformat.Table(
        audformat.segmented_index(files, [0.0, 1.25, 0.0], [1.25, 2.0, pd.NaT])
    )
    for name, values in {
        "emotion": ["angry", "sad", "angry"],
        "who": ["1", "2", "1"],
        "sex": ["female", "male", "female"],
        "rating": [1.0, 2.0, float("nan")],
    }.items():
        stored["turns"][name] = audformat.Column()
        stored["turns"][name].set(values)
    stored.save(tmp_path, storage_format=request.param)
    return tmp_path / f"db.turns.{request.param}"


def test_tables_of_audformat(database: Path, tmp_path: Path) -> None:
    words = ["corpus", "calls", str(database), "-o", str(tmp_path / "manifest.csv")]
    for mapped in ("emotion=label", "who=speaker", "sex=gender"):
        words += ["--column", mapped]
    assert main(words) == 0
    manifest = read_manifest(tmp_path / "manifest.csv")
    assert manifest.clips == (
        Clip("a.wav", "angry", "calls:1", "f", 0.0, 1.25, None, 1.25),
        Clip("a.wav", "sad", "calls:2", "m", 1.25, 2.0, None, 0.75),
        Clip("sub/b.wav", "angry", "calls:1", "f", 0.0, None, None, 2.0),
    )


def test_genders_in_words_need_no_mapping(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    (tmp_path / "table.csv").write_text("file,label,speaker,gender\na.wav,sad,1,Female\n")
    (clip,) = survey_own("x", tmp_path / "table.csv").manifest().clips
    assert clip.gender == "f"


def test_a_mapped_column_replaces_the_one_of_its_name(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    (tmp_path / "table.csv").write_text("file,label,speaker,emotion\na.wav,4,1,sad\n")
    (clip,) = survey_own("x", tmp_path / "table.csv", columns={"emotion": "label"}).manifest().clips
    assert clip.label == "sad"


def test_a_fault_below_blank_lines_has_its_number_also_under_other_names(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text('file,mood,speaker,end\n\n"a\n.wav",sad,1,\nb.wav,sad,1,x\n')
    with pytest.raises(CorpusError, match=r"table\.csv, line 5: must hold 4 cells.*'x'"):
        survey_own("x", table, columns={"mood": "label"})


def test_columns_that_cannot_be_mapped(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for mapped, words in (
        ("emotion", "such as emotion=label. Got emotion."),
        ("emotion=mood", "columns of a corpus must be among file, label, speaker, start, end"),
        ("mood=label", "columns to map must be in the table. Got mood. Its columns: file, start"),
        ("emotion=label", "needed: file, label, speaker). Got file, start, end, label."),
    ):
        assert main(["corpus", "calls", str(database), "--column", mapped]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line
    assert main(["corpus", "ravdess", str(tmp_path), "--column", "emotion=label"]) == 2
    assert "--column is for your own corpus" in capsys.readouterr().err
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match=r"bad\.parquet: must be a Parquet table"):
        survey_own("calls", tmp_path / "bad.parquet")
    (tmp_path / "long.csv").write_text("file,text,mood,who\na.wav,Oh, dear,sad,1\n")
    with pytest.raises(CorpusError, match=r"long\.csv, line 2: must hold 3 cells.* Got 4 cells"):
        survey_own("x", tmp_path / "long.csv", columns={"mood": "label", "who": "speaker"})
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(CorpusError, match="Its columns: none"):
        survey_own("calls", tmp_path / "empty.csv", columns={"emotion": "label"})


def test_folders(tmp_path: Path) -> None:
    for name in ("angry/anna_1.wav", "angry/bert_1.wav", "bored/deep/anna_2.wav"):
        sound(tmp_path / name)
    manifest = survey_own("own", tmp_path, speaker=r"([a-z]+)_\d").manifest()
    assert manifest.labels == ("angry", "bored")
    assert [(clip.file, clip.label, clip.speaker) for clip in manifest.clips] == [
        ("angry/anna_1.wav", "angry", "own:anna"),
        ("angry/bert_1.wav", "angry", "own:bert"),
        ("bored/deep/anna_2.wav", "bored", "own:anna"),
    ]
    whole = survey_own("own", tmp_path, speaker="anna|bert").manifest()
    assert whole.digest == manifest.digest


def test_names_that_look_the_same_are_the_same(tmp_path: Path) -> None:
    rows = ["file,label,speaker"]
    for number, form in enumerate(("NFC", "NFD")):
        sound(tmp_path / f"{number}.wav")
        rows.append(f"{number}.wav," + unicodedata.normalize(form, "Ärger,Müller"))
    (tmp_path / "table.csv").write_text("\n".join(rows), encoding="utf-8")
    manifest = survey_own("own", tmp_path / "table.csv").manifest()
    assert (manifest.labels, manifest.speakers) == (("Ärger",), ("own:Müller",))
    for form in ("NFC", "NFD"):
        mapped = {unicodedata.normalize(form, "Ärger"): "angry"}
        assert survey_own("own", tmp_path / "table.csv", labels=mapped).labels == ("angry",)


def test_a_pattern_finds_letters_with_accents_in_both_forms(tmp_path: Path) -> None:
    for form, who in (("NFC", "Möller"), ("NFD", "Möller"), ("NFD", "Müller")):
        sound(tmp_path / "sad" / unicodedata.normalize(form, f"{who}_{form}.wav"))
    manifest = survey_own("own", tmp_path, speaker=r"(\w+)_NF").manifest()
    assert manifest.speakers == ("own:Möller", "own:Müller")


def test_a_manifest_is_taken_again(table: Path) -> None:
    first = survey_own("clinic", table).manifest()
    (table.parent / "elsewhere").mkdir()
    file = table.parent / "elsewhere" / "manifest.csv"
    write_manifest(first, file)
    again = survey_own("again", file, labels={"wut": "angry", "calm": ""}).manifest()
    assert again.root == first.root
    assert again.labels == ("angry", "neutral")
    assert [(clip.file, clip.label, clip.speaker, clip.end) for clip in again.clips] == [
        ("a.wav", "angry", "again:clinic:1", 1.5),
        ("a.wav", "neutral", "again:clinic:2", None),
        ("c.wav", "neutral", "again:clinic:3", None),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "a:b"}, "name of a corpus must be letters"),
        ({"task": "two"}, "task of clinic must be one of four, all"),
        ({"task": "four"}, "must be angry, happy, sad, neutral. Got 'calm', 'wut'. Map each"),
        ({"labels": {"calm": "", "zorn": "angry"}}, "must occur. Got none for 'zorn'"),
        ({"source": "none.csv"}, "must be a table of recordings, or a folder of them"),
        ({"source": ".", "speaker": ""}, "the speaker pattern must find a name in its path"),
        ({"source": ".", "speaker": "("}, "must be a regular expression"),
        ({"speaker": "a"}, "must be for a folder of recordings, and columns for a table. Got a p"),
        ({"source": ".", "columns": {"a": "file"}}, "and columns for a table. Got columns for"),
        ({"source": ".", "speaker": "a"}, "must be in a folder named after its label"),
        ({"source": ".", "speaker": r"(\d+)"}, r"Got pattern '(\d+)'. Give"),
    ],
)
def test_refuses(table: Path, arguments: dict[str, Any], message: str) -> None:
    given = {"name": "clinic", "source": table.name} | arguments
    with pytest.raises(CorpusError) as error:
        survey_own(given.pop("name"), table.parent / given.pop("source"), **given)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("file,label\na.wav,sad\n", "columns must be file, label, speaker, start"),
        ("file,label,speaker,age\na.wav,sad,1,3\n", "columns must be"),
        ("file;label;speaker\na.wav;sad;1\n", "Correct line 1; commas separate columns"),
        ("file\tlabel\tspeaker\na.wav\tsad\t1\n", "Correct line 1; commas separate columns"),
        (
            "file,label,speaker\na.wav,sad,1\nb.wav,,1\n",
            "must have a label, and every label to map must occur. Got none for 'b.wav'. Its "
            "labels: 'sad'. Fill in the label, or correct --label.",
        ),
        (
            "file,label,speaker,end,start\na.wav,sad,1,1,\na.wav,,1,,1\n",
            "Got none for 'a.wav#t=1.0,'.",
        ),
        ("file,label,speaker\na.wav,sad,\n", "clip 'a.wav': speaker must read <corpus>:<id>"),
        (
            "file,label,speaker,end,start\na.wav,sad,1,1,\na.wav,sad,,,1\n",
            "clip 'a.wav#t=1.0,': speaker must read <corpus>:<id>",
        ),
        ("file,label,speaker\na.wav,sad,1\na.wav,sad,1\n", "same part twice"),
        ("file,label,speaker\na.wav,sad,1\n./a.wav,sad,1\n", "same part twice"),
        ("file,label,speaker\n../a.wav,sad,1\n", "stays below the root"),
        ("file,label,speaker\ngone.wav,sad,1\n", "undecodable: 1 (gone.wav); the first because"),
        ("file,label,speaker,end\na.wav,sad,1,9\n", "it is 2 s long, and 0 to 9 s is wanted"),
        ("file,label,speaker,start\na.wav,sad,1,2\n", "it is 2 s long, and 2 to 2 s is wanted"),
        ("file,label,speaker,gender\na.wav,sad,1,x\n", "gender must be f, m or empty"),
        ("file,label,speaker,end\n\n\na.wav,sad,1,x\n", "t.csv, line 4: must hold 4 cells"),
        ("file,label,speaker\n", "at least one clip"),
    ],
)
def test_refuses_a_table(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "in").mkdir()
    sound(tmp_path / "a.wav")
    sound(tmp_path / "in" / "a.wav")
    (tmp_path / "in" / "t.csv").write_text(rows, encoding="utf-8")
    with pytest.raises(CorpusError) as error:
        survey_own("clinic", tmp_path / "in" / "t.csv").manifest()
    assert message in str(error.value)


def test_partial_leaves_out_unreadable_recordings(table: Path) -> None:
    (table.parent / "c.wav").write_bytes(b"no sound")
    survey = survey_own("clinic", table)
    assert list(survey.undecodable) == ["c.wav"]
    assert len(survey.manifest(partial=True).clips) == 3


def test_a_channel_must_be_there(tmp_path: Path) -> None:
    sound(tmp_path / "mono.wav")
    sound(tmp_path / "stereo.wav", channels=2)
    clips = [Clip(f"{name}.wav", "sad", "x:1", channel=1) for name in ("mono", "stereo")]
    good, bad = measured(tmp_path, clips)
    assert [clip.file for clip in good] == ["stereo.wav"]
    assert bad == {"mono.wav": "channel 1 is wanted, and its last one is 0."}


def test_parts_of_one_file_are_run_and_scored(tmp_path: Path) -> None:
    """Files that hold several clips each, from the table to the score."""
    rows = ["file,label,speaker,start,end"]
    for speaker in "abcde":
        sound(tmp_path / f"{speaker}.wav", 8.0)
        for at, label in enumerate(("angry", "happy", "sad", "neutral")):
            rows.append(f"{speaker}.wav,{label},{speaker},{2 * at},{2 * at + 2}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    manifest, recipe = str(tmp_path / "manifest.csv"), tmp_path / "mine.toml"
    recipe.write_text('corpus = "mine"\ntask = "four"\nmethod = "chance-majority"\n')
    table = str(tmp_path / "table.csv")
    assert main(["corpus", "mine", table, "-o", manifest, "--task", "four"]) == 0
    runs = str(tmp_path / "runs")
    assert main(["run", str(recipe), "--data", manifest, "--runs", runs, "--jobs", "1"]) == 0
    (run,) = (read_run(folder) for folder in find_runs([Path(runs)]))
    (result,) = collect([run])
    assert result.complete
    assert len(set(run.predictions["file"])) == 20
    assert run.predictions["file"][1] == "a.wav#t=2.0,4.0"
    assert result.uar.value == 0.25
    (kept,) = archive_runs(runs_in(Path(runs)), tmp_path / "results", points=read_points)
    again = ["run", str(recipe), "--data", manifest, "--runs", str(tmp_path / "again")]
    assert main([*again, "--archive", str(kept.parents[1]), "--jobs", "1"]) == 0
