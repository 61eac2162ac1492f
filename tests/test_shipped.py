"""The shipped models keep their answers, and profiles of earlier releases keep their meaning."""

import json
from pathlib import Path

import numpy as np
import pytest

import affekt

GOLDEN = Path(__file__).parent / "golden" / "shipped"
SAMPLES = Path(__file__).parents[1] / "samples"
REFERENCE = json.loads((GOLDEN / "answers.json").read_text(encoding="utf-8"))
TOLERANCE = 1e-5  # processors round differently; on the one that wrote them it is below 1e-6


@pytest.mark.parametrize("name", REFERENCE)
def test_answers_stay_what_they_were(name: str) -> None:
    model, _, enrolled = name.partition(", ")
    profile = GOLDEN / "release-0.1.profile" if enrolled else None
    predictor = affekt.load(model, profile=profile)
    for sample, rows in REFERENCE[name].items():
        segments = predictor.predict(SAMPLES / sample).segments
        got = np.array([list(segment.probabilities.values()) for segment in segments])
        np.testing.assert_allclose(got, rows, atol=TOLERANCE)
