"""Summarize a long recording: the share of speech in each emotion, and its strongest passages.

The last window of a long recording describes its last 20 s only. So recordings above 30 s are
answered by the mean over all windows, weighted by the speech in them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from affekt.inference.prediction import Passage, Prediction, Segment, label_of
from affekt.inference.stream import Stream

LONG = 30.0  # s: longer recordings are summarized
WINDOWS = 5  # of a passage


def summarized(
    file: str, segments: Sequence[Segment], duration: float, stream: Stream
) -> Prediction:
    """Make the prediction of a recording of ``duration`` seconds from its segments, at least one.

    The stream is the one that recognized the whole recording; it has the quality and the limits.
    """
    long = duration > LONG
    shares = mean_probabilities(segments) if long else segments[-1].probabilities
    quality, limits = stream.quality, stream.limits
    reason = limits.reason(quality) if limits and quality else None
    return Prediction(
        file=file,
        duration=duration,
        label=label_of(shares, stream.min_confidence, reason),
        probabilities=shares,
        segments=tuple(segments),
        passages=strongest_passages(segments) if long else (),
        quality=quality,
        reason=reason,
    )


def mean_probabilities(segments: Sequence[Segment]) -> dict[str, float]:
    """Average the recent probabilities of windows, weighted by their share of speech.

    Returns:
        The share of speech in each emotion; the sum is 1. Without any speech, the plain mean.
    """
    weights = _speech(segments)
    weights = weights if weights.any() else np.ones(len(segments))
    mean = weights @ _probabilities(segments) / weights.sum()
    return dict(zip(segments[0].probabilities, mean.tolist(), strict=True))


def strongest_passages(segments: Sequence[Segment]) -> tuple[Passage, ...]:
    """For each emotion the five windows in a row in which it is most probable.

    Returns:
        Passages in order of time, of those emotions that lead in theirs.
    """
    if len(segments) < WINDOWS:
        return ()
    labels = list(segments[0].probabilities)
    weighted = _probabilities(segments) * _speech(segments)[:, None]
    sums = np.apply_along_axis(np.convolve, 0, weighted, np.ones(WINDOWS), "valid")
    found = []
    for column, label in enumerate(labels):
        first = int(sums[:, column].argmax())
        if sums[first].any() and sums[first].argmax() == column:
            part = segments[first : first + WINDOWS]
            share = mean_probabilities(part)[label]
            found.append(Passage(part[0].start, part[-1].end, label, share))
    return tuple(sorted(found, key=lambda passage: passage.start))


def _probabilities(segments: Sequence[Segment]) -> NDArray[np.float64]:
    return np.array([[*(each.recent or each.probabilities).values()] for each in segments])


def _speech(segments: Sequence[Segment]) -> NDArray[np.float64]:
    return np.array([1.0 if each.speech is None else each.speech for each in segments])
