"""Test ``affekt predict --resume`` after any interruption, and memory with many files."""

import csv
import errno
import io
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import affekt
from affekt import engines
from affekt.cli import main
from affekt.engines import Outcome
from conftest import Captured, hears_ctrl_c, wait_until

COMMAND = [sys.executable, "-m", "affekt", "predict"]


def make_folder(place: Path, files: int) -> Path:
    """Write recordings in two folders, one with a line break in its name, and two bad files."""
    (place / "deep").mkdir(parents=True)
    rng = np.random.default_rng(files)
    for number in range(files):
        name = place / ("deep" if number % 2 else ".") / f"{number:03}.wav"
        soundfile.write(name, rng.normal(size=8_000 + 500 * (number % 9)) * 0.1, 16_000)
    (place / 'of\n"two", lines.wav').write_bytes((place / "000.wav").read_bytes())
    (place / "cut.wav").write_bytes((place / "000.wav").read_bytes()[:400])
    (place / "deep" / "text.flac").write_text("no sound")
    return place


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("few") / "sounds", 9)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("many") / "sounds", 400)


def records(text: str, form: str) -> list[str]:
    """Split printed results, and sort them."""
    if form == "--json":
        return sorted(text.splitlines())
    return sorted(map(repr, csv.reader(io.StringIO(text, newline=""))))


def test_resume_takes_names_that_no_file_can_have(model: str, tmp_path: Path) -> None:
    sample, output = Path(__file__).parents[1] / "samples" / "lively.flac", tmp_path / "output"
    words = ["predict", str(sample), "--json", "--model", model, "-o", str(output)]
    assert main(words) == 0
    forged = output.read_text().replace(json.dumps(str(sample)), '"\\ud800.flac"')
    output.write_text(forged)
    assert main([*words, "--resume"]) == 0
    assert output.read_text().startswith(forged)
    assert len(output.read_text().splitlines()) == 2


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_resume_after_kills_at_random_times(
    model: str, many: Path, endless: Path, tmp_path: Path, form: str
) -> None:
    whole, output = tmp_path / "whole", tmp_path / "output"
    words = [str(many), form, "--model", model]
    assert main(["predict", *words, "-o", str(whole)]) == 1
    rng = random.Random(form)
    for size in sorted(rng.randrange(whole.stat().st_size) for _ in range(5)):
        with subprocess.Popen(
            [*COMMAND, *words, str(endless), "-o", str(output), "--resume"],
            stderr=subprocess.DEVNULL,
        ) as process:
            wait_until(lambda size=size: output.exists() and output.stat().st_size >= size)  # type: ignore[misc]
            process.kill()
        assert process.returncode == -signal.SIGKILL
    assert main(["predict", *words, "-o", str(output), "--resume"]) == 1
    expected = records(whole.read_text(), form)
    assert len(expected) == 403 + (form == "--csv")
    assert records(output.read_text(), form) == expected
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_resume_from_an_output_cut_off_anywhere(
    model: str, folder: Path, tmp_path: Path, form: str
) -> None:
    output = tmp_path / "output"
    words = ["predict", str(folder), form, "--model", model, "-o", str(output)]
    assert main(words) == 1
    whole = output.read_bytes()
    expected = records(whole.decode(), form)
    rng = random.Random(form)
    ends = {i + 1 for i, byte in enumerate(whole) if byte == ord("\n")}
    for size in {0, 1, 9, *ends, *(rng.randrange(len(whole)) for _ in range(25))}:
        output.write_bytes(whole[:size])
        assert main([*words, "--resume"]) == 1
        assert records(output.read_text(), form) == expected


def test_finished_files_are_not_predicted_again(
    model: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    output = tmp_path / "results.jsonl"
    monkeypatch.chdir(folder)
    assert main(["predict", "000.wav", "cut.wav", "--json", "--model", model, "-o", str(output)])
    heard: list[str] = []
    predict = affekt.Predictor.predict

    def listening(self: affekt.Predictor, source: str) -> affekt.Prediction:
        heard.append(source)
        return predict(self, source)

    monkeypatch.setattr(affekt.Predictor, "predict", listening)
    words = ["predict", str(folder / "000.wav"), "cut.wav", "002.wav", "--json"]
    assert main([*words, "--model", model, "-o", str(output), "--resume"]) == 1
    assert sorted(heard) == ["000.wav", "002.wav", "cut.wav"]  # the first one to check the model
    files = [json.loads(line)["file"] for line in output.read_text().splitlines()]
    assert files == ["000.wav", "cut.wav", "002.wav"]
    assert capsys.readouterr().err.count("cut.wav") == 2


def test_failed_files_are_tried_again(model: str, tmp_path: Path) -> None:
    folder, output = tmp_path / "sounds", tmp_path / "results.csv"
    folder.mkdir()
    (folder / "a.wav").write_text("not yet copied")
    words = ["predict", str(folder), "--csv", "--model", model, "-o", str(output), "--resume"]
    assert main(words) == 1
    soundfile.write(folder / "a.wav", np.zeros(9_000), 16_000)
    assert main(words) == 0
    (row,) = csv.DictReader(output.read_text().splitlines())
    assert (row["file"], row["error"]) == (str(folder / "a.wav"), "")
    before = output.read_bytes()
    assert main(words) == 0
    assert output.read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="has no such names")
def test_names_with_carriage_returns_stay_in_their_row(model: str, tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("a\rb.wav", "c.wav")]
    for name in names:
        soundfile.write(name, np.zeros(9_000), 16_000)
    output = tmp_path / "results.csv"
    words = ["predict", *names, "--csv", "--model", model, "-o", str(output)]
    assert main(words) == 0
    before = output.read_bytes()
    assert main([*words, "--resume"]) == 0
    assert output.read_bytes() == before
    with output.open(newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == names


FOREIGN = {
    "notes": b"buy milk\n",
    "notes without an end": b"buy milk",
    "other JSON": b'{"file": "a.wav", "label": "angry"}\n',
    "a timeline": b'{"file": "a.wav", "start": 0.0, "end": 1.0, "label": "angry", '
    b'"probabilities": {"angry": 1.0}, "speech": 1.0}\n',
    "a list": b"[]\n",
    "bytes": bytes(range(256)) * 9,
    "CSV": b"file,duration,label,p_a,p_b,error\n",
    "quotes": b'"' * 999,
    "a list for a table": b'{"file":"x","duration":1,"label":"sad","probabilities":[1]}\n',
}


@pytest.mark.skipif(sys.platform == "win32", reason="no such file")
def test_a_pipe_holds_nothing_to_resume(model: str, folder: Path) -> None:
    words = [*COMMAND, str(folder), "--csv", "--model", model, "--resume", "-o", "/dev/stdout"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.stdout.startswith("file,duration,label,")
    assert "fault" not in found.stderr


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_a_foreign_output_is_refused_and_unchanged(
    model: str, folder: Path, tmp_path: Path, form: str, content: bytes, capsys: Captured
) -> None:
    output = tmp_path / "mine"
    output.write_bytes(content)
    words = ["predict", str(folder), form, "--model", model, "-o", str(output), "--resume"]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "must hold results of affekt predict" in line
    assert line.endswith("Name another file with --output.")
    assert [*tmp_path.iterdir()] == [output]
    assert output.read_bytes() == content


def test_an_output_that_cannot_be_read_is_not_resumed(
    model: str, folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    words = ["predict", str(folder), "--json", "--model", model, "-o", str(tmp_path), "--resume"]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    reason = "cannot be written: Is a directory. Name a file in a folder that exists."
    assert line == f"affekt: {tmp_path} {reason}"


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_another_model_is_refused(
    model: str, folder: Path, tmp_path: Path, form: str, capsys: Captured
) -> None:
    output = tmp_path / "results"
    words = ["predict", str(folder), form, "-o", str(output), "--resume"]
    assert main([*words, "--model", model]) == 1
    before = output.read_bytes()
    capsys.readouterr()
    assert main([*words, "--model", "yamnet-lstm"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "must hold results of model yamnet-lstm with the same options. Got another" in line
    assert output.read_bytes() == before


def test_a_model_that_cannot_be_checked_is_reported(
    model: str, tmp_path: Path, capsys: Captured
) -> None:
    folder, output = tmp_path / "sounds", tmp_path / "results.jsonl"
    make_folder(folder, 4)
    words = ["predict", str(folder), "--json", "--model", model, "-o", str(output), "--resume"]
    assert main(words) == 1
    (folder / "000.wav").unlink()
    capsys.readouterr()
    assert main(words) == 1
    (line, *_) = capsys.readouterr().err.splitlines()
    assert "cannot check that" in line
    assert "000.wav does not exist" in line
    assert len(output.read_text().splitlines()) == 7


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_keeps_finished_results(
    model: str, many: Path, endless: Path, tmp_path: Path, sign: signal.Signals
) -> None:
    output = tmp_path / "results.jsonl"
    words = [str(many), "--json", "--model", model, "-o", str(output), "--resume", "--jobs", "1"]
    process = subprocess.Popen(
        [*COMMAND, *words, str(endless)], stderr=subprocess.PIPE, preexec_fn=hears_ctrl_c
    )
    wait_until(lambda: output.exists() and output.stat().st_size)
    process.send_signal(sign)
    _, complained = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in complained
    text = output.read_text()
    assert text.endswith("\n")
    assert 0 < len([json.loads(line) for line in text.splitlines()]) <= 403
    assert main(["predict", *words]) == 1
    names = [json.loads(line)["file"] for line in output.read_text().splitlines()]
    assert len(names) == len(set(names)) == 403


@pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")
@pytest.mark.parametrize("options", [[], ["--resume"]])
def test_two_commands_never_write_one_output(
    model: str, many: Path, tmp_path: Path, capsys: Captured, options: list[str]
) -> None:
    output = tmp_path / "results.jsonl"
    words = [str(many), "--json", "--model", model, "-o", str(output), "--jobs", "1"]
    with subprocess.Popen([*COMMAND, *words, "--resume"], stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: output.exists() and output.stat().st_size)
        assert main(["predict", *words, *options]) == 2
        assert process.wait(120) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "must not be written by two commands at a time" in line
    assert len(output.read_text().splitlines()) == 403


def test_a_disk_without_locks_takes_results(
    model: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    output = tmp_path / "results.csv"
    file = f"{next(folder.glob('*.wav'))}"
    assert main(["predict", file, "--csv", "--model", model, "-o", str(output)]) == 0
    assert len(output.read_text().splitlines()) == 2


def test_a_full_disk_is_one_error_line(model: str, folder: Path, capsys: Captured) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no device that is always full")
    assert main(["predict", str(folder), "--json", "--model", model, "-o", "/dev/full"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "/dev/full cannot be written any further: No space left on device" in line


def test_memory_does_not_grow_with_the_files(model: str, tmp_path: Path) -> None:
    sound, output = tmp_path / "one.wav", tmp_path / "results.jsonl"
    soundfile.write(sound, np.zeros(4_000), 16_000)

    def peak(files: int, *more: str) -> int:
        place = tmp_path / f"{files}"
        place.mkdir(exist_ok=True)
        for number in range(files):
            if not (place / f"{number}.wav").exists():
                (place / f"{number}.wav").hardlink_to(sound)
        words = ["predict", str(place), "--json", "--model", model, "-o", str(output), *more]
        return int(import_module("speed").peak([sys.executable, "-m", "affekt", *words]))

    few = peak(300)
    (line, *_) = output.read_text().splitlines(keepends=True)
    assert peak(5_000) < 1.06 * few
    assert len(output.read_text().splitlines()) == 5_000
    with output.open("a") as file:
        file.writelines(line.replace(".wav", f"-{number}.wav") for number in range(40_000))
    assert peak(5_000, "--resume") < 1.12 * few  # names of 45,000 files
    assert len(output.read_text().splitlines()) == 45_000


def test_log_lines_of_a_cluster_are_not_in_the_results(
    model: str, folder: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noisy(function: Any, batches: Iterable[Any], *, jobs: int | None) -> Iterator[Outcome[Any]]:
        for batch in batches:
            print("(raylet) a line of a log")
            made = function(batch)
            print("(worker) another one")
            yield Outcome(batch, "", made)

    words = ["predict", str(folder), "--json", "--model", model]
    assert main([*words, "-o", str(tmp_path / "local")]) == 1
    capsys.readouterr()
    monkeypatch.setattr(engines, "engine_named", lambda *_: noisy)
    assert main([*words, "--engine", "ray", "-o", str(tmp_path / "ray")]) == 1
    assert (tmp_path / "ray").read_text() == (tmp_path / "local").read_text()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "(raylet) a line of a log\n" in printed.err
    assert main([*words, "--engine", "ray"]) == 1
    assert capsys.readouterr().out == (tmp_path / "local").read_text()


WRONG_USE = {
    "--json --resume": "--resume needs --output, and --json or --csv.",
    "-o x.txt --resume": "--resume needs --output, and --json or --csv.",
    "-o x.jsonl --json --timeline --resume": "--resume cannot be combined with --timeline.",
    "- -o x.jsonl --json --resume": "--resume cannot be combined with - (standard input).",
    "--engine slurm": "--engine must be local or ray. Got slurm.",
}


@pytest.mark.parametrize(("words", "message"), WRONG_USE.items(), ids=WRONG_USE)
def test_wrong_use_is_one_line_and_exit_code_2(words: str, message: str, capsys: Captured) -> None:
    assert main(["predict", "a.wav", *words.split()]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert message in line
