"""Test ``affekt predict --timeline``: all formats, pictures, errors and interruptions."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import affekt
from affekt.audio.reading import read
from affekt.cli import main
from affekt.commands.output.result_printing import csv_columns, printer_of
from affekt.commands.output.timeline_printing import ABOUT, SPEAKER
from affekt.inference.timelines.timeline import Utterance
from bad_inputs import BAD_INPUTS
from conftest import SAMPLES, Captured, hears_ctrl_c
from small_model import LABELS

COMMAND = [sys.executable, "-m", "affekt"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two recordings with speech, a silent one, and a text file named like one."""
    place = tmp_path_factory.mktemp("sounds")
    quiet = np.zeros(16_000, np.float32)
    for name in ("calm", "loud"):
        sound = np.concatenate([quiet, read(SAMPLES / f"{name}.flac"), quiet])
        soundfile.write(place / f"{name}.wav", sound, 16_000)
    soundfile.write(place / "hush.wav", quiet, 16_000)
    (place / "text.wav").write_text("no sound")
    return place


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a recording of forty minutes of speech."""
    path = tmp_path_factory.mktemp("long") / "long.flac"
    sayings = np.concatenate([np.zeros(16_000, np.float32), read(SAMPLES / "loud.flac")])
    with soundfile.SoundFile(path, "w", 16_000, 1) as file:
        for _ in range(600):
            file.write(sayings)
    return path


def run(*words: object) -> int:
    return main(["predict", "--timeline", *map(str, words)])


def test_json_lines(model: str, folder: Path, capsys: Captured) -> None:
    assert run(folder, "--json", "--model", model) == 1
    printed = capsys.readouterr()
    objects = [json.loads(line) for line in printed.out.splitlines()]
    said, failed = objects[:-1], objects[-1]
    assert set(failed) == {"file", "error"}
    assert len(printed.err.splitlines()) == 1
    assert {Path(each["file"]).name for each in said} == {"calm.wav", "loud.wav"}
    predictor = affekt.load(model)
    for name in ("calm.wav", "loud.wav"):
        expected = [*predictor.timeline(folder / name)]
        found = [each for each in said if each["file"].endswith(name)]
        assert [each["start"] for each in found] == [each.start for each in expected]
        for each in found:
            keys = ["file", "start", "end", "label", "probabilities", "speech", "quality"]
            assert list(each)[:7] == keys
            assert list(each["probabilities"]) == list(LABELS)


def test_csv(model: str, folder: Path, capsys: Captured) -> None:
    assert run(folder, "--csv", "--model", model) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    columns = ["file", "start", "end", "label", "speech", *(f"p_{x}" for x in LABELS)]
    assert list(rows[0]) == [*columns, "reason", "error"]
    assert [bool(row["error"]) for row in rows] == [False] * (len(rows) - 1) + [True]


@pytest.mark.parametrize("columns", ["40", "80"])
def test_the_table(
    model: str, folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.chdir(folder)
    assert run("loud.wav", "hush.wav", "--model", model) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["start", "end", "emotion"]
    assert lines[1] == "loud.wav"
    assert lines[2].split()[0] == "0:01.1"
    assert all(len(line) <= int(columns) for line in lines)
    assert ("angry" in lines[0]) == (columns == "80")
    assert "hush.wav" not in lines


@pytest.mark.parametrize(
    ("form", "head"),
    [
        ("audacity", "1."),
        ("webvtt", "WEBVTT\n\n00:00:01."),
        ("rttm", "SPEAKER {folder}/calm 1 1."),
        ("textgrid", 'File type = "ooTextFile"\n'),
    ],
)
def test_annotation_files(
    model: str, folder: Path, tmp_path: Path, capsys: Captured, form: str, head: str
) -> None:
    into = tmp_path / "labels"
    assert run(folder / "calm.wav", "--format", form, "-o", into, "--model", model) == 0
    assert capsys.readouterr().out == ""
    assert into.read_text().startswith(head.format(folder=folder))


@pytest.mark.parametrize("form", ["--json", "audacity", "webvtt", "rttm", "textgrid"])
def test_silence_gives_an_empty_timeline(
    model: str, folder: Path, capsys: Captured, form: str
) -> None:
    words = [form] if form == "--json" else ["--format", form]
    assert run(folder / "hush.wav", *words, "--model", model) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "angry" not in printed.out
    assert ("intervals: size = 1\n" in printed.out) == (form == "textgrid")


def test_plot(model: str, folder: Path, tmp_path: Path, capsys: Captured) -> None:
    for name in ("calm", "hush"):
        plot = tmp_path / f"{name}.svg"
        assert run(folder / f"{name}.wav", "--plot", plot, "--model", model) == 0
        assert "</svg>" in plot.read_text()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["audacity", "textgrid", "webvtt", "rttm", "json", "csv", "table"])
def test_min_confidence_gives_uncertain_in_every_format(
    form: str, model: str, folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    words = {"json": ["--json"], "csv": ["--csv"], "table": []}.get(form, ["--format", form])
    unsure = ["--min-confidence", "1", "--plot", tmp_path / "a.svg", "--model", model]
    assert run(folder / "calm.wav", *words, *unsure) == 0
    assert "uncertain" in capsys.readouterr().out


def test_plot_without_matplotlib_is_one_error_line(
    model: str, folder: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from affekt.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["predict", str(folder / "calm.wav"), "--timeline", "--model", model]
    command = [sys.executable, "-c", code, *words, "--plot", str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "needs matplotlib" in line
    assert "pip install 'affekt[report]'" in line


@pytest.mark.parametrize("name", [*BAD_INPUTS][::8])
def test_bad_input_is_one_error_line(
    name: str, model: str, tmp_path: Path, capfd: Captured
) -> None:
    path = BAD_INPUTS[name](tmp_path)
    plot = tmp_path / "a.png"
    assert run(path, "--format", "textgrid", "--plot", plot, "--model", model) == 1
    printed = capfd.readouterr()
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("affekt: ")


def test_standard_input(
    model: str, folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = (folder / "calm.wav").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sound)))
    assert run("-", "--json", "--model", model) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = affekt.load(model).timeline(folder / "calm.wav")
    assert [each["start"] for each in said] == [each.start for each in expected]
    assert {each["file"] for each in said} == {"-"}


WRONG_USE = {
    "x.wav --timeline --json --format rttm": "--json cannot be combined with --format.",
    "x.wav --timeline --format srt": "--format must be one of audacity,",
    "x.wav --format rttm": "--format needs --timeline.",
    "x.wav --timeline --plot x.jpeg": "--plot must end in .png or .svg. Got x.jpeg.",
    "x.wav --timeline --plot nowhere/x.png": "--plot must name a file in a folder that exists.",
    "x.wav y.wav --timeline --plot x.png": "--plot needs exactly one recording.",
    "x.wav y.wav --timeline --format audacity": "--format audacity needs exactly one recording.",
    "{folder} --timeline --format textgrid": "--format textgrid needs exactly one recording.",
    "x.raw --timeline -o x.raw": "--output must not be a file that the command uses.",
    "x.wav --timeline -o y.wav": "nor named like one. Got y.wav.",
    "x.wav -o nowhere/x.json": "nowhere/x.json cannot be written: No such file or directory.",
}


@pytest.mark.parametrize(("words", "message"), WRONG_USE.items(), ids=WRONG_USE)
def test_wrong_use_is_one_line_and_exit_code_2(
    words: str, message: str, model: str, folder: Path, capsys: Captured
) -> None:
    given = [word.format(folder=folder) for word in words.split()]
    assert main(["predict", *given, "--model", model]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert message in line


def test_a_closed_pipe_ends_the_command_silently(model: str, long: Path) -> None:
    words = [*COMMAND, "predict", str(long), "--timeline", "--json", "--model", model]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 1
    process.stderr.close()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_timeline_is_written(
    model: str, long: Path, tmp_path: Path, sign: signal.Signals
) -> None:
    grid, plot = tmp_path / "a.TextGrid", tmp_path / "a.png"
    words = [*COMMAND, "predict", str(long), "--timeline", "--model", model]
    words += ["--format", "textgrid", "-o", str(grid), "--plot", str(plot)]
    leader, follower = os.openpty()
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=follower, preexec_fn=hears_ctrl_c
    )
    os.close(follower)
    shown = b""
    while b"long.flac" not in shown or b"0:0" not in shown:  # the bar, with time left
        shown += os.read(leader, 65_536)
    process.send_signal(sign)
    assert process.wait(60) == 130
    os.close(leader)
    assert any(f'text = "{label}"' in grid.read_text() for label in LABELS)
    assert plot.read_bytes()[:4] == b"\x89PNG"


def test_a_speaker_is_no_formula_in_a_spreadsheet() -> None:
    """RTTM files of others name the speakers."""
    out, names = io.StringIO(), ("=HYPERLINK(A1)", "anna")
    write = printer_of("csv", out, csv_columns(["sad"], (*ABOUT, *SPEAKER)))
    assert write
    for name in names:
        write(Utterance("call.wav", 0.0, 1.0, "sad", {"sad": 1.0}, 1.0, speaker=name))
    found = [row["speaker"] for row in csv.DictReader(out.getvalue().splitlines())]
    assert found == [f"'{names[0]}", names[1]]
