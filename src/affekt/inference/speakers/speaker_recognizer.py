"""Recognize the utterances of one speaker of a recording, chunk by chunk."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from affekt.audio.windows import SAMPLE_RATE
from affekt.inference.prediction import label_of
from affekt.inference.speech.quality import QualityLimits, chunk_sums, quality_of
from affekt.inference.speech.speech_cutter import Chunk, SpeechCutter, within
from affekt.inference.speech.vad import CHUNK, CHUNK_SECONDS, Speech
from affekt.inference.stream import Stream
from affekt.inference.timelines.rttm import Turn
from affekt.inference.timelines.timeline import Smoother, Utterance, Watch

ALONE = 0.5  # s: the least speech without that of other speakers; chosen on RAVDESS and CREMA-D


@dataclass(frozen=True, slots=True)
class SpeakerRecognizer:
    """Recognize one speaker in the chunks of a channel."""

    stream: Stream  #: at 16 kHz, of this speaker alone
    cutter: SpeechCutter  #: cuts out the speech of this speaker
    smoother: Smoother  #: of its probabilities
    limits: QualityLimits | None  #: of the quality of an utterance; None measures none
    speaker: str | None  #: name; None if speakers are not distinguished
    channel: int | None  #: from 0; None for the mean of all
    listen: Watch | None  #: called with the samples of every utterance
    start: float  #: seconds of the recording at which the sound begins
    others: deque[Turn]  #: of other speakers, by start

    def push(self, chunk: Chunk, probability: float) -> Iterator[Utterance]:
        """Take the next 512 samples and their probability of speech; yield finished utterances."""
        return map(self._recognized, self.cutter.push(chunk, probability))

    def end(self) -> Iterator[Utterance]:
        """End the sound; yield the last utterance, if it has not ended."""
        return map(self._recognized, self.cutter.end())

    def _recognized(self, cut: tuple[Speech, Chunk, list[float]]) -> Utterance:
        speech, samples, probabilities = cut
        if self.listen:
            self.listen(within(speech, samples))
        shares = self.stream.flush(self._alone(speech, samples))[-1].probabilities
        quality = quality_of(chunk_sums(samples, probabilities)) if self.limits else None
        reason = self.limits.reason(quality) if self.limits and quality else None
        utterance = Utterance(
            file="",
            start=speech.first * CHUNK / SAMPLE_RATE,
            end=min(speech.end * CHUNK, self.cutter.samples) / SAMPLE_RATE,
            label=label_of(shares, self.stream.min_confidence, reason),
            probabilities=shares,
            speech=speech.share,
            quality=quality,
            reason=reason,
            speaker=self.speaker,
            channel=self.channel,
        )
        return self.smoother.push(utterance)

    def _alone(self, speech: Speech, samples: Chunk) -> Chunk:
        """Leave out the turns of others, unless less than 0.5 s of the speech remains."""
        chunks = np.arange(speech.context_start, speech.context_end)
        middles = self.start + (chunks + 0.5) * CHUNK_SECONDS
        while self.others and self.others[0].end <= middles[0]:
            self.others.popleft()
        alone = np.ones(len(middles), np.float32)
        for turn in takewhile(lambda turn: turn.start <= middles[-1], self.others):
            alone[(middles >= turn.start) & (middles < turn.end)] = 0
        alone = np.repeat(alone, CHUNK)[: samples.size]
        enough = within(speech, alone).sum() >= ALONE * SAMPLE_RATE
        return samples[alone > 0] if enough else samples
