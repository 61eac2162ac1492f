"""Test the microphone: errors without one, its blocks, and a simulated one.

The last is real PortAudio on ALSA, whose default device reads samples from a named pipe; it is
skipped where there is no PortAudio.
"""

import ctypes.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import affekt
from affekt.audio import microphone as room
from affekt.audio.microphone import Handover, microphone
from affekt.audio.reading import read
from affekt.errors import AudioError
from conftest import SAMPLES, hears_ctrl_c

NO_LIBRARY = SAMPLES / "calm.flac"
COMMAND = [sys.executable, "-m", "affekt", "stream"]
ALSA = Path(os.environ.get("ALSA_CONFIG_DIR", "/usr/share/alsa"), "alsa.conf")
needs_portaudio = pytest.mark.skipif(
    not (ctypes.util.find_library("portaudio") and ALSA.is_file()),
    reason="no PortAudio on ALSA: apt install libportaudio2",
)


def block(value: float, samples: int = 4) -> np.ndarray:
    return np.full((samples, 1), value, np.float32)


# ------------------------------------------------------------------- blocks


def test_blocks_come_out_as_they_went_in() -> None:
    handover = Handover("mic")
    memory = block(1)
    handover.put(memory, 4, None, None)
    memory[:] = 2  # PortAudio's, used again
    handover.put(memory, 4, None, None)
    blocks = handover.blocks()
    assert [next(blocks)[0, 0], next(blocks)[0, 0]] == [1, 2]


def test_blocks_cross_from_one_thread_to_another() -> None:
    handover = Handover("mic")

    def speak() -> None:
        for value in range(190):  # none is lost even if they are read late
            handover.put(block(value))
            time.sleep(0.0005)
        handover.end()

    speaker = threading.Thread(target=speak)
    speaker.start()
    heard = []
    with pytest.raises(AudioError, match="mic was disconnected"):
        heard.extend(handover.blocks())
    speaker.join()
    assert [each[0, 0] for each in heard] == [*range(190)]


def test_blocks_that_were_not_read_become_silence_of_the_same_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "CHUNK", 7)
    handover = Handover("mic")
    for _ in range(500):
        handover.put(block(1))
    blocks = handover.blocks()
    first = [next(blocks)]
    handover.put(block(2))  # there is room again
    heard = np.concatenate([*first, *(next(blocks) for _ in range(199 + 172 + 1))])
    assert heard.shape == (501 * 4, 1)
    values, counts = np.unique(heard, return_counts=True)
    assert dict(zip(values, counts, strict=True)) == {0: 300 * 4, 1: 200 * 4, 2: 4}
    assert heard[-4:].tolist() == block(2).tolist()


@pytest.mark.parametrize("full", [False, True])
def test_an_unplugged_microphone_is_reported(monkeypatch: pytest.MonkeyPatch, full: bool) -> None:
    monkeypatch.setattr(room, "_DISCONNECT_TIMEOUT", 0.05)
    handover = Handover("mic")
    for _ in range(200 if full else 1):
        handover.put(block(1))
    handover.end()
    heard = []
    with pytest.raises(AudioError, match=r"mic was disconnected. Connect it and start again."):
        heard.extend(handover.blocks())
    assert len(heard) == (200 if full else 1)


def test_a_microphone_without_blocks_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_DISCONNECT_TIMEOUT", 0.05)
    handover = Handover("mic")
    handover.put(block(1))
    blocks = handover.blocks()
    next(blocks)
    with pytest.raises(AudioError, match="mic was disconnected"):
        next(blocks)


# ------------------------------------------------------- nothing to listen to

WITHOUT = {
    "no package": (
        "sys.modules['sounddevice'] = None",
        2,
        "needs sounddevice. Install it with: pip install 'affekt[mic]'",
    ),
    "no library": (
        "import ctypes.util; ctypes.util.find_library = lambda name: None",
        1,
        "needs the library PortAudio (PortAudio library not found). Install it, on Debian and "
        "Ubuntu with: apt install libportaudio2. Or pipe sound in: ffmpeg ... | affekt stream -",
    ),
    "a broken library": (
        f"import ctypes.util; ctypes.util.find_library = lambda name: {str(NO_LIBRARY)!r}",
        1,
        "needs the library PortAudio (cannot load library",
    ),
}


@pytest.mark.parametrize("lack", WITHOUT)
def test_without_its_parts_it_is_one_line(lack: str) -> None:
    setting, code, message = WITHOUT[lack]
    program = f"import sys; {setting}\nfrom affekt.cli import main; sys.exit(main(['stream']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert line.startswith("affekt: ")
    assert message in line
    assert (done.returncode, done.stdout) == (code, "")


def test_in_python_it_is_an_error_to_catch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: None)
    with pytest.raises(AudioError, match="PortAudio"), microphone():
        pytest.fail("there is none")
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ModuleNotFoundError, match="sounddevice"), microphone():
        pytest.fail("there is none")


# -------------------------------------------------- a microphone of software


def with_alsa(config: str, folder: Path) -> dict[str, str]:
    """The environment in which ALSA reads this configuration."""
    path = folder / "alsa.conf"
    path.write_text(config)
    return {**os.environ, "ALSA_CONFIG_PATH": str(path), "JACK_NO_START_SERVER": "1"}


def with_microphone(hears: str, folder: Path) -> dict[str, str]:
    """The same, with a microphone that records the float32 samples of a file or pipe."""
    device = f'type file  slave.pcm "null"  file "{os.devnull}"  infile "{hears}"  format "raw"'
    return with_alsa(f"<{ALSA}>\npcm.!default {{ {device} }}\n", folder)


@needs_portaudio
def test_a_machine_without_a_microphone(tmp_path: Path) -> None:
    done = subprocess.run(
        COMMAND, env=with_alsa(f"<{ALSA}>\n", tmp_path), capture_output=True, text=True
    )
    (line,) = done.stderr.splitlines()
    assert "no microphone was found. Plug one in." in line
    assert (done.returncode, done.stdout) == (1, "")


@needs_portaudio
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "nonesuch"], "must be one of 0 (default). Got nonesuch."),
        (["--device", "7"], "must be one of 0 (default). Got 7."),
    ],
)
def test_a_device_that_is_not_there(words: list[str], message: str, tmp_path: Path) -> None:
    environment = with_microphone("/dev/zero", tmp_path)
    done = subprocess.run([*COMMAND, *words], env=environment, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert message in line
    assert (done.returncode, done.stdout) == (1, "")


@needs_portaudio
def test_what_is_spoken_is_answered(tmp_path: Path) -> None:
    pipe = tmp_path / "spoken"
    os.mkfifo(pipe)
    environment = with_microphone(str(pipe), tmp_path)
    sound = read(SAMPLES / "loud.flac")
    words = [*COMMAND, "--json", "--rate", "16000", "--device", "0"]
    *expected, _ = affekt.load().predict(sound, sample_rate=16_000).segments  # no end, no padding
    process = subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, preexec_fn=hears_ctrl_c
    )
    assert process.stdout is not None
    # open at both ends, since PortAudio opens and closes it once more to see what it is
    with os.fdopen(os.open(pipe, os.O_RDWR), "wb", buffering=0) as voice:
        for at in range(0, sound.size, 1_600):
            voice.write(sound[at : at + 1_600].tobytes())
            time.sleep(0.02)
        found = [json.loads(process.stdout.readline()) for _ in expected]
        process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    process.stdout.close()
    assert [each["end"] for each in found] == [each.end for each in expected]
    for answer, truth in zip(found, expected, strict=True):
        assert answer["probabilities"] == pytest.approx(truth.probabilities, abs=1e-4)
