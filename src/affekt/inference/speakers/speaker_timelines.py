"""Recognize the emotion of every utterance of a recording, by speaker.

Every utterance is processed by itself, with 0.25 s of context on both sides. Each speaker has a
channel, or the turns of a diarization, and a separate stream, so profile, adaptation and smoothing
are independent. The recording is decoded once for all speakers.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from affekt.audio.reading import Channel, Span, channel_blocks
from affekt.audio.sources import Source, require_rereadable, source_file
from affekt.errors import AudioError, ModelError
from affekt.inference.options import Speakers
from affekt.inference.profile import Profile, read_profile, voice_in
from affekt.inference.speakers.speaker_recognizer import SpeakerRecognizer
from affekt.inference.speakers.speech_embedding import name_channels
from affekt.inference.speech.speech_cutter import Chunk, SpeechCutter
from affekt.inference.speech.vad import ChunkDetector
from affekt.inference.timelines.rttm import Turn, read_rttm, read_turns
from affekt.inference.timelines.timeline import (
    TIME_CONSTANT,
    Smoother,
    Utterance,
    Watch,
    fill_turns,
)

if TYPE_CHECKING:
    from affekt.inference.predictor import Predictor

MAX_SECONDS = 30 * 24 * 3600.0  # s: a month; the memory does not grow


def recording_timeline(
    predictor: "Predictor",
    source: Source,
    *,
    speakers: Speakers = None,
    enrolled: Mapping[str, Profile | str | Path] | None = None,
    channel: Channel = None,
    time_constant: float = TIME_CONSTANT,
    watch: Watch | None = None,
    listen: Watch | None = None,
    **span: Unpack[Span],
) -> Iterator[Utterance]:
    """Recognize the emotion of every utterance; see :meth:`affekt.Predictor.timeline`.

    ``listen`` is called with the samples of every utterance, without its context.
    """
    channel = predictor.channel if channel is None else channel
    one = None if channel == "each" else channel
    profiles = {name: read_profile(each) for name, each in (enrolled or {}).items()}
    speakers = int(speakers) if isinstance(speakers, np.integer) else speakers
    if not (isinstance(time_constant, Real) and 0 <= time_constant < math.inf):
        raise AudioError(
            f"time_constant must be seconds, at least 0. Got {time_constant!r}. Use 0 for no "
            f"average."
        )
    _check_speakers(predictor, speakers, profiles, each=channel == "each")
    names = _channel_names(source, profiles, span) if profiles and channel == "each" else ()
    turns = _turns(source, speakers, profiles, one, span)
    start = span.get("start", 0.0)
    recognizers = _Recognizers(
        predictor, profiles, start, time_constant, listen, channel, names, turns
    )
    read: Channel = "each" if recognizers.by_channel else one
    sound = channel_blocks(source, channel=read, **span, max_seconds=MAX_SECONDS)
    name = source_file(source)
    found = (
        replace(u, file=name, start=u.start + float(start), end=u.end + float(start))
        for u in _utterances(sound, recognizers, watch)
    )
    if turns and (isinstance(speakers, int) or speakers == "auto"):
        return fill_turns(found, turns)
    return found


def _check_speakers(
    predictor: "Predictor", speakers: Speakers, enrolled: Mapping[str, Profile], *, each: bool
) -> None:
    if not isinstance(speakers, int | str | Path | None) and not (
        isinstance(speakers, Collection) and all(isinstance(turn, Turn) for turn in speakers)
    ):
        raise AudioError(
            f"speakers must be a number, auto, an RTTM file or a list of affekt.Turn. Got "
            f"{speakers!r:.60}. Pass one of these."
        )
    if each and speakers is not None:
        raise AudioError(
            "speakers are distinguished in one channel. Got channel each. Name one, or leave out "
            "the speakers."
        )
    if enrolled and not each and speakers is None:
        raise ModelError(
            "enrolled profiles must be of speakers who are distinguished. Got one timeline of all. "
            "Pass speakers, or channel each."
        )
    if predictor.profile and (each or speakers is not None):
        raise ModelError(
            "a profile of the predictor must be of the only speaker. Got several speakers. "
            "Pass enrolled={name: profile} (--speaker NAME=FILE) instead."
        )
    if enrolled:
        check_names(speakers, enrolled)


def check_names(speakers: Speakers, enrolled: Mapping[str, Profile]) -> None:
    """Raise a ModelError for a profile of a name that turns, or a whole RTTM file, lack."""
    if speakers is None or speakers == "auto" or isinstance(speakers, int):
        return  # named by their voices
    where = "the turns"
    if isinstance(speakers, str | Path):
        where, speakers = str(speakers), [turn for _, turn in read_rttm(speakers)]
    names = dict.fromkeys(turn.speaker for turn in speakers)
    if unknown := ", ".join(name for name in enrolled if name not in names):
        raise ModelError(
            f"enrolled profiles (--speaker NAME=FILE) must be of speakers of {where}: "
            f"{', '.join(names) or 'none'}. Got {unknown}. Correct the name."
        )


def _channel_names(source: Source, enrolled: Mapping[str, Profile], span: Span) -> list[str]:
    """Name the speaker of each channel by the voice; the sound is read once more for this."""
    require_rereadable(source)
    voices = {name: voice_in(profile, name) for name, profile in enrolled.items()}
    return name_channels(channel_blocks(source, **span, max_seconds=MAX_SECONDS), voices)


def _turns(
    source: Source,
    speakers: Speakers,
    enrolled: Mapping[str, Profile],
    channel: int | None,
    span: Span,
) -> Sequence[Turn] | None:
    """Read the turns of speakers, or find them in the sound."""
    if isinstance(speakers, int) or speakers == "auto":
        try:
            from affekt.inference.speakers.diarization import diarize
        except ModuleNotFoundError as error:
            raise ModelError(
                "speakers are distinguished by scikit-learn, which is missing. Install it with: "
                "pip install 'affekt[speakers]'"
            ) from error
        voices = {name: voice_in(profile, name) for name, profile in enrolled.items()}
        number = speakers if isinstance(speakers, int) else None
        return diarize(source, number, voices=voices, channel=channel, **span)
    if isinstance(speakers, str | Path):
        speakers = read_turns(speakers, source_file(source))
    if speakers and channel is not None and len({turn.channel for turn in speakers}) > 1:
        return [turn for turn in speakers if turn.channel == channel]
    return speakers


class _Channel:
    """The speakers of one channel, which share a speech detector."""

    def __init__(self, column: int, speakers: Sequence[SpeakerRecognizer]) -> None:
        self.column, self._speakers, self._detector = column, speakers, ChunkDetector()

    def push(self, block: Chunk) -> Iterator[Utterance]:
        for chunk, probability in self._detector.push(block):
            for speaker in self._speakers:
                yield from speaker.push(chunk, probability)

    def end(self) -> Iterator[Utterance]:
        last = [*self._detector.end()]
        for speaker in self._speakers:
            for chunk, probability in last:
                yield from speaker.push(chunk, probability)
            yield from speaker.end()


@dataclass(frozen=True, eq=False)
class _Recognizers:
    """Make the recognizers of the speakers of one recording, each with a stream of its own."""

    predictor: "Predictor"
    enrolled: Mapping[str, Profile]
    start: float
    time_constant: float
    listen: Watch | None
    channel: Channel
    names: Sequence[str]  #: of the speakers of the channels, for ``each``; may be empty
    turns: Sequence[Turn] | None

    @property
    def by_channel(self) -> bool:
        """Whether each channel has speakers of its own."""
        return self.channel == "each" or len({turn.channel for turn in self.turns or ()}) > 1

    def channels(self, width: int) -> list[_Channel]:
        """The channels in use of a sound with ``width`` channels."""
        if self.channel == "each":
            names = self.names or [f"speaker {n + 1}" for n in range(width)]
            return [_Channel(n, [self._recognizer(name, n)]) for n, name in enumerate(names)]
        if self.turns is None:
            return [_Channel(0, [self._recognizer(None, self.channel)])]
        if not self.by_channel:
            return [_Channel(0, self._recognizers(self.channel, self.turns))]
        used = sorted({turn.channel for turn in self.turns})
        if used[-1] >= width:
            raise AudioError(
                f"channels of a diarization must be in [1, {width}] for this recording. "
                f"Got {used[-1] + 1}. Correct the third column of the RTTM file, or choose one "
                f"channel."
            )
        turns_of = {n: [turn for turn in self.turns if turn.channel == n] for n in used}
        return [_Channel(n, self._recognizers(n, turns)) for n, turns in turns_of.items()]

    def _recognizers(self, channel: int | None, turns: Sequence[Turn]) -> list[SpeakerRecognizer]:
        speakers = dict.fromkeys(turn.speaker for turn in turns)
        return [self._recognizer(speaker, channel, turns) for speaker in speakers]

    def _recognizer(
        self, speaker: str | None, channel: int | None, turns: Sequence[Turn] | None = None
    ) -> SpeakerRecognizer:
        chosen = replace(self.predictor, limits=None)  # the timeline detects speech itself
        if speaker is not None:
            profile = self.enrolled.get(speaker)
            adapt = chosen.adapt or (profile is None and bool(chosen.graph.profile))
            chosen = replace(chosen, profile=profile, adapt=adapt)
        own = turns and [turn for turn in turns if turn.speaker == speaker]
        others = (turn for turn in turns or () if turn.speaker != speaker)
        return SpeakerRecognizer(
            chosen.stream(),
            SpeechCutter(own, self.start),
            Smoother(self.time_constant, chosen.min_confidence),
            limits=self.predictor.limits,
            speaker=speaker,
            channel=channel if channel is None else int(channel),  # not one of NumPy
            listen=self.listen,
            start=self.start,
            others=deque(sorted(others, key=lambda turn: turn.start)),
        )


def _utterances(
    sound: Iterable[Chunk], recognizers: _Recognizers, watch: Watch | None
) -> Iterator[Utterance]:
    """Utterances in the order of their ends within a block ``(samples, channels)``."""
    channels: list[_Channel] = []
    for block in sound:
        channels = channels or recognizers.channels(block.shape[1])
        if watch:
            watch(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1))
        yield from _by_end([each.push(block[:, each.column]) for each in channels])
    yield from _by_end([each.end() for each in channels])


def _by_end(found: Sequence[Iterator[Utterance]]) -> Iterator[Utterance]:
    if len(found) == 1:  # nothing to merge: each as soon as it ends
        yield from found[0]
    else:
        yield from sorted((u for each in found for u in each), key=lambda u: u.end)
