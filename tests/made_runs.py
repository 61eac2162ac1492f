"""Run folders with made-up answers, shaped as an experiment writes them; never a result."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

LABELS = ("angry", "happy", "sad", "neutral")
RAVDESS = dict(zip(LABELS, (8, 8, 8, 4), strict=True))  # clips of each actor
KNOBS = {
    "corpus": "ravdess",
    "task": "four",
    "protocol": "leave-one-speaker-out",
    "method": "network",
    "hop": 7800,
    "frozen": False,
    "head": "lstm",
    "held_out": [],
    "epochs": 5,
}


def make_run(
    runs: Path,
    recipe: str = "ravdess-yamnet-lstm",
    *,
    seed: int = 0,
    speakers: int = 4,
    clips: dict[str, int] | None = None,
    skill: float = 0.7,
    epochs: int = 5,
    done: int | None = None,
    activations: bool = False,
    **knobs: object,
) -> Path:
    """Write a run of one fold for each speaker, who is right with probability ``skill``."""
    digest = f"{sum(map(ord, recipe)) * 1000 + seed:012x}"
    folder = runs / f"{recipe}-{digest}"
    folder.mkdir(parents=True)
    given = {"name": recipe, **KNOBS, "seed": seed, **knobs}
    (folder / "recipe.json").write_text(json.dumps(given))
    manifest = _manifest(speakers, clips or RAVDESS)
    about = {"corpus": "ravdess", "task": "four", "labels": LABELS, "root": "/somewhere"}
    text = f"# {json.dumps(about)}\n{manifest.to_csv(index=False)}"
    (folder / "manifest.csv").write_text(text)
    names = sorted(manifest["speaker"].unique())
    rows = [
        (fold, name, "test" if name == test else "validation" if name == after else "train")
        for fold, (test, after) in enumerate(zip(names, names[1:] + names[:1], strict=True), 1)
        for name in names
    ]
    pd.DataFrame(rows, columns=["fold", "speaker", "part"]).to_csv(
        folder / "folds.csv", index=False
    )
    generator = np.random.default_rng([seed, speakers, len(recipe)])
    for fold, name in list(enumerate(names, 1))[:done]:
        part = folder / f"fold-{fold}"
        part.mkdir()
        mine = manifest[manifest["speaker"] == name]
        answers = _answers(mine, skill, generator)
        answers.insert(0, "fold", fold)
        answers.insert(0, "seed", seed)
        answers.insert(0, "recipe", recipe)
        answers.to_csv(part / "predictions.csv", index=False)
        if epochs:
            _curve(epochs, generator).to_csv(part / "curve.csv", index=False)
        if activations:
            truth = np.array([LABELS.index(label) for label in mine["label"]])
            states = np.eye(4)[truth] @ np.ones((4, 12)) + generator.normal(size=(len(mine), 12))
            states[:, :4] += 2 * np.eye(4)[truth]
            np.savez(part / "activations.npz", files=mine["file"].to_numpy(str), activations=states)
        result = {
            "recipe": recipe,
            "digest": digest,
            "seed": seed,
            "fold": fold,
            "test_speakers": [name],
            "best_epoch": epochs or None,
            "seconds": 60.0,
            "versions": {"affekt": "0.1.0", "python": "3.11"},
            "hardware": "2 cores",
            "revision": "abc1234",
        }
        (part / "result.json").write_text(json.dumps(result))
    return folder


def _manifest(speakers: int, clips: dict[str, int]) -> pd.DataFrame:
    rows = [
        {
            "file": f"Actor_{speaker:02d}/{label}-{number}.wav",
            "label": label,
            "speaker": f"ravdess:{speaker:02d}",
            "gender": "m" if speaker % 2 else "f",
            "start": "",
            "end": "",
            "channel": "",
            "seconds": 3 + number / 10,
            "text": "",
            "intensity": "",
        }
        for speaker in range(1, speakers + 1)
        for label, count in clips.items()
        for number in range(1, count + 1)
    ]
    return pd.DataFrame(rows)


def _answers(clips: pd.DataFrame, skill: float, generator: np.random.Generator) -> pd.DataFrame:
    speaker_skill = np.clip(skill + generator.normal(0, 0.12), 0, 1)
    scores = generator.normal(size=(len(clips), len(LABELS)))
    truth = np.array([LABELS.index(label) for label in clips["label"]])
    right = generator.random(len(clips)) < speaker_skill
    said = np.where(right, truth, generator.integers(0, len(LABELS), len(clips)))
    scores[np.arange(len(clips)), said] = scores.max(axis=1) + generator.random(len(clips))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    table = clips[["file", "speaker", "gender"]].assign(
        truth=clips["label"], predicted=np.array(LABELS)[said]
    )
    return table.join(
        pd.DataFrame(shares.round(6), columns=[f"p_{x}" for x in LABELS], index=clips.index)
    )


def _curve(epochs: int, generator: np.random.Generator) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    noise = generator.normal(0, 0.02, epochs)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "train_loss": 1.4 * np.exp(-epoch / 8),
            "validation_loss": 0.7 + 0.6 * np.exp(-epoch / 5) + 0.006 * epoch + noise,
            "validation_uar": np.clip(0.72 - 0.45 * np.exp(-epoch / 6) + noise, 0, 1),
            "seconds": 12.0,
        }
    )
