"""Predict the emotion of a recording and of each of its windows."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any, Unpack, cast, overload

import numpy as np
from numpy.typing import NDArray

from affekt.audio.pcm import Raw
from affekt.audio.reading import blocks
from affekt.audio.sources import Source, is_source, source_file
from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import ModelError
from affekt.inference.graph import Graph, require_embedding
from affekt.inference.options import Part, TimelineOptions
from affekt.inference.parallel import in_order
from affekt.inference.prediction import Prediction
from affekt.inference.profile import (
    Profile,
    profile_state,
    read_profile,
    require_speaker_normalization,
)
from affekt.inference.shipped_models import DEFAULT_MODEL, load_model
from affekt.inference.speakers.speaker_timelines import recording_timeline
from affekt.inference.speakers.speech_embedding import SpeechEmbedder, mean_voice
from affekt.inference.speech.quality import LIMITS, QualityLimits
from affekt.inference.stream import Stream
from affekt.inference.summary import summarized
from affekt.inference.timelines.timeline import Timeline

Embedding = NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class Predictor:
    """A loaded model with options; made by :func:`affekt.load`. Threads may share it.

    Args:
        graph: the model; the other arguments are those of :func:`affekt.load`.

    Raises:
        ModelError: a profile or ``adapt`` for a model without speaker normalization, a profile of
            another kind of model, a confidence out of range, or limits of another type.
    """

    graph: Graph
    profile: Profile | None = None
    adapt: bool = False
    min_confidence: float = 0.0
    channel: int | None = None
    limits: QualityLimits | None = LIMITS

    def __post_init__(self) -> None:
        if not (isinstance(self.min_confidence, Real) and 0 <= self.min_confidence <= 1):
            raise ModelError(
                f"min_confidence must be a probability in [0, 1]. Got {self.min_confidence!r}. "
                f"Use 0 to reject no result."
            )
        for name, kind in (("profile", Profile), ("limits", QualityLimits)):
            if not isinstance(value := getattr(self, name), kind | None):
                raise ModelError(
                    f"{name} must be a {kind.__name__} or None. Got {value!r}. Leave it out for "
                    f"the default."
                )
        if self.adapt:
            require_speaker_normalization(self.graph, "leave out --adapt, or ")
        profile_state(self.profile, self.graph)

    def __repr__(self) -> str:
        """One line: model, digest, labels, profile."""
        profile = f"profile of {self.profile.seconds:.0f} s" if self.profile else "no profile"
        return (
            f"<affekt.Predictor {self.graph.file.stem} {self.graph.digest[:8]}: "
            f"{', '.join(self.labels)}; {profile}>"
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of the probabilities."""
        return self.graph.labels

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Metadata of the model file: name, corpora, licence, recipe, version."""
        return self.graph.metadata

    @overload  # a value that could be either, such as str, is one recording
    def predict(self, source: Source, **part: Unpack[Part]) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload
    def predict(
        self, source: Iterable[Source], *, jobs: int | None = None, **part: Unpack[Part]
    ) -> Iterator[Prediction]: ...

    def predict(
        self,
        source: Source | Iterable[Source],
        *,
        sample_rate: int | None = None,
        channel: int | None = None,
        start: float = 0.0,
        end: float | None = None,
        jobs: int | None = None,
    ) -> Prediction | Iterator[Prediction]:
        """Predict the emotion of a recording, or of many in parallel.

        Args:
            source: path, bytes or binary file of any format; samples as an array or PyTorch
                tensor; audio of a Hugging Face data set, decoded or not; or an iterable of these,
                which is read as predictions are taken.
            sample_rate: Hz, for arrays and tensors only.
            channel: to use, from 0; that of the predictor by default.
            start: seconds at which to begin.
            end: seconds at which to stop; the end of the recording by default.
            jobs: of an iterable, recordings at a time; one a core by default.

        Returns:
            The result after the last window, or of more than 30 s the share of speech in each
            emotion; and one segment for each window. Of an iterable, an iterator of results in
            order; it ends at one that cannot be read.

        Raises:
            AudioError: no sound, or not one that can be read.
            ModelError: the model cannot run.
        """
        channel = self.channel if channel is None else channel
        part = Part(sample_rate=sample_rate, channel=channel, start=start, end=end)
        if not is_source(source) and isinstance(source, Iterable):
            many = cast("Iterable[Source]", source)
            return in_order(self, lambda p, each: p._predicted(each, part), many, jobs=jobs)
        return self._predicted(source, part)

    def _predicted(self, source: Source, part: Part) -> Prediction:
        stream = self.stream()
        segments, samples = stream.process(blocks(source, **part))
        if start := float(part["start"]):
            segments = [replace(s, start=s.start + start, end=s.end + start) for s in segments]
        return summarized(source_file(source), segments, samples / SAMPLE_RATE, stream)

    @overload
    def embed(self, source: Source, **part: Unpack[Part]) -> Embedding: ...  # type: ignore[overload-overlap]

    @overload
    def embed(
        self, source: Iterable[Source], *, jobs: int | None = None, **part: Unpack[Part]
    ) -> Iterator[Embedding]: ...

    def embed(
        self, source: Source | Iterable[Source], *, jobs: int | None = None, **part: Unpack[Part]
    ) -> Embedding | Iterator[Embedding]:
        """Compute the embedding of a recording: the input of the network's last layer.

        Args:
            source: a recording or an iterable of them, as for :meth:`predict`.
            jobs: of an iterable, recordings at a time; one a core by default.
            part: ``sample_rate``, ``channel``, ``start`` and ``end``, as for :meth:`predict`.

        Returns:
            ``(features,)`` after the last window; of an iterable, an iterator of these in order.

        Raises:
            AudioError: no sound, or not one that can be read.
            ModelError: a model file without embeddings, or one that cannot run.
        """
        require_embedding(self.graph)
        if part.get("channel") is None:
            part["channel"] = self.channel
        if not is_source(source) and isinstance(source, Iterable):
            many = cast("Iterable[Source]", source)
            return in_order(self, lambda p, each: p._embedded(each, part), many, jobs=jobs)
        return self._embedded(source, part)

    def _embedded(self, source: Source, part: Part) -> Embedding:
        stream = replace(self, limits=None).stream()
        stream.process(blocks(source, **part))
        return stream.embedding

    def timeline(self, source: Source, **options: Unpack[TimelineOptions]) -> Timeline:
        """Predict the emotion of every utterance of a recording of any length.

        Args:
            source: one recording, as for :meth:`predict`.
            options: ``sample_rate``, ``channel``, ``start``, ``end``: as for :meth:`predict`;
                the channel may also be ``each``: one speaker a channel. ``time_constant``: seconds
                after which an earlier utterance weighs 1/e, 4 by default, 0 for none. ``watch``:
                called with every block of samples. ``speakers``: their number, ``auto`` to count
                them (both need scikit-learn), an RTTM file, or :class:`~affekt.Turn` objects.
                ``enrolled``: profiles of speakers by name, or their files.

        Returns:
            An iterator: one result for each stretch of speech between two pauses. Each speaker
            has a profile of their own: the enrolled one, or one that adapts to the recording.

        Raises:
            AudioError: no sound, or not one that can be read; or no such RTTM file.
            ModelError: the model cannot run; a profile of the predictor for several speakers, or an
                enrolled one of a name without turns.
        """
        return Timeline(recording_timeline(self, source, **options), self.labels)

    def stream(self, sample_rate: int = SAMPLE_RATE) -> Stream:
        """Begin a stream: chunks in, a segment for each window out.

        Args:
            sample_rate: Hz of the chunks to come, a whole number.

        Raises:
            AudioError: a sample rate out of range.
        """
        return Stream(self, sample_rate)

    def enroll(
        self, sources: Iterable[Source], *, sample_rate: int | None = None, voice: bool = False
    ) -> Profile:
        """Make a profile of a person from unlabelled speech.

        Args:
            sources: recordings of that person alone, as for :meth:`predict`. Eight short ones
                give most of the gain.
            sample_rate: Hz, for arrays only.
            voice: also store a speaker embedding, to find the person among several speakers.

        Returns:
            The profile, for :func:`affekt.load`. It extends that of this predictor, if any.

        Raises:
            AudioError: a recording that cannot be read.
            ModelError: a model without speaker normalization, or recordings without speech.
        """
        require_speaker_normalization(self.graph)
        stream = replace(self, adapt=True, limits=None).stream()
        embedder = SpeechEmbedder()
        for source in [sources] if is_source(sources) else sources:  # one is meant, not its parts
            sound = blocks(source, sample_rate=sample_rate, channel=self.channel)
            stream.process(embedder.observed(sound) if voice else sound)
        profile = stream.profile
        if not voice:
            return profile
        seconds = self.profile.seconds if self.profile else 0.0
        return replace(
            profile, voice=mean_voice(embedder.embeddings, profile.voice, weight=seconds)
        )

    def restore(self, saved: Raw) -> Stream:
        """Continue a stream where :meth:`affekt.Stream.save` left it, in any process.

        The checksum in the bytes detects damage. It does not authenticate them.

        Args:
            saved: the bytes. If others may write them, sign them yourself.

        Raises:
            ModelError: damaged or forged bytes, or those of another model's stream.
        """
        return Stream.restore(self, saved)


def load(
    model: str | Path | None = None,
    *,
    threads: int = 1,
    profile: Profile | str | Path | None = None,
    adapt: bool = False,
    min_confidence: float = 0.0,
    channel: int | None = None,
    limits: QualityLimits | None = LIMITS,
) -> Predictor:
    """Load a model, the shipped one by default.

    Args:
        model: path of a model file, or name of a shipped model.
        threads: CPU threads that one prediction may use, at least 1.
        profile: of the speaker, or its file; no enrolment by default.
        adapt: let each sound update the profile while it is processed.
        min_confidence: probability in [0, 1] below which a label is ``uncertain``.
        channel: of every recording to use, from 0; the mean of all by default.
        limits: of the quality below which a label is ``uncertain``; None measures no quality,
            which is faster.

    Raises:
        ModelError: no such model, an invalid model file, or invalid options (see
            :class:`affekt.Predictor`).
    """
    profile = None if profile is None else read_profile(profile)
    graph = load_model(DEFAULT_MODEL if model is None else model, threads=threads)
    return Predictor(graph, profile, adapt, min_confidence, channel, limits)
