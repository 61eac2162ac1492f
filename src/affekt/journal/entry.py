"""Define an entry of a journal, and the voice statistics of one in the baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One recording of a journal, without its sound; by default not yet predicted.

    Attributes:
        digest: SHA-256 of the recording's file, hexadecimal; identifies the entry.
        recorded: local time in ISO 8601, or a day where no time is known.
        name: of the file, without its folder.
        duration: seconds.
        speech: seconds of speech.
        label: the most probable emotion, or ``uncertain``.
        probabilities: of each label over all speech; empty without speech.
        utterances: ``start``, ``end``, ``speech`` (seconds) and ``probabilities`` of each one.
        quality: measured quality of the recording.
        reason: why the label is ``uncertain``; empty if it is not.
        model: digest of the model of the prediction.
        profile: digest of the profile that it used; empty for none.
        note: free text.
    """

    digest: str
    recorded: str
    name: str
    duration: float = 0.0
    speech: float = 0.0
    label: str = ""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    utterances: Sequence[Mapping[str, Any]] = ()
    quality: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    model: str = ""
    profile: str = ""
    note: str = ""

    @property
    def day(self) -> date:
        """The day of the recording."""
        return date.fromisoformat(self.recorded[:10])


@dataclass(frozen=True)
class Voice:
    """Voice statistics of one entry of the baseline.

    Attributes:
        statistics: the content of a profile made from this recording alone.
        plain: probability of each label without enrolment.
    """

    statistics: bytes
    plain: Mapping[str, float]


COLUMNS = tuple(each.name for each in fields(Entry))
