"""Cut sound into windows, and define the constants of the front end.

The waveform is cut, not the spectrogram, so that batch, stream, server and browser process the same
windows.

Source: Sharan, Mascolo & Schuller, section II; YAMNet's ``params.py`` (AudioSet front end).
"""

import numpy as np
from numpy.typing import NDArray

from affekt.errors import AudioError

SAMPLE_RATE = 16_000  # Hz
FRAME = 400  # samples: 25 ms
FRAME_HOP = 160  # samples: 10 ms
FFT = 512  # points
MEL_BANDS = 64
MEL_LOW = 125.0  # Hz
MEL_HIGH = 7_500.0  # Hz
LOG_OFFSET = 0.001  # keeps the logarithm of silence finite
PATCH = 96  # frames of one window
WINDOW = (PATCH - 1) * FRAME_HOP + FRAME  # 15,600 samples = 0.975 s
WINDOW_HOP = WINDOW // 2  # 7,800 samples: the paper's 50 % overlap
PATCH_HOP = PATCH * FRAME_HOP  # 15,360 samples: each frame is in one window
LAST_WINDOW = ("drop", "pad")  # what happens to a last window that is not full


def sliding_windows(
    samples: NDArray[np.float32], *, hop: int = WINDOW_HOP, last_window: str = "drop"
) -> NDArray[np.float32]:
    """Cut a sound into windows ``(windows, 15600)``, a read-only view unless padding is needed.

    Args:
        samples: ``(samples,)`` mono at 16 kHz, at least one; less than a window are padded to one.
        hop: samples from one window's start to the next, in [1, 15600].
        last_window: ``drop`` leaves out the samples after the last full window, ``pad`` makes
            one more window of them, padded with zeros.

    Raises:
        AudioError: no samples, more than one axis, or another hop or last_window.

    Source: paper, section II-A.

    >>> sliding_windows(np.zeros(31_200, np.float32)).shape
    (3, 15600)
    """
    if not 1 <= hop <= WINDOW or last_window not in LAST_WINDOW:
        raise AudioError(
            f"sliding_windows takes a hop in [1, {WINDOW}] samples and as last_window one of "
            f"{', '.join(LAST_WINDOW)}. Got hop {hop}, last_window {last_window!r}. Use those of "
            f"the model's architecture."
        )
    if samples.ndim != 1 or samples.size == 0:
        raise AudioError(
            f"samples of sliding_windows must be (samples,), at least one. "
            f"Got shape {samples.shape}. Read sound with affekt.read()."
        )
    filled = (window_count(samples.size, hop=hop, last_window=last_window) - 1) * hop + WINDOW
    if samples.size < filled:
        samples = np.pad(samples, (0, filled - samples.size))
    return np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::hop]


def window_count(samples: int, *, hop: int = WINDOW_HOP, last_window: str = "drop") -> int:
    """Count the windows that :func:`sliding_windows` cuts from a number of samples.

    >>> [window_count(n) for n in (1, 15_600, 23_399, 23_400)]
    [1, 1, 1, 2]
    >>> [window_count(n, last_window="pad") for n in (1, 15_600, 15_601, 23_400)]
    [1, 1, 2, 2]
    """
    beyond = max(0, samples - WINDOW)  # the first window
    return (beyond // hop if last_window == "drop" else -(-beyond // hop)) + 1
