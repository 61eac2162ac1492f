"""Recognize the emotion of every utterance of a recording, by speaker.

Every utterance is processed by itself, with 0.25 s of context on both sides. Each speaker has a
channel, or the turns of a diarization, and a separate stream, so profile, adaptation and smoothing
are independent. The recording is decoded once for all speakers.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from affekt.audio.reading import blocks, channel_blocks
from affekt.audio.sources import Source, require_rereadable, source_file
from affekt.errors import AudioError, ModelError
from affekt.inference.options import Channel, SoundOptions, Speakers
from affekt.inference.profile import Profile, voice_in
from affekt.inference.speakers.speaker_recognizer import SpeakerRecognizer
from affekt.inference.speakers.speech_embedding import name_channels
from affekt.inference.speech.quality import QualityLimits
from affekt.inference.speech.speech_cutter import Chunk, SpeechCutter
from affekt.inference.speech.vad import ChunkDetector
from affekt.inference.stream import Stream
from affekt.inference.timelines.rttm import Turn, read_turns
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
Streams = Callable[[str | None], Stream]


def timeline(
    stream_of: Streams,
    source: Source,
    *,
    sample_rate: int | None = None,
    channel: Channel = None,
    start: float = 0.0,
    end: float | None = None,
    time_constant: float = TIME_CONSTANT,
    watch: Watch | None = None,
    listen: Watch | None = None,
    limits: QualityLimits | None = None,
    turns: Sequence[Turn] | None = None,
    names: Sequence[str] = (),
) -> Iterator[Utterance]:
    """Recognize the emotion of every utterance; see :meth:`affekt.Predictor.timeline`.

    Args:
        stream_of: makes the stream of a speaker, at 16 kHz, without quality limits; the name is
            None if speakers are not distinguished.
        source: as for :func:`affekt.read`, like the four that follow.
        sample_rate: Hz, for an array only.
        channel: to use, from 0; the mean of all by default; ``each`` takes each one as a speaker.
        start: seconds at which to begin.
        end: seconds at which to stop.
        time_constant: of the smoothing, in seconds; 0 for none.
        watch: called with every block of samples, the mean of all channels in use.
        listen: called with the samples of every utterance, without its context.
        limits: of the quality below which an utterance is ``uncertain``; None measures none.
        turns: of the speakers, in seconds from the start of the recording; those of several
            channels apply to their own channel, unless ``channel`` names one.
        names: of the speakers of all channels, for ``each``; by default ``speaker 1`` and so on.

    Returns:
        Utterances as they end.

    Raises:
        AudioError: as :func:`affekt.read`, or a time constant out of range.
        ModelError: the model cannot run.
    """
    if not (math.isfinite(time_constant) and time_constant >= 0):
        raise AudioError(
            f"time_constant of a timeline must be seconds, at least 0. Got {time_constant}."
        )

    def recognizer(
        speaker: str | None, at: int | None, turns: Sequence[Turn] | None = None
    ) -> SpeakerRecognizer:
        stream = stream_of(speaker)
        smoother = Smoother(time_constant, stream.min_confidence) if time_constant else None
        spans = turns and [turn for turn in turns if turn.speaker == speaker]
        others = [turn for turn in turns or () if turn.speaker != speaker]
        others = [replace(turn, start=turn.start - start, end=turn.end - start) for turn in others]
        cutter = SpeechCutter(spans, start)
        return SpeakerRecognizer(
            stream,
            cutter,
            smoother=smoother,
            limits=limits,
            speaker=speaker,
            channel=at,
            listen=listen,
            others=deque(sorted(others, key=lambda turn: turn.start)),
        )

    several = turns is not None and channel is None and len({turn.channel for turn in turns}) > 1
    if channel == "each" or several:
        sound = channel_blocks(
            source, sample_rate=sample_rate, start=start, end=end, max_seconds=MAX_SECONDS
        )
        channels = _each_channel(sound, recognizer, names, turns if several else None)
    else:
        mono = blocks(
            source,
            sample_rate=sample_rate,
            channel=channel,
            start=start,
            end=end,
            max_seconds=MAX_SECONDS,
        )
        if turns is None:
            channels = _one_channel(mono, [recognizer(None, channel)])
        else:
            channels = _one_channel(mono, _recognizers(recognizer, channel, turns))
    name = source_file(source)
    return (
        replace(u, file=name, start=u.start + start, end=u.end + start)
        for u in _utterances(channels, watch)
    )


def recording_timeline(
    predictor: "Predictor",
    source: Source,
    *,
    speakers: Speakers = None,
    enrolled: Mapping[str, Profile] | None = None,
    **sound: Unpack[SoundOptions],
) -> Iterator[Utterance]:
    """Find the speakers of a recording, and recognize them as :func:`timeline` does.

    Raises:
        AudioError: as :func:`timeline`, or an RTTM file without this recording.
        ModelError: the model cannot run; a profile of the predictor for several speakers.
    """
    sound.setdefault("channel", predictor.channel)
    each = sound["channel"] == "each"
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

    def stream_of(speaker: str | None) -> Stream:
        chosen = replace(predictor, limits=None)  # the timeline detects speech itself
        if speaker is not None:
            profile = (enrolled or {}).get(speaker)
            adapt = predictor.adapt or (profile is None and bool(predictor.graph.profile))
            chosen = replace(chosen, profile=profile, adapt=adapt)
        return chosen.stream()

    names = _channel_names(source, enrolled, **sound) if enrolled and each else ()
    turns = _turns(source, speakers, enrolled or {}, **sound)
    found = timeline(stream_of, source, limits=predictor.limits, turns=turns, names=names, **sound)
    if turns and (isinstance(speakers, int) or speakers == "auto"):
        return fill_turns(found, turns)
    return found


def _channel_names(
    source: Source, enrolled: Mapping[str, Profile], **sound: Unpack[SoundOptions]
) -> list[str]:
    """Name the speaker of each channel by the voice; the sound is read once more for this."""
    require_rereadable(source)
    voices = {name: voice_in(profile, name) for name, profile in enrolled.items()}
    blocks_of_all = channel_blocks(
        source,
        sample_rate=sound.get("sample_rate"),
        start=sound.get("start", 0.0),
        end=sound.get("end"),
        max_seconds=MAX_SECONDS,
    )
    return name_channels(blocks_of_all, voices)


def _turns(
    source: Source,
    speakers: Speakers,
    enrolled: Mapping[str, Profile],
    **sound: Unpack[SoundOptions],
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
        return diarize(source, number, voices=voices, **sound)
    if isinstance(speakers, str | Path):
        return read_turns(speakers, source_file(source))
    return speakers


_Channels = Iterator[tuple[Chunk, "list[_Channel]"]]


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


def _recognizers(
    make: Callable[..., SpeakerRecognizer], channel: int | None, turns: Sequence[Turn]
) -> list[SpeakerRecognizer]:
    """A recognizer for each speaker of some turns."""
    speakers = dict.fromkeys(turn.speaker for turn in turns)
    return [make(speaker, channel, turns) for speaker in speakers]


def _one_channel(sound: Iterable[Chunk], speakers: list[SpeakerRecognizer]) -> _Channels:
    channels = [_Channel(0, speakers)]
    for block in sound:
        yield block[:, None], channels


def _each_channel(
    sound: Iterable[Chunk],
    make: Callable[..., SpeakerRecognizer],
    names: Sequence[str],
    turns: Sequence[Turn] | None,
) -> _Channels:
    channels: list[_Channel] = []
    for block in sound:
        width = block.shape[1]
        if not channels and turns is None:
            speakers = names or [f"speaker {n + 1}" for n in range(width)]
            channels = [_Channel(n, [make(name, n)]) for n, name in enumerate(speakers)]
        elif not channels and turns is not None:
            used = sorted({turn.channel for turn in turns})
            if used[-1] >= width:
                raise AudioError(
                    f"channels of a diarization must be in [1, {width}] for this recording. "
                    f"Got {used[-1] + 1}. Correct the third column of the RTTM file, or choose one "
                    f"channel."
                )
            for n in used:
                mine = [turn for turn in turns if turn.channel == n]
                channels.append(_Channel(n, _recognizers(make, n, mine)))
        yield block, channels


def _utterances(blocks_and_channels: _Channels, watch: Watch | None) -> Iterator[Utterance]:
    """Utterances in the order of their ends within a block."""
    channels: list[_Channel] = []
    for block, channels in blocks_and_channels:
        if watch:
            watch(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1))
        yield from _by_end(channels, [each.push(block[:, each.column]) for each in channels])
    yield from _by_end(channels, [each.end() for each in channels])


def _by_end(
    channels: Sequence[_Channel], found: Sequence[Iterator[Utterance]]
) -> Iterator[Utterance]:
    if len(channels) == 1:  # nothing to merge: each as soon as it ends
        yield from found[0]
    else:
        yield from sorted((u for each in found for u in each), key=lambda u: u.end)
