"""Tell the speakers of one channel apart: find speech, embed its voices, and cluster them.

Speech is cut into windows of 1.6 s, every 0.8 s. Their embeddings are clustered by Ward's method;
then each window belongs to the nearest cluster. A window keeps 256 numbers, and no sound.

The number of speakers, if it is not given, is 1 if the means of two clusters are alike; else it is
the one of the highest silhouette.

Source: Ward, "Hierarchical Grouping to Optimize an Objective Function" (1963); Rousseeuw,
"Silhouettes" (1987). The threshold was chosen on joined clips of RAVDESS actors 1 to 12.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import silhouette_score

from affekt.audio.pcm import Decoded
from affekt.audio.reading import blocks
from affekt.audio.sources import Source, source_name
from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import AudioError
from affekt.inference.options import SoundOptions
from affekt.inference.rttm import Turn
from affekt.inference.speaker_encoder import SPAN, Embeddings, voice_embeddings, windows_of
from affekt.inference.speech_cutter import Chunk, SpeechCutter
from affekt.inference.vad import CHUNK, ChunkDetector, Speech

MAX_SECONDS = 24 * 3600.0  # s: the memory grows by 1.3 kB for each second of speech
MOST_CLUSTERED = 2000  # windows; more are taken at equal distances
ROUNDS = 5  # of assigning windows to means, and means to windows
MOST_SPEAKERS = 4  # that are counted; more can be asked for
SAME = 0.5  # cosine similarity above which two means are of one speaker


@dataclass(frozen=True, slots=True)
class Stretch:
    """Speech between two pauses.

    Args:
        start: its first sample.
        end: the sample after its last one.
        embeddings: ``(windows, 256)``.
    """

    start: int
    end: int
    embeddings: Embeddings


class SpeakerFinder:
    """Take a sound block by block; then tell its speakers apart.

    Args:
        embed: computes an embedding of length 1 for each window of samples.
    """

    def __init__(self, embed: Callable[[list[Chunk]], Embeddings] = voice_embeddings) -> None:
        self._voice_embeddings = embed
        self._detector, self._cutter = ChunkDetector(), SpeechCutter(None, 0.0)
        self._stretches: list[Stretch] = []

    def push(self, block: Chunk) -> None:
        """Take the next ``(samples,)`` at 16 kHz."""
        for chunk, probability in self._detector.push(block):
            self._embed(self._cutter.push(chunk, probability))

    def end(self) -> None:
        """End the sound."""
        for chunk, probability in self._detector.end():
            self._embed(self._cutter.push(chunk, probability))
        self._embed(self._cutter.end())

    def turns(self, speakers: int | None = None) -> list[Turn]:
        """Name the speaker of all speech: ``speaker 1`` speaks first.

        Args:
            speakers: how many, or fewer if there is too little speech; None to count them.

        Returns:
            Turns in order and apart, in seconds from the start of the sound.
        """
        windows = [len(each.embeddings) for each in self._stretches]
        if not windows:
            return []
        embeddings = np.concatenate([each.embeddings for each in self._stretches])
        means = speaker_means(embeddings, speakers)
        nearest = (embeddings @ means.T).argmax(axis=1)
        order = [*dict.fromkeys(nearest.tolist())]
        parts = np.split(nearest, np.cumsum(windows)[:-1])
        return [
            Turn(start / SAMPLE_RATE, end / SAMPLE_RATE, f"speaker {order.index(label) + 1}")
            for stretch, labels in zip(self._stretches, parts, strict=True)
            for start, end, label in _runs(stretch, labels.tolist())
        ]

    def _embed(self, cuts: Iterable[tuple[Speech, Chunk, list[float]]]) -> None:
        for speech, samples, _ in cuts:
            first = (speech.first - speech.context_start) * CHUNK
            said = samples[first : first + (speech.end - speech.first) * CHUNK]
            start = speech.first * CHUNK
            embeddings = self._voice_embeddings(windows_of(said))
            self._stretches.append(Stretch(start, start + said.size, embeddings))


def diarize(
    source: Source, speakers: int | None = None, **sound: Unpack[SoundOptions]
) -> list[Turn]:
    """Tell the speakers of a recording apart.

    Args:
        source: as for :func:`affekt.read`; the timeline reads it a second time.
        speakers: how many, at least 1; None to count them, up to 4.
        sound: as for a timeline; the channel must be one, or the mean of all.

    Returns:
        The turns of ``speaker 1``, who speaks first, and others.

    Raises:
        AudioError: a stream that can be read only once, or no sound.
    """
    if speakers is not None and speakers < 1:
        raise AudioError(f"speakers must be a number from 1, or auto. Got {speakers}.")
    channel, start = sound.get("channel"), sound.get("start", 0.0)
    if channel == "each":
        raise AudioError(
            "speakers are told apart in one channel. Got channel each. Name one, or leave out "
            "the speakers."
        )
    can_seek = getattr(source, "seekable", None)
    if isinstance(source, Decoded) or (can_seek and not can_seek()):
        raise AudioError(
            f"{source_name(source)} must be a recording that can be read twice, to tell its "
            f"speakers apart. Save it as a file."
        )
    finder = SpeakerFinder()
    for block in blocks(
        source,
        sample_rate=sound.get("sample_rate"),
        channel=channel,
        start=start,
        end=sound.get("end"),
        max_seconds=MAX_SECONDS,
    ):
        finder.push(block)
    finder.end()
    turns = finder.turns(speakers)
    return [replace(turn, start=turn.start + start, end=turn.end + start) for turn in turns]


def speaker_means(embeddings: Embeddings, speakers: int | None = None) -> Embeddings:
    """Cluster embeddings by speaker.

    Args:
        embeddings: ``(windows, 256)`` of length 1, at least one.
        speakers: how many; None to count them.

    Returns:
        ``(speakers, 256)``: the mean of each speaker, of length 1.
    """
    chosen = embeddings[:: -(-len(embeddings) // MOST_CLUSTERED)]
    if speakers is not None:
        return _clustered(chosen, min(speakers, len(chosen)))
    one = _unit(chosen.mean(axis=0, keepdims=True))
    if len(chosen) <= MOST_SPEAKERS:
        return one
    two = _clustered(chosen, 2)
    if two[0] @ two[1] > SAME:
        return one
    found = [two, *(_clustered(chosen, count) for count in range(3, MOST_SPEAKERS + 1))]
    return max(found, key=lambda means: _silhouette(chosen, means))


def _clustered(chosen: Embeddings, speakers: int) -> Embeddings:
    if speakers == 1:
        return _unit(chosen.mean(axis=0, keepdims=True))
    labels = AgglomerativeClustering(speakers, linkage="ward").fit_predict(chosen)
    means = _means(chosen, labels, np.zeros((speakers, chosen.shape[1]), np.float32))
    for _ in range(ROUNDS):
        means = _means(chosen, (chosen @ means.T).argmax(axis=1), means)
    return means


def _means(chosen: Embeddings, labels: NDArray[np.int64], before: Embeddings) -> Embeddings:
    """The mean of each cluster, of length 1; an empty one keeps its mean."""
    sums = [chosen[labels == n].sum(axis=0) for n in range(len(before))]
    return _unit(
        np.stack([total if total.any() else old for total, old in zip(sums, before, strict=True)])
    )


def _silhouette(chosen: Embeddings, means: Embeddings) -> float:
    labels = (chosen @ means.T).argmax(axis=1)
    if len(set(labels.tolist())) < len(means):
        return -1.0
    return float(silhouette_score(chosen, labels, metric="cosine"))


def _unit(vectors: Embeddings) -> Embeddings:
    unit: Embeddings = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _runs(stretch: Stretch, labels: list[int]) -> Iterator[tuple[int, int, int]]:
    """First sample, end and label of the windows in a row with one label."""
    last = max(0, stretch.end - stretch.start - SPAN)
    starts = [min(n * SPAN // 2, last) for n in range(len(labels))]
    begin = stretch.start
    for n in range(1, len(labels)):
        if labels[n] != labels[n - 1]:
            middle = stretch.start + (starts[n - 1] + starts[n] + SPAN) // 2
            yield begin, middle, labels[n - 1]
            begin = middle
    yield begin, stretch.end, labels[-1]
