"""Test the prediction of a recording: probabilities, times, memory and imports."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import affekt
from affekt.audio.windows import sliding_windows, window_count
from affekt.cli import main
from affekt.errors import AudioError, ModelError
from affekt.inference import shipped_models
from affekt.inference.stream import BATCH
from affekt.inference.summary import LONG
from running_service import needs_proc
from small_model import HOP, WINDOW, small_model, wandering_noise

RATE = 16_000


@pytest.fixture(scope="module")
def predictor(model: str) -> affekt.Predictor:
    return affekt.load(model, limits=None)  # the sounds are noise


def by_hand(predictor: affekt.Predictor, samples: np.ndarray) -> np.ndarray:
    """What the graph says of all windows in one run."""
    windows = np.ascontiguousarray(sliding_windows(samples))
    return predictor.graph.run(windows, predictor.graph.start)[0]["probabilities"]


@pytest.mark.parametrize(
    "samples",
    [1, WINDOW - 1, WINDOW, WINDOW + HOP - 1, WINDOW + HOP, WINDOW + BATCH * HOP, 1_200_000],
)
def test_every_window_is_answered(predictor: affekt.Predictor, samples: int) -> None:
    sound = wandering_noise(samples)
    prediction = predictor.predict(sound, sample_rate=RATE)
    segments = prediction.segments
    assert len(segments) == window_count(samples)
    expected = by_hand(predictor, sound)
    found = [list(segment.probabilities.values()) for segment in segments]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    starts = np.arange(len(segments)) * HOP / RATE
    times = np.stack([starts, np.minimum(starts + WINDOW / RATE, samples / RATE)], axis=1)
    np.testing.assert_allclose([(s.start, s.end) for s in segments], times, atol=1e-9)
    assert prediction.duration == pytest.approx(samples / RATE)
    if prediction.duration <= LONG:
        assert prediction.label == segments[-1].label
        assert prediction.probabilities == segments[-1].probabilities
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert all(s.label == max(s.probabilities, key=s.probabilities.__getitem__) for s in segments)


@settings(max_examples=30)
@given(samples=st.integers(1, 60_000), seed=st.integers(0, 99))
def test_the_answer_depends_on_all_windows(
    predictor: affekt.Predictor, samples: int, seed: int
) -> None:
    sound = wandering_noise(samples, seed)
    prediction = predictor.predict(sound, sample_rate=RATE)
    np.testing.assert_allclose(
        list(prediction.probabilities.values()), by_hand(predictor, sound)[-1], atol=1e-5
    )


def test_path_bytes_file_and_array_agree(predictor: affekt.Predictor, tmp_path: Path) -> None:
    sound = wandering_noise(50_000)
    path = tmp_path / "sound.wav"
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    expected = predictor.predict(sound, sample_rate=RATE)
    with path.open("rb") as file:
        others = [
            predictor.predict(source) for source in (path, str(path), path.read_bytes(), file)
        ]
    assert all(p.segments == expected.segments for p in others)
    assert [p.file for p in others] == [str(path), str(path), "", ""]


def test_a_channel_and_a_part_can_be_asked_for(predictor: affekt.Predictor, tmp_path: Path) -> None:
    left, right = wandering_noise(80_000, 1), wandering_noise(80_000, 2)
    path = tmp_path / "two.wav"
    soundfile.write(path, np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    part = predictor.predict(path, channel=1, start=1.5, end=4.0)
    alone = predictor.predict(right[24_000:64_000], sample_rate=RATE)
    assert part.duration == 2.5
    assert part.probabilities == alone.probabilities
    assert [s.start for s in part.segments] == [s.start + 1.5 for s in alone.segments]
    assert [s.end for s in part.segments] == [s.end + 1.5 for s in alone.segments]


def test_a_predictor_may_use_one_channel_of_all_recordings(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left, right = wandering_noise(80_000, 1), wandering_noise(80_000, 2)
    path = tmp_path / "two.wav"
    soundfile.write(path, np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    alone = affekt.load(model, limits=None).predict(right, sample_rate=RATE)
    assert (
        affekt.load(model, channel=1, limits=None).predict(path).probabilities
        == alone.probabilities
    )
    assert main(["predict", f"{path}", "--json", "--channel", "1", "--model", f"{model}"]) == 0
    assert json.loads(capsys.readouterr().out)["probabilities"] == alone.probabilities
    assert main(["predict", f"{path}", "--channel", "2", "--model", f"{model}"]) == 1
    assert "channel of" in capsys.readouterr().err


def test_an_empty_name_is_no_model() -> None:
    with pytest.raises(ModelError, match="Model '' must be a file or one of"):
        affekt.load("")


def test_a_shipped_model_that_broke_on_its_way_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bit of a weight: it loads, it answers, and it answers wrongly."""
    for file in shipped_models.MODELS.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(shipped_models, "MODELS", tmp_path)
    assert affekt.load().predict(wandering_noise(20_000, 0), sample_rate=RATE)
    content = bytearray((tmp_path / "affekt.onnx").read_bytes())
    content[len(content) // 2] ^= 64
    (tmp_path / "affekt.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="must be the file that affekt ships"):
        affekt.load()


def test_no_sound_is_no_prediction(predictor: affekt.Predictor) -> None:
    for nothing in (np.empty(0, np.float32), np.full(20_000, np.nan, np.float32)):
        with pytest.raises(AudioError):
            predictor.predict(nothing, sample_rate=RATE)


MEMORY = """
import sys
import affekt
predictor = affekt.load(sys.argv[1])
def peak():  # of this program: that of getrusage includes the one that started it
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
predictor.predict(sys.argv[2])
before = peak()
windows = len(predictor.predict(sys.argv[3]).segments)
print(windows, before, peak())
"""


@needs_proc
def test_twenty_minutes_need_the_memory_of_one(tmp_path: Path) -> None:
    model = small_model(tmp_path / "small.onnx")
    for name, seconds in (("short.wav", 60), ("long.wav", 1_200)):
        with soundfile.SoundFile(tmp_path / name, "w", RATE, 1, subtype="PCM_U8") as file:
            for _ in range(seconds // 60):
                file.write(wandering_noise(60 * RATE))
    names = [str(model), str(tmp_path / "short.wav"), str(tmp_path / "long.wav")]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *names], capture_output=True, text=True, check=True
    )
    windows, before, after = map(int, done.stdout.split())
    assert windows == window_count(1_200 * RATE)
    assert after < 1.1 * before


def test_public_names() -> None:
    assert all(getattr(affekt, name) for name in affekt.__all__)
    assert {*affekt.__all__} <= {*dir(affekt)}
    with pytest.raises(AttributeError, match="lod"):
        getattr(affekt, "lod")  # noqa: B009
