"""Write the model card of a model that was adapted to a user's recordings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affekt.atomic_write import atomic_write
from affekt.errors import RunError, writing
from affekt.evaluation.intervals import Interval
from affekt.html_templates import html_templates

HEAD = "---\nlicense: other\n"  # begins every card


@dataclass(frozen=True)
class Finetuned:
    """A model that was adapted to a user's recordings.

    Attributes:
        file: the model file.
        labels: of the model.
        clips: number of clips.
        speakers: number of speakers.
        uar: without enrolment, in [0, 1], on speakers that were held out; with one speaker, on its
            recordings that were held out. With its interval, or range over few speakers.
        uar_enrolled: likewise, with all other held-out recordings of the speaker enrolled; None if
            the model takes no profile.
        recalls: of each label, without enrolment.
        temperatures: of the probabilities, without enrolment and with a full profile.
    """

    file: Path
    labels: tuple[str, ...]
    clips: int
    speakers: int
    uar: Interval
    uar_enrolled: Interval | None
    recalls: Mapping[str, Interval]
    temperatures: tuple[float, float]

    @property
    def card(self) -> Path:
        """The model card."""
        return self.file.with_suffix(".md")


def write_card(
    made: Finetuned, start: Mapping[str, Any], start_file: Path, table: str, licence: str
) -> None:
    """Write the card beside the model file.

    Args:
        start: metadata of the model that it was adapted from.
        start_file: its file, beside which its card may lie; its credits are copied.
        table: name of the table of recordings.
        licence: of the weights.

    Raises:
        RunError: it cannot be written.
    """
    old = start_file.with_suffix(".md")
    text = old.read_text(encoding="utf-8") if old.is_file() else ""
    old_credits = re.search(r"^## Credits\n.*?(?=\n+^## |\Z)", text, re.MULTILINE | re.DOTALL)
    templates = html_templates().overlay(autoescape=False)
    with writing(made.card, RunError), atomic_write(made.card) as part:
        card = templates.get_template("report/model_card.md.jinja").render(
            made=made,
            start=start,
            table=table,
            licence=licence,
            credits=old_credits and old_credits[0].strip(),
        )
        part.write_text(HEAD + card, encoding="utf-8")
