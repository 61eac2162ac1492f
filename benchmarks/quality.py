"""Measure how faults of a recording lower UAR, to choose the limits of quality.

    python benchmarks/quality.py RUN --data DATA

RUN is the folder of a run of ``ravdess-encoder`` with its trained networks; DATA holds ravdess.
Each network predicts the clips of its fold's validation speakers, whom it was not trained on:
cut to the first seconds of speech, with noise, clipped, or with a low-pass. Writes
``results/quality.csv``: one row for each fault and strength, with an interval over speakers.

    python benchmarks/quality.py --data DATA

Without RUN it counts how many of 200 random clips of each corpus in DATA the limits refuse, and
prints how much longer a prediction takes with the measurement.
"""

import time
import timeit
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy.signal import butter, sosfiltfilt

import affekt
from affekt.audio.windows import PATCH_HOP, SAMPLE_RATE, sliding_windows
from affekt.corpora import load
from affekt.corpora.folds import read_folds
from affekt.corpora.manifest import Manifest
from affekt.corpora.recordings import read_samples
from affekt.evaluation.intervals import shown_uar
from affekt.evaluation.metrics import tally
from affekt.inference.speech.quality import LIMITS, QualityMeter
from affekt.inference.speech.vad import CHUNK, SPEECH, ChunkDetector
from affekt.model.classifier import Classifier, load_classifier
from arguments import parser_of, save

Sound = NDArray[np.float32]
EVERY = 4  # which of the folds are used
CORPORA = ("ravdess", "emovo", "nemo", "cremad")
CLIPS = 200  # of each corpus
SECONDS = (0.2, 0.3, 0.5, 0.7, 1.0, 1.5)
SNRS = (30, 20, 10, 5, 0, -5)  # dB
CLIPPED = (0.01, 0.03, 0.1, 0.2, 0.3)
LOW_PASS = (4_000, 3_000, 2_000, 1_000)  # Hz


def first_speech(sound: Sound, seconds: float) -> Sound:
    """The sound from its first speech until there were so many seconds of it."""
    detector = ChunkDetector()
    chunks = [*detector.push(sound), *detector.end()]
    found = np.array([probability for _, probability in chunks]) >= SPEECH
    if not found.any():
        return sound[: round(seconds * SAMPLE_RATE)]
    enough = np.cumsum(found) >= seconds * SAMPLE_RATE / CHUNK
    end = int(np.argmax(enough)) + 1 if enough.any() else len(found)
    return sound[int(np.argmax(found)) * CHUNK : end * CHUNK]


def with_noise(sound: Sound, snr: float, generator: np.random.Generator) -> Sound:
    """Pink noise below the speech by so many dB; the level of speech is the measured one."""
    spectrum = np.fft.rfft(generator.normal(size=sound.size))
    pink = np.fft.irfft(spectrum / np.sqrt(np.arange(1, spectrum.size + 1)), sound.size)
    level = 10 ** ((measured(sound)[0] - snr) / 20)
    return (sound + level * pink / np.sqrt(np.mean(pink**2))).astype(np.float32)


def clipped(sound: Sound, share: float) -> Sound:
    peak = np.quantile(np.abs(sound), 1 - share)
    return np.clip(sound, -peak, peak)


def low_passed(sound: Sound, hertz: int) -> Sound:
    sections = butter(8, hertz, fs=SAMPLE_RATE, output="sos")
    return np.ascontiguousarray(sosfiltfilt(sections, sound), np.float32)


def measured(sound: Sound) -> tuple[float, str | None]:
    """Level of the speech, and why the sound would be refused."""
    meter = QualityMeter(10.0)
    meter.push(sound)
    meter.push(np.empty(0, np.float32), end=True)
    return meter.whole.level, LIMITS.reason(meter.whole)


def faults(generator: np.random.Generator) -> Iterator[tuple[str, float, Callable[[Sound], Sound]]]:
    """Name, strength and function of each fault."""
    yield "none", 0.0, lambda sound: sound
    for seconds in SECONDS:
        yield "speech, s", seconds, lambda sound, s=seconds: first_speech(sound, s)
    for snr in SNRS:
        yield "SNR, dB", snr, lambda sound, s=snr: with_noise(sound, s, generator)
    for share in CLIPPED:
        yield "clipped samples", share, lambda sound, s=share: clipped(sound, s)
    for hertz in LOW_PASS:
        yield "low-pass, Hz", hertz, lambda sound, s=hertz: low_passed(sound, s)


@torch.inference_mode()
def predicted(network: Classifier, sound: Sound) -> dict[str, float]:
    windows = torch.tensor(sliding_windows(sound, hop=PATCH_HOP, last_window="pad"))
    state = {name: each[0] for name, each in network.start(1).items()}
    outputs, _ = network.step(windows, state)
    shares = outputs["probabilities"][-1].tolist()
    return dict(zip(network.architecture.labels, shares, strict=True))


def rows(fold: Path, manifest: Manifest) -> Iterator[dict[str, object]]:
    """Predictions of one network on all faults of its validation speakers."""
    network, _ = load_classifier(fold / "model.pt")
    number = int(fold.name.removeprefix("fold-"))
    (parts,) = [each for each in read_folds(fold.parent / "folds.csv") if each.number == number]
    generator = np.random.default_rng(0)
    for clip in (clip for clip in manifest.clips if clip.speaker in parts.validation):
        sound = read_samples(manifest, clip)
        for name, strength, fault in faults(generator):
            faulty = fault(sound)
            found = {"fault": name, "strength": strength, "refused": bool(measured(faulty)[1])}
            who = {"seed": 0, "speaker": f"{fold.name}/{clip.speaker}", "truth": clip.label}
            shares = predicted(network, faulty)
            label = max(shares, key=shares.__getitem__)
            columns = {f"p_{name}": share for name, share in shares.items()}
            yield {**found, **who, "predicted": label, **columns}


def print_refused(data: Path) -> None:
    """Print corpus, reason and count for clips as they were published."""
    for corpus in CORPORA:
        manifest = load(corpus, data / corpus, partial=True)
        chosen = np.random.default_rng(0).permutation(len(manifest.clips))[:CLIPS]
        sounds = (read_samples(manifest, manifest.clips[each]) for each in chosen)
        reasons = [reason for sound in sounds if (reason := measured(sound)[1])]
        print(f"{corpus}: {len(reasons)} of {len(chosen)} refused", *reasons, sep="\n  ")


def print_cost(model: str) -> None:
    """Print the processor time of a prediction with quality over that without, best of seven."""
    samples = sorted((Path(__file__).parents[1] / "samples").glob("*.flac"))
    sound = np.concatenate([affekt.read(file) for file in samples] * 6)[: 29 * SAMPLE_RATE]
    taken = []
    for limits in (LIMITS, None):
        predict = partial(affekt.load(model, limits=limits).predict, sound, sample_rate=SAMPLE_RATE)
        taken.append(min(timeit.repeat(predict, timer=time.process_time, number=1, repeat=7)))
    print(f"{model}: {taken[0] / taken[1]:.1f} times as long with quality")


def main() -> None:
    """Measure, print and write the table."""
    parser = parser_of(__doc__, data="ravdess, emovo, nemo, cremad")
    parser.add_argument("run", type=Path, nargs="?")
    given = parser.parse_args()
    if given.run is None:
        print_refused(given.data)
        for model in ("affekt", "affekt-small"):
            print_cost(model)
        return
    torch.set_num_threads(1)
    manifest = load("ravdess", given.data / "ravdess")
    folds = sorted(given.run.glob("fold-*"))[::EVERY]
    console = Console(stderr=True)
    table = pd.DataFrame(
        [row for fold in track(folds, "networks", console=console) for row in rows(fold, manifest)]
    )
    scores = []
    for (fault, strength), group in table.groupby(["fault", "strength"], sort=False):
        score = shown_uar(tally(group))
        bounds = (round(float(each), 3) for each in (score.value, score.low, score.high))
        refused = round(float(group["refused"].mean()), 3)
        scores.append((fault, strength, len(group), *bounds, refused))
    columns = ["fault", "strength", "clips", "uar", "low", "high", "refused"]
    save(pd.DataFrame(scores, columns=columns), Path("results/quality.csv"))


if __name__ == "__main__":
    main()
