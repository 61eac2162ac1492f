"""Test simulated speakers: constant pitch, tempo and level, within the stated ranges."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from affekt.experiments.augmentation import DECIBELS, SEMITONES, Augmentation, simulated

Floats = NDArray[np.float32]
RATE = 16_000
SPEAKERS = [f"ravdess:{number:02}" for number in range(1, 25)]


def tone(hertz: float = 440.0, seconds: float = 1.5) -> Floats:
    time = np.arange(int(seconds * RATE)) / RATE
    return (0.1 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def pitch_of(sound: Floats) -> float:
    """Hz of the strongest tone, to a tenth."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size), 16 * RATE))
    return float(spectrum.argmax()) / 16


def level(sound: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))


def body(speaker: str, voice: int, sound: Callable[[], Floats] = tone, clip: str = "a") -> Floats:
    return simulated(sound(), speaker, voice, clip=clip, augmentation=Augmentation())


def test_speaker_0_is_the_original_recording() -> None:
    sound = tone()
    assert simulated(sound, "any", 0, clip="a", augmentation=Augmentation()) is sound


def test_a_simulated_speaker_is_constant() -> None:
    one = body("ravdess:01", 1)
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one, body("ravdess:01", 1))
    for other in (body("ravdess:01", 2), body("ravdess:02", 1), body("ravdess:01", 1, clip="b")):
        assert one.size != other.size or not np.array_equal(one, other)
    assert (one.size, round(pitch_of(one), 1)) == (24_000, 532.4)


def test_pitch_moves_by_at_most_four_semitones() -> None:
    ratios, kept = [], []
    for speaker in SPEAKERS:
        for voice in (1, 2):
            made = body(speaker, voice)
            ratio = pitch_of(made) / 440
            keeps_tempo = abs(made.size - tone().size) <= 1
            assert keeps_tempo or made.size == pytest.approx(tone().size / ratio, rel=2e-3)
            ratios.append(12 * np.log2(ratio))
            kept.append(keeps_tempo)
    assert np.abs(ratios).max() <= SEMITONES + 0.02
    assert min(ratios) < -2 < 2 < max(ratios)
    assert np.std(ratios) == pytest.approx(2 * SEMITONES / np.sqrt(12), rel=0.25)  # all alike
    assert 0.3 < np.mean(kept) < 0.7


@pytest.mark.parametrize("voice", [1, 2, 3, 4])
def test_a_simulated_speaker_has_one_pitch_ratio_in_all_clips(voice: int) -> None:
    """Another clip, another pitch, another length: the same ratio, tempo and gain."""
    for speaker in SPEAKERS[:4]:
        first = body(speaker, voice, lambda: tone(300.0))
        other = body(speaker, voice, lambda: tone(520.0, 2.5), clip="b")
        assert pitch_of(other) / 520 == pytest.approx(pitch_of(first) / 300, rel=2e-3)
        assert other.size / 40_000 == pytest.approx(first.size / 24_000, rel=1e-3)
        middle = slice(4_000, 16_000)
        assert level(other[middle]) == pytest.approx(level(first[middle]), rel=0.05)


def test_formants_move_with_pitch() -> None:
    """Two tones stay apart by the same factor."""
    both = body("ravdess:03", 1, lambda: tone(300.0) + 0.5 * tone(1_500.0))
    spectrum = np.abs(np.fft.rfft(both * np.hanning(both.size), 16 * RATE))
    low, high = spectrum[: 16 * 700].argmax() / 16, (spectrum[16 * 700 :].argmax() / 16) + 700
    assert high / low == pytest.approx(5.0, rel=5e-3)
    assert abs(low - 300) > 3


def test_level_and_noise_stay_in_their_range() -> None:
    def half() -> Floats:
        return np.concatenate([tone(), np.zeros(24_000, np.float32)])

    gains, floors = [], []
    for speaker in SPEAKERS:
        made = body(speaker, 1, half)
        loud, still = made[4_000 : made.size // 2 - 4_000], made[-made.size // 3 :]
        gains.append(20 * np.log10(level(loud) / level(tone())))
        floors.append(20 * np.log10(level(still) / level(half())) - gains[-1])
    assert np.abs(gains).max() < DECIBELS + 1
    assert max(gains) - min(gains) > DECIBELS
    assert -61 < min(floors) < -50
    assert -40 < max(floors) < -29


@pytest.mark.parametrize("samples", [1, 2, 400, 1_600, 15_600])
def test_short_sounds_stay_finite(samples: int) -> None:
    for voice in range(1, 9):
        made = simulated(
            tone()[:samples] + np.float32(0.01),
            "short",
            voice,
            clip="a",
            augmentation=Augmentation(),
        )
        assert 1 <= made.size <= 1.3 * samples + 1
        assert np.isfinite(made).all()


def test_silence_stays_silent() -> None:
    made = simulated(
        np.zeros(20_000, np.float32), "silent", 3, clip="a", augmentation=Augmentation()
    )
    assert not made.any()
