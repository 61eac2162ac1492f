"""Compute cepstra (MFCC and GTCC) with their deltas, and their statistics over a clip.

Both are the cosine transform of log band energies, with the frames, the number of bands and the
frequency range of the network's front end. MFCC have triangular bands on the mel scale (librosa),
GTCC fourth-order gammatone filters on the ERB scale (SciPy), of gain 1 at the centre and a
bandwidth of 1.019 ERB. The package spafe confuses two orders, which makes its filters up to 40 %
too narrow.

Source: Sharan, Mascolo & Schuller (MFCC and GTCC baselines); Valero & Alias, "Gammatone Cepstral
Coefficients", 2012; Glasberg & Moore, 1990; frames and bands as in :mod:`affekt.audio.windows`.
"""

from functools import cache
from typing import Literal

import librosa
import numpy as np
from numpy.typing import NDArray
from scipy.signal import gammatone

from affekt.audio.windows import (
    FFT,
    FRAME,
    FRAME_HOP,
    LOG_OFFSET,
    MEL_BANDS,
    MEL_HIGH,
    MEL_LOW,
    SAMPLE_RATE,
)

Floats = NDArray[np.float32]
Cepstra = Literal["mfcc", "gtcc"]

COEFFICIENTS = 13  # 0 to 12, the usual choice for speech
DELTA_WIDTH = 9  # frames that a slope or a curvature is fitted to
ENERGY_FLOOR = LOG_OFFSET**2  # the front end's offset is of magnitudes, this is of powers
ERB_Q = 9.26449  # asymptotic quality of the auditory filters (Glasberg & Moore)
ERB_LEAST = 24.7  # Hz, their minimum bandwidth
GAMMATONE_TAPS = 4 * FFT  # 128 ms: even the narrowest band has decayed to 1e-9


def cepstra(samples: Floats, kind: Cepstra) -> Floats:
    """Cepstral coefficients ``(frames, 13)``: orthonormal cosine transform of log energies.

    Samples are ``(samples,)`` mono at 16 kHz, at least one; less than 25 ms are padded with zeros
    to one frame.

    Source: Davis & Mermelstein, 1980; Valero & Alias, 2012.

    >>> cepstra(np.zeros(15_600, np.float32), "gtcc").shape
    (96, 13)
    """
    # librosa centres the 400-point window in the 512 points of the FFT; with these zeros around
    # the sound, frame t is samples 160 t to 160 t + 400, as in the front end.
    margin = (FFT - FRAME) // 2
    padded = np.pad(samples, (margin, margin + max(0, FRAME - samples.size)))
    spectrum = librosa.stft(
        padded, n_fft=FFT, win_length=FRAME, hop_length=FRAME_HOP, window="hann", center=False
    )
    energies = _bands(kind) @ np.abs(spectrum) ** 2
    logarithms = np.log(np.maximum(energies, ENERGY_FLOOR))
    coefficients: Floats = librosa.feature.mfcc(S=logarithms, n_mfcc=COEFFICIENTS)
    return coefficients.T


def clip_features(samples: Floats, kind: Cepstra) -> Floats:
    """Statistics ``(78,)`` over a clip: means, then deviations.

    Each is of the 13 :func:`cepstra`, their first and their second differences.

    >>> clip_features(np.zeros(800, np.float32), "gtcc").shape
    (78,)
    """
    static = cepstra(samples, kind)
    slopes = (
        librosa.feature.delta(static, width=DELTA_WIDTH, order=order, axis=0, mode="nearest")
        for order in (1, 2)
    )
    return statistics(np.concatenate([static, *slopes], axis=1))


def statistics(rows: Floats) -> Floats:
    """Means, then standard deviations of all columns: ``(rows, columns)`` to ``(2 * columns,)``.

    >>> statistics(np.array([[0.0, 1.0], [4.0, 1.0]], np.float32)).tolist()
    [2.0, 1.0, 2.0, 0.0]
    """
    return np.concatenate([rows.mean(axis=0), rows.std(axis=0)]).astype(np.float32)


@cache
def gammatone_bands() -> Floats:
    """Power responses ``(64, 257)`` of gammatone filters of peak 1 at the frequencies of the FFT.

    The 64 bands from 125 to 7,500 Hz are equally spaced on the ERB scale.

    Source: Glasberg & Moore, 1990; Slaney, 1993.
    """
    offset = ERB_Q * ERB_LEAST  # ERBs up to f are ERB_Q * ln(1 + f / offset)
    centres = np.geomspace(MEL_LOW + offset, MEL_HIGH + offset, MEL_BANDS) - offset
    impulse_responses = np.stack(
        [gammatone(f, "fir", numtaps=GAMMATONE_TAPS, fs=SAMPLE_RATE)[0] for f in centres]
    )
    spectra = np.fft.rfft(impulse_responses)[:, :: GAMMATONE_TAPS // FFT]
    return (np.abs(spectra) ** 2).astype(np.float32)


@cache
def _bands(kind: Cepstra) -> Floats:
    if kind == "gtcc":
        return gammatone_bands()
    triangles: Floats = librosa.filters.mel(
        sr=SAMPLE_RATE,
        n_fft=FFT,
        n_mels=MEL_BANDS,
        fmin=MEL_LOW,
        fmax=MEL_HIGH,
        htk=True,
        norm=None,
    )
    return triangles
