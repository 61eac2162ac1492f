"""Detect speech and cut it at pauses, in constant memory.

Silero VAD gives a probability of speech every 32 ms. Speech begins at its default threshold and
ends with a pause; shorter silences are part of articulation. Speech of more than ten seconds is cut
where its probability is lowest.

Source: Silero Team, "Silero VAD" (MIT); the file beside this module is made by
``benchmarks/speech_detector.py``. Thresholds, shortest speech and padding are its defaults. Pause:
Goldman-Eisler, "Psycholinguistics" (1968); De Jong & Bosker, "Choosing a threshold for silent
pauses" (2013). Cut: the min-cut of Bain et al., "WhisperX" (2023).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from affekt.audio.windows import SAMPLE_RATE
from affekt.inference.graph import shipped_session

FILE = Path(__file__).with_name("silero_vad.onnx")
CHUNK = 512  # samples of one probability: 32 ms
CHUNK_SECONDS = CHUNK / SAMPLE_RATE
CONTEXT = 64  # samples of the chunk before that the detector takes too
BATCH = 64  # chunks a run: more are no faster
SHORTEST = 8  # chunks: 0.25 s; shorter bursts are no speech
PAUSE = 8  # chunks: 0.25 s
LONGEST = 312  # chunks: just under 10 s, padding and all


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where speech begins and ends."""

    speech: float = 0.5  #: probability at which it begins
    silence: float = 0.35  #: probability below which it may have ended
    padding: int = 1  #: chunks of 32 ms added on both sides, at most half a pause


USUAL = Thresholds()
SPEECH, SILENCE = USUAL.speech, USUAL.silence
SOFT_SPEECH = Thresholds(speech=0.1, silence=0.05, padding=3)  # chosen for diarization


class ChunkDetector:
    """Silero VAD on one sound that comes in blocks; all detectors share the loaded model."""

    def __init__(self) -> None:
        #: ``(2, 1, 128)`` of the network, and ``(64,)`` last samples of the chunk before
        self.state = np.zeros((2, 1, 128), np.float32), np.zeros(CONTEXT, np.float32)
        self.rest = np.empty(0, np.float32)  #: the last samples, which do not fill a chunk yet

    def push(self, block: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.float32], float]]:
        """Take the next ``(samples,)``; yield chunks ``(512,)`` and their probability of speech."""
        sound = np.concatenate([self.rest, block])
        whole = len(sound) // CHUNK * CHUNK
        self.rest = sound[whole:]
        for first in range(0, whole, BATCH * CHUNK):
            part = sound[first : min(first + BATCH * CHUNK, whole)]
            yield from zip(part.reshape(-1, CHUNK), self._probabilities(part), strict=True)

    def end(self) -> Iterator[tuple[NDArray[np.float32], float]]:
        """Yield the last samples, if they do not fill a chunk."""
        rest, self.rest = self.rest, np.empty(0, np.float32)
        if rest.size:
            (probability,) = self._probabilities(np.pad(rest, (0, CHUNK - rest.size)))
            yield rest, probability

    def _probabilities(self, part: NDArray[np.float32]) -> list[float]:
        before, context = self.state
        samples = np.concatenate([context, np.clip(part, -1.0, 1.0)])
        chunks = sliding_window_view(samples, CONTEXT + CHUNK)[::CHUNK]
        given = {"chunks": np.ascontiguousarray(chunks), "state": before}
        found, after = shipped_session(FILE).run(None, given)
        self.state = after, samples[-CONTEXT:]
        return [*map(float, found)]


@dataclass(frozen=True, slots=True)
class Speech:
    """A stretch of speech between two pauses, in chunks from the start of the sound."""

    first: int  #: its first chunk
    end: int  #: the chunk after its last one
    share: float  #: of its chunks, those that hold speech, in [0, 1]
    context_start: int  #: first chunk of its context: earlier by a pause, or where it was cut
    context_end: int  #: chunk after its context: later by a pause, or where it was cut


class SpeechFinder:
    """Find the stretches of speech by the probability of speech of each chunk.

    They come in order, without overlap, each at most :data:`LONGEST` chunks, as soon as the pause
    after them is long enough or they must be cut.

    >>> finder, probabilities = SpeechFinder(), [0.1] * 20 + [0.9] * 40 + [0.1] * 20
    >>> [(speech.first, speech.end) for each in probabilities for speech in finder.push(each)]
    [(19, 61)]
    """

    def __init__(self, thresholds: Thresholds = USUAL) -> None:
        self._thresholds = thresholds
        self._chunks = 0  # pushed so far
        self._running: list[float] = []  # speech that has not ended: probabilities, with padding
        self._first = self._context_start = self._padding = self._quiet = 0  # of that speech

    def push(self, probability: float) -> Iterator[Speech]:
        """Take the probability of the next chunk; yield finished speech."""
        position, self._chunks = self._chunks, self._chunks + 1
        if not self._running:
            if probability < self._thresholds.speech:
                return
            self._context_start = max(0, position - PAUSE)
            self._first = max(0, position - self._thresholds.padding)
            self._padding = position - self._first
            self._running = [0.0] * self._padding
        self._running.append(probability)
        self._quiet = self._quiet + 1 if probability < self._thresholds.silence else 0
        if self._quiet == PAUSE:
            yield from self.end()
        elif len(self._running) == LONGEST:
            yield self._cut()

    def end(self) -> Iterator[Speech]:
        """Yield the speech that has not ended, unless it is too short; the sound is over."""
        loud = len(self._running) - self._quiet
        if loud - self._padding >= SHORTEST:
            length = loud + min(self._thresholds.padding, self._quiet)
            yield self._until(length, self._first + len(self._running))
        self._running = []

    def _cut(self) -> Speech:
        """Cut at the least speech-like chunk of the second half; the speech continues there."""
        half = len(self._running) // 2
        length = half + int(np.argmin(self._running[half:]))
        part = self._until(length, self._first + length)
        self._first = self._context_start = part.end
        self._running = self._running[length:]
        self._padding = 0
        return part

    def _until(self, length: int, context_end: int) -> Speech:
        share = sum(probability >= SPEECH for probability in self._running[:length]) / length
        return Speech(self._first, self._first + length, share, self._context_start, context_end)
