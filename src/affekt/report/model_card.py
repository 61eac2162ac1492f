"""Write the model card of a model that was adapted to a user's recordings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment

from affekt.atomic_write import atomic_write
from affekt.errors import RunError, writing
from affekt.evaluation.intervals import Interval

HEAD = "---\nlicense: other\n"  # begins every card
CARD = """license_name: see-licence-below
library_name: affekt
pipeline_tag: audio-classification
tags: [speech-emotion-recognition, audio, onnx]
metrics: [recall]
---

# Model card: {{ made.file.stem }}

`{{ start.name }}`, adapted by `affekt finetune` to the recordings of `{{ table }}`. The encoder is
unchanged; the head was trained further.
{%- if made.speakers == 1 %}

**All recordings are of one speaker. How well the model recognizes other speakers is not known.**
{%- endif %}

| | |
| --- | --- |
| file | `{{ made.file.name }}` |
| labels | {{ made.labels | join(", ") }} |
| recordings | {{ made.clips }} clips, {{ made.speakers }} speaker{{ "s" if made.speakers > 1 }} |
| calibration | temperatures: {{ "%.2f" | format(made.temperatures[0]) }} without enrolment, \
{{ "%.2f" | format(made.temperatures[1]) }} with a full profile |
| licence of the weights | {{ licence }} |

## Results

{% if made.speakers > 1 -%}
Networks that were trained on a part of the speakers predicted the others.
{%- else -%}
Networks that were trained on a part of the recordings predicted the others, of the same speaker.
{%- endif %}
The model in the file was trained on all recordings in the same way. Class accuracy is recall; UAR
is the mean over classes. Enrolment is with all other held-out recordings of the speaker.

| | enrolment | score |
| --- | --- | --- |
| UAR | none | **{{ shown(made.uar) }}** |
| UAR | all | {{ shown(made.uar_enrolled) }} |
| UAR of chance | | {{ "%.3f" | format(1 / made.labels | length) }} |
{% for label, recall in made.recalls.items() -%}
| accuracy of {{ label }} | none | {{ shown(recall) }} |
{% endfor %}
The temperatures were fitted on the same predictions.

## Limits

- The scores hold for recordings like those of the table: its language, rooms and microphones.
- The limits and the prohibited uses of `{{ start.name }}` hold for this model too: see its card.
- The metadata of the file name the speakers as the table does.
{%- if credits %}

{{ credits }}
{%- endif %}
"""


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
        uar_enrolled: likewise, with all other held-out recordings of the speaker enrolled.
        recalls: of each label, without enrolment.
        temperatures: of the probabilities, without enrolment and with a full profile.
    """

    file: Path
    labels: tuple[str, ...]
    clips: int
    speakers: int
    uar: Interval
    uar_enrolled: Interval
    recalls: Mapping[str, Interval]
    temperatures: tuple[float, float]

    @property
    def card(self) -> Path:
        """The model card."""
        return self.file.with_suffix(".md")


def shown(score: Interval) -> str:
    """A score with its interval, in words.

    >>> shown(Interval(0.5, 0.25, 0.75))
    '0.500 (95 % interval 0.250 to 0.750)'
    """
    ends = "" if np.isnan(score.low) else f" ({score.kind} {score.low:.3f} to {score.high:.3f})"
    return f"{score.value:.3f}{ends}"


def write_card(
    made: Finetuned, start: Mapping[str, Any], start_file: Path, table: str, licence: str
) -> None:
    """Write the card beside the model file.

    Args:
        made: the model.
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
    card = Environment(keep_trailing_newline=True).from_string(HEAD + CARD)
    values = {"made": made, "start": start, "table": table, "licence": licence, "shown": shown}
    written = card.render(**values, credits=old_credits and old_credits[0].strip())
    with writing(made.card, RunError), atomic_write(made.card) as part:
        part.write_text(written, encoding="utf-8")
