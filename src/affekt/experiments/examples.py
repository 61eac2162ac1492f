"""Find the example clips of a report: one speaker in every emotion."""

from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from affekt.audio.windows import (
    FRAME,
    FRAME_HOP,
    MEL_BANDS,
    PATCH_HOP,
    SAMPLE_RATE,
    WINDOW,
    sliding_windows,
)
from affekt.corpora import Clip, Manifest, load
from affekt.corpora.recordings import read_samples
from affekt.errors import CorpusError
from affekt.model.logmel import LogMel
from affekt.report.figures import ExampleClip


def example_clips(corpus: str, root: Path) -> tuple[ExampleClip, ...]:
    """Find and read the clips that Figure 2 shows of a corpus in the folder ``root``.

    Returns:
        A clip for each label, in the labels' order, of the first speaker who has the same words
        and intensity, where the corpus names them, in all of them; none without such a speaker.
    """
    try:
        manifest = load(corpus, root, partial=True)
    except CorpusError:
        return ()
    sounds = [(clip.label, read_samples(manifest, clip)) for clip in _alike(manifest)]
    rates = SAMPLE_RATE, FRAME_HOP / SAMPLE_RATE
    return tuple(ExampleClip(label, sound, _log_mel(sound), *rates) for label, sound in sounds)


def _log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(frames, 64)`` of a whole sound: patches that join without overlap, less the padding."""
    frames = max(1, 1 + (samples.size - FRAME) // FRAME_HOP)
    padded = np.pad(samples, (0, WINDOW))  # so that the last frames fill a window
    windows = sliding_windows(padded, hop=PATCH_HOP)
    patches = LogMel()(torch.tensor(windows))
    return np.asarray(patches.reshape(-1, MEL_BANDS)[:frames])


def _alike(manifest: Manifest) -> list[Clip]:
    def words(clip: Clip) -> tuple[str, str, str]:
        return clip.speaker, clip.text, clip.intensity

    for _, group in groupby(sorted(manifest.clips, key=words), key=words):
        first = {clip.label: clip for clip in reversed(list(group))}
        if set(first) == set(manifest.labels):
            return [first[label] for label in manifest.labels]
    return []
