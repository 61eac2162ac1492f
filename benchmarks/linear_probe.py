"""How well a linear classifier of embeddings recognizes all classes of a corpus.

    python benchmarks/linear_probe.py --data DATA [--model FILE] [--corpora ravdess cremad]

Ten folds of whole speakers; in each, a logistic regression is fitted on the embeddings of the
others. Prints a table in Markdown with unweighted average recall (UAR) over all clips, its range
over folds, and chance. The shipped models were trained on the four classes of the same speakers;
the further classes are new to them, the voices are not.
"""

from pathlib import Path

import numpy as np
from sklearn.metrics import recall_score
from sklearn.model_selection import GroupKFold, cross_val_predict

import affekt
from affekt.corpora import load
from affekt.sklearn import EmotionEmbedding, usual_classifier
from arguments import parser_of


def row(corpus: str, data: Path, model: str | None) -> str:
    """Test one corpus with all of its classes."""
    manifest = load(corpus, data / corpus, task="all", partial=True)
    files = [str(manifest.root / clip.file) for clip in manifest.clips]
    labels = np.array([clip.label for clip in manifest.clips])
    speakers = np.array([clip.speaker for clip in manifest.clips])
    channel = manifest.clips[0].channel
    vectors = EmotionEmbedding(model, channel=channel).fit_transform(files)
    folds = [*GroupKFold(10).split(vectors, labels, speakers)]
    found = cross_val_predict(usual_classifier(), vectors, labels, cv=folds)
    uar = recall_score(labels, found, average="macro")
    by_fold = [recall_score(labels[test], found[test], average="macro") for _, test in folds]
    classes = len(manifest.labels)
    return (
        f"| {corpus} | {classes} | {len(files):,} | {len({*speakers})} | {uar:.3f} | "
        f"{min(by_fold):.3f} to {max(by_fold):.3f} | {1 / classes:.3f} |"
    )


def main() -> None:
    parser = parser_of(__doc__, data="the corpora")
    parser.add_argument("--model")
    parser.add_argument("--corpora", nargs="+", default=["ravdess", "cremad"])
    options = parser.parse_args()
    print(affekt.load(options.model))
    print("| corpus | classes | clips | speakers | UAR | range over folds | chance |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for corpus in options.corpora:
        print(row(corpus, options.data, options.model), flush=True)


if __name__ == "__main__":
    main()
