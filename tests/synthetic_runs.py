"""Write run folders with random predictions, in the format of an experiment."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from affekt.runs.reading import Run, find_runs, read_run

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


PROFILES = {  # how much better each profile of the speaker makes who answers
    "random-1": 0.02,
    "random-2": 0.05,
    "random-4": 0.09,
    "random-8": 0.13,
    "random-16": 0.14,
    "all": 0.15,
    "neutral-4": 0.04,
    "angry-4": -0.08,
    "happy-4": -0.02,
    "sad-4": 0.0,
    "adaptive": 0.07,
}


def make_run(
    runs: Path,
    recipe: str = "ravdess-yamnet-lstm",
    *,
    seed: int = 0,
    speakers: int = 4,
    clips: dict[str, int] | None = None,
    corpora: tuple[str, ...] = ("ravdess",),
    by_corpus: bool = False,
    skill: float = 0.7,
    sure: float = 1.0,
    profiles: dict[str, float] | None = None,
    validation: bool = False,
    epochs: int = 5,
    done: int | None = None,
    activations: bool = False,
    **knobs: object,
) -> Path:
    """Write a run of one fold for each speaker, who is right with probability ``skill``.

    ``by_corpus`` makes one fold for each corpus instead; ``sure`` is how sharp the probabilities
    are; ``profiles`` and ``validation`` add ``enrolment.csv`` and ``validation.csv``.
    """
    digest = f"{sum(map(ord, recipe)) * 1000 + seed:012x}"
    folder = runs / f"{recipe}-{digest}"
    folder.mkdir(parents=True)
    given = {"name": recipe, **KNOBS, "seed": seed, **knobs}
    (folder / "recipe.json").write_text(json.dumps(given))
    manifest = _manifest(corpora, speakers, clips or RAVDESS)
    name = "+".join(corpora)
    about = {"corpus": name, "task": "four", "labels": LABELS, "root": "/somewhere"}
    text = f"# {json.dumps(about)}\n{manifest.to_csv(index=False)}"
    (folder / "manifest.csv").write_text(text)
    parts = _folds(sorted(manifest["speaker"].unique()), by_corpus)
    parts.to_csv(folder / "folds.csv", index=False)
    generator = np.random.default_rng([seed, speakers, len(recipe)])
    for fold in parts["fold"].unique()[:done]:
        part = folder / f"fold-{fold}"
        part.mkdir()
        who = parts[parts["fold"] == fold].set_index("speaker")["part"]
        mine = manifest[manifest["speaker"].map(who) == "test"]
        row = {"recipe": recipe, "seed": seed, "fold": fold}
        answers = _answers(mine, skill, generator, sure)
        _save(answers, part / "predictions.csv", row)
        further = np.random.default_rng([seed, fold])
        if validation:
            heard = manifest[manifest["speaker"].map(who) == "validation"]
            _save(_answers(heard, skill, further, sure), part / "validation.csv", row)
        if profiles:
            again = [
                _answers(mine, skill + gain, further, sure).assign(profile=profile)
                for profile, gain in profiles.items()
            ]
            first = pd.concat(again)
            first.insert(0, "profile", first.pop("profile"))
            _save(first, part / "enrolment.csv", row, at=1)
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
            "fold": int(fold),
            "test_speakers": sorted(mine["speaker"].unique()),
            "best_epoch": epochs or None,
            "seconds": 60.0,
            "versions": {"affekt": "0.1.0", "python": "3.11"},
            "hardware": "2 cores",
            "revision": "abc1234",
        }
        (part / "result.json").write_text(json.dumps(result))
    return folder


def _folds(names: list[str], by_corpus: bool) -> pd.DataFrame:
    """Each speaker, or each corpus, is tested once; a fifth of the others, the next, validate."""
    groups = {name: name.partition(":")[0] if by_corpus else name for name in names}
    rows = []
    for fold, test in enumerate(dict.fromkeys(groups.values()), 1):
        others = [name for name in names if groups[name] != test]
        later = [name for name in others if name > max(n for n in names if groups[n] == test)]
        validate = [*later, *others][: max(1, len(others) // 5)]
        for name in names:
            trains = "validation" if name in validate else "train"
            rows.append((fold, name, "test" if groups[name] == test else trains))
    return pd.DataFrame(rows, columns=["fold", "speaker", "part"])


def _save(answers: pd.DataFrame, path: Path, row: dict[str, object], *, at: int = 0) -> None:
    for place, (name, value) in enumerate(row.items(), at):
        answers.insert(place, name, value)
    answers.to_csv(path, index=False)


def _manifest(corpora: tuple[str, ...], speakers: int, clips: dict[str, int]) -> pd.DataFrame:
    rows = [
        {
            "file": f"{corpus if corpus != 'ravdess' else 'Actor'}_{speaker:02d}"
            f"/{label}-{number}.wav",
            "label": label,
            "speaker": f"{corpus}:{speaker:02d}",
            "gender": "m" if speaker % 2 else "f",
            "start": "",
            "end": "",
            "channel": "",
            "seconds": 3 + number / 10,
            "text": "",
            "intensity": "",
        }
        for corpus in corpora
        for speaker in range(1, speakers + 1)
        for label, count in clips.items()
        for number in range(1, count + 1)
    ]
    return pd.DataFrame(rows)


def _answers(
    clips: pd.DataFrame, skill: float, generator: np.random.Generator, sure: float
) -> pd.DataFrame:
    names = clips["speaker"].unique()
    skills = np.clip(skill + generator.normal(0, 0.12, len(names)), 0, 1)
    speaker_skill = clips["speaker"].map(dict(zip(names, skills, strict=True))).to_numpy()
    scores = generator.normal(size=(len(clips), len(LABELS)))
    truth = np.array([LABELS.index(label) for label in clips["label"]])
    right = generator.random(len(clips)) < speaker_skill
    said = np.where(right, truth, generator.integers(0, len(LABELS), len(clips)))
    lead = generator.random(len(clips)) * np.where(said == truth, 1, 0.3)
    scores[np.arange(len(clips)), said] = scores.max(axis=1) + lead
    scores *= sure
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


def runs_in(folder: Path) -> list[Run]:
    """The runs in a folder, or the one that it is."""
    return [read_run(each) for each in find_runs([folder])]
