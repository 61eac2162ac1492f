"""Choose the color of each label, the same in every figure and page.

The colors of Okabe and Ito can be distinguished with any color vision.

Source: Okabe & Ito, "Color Universal Design" (2008).
"""

from collections.abc import Sequence
from itertools import cycle

EMOTIONS = {"angry": "#d55e00", "happy": "#e69f00", "sad": "#0072b2", "neutral": "#7f8790"}
OTHERS = ("#009e73", "#cc79a7", "#56b4e9", "#b3a100")


def label_colors(labels: Sequence[str]) -> dict[str, str]:
    """Choose the color of each label.

    >>> label_colors(["sad", "calm"])
    {'sad': '#0072b2', 'calm': '#009e73'}
    """
    others = cycle(OTHERS)
    return {label: EMOTIONS.get(label) or next(others) for label in labels}
