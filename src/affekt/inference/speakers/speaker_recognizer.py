"""Recognize the utterances of one speaker of a recording, chunk by chunk."""

from collections.abc import Iterator

from affekt.audio.windows import SAMPLE_RATE
from affekt.inference.prediction import label_of
from affekt.inference.speech.quality import QualityLimits, quality_of_speech
from affekt.inference.speech.speech_cutter import Chunk, SpeechCutter, within
from affekt.inference.speech.vad import CHUNK, CHUNK_SECONDS, Speech
from affekt.inference.stream import Stream
from affekt.inference.timelines.timeline import Smoother, Utterance, Watch


class SpeakerRecognizer:
    """Recognize one speaker in the chunks of a channel.

    Args:
        stream: at 16 kHz, of this speaker alone.
        cutter: cuts out the speech of this speaker.
        smoother: of its probabilities; None for none.
        limits: of the quality of an utterance; None measures none.
        speaker: name; None if speakers are not distinguished.
        channel: from 0; None for the mean of all.
        listen: called with the samples of every utterance.
    """

    def __init__(
        self,
        stream: Stream,
        cutter: SpeechCutter,
        *,
        smoother: Smoother | None,
        limits: QualityLimits | None,
        speaker: str | None,
        channel: int | None,
        listen: Watch | None,
    ) -> None:
        self._stream, self._cutter, self._smoother = stream, cutter, smoother
        self._limits, self._speaker, self._channel = limits, speaker, channel
        self._listen = listen

    def push(self, chunk: Chunk, probability: float) -> Iterator[Utterance]:
        """Take the next 512 samples and their probability of speech; yield finished utterances."""
        return map(self._answer, self._cutter.push(chunk, probability))

    def end(self) -> Iterator[Utterance]:
        """End the sound; yield the last utterance, if it has not ended."""
        return map(self._answer, self._cutter.end())

    def _answer(self, cut: tuple[Speech, Chunk, list[float]]) -> Utterance:
        speech, samples, probabilities = cut
        if self._listen:
            self._listen(within(speech, samples))
        shares = self._stream.flush(samples)[-1].probabilities
        quality = quality_of_speech(samples, probabilities) if self._limits else None
        reason = self._limits.reason(quality) if self._limits and quality else None
        utterance = Utterance(
            file="",
            start=speech.first * CHUNK_SECONDS,
            end=min(speech.end * CHUNK, self._cutter.samples) / SAMPLE_RATE,
            label=label_of(shares, self._stream.min_confidence, reason),
            probabilities=shares,
            speech=speech.share,
            quality=quality,
            reason=reason,
            speaker=self._speaker,
            channel=self._channel,
        )
        return self._smoother.push(utterance) if self._smoother else utterance
