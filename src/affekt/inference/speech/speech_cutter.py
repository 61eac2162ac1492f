"""Cut the speech of one speaker out of a sound, in constant memory."""

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from affekt.inference.speech.vad import (
    CHUNK,
    CHUNK_SECONDS,
    LONGEST,
    PAUSE,
    SILENCE,
    USUAL,
    Speech,
    SpeechFinder,
    Thresholds,
)
from affekt.inference.timelines.rttm import Turn

Chunk = NDArray[np.float32]


def within(speech: Speech, samples: Chunk) -> Chunk:
    """The samples of a speech, without its context."""
    first = (speech.first - speech.context_start) * CHUNK
    return samples[first : first + (speech.end - speech.first) * CHUNK]


class SpeechCutter:
    """Cut the speech of one speaker out of a sound; the longest utterance limits the memory.

    ``spans`` are the turns of the speaker, None if there is no other; the sound begins at ``start``
    seconds of the recording.
    """

    def __init__(
        self,
        spans: Sequence[Turn] | None = None,
        start: float = 0.0,
        thresholds: Thresholds = USUAL,
    ) -> None:
        self._spans = None if spans is None else deque(sorted(spans, key=lambda turn: turn.start))
        self._finder, self._start = SpeechFinder(thresholds), start
        self._recent: deque[tuple[Chunk, float]] = deque(maxlen=LONGEST + PAUSE)
        self._chunks = 0
        self.samples = 0  #: taken so far

    def push(self, chunk: Chunk, probability: float) -> Iterator[tuple[Speech, Chunk, list[float]]]:
        """Take the next chunk; yield speech, its samples with context, and probabilities."""
        measured = probability
        if not self._in_a_span():  # zeros are neither speech nor a measure of the noise
            chunk, probability, measured = np.zeros_like(chunk), 0.0, SILENCE
        self._recent.append((chunk, measured))
        self._chunks += 1
        self.samples += chunk.size
        return map(self._with_context, self._finder.push(probability))

    def end(self) -> Iterator[tuple[Speech, Chunk, list[float]]]:
        """Yield the speech that has not ended."""
        return map(self._with_context, self._finder.end())

    def _in_a_span(self) -> bool:
        """Whether the middle of the next chunk lies in a span."""
        if self._spans is None:
            return True
        middle = self._start + (self._chunks + 0.5) * CHUNK_SECONDS
        while self._spans and self._spans[0].end <= middle:
            self._spans.popleft()
        return bool(self._spans) and self._spans[0].start <= middle

    def _with_context(self, speech: Speech) -> tuple[Speech, Chunk, list[float]]:
        oldest = self._chunks - len(self._recent)
        context = [*self._recent][speech.context_start - oldest : speech.context_end - oldest]
        return speech, np.concatenate([chunk for chunk, _ in context]), [p for _, p in context]
