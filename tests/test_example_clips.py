"""Test the clips of Figure 2: one speaker, one sentence, every emotion."""

from pathlib import Path

import numpy as np
import torch

from affekt.audio.windows import FRAME_HOP, WINDOW
from affekt.experiments.examples import example_clips
from affekt.model.logmel import LogMel
from synthetic_corpus import make_corpus


def test_example_clips_are_of_one_speaker_and_sentence(tmp_path: Path) -> None:
    voices = example_clips("ravdess", make_corpus(tmp_path / "ravdess", speakers=3))
    assert [voice.label for voice in voices] == ["angry", "happy", "sad", "neutral"]
    for voice in voices:
        frames = 1 + (voice.samples.size - 400) // FRAME_HOP
        assert voice.log_mel.shape == (frames, 64)
    long = next(voice for voice in voices if voice.samples.size > WINDOW)
    at = 50  # frames: a window that lies across two of those that were joined
    window = long.samples[at * FRAME_HOP :][:WINDOW]
    patch = LogMel()(torch.from_numpy(window[None].copy()))[0].numpy()
    np.testing.assert_allclose(long.log_mel[at : at + len(patch)], patch, atol=2e-4)


def test_no_example_clips_without_a_full_set(tmp_path: Path) -> None:
    assert example_clips("ravdess", tmp_path) == ()
    corpus = make_corpus(tmp_path / "ravdess", speakers=1)
    next(corpus.rglob("*-05-*.wav")).unlink()
    assert example_clips("ravdess", corpus) == ()
