"""Measure the quality of a recording, and check it against limits.

Speech is detected by Silero VAD, 32 ms at a time. All measures are sums over these chunks, so a
sound of any length needs the same memory, and a stream and a file give the same values.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affekt.audio.windows import SAMPLE_RATE
from affekt.inference.speech.vad import CHUNK, CHUNK_SECONDS, SILENCE, SPEECH, ChunkDetector

BINS = CHUNK // 2 + 1  # of the spectrum of a chunk
STEP = 0.5  # dB: width of a bin of the histogram of magnitudes
LEVELS = 200  # bins of the histogram, from +6 dB down to -94 dB
TOP = 6.0  # dB above full scale: upper end of the histogram
NEAR_PEAK = 3  # bins: clipped samples lie this close together
OVERSHOOT = 12  # bins: by which resampling and codecs raise some clipped samples above the others
RAISED = 0.2  # of the clipped samples: more above them are no overshoot
BAND = 55.0  # dB below the strongest band, where the bandwidth ends
NOISE_CHUNKS = 8  # chunks without speech that an estimate of the noise needs
BEST_SNR = 60.0  # dB: digital silence between words gives no more
HANN = np.hanning(CHUNK).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured of a sound.

    Args:
        seconds: of sound.
        speech_seconds: of them, those that hold speech.
        level: of the speech, RMS in dB of full scale, at least -120; of all sound where there is
            no speech.
        clipping: share of the samples that lie at the peak, in [0, 1]. Speech that is not clipped
            reaches its peak in fewer than 0.03.
        snr: dB, power of the speech over that of the sound between, at most 60; None without
            0.25 s of both.
        bandwidth: Hz, highest frequency of the speech, at most 8,000; None without speech.
    """

    seconds: float
    speech_seconds: float
    level: float
    clipping: float
    snr: float | None
    bandwidth: float | None


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Limits below which a sound is ``uncertain``; docs/quality.md says how they were chosen.

    Args:
        speech_seconds: seconds of speech, at least.
        level: dB below full scale, at least.
        clipping: share of clipped samples, at most.
        snr: dB, at least.
    """

    speech_seconds: float = 0.5
    level: float = -70.0
    clipping: float = 0.3
    snr: float = 4.0

    def reason(self, quality: Quality) -> str | None:
        """Describe the first limit that a sound violates; None if there is none.

        Values are rounded away from the limit, so that a sentence never contradicts itself.
        """
        q = quality
        if q.level < self.level:
            return f"the sound is silent: below {self.level:g} dB of full scale"
        if q.speech_seconds < self.speech_seconds:
            seconds = math.floor(10 * q.speech_seconds) / 10
            return f"{seconds:.1f} s of speech; at least {self.speech_seconds:g} s is needed"
        if q.clipping > self.clipping:
            percent = math.ceil(100 * q.clipping)
            return f"{percent}% of the samples are clipped; at most {100 * self.clipping:g}% may be"
        if q.snr is not None and q.snr < self.snr:
            snr = math.floor(q.snr)
            return f"speech is only {snr} dB above the noise; {self.snr:g} dB are needed"
        return None


LIMITS = QualityLimits()


def chunk_sums(samples: NDArray[np.float32], probabilities: Sequence[float]) -> NDArray[np.float64]:
    """Compute a vector of sums for :func:`quality_of`; those of parts of a sound can be added.

    The probabilities are of speech, one for each chunk of 512 samples, at least one. The last chunk
    may be incomplete.
    """
    found = np.asarray(probabilities, np.float32)
    missing = found.size * CHUNK - samples.size
    magnitudes = np.abs(samples[samples != 0.0])
    if missing:
        samples = np.pad(samples, (0, missing))
    chunks = samples.reshape(-1, CHUNK)
    weights = np.ones(found.size, np.float32)  # share of each chunk that the sound fills
    weights[-1] -= missing / CHUNK
    speech = (found >= SPEECH) * weights
    quiet = (found < SILENCE) * weights
    power = np.square(chunks, dtype=np.float64).mean(axis=1)
    # an offset alone is silence, and never clipped; in speech it counts as level and noise
    varying = chunks.var(axis=1, dtype=np.float64)
    spectrum: NDArray[np.floating] = np.zeros(BINS)
    if speech.any():
        spectrum = speech @ np.square(np.abs(np.fft.rfft(chunks * HANN, axis=1)))
    bins = ((TOP - 20.0 * np.log10(magnitudes)) / STEP).astype(np.int64)
    histogram = np.bincount(np.clip(bins, 0, LEVELS - 1), minlength=LEVELS)
    noise = 10.0 * np.log10(np.maximum(power, 1e-12))  # a mean in dB is robust to single breaths
    sums = [weights.sum(), speech.sum(), quiet.sum(), varying.sum(), speech @ power, quiet @ noise]
    return np.concatenate([sums, histogram, spectrum])


MOST = 1e100  # no sum is larger: samples are float32
MOST_SAVED = 2.0**24  # no sample nor number of the detector's state is larger
LEAST = 1e-200  # of sums that have decayed, which are not exact
SUMS = 6 + LEVELS + BINS  # numbers of the vector


def quality_of(sums: NDArray[np.float64]) -> Quality:
    """Compute the quality of a sound from its :func:`chunk_sums`."""
    chunks, speech, quiet, power, speech_power, noise = sums[:6]
    histogram, spectrum = sums[6 : 6 + LEVELS], sums[6 + LEVELS :]
    loudness = speech_power / speech if speech else power / max(chunks, 1.0)
    level = 10.0 * math.log10(max(loudness, 1e-12))
    known = speech >= NOISE_CHUNKS and quiet >= NOISE_CHUNKS
    snr = round(float(min(level - noise / quiet, BEST_SNR)), 1) if known else None
    return Quality(
        seconds=round(float(chunks * CHUNK_SECONDS), 3),
        speech_seconds=round(float(speech * CHUNK_SECONDS), 3),
        level=round(level, 1),
        clipping=round(_clipped(histogram, power * CHUNK) / float(chunks * CHUNK), 4)
        if chunks
        else 0.0,
        snr=snr,
        bandwidth=_bandwidth(spectrum) if speech else None,
    )


def _clipped(histogram: NDArray[np.float64], power: float) -> float:
    """Count the samples at the peak, and the few that overshoot it.

    They have no more than all the power of the sound: a constant offset is no clipping.
    """
    peak = int(np.argmax(histogram >= 0.5))  # an earlier, higher peak has decayed to less
    counts = np.cumsum(histogram[peak : peak + OVERSHOOT + NEAR_PEAK])
    above, reached = np.append(0.0, counts[:-NEAR_PEAK]), counts[NEAR_PEAK - 1 :]
    lowest = TOP - STEP * (peak + NEAR_PEAK + np.arange(reached.size))  # dB, of those reached
    few = above <= RAISED * (reached - above)
    return float(reached[few & (reached * 10 ** (lowest / 10) <= power)].max(initial=0.0))


def _bandwidth(spectrum: NDArray[np.float64]) -> float:
    """Highest frequency whose power is less than :data:`BAND` below the strongest."""
    strong = np.flatnonzero(spectrum > spectrum.max() * 10 ** (-BAND / 10))
    return float(strong[-1] * SAMPLE_RATE / 2 / (BINS - 1)) if strong.size else 0.0


class QualityMeter:
    """Measure a sound chunk by chunk.

    Args:
        time_constant: seconds after which a chunk's weight in :attr:`recent` has fallen to 1/e.
    """

    def __init__(self, time_constant: float) -> None:
        self._time_constant = time_constant
        self._detector = ChunkDetector()
        self._sums = np.zeros((2, SUMS))  # of the whole sound, and the recent ones
        self.samples = 0  # taken so far

    @property
    def whole(self) -> Quality:
        """Quality of the sound so far."""
        return quality_of(self._sums[0])

    @property
    def recent(self) -> Quality:
        """Quality of the recent sound: older chunks have less weight."""
        return quality_of(self._sums[1])

    def push(self, samples: NDArray[np.float32], *, end: bool = False) -> None:
        """Take the next samples; less than a chunk waits for more, unless the sound ends."""
        self.samples += samples.size
        found = [*self._detector.push(samples), *(self._detector.end() if end else ())]
        if not found:
            return
        chunks, probabilities = zip(*found, strict=True)
        decay = math.exp(-len(chunks) * CHUNK_SECONDS / self._time_constant)
        self._sums *= np.array([[1.0], [decay]])
        self._sums += chunk_sums(np.concatenate(chunks), probabilities)

    def save(self) -> NDArray[np.float32]:
        """The state as one vector, for :meth:`restore`."""
        parts = (self._sums.view(np.float32), *self._detector.state, self._detector.rest)
        return np.concatenate([part.ravel() for part in parts])

    def restore(self, saved: NDArray[np.float32], samples: int) -> bool:
        """Continue from a vector of :meth:`save` after so many samples; False if it is none."""
        sizes = [2 * self._sums.size, *(each.size for each in self._detector.state)]
        if saved.size != sum(sizes) + samples % CHUNK:
            return False
        sums, before, context, self._detector.rest = np.split(saved, np.cumsum(sizes))
        self._sums = np.ascontiguousarray(sums).view(np.float64).reshape(self._sums.shape)
        self._detector.state = before.reshape(2, 1, -1), context
        self.samples = samples
        counts, chunks = np.delete(self._sums, 5, axis=1), self._sums[:, :1] * (1 + 1e-6)  # 5: dB
        return bool(
            (np.abs(saved[sizes[0] :]) <= MOST_SAVED).all()
            and (np.abs(self._sums) <= MOST).all()
            and (counts >= 0.0).all()
            and (self._sums[:, 1:3] <= chunks).all()
            and (self._sums[:, 3:5] <= MOST_SAVED**2 * self._sums[:, :2] + LEAST).all()
            and (self._sums[:, 6 : 6 + LEVELS].sum(axis=1) <= CHUNK * chunks[:, 0]).all()
        )
