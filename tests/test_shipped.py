"""Test that shipped models, profiles and checkpoints of release 0.1 give the answers they gave."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import affekt
from affekt.model.classifier import load_classifier
from conftest import SAMPLES

STORED = Path(__file__).parent / "golden" / "release-0.1"
EXPECTED = json.loads((STORED / "probabilities.json").read_text(encoding="utf-8"))
TOLERANCE = 1e-5  # processors round differently; on the one that wrote them it is below 1e-6


def check(predictor: affekt.Predictor, expected: dict[str, list[list[float]]]) -> None:
    assert expected
    for name, probabilities in expected.items():
        segments = predictor.predict(SAMPLES / name).segments
        found = [list(each.probabilities.values()) for each in segments]
        np.testing.assert_allclose(found, probabilities, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("model", EXPECTED["shipped"])
def test_shipped_models_give_the_same_probabilities(model: str) -> None:
    check(affekt.load(model), EXPECTED["shipped"][model])


@pytest.mark.parametrize("adapt", [False, True])
def test_a_stored_profile_gives_the_same_probabilities(adapt: bool) -> None:
    predictor = affekt.load("affekt-small", profile=STORED / "voice.profile", adapt=adapt)
    check(predictor, EXPECTED["adapting" if adapt else "enrolled"])


def test_a_stored_checkpoint_gives_the_same_probabilities() -> None:
    classifier, facts = load_classifier(STORED / "model.pt")
    assert facts == {"digest": "0123456789abcdef", "corpora": []}
    state = {name: tensor[0] for name, tensor in classifier.start(1).items()}
    windows = 0.1 * torch.randn(3, 15_600, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found, _ = classifier.step(windows, state, torch.ones(1))
    np.testing.assert_allclose(
        found["probabilities"], EXPECTED["checkpoint"], rtol=0, atol=TOLERANCE
    )
