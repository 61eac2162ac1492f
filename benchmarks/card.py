"""Score the model yamnet-lstm on unseen speakers, levels and languages, for its model card.

    python benchmarks/card.py --data DATA

Scores the 112 clips of RAVDESS actors 21 to 24, whom only this model was not trained on, the same
clips at other levels, and the clips of EMOVO (Italian) and nEMO (Polish). Writes all predictions to
``answers.csv`` and the scores of each condition to ``card.csv``.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track

import affekt
from affekt.corpora import Manifest, load
from affekt.evaluation.intervals import shown_recalls, shown_uar
from affekt.evaluation.metrics import tally
from affekt.inference.predictor import Predictor
from arguments import parser_of

HELD_OUT = tuple(f"ravdess:{actor}" for actor in range(21, 25))
LEVELS = (-20, -10, 10, 20)  # dB


def conditions(data: Path) -> Iterator[tuple[str, Manifest, float]]:
    """Yield name, clips and gain in dB of each condition."""
    ravdess = load("ravdess", data / "ravdess")
    clips = tuple(clip for clip in ravdess.clips if clip.speaker in HELD_OUT)
    held_out = replace(ravdess, clips=clips)
    yield "RAVDESS, actors 21 to 24", held_out, 0.0
    for level in LEVELS:
        yield f"the same, {level:+d} dB", held_out, level
    yield "EMOVO (Italian)", load("emovo", data / "emovo"), 0.0
    yield "nEMO (Polish), 4 speakers", load("nemo", data / "nemo", partial=True), 0.0


def answers(predictor: Predictor, manifest: Manifest, gain: float) -> pd.DataFrame:
    """Predict all clips: rows as in ``predictions.csv``, probabilities with four digits."""
    rows = []
    for clip in track(manifest.clips, manifest.corpus, console=Console(stderr=True)):
        samples = affekt.read(manifest.root / clip.file, channel=clip.channel)
        louder = (samples * 10 ** (gain / 20)).astype(np.float32)
        prediction = predictor.predict(louder, sample_rate=16_000)
        scores = {f"p_{label}": round(p, 4) for label, p in prediction.probabilities.items()}
        who = {"file": clip.file, "speaker": clip.speaker, "gender": clip.gender}
        rows.append(who | {"truth": clip.label, "predicted": prediction.label} | scores)
    return pd.DataFrame(rows)


def card(answered: pd.DataFrame) -> pd.DataFrame:
    """Score each condition, and the first one for women and men as well."""
    rows = []
    for name, table in answered.groupby("condition", sort=False):
        rows.append(score(str(name), table))
        if len(rows) == 1:
            for gender, word in (("f", "women"), ("m", "men")):
                rows.append(score(f"the same, {word}", table[table["gender"] == gender]))
    return pd.DataFrame(rows)


def score(name: str, table: pd.DataFrame) -> dict[str, object]:
    """Compute UAR with its interval or range over speakers, and the recall of each class."""
    counts = tally(table.assign(seed=0))
    uar = shown_uar(counts)
    classes = {label: round(recall.value, 3) for label, recall in shown_recalls(counts).items()}
    about = {"condition": name, "clips": len(table), "speakers": table["speaker"].nunique()}
    return about | {name: round(value, 3) for name, value in uar.columns().items()} | classes


def main() -> None:
    parser = parser_of(__doc__, data="ravdess, emovo, nemo", output="results/yamnet-lstm")
    chosen = parser.parse_args()
    predictor = affekt.load("yamnet-lstm", limits=None)  # "uncertain" is no class
    answered = pd.concat(
        [
            answers(predictor, manifest, gain).assign(condition=name)
            for name, manifest, gain in conditions(chosen.data)
        ]
    )
    scores = card(answered)
    chosen.output.mkdir(parents=True, exist_ok=True)
    for name, table in (("answers", answered), ("card", scores)):
        table.to_csv(chosen.output / f"{name}.csv", index=False, lineterminator="\n")
    print(scores.to_string(index=False))


if __name__ == "__main__":
    main()
