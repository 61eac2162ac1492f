"""Test the quality of recordings: what is measured, what is refused, and why."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from starlette.testclient import TestClient

import affekt
from affekt.cli import main
from affekt.inference.speech.quality import LIMITS, Quality, QualityLimits, QualityMeter
from affekt.service.app import make_app
from conftest import SAMPLES

RATE = 16_000
Sound = NDArray[np.float32]


def noise(seconds: float, level: float = 0.1, seed: int = 0) -> Sound:
    generator = np.random.default_rng(seed)
    return generator.normal(0, level, round(seconds * RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def speech() -> Sound:
    return affekt.read(SAMPLES / "slow.flac")


def music(seconds: float = 4.0) -> Sound:
    """A melody of decaying harmonic tones, no voice."""
    t = np.arange(round(0.25 * RATE)) / RATE
    tones = [
        sum(np.sin(2 * np.pi * f * k * t) / k for k in range(1, 8)) * np.exp(-6 * t)
        for f in (262, 330, 392, 523, 392, 330) * round(seconds / 1.5 + 1)
    ]
    return (0.1 * np.concatenate(tones)[: round(seconds * RATE)]).astype(np.float32)


def faults(speech: Sound) -> dict[str, tuple[Sound, str]]:
    """Sounds that must be refused, and a part of the reason."""
    clipped = np.clip(speech / np.abs(speech).max(), -0.02, 0.02)
    return {
        "digital silence": (np.zeros(3 * RATE, np.float32), "the sound is silent"),
        "noise": (noise(3.0), "0.0 s of speech; at least"),
        "a tone": (0.3 * np.sin(np.arange(48_000) / 6).astype(np.float32), "0.0 s of speech"),
        "music": (music(), "s of speech; at least"),
        "a short sound": (speech[16_000:19_200], "s of speech; at least"),
        "clipping": (clipped, "of the samples are clipped"),
    }


def measured(sound: Sound, chunk: int = 16_000) -> Any:
    meter = QualityMeter(10.0)
    for start in range(0, sound.size, chunk):
        meter.push(sound[start : start + chunk])
    meter.push(np.empty(0, np.float32), end=True)
    return meter.whole


@pytest.mark.parametrize("name", faults(np.ones(20_000, np.float32)))
def test_each_fault_is_refused_by_library_command_and_service(
    name: str, speech: Sound, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import soundfile

    sound, reason = faults(speech)[name]
    file = tmp_path / "fault.wav"
    soundfile.write(file, sound, RATE, subtype="FLOAT")
    found = affekt.load().predict(file)
    assert found.label == "uncertain"
    assert reason in str(found.reason)

    assert main(["predict", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "uncertain" in printed
    assert str(found.reason) in printed
    assert main(["predict", str(file), "--json", "--no-quality"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["label"] != "uncertain"
    assert not {"quality", "reason"} & answer.keys()

    with TestClient(make_app(affekt.load(), hosts=["testserver"])) as client:
        answer = client.post("/predict", content=file.read_bytes()).json()
        assert (answer["label"], answer["reason"]) == ("uncertain", found.reason)
        answer = client.post("/predict?quality=0", content=file.read_bytes()).json()
        assert "reason" not in answer
        with client.websocket_connect("/stream") as socket:
            socket.send_bytes(sound.tobytes())
            socket.send_text("end")
            assert reason in socket.receive_json()["reason"]


def test_speech_is_answered_and_measured(speech: Sound) -> None:
    found = affekt.load().predict(speech, sample_rate=RATE)
    assert found.reason is None
    assert found.label != "uncertain"
    quality = found.quality
    assert quality is not None
    assert quality.seconds == pytest.approx(speech.size / RATE, abs=0.001)
    assert 1.0 < quality.speech_seconds < quality.seconds
    assert quality.clipping < 0.01
    assert next(affekt.load().timeline(speech, sample_rate=RATE)).quality is not None


def test_level_follows_the_gain(speech: Sound) -> None:
    loud, soft = measured(speech), measured(0.1 * speech)
    assert loud.level - soft.level == pytest.approx(
        20.0, abs=2.0
    )  # soft chunks count as speech less often


@pytest.mark.parametrize("offset", [0.003, -0.03])
def test_a_constant_offset_is_no_clipping(speech: Sound, offset: float) -> None:
    assert measured(speech + np.float32(offset)).clipping < 0.05


def test_pink_noise_as_loud_as_speech_is_refused(speech: Sound) -> None:
    """Most of its power lies below the voice; the limit was chosen with it."""
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.normal(size=3 * speech.size))
    pink = np.fft.irfft(spectrum / np.sqrt(np.arange(1, spectrum.size + 1)), 3 * speech.size)
    level = 10 ** (measured(speech).level / 20)
    padded = np.pad(speech, speech.size)
    reasons = {}
    for snr in (0, 6):
        noisy = padded + 10 ** (-snr / 20) * level * pink / np.sqrt(np.mean(pink**2))
        reasons[snr] = LIMITS.reason(measured(noisy.astype(np.float32)))
    assert "above the noise" in (reasons[0] or "")
    assert reasons[6] is None


def test_snr_falls_with_noise(speech: Sound) -> None:
    padded = np.pad(speech, RATE)
    found = [measured(padded + noise(padded.size / RATE, level)).snr for level in (1e-3, 0.01)]
    assert found[0] - found[1] == pytest.approx(20.0, abs=10.0)
    assert 0 < found[1] < found[0]


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("gain", [1.0, 0.2])
def test_clipping_is_the_share_of_samples_at_the_peak(
    speech: Sound, share: float, gain: float
) -> None:
    """Whatever happens to the level afterwards."""
    peak = np.quantile(np.abs(speech), 1 - share)
    found = measured(gain * np.clip(speech, -peak, peak))
    assert found.clipping == pytest.approx(share, rel=0.6)


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
@pytest.mark.parametrize("share", [0.05, 0.4])
def test_clipping_is_measured_after_resampling(speech: Sound, share: float, rate: int) -> None:
    """The filter raises some of the clipped samples above the others."""
    recorded = soxr.resample(speech, RATE, rate)
    peak = np.quantile(np.abs(recorded), 1 - share)
    clipped = np.clip(recorded / peak, -1, 1)
    found = affekt.load("affekt-small").predict(clipped, sample_rate=rate)
    assert found.quality
    assert found.quality.clipping == pytest.approx(share, rel=0.3)
    assert (found.label == "uncertain") == (share > LIMITS.clipping)


def test_soft_noise_of_one_bit_is_no_clipping(speech: Sound) -> None:
    quiet = np.resize(np.float32([1, -1]) / 32_768, 40 * RATE)
    assert measured(np.concatenate([quiet, speech])).clipping < 0.01


@pytest.mark.corpus
def test_bandwidth_tells_a_telephone_from_a_studio(data: Path) -> None:
    studio = affekt.read(next((data / "ravdess" / "Actor_05").glob("03-01-05-*.flac")))
    telephone = soxr.resample(soxr.resample(studio, RATE, 8_000), 8_000, RATE)
    assert measured(studio).bandwidth > 7_000
    assert 3_500 < measured(telephone).bandwidth < 4_300


@given(chunk=st.integers(1, 5_000))
@settings(max_examples=10)
def test_chunk_sizes_change_nothing(chunk: int) -> None:
    sound = affekt.read(SAMPLES / "lively.flac")[:24_000]
    assert measured(sound, chunk) == measured(sound)


def test_a_restored_stream_measures_on(speech: Sound) -> None:
    predictor = affekt.load()
    whole = predictor.stream()
    expected = [segment.quality for segment in whole.push(speech)]
    stream = predictor.stream()
    found = stream.push(speech[:30_001])
    found += predictor.restore(stream.save()).push(speech[30_001:])
    assert [segment.quality for segment in found] == expected


def test_clipping_below_an_earlier_peak_is_measured() -> None:
    meter = QualityMeter(10.0)
    for sound in [noise(1.0, 0.3), *np.split(np.clip(noise(120.0, 0.3), -0.1, 0.1), 120)]:
        meter.push(sound)
    assert meter.recent.clipping > 0.5
    assert meter.whole.clipping < 0.01


def test_segments_become_uncertain_after_speech_ends(speech: Sound) -> None:
    stream = affekt.load().stream()
    assert stream.push(speech)[-1].reason is None
    assert "s of speech" in str(stream.push(noise(60.0, 1e-4))[-1].reason)


def test_the_page_on_quality_has_the_limits() -> None:
    page = (SAMPLES.parent / "docs" / "quality.md").read_text(encoding="utf-8")
    for name, words in (
        ("speech_seconds", "at least {:g} s"),
        ("level", "at least {:g} dBFS"),
        ("clipping", "at most {:g}"),
        ("snr", "at least {:g} dB"),
    ):
        assert f"| `{name}` | {words.format(getattr(LIMITS, name))} |" in page


def test_limits_can_be_chosen(speech: Sound) -> None:
    strict = affekt.load(limits=QualityLimits(speech_seconds=60.0))
    assert "at least 60 s is needed" in str(strict.predict(speech, sample_rate=RATE).reason)


def test_reasons_with_fractional_limits_do_not_contradict_themselves() -> None:
    limits = QualityLimits(level=-60.4, clipping=0.309, snr=4.5)
    good = Quality(9.0, 9.0, -30.0, 0.0, 30.0, 8_000.0)
    assert limits.reason(good) is None
    reasons = [
        limits.reason(replace(good, **fault))
        for fault in ({"level": -60.5}, {"clipping": 0.3095}, {"snr": 4.4})
    ]
    assert reasons == [
        "the sound is silent: below -60.4 dB of full scale",
        "31% of the samples are clipped; at most 30.9% may be",
        "speech is only 4 dB above the noise; 4.5 dB are needed",
    ]


@pytest.mark.corpus
def test_few_clips_of_the_corpora_are_refused(data: Path) -> None:
    files = [
        *sorted(data.glob("ravdess/Actor_0[1-4]/03-01-0[1345]-02-*.flac")),
        *sorted(data.glob("emovo/f1/*.flac"))[::4],
        *sorted(data.glob("nemo/samples/*.flac"))[::60],
    ]
    refused = [file.name for file in files if LIMITS.reason(measured(affekt.read(file)))]
    assert len(files) > 60
    assert len(refused) <= 1, refused
