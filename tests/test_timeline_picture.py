"""Check the picture of a timeline at several lengths, as PNG and SVG."""

from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import matplotlib.colors
import numpy as np
import pytest
from matplotlib.figure import Figure

from affekt.label_colors import label_colors
from affekt.report.style import LINE
from affekt.report.timeline_picture import COLUMNS, draw_timeline, save

LABELS = ["angry", "happy", "sad", "neutral"]
Said = namedtuple("Said", "start end label probabilities")


def said(start: float, end: float, label: str, sure: float = 0.7) -> Said:
    rest = (1 - sure) / 3
    return Said(start, end, label, {name: sure if name == label else rest for name in LABELS})


def draw(answers: list[Said], seconds: float, title: str = "talk.wav") -> Figure:
    swings = np.stack([-np.ones(1_000), np.ones(1_000)], axis=1).astype(np.float32)
    waveform = SimpleNamespace(peaks=swings, seconds=seconds, seconds_per_part=seconds / 1_000)
    return draw_timeline(answers, waveform, labels=LABELS, title=title)


def test_every_answer_is_where_it_was_said() -> None:
    figure = draw([said(1, 3, "sad"), said(5, 9, "happy")], 10)
    wave, stack, lanes = figure.axes
    assert lanes.get_xlim() == (0, 10)
    bars = {(bar.get_x(), bar.get_x() + bar.get_width()) for bar in stack.patches}
    assert bars == {(1, 3), (5, 9)}
    heights = sum(bar.get_height() for bar in stack.patches)
    assert heights == pytest.approx(2)  # each answer's probabilities reach 1
    assert [tick.get_text() for tick in lanes.get_yticklabels()] == LABELS
    spans = [
        block.get_extents().intervalx for lane in lanes.collections for block in lane.get_paths()
    ]
    assert {tuple(span) for span in spans} == {(1, 3), (5, 9)}
    shades = [matplotlib.colors.to_hex(each) for each in wave.collections[0].get_colors()]
    palette = label_colors(LABELS)
    assert [shades[at] for at in (50, 200, 400, 700)] == [
        LINE,
        palette["sad"],
        LINE,
        palette["happy"],
    ]


def test_many_answers_are_drawn_as_means() -> None:
    answers = [said(at, at + 0.5, "sad" if at % 2 else "angry") for at in range(1_000)]
    stack = draw(answers, 1_000).axes[1]
    assert len(stack.patches) == COLUMNS * len(LABELS)
    heights = np.array([bar.get_height() for bar in stack.patches]).reshape(len(LABELS), -1)
    assert heights.sum(axis=0) == pytest.approx(np.ones(COLUMNS))
    assert heights[1:3].mean() == pytest.approx((0.4 + 0.1) / 2)  # sad, and happy above it


@pytest.mark.parametrize(
    ("seconds", "last", "unit"),
    [
        (10, "10", "s"),
        (90, "1:30", "min:s"),
        (4 * 3_600, "4:00:00", "h:min:s"),
        (2e6, "552:00:00", "h:min:s"),
    ],
)
def test_time_is_told_as_people_do(seconds: float, last: str, unit: str) -> None:
    figure = draw([], seconds)
    figure.canvas.draw()
    lanes = figure.axes[2]
    texts = [tick.get_text() for tick in lanes.get_xticklabels()]
    assert last in texts
    assert lanes.get_xlabel() == f"time in {unit}"


def test_a_long_name_leaves_room_for_the_legend() -> None:
    assert len(draw([], 10, title="x" * 300).axes[0].get_title(loc="left")) < 50


def test_both_kinds_of_file(tmp_path: Path) -> None:
    figure = draw([said(1, 3, "sad")], 10)
    for name in ("a.png", "a.SVG"):
        (tmp_path / name).write_text("before")
        (tmp_path / f"old {name}").hardlink_to(tmp_path / name)
        save(figure, tmp_path / name)
        assert (tmp_path / f"old {name}").read_text() == "before"  # replaced, not written in place
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert "</svg>" in (tmp_path / "a.SVG").read_text(encoding="utf-8")
