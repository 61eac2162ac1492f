"""Train two common recognizers on all corpora but one, to audit them beside affekt.

    pip install opensmile  # licensed for research only: it serves this comparison
    python benchmarks/competitors.py --data $AFFEKT_DATA
    affekt audit benchmarks.competitors:egemaps_without_emovo --data $AFFEKT_DATA/emovo -o audit/

The second command writes features and parameters to ``runs/competitors/`` (minutes of one core),
and prints each recognizer's UAR on the corpus that it was not trained on. The third command runs in
the same folder.

Features of a clip: the 88 functionals eGeMAPSv02 of openSMILE (Eyben et al., 2016), or mean and
standard deviation of 20 MFCC and of their differences. The classifier is a support vector machine,
one label against the others; logistic regression turns its scores into probabilities. Kernel, C
and standardization (over all clips, or over each training speaker's) have the highest mean UAR if
each training corpus is left out in turn.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.metrics.pairwise import linear_kernel, rbf_kernel
from sklearn.svm import SVC
from sklearn.utils import compute_sample_weight
from soxr import resample

from affekt.audio.reading import read
from affekt.audio.windows import SAMPLE_RATE
from affekt.audit.answers import choose
from affekt.commands.output.printing import with_progress
from affekt.corpora import load

CORPORA = ("ravdess", "emovo", "nemo", "cremad")
UNSEEN = CORPORA[:3]  # each left out of one training
FOLDER = Path("runs/competitors")
CLIPS = 1_500  # of each corpus at most, evenly over labels and speakers
LEVEL = 0.05  # root mean square of every clip: corpora differ in level
BAND = 11_000  # Hz, sample rate between: CREMA-D's copies hold nothing above 5.5 kHz
SHORTEST = SAMPLE_RATE // 2  # samples
MACHINES = (("linear", 0.001), ("linear", 0.01), ("rbf", 1.0), ("rbf", 10.0))  # kernel and C
Sound = NDArray[np.float32]
Matrix = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]


@cache
def _smile() -> Any:
    import opensmile

    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)


def _egemaps(sound: Sound) -> NDArray[np.floating]:
    return np.nan_to_num(_smile().process_signal(sound, SAMPLE_RATE).to_numpy()[0])


def _mfcc(sound: Sound) -> NDArray[np.floating]:
    import librosa

    steps = librosa.feature.mfcc(y=sound, sr=SAMPLE_RATE, n_mfcc=20, fmax=BAND / 2)
    both = np.concatenate([steps, librosa.feature.delta(steps, mode="nearest")])
    return np.concatenate([both.mean(axis=1), both.std(axis=1)])


FEATURES: dict[str, Callable[[Sound], NDArray[np.floating]]] = {"egemaps": _egemaps, "mfcc": _mfcc}


def features_of(name: str, sound: Sound) -> Matrix:
    """Compute the features of ``(samples,)`` at 16 kHz, at one level and below 5.5 kHz."""
    narrow = resample(resample(sound, SAMPLE_RATE, BAND), BAND, SAMPLE_RATE)
    padded = np.pad(narrow, (0, max(0, SHORTEST - narrow.size)))
    gain = LEVEL / max(float(np.sqrt(np.mean(padded**2))), 1e-6)
    return FEATURES[name](padded * np.float32(gain)).astype(np.float64)


def table(name: str, corpus: str, data: Path, folder: Path) -> Arrays:
    """Load the features of a corpus, with labels and speakers; compute them the first time."""
    file = folder / f"{name}-{corpus}.npz"
    if not file.exists():
        chosen = choose([load(corpus, data / corpus, partial=True)], CLIPS, 0)
        found = [features_of(name, each.read()) for each in with_progress(chosen, len(chosen))]
        labels, speakers = zip(*((clip.label, clip.speaker) for *_, clip in chosen), strict=True)
        _save(file, {"x": np.stack(found), "label": labels, "speaker": speakers})
    return _loaded(file) | {"corpus": np.full(len(_loaded(file)["label"]), corpus)}


def _save(file: Path, arrays: dict[str, Any]) -> None:
    part = file.with_name(f"part-{file.name}")
    np.savez(part, **arrays)
    part.replace(file)


def _loaded(file: Path) -> Arrays:
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def fit(clips: Arrays, machine: tuple[str, float], by_speaker: bool) -> Arrays:
    """Fit a support vector machine for each label; classes and corpora weigh the same."""
    x, weights = clips["x"], compute_sample_weight("balanced", clips["corpus"])
    mean, deviation = _statistics(x, weights)
    standard = (x - mean) / deviation
    for speaker in np.unique(clips["speaker"]) if by_speaker else ():
        own = clips["speaker"] == speaker
        center, spread = _statistics(x[own], weights[own])
        standard[own] = (x[own] - center) / spread
    names = np.unique(clips["label"])
    dual, intercept = np.zeros((len(x), len(names))), np.zeros(len(names))
    for at, label in enumerate(names):
        svc = SVC(kernel=machine[0], C=machine[1], gamma="auto", class_weight="balanced")
        svc.fit(standard, clips["label"] == label, weights)
        dual[svc.support_, at], intercept[at] = svc.dual_coef_[0], svc.intercept_[0]
    used = dual.any(axis=1)
    model = {"mean": mean, "deviation": deviation, "vectors": standard[used], "dual": dual[used]}
    return model | {"intercept": intercept, "names": names, "kernel": np.array(machine[0])}


def _statistics(x: Matrix, weights: Matrix) -> tuple[Matrix, Matrix]:
    mean = np.average(x, axis=0, weights=weights)
    return mean, np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights)) + 1e-9


def scores(model: Arrays, x: Matrix) -> Matrix:
    """Distance from each label's plane, ``(clips, labels)``, by all training clips' statistics."""
    kernel = linear_kernel if model["kernel"] == "linear" else rbf_kernel
    alike = kernel((x - model["mean"]) / model["deviation"], model["vectors"])
    return np.asarray(alike @ model["dual"] + model["intercept"])


def train(tables: Sequence[Arrays]) -> tuple[Arrays, str]:
    """Choose by leaving out each training corpus in turn, fit on all, and tell what was chosen."""
    best: tuple[float, Any, Any] = (-1.0, None, None)
    clips = _joined(tables)
    for choice in product(MACHINES, (False, True)):
        found = []
        for at, unseen in enumerate(tables):
            model = fit(_joined([each for i, each in enumerate(tables) if i != at]), *choice)
            found.append(scores(model, unseen["x"]))
        value = float(np.mean([_uar(model, *pair) for pair in zip(found, tables, strict=True)]))
        best = max(best, (value, choice, np.concatenate(found)), key=lambda each: each[0])
    value, (machine, by_speaker), unseen_scores = best
    model = fit(clips, machine, by_speaker)
    platt = LogisticRegression(class_weight="balanced", max_iter=1_000)
    platt.fit(unseen_scores, clips["label"], compute_sample_weight("balanced", clips["corpus"]))
    over = "speakers" if by_speaker else "all clips"
    words = f"{machine[0]}, C = {machine[1]:g}, {over} | {value:.3f}"
    return model | {"slope": platt.coef_, "offset": platt.intercept_}, words


def _joined(tables: Sequence[Arrays]) -> Arrays:
    return {key: np.concatenate([each[key] for each in tables]) for key in tables[0]}


def _uar(model: Arrays, found: Matrix, clips: Arrays) -> float:
    labels = model["names"][found.argmax(axis=1)]
    return float(recall_score(clips["label"], labels, average="macro"))


def recognize(name: str, unseen: str, paths: Sequence[str]) -> list[dict[str, float]]:
    """Answer recordings as ``affekt audit`` asks: probabilities by label."""
    model = _model(FOLDER / f"{name}-without-{unseen}.npz")
    x = np.stack([features_of(name, read(path)) for path in paths])
    logits = scores(model, x) @ model["slope"].T + model["offset"]
    names, shares = model["names"].tolist(), softmax(logits, axis=1).tolist()
    return [dict(zip(names, each, strict=True)) for each in shares]


_model = cache(_loaded)
for _pair in product(FEATURES, UNSEEN):
    globals()["{}_without_{}".format(*_pair)] = partial(recognize, *_pair)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    FOLDER.mkdir(parents=True, exist_ok=True)
    print("| features | unseen | kernel, C, standardized over | inner UAR | UAR, unseen |")
    print("| --- | --- | --- | --- | --- |")
    for name in FEATURES:
        tables = {corpus: table(name, corpus, data, FOLDER) for corpus in CORPORA}
        for unseen in UNSEEN:
            model, words = train([each for corpus, each in tables.items() if corpus != unseen])
            test = tables[unseen]
            _save(FOLDER / f"{name}-without-{unseen}.npz", model)
            uar = _uar(model, scores(model, test["x"]), test)
            print(f"| {name} | {unseen} | {words} | {uar:.3f} |", flush=True)


if __name__ == "__main__":
    main()
