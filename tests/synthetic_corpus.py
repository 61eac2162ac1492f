"""Write small corpora of tones, named as RAVDESS and EMOVO name their files."""

from pathlib import Path

import numpy as np
import soundfile

from affekt.experiments.recipe import Recipe
from affekt.runs.folder import Locations

EMOTIONS = {"05": 520.0, "03": 390.0, "04": 150.0, "01": 230.0, "02": 190.0}  # Hz; 02 is calm


def make_corpus(root: Path, *, speakers: int = 6) -> Path:
    """Write a clip of each emotion of each speaker, of one window or two; its pitch tells which."""
    generator = np.random.default_rng(0)
    for speaker in range(1, speakers + 1):
        folder = root / f"Actor_{speaker:02d}"
        folder.mkdir(parents=True)
        for index, (emotion, pitch) in enumerate(EMOTIONS.items()):
            time = np.arange(14_400 if (speaker + index) % 2 else 25_600) / 16_000
            tone = 0.2 * np.sin(2 * np.pi * pitch * (1 + speaker / 50) * time)
            noise = generator.normal(0, 0.01, len(time))
            name = f"03-01-{emotion}-01-01-01-{speaker:02d}.wav"
            soundfile.write(folder / name, tone + noise, 16_000)
    return root


def make_emovo(root: Path, *, speakers: int = 4) -> Path:
    """The same tones as another corpus: a folder a speaker, the second channel another sound."""
    for number, speaker in enumerate(("f1", "m1", "f2", "m2", "f3", "m3")[:speakers]):
        folder = root / speaker
        folder.mkdir(parents=True)
        for code, pitch in {"rab": 520.0, "gio": 390.0, "tri": 150.0, "neu": 230.0}.items():
            time = np.arange(20_000) / 16_000
            tone = 0.2 * np.sin(2 * np.pi * pitch * (1 - number / 50) * time)
            both = np.stack([tone, 0.1 * np.cos(2_000 * time)], axis=1)
            soundfile.write(folder / f"{code}-{speaker}-b1.wav", both, 16_000)
    return root


def tiny_recipe(name: str = "tiny", **knobs: object) -> Recipe:
    """A recipe for the made-up corpus, of random weights; its network is cut to be quick."""
    method = str(knobs.get("method", "network"))
    given = {} if method.startswith("chance") else {"weights": "random"}
    given |= {"blocks": 4, "epochs": 2, "batch": 6} if method == "network" else {}
    return Recipe(name).with_(**{"partial": True, **given, **knobs})


def own_recipe(name: str = "own", **knobs: object) -> Recipe:
    """affekt's own network for the made-up corpus, cut after its second block to be quick."""
    ours = {
        "hop": 15_360,
        "last_window": "pad",
        "loudness": "running",
        "blocks": 2,
        "frozen": True,
        "speaker_normalization": True,
        "head": "statistics",
        "time_constant": 20.0,
        "augmented_speakers": 1,
        "balance": True,
        "optimizer": "adamw",
        "schedule": "one-cycle",
        "learning_rate": 1e-3,
        "weight_decay": 1e-2,
        "label_smoothing": 0.1,
        "checkpoint": "last",
    }
    return tiny_recipe(name, **{**ours, **knobs})


def places_in(root: Path, data: Path) -> Locations:
    """Runs below ``root``, the cache beside the corpus, so that tests share it."""
    return Locations(data, root / "runs", data.parent / "cache")
