"""List the accuracies that the paper reports, to be shown beside the measured ones.

Source: Sharan, Mascolo & Schuller, "Emotion Recognition from Speech Signals by Mel-Spectrogram
and a CNN-RNN", Table II: average accuracies, and class accuracies of YAMNet-LSTM.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Published:
    """One row of the paper's Table II."""

    uar: float  #: average accuracy in [0, 1]
    #: class accuracy in [0, 1] of each label, for methods where the paper reports it
    recalls: dict[str, float] = field(default_factory=dict)


PUBLISHED = {
    "ravdess-mfcc-rf": Published(0.522),
    "ravdess-mfcc-svm": Published(0.535),
    "ravdess-mfcc-mlp": Published(0.538),
    "ravdess-gtcc-rf": Published(0.493),
    "ravdess-gtcc-svm": Published(0.564),
    "ravdess-gtcc-mlp": Published(0.547),
    "ravdess-yamnet-lstm": Published(
        0.711, {"angry": 0.854, "happy": 0.729, "sad": 0.729, "neutral": 0.531}
    ),
    "demos-mfcc-rf": Published(0.598),
    "demos-mfcc-svm": Published(0.649),
    "demos-mfcc-mlp": Published(0.624),
    "demos-gtcc-rf": Published(0.594),
    "demos-gtcc-svm": Published(0.662),
    "demos-gtcc-mlp": Published(0.663),
    "demos-yamnet-lstm": Published(
        0.780, {"angry": 0.841, "happy": 0.647, "sad": 0.754, "neutral": 0.880}
    ),
}
# The paper names no selection of features, so its value stands beside both variants of a baseline.
PUBLISHED |= {
    f"{recipe}-all-features": Published(row.uar)
    for recipe, row in PUBLISHED.items()
    if recipe.startswith(("ravdess-mfcc", "ravdess-gtcc"))
}
