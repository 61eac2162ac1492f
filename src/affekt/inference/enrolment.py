"""Make the profile of a person from recordings of their speech."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from affekt.audio.reading import blocks
from affekt.audio.sources import Source, is_source
from affekt.inference.profile import Profile, require_speaker_normalization
from affekt.inference.speakers.speech_embedding import SpeechEmbedder, mean_voice
from affekt.inference.speech.speech_cutter import Chunk
from affekt.inference.stream import Stream, process

if TYPE_CHECKING:
    from affekt.inference.predictor import Predictor


def enroll(
    predictor: "Predictor", sources: Iterable[Source], *, sample_rate: int | None, voice: bool
) -> Profile:
    """Make a profile; see :meth:`affekt.Predictor.enroll`.

    Raises:
        AudioError: a recording that cannot be read.
        ModelError: a model without speaker normalization, or recordings without speech.
    """
    require_speaker_normalization(predictor.graph)
    before = predictor.profile
    stream = Stream(predictor.graph, profile=before, adapt=True)
    embedder = SpeechEmbedder()
    if is_source(sources):  # one is meant, not its parts
        sources = [sources]
    for source in sources:
        sound = blocks(source, sample_rate=sample_rate, channel=predictor.channel)
        process(stream, _observed(sound, embedder) if voice else sound)
    known = before.voice if before else None
    if voice:
        known = mean_voice(embedder.embeddings, known, weight=before.seconds if before else 0.0)
    return replace(stream.profile, voice=known)


def _observed(sound: Iterable[Chunk], embedder: SpeechEmbedder) -> Iterator[Chunk]:
    for block in sound:
        embedder.push(block)
        yield block
    embedder.end()
