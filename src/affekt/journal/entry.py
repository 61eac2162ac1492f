"""Define an entry of a journal, and the voice statistics of one in the baseline."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any

from affekt.errors import JournalError

CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # characters that FHIR forbids


@dataclass(frozen=True)
class Entry:
    """One recording of a journal, without its sound; by default not yet predicted."""

    digest: str  #: SHA-256 of the recording's file, hexadecimal; identifies the entry
    recorded: str  #: local time in ISO 8601, or a day where no time is known
    name: str  #: of the file, without its folder
    duration: float = 0.0  #: seconds
    speech: float = 0.0  #: seconds of speech
    label: str = ""  #: the most probable emotion, or ``uncertain``
    #: of each label over all speech; empty without speech
    probabilities: Mapping[str, float] = field(default_factory=dict)
    #: ``start``, ``end``, ``speech`` (seconds) and ``probabilities`` of each one
    utterances: Sequence[Mapping[str, Any]] = ()
    quality: Mapping[str, Any] = field(default_factory=dict)  #: measured quality of the recording
    reason: str = ""  #: why the label is ``uncertain``; empty if it is not
    model: str = ""  #: digest of the model of the prediction
    profile: str = ""  #: digest of the profile that it used; empty for none
    note: str = ""  #: free text

    @property
    def day(self) -> date:
        """The day of the recording."""
        return date.fromisoformat(self.recorded[:10])


@dataclass(frozen=True)
class Voice:
    """Voice statistics of one entry of the baseline."""

    statistics: bytes  #: the content of a profile made from this recording alone
    plain: Mapping[str, float]  #: probability of each label without enrolment


def check_text(text: str, what: str) -> None:
    """Raise a JournalError if a text has a control character, other than tabs and line breaks."""
    if found := CONTROL.search(text):
        raise JournalError(f"{what} must have no control character. Got {found[0]!r}. Remove it.")


COLUMNS = tuple(each.name for each in fields(Entry))
