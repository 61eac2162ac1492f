"""Compute speaker embeddings: vectors that are similar for sounds of one speaker.

Source: Wan et al., "Generalized End-to-End Loss for Speaker Verification" (2018), as trained by
Jemine, "Resemblyzer" (Apache-2.0). The file beside this module is made by
``benchmarks/speaker_encoder.py``.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affekt.inference.graph import shipped_session

FILE = Path(__file__).with_name("speaker_encoder.onnx")
HOP = 160  # samples: a frame every 10 ms
FFT = 400  # samples
SPAN = 160 * HOP  # samples of one embedding: 1.6 s
STEP = SPAN // 2  # samples from one window to the next
LEVEL = 10 ** (-30 / 20)  # RMS to which softer sound is raised
BATCH = 32  # windows a run
HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)).astype(np.float32)

Embeddings = NDArray[np.float32]


def voice_embeddings(sounds: Sequence[NDArray[np.float32]], span: int = SPAN) -> Embeddings:
    """Compute embeddings ``(sounds, 256)`` of length 1; variation with emotion is reduced.

    Sounds are ``(samples,)`` of speech at 16 kHz, each at most ``span``, a multiple of 160; a
    shorter one is repeated.
    """
    found = [np.empty((0, 256), np.float32)]
    for first in range(0, len(sounds), BATCH):
        power = np.stack([power_spectra(each, span) for each in sounds[first : first + BATCH]])
        found.append(shipped_session(FILE).run(None, {"power": power})[0])
    return np.concatenate(found)


def windows_of(speech: NDArray[np.float32], span: int = SPAN) -> list[NDArray[np.float32]]:
    """Cut speech into windows of ``span`` samples that overlap by half.

    The last one ends with the speech.

    >>> [window.size for window in windows_of(np.zeros(40_000, np.float32))]
    [25600, 25600, 25600]
    >>> len(windows_of(np.zeros(9_000, np.float32)))
    1
    """
    last = max(0, speech.size - span)
    return [speech[min(at, last) :][:span] for at in range(0, last + span // 2, span // 2)]


def power_spectra(sound: NDArray[np.float32], span: int = SPAN) -> NDArray[np.float32]:
    """Compute the power spectra ``(span / 160, 201)`` of a sound of at most ``span`` samples."""
    level = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))
    raised = np.resize(sound, span) * (max(1.0, LEVEL / level) if level > 0 else 1.0)
    padded = np.pad(raised.astype(np.float32), FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP][: span // HOP]
    spectra = np.fft.rfft(frames * HANN, axis=1)
    return (spectra.real**2 + spectra.imag**2).astype(np.float32)
