"""Test ``affekt stream -``: its input, its output, and when the output comes."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import affekt
from affekt.audio.headers import is_recording
from affekt.audio.reading import read
from affekt.cli import main
from affekt.commands.output.stream_printing import _chart, _now, print_stream
from affekt.inference.live import Moment
from affekt.inference.prediction import Segment
from bad_inputs import BAD_BYTES, ffmpeg_bytes, wav_bytes
from conftest import SAMPLES, Captured, hears_ctrl_c
from small_model import LABELS

COMMAND = [sys.executable, "-m", "affekt", "stream", "-"]
SOUND = read(SAMPLES / "lively.flac")  # 3 s
PCM = (SOUND * 32_767).astype("<i2")
AHEAD = 1_024  # samples: FFmpeg hands out so many at once
Hear = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def hear(model: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> Hear:
    """Return a function that runs ``affekt stream - --json`` on bytes from a pipe."""

    def heard(content: bytes, *words: str, code: int = 0) -> list[dict[str, Any]]:
        out, into = os.pipe()
        writer = threading.Thread(target=write, args=(into, content))
        writer.start()
        with os.fdopen(out) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            assert main(["stream", "-", "--json", "--model", model, *words]) == code
        writer.join()
        printed = capsys.readouterr()
        assert len(printed.err.splitlines()) == code
        return [json.loads(line) for line in printed.out.splitlines()]

    return heard


def write(into: int, content: bytes) -> None:
    with os.fdopen(into, "wb") as pipe, suppress(BrokenPipeError):
        pipe.write(content)


def assert_predicted(
    found: list[dict[str, Any]], model: str, sound: np.ndarray, rate: int = 16_000, **tolerance: Any
) -> None:
    expected = affekt.load(model).predict(sound, sample_rate=rate).segments
    assert [each["end"] for each in found] == [each.end for each in expected]
    for answer, truth in zip(found, expected, strict=True):
        others = [
            name for name in ("speech", "quality", "reason") if getattr(truth, name) is not None
        ]
        assert list(answer) == ["start", "end", "label", "probabilities", *others]
        assert answer["probabilities"] == pytest.approx(truth.probabilities, **tolerance)


@contextmanager
def running(*words: str, **pipes: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command with a pipe as its input, and end it at the end of the block."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | pipes
    process = subprocess.Popen(
        [*COMMAND, *words], stdin=subprocess.PIPE, bufsize=0, preexec_fn=hears_ctrl_c, **pipes
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()


# ------------------------------------------------------------------ input


def test_raw_samples_are_16_khz_mono_by_default(hear: Hear, model: str) -> None:
    assert_predicted(hear(PCM.tobytes()), model, PCM)


def stereo_of(kind: str) -> np.ndarray:
    return np.stack([PCM, PCM // 2], axis=1).astype(kind)


@pytest.mark.parametrize("encoding", ["s16le", "s16be", "s32le", "f32le", "f64be"])
def test_raw_samples_of_any_kind_rate_and_channels(hear: Hear, model: str, encoding: str) -> None:
    kind = (">" if encoding.endswith("be") else "<") + encoding[0].replace("s", "i")
    values = stereo_of(f"{kind}{int(encoding[1:3]) // 8}")
    values = values / 32_768 if "f" in kind else values * 2 ** (int(encoding[1:3]) - 16)
    content = values.astype(f"{kind}{int(encoding[1:3]) // 8}").tobytes()
    found = hear(content, "--encoding", encoding, "--rate", "22050", "--channels", "2")
    both = (stereo_of("<f4") / 32_768).mean(axis=1)
    assert_predicted(found, model, both, 22_050, abs=1e-4)


def test_one_of_two_channels(hear: Hear, model: str) -> None:
    content = stereo_of("<i2").tobytes()
    assert_predicted(hear(content, "--channels", "2", "--channel", "0"), model, PCM)


def test_each_channel_is_one_speaker(hear: Hear, model: str) -> None:
    found = hear(stereo_of("<i2").tobytes(), "--channels", "2", "--channel", "each")
    assert [each["end"] for each in found] == sorted(each["end"] for each in found)
    assert {each["channel"] for each in found} == {0, 1}
    for channel, sound in enumerate(stereo_of("<i2").T):
        mine = [each for each in found if each["channel"] == channel]
        mine = [{name: each[name] for name in each if name != "channel"} for each in mine]
        assert_predicted(mine, model, sound)


@pytest.mark.parametrize("promised", [None, 0, 2**32 - 1, 0x7FFF_F000 - 36])
def test_the_header_of_a_wav_overrides_the_options(
    hear: Hear, model: str, promised: int | None
) -> None:
    content = wav_bytes(PCM.tobytes(), rate=22_050, promised=promised)
    found = hear(content, "--rate", "8000", "--channels", "2")
    assert_predicted(found, model, PCM, 22_050, abs=1e-4)


def test_chunks_after_the_samples_of_a_wav_are_ignored(hear: Hear, model: str) -> None:
    noise = np.random.default_rng(0).bytes(60_000)
    content = wav_bytes(PCM.tobytes()) + b"LIST" + len(noise).to_bytes(4, "little") + noise
    assert_predicted(hear(content), model, PCM)


# Sync words of AC-3, E-AC-3, DTS, MPEG audio: without a frame's fields, or without a second frame.
LIKE_FRAMES = ("0b77", "0b770000f840", "0b7708fb0c40", "0b7700bf3287", "7ffe8001", "fffb90c4")


@pytest.mark.parametrize("first", LIKE_FRAMES)
def test_samples_that_begin_like_a_frame_are_samples(hear: Hear, model: str, first: str) -> None:
    start = np.frombuffer(bytes.fromhex(first), "<i2")
    sound = np.concatenate([start, PCM])
    assert_predicted(hear(sound.tobytes()), model, sound)


@pytest.mark.parametrize(
    ("form", "codec", "rate"),
    [("ac3", "ac3", rate) for rate in (32_000, 44_100, 48_000)]
    + [("eac3", "eac3", 44_100), ("adts", "aac", 44_100), ("mp2", "mp2", 48_000)],
)
def test_frames_without_a_container_are_decoded(form: str, codec: str, rate: int) -> None:
    head = ffmpeg_bytes(form, codec, rate=rate)[:4_096]
    assert is_recording(head)
    assert form != "ac3" or is_recording(head[:300])  # the input ends in the first frame


def test_min_confidence_gives_uncertain(hear: Hear) -> None:
    assert {each["label"] for each in hear(PCM.tobytes(), "--min-confidence", "1")} == {"uncertain"}


def test_a_file_as_standard_input(model: str, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(PCM.tobytes())
    for path, sound in ((tmp_path / "raw", PCM), (SAMPLES / "lively.flac", SOUND)):
        with path.open("rb") as file:
            done = subprocess.run(
                [*COMMAND, "--json", "--model", model], stdin=file, capture_output=True, check=True
            )
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert_predicted(found, model, sound, abs=1e-5)


def test_less_than_a_window_is_predicted_at_the_end(hear: Hear, model: str) -> None:
    (only,) = hear(PCM[:4_000].tobytes())
    assert (only["start"], only["end"]) == (0, 0.25)


# ------------------------------------------------------------------ latency


@pytest.mark.parametrize("head", [b"", wav_bytes(b"", promised=2**32 - 1)], ids=["raw", "wav"])
def test_every_window_is_predicted_at_once(model: str, head: bytes) -> None:
    with running("--json", "--model", model) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(head)
        start = 0
        for window in range(5):  # nothing more is written before each is answered
            end = 15_600 + window * 7_800 + AHEAD
            process.stdin.write(PCM[start:end].tobytes())
            start = end
            answer = json.loads(process.stdout.readline())
            assert answer["end"] == (15_600 + window * 7_800) / 16_000


def test_text_output_is_one_line_per_window(model: str) -> None:
    done = subprocess.run([*COMMAND, "--model", model], input=PCM.tobytes(), capture_output=True)
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0
    expected = affekt.load(model).predict(PCM, sample_rate=16_000).segments
    assert len(lines) == len(expected)
    for line, segment in zip(lines, expected, strict=True):
        assert line.split()[1] == segment.label
        for label, share in segment.probabilities.items():
            assert re.search(rf"{label} +{share:.0%}", line)
    assert lines[0].split()[0] == "0:01.0"


SHARES = {"angry": 0.7, "happy": 0.1, "sad": 0.1, "neutral": 0.1}
RECENT = {"angry": 0.2, "happy": 0.1, "sad": 0.6, "neutral": 0.1}


@pytest.mark.parametrize(
    ("reason", "min_confidence", "label"),
    [(None, 0.0, "sad"), (None, 0.65, "uncertain"), ("the sound is silent", 0.0, "uncertain")],
)
def test_the_last_seconds_are_shown_before_the_last_20(
    reason: str | None, min_confidence: float, label: str, capsys: Captured
) -> None:
    segment = Segment(0.0, 0.975, "angry", SHARES, RECENT, reason=reason)
    moment = Moment(1.0, (-20.0,), (segment,))
    print_stream([moment], LABELS, min_confidence=min_confidence)
    line = capsys.readouterr().out
    assert line.split()[1] == label
    assert "sad  60%" in line
    assert line.endswith("last 20 s: angry\n")
    now = _now(segment, min_confidence)
    console = Console(width=40, record=True, file=io.StringIO())
    console.print(_chart(1.0, -20.0, now, LABELS, 40))
    lines = console.export_text().splitlines()
    assert re.match(r"sad .* 60%", lines[3])
    assert lines[-1] == "last 20 s: angry"


# ------------------------------------------------------------------ terminal


def shown_by(leader: int) -> bytes:
    shown = b""
    with suppress(OSError):  # how Linux says that the other end is closed
        while chunk := os.read(leader, 65_536):
            shown += chunk
    os.close(leader)
    return shown


def screen(shown: bytes, columns: int) -> list[str]:
    """Emulate the few terminal sequences that rich uses; return the lines on the screen."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[a-zA-Z]|\r|\n|[^\x1b\r\n]+", shown.decode()):
        if part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b["):
            times = int(re.sub(r"\D", "", part) or 1)
            if part.endswith("A"):
                row -= times
            elif part.endswith("K"):
                lines[row] = ""
        else:
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    assert all(len(line) <= columns for line in lines)
    return lines


@pytest.mark.parametrize("columns", [30, 80])
@pytest.mark.parametrize("ending", ["end", signal.SIGINT])
def test_bars_are_redrawn_in_place(model: str, columns: int, ending: object) -> None:
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "24"}
    with running("--model", model, stdout=follower, stderr=follower, env=environment) as process:
        os.close(follower)
        assert process.stdin is not None
        shown = b""
        for at in range(0, PCM.size, 1_600):
            process.stdin.write(PCM[at : at + 1_600].tobytes())
            time.sleep(0.02)
        while b"0:02.9" not in shown:
            shown += os.read(leader, 65_536)
        if ending == "end":
            process.stdin.close()
            process.stdin = None
        else:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) == (0 if ending == "end" else 130)
        shown += shown_by(leader)
    lines = [line.rstrip() for line in screen(shown, columns) if line.strip()]
    assert shown.count(b"angry") > 3  # drawn again and again
    assert len(lines) == 1 + len(LABELS)  # in one place
    assert re.fullmatch(r"0:0[23]\.\d.* -?\d+ dB", lines[0])
    expected = affekt.load(model).predict(PCM, sample_rate=16_000).segments[-1]
    bars = {line.split()[0]: line for line in lines[1:]}
    assert tuple(bars) == LABELS
    for label, share in expected.probabilities.items():
        assert bars[label].endswith(f" {share:.0%}")
    longest = max(LABELS, key=lambda label: bars[label].count("█"))
    assert longest == expected.label
    assert b"\x1b[?25h" in shown  # the cursor is back


@pytest.mark.parametrize("change", [{"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_plain_terminal_gets_lines(model: str, change: dict[str, str]) -> None:
    leader, follower = pty.openpty()
    done = subprocess.run(
        [*COMMAND, "--model", model],
        input=PCM.tobytes(),
        stdout=follower,
        env={**os.environ, "TERM": "xterm", **change},
    )
    os.close(follower)
    lines = shown_by(leader).decode("ascii").splitlines()
    assert done.returncode == 0
    assert len(lines) == len(affekt.load(model).predict(PCM, sample_rate=16_000).segments)
    assert all(re.match(r" +0:0\d\.\d ", line) for line in lines)


# ------------------------------------------------------------------ end and errors


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_command_after_its_output(model: str, sign: signal.Signals) -> None:
    with running("--json", "--model", model) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(PCM.tobytes())
        answers = [process.stdout.readline() for _ in range(4)]
        process.send_signal(sign)
        assert process.wait(60) == 130
        answers += process.stdout.read().splitlines()
        assert process.stderr.read() == b""
    ends = [json.loads(line)["end"] for line in answers]
    assert ends[:4] == [(15_600 + window * 7_800) / 16_000 for window in range(4)]


def test_a_closed_pipe_ends_the_command_silently(model: str) -> None:
    with running("--json", "--model", model) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(PCM[:30_000].tobytes())
        assert process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        with suppress(BrokenPipeError):
            while process.poll() is None:
                process.stdin.write(PCM.tobytes())
        assert process.wait(60) == 1
        assert process.stderr.read() == b""


def test_an_incomplete_wav_is_predicted_then_reported(hear: Hear, model: str) -> None:
    found = hear(wav_bytes(PCM.tobytes(), promised=96_000 * 3), code=1)
    assert [each["end"] for each in found] == [0.975 + 0.4875 * number for number in range(5)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "standard input is empty (0 bytes)"),
        (b"no", "standard input is text, not a sound"),
        (BAD_BYTES["text"](), "standard input is text, not a sound"),
        (BAD_BYTES["web page"](), "is a web page"),
        (BAD_BYTES["git-lfs pointer"](), "git lfs pull"),
        (BAD_BYTES["zero rate"](), "Got 0."),
        (BAD_BYTES["header only"](), "has no audio samples"),
        (BAD_BYTES["truncated m4a"](), "Save it to a file first"),
        (9 * (b"\x7f\xfe\x80\x01\xfc\x3c\x3d\xf0" + bytes(984)), "Save it to a file first"),  # DTS
        (BAD_BYTES["not a number"](), "Got nan at 1.250 s"),
    ],
)
def test_bad_input_is_one_error_line(model: str, content: bytes, message: str) -> None:
    done = subprocess.run([*COMMAND, "--model", model], input=content, capture_output=True)
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("affekt: ")
    assert message in line
    assert done.returncode == 1


WRONG_USE = {
    "- --encoding mp3": "--encoding must be one of",
    "- --rate 0": "must be a whole number of Hz in [1000, 768000]. Got 0.",
    "- --rate 16000.5": "Invalid value for '--rate'",
    "- --channels 0": "must have 1 to 256 channels. Got 0.",
    "--channel each": "--channel each needs standard input (-).",
    "- --channel left": "--channel must be each, or a number from 0. Got left.",
    "- --channel each --profile a.profile": "--channel each cannot be combined with --profile.",
    "- --channels 300": "must have 1 to 256 channels. Got 300.",
    "- --device 0": "--device cannot be combined with standard input (-).",
    "- --profile missing.profile": "missing.profile cannot be read: No such file",
    "- --min-confidence 2": "min_confidence must be a probability in [0, 1]. Got 2.0.",
    "- --model yamnet-lstm --adapt": "yamnet-lstm has no speaker normalization; leave out --adapt",
    "- --model nonesuch": "Model 'nonesuch' must be a file or one of the shipped",
    "- --csv": "No such option: --csv",
    "- -": "unexpected extra argument",
    "--channels 2": "--channels needs raw samples from standard input (-).",
    "--encoding s16le": "--encoding needs raw samples from standard input (-).",
    "--rate 5": "of Hz in [1000, 768000]. Got 5.",
    "--rate many": "Invalid value for '--rate'",
    "microphone": "or left out for the microphone. Got microphone.",
    "samples/calm.flac": "For recordings, use affekt predict.",
}


@pytest.mark.parametrize(("words", "message"), WRONG_USE.items(), ids=WRONG_USE)
def test_wrong_use_is_one_line_and_exit_code_2(words: str, message: str, capsys: Captured) -> None:
    assert main(["stream", *words.split()]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("affekt: ")
    assert message in line


def test_a_terminal_as_standard_input_is_refused(model: str) -> None:
    leader, follower = pty.openpty()
    done = subprocess.run([*COMMAND, "--model", model], stdin=follower, capture_output=True)
    os.close(leader)
    os.close(follower)
    (line,) = done.stderr.decode().splitlines()
    assert "standard input must be a pipe or file. Got a terminal." in line
    assert done.returncode == 2


def test_help_shows_an_example(capsys: Captured) -> None:
    assert main(["stream", "--help"]) == 0
    assert "| affekt stream -" in capsys.readouterr().out
