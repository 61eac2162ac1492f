"""Recordings to the clips of Figure 2: one speaker, the same words, every emotion."""

from itertools import groupby
from pathlib import Path

import torch

from affekt.audio.reading import read
from affekt.audio.windows import FRAME_HOP, SAMPLE_RATE
from affekt.corpora import Clip, Manifest, load
from affekt.errors import CorpusError
from affekt.evaluation.figures import Voice
from affekt.model.logmel import LogMel


def example_voices(corpus: str, root: Path) -> tuple[Voice, ...]:
    """Find and read the clips that Figure 2 shows of a corpus.

    Args:
        corpus: one of ``CORPORA``, or any other name.
        root: folder that holds its recordings.

    Returns:
        A clip for each label, in the labels' order, of the first speaker who says the same words
        with the same intensity in all of them; none if nobody does or nothing is there.
    """
    try:
        manifest = load(corpus, root, partial=True)
    except CorpusError:
        return ()
    front_end = LogMel()
    voices = []
    for clip in _alike(manifest):
        samples = read(root / clip.file, channel=clip.channel, start=clip.start or 0, end=clip.end)
        log_mel = front_end(torch.from_numpy(samples)[None])[0].numpy()
        voices.append(Voice(clip.label, samples, log_mel, SAMPLE_RATE, FRAME_HOP / SAMPLE_RATE))
    return tuple(voices)


def _alike(manifest: Manifest) -> list[Clip]:
    def words(clip: Clip) -> tuple[str, str, str]:
        return clip.speaker, clip.text, clip.intensity

    for _, group in groupby(sorted(manifest.clips, key=words), key=words):
        first = {clip.label: clip for clip in reversed(list(group))}
        if set(first) == set(manifest.labels):
            return [first[label] for label in manifest.labels]
    return []
