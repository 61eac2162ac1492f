"""Find the speakers of one channel: detect speech, embed it, and cluster the embeddings.

Speech is cut into windows of 1.6 s, every 0.8 s. Their embeddings are clustered by k-means.
Then speech is detected with lower thresholds, which miss less of soft voices, and cut into windows
of 0.8 s, every 0.4 s; each belongs to the nearest cluster. Longer windows often hold two voices
where turns overlap. A window keeps 256 numbers, and no sound. Between two windows of different
clusters, the turn changes where the interpolated similarities are equal.

If the number of speakers is not given, it is 1 if the means of two clusters are similar. It is more
than 2 if all means of that many clusters differ even more: a cluster of windows with two voices at
once has a mean between those of the two speakers.

Source: Arthur & Vassilvitskii, "k-means++: The Advantages of Careful Seeding" (2007). The
thresholds were chosen on joined clips of RAVDESS actors 1 to 12 and, for further speakers, of
CREMA-D.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Unpack

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from affekt.audio.reading import blocks
from affekt.audio.sources import Source, require_rereadable
from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AudioError
from affekt.inference.options import Part
from affekt.inference.speakers.speaker_encoder import SPAN, Embeddings
from affekt.inference.speakers.speech_embedding import SpeechEmbedder, Stretch, joined, named
from affekt.inference.speech.speech_cutter import Chunk, SpeechCutter
from affekt.inference.speech.vad import SOFT_SPEECH
from affekt.inference.timelines.rttm import Turn

MAX_SECONDS = 24 * 3600.0  # s: the memory grows by 3.8 kB for each second of speech
SHORT = SPAN // 2  # samples of a window that gets a speaker: 0.8 s
MOST_CLUSTERED = 2000  # windows; more are taken at equal distances
STARTS = 10  # of k-means, of which the best is kept
MOST_SPEAKERS = 4  # maximum of the automatic count; a given number may be higher
SAME = 0.5  # cosine similarity above which two means are of one speaker
SAME_OF_MORE = 0.35  # the same for three means and more
NOTED = 0.4  # the same for the warning about several speakers


class SpeakerFinder(SpeechEmbedder):
    """Embed a sound block by block, and find its speakers."""

    def __init__(self) -> None:
        super().__init__()
        self._soft_cutter = SpeechCutter(thresholds=SOFT_SPEECH)
        self.soft: list[Stretch] = []  #: of speech by lower thresholds, so far

    def end(self) -> None:
        """End the sound."""
        super().end()
        self.soft += self._embedded(self._soft_cutter.end(), SHORT)

    def _take(self, chunk: Chunk, probability: float) -> None:
        super()._take(chunk, probability)
        self.soft += self._embedded(self._soft_cutter.push(chunk, probability), SHORT)

    def turns(
        self, speakers: int | None = None, voices: Mapping[str, NDArray[np.float32]] | None = None
    ) -> list[Turn]:
        """Find the turns in order, without overlap: ``speaker 1`` speaks first.

        The number of speakers may be smaller than given if there is too little speech; if it is
        None, they are counted. ``voices`` are mean embeddings of known speakers by name.
        """
        if not self.stretches:
            return []
        means = speaker_means(self.embeddings, speakers)
        similar = joined(self.soft) @ means.T
        order = [*dict.fromkeys(similar.argmax(axis=1).tolist())]
        names = dict(zip(order, named(means[order], voices or {}), strict=True))
        parts = np.split(similar, np.cumsum([len(each.embeddings) for each in self.soft])[:-1])
        return [
            Turn(start / SAMPLE_RATE, end / SAMPLE_RATE, names[label])
            for stretch, part in zip(self.soft, parts, strict=True)
            for start, end, label in _runs(stretch, part)
        ]


def diarize(
    source: Source,
    speakers: int | None = None,
    *,
    voices: Mapping[str, NDArray[np.float32]] | None = None,
    **part: Unpack[Part],
) -> list[Turn]:
    """Find the turns of the speakers of a recording, named by :meth:`SpeakerFinder.turns`.

    Args:
        source: as for :func:`affekt.read`, and so is the ``part``; the timeline reads it again.
        speakers: number of speakers, at least 1; None to count them, up to 4.
        voices: ``(256,)`` mean embeddings of known speakers by name.

    Raises:
        AudioError: a stream that can be read only once, or no sound.
    """
    if speakers is not None and speakers < 1:
        raise AudioError(
            f"speakers must be a number from 1, or auto. Got {speakers}. Pass auto to count them."
        )
    require_rereadable(source)
    finder = SpeakerFinder()
    for block in blocks(source, **part, max_seconds=MAX_SECONDS):
        finder.push(block)
    finder.end()
    turns, start = finder.turns(speakers, voices), part.get("start", 0.0)
    return [replace(turn, start=turn.start + start, end=turn.end + start) for turn in turns]


def speaker_means(
    embeddings: Embeddings, speakers: int | None = None, *, same: float = SAME
) -> Embeddings:
    """Cluster embeddings ``(windows, 256)``, at least one, into means ``(speakers, 256)``.

    All have length 1. If the number of speakers is None, they are counted: there is one if the
    means of two have a cosine similarity above ``same``.
    """
    chosen = embeddings[:: -(-len(embeddings) // MOST_CLUSTERED)]
    if speakers is not None:
        return _clustered(chosen, speakers)
    found = _clustered(chosen, 1)
    if len(chosen) <= MOST_SPEAKERS:
        return found
    for count in range(2, MOST_SPEAKERS + 1):
        means = _clustered(chosen, count)
        pairs = np.triu_indices(len(means), 1)
        closest = (means @ means.T)[pairs].max(initial=-1.0)
        if len(means) < count or closest > (same if count == 2 else SAME_OF_MORE):
            break
        found = means
    return found


def _clustered(chosen: Embeddings, speakers: int) -> Embeddings:
    clusters = min(speakers, len(np.unique(chosen, axis=0)))
    means = KMeans(clusters, n_init=STARTS, random_state=0).fit(chosen).cluster_centers_
    unit: Embeddings = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


def _runs(stretch: Stretch, similar: Embeddings) -> Iterator[tuple[int, int, int]]:
    """First sample, end and label of the windows in a row with one label.

    A run ends where the similarities, interpolated between two windows, are equal.
    """
    labels = similar.argmax(axis=1).tolist()
    last = max(0, stretch.end - stretch.start - SHORT)
    starts = [min(n * SHORT // 2, last) for n in range(len(labels))]
    begin = stretch.start
    for n, (label, new) in enumerate(pairwise(labels), 1):
        if label != new:
            before = similar[n - 1, label] - similar[n - 1, new] + 1e-6
            share = before / (before + similar[n, new] - similar[n, label] + 1e-6)
            end = starts[n - 1] + SHORT // 2 + round((starts[n] - starts[n - 1]) * float(share))
            yield begin, stretch.start + end, label
            begin = stretch.start + end
    yield begin, stretch.end, labels[-1]
