"""Recognize a stream of samples, one result for each window.

A stream holds less than one window of sound, the graph's state and, if it resamples, the last one
to two seconds of input, so its memory is constant. Whole recordings use the same stream, so batch
and stream agree.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from affekt.audio.headers import checked
from affekt.audio.pcm import LOUDEST, Raw, chunk_samples
from affekt.audio.resampling import Resampler
from affekt.audio.windows import SAMPLE_RATE, WINDOW, sliding_windows
from affekt.errors import ModelError
from affekt.inference.graph import State, require_embedding
from affekt.inference.prediction import Segment, label_of
from affekt.inference.profile import Profile, profile_from, profile_state
from affekt.inference.saved_stream import forged, packed, unpacked
from affekt.inference.speech.quality import Quality, QualityLimits, QualityMeter

if TYPE_CHECKING:
    from affekt.inference.predictor import Predictor

BATCH = 8  # windows a run: more are no faster and take up to 3 MB each
QUALITY_SECONDS = 10.0  # time constant of the quality of a segment


class Stream:
    """One sound, chunk by chunk; made by :meth:`affekt.Predictor.stream`.

    One thread at a time may use a stream. Any number of streams may share a loaded model.

    Args:
        predictor: the loaded model, its profile and options; a reset keeps an adapted profile.
        sample_rate: Hz of the samples to come.

    Raises:
        AudioError: a sample rate out of range.
    """

    def __init__(self, predictor: "Predictor", sample_rate: int) -> None:
        self._rate, _ = checked(sample_rate, 1, "a stream")
        self._graph, self._adapt = predictor.graph, bool(predictor.adapt)
        self.limits, self.min_confidence = predictor.limits, predictor.min_confidence
        self._voice = predictor.profile.voice if predictor.profile else None
        profile = profile_state(predictor.profile, predictor.graph)
        self._state: State = {**predictor.graph.start, **profile}
        self.reset()

    @property
    def profile(self) -> Profile:
        """The profile that the stream was given, with its adaptation; no voice after a restore.

        Raises:
            ModelError: the model has no speaker normalization, there was no speech, or the stream
                was given no profile and does not adapt.
        """
        profile = profile_from(self._state, self._graph, adapt=self._adapt)
        return replace(profile, voice=self._voice)

    @property
    def embedding(self) -> NDArray[np.float32]:
        """``(features,)`` pooled over the sound up to the last window processed.

        Raises:
            ModelError: a model file without embeddings, or no window since the stream began, was
                reset or was restored.
        """
        require_embedding(self._graph)
        if self._embedding is None:
            raise ModelError("a stream has an embedding after its first window. Push more samples.")
        return self._embedding

    def reset(self) -> None:
        """Discard the sound so far, but not the profile; the next push starts a new sound."""
        self._embedding: NDArray[np.float32] | None = None
        #: Of the whole sound so far, or that a flush ended; None if it is not measured.
        self.quality: Quality | None = None
        self._begin()

    def _begin(self) -> None:
        profile = {name: self._state[name] for name in self._graph.profile}
        self._state = {**self._graph.start, **profile}
        self._waiting: NDArray[np.float32] = np.empty(0, np.float32)
        self._windows = 0  # processed so far
        self._meter = QualityMeter(QUALITY_SECONDS) if self.limits else None
        self._resampler = None if self._rate == SAMPLE_RATE else Resampler(self._rate)

    def push(self, samples: NDArray[Any] | Raw, *, encoding: str | None = None) -> list[Segment]:
        """Take the next chunk of the sound.

        Args:
            samples: ``(samples,)`` mono, any number: floats in [-1, 1], or integers, which are
                scaled by their width. Or raw samples as bytes.
            encoding: of bytes, such as ``s16le``, ``f32le`` or ``mulaw``: one of
                :data:`affekt.audio.pcm.ENCODINGS`.

        Returns:
            One segment for each window that this chunk completes.

        Raises:
            AudioError: more than one channel, no numbers, NaN or infinity among them, or bytes
                that are not whole samples of the encoding.
            ModelError: the model cannot run.
        """
        sound = np.concatenate([self._waiting, self._resampled(chunk_samples(samples, encoding))])
        if sound.size < WINDOW:
            self._waiting = sound
            return []
        segments = list(self._run(sound, "drop"))
        self._waiting = sound[len(segments) * self._graph.hop :].copy()
        return segments

    def flush(
        self, samples: NDArray[Any] | Raw | None = None, *, encoding: str | None = None
    ) -> list[Segment]:
        """End the sound and start a new one.

        Args:
            samples: its last chunk, as :meth:`push` takes it; none by default. Its windows are
                processed in one batch with the last windows, which is faster.
            encoding: of bytes.

        Returns:
            The segments of that chunk and of the samples still waiting. A sound shorter than one
            window is padded, and so is an incomplete last window if the model pads it. Empty
            without samples.

        Raises:
            AudioError, ModelError: as :meth:`push`.
        """
        parts = [self._waiting]
        if samples is not None:
            parts.append(self._resampled(chunk_samples(samples, encoding)))
        if self._resampler:
            parts.append(self._resampler.end())
        sound = np.concatenate(parts)
        last_window, hop = self._graph.last_window, self._graph.hop
        overlap = WINDOW - hop if self._windows else 0  # samples of the window before
        whole = sound.size >= WINDOW or last_window == "pad" or not self._windows
        first = self._windows * hop  # sample of the sound so far
        segments = list(self._run(sound, last_window)) if whole and sound.size > overlap else []
        self._measure(sound, first, sound.size, end=True)
        self._begin()
        return segments

    def process(self, sound: Iterable[NDArray[np.float32]]) -> tuple[list[Segment], int]:
        """Process a whole sound in as few runs of the model as possible.

        Args:
            sound: blocks ``(samples,)`` at 16 kHz, the rate of the stream.

        Returns:
            Its segments, and how many samples it had.
        """
        segments: list[Segment] = []
        samples, held = 0, np.empty(0, np.float32)
        enough = WINDOW + (BATCH - 1) * self._graph.hop  # samples that fill the first run
        for block in sound:
            samples += block.size
            held = np.concatenate([held, block])
            while held.size > enough:  # the rest is processed with the end
                segments += self.push(held[:enough])
                held, enough = held[enough:], BATCH * self._graph.hop
        return segments + self.flush(held), samples

    def save(self) -> bytes:
        """The stream as bytes, for :meth:`affekt.Predictor.restore` in any process.

        Returns:
            The SHA-256 of the rest; one line of JSON; and as little-endian float32 the graph's
            state, the samples that wait for a window, those that a new resampler processes again,
            and what was measured of the quality.
        """
        resampler = self._resampler
        replay = resampler.replay if resampler else np.empty(0, np.float32)
        header = {
            "model": self._graph.digest,
            "sample_rate": self._rate,
            "windows": self._windows,
            "adapt": self._adapt,
            "min_confidence": self.min_confidence,
            "limits": self.limits and asdict(self.limits),
            "waiting": self._waiting.size,
            "replay": replay.size,
            "second": resampler.second if resampler else 0,
            "given": resampler.given if resampler else 0,
        }
        meter = self._meter.save() if self._meter else np.empty(0, np.float32)
        return packed(header, [*self._state.values(), self._waiting, replay, meter])

    @classmethod
    def restore(cls, predictor: "Predictor", saved: Raw) -> Self:
        """Continue a saved stream; see :meth:`affekt.Predictor.restore`."""
        graph = predictor.graph
        header, numbers = unpacked(saved, graph)
        sizes = [start.size for start in graph.start.values()]
        sizes += [header["waiting"], header["replay"]]
        *state, waiting, replay, meter = np.split(numbers, np.cumsum(sizes))
        if sum(sizes) > numbers.size or not np.isfinite(numbers[: sum(sizes)]).all():
            raise forged("state", f"{numbers.size} numbers")
        if not all((np.abs(each) <= LOUDEST).all() for each in (waiting, replay)):
            raise forged("sound", "samples that are too loud")
        began = replace(  # with the options of the stream, not those of this predictor
            predictor,
            profile=None,
            adapt=header["adapt"],
            min_confidence=header["min_confidence"],
            limits=header["limits"] and QualityLimits(**header["limits"]),
        )
        stream = cls(began, header["sample_rate"])
        stream._state = {
            name: numbers.reshape(start.shape)
            for (name, start), numbers in zip(graph.start.items(), state, strict=True)
        }
        stream._windows = header["windows"]
        stream._waiting = waiting
        if stream._meter:
            windows = stream._windows
            measured = (windows - 1) * graph.hop + WINDOW if windows else 0  # samples
            if not stream._meter.restore(meter, measured):
                raise forged("quality", f"{meter.size} numbers")
            stream.quality = stream._meter.whole if windows else None
        elif meter.size:
            raise forged("state", f"{meter.size} numbers too many")
        if stream._resampler:
            late = stream._resampler.catch_up(
                replay, second=header["second"], given=header["given"]
            )
            stream._waiting = np.concatenate([waiting, late])
        return stream

    def _resampled(self, chunk: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._resampler.push(chunk) if self._resampler else chunk

    def _measure(
        self, sound: NDArray[np.float32], first: int, length: int, *, end: bool = False
    ) -> tuple[float | None, Quality | None, str | None]:
        """Measure a sound that starts at ``first`` up to ``length``: speech, quality, reason."""
        if self._meter is None or self.limits is None:
            return None, None, None
        before = self._meter.whole
        self._meter.push(sound[self._meter.samples - first : length], end=end)
        after, recent = self._meter.whole, self._meter.recent
        self.quality = after
        speech = after.speech_seconds - before.speech_seconds
        share = round(speech / max(after.seconds - before.seconds, 1e-3), 3)
        return min(share, 1.0), recent, self.limits.reason(recent)

    def _run(self, sound: NDArray[np.float32], last_window: str) -> Iterator[Segment]:
        """Run the model on the windows of a sound that starts with the next window."""
        hop, begin = self._graph.hop, self._windows * self._graph.hop
        windows = sliding_windows(sound, hop=hop, last_window=last_window)
        for first in range(0, len(windows), BATCH):
            batch = np.ascontiguousarray(windows[first : first + BATCH])
            outputs, self._state = self._graph.run(batch, self._state, adapt=self._adapt)
            if "embedding" in outputs:
                self._embedding = outputs["embedding"][-1].copy()
            probabilities = self._labelled(outputs["probabilities"])
            recent = self._labelled(outputs["recent"]) if "recent" in outputs else repeat(None)
            for number, (shares, last) in enumerate(
                zip(probabilities, recent, strict=False), first
            ):
                start = self._windows * hop
                self._windows += 1
                seen = min(WINDOW, sound.size - number * hop)
                times = start / SAMPLE_RATE, (start + seen) / SAMPLE_RATE
                speech, quality, reason = self._measure(sound, begin, number * hop + seen)
                label = label_of(shares, self.min_confidence, reason)
                yield Segment(*times, label, shares, last, speech, quality, reason)

    def _labelled(self, rows: NDArray[np.float32]) -> list[dict[str, float]]:
        return [dict(zip(self._graph.labels, row, strict=True)) for row in rows.tolist()]
