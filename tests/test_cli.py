"""Test the command line: output, exit codes, one line per error."""

import csv
import io
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import affekt
from affekt.cli import EXAMPLES, main
from affekt.commands.output.printing import printable, sigterm_as_ctrl_c
from affekt.inference import files, parallel
from affekt.inference.shipped_models import DEFAULT_MODEL
from bad_inputs import BAD_INPUTS
from conftest import SAMPLES, Captured, hears_ctrl_c
from small_model import LABELS

COMMAND = [sys.executable, "-m", "affekt"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write 20 recordings, two of them in a subfolder, and three other files."""
    place = tmp_path / "sounds"
    (place / "deep" / "deeper").mkdir(parents=True)
    rng = np.random.default_rng(5)
    for number in range(20):
        inside = place / "deep" / "deeper" if number > 17 else place
        form = ("wav", "flac", "ogg")[number % 3]
        sound = rng.normal(size=9_000 + 4_000 * number) * 0.1
        soundfile.write(inside / f"{number:02}.{form}", sound, 16_000)
    for name in ("notes.txt", "cover.jpg", "._01.wav"):
        (place / name).write_text("no sound")
    return place


def error_lines(text: str) -> list[str]:
    lines = text.splitlines()
    assert all(line.startswith("affekt: ") for line in lines), text
    return lines


def test_json_format(model: str, folder: Path, capsys: Captured) -> None:
    assert main(["predict", str(folder), "--json", "--model", model]) == 0
    printed = capsys.readouterr()
    objects = [json.loads(line) for line in printed.out.splitlines()]
    assert printed.err == ""
    assert len(objects) == 20
    names = [each["file"] for each in objects]
    assert names == sorted(names[:18]) + sorted(names[18:])
    for each in objects:
        keys = ["file", "duration", "label", "probabilities", "segments", "quality", "reason"]
        assert list(each) == keys if "reason" in each else keys[:-1]
        assert list(each["probabilities"]) == list(LABELS)
        for segment in each["segments"]:
            assert list(segment)[:6] == [
                "start",
                "end",
                "label",
                "probabilities",
                "speech",
                "quality",
            ]
        expected = affekt.load(model).predict(each["file"])
        assert each["label"] == expected.label
        assert each["probabilities"] == expected.probabilities
        assert each["segments"][-1]["end"] <= each["duration"] == expected.duration


def test_csv_format(model: str, folder: Path, capsys: Captured) -> None:
    missing = str(folder / "missing.wav")
    assert main(["predict", str(folder), missing, "--csv", "--no-quality", "--model", model]) == 1
    printed = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    columns = [*(f"p_{x}" for x in LABELS), "reason", "error"]
    assert list(rows[0]) == ["file", "duration", "label", *columns]
    assert len(rows) == 21
    assert rows[-1]["file"] == missing
    assert rows[-1]["label"] == ""
    assert [bool(row["error"]) for row in rows] == [False] * 20 + [True]
    for row in rows[:-1]:
        likely = max(LABELS, key=lambda label: float(row[f"p_{label}"]))
        assert row["label"] == likely


@pytest.mark.parametrize("columns", ["20", "40", "80", "120"])
def test_table_shows_file_and_emotion(
    model: str, folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.chdir(folder)
    assert main(["predict", ".", "--no-quality", "--model", model]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["file", "seconds", "emotion"]
    rows = [line.split() for line in lines[1:] if line.strip()]
    assert len(rows) == 20
    assert all(len(line) <= max(40, int(columns)) for line in lines)
    label = affekt.load(model, limits=None).predict("00.wav").label
    assert rows[0][:3] == ["00.wav", "0.6", label]
    assert ("%" in lines[1]) == (int(columns) > 40)


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_min_confidence_gives_uncertain(
    form: list[str], model: str, folder: Path, capsys: Captured
) -> None:
    words = ["predict", str(folder), *form, "--no-quality", "--model", model]  # noise is uncertain
    for confidence in ("0", "1"):
        assert main([*words, "--min-confidence", confidence]) == 0
        assert ("uncertain" in capsys.readouterr().out) == (confidence == "1")


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_results_do_not_depend_on_jobs(
    model: str, folder: Path, capsys: Captured, jobs: str
) -> None:
    main(["predict", str(folder), "--json", "--model", model])
    expected = capsys.readouterr().out
    assert main(["predict", str(folder), "--json", "--model", model, "--jobs", jobs]) == 0
    assert capsys.readouterr().out == expected


def test_bad_files_do_not_stop_the_others(model: str, folder: Path, capsys: Captured) -> None:
    (folder / "a_text.wav").write_text("this is no sound\n" * 99)
    (folder / "b_empty.flac").write_bytes(b"")
    (folder / "c_cut.wav").write_bytes((folder / "00.wav").read_bytes()[:400])
    (folder / "d_pointer.wav").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:1"
    )
    soundfile.write(folder / "e_nan.wav", np.full(9_000, np.nan), 16_000, subtype="FLOAT")
    assert main(["predict", str(folder), "--json", "--model", model]) == 1
    printed = capsys.readouterr()
    objects = [json.loads(line) for line in printed.out.splitlines()]
    failed = [each for each in objects if "error" in each]
    assert len(objects) == 25
    assert [Path(each["file"]).name[0] for each in failed] == list("abcde")
    assert [list(each) for each in failed] == [["file", "error"]] * 5
    assert error_lines(printed.err) == ["affekt: " + each["error"] for each in failed]


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_is_one_error_line(
    name: str, model: str, tmp_path: Path, capfd: Captured
) -> None:
    path = BAD_INPUTS[name](tmp_path)
    assert main(["predict", str(path), "--json", "--model", model]) == 1
    printed = capfd.readouterr()  # what decoders print themselves would show here too
    (line,) = error_lines(printed.err)
    (answer,) = map(json.loads, printed.out.splitlines())
    assert set(answer) == {"file", "error"}
    assert path.name[:30] in line
    assert len(line) > 20


def test_standard_input(model: str, folder: Path) -> None:
    path = folder / "00.wav"
    command = [*COMMAND, "predict", "-", "--json", "--model", model]
    done = subprocess.run(command, input=path.read_bytes(), capture_output=True, check=True)
    (answer,) = map(json.loads, done.stdout.splitlines())
    expected = affekt.load(model).predict(path)
    assert done.stderr == b""
    assert (answer["file"], answer["duration"]) == ("-", expected.duration)
    assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)


@pytest.mark.parametrize("content", [b"", b"no sound at all"])
def test_no_audio_on_standard_input(
    model: str, content: bytes, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main(["predict", "-", "--json", "--model", model]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["file"] == "-"
    assert len(error_lines(printed.err)) == 1


WRONG_USE = {
    "predict": "PATH is missing.",
    "foresee": "No such command 'foresee'.",
    "predict x.wav --loud": "No such option: --loud",
    "predict x.wav --jobs 0": "Invalid value for '--jobs'",
    "predict x.wav --jobs 1.5": "not a whole number. See affekt predict --help.",
    f"predict x.wav --jobs 1{30 * '0'}": "Invalid value for '--jobs'",
    "predict x.wav --model nonesuch": "Check the name, or make a file with affekt",
    "predict x.wav --model nonesuch.onnx": "nonesuch.onnx cannot be read: No such file",
    "predict x.wav --model {samples}/calm.flac": "must be a whole ONNX file.",
}


@pytest.mark.parametrize(("words", "message"), WRONG_USE.items(), ids=WRONG_USE)
def test_wrong_use_is_one_line_and_exit_code_2(words: str, message: str, capsys: Captured) -> None:
    assert main([word.format(samples=SAMPLES) for word in words.split()]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = error_lines(printed.err)
    assert message in line


def test_help_shows_an_example(capsys: Captured) -> None:
    assert main(["predict", "--help"]) == 0
    assert "affekt predict samples/ --json" in capsys.readouterr().out
    assert main([]) == 0
    assert "predict" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["predict", "audit"])
def test_help_names_the_default_model(
    command: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main([command, "--help"]) == 0
    assert f"(default: {DEFAULT_MODEL})" in capsys.readouterr().out


def test_models_are_described(model: str, capsys: Captured) -> None:
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    for words in (
        "affekt\n  labels       angry, happy, sad, neutral",
        "trained on   ravdess (24 speakers, 672 clips), emovo (6 speakers, 336 clips), nemo (4",
        "licence      CC BY-NC-SA 4.0",
        "yamnet-lstm\n",
    ):
        assert words in printed
    assert main(["models", "affekt", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["sha256"] == affekt.load().graph.digest
    assert main(["models", "nobody"]) == 2
    assert "must be a file or one of the shipped" in capsys.readouterr().err
    assert main(["models", model]) == 2  # one made for the tests, whose speakers are a number
    assert "must name corpora and licence" in capsys.readouterr().err


def test_version(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"affekt {affekt.__version__}\n"


def test_the_samples_are_recordings(model: str, capsys: Captured) -> None:
    assert main(["predict", str(SAMPLES), "--json", "--model", model]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(list(SAMPLES.glob("*.flac"))) >= 3


def test_an_empty_folder_is_a_failure(model: str, tmp_path: Path, capsys: Captured) -> None:
    assert main(["predict", str(tmp_path), "--model", model]) == 1
    (line,) = error_lines(capsys.readouterr().err)
    assert "holds no audio file" in line


def test_hidden_folders_are_not_searched(folder: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for place in (".Trashes", "kept"):
        (tree / place).mkdir(parents=True)
        (tree / place / "a.wav").write_bytes(next(folder.glob("*.wav")).read_bytes())
    assert list(files.find_files([f"{tree}"])) == [f"{tree}/kept/a.wav"]


@pytest.mark.parametrize("form", ["--json", "--csv", "table"])
def test_unusual_file_names_are_printed_whole(
    model: str,
    folder: Path,
    tmp_path: Path,
    form: str,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    strange = tmp_path / "strange"
    strange.mkdir()
    names = [b"a line\nbreak.wav", b"caf\xe9.wav", "grün.wav".encode(), b"[bold]x.wav"]
    for name in names:
        (strange / os.fsdecode(name)).write_bytes((folder / "00.wav").read_bytes())
    (strange / os.fsdecode(b"not\n\xe9.wav")).write_bytes(b"no sound")
    words = ["predict", str(strange), "--model", model, *([form] if form != "table" else [])]
    assert main(words) == 1
    printed = capfdbinary.readouterr()
    assert len(error_lines(printed.err.decode())) == 1
    if form == "--json":
        found = {os.fsencode(json.loads(line)["file"]) for line in printed.out.splitlines()}
        assert found > {os.fsencode(strange / os.fsdecode(name)) for name in names}
    elif form == "--csv":
        assert all(name in printed.out for name in names)
    else:
        assert b"[bold]x.wav" in printed.out
        assert b"a line\\nbreak.wav" in printed.out


def test_printable_escapes_control_characters() -> None:
    assert printable("a\r\n\x1b[31mb\udce9ü\u2028") == "a\\r\\n\\x1b[31mb\\udce9ü\\u2028"


def test_a_bug_does_not_stop_the_other_files(
    model: str, folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = affekt.Predictor.predict

    def faulty(self: affekt.Predictor, source: str) -> affekt.Prediction:
        if source.endswith("03.wav"):
            raise ZeroDivisionError("of ours")
        return predict(self, source)

    monkeypatch.setattr(affekt.Predictor, "predict", faulty)
    assert main(["predict", str(folder), "--json", "--model", model]) == 1
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 20
    (line,) = error_lines(printed.err)
    assert "ZeroDivisionError('of ours')" in line


def test_a_file_that_needs_more_memory_is_told_so(
    model: str, folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry(*_: object) -> affekt.Prediction:
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr(affekt.Predictor, "predict", hungry)
    assert main(["predict", str(folder / "03.wav"), "--model", model]) == 1
    (line,) = error_lines(capsys.readouterr().err)
    assert "03.wav cannot be processed: the program needs more memory" in line
    assert "report" not in line


def test_files_are_not_read_far_ahead(model: str, folder: Path) -> None:
    taken = 0

    def endless() -> list[str]:
        nonlocal taken
        taken += 1
        return [str(folder / "00.wav")]

    class Paths(list[str]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            while True:
                yield from endless()

    results = files.predict_files(affekt.load(model), Paths(), jobs=2)
    for _ in range(50):
        next(results)
    results.close()
    assert taken <= 50 + 2 * parallel.AHEAD + 1


def test_a_closed_pipe_ends_the_command_silently(model: str, folder: Path) -> None:
    words = [*COMMAND, "predict", *[str(folder)] * 200, "--json", "--model", model]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 1
    process.stderr.close()


@pytest.mark.parametrize("how", ["> /dev/full", "<&- >&-", ">&-"])
def test_standard_streams_that_are_full_or_closed(model: str, folder: Path, how: str) -> None:
    words = shlex.join([*COMMAND, "predict", str(next(folder.glob("*.wav"))), "--model", model])
    done = subprocess.run(f"{words} --json {how}", shell=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert (done.returncode, len(done.stderr.splitlines())) == ((1, 1) if "full" in how else (0, 0))


def test_an_ascii_terminal_gets_every_file_name(model: str, folder: Path) -> None:
    strange = folder / "ünï.wav"
    strange.write_bytes(next(folder.glob("*.wav")).read_bytes())
    for form in ("--csv", "--timeline"):
        words = [*COMMAND, "predict", str(strange), form, "--model", model]
        env = {**os.environ, "PYTHONIOENCODING": "ascii"}
        done = subprocess.run(words, capture_output=True, check=False, env=env)
        assert (done.returncode, done.stderr) == (0, b"")
        assert "ünï" in done.stdout.decode() or form == "--timeline"
    strange.unlink()


def test_an_input_is_not_overwritten(model: str, folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "recording"  # any name will do for a file that is named
    bare.write_bytes(next(folder.glob("*.wav")).read_bytes())
    before = bare.read_bytes()
    words = ["predict", f"{bare}", "--json", "-o", f"{tmp_path}/../{tmp_path.name}/recording"]
    assert main([*words, "--model", model]) == 2
    assert bare.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        "predict {folder} -o {other} --model {model}",
        "predict {recording} --timeline --plot {other} --model {model}",
        "embed {folder} -o {other} --model {model}",
        "corpus own {folder} --speaker (.) -o {other}",
        "finetune table.csv -o {other}",
        "export run -o {other}",
        "journal export own.journal --csv -o {other}",
        "journal report own.journal -o {other}",
    ],
)
@pytest.mark.parametrize("link", ["hardlink_to", "symlink_to"])
def test_a_recording_of_another_name_is_not_overwritten(
    words: str, link: str, model: str, folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    recording, other = folder / "01.flac", tmp_path / ("x.png" if "--plot" in words else "x.csv")
    getattr(other, link)(recording)
    before = recording.read_bytes()
    named = {"folder": folder, "recording": recording, "other": other, "model": model}
    assert main([word.format_map(named) for word in words.split()]) == 2
    assert recording.read_bytes() == before
    assert "must not be a recording" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="has no /dev")
def test_results_can_be_written_into_a_pipe(model: str, folder: Path) -> None:
    words = ["predict", str(folder / "01.flac"), "--json", "-o", "/dev/stdout", "--model", model]
    found = subprocess.run([*COMMAND, *words], capture_output=True, timeout=60, check=True)
    assert json.loads(found.stdout)["file"].endswith("01.flac")


def test_python_runs_the_package_as_a_command() -> None:
    words = [sys.executable, "-m", "affekt"]
    found = subprocess.run([*words, "--help"], capture_output=True, text=True, check=True)
    assert "Usage: affekt [OPTIONS] COMMAND" in found.stdout
    found = subprocess.run([*words, "predict"], capture_output=True, text=True)
    assert found.returncode == 2
    assert "See affekt predict --help." in error_lines(found.stderr)[0]


def test_a_fault_of_affekt_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def broken(**_: object) -> int:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("affekt.cli.app", broken)
    monkeypatch.delenv("AFFEKT_DEBUG", raising=False)
    assert main(["models"]) == 2
    (line,) = error_lines(capsys.readouterr().err)
    assert "ZeroDivisionError: two lines. Please report it" in line
    monkeypatch.setenv("AFFEKT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["models"])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "more memory, threads or open files. Got: MemoryError. Close other"),
        (ImportError("x.so: failed to map segment"), "more memory, threads or open files. Got: Im"),
        (RuntimeError("can't start new thread"), "more memory, threads or open files. Got: Run"),
        (RuntimeError("could not determine the home directory"), "home folder. Got: RuntimeError"),
    ],
)
def test_what_the_machine_lacks_is_no_fault_of_affekt(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def broken(**_: object) -> int:
        raise error

    monkeypatch.setattr("affekt.cli.app", broken)
    assert main(["models"]) == 2
    (line,) = error_lines(capsys.readouterr().err)
    assert f"the program needs {message}" in line.replace("the user's ", "")


@pytest.mark.skipif(sys.platform == "win32", reason="keeps a folder that is used")
def test_a_current_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    code = "import os, sys; os.rmdir('.'); from affekt.cli import main; main(['predict', 'x.wav'])"
    words = [sys.executable, "-c", code.replace("'.'", "os.getcwd()")]
    (tmp_path / "gone").mkdir()
    done = subprocess.run(words, cwd=tmp_path / "gone", capture_output=True, text=True)
    assert done.returncode == 1
    assert "the program needs a current folder that exists" in error_lines(done.stderr)[0]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory differ")
def test_too_little_memory_is_said(model: str, folder: Path) -> None:
    words = shlex.join([*COMMAND, "predict", str(next(folder.glob("*.wav"))), "--model", model])
    for kilobytes in (120_000, 400_000):  # the packages do not load; all is well
        limited = f"ulimit -v {kilobytes}; {words}"
        done = subprocess.run(limited, shell=True, capture_output=True, text=True)
        assert (done.returncode, "more memory" in done.stderr) in ((2, True), (0, False))
        assert "fault of affekt" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGHUP")
def test_nohup_lets_a_command_outlive_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with sigterm_as_ctrl_c():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_ends_the_command_at_once(model: str, endless: Path, tmp_path: Path) -> None:
    first = tmp_path / "a.wav"
    soundfile.write(first, np.zeros(16_000), 16_000)
    words = [*COMMAND, "predict", str(first), *[str(endless)] * 20, "--json", "--model", model]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=hears_ctrl_c
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["file"] == str(first)
    process.send_signal(signal.SIGINT)
    _, complained = process.communicate(timeout=60)  # the recordings need many times that
    assert process.returncode == 130
    assert complained == b""


@pytest.mark.parametrize("option", ["--model", "--profile", "--plot", "PATH"])
def test_no_used_file_is_overwritten(option: str, tmp_path: Path, capsys: Captured) -> None:
    used = tmp_path / "used.svg"
    used.write_text("before")
    about = ["--timeline", "--json"] if option == "--plot" else []
    named = [option, str(used)] if option != "PATH" else [str(used)]
    words = ["predict", str(SAMPLES / "calm.flac"), *about, *named, "-o"]
    for output in (str(used), str(tmp_path / "." / "used.svg")):
        assert main([*words, output]) == 2
        assert "must not be a file that the command uses" in capsys.readouterr().err
    assert used.read_text() == "before"
    assert main(["predict", str(SAMPLES), "-o", "-"]) == 2
    words = ["predict", str(SAMPLES), "--timeline", "--format", "eaf", "-o", "s3://bucket/out/"]
    assert main(words) == 2
    assert "a folder of this machine. Got s3://bucket/out/" in capsys.readouterr().err


def test_a_too_long_name_does_not_stop_the_others(model: str, tmp_path: Path) -> None:
    output = tmp_path / "found.jsonl"
    words = ["predict", f"{300 * 'a'}.wav", str(SAMPLES / "calm.flac"), "--model", model]
    assert main([*words, "--json", "-o", str(output)]) == 1
    bad, good = map(json.loads, output.read_text().splitlines())
    assert "error" in bad
    assert "label" in good


def test_linked_folders_are_searched_once(folder: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    start.mkdir()
    (start / "linked").symlink_to(folder)
    (start / "around").symlink_to(start)
    found = [*files.find_files([str(start)])]
    assert found == [
        str(start / "linked" / Path(each).relative_to(folder))
        for each in files.find_files([str(folder)])
    ]


def test_progress_bar_on_standard_error(model: str, folder: Path) -> None:
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    words = [*COMMAND, "predict", str(folder), str(folder / "missing.wav"), "--json"]
    done = subprocess.run([*words, "--model", model], stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 65_536):
            shown += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(leader)
    assert done.returncode == 1
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 21
    assert b"21/21" in shown
    plain = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]|\s", b"", shown)  # without colours and line breaks
    assert b"missing.wavdoesnotexist" in plain


def stray(work: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that it prints, as Ray does."""

    def printing(*arguments: Any, **named: Any) -> Any:
        print("(raylet) a line of a log")
        return work(*arguments, **named)

    return printing


@pytest.mark.parametrize("words", [["--json"], ["--csv"], [], ["--timeline", "--json"]])
@pytest.mark.parametrize("into_file", [True, False])
def test_results_hold_nothing_but_results(
    model: str,
    folder: Path,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    into_file: bool,
) -> None:
    command = ["predict", str(folder / "00.wav"), *words, "--model", model]
    assert main(command) == 0
    expected = capsys.readouterr().out
    monkeypatch.setattr(affekt.Predictor, "predict", stray(affekt.Predictor.predict))
    monkeypatch.setattr(affekt.Predictor, "timeline", stray(affekt.Predictor.timeline))
    output = tmp_path / "results"
    assert main([*command, "-o", str(output)] if into_file else command) == 0
    printed = capsys.readouterr()
    assert (output.read_text() if into_file else printed.out) == expected
    assert printed.err == "(raylet) a line of a log\n"
    if into_file:
        assert printed.out == ""


def test_a_forgotten_command_is_suggested(folder: Path, capsys: Captured) -> None:
    for words in (["rec.m4a"], [str(folder)], ["s3://bucket/a.wav"], ["--json", "my voice.wav"]):
        assert main(words) == 2
        (line,) = error_lines(capsys.readouterr().err)
        assert line.endswith(f"Did you mean: affekt predict {shlex.join(words)}")
    assert main(["predikt", "x.wav"]) == 2
    assert "affekt predict predikt" not in capsys.readouterr().err


@pytest.mark.parametrize("command", [*EXAMPLES])
def test_a_mistake_points_to_the_help_of_its_command(
    command: Callable[..., Any], capsys: Captured
) -> None:
    assert main([command.__name__, "--no-such-option"]) == 2
    (line,) = error_lines(capsys.readouterr().err)
    assert line.endswith(f" See affekt {command.__name__} --help.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json", "--csv"], "--json cannot be combined with --csv."),
        (["--timeline", "--jobs", "2"], "--jobs cannot be combined with --timeline."),
        (["--timeline", "--engine", "ray"], "--engine cannot be combined with --timeline."),
        (["-", "--engine", "ray"], "--engine cannot be combined with - (standard input)."),
        (["--plot", "a.png"], "--plot needs --timeline."),
        (["--address", "head:1"], "--address needs --engine ray."),
        (["--jobs", "many"], "Invalid value for '--jobs': not a whole number."),
        (["--min-confidence", "many"], "Invalid value for '--min-confidence': not a number."),
        (["--address"], "Option '--address' requires an argument."),
        (["--resume"], "--resume needs --output, and --json or --csv."),
    ],
)
def test_options_that_exclude_each_other(words: list[str], message: str, capsys: Captured) -> None:
    assert main(["predict", "x.wav", *words]) == 2
    (line,) = error_lines(capsys.readouterr().err)
    line = line.replace("'many' is ", "")  # typer before 0.29 repeats the value
    assert line == f"affekt: {message} See affekt predict --help."


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", ["", *(each.__name__ for each in EXAMPLES)])
def test_help_fits_the_terminal(
    command: str, columns: int, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", f"{columns}")
    assert main([*filter(None, [command]), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= columns for line in lines)
    text = [line.strip() for line in lines if line.startswith(" ") and line.strip()]
    about = text[1 : next(i for i, line in enumerate(text) if line.startswith("Example:"))]
    for line, following in itertools.pairwise(about):  # no line breaks before it must
        if not line.endswith((".", ":")):
            assert len(line) + 1 + len(following.split()[0]) > columns - 4, line
    assert any(line.startswith("Example: affekt ") or "| affekt " in line for line in text)


@pytest.mark.parametrize("command", ["predict", "stream", "enroll", "models"])
def test_the_example_of_the_help_works(command: str, tmp_path: Path) -> None:
    (tmp_path / "samples").symlink_to(SAMPLES)
    (example,) = (each for name, each in EXAMPLES.items() if name.__name__ == command)
    program = f'affekt() {{ {shlex.join(COMMAND)} "$@"; }}; {example}'
    done = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("copies", "hinted"), [(9, False), (10, True)])
def test_one_label_for_all_recordings_suggests_enrolment(
    copies: int, hinted: bool, tmp_path: Path, capsys: Captured
) -> None:
    for number in range(copies):
        shutil.copy(SAMPLES / "loud.flac", tmp_path / f"{number}.flac")
    profile = str(tmp_path / "a.profile")
    assert main(["enroll", profile, str(SAMPLES)]) == 0
    capsys.readouterr()
    assert main(["predict", str(tmp_path), "--csv"]) == 0
    hint = f"affekt: {copies} of {copies} recordings are labelled angry. If they are of one person"
    assert capsys.readouterr().err.startswith(hint) == hinted
    assert main(["predict", str(tmp_path), "--csv", "--profile", profile]) == 0
    assert "one person" not in capsys.readouterr().err
