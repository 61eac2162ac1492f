"""Make a seeded network whose answers differ between windows, and a sound for it."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from affekt.audio.windows import PATCH_HOP, sliding_windows
from affekt.model.architecture import Architecture
from affekt.model.classifier import Classifier, save_classifier
from affekt.model.export import export
from affekt.model.speaker_normalization import window_sums

Floats = NDArray[np.float32]
LABELS = ("angry", "happy", "sad", "neutral")
FACTS = {
    "digest": "0123456789ab",
    "encoder": "A made encoder, MIT.",
    "corpora": [
        {
            "name": name,
            "licence": licence,
            "digest": "f" * 64,
            "clips": 8,
            "speakers": [f"{name}:1"],
        }
        for name, licence in (("made", "CC BY 4.0"), ("also", "CC0"), ("third", "CC0"))
    ],
}
#: affekt's own network, cut after its second block to be quick.
OWN = {
    "head": "statistics",
    "hop": PATCH_HOP,
    "last_window": "pad",
    "blocks": 2,
    "loudness": "running",
    "speaker_normalization": True,
    "time_constant": 20.0,
}


def made_sound(seconds: float = 6.0, pitch: float = 150.0) -> Floats:
    """A speech-like sound that changes all the time, so that all windows have different results."""
    time = np.arange(int(seconds * 16_000)) / 16_000
    pitches = pitch + 60 * np.sin(2 * np.pi * 0.4 * time)
    phase = 2 * np.pi * np.cumsum(pitches) / 16_000
    voice = sum(np.sin(k * phase) / k for k in range(1, 20)) * np.abs(np.sin(2 * np.pi * time))
    noise = np.random.default_rng(2).normal(size=time.size) * np.linspace(0, 0.3, time.size)
    return (0.2 * (voice + noise)).astype(np.float32)


@torch.no_grad()
def made_network(**architecture: Any) -> Classifier:
    """A seeded network: norms and population fit to a sound, all numbers drawn."""
    torch.manual_seed(8)
    network = Classifier(Architecture(LABELS, **architecture))
    for row in network.trunk.rows:
        row.norm.momentum = None  # statistics of all windows
        nn.init.uniform_(row.norm.weight, 0.8, 1.2)
        nn.init.normal_(row.norm.bias, 0.2, 0.3)
    patches = network.front_end(torch.from_numpy(sliding_windows(made_sound()).copy()))
    if network.loudness:
        start = {name: torch.zeros(1, *shape) for name, shape in network.loudness.state.items()}
        patches = network.loudness(patches[None], start)[0][0]
    network.train().trunk(patches)
    steps, shares = network.eval().trunk(patches), network.shares(patches)
    if network.speaker:
        sums = window_sums(steps, shares)
        network.speaker.set_population({name: each.sum(0) for name, each in sums.items()})
    spread(network, steps, shares)
    return network


@torch.no_grad()
def spread(network: Classifier, steps: Tensor, shares: Tensor) -> None:
    """Scale the last layer so that the answers to these windows differ much."""
    (logits,), _ = network.logits_by_window(steps, shares, torch.tensor([len(steps)]))
    logits = logits[:, 0]
    mean, size = logits.mean(dim=0), 2 * logits.std(dim=0)
    last = network.head.classes
    last.weight /= size[:, None] if isinstance(last, nn.Linear) else size
    last.bias.copy_((last.bias - mean) / size)


def own_model(folder: Path, **changes: Any) -> Path:
    """The model file of :data:`OWN`, with some of its knobs changed."""
    source = folder / "model.pt"
    save_classifier(made_network(**{**OWN, **changes}), source, **FACTS)
    export(source, folder / "own.onnx", name="own")
    return folder / "own.onnx"
