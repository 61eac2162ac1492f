"""Define two common recognizers, to audit them beside affekt.

Both are linear support vector machines on functionals of a clip, at one level: eGeMAPS of openSMILE
(``pip install opensmile``, for research only), or mean and deviation of MFCC and their
differences, by librosa. Both are trained on every fourth clip of CREMA-D, ``affekt-open`` on all.
From the repository's root:

    $ affekt audit benchmarks.competitors:egemaps --data $AFFEKT_DATA/ravdess -o audit/
    $ affekt audit benchmarks.competitors:mfcc --data $AFFEKT_DATA/ravdess -o audit/

The first use trains (some minutes), and keeps the model below ``runs/competitors/``.
Source: Eyben et al., "The Geneva minimalistic acoustic parameter set" (2016).
"""

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import librosa
import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from affekt.audio.reading import read
from affekt.audio.windows import SAMPLE_RATE
from affekt.commands.printing import with_progress
from affekt.corpora import load

MODELS = Path("runs/competitors")
LEVEL = 0.05  # root mean square of every clip
CUTOFF = 5_500  # Hz, where the copies of CREMA-D end
EVERY = 4  # of the clips of CREMA-D is trained on, to be ready in minutes
Functionals = Callable[[NDArray[np.float32]], NDArray[np.floating]]


def egemaps(paths: Sequence[str]) -> list[dict[str, float]]:
    return _answers("egemaps", _egemaps, paths)


def mfcc(paths: Sequence[str]) -> list[dict[str, float]]:
    return _answers("mfcc", _mfcc, paths)


def _answers(name: str, functionals: Functionals, paths: Sequence[str]) -> list[dict[str, float]]:
    model = _trained(name, functionals)
    shares = model.predict_proba([functionals(_sound(path)) for path in paths])
    return [dict(zip(model.classes_.tolist(), each.tolist(), strict=True)) for each in shares]


def _sound(path: str | Path) -> NDArray[np.float32]:
    """Read a recording at one level: corpora differ in level, and both features follow it."""
    sound = read(path)
    return sound * np.float32(LEVEL / max(float(np.sqrt(np.mean(sound**2))), 1e-6))


@cache
def _smile() -> Any:
    import opensmile

    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)


def _egemaps(sound: NDArray[np.float32]) -> NDArray[np.floating]:
    found = _smile().process_signal(np.pad(sound, (0, max(0, 8_000 - sound.size))), SAMPLE_RATE)
    return np.nan_to_num(found.to_numpy()[0])


def _mfcc(sound: NDArray[np.float32]) -> NDArray[np.floating]:
    steps = librosa.feature.mfcc(y=sound, sr=SAMPLE_RATE, n_mfcc=20, fmax=CUTOFF)
    both = np.concatenate([steps, librosa.feature.delta(steps, mode="nearest")])
    return np.concatenate([both.mean(axis=1), both.std(axis=1)])


@cache
def _trained(name: str, functionals: Functionals) -> Any:
    """Load the model, or train it; probabilities are calibrated on speakers held out."""
    file = MODELS / f"{name}.joblib"
    if file.exists():
        return joblib.load(file)
    manifest = load("cremad", Path(os.environ["AFFEKT_DATA"]) / "cremad")
    clips = manifest.clips[::EVERY]
    shown = with_progress(clips, len(clips))
    found = np.stack([functionals(_sound(manifest.root / clip.file)) for clip in shown])
    labels = [clip.label for clip in clips]
    folds = GroupKFold(5).split(found, labels, [clip.speaker for clip in clips])
    machine = make_pipeline(StandardScaler(), SVC(kernel="linear", C=0.1, class_weight="balanced"))
    model = CalibratedClassifierCV(machine, cv=list(folds), ensemble=False).fit(found, labels)
    file.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, file)
    return model
