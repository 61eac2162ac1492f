"""Compute embeddings of speech in windows, and name speakers by the most similar profile.

The threshold was chosen on RAVDESS actors 1 to 12: 8 clips of each against the others.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import ModelError
from affekt.inference.speakers.speaker_encoder import (
    SPAN,
    STEP,
    Embeddings,
    voice_embeddings,
    windows_of,
)
from affekt.inference.speech.speech_cutter import Chunk, SpeechCutter, within
from affekt.inference.speech.vad import CHUNK, ChunkDetector, Speech

SAMPLED = 128  # utterances
PERSON = 0.7  # cosine similarity above which an embedding is of a person
FEW = 16  # utterances, below which voices are not counted


@dataclass(frozen=True, slots=True)
class Stretch:
    """Speech between two pauses."""

    start: int  #: its first sample
    end: int  #: the sample after its last one
    embeddings: Embeddings  #: ``(windows, 256)``


def joined(stretches: Sequence[Stretch]) -> Embeddings:
    """Join the embeddings ``(windows, 256)`` of stretches of speech."""
    return np.concatenate([np.empty((0, 256), np.float32), *(s.embeddings for s in stretches)])


class SpeechEmbedder:
    """Take a sound block by block, and embed its speech."""

    def __init__(self) -> None:
        self._detector, self._cutter = ChunkDetector(), SpeechCutter()
        self.stretches: list[Stretch] = []  #: of speech so far

    @property
    def embeddings(self) -> Embeddings:
        """``(windows, 256)`` of all speech so far."""
        return joined(self.stretches)

    def push(self, block: Chunk) -> None:
        """Take the next ``(samples,)`` at 16 kHz."""
        for chunk, probability in self._detector.push(block):
            self._take(chunk, probability)

    def observed(self, sound: Iterable[Chunk]) -> Iterator[Chunk]:
        """Yield the blocks of a sound, unchanged, after their speech is embedded."""
        for block in sound:
            self.push(block)
            yield block
        self.end()

    def end(self) -> None:
        """End the sound; the next block begins another."""
        for chunk, probability in self._detector.end():
            self._take(chunk, probability)
        self.stretches += self._embedded(self._cutter.end())
        self._detector, self._cutter = ChunkDetector(), SpeechCutter()

    def _take(self, chunk: Chunk, probability: float) -> None:
        self.stretches += self._embedded(self._cutter.push(chunk, probability))

    def _embedded(
        self, cuts: Iterable[tuple[Speech, Chunk, list[float]]], span: int = SPAN
    ) -> Iterator[Stretch]:
        for speech, samples, _ in cuts:
            said = within(speech, samples)
            start = speech.first * CHUNK
            embeddings = voice_embeddings(windows_of(said, span), span)
            yield Stretch(start, start + said.size, embeddings)


class VoiceSample:
    """The middle 1.6 s of each utterance, of the first 128 of a recording."""

    def __init__(self) -> None:
        self._windows: list[Chunk] = []

    def push(self, said: Chunk) -> None:
        """Take the samples of the next utterance."""
        if len(self._windows) < SAMPLED:
            first = max(0, said.size - SPAN) // 2
            self._windows.append(said[first : first + SPAN].copy())

    def voices(self) -> int:
        """Count the voices; 1 if there are few utterances, or scikit-learn is not installed."""
        if len(self._windows) < FEW:
            return 1
        try:
            from affekt.inference.speakers.diarization import NOTED, speaker_means
        except ModuleNotFoundError:
            return 1
        return len(speaker_means(voice_embeddings(self._windows), same=NOTED))


def mean_voice(
    embeddings: Embeddings, before: NDArray[np.float32] | None = None, *, weight: float = 0.0
) -> NDArray[np.float32]:
    """Compute the mean ``(256,)``, of length 1, of one person's embeddings ``(windows, 256)``.

    It extends the mean ``before``, which weighs so many seconds of speech.

    Raises:
        ModelError: no speech.
    """
    total = embeddings.sum(axis=0) * STEP / SAMPLE_RATE
    if before is not None:
        total = total + weight * before
    if not total.any():
        raise ModelError("no speech detected; name recordings with speech.")
    voice: NDArray[np.float32] = (total / np.linalg.norm(total)).astype(np.float32)
    return voice


def named(means: Embeddings, voices: Mapping[str, NDArray[np.float32]]) -> list[str]:
    """Name mean embeddings ``(voices, 256)`` after the most similar persons, each person once.

    All embeddings have length 1. Voices that are of no person are ``speaker 1`` and so on.

    >>> named(np.eye(3, 256), {"anna": np.eye(3, 256)[1]})
    ['speaker 1', 'anna', 'speaker 2']
    """
    people = [*voices]
    alike = means @ np.stack([*voices.values()]).T if people else np.empty((len(means), 0))
    found: dict[int, str] = {}
    for place in np.argsort(-alike, axis=None).tolist():  # the most similar pair first
        voice, person = divmod(place, len(people))
        name = people[person]
        if alike[voice, person] > PERSON and voice not in found and name not in found.values():
            found[voice] = name
    unknown = (f"speaker {n}" for n in count(1) if f"speaker {n}" not in people)
    return [found[n] if n in found else next(unknown) for n in range(len(means))]


def name_channels(
    sound: Iterable[NDArray[np.float32]], voices: Mapping[str, NDArray[np.float32]]
) -> list[str]:
    """Name the channels of a sound, with one speaker each, as :func:`named` does.

    The sound comes in blocks ``(samples, channels)`` at 16 kHz. An unknown speaker of the first
    channel is ``speaker 1``, and so on, unless a person has such a name.
    """
    embedders: list[SpeechEmbedder] = []
    for block in sound:
        embedders = embedders or [SpeechEmbedder() for _ in range(block.shape[1])]
        for embedder, samples in zip(embedders, block.T, strict=True):
            embedder.push(samples)
    means = []
    for embedder in embedders:
        embedder.end()
        total = embedder.embeddings.sum(axis=0)
        means.append(total / max(float(np.linalg.norm(total)), 1e-9))
    names = named(np.stack(means), voices)
    own = [f"speaker {channel}" for channel in range(1, len(names) + 1)]
    if voices.keys() & {*own}:
        return names
    return [name if name in voices else by_place for name, by_place in zip(names, own, strict=True)]
