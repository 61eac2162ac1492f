"""Score the timeline of a synthetic conversation of unseen speakers.

    python benchmarks/conversation.py

Joins the 112 clips of RAVDESS actors 21 to 24, which the model ``yamnet-lstm`` was not trained on,
in a random order. The reference is the label of each clip from its first to its last loud frame,
and no emotion elsewhere; loud frames are found by level alone, so that voice activity detection is
scored as well. Writes the emotion diarization error rate (EDER) of the timeline, of a timeline
without smoothing over utterances, and of two constant answers, as CSV.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import affekt
from affekt.corpora import Manifest, load
from affekt.evaluation.timeline_scoring import Span, emotion_diarization_errors
from arguments import parser_of, save
from card import HELD_OUT
from voices import RATE, Said, active_parts


def conversation(manifest: Manifest) -> tuple[NDArray[np.float32], list[Said]]:
    """Join all clips of the speakers in a random order: samples at 16 kHz, and the reference."""
    clips = [clip for clip in manifest.clips if clip.speaker in HELD_OUT]
    sounds, turns, at = [], [], 0
    for number in np.random.default_rng(0).permutation(len(clips)):
        clip = clips[number]
        sound = affekt.read(manifest.root / clip.file, channel=clip.channel)
        loud = active_parts(sound)
        start, end = (at + loud[0][0]) / RATE, (at + loud[-1][1]) / RATE
        turns.append(Said(start, end, clip.speaker, clip.label))
        sounds.append(sound)
        at += sound.size
    return np.concatenate(sounds), turns


def rows(sound: NDArray[np.float32], turns: Sequence[Said]) -> Iterator[dict[str, object]]:
    """Score each timeline."""
    predictor = affekt.load("yamnet-lstm", limits=None)  # not trained on these speakers
    seconds = sound.size / RATE

    def row(name: str, answers: Sequence[Span]) -> dict[str, object]:
        errors = emotion_diarization_errors(
            turns, answers, seconds=seconds, labels=predictor.labels
        )
        parts = {part: round(value, 1) for part, value in asdict(errors).items()}
        return {"timeline": name, "EDER": round(errors.rate, 3)} | parts

    yield row("affekt", [*predictor.timeline(sound, sample_rate=RATE)])
    alone = predictor.timeline(sound, sample_rate=RATE, time_constant=0.0)
    yield row("each utterance alone", [*alone])
    yield row("silence", [])
    yield row("always angry", [Said(0.0, seconds, "", "angry")])


def main() -> None:
    chosen = parser_of(__doc__, data="ravdess", output="results/conversation.csv").parse_args()
    sound, turns = conversation(load("ravdess", chosen.data / "ravdess"))
    save(pd.DataFrame(rows(sound, turns)), chosen.output)


if __name__ == "__main__":
    main()
