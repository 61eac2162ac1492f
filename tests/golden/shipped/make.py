"""Write the reference answers of the shipped models and a profile of the 0.1 release.

Run once with the release whose answers are the reference: ``python tests/golden/shipped/make.py``.
"""

import json
from pathlib import Path

import affekt

HERE = Path(__file__).parent
SAMPLES = sorted((HERE.parents[2] / "samples").glob("*.flac"))


def answers(predictor: affekt.Predictor) -> dict[str, list[list[float]]]:
    """Probabilities of every window of every sample."""
    return {
        sample.name: [list(s.probabilities.values()) for s in predictor.predict(sample).segments]
        for sample in SAMPLES
    }


if __name__ == "__main__":
    person = affekt.load().enroll(SAMPLES[:2])
    person.save(HERE / "release-0.1.profile")
    reference = {name: answers(affekt.load(name)) for name in ("affekt", "yamnet-lstm")}
    reference["affekt, enrolled"] = answers(affekt.load(profile=HERE / "release-0.1.profile"))
    (HERE / "answers.json").write_text(json.dumps(reference, indent=1) + "\n")
