"""A recipe's values to Figure 1: the steps from a sound to its emotion.

Source: paper, Figure 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from affekt.report.style import COUNTS, LINE, MUTED, OURS, PAPER, STYLE, colours

WIDE, HIGH, GAP = 1.5, 1.7, 0.42  # of a step, and between two, in inches
WINDOWS_DRAWN = 4
WINDOW, SAMPLE_RATE = 15_600, 16_000  # what YAMNet listens to at once, in samples, and Hz


@dataclass(frozen=True)
class Steps:
    """What Figure 1 says, all of it from a recipe.

    Attributes:
        window_seconds: length of a window.
        overlap: share of a window that the next one repeats, in [0, 1).
        patch: frames and mel bands of a window's log-mel patch.
        network: name of the convolutional network, and what it gives for each window.
        head: name of each layer after it, and what it gives.
        labels: the answers.
    """

    window_seconds: float
    overlap: float
    patch: tuple[int, int]
    network: tuple[str, str]
    head: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]


HEADS = {
    "lstm": (("LSTM", "150 units"), ("LSTM", "150 units, last step")),
    "mean": (("mean", "over all windows"),),
}


def steps_of(knobs: Mapping[str, Any], labels: Sequence[str]) -> Steps | None:
    """The steps of a recipe that trains a network.

    Args:
        knobs: every knob of the recipe.
        labels: the answers.

    Returns:
        What Figure 1 says of it; None for a recipe of another kind.
    """
    backbone = knobs.get("backbone", "yamnet")  # which older runs do not have
    if knobs["method"] != "network" or knobs["head"] not in HEADS or backbone != "yamnet":
        return None
    return Steps(
        window_seconds=WINDOW / SAMPLE_RATE,
        overlap=1 - knobs["hop"] / WINDOW,
        patch=(96, 64),
        network=("YAMNet", "frozen" if knobs["frozen"] else "1,024 features a window"),
        head=HEADS[knobs["head"]],
        labels=tuple(labels),
    )


@rc_context(STYLE)
def method(steps: Steps) -> Figure:
    """Figure 1: sound, windows, log-mel patches, network, head, emotion.

    Args:
        steps: the recipe's values.

    Returns:
        The picture, one box for each step.
    """
    boxes = 4 + len(steps.head)
    width = boxes * WIDE + (boxes - 1) * GAP
    figure = Figure(figsize=(width + 0.2, HIGH + 0.75))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.1, width + 0.1), ylim=(-0.7, HIGH + 0.05))
    axes.axis("off")
    lefts = [number * (WIDE + GAP) for number in range(boxes)]
    for left, after in pairwise(lefts):
        arrow = FancyArrowPatch(
            (left + WIDE + 0.05, HIGH / 2),
            (after - 0.05, HIGH / 2),
            arrowstyle="-|>",
            mutation_scale=11,
            color=MUTED,
            lw=1.2,
        )
        axes.add_patch(arrow)
    seconds = f"{steps.window_seconds:g} s, {steps.overlap:.0%} overlap"
    frames, bands = steps.patch
    captions = [
        ("windows", seconds),
        ("log-mel", f"{frames} frames × {bands} bands"),
        steps.network,
        *steps.head,
        (f"{len(steps.labels)} classes", "softmax"),
    ]
    for left, caption in zip(lefts, captions, strict=True):
        _box(axes, left, *caption)
    _windows(axes, lefts[0], steps.overlap)
    _patches(axes, lefts[1])
    _layers(axes, lefts[2])
    for left in lefts[3:-1]:
        _cells(axes, left)
    _answers(axes, lefts[-1], steps.labels)
    return figure


def _box(axes: Axes, left: float, name: str, detail: str) -> None:
    box = FancyBboxPatch(
        (left + 0.06, 0.06),
        WIDE - 0.12,
        HIGH - 0.12,
        boxstyle="round,pad=0.06,rounding_size=0.1",
        facecolor="none",
        edgecolor=LINE,
        lw=1.2,
    )
    axes.add_patch(box)
    centre = left + WIDE / 2
    axes.text(centre, -0.22, name, ha="center", va="center", weight="bold", size=10)
    axes.text(centre, -0.46, detail, ha="center", va="center", color=MUTED, size=8)


def _windows(axes: Axes, left: float, overlap: float) -> None:
    """A voice, and the windows that are cut from it."""
    time = np.linspace(0, 1, 500)
    syllables = np.abs(np.sin(np.pi * 3.5 * time)) * np.exp(-1.1 * (time - 0.35) ** 2 / 0.16)
    wave = syllables * np.sin(2 * np.pi * 41 * time)
    inside = WIDE - 0.36
    axes.plot(left + 0.18 + inside * time, 1.18 + 0.32 * wave, color=OURS, lw=0.7)
    span = inside / (1 + (WINDOWS_DRAWN - 1) * (1 - overlap))
    for number in range(WINDOWS_DRAWN):
        start = left + 0.18 + number * span * (1 - overlap)
        low = 0.58 - 0.11 * number
        axes.add_patch(Rectangle((start, low), span, 0.07, color=PAPER, alpha=0.85, lw=0))


def _patches(axes: Axes, left: float) -> None:
    """One patch for each window, the last on top."""
    time, band = np.meshgrid(np.linspace(0, 1, 24), np.linspace(0, 1, 16))
    for number in range(WINDOWS_DRAWN):
        tone = 0.25 + 0.12 * np.sin(5 * time + number)
        energy = sum(np.exp(-(((band - tone * k) / 0.05) ** 2)) / k for k in (1, 2, 3))
        x, y = left + 0.2 + 0.13 * number, 0.25 + 0.17 * number
        axes.imshow(
            energy,
            extent=(x, x + 0.72, y, y + 0.68),
            origin="lower",
            cmap="magma",
            aspect="auto",
            zorder=2 + number,
            interpolation="bilinear",
        )
        frame = Rectangle((x, y), 0.72, 0.68, fill=False, ec="white", lw=1, zorder=2.5 + number)
        axes.add_patch(frame)


def _layers(axes: Axes, left: float) -> None:
    """Maps that become smaller and deeper."""
    edge = left + 0.2
    for number, (height, depth) in enumerate(
        ((1.25, 0.07), (1.0, 0.1), (0.75, 0.14), (0.5, 0.2), (0.28, 0.26))
    ):
        colour = COUNTS(0.25 + 0.17 * number)
        slab = Rectangle((edge, HIGH / 2 - height / 2), depth, height, color=colour, lw=0)
        axes.add_patch(slab)
        edge += depth + 0.075


def _cells(axes: Axes, left: float) -> None:
    """A cell for each window, each handing its state to the next."""
    step = (WIDE - 0.4) / WINDOWS_DRAWN
    for number in range(WINDOWS_DRAWN):
        x = left + 0.2 + step * number
        colour = COUNTS(0.35 + 0.2 * number)
        cell = FancyBboxPatch(
            (x + 0.06, HIGH / 2 - 0.28),
            step - 0.12,
            0.56,
            boxstyle="round,pad=0.02,rounding_size=0.05",
            facecolor=colour,
            edgecolor="none",
        )
        axes.add_patch(cell)
        if number:
            axes.plot([x - 0.045, x + 0.045], [HIGH / 2] * 2, color=MUTED, lw=1.2)


def _answers(axes: Axes, left: float, labels: Sequence[str]) -> None:
    """A bar for each answer; the lengths say nothing but that one is the longest."""
    height = (HIGH - 0.3) / max(len(labels), 4)
    for number, (label, colour) in enumerate(colours(labels).items()):
        y = HIGH - 0.15 - (number + 0.5) * height
        length = 0.62 if number == 0 else 0.3 - 0.07 * (number % 3)
        axes.text(left + 0.66, y, label, ha="right", va="center", size=7.5)
        axes.add_patch(Rectangle((left + 0.72, y - 0.07), length, 0.14, color=colour, lw=0))
