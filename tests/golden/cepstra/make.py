# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.4.6", "scipy==1.17.1", "librosa==0.11.0", "spafe==0.3.3"]
# ///
"""Make ``cepstra.npz``: MFCC and GTCC of a made-up sound by other code than affekt's.

Run it with ``uv run make.py`` or, in an environment that has the packages, ``python make.py``.
"""

from pathlib import Path

import librosa
import numpy as np
from scipy.fft import dct
from spafe.fbanks.gammatone_fbanks import gammatone_filter_banks

RATE, FRAME, HOP, FFT, BANDS, LOW, HIGH, COEFFICIENTS = 16_000, 400, 160, 512, 64, 125, 7_500, 13
OFFSET = 24.7 * 9.26449  # Hz, of the ERB scale


def sound() -> np.ndarray:
    """One second: a vowel-like buzz of gliding pitch, louder and softer, in noise; 16 bit."""
    t = np.arange(RATE) / RATE
    phase = 2 * np.pi * np.cumsum(180 + 60 * np.sin(2 * np.pi * 1.5 * t)) / RATE
    buzz = sum(np.sin(h * phase) / h for h in range(1, 25))
    noise = np.random.default_rng(7).normal(scale=0.02, size=t.size)
    loudness = 0.15 + 0.1 * np.sin(2 * np.pi * 3 * t)
    return np.round((loudness * buzz + noise).clip(-1, 1) * 32767).astype(np.int16)


def power(samples: np.ndarray) -> np.ndarray:
    """(frames, 257) by plain framing: frame t is samples 160 t to 160 t + 400."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    starts = np.arange(0, samples.size - FRAME + 1, HOP)
    frames = np.stack([samples[s : s + FRAME] * hann for s in starts])
    return np.abs(np.fft.rfft(frames, FFT)) ** 2


def cepstra(energies: np.ndarray) -> np.ndarray:
    return dct(np.log(np.maximum(energies, 1e-6)), norm="ortho", axis=1)[:, :COEFFICIENTS]


def closed_form_gammatone() -> np.ndarray:
    """(64, 257) power responses of t^3 exp(-2 pi b t) cos(2 pi f t) sampled at 16 kHz."""
    centres = np.geomspace(LOW + OFFSET, HIGH + OFFSET, BANDS)[:, None] - OFFSET
    bandwidths = 1.019 * (24.7 + centres / 9.26449)
    response = 0
    for alias in np.arange(-3, 4) * RATE:
        frequencies = np.arange(FFT // 2 + 1) * RATE / FFT + alias
        for mirror in (1, -1):
            response = response + (1 + 1j * (frequencies - mirror * centres) / bandwidths) ** -4.0
    return np.abs(response) ** 2


def spafe_gammatone() -> np.ndarray:
    """(64, 257) power responses of Slaney's all-digital approximation, peak 1.

    spafe's bands stop one short of the highest frequency, so that is set one higher; the ERB
    formula has order 1, but spafe hands it the filter's, 4, unless told; it gives amplitudes.
    """
    ratio = ((HIGH + OFFSET) / (LOW + OFFSET)) ** (1 / (BANDS - 1))
    one_higher = (HIGH + OFFSET) * ratio - OFFSET
    amplitudes, _ = gammatone_filter_banks(
        nfilts=BANDS, nfft=FFT, fs=RATE, low_freq=LOW, high_freq=one_higher, order=1
    )
    return amplitudes**2


pcm = sound()
samples = pcm / 32768
mel = librosa.filters.mel(
    sr=RATE, n_fft=FFT, n_mels=BANDS, fmin=LOW, fmax=HIGH, htk=True, norm=None, dtype=np.float64
)
mfcc = cepstra(power(samples) @ mel.T)
np.savez_compressed(
    Path(__file__).with_name("cepstra.npz"),
    pcm=pcm,
    mfcc=mfcc.astype(np.float32),
    mfcc_delta=librosa.feature.delta(mfcc.T, width=9, mode="nearest").T.astype(np.float32),
    gtcc=cepstra(power(samples) @ closed_form_gammatone().T).astype(np.float32),
    gammatone_spafe=spafe_gammatone().astype(np.float32),
)
