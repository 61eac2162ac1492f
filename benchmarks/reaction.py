"""Measure how soon the answers of a stream follow a change of emotion.

    python benchmarks/reaction.py RUN --data DATA

RUN is the folder of a run of ``ravdess-encoder`` with its trained networks; DATA holds ravdess.
For each held-out speaker and each of the twelve pairs of emotions, about 15 s of clips of the first
emotion are followed by 15 s of the second. The 8 clips of a profile are drawn from all clips of the
speaker, so some are also in the sound. The reaction time runs to the end of the first window in
which the second emotion is the most probable: from the change of recordings, and from the first
speech after it. Also measured: UAR after the first seconds of each clip. Writes
``results/reaction.csv`` and ``results/short-clips.csv``.
"""

import json
from collections.abc import Iterator
from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import recall_score

from affekt.audio.windows import PATCH_HOP, SAMPLE_RATE, sliding_windows
from affekt.corpora import load
from affekt.corpora.clips import Clip
from affekt.corpora.manifest import Manifest
from affekt.corpora.recordings import read_samples
from affekt.inference.speech.vad import CHUNK, SPEECH, ChunkDetector
from affekt.model.classifier import Classifier, load_classifier
from affekt.model.loudness import State
from arguments import parser_of, save

SECONDS = 15.0  # of each emotion
ENROLMENTS = ("none", "8 clips", "adapting")
ANSWERS = {"probabilities": "20 s", "recent": "2 s"}
CUTS = (1, 2, 3, 4)  # windows of 0.96 s
SUMMARY = {
    "median": ("seconds", "median"),
    "median_from_speech": ("from_speech", "median"),
    "never": ("seconds", lambda each: float(np.isinf(each).mean())),
}


def windows_of(samples: NDArray[np.float32]) -> torch.Tensor:
    return torch.tensor(sliding_windows(samples, hop=PATCH_HOP, last_window="pad"))


@torch.inference_mode()
def profile_of(network: Classifier, sounds: list[NDArray[np.float32]]) -> State:
    """The profile tensors of a state after some sounds, each a new sound."""
    state = {name: each[0] for name, each in network.start(1).items()}
    assert network.speaker is not None
    profile: State = {}
    for sound in sounds:
        _, state = network.step(windows_of(sound), state | profile, torch.ones(1))
        profile = {name: state[name] for name in network.speaker.state}
        state = {name: each[0] for name, each in network.start(1).items()}
    return profile


def joined(
    sounds: list[NDArray[np.float32]], generator: np.random.Generator
) -> NDArray[np.float32]:
    """Sounds in random order until there are SECONDS of them."""
    parts: list[NDArray[np.float32]] = []
    order = generator.permutation(len(sounds)).tolist()
    while sum(map(len, parts)) < SECONDS * SAMPLE_RATE:
        parts.append(sounds[order[len(parts) % len(order)]])
    return np.concatenate(parts)


def silence_before(sound: NDArray[np.float32]) -> int:
    """Samples before the first speech of a sound."""
    detector = ChunkDetector()
    chances = [chance for _, chance in [*detector.push(sound), *detector.end()]]
    return int(np.argmax(np.array(chances) >= SPEECH)) * CHUNK


@torch.inference_mode()
def reactions(
    network: Classifier, clips: list[Clip], manifest: Manifest, seed: int
) -> Iterator[dict[str, object]]:
    """A row for each pair of emotions, enrolment and answer of one speaker."""
    generator = np.random.default_rng(seed)
    labels = list(network.architecture.labels)
    sounds = {
        label: [read_samples(manifest, clip) for clip in clips if clip.label == label]
        for label in labels
    }
    everything = [sound for group in sounds.values() for sound in group]
    chosen = generator.choice(len(everything), 8, replace=False)
    known = profile_of(network, [everything[each] for each in chosen])
    for before, after in permutations(labels, 2):
        first, second = (joined(sounds[label], generator) for label in (before, after))
        spoken = first.size + silence_before(second)
        windows = windows_of(np.concatenate([first, second]))
        ends = np.minimum(np.arange(len(windows)) * PATCH_HOP + 15_600, first.size + second.size)
        for enrolment in ENROLMENTS:
            state = {name: each[0] for name, each in network.start(1).items()}
            state |= known if enrolment == "8 clips" else {}
            adapt = torch.full((1,), float(enrolment == "adapting"))
            outputs, _ = network.step(windows, state, adapt)
            for name, answer in ANSWERS.items():
                leads = outputs[name].argmax(1).numpy() == labels.index(after)
                late = ends[leads & (ends > first.size)]
                end = late[0] if late.size else np.inf
                yield {
                    "speaker": clips[0].speaker,
                    "before": before,
                    "after": after,
                    "enrolment": enrolment,
                    "answer": answer,
                    "seconds": round((end - first.size) / SAMPLE_RATE, 2),
                    "from_speech": round((end - spoken) / SAMPLE_RATE, 2),
                }


@torch.inference_mode()
def short_clips(
    network: Classifier, clips: list[Clip], manifest: Manifest
) -> Iterator[dict[str, object]]:
    """A row for each clip, cut and answer: the true label and the predicted one."""
    labels = network.architecture.labels
    for clip in clips:
        windows = windows_of(read_samples(manifest, clip))
        state = {name: each[0] for name, each in network.start(1).items()}
        outputs, _ = network.step(windows, state)
        for cut in CUTS:
            for name, answer in ANSWERS.items():
                found = labels[int(outputs[name][:cut][-1].argmax())]
                yield {"windows": cut, "answer": answer, "truth": clip.label, "found": found}


def main() -> None:
    """Measure, print and write both tables."""
    parser = parser_of(__doc__, data="ravdess")
    parser.add_argument("run", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    manifest = load("ravdess", given.data / "ravdess")
    rows, cut_rows = [], []
    for fold in sorted(given.run.glob("fold-*")):
        network, _ = load_classifier(fold / "model.pt")
        tested = set(json.loads((fold / "result.json").read_text())["test_speakers"])
        clips = [clip for clip in manifest.clips if clip.speaker in tested]
        rows += list(reactions(network, clips, manifest, len(rows)))
        cut_rows += list(short_clips(network, clips, manifest))
    table = pd.DataFrame(rows)
    pairs = ["answer", "enrolment", "before", "after"]
    by_pair = table.groupby(pairs, sort=False).agg(**SUMMARY).reset_index()
    by_pair.to_csv("results/reaction.csv", index=False, lineterminator="\n")
    print(table.groupby(["answer", "enrolment"], sort=False).agg(**SUMMARY).round(2).to_string())
    cuts = pd.DataFrame(cut_rows)
    uar = partial(recall_score, labels=manifest.labels, average="macro")
    scores = [
        (*key, uar(group["truth"], group["found"]))
        for key, group in cuts.groupby(["windows", "answer"], sort=False)
    ]
    short = pd.DataFrame(scores, columns=["windows", "answer", "uar"]).round(3)
    save(short, Path("results/short-clips.csv"))


if __name__ == "__main__":
    main()
