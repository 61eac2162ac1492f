"""Embed the speech of a sound: find it, cut it into windows, and compute their embeddings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import ModelError
from affekt.inference.speaker_encoder import SPAN, STEP, Embeddings, voice_embeddings, windows_of
from affekt.inference.speech_cutter import Chunk, SpeechCutter, within
from affekt.inference.vad import CHUNK, ChunkDetector, Speech

SAMPLED = 128  # utterances
FEW = 16  # utterances, below which voices are not counted


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


class SpeechEmbedder:
    """Take a sound block by block, and embed its speech.

    Args:
        embed: computes an embedding of length 1 for each window of samples.

    Attributes:
        stretches: of speech so far.
    """

    def __init__(self, embed: Callable[[list[Chunk]], Embeddings] = voice_embeddings) -> None:
        self._voice_embeddings = embed
        self._detector, self._cutter = ChunkDetector(), SpeechCutter(None, 0.0)
        self.stretches: list[Stretch] = []

    @property
    def embeddings(self) -> Embeddings:
        """``(windows, 256)`` of all speech so far."""
        none = np.empty((0, 256), np.float32)
        return np.concatenate([none, *(each.embeddings for each in self.stretches)])

    def push(self, block: Chunk) -> None:
        """Take the next ``(samples,)`` at 16 kHz."""
        for chunk, probability in self._detector.push(block):
            self._embed(self._cutter.push(chunk, probability))

    def end(self) -> None:
        """End the sound; the next block begins another."""
        for chunk, probability in self._detector.end():
            self._embed(self._cutter.push(chunk, probability))
        self._embed(self._cutter.end())
        self._detector, self._cutter = ChunkDetector(), SpeechCutter(None, 0.0)

    def _embed(self, cuts: Iterable[tuple[Speech, Chunk, list[float]]]) -> None:
        for speech, samples, _ in cuts:
            said = within(speech, samples)
            start = speech.first * CHUNK
            embeddings = self._voice_embeddings(windows_of(said))
            self.stretches.append(Stretch(start, start + said.size, embeddings))


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
            from affekt.inference.diarization import NOTED, speaker_means
        except ModuleNotFoundError:
            return 1
        return len(speaker_means(voice_embeddings(self._windows), same=NOTED))


def mean_voice(
    embeddings: Embeddings, before: NDArray[np.float32] | None = None, *, weight: float = 0.0
) -> NDArray[np.float32]:
    """Compute the mean embedding of one person, by which the person is recognized.

    Args:
        embeddings: ``(windows, 256)`` of that person alone.
        before: ``(256,)`` that is extended; None for a new one.
        weight: of ``before``, in seconds of speech.

    Returns:
        ``(256,)`` of length 1.

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
