"""Score diarization, and the emotion of each speaker, in synthetic conversations.

    python benchmarks/voices.py --data DATA

Joins clips of one to three speakers of one corpus: one to three clips a turn. All turns, or half of
them, begin after a pause of 0.2 to 1.5 s; the others 0.4 to 1.2 s before the other's turn ends.
The reference is each clip from its first to its last active frame: at most 15.9 dB below the active
speech level (ITU-T P.56). That of the diarization leaves out pauses of 0.3 s and more within a clip
(NIST). Clips are cut at 35 dB below their loudest frame, and not made equally loud.

Writes a CSV with, for each corpus and number of speakers: the diarization error rate (DER) with a
collar of 0.25 s and without, and with it of the utterances in the turns found; how often the number
of speakers was found (counted), and how often a timeline without speakers notes that there are
several (noted); and the emotion diarization error rate (EDER) and unweighted average recall (UAR)
of each speaker's own timeline, without smoothing: with the other speakers silent (alone), by true
turns, by the turns found, and of one timeline of all.
The default model was trained on these speakers: its UAR is of use for comparisons only.

Two speakers with overlap are also scored in a simulated room, with a reverberation time of 0.5 s
and echoes as loud as the direct sound. Each row is written when it is done; a row of the output is
not measured again.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import affekt
from affekt.audit.distortions import distortions
from affekt.corpora import Manifest, load
from affekt.evaluation.timeline_scoring import emotion_diarization_errors
from affekt.inference.speakers.diarization import SpeakerFinder
from affekt.inference.speakers.speech_embedding import VoiceSample
from affekt.inference.timelines.timeline import Utterance, fill_turns
from arguments import parser_of
from diarization_scoring import COLLAR, DiarizationErrors, diarization_errors

RATE = 16_000  # Hz
FRAME = 160  # samples: 10 ms
LOUD = -35.0  # dB below the loudest frame of a clip, where it is cut
MARGIN = 15.9  # dB below the active speech level
PAUSE = 0.3  # s: a pause within a clip that is not speech
CLIPS = 20  # of each speaker
DEVELOPMENT = "RAVDESS 1 to 12 (development)"
ROOM = 0.5  # s: reverberation time
#: How many, by the number of speakers and the share of turns that overlap the one before.
CONVERSATIONS = {(2, 0.5): 6, (2, 0.0): 6, (3, 0.5): 4, (1, 0.0): 6}
Sound = NDArray[np.float32]
OPTIONS = {"sample_rate": RATE, "time_constant": 0.0}


@dataclass(frozen=True)
class Said:
    """The active part of a clip in a conversation, in seconds."""

    start: float
    end: float
    speaker: str
    label: str


@dataclass(frozen=True)
class Conversation:
    """The sound of each speaker, and what they said."""

    tracks: dict[str, Sound]
    said: list[Said]
    spoken: list[Said]  # without the pauses within clips

    @property
    def sound(self) -> Sound:
        """All speakers together."""
        return np.sum([*self.tracks.values()], axis=0)

    @property
    def overlap(self) -> float:
        """Share of the speech in which two or more speak."""
        active = np.zeros(len(self.sound) // FRAME + 1, int)
        for each in self.spoken:
            active[round(each.start * 100) : round(each.end * 100)] += 1
        return float((active > 1).sum() / (active > 0).sum())


def active_parts(sound: Sound, margin: float | None = None) -> list[tuple[int, int]]:
    """First and last samples of speech between pauses.

    Speech is at most 35 dB below the peak, or a margin below the active level.
    """
    frames = sound[: sound.size // FRAME * FRAME].reshape(-1, FRAME)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    active = power >= power.max() * 10 ** (LOUD / 10)
    if margin is not None:
        for _ in range(20):  # the level is that of the frames above the threshold it sets
            active = power >= power[active].mean() * 10 ** (-margin / 10)
    found = np.flatnonzero(active)
    parts = np.split(found, np.flatnonzero((np.diff(found) - 1) * FRAME >= PAUSE * RATE) + 1)
    return [(int(part[0]) * FRAME, int(part[-1] + 1) * FRAME) for part in parts]


def conversation(
    manifest: Manifest, speakers: Sequence[str], *, seed: int, overlapping: float = 0.5
) -> Conversation:
    """Join clips of some speakers; a share of the turns overlaps the one before."""
    rng = np.random.default_rng(seed)
    waiting = {}
    for speaker in speakers:
        clips = [clip for clip in manifest.clips if clip.speaker == speaker]
        waiting[speaker] = [clips[at] for at in rng.permutation(len(clips))[:CLIPS]]
    parts: list[tuple[int, Sound, str]] = []
    said: list[Said] = []
    spoken: list[Said] = []
    at, last = RATE // 2, ""
    while any(waiting.values()):
        left = [speaker for speaker in speakers if waiting[speaker]]
        speaker = str(rng.choice([each for each in left if each != last] or left))
        if last not in ("", speaker) and rng.random() < overlapping:
            at -= int(rng.uniform(0.4, 1.2) * RATE)
        else:
            at += int(rng.uniform(0.2, 1.5) * RATE)
        for _ in range(min(int(rng.integers(1, 4)), len(waiting[speaker]))):
            clip = waiting[speaker].pop()
            sound = affekt.read(manifest.root / clip.file, channel=clip.channel)
            active = active_parts(sound)
            sound = sound[active[0][0] : active[-1][1]]
            spans = [((at + a) / RATE, (at + b) / RATE) for a, b in active_parts(sound, MARGIN)]
            spoken += [Said(*span, speaker, clip.label) for span in spans]
            said.append(Said(spans[0][0], spans[-1][1], speaker, clip.label))
            parts.append((at, sound, speaker))
            at += sound.size + int(rng.uniform(0.1, 0.4) * RATE)
        at, last = parts[-1][0] + parts[-1][1].size, speaker
    tracks = {speaker: np.zeros(at + RATE, np.float32) for speaker in speakers}
    for first, sound, speaker in parts:
        tracks[speaker][first : first + sound.size] += sound
    return Conversation(tracks, said, spoken)


def finder_of(sound: Sound) -> SpeakerFinder:
    """Embed all speech of a sound."""
    finder = SpeakerFinder()
    for first in range(0, sound.size, 10 * RATE):
        finder.push(sound[first : first + 10 * RATE])
    finder.end()
    return finder


def answers(said: Iterable[Said], utterances: Sequence[Utterance]) -> Iterator[tuple[str, str]]:
    """The label of each clip, and that of the utterances at its time; empty without any."""
    for clip in said:
        sums: dict[str, float] = {}
        for each in utterances:
            common = min(each.end, clip.end) - max(each.start, clip.start)
            if common > 0:
                for label, share in each.probabilities.items():
                    sums[label] = sums.get(label, 0.0) + common * share
        yield clip.label, max(sums, key=sums.__getitem__) if sums else ""


class Emotions:
    """Answers of one kind of timeline, of all speakers of some conversations."""

    def __init__(self) -> None:
        self._pairs: list[tuple[str, str]] = []
        self._errors = self._seconds = 0.0

    def add(
        self, said: Sequence[Said], utterances: Sequence[Utterance], seconds: float, labels: list
    ) -> None:
        """Add the timeline of one speaker."""
        self._pairs += answers(said, utterances)
        errors = emotion_diarization_errors(said, utterances, seconds=seconds, labels=labels)
        self._errors += errors.rate * seconds
        self._seconds += seconds

    @property
    def scores(self) -> tuple[float, float]:
        """UAR of the clips, and EDER."""
        pairs = pd.DataFrame(self._pairs, columns=["truth", "answer"])
        right = (pairs["truth"] == pairs["answer"]).groupby(pairs["truth"]).mean()
        return round(float(right.mean()), 3), round(self._errors / self._seconds, 3)


def listen(
    predictor: affekt.Predictor,
    talk: Conversation,
    found: list[affekt.Turn],
    mapping: dict,
    kinds: dict[str, Emotions],
    whole: list[Utterance],
) -> list[Utterance]:
    """Recognize each speaker in all ways; return the utterances in the turns found."""
    mixed, seconds, labels = talk.sound, len(talk.sound) / RATE, [*predictor.labels]
    true: list[affekt.Turn] = []
    for each in sorted(talk.said, key=lambda said: said.start):  # clips in a row are one turn
        same = true and true[-1].speaker == each.speaker
        start = true.pop().start if same else each.start
        true.append(affekt.Turn(start, each.end, each.speaker))
    by_truth = [*predictor.timeline(mixed, speakers=true, **OPTIONS)]
    by_found = [*fill_turns(predictor.timeline(mixed, speakers=found, **OPTIONS), found)]
    adapting = replace(predictor, adapt=bool(predictor.graph.profile))
    for speaker, track in talk.tracks.items():
        said = [each for each in talk.said if each.speaker == speaker]
        timelines = {
            "alone": [*adapting.timeline(track, **OPTIONS)],
            "true turns": [each for each in by_truth if each.speaker == speaker],
            "found turns": [each for each in by_found if mapping.get(each.speaker) == speaker],
            "one timeline": whole,
        }
        for kind, utterances in timelines.items():
            kinds.setdefault(kind, Emotions()).add(said, utterances, seconds, labels)
    return by_found


def der(errors: Sequence[DiarizationErrors]) -> float:
    """The DER of all conversations together."""
    total = sum(each.seconds for each in errors)
    return round(sum(each.rate * each.seconds for each in errors) / total, 3)


def range_of(errors: Sequence[DiarizationErrors]) -> str:
    """The lowest DER of a conversation, and the highest."""
    rates = [each.rate for each in errors]
    return f"{min(rates):.2f} to {max(rates):.2f}"


def emotion_scores(
    predictor: affekt.Predictor, talks: Sequence[Conversation], finders: Sequence[SpeakerFinder]
) -> dict[str, object]:
    """Score the timelines of all conversations of a corpus with one number of speakers."""
    kinds: dict[str, Emotions] = {}
    answered: list[DiarizationErrors] = []  # of the utterances in the turns found
    noted = 0
    for talk, finder in zip(talks, finders, strict=True):
        sample = VoiceSample()
        whole = [*predictor.timeline(talk.sound, listen=sample.push, **OPTIONS)]
        noted += sample.voices() > 1
        if len(talk.tracks) > 1:
            found = finder.turns(len(talk.tracks))
            mapping = diarization_errors(talk.spoken, found).mapping
            by_found = listen(predictor, talk, found, mapping, kinds, whole)
            answered.append(diarization_errors(talk.spoken, by_found))
    cells: dict[str, object] = {"noted": f"{noted} of {len(talks)}"}
    if answered:
        cells["DER utterances"] = der(answered)
    for kind, emotions in kinds.items():
        cells[f"UAR {kind}"], cells[f"EDER {kind}"] = emotions.scores
    return cells


def in_a_room(talk: Conversation, seed: int) -> Conversation:
    """Add reverberation to each speaker, who has a separate place in the room."""
    generator = np.random.default_rng(seed)
    tests = distortions(np.zeros(RATE, np.float32))
    room = next(test for test in tests if test.test == "room" and test.strength == ROOM)
    tracks = {speaker: room.apply(track, generator) for speaker, track in talk.tracks.items()}
    return replace(talk, tracks=tracks)


def diarization_scores(
    talks: Sequence[Conversation], finders: Sequence[SpeakerFinder]
) -> dict[str, object]:
    """Score the diarization of all conversations of a corpus, with the collar and without."""
    speakers = len(talks[0].tracks)
    counted = sum(len({turn.speaker for turn in each.turns()}) == speakers for each in finders)
    cells: dict[str, object] = {
        "conversations": len(talks),
        "seconds": round(sum(len(talk.sound) for talk in talks) / RATE),
        "overlap": round(float(np.mean([talk.overlap for talk in talks])), 3),
        "counted": f"{counted} of {len(talks)}",
    }
    for collar, suffix in ((COLLAR, ""), (0.0, " without collar")):
        errors = [
            diarization_errors(talk.spoken, finder.turns(speakers), collar=collar)
            for talk, finder in zip(talks, finders, strict=True)
        ]
        total = sum(each.seconds for each in errors)
        for part in ("missed", "false_alarm", "confusion"):
            cells[part + suffix] = round(sum(getattr(each, part) for each in errors) / total, 3)
        cells["DER" + suffix], cells["DER range" + suffix] = der(errors), range_of(errors)
    return cells


def rows(
    predictor: affekt.Predictor, data: Path, done: pd.DataFrame
) -> Iterator[dict[str, object]]:
    """Measure the rows that are not done; each begins with four columns that tell it apart."""
    sets = corpora(data)
    columns = ("recordings", "speakers", "turns that overlap", "room")
    cases = [(name, *case, 0.0) for case in CONVERSATIONS for name in reversed(sets)]
    cases += [(name, 2, 0.5, ROOM) for name in reversed(sets)]
    before = {tuple(cells) for cells in done[done.columns[:4]].itertuples(index=False)}
    for case in cases:
        name, number, overlapping, room = case
        if case in before:
            continue
        talks = conversations(*sets[name], number, overlapping)
        if room:
            talks = [in_a_room(talk, seed) for seed, talk in enumerate(talks)]
        finders = [finder_of(talk.sound) for talk in talks]
        scores = diarization_scores(talks, finders) | emotion_scores(predictor, talks, finders)
        yield dict(zip(columns, case, strict=True)) | scores


def corpora(data: Path) -> dict[str, tuple[Manifest, list[str]]]:
    """The clips and speakers of each corpus, by name."""
    ravdess = load("ravdess", data / "ravdess")
    emovo, nemo = load("emovo", data / "emovo"), load("nemo", data / "nemo", partial=True)
    actors = sorted({clip.speaker for clip in ravdess.clips})
    return {
        DEVELOPMENT: (ravdess, actors[:12]),
        "RAVDESS 13 to 24": (ravdess, actors[12:]),
        "EMOVO": (emovo, sorted({clip.speaker for clip in emovo.clips})),
        "nEMO": (nemo, sorted({clip.speaker for clip in nemo.clips})),
    }


def conversations(
    manifest: Manifest, speakers: Sequence[str], number: int, overlapping: float
) -> list[Conversation]:
    """All conversations of a corpus with one number of speakers."""
    talks = []
    for seed in range(CONVERSATIONS[number, overlapping]):
        rng = np.random.default_rng([number, seed])
        chosen = [str(each) for each in rng.choice(speakers, number, replace=False)]
        talks.append(conversation(manifest, chosen, seed=seed, overlapping=overlapping))
    return talks


def main() -> None:
    chosen = parser_of(
        __doc__, data="ravdess, emovo, nemo", output="results/voices.csv"
    ).parse_args()
    done = pd.read_csv(chosen.output) if chosen.output.exists() else pd.DataFrame()
    found = done.to_dict("records")
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    for each in rows(affekt.load(limits=None), chosen.data, done):
        print(each, flush=True)
        found.append(each)
        pd.DataFrame(found).to_csv(chosen.output, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
