"""Specify a corpus, and recognize its clips by their file names.

The module of a corpus defines one :class:`Corpus`.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from affekt.corpora.clips import Clip
from affekt.errors import CorpusError

FOUR = ("angry", "happy", "sad", "neutral")  # the paper's classes, in the order of its tables
LABELS = (*FOUR, "fearful", "disgusted", "surprised", "calm", "bored", "guilty")


@dataclass(frozen=True)
class Speaker:
    """A speaker's gender, and the published number of clips by code (None: not published)."""

    gender: str
    clips: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Corpus:
    """Specification of one corpus."""

    name: str  #: short name; the first half of its speaker keys
    language: str  #: spoken in it, as a code of ISO 639-1
    licence: str  #: its licence, in its authors' words
    #: regular expression of a path without its suffix, anchored at the end and at a folder's start.
    #: Groups: ``speaker`` and ``code``; optional are ``part`` (prefix of the code), ``gender``,
    #: ``text`` and ``intensity``. All groups together identify a recording.
    pattern: str
    #: label by code, for task ``four`` and for all classes of the corpus
    tasks: Mapping[str, Mapping[str, str]]
    speakers: Mapping[str, Speaker]  #: all speakers by id
    #: published clips by code, if they are not published by speaker
    totals: Mapping[str, int] = field(default_factory=dict)
    names: frozenset[str] = frozenset()  #: all file names without suffix, if they are known
    #: names of files to leave out: silent ones and those with two labels
    unusable: frozenset[str] = frozenset()
    channel: int | None = None  #: channel to read, or None for the mean of all
    credit: str = ""  #: authors, year and name, which models trained on it must state
    source: str = ""  #: web address of its paper or record
    licence_link: str = ""  #: web address of the licence's text, where it has one
    #: reads, by file name without suffix, the labels that most listeners chose from the voice alone
    #: (several: a tie), from the corpus' own table under the root
    perceived: Callable[[Path], Mapping[str, tuple[str, ...]]] | None = None

    def labels(self, task: str) -> tuple[str, ...]:
        """Labels of a task in the order of a model's outputs; a CorpusError for another task."""
        if task not in self.tasks:
            raise CorpusError(
                f"task of {self.name} must be one of {', '.join(self.tasks)}. Got {task!r}. "
                f"Choose one of them."
            )
        return tuple(label for label in LABELS if label in self.tasks[task].values())


def tasks(all_codes: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    """Build both tasks of a corpus from its labels by code.

    >>> tasks({"W": "angry", "L": "bored"})
    {'four': {'W': 'angry'}, 'all': {'W': 'angry', 'L': 'bored'}}
    """
    four = {code: label for code, label in all_codes.items() if label in FOUR}
    return {"four": four, "all": all_codes}


def speakers(codes: str, table: str) -> dict[str, Speaker]:
    """Parse speakers from a table of published counts.

    Args:
        codes: the counted codes, in order.
        table: for each speaker its id with the gender's letter, and the counts.

    >>> speakers("W F", "03m 14/7  08f 12/11")["08"]
    Speaker(gender='f', clips={'W': 12, 'F': 11})
    """
    words = table.split()
    return {
        who[:-1]: Speaker(
            who[-1], dict(zip(codes.split(), map(int, counts.split("/")), strict=True))
        )
        for who, counts in zip(words[::2], words[1::2], strict=True)
    }


def published(corpus: Corpus, task: str) -> Counter[tuple[str, str]]:
    """Count the published clips of a task by speaker key, empty for totals, and label."""
    codes = corpus.tasks[task]
    counts: Counter[tuple[str, str]] = Counter()
    for code, clips in corpus.totals.items():
        if code in codes:
            counts["", codes[code]] += clips
    for name, speaker in corpus.speakers.items():
        for code, clips in (speaker.clips or {}).items():
            if code in codes:
                counts[f"{corpus.name}:{name}", codes[code]] += clips
    return +counts


def recognize(
    corpus: Corpus, files: Iterable[str], task: str
) -> tuple[tuple[Clip, ...], tuple[str, ...]]:
    """Recognize clips by their file names.

    Args:
        files: POSIX paths relative to the root.
        task: clips of other classes are skipped.

    Returns:
        The clips sorted by path, with 0 seconds; and the files that do not belong to the corpus
        by name, speaker, gender or class.

    Raises:
        CorpusError: two files are the same recording.
    """
    pattern = re.compile(rf"(?:^|/)(?P<name>{corpus.pattern})(?:\.\w+)?$")
    codes = corpus.tasks[task]
    clips: list[Clip] = []
    others: list[str] = []
    seen: dict[tuple[str | None, ...], str] = {}
    for file in sorted(files):
        match = pattern.search(file)
        if match is None or not _belongs_to(corpus, groups := match.groupdict(default="")):
            others.append(file)
            continue
        if groups["name"] in corpus.unusable:
            continue
        before = seen.setdefault(match.groups()[1:], file)
        if before != file:
            raise CorpusError(
                f"{corpus.name} must hold each recording once. Got {before} and {file}. "
                f"Name the folder that holds one copy, or remove the other."
            )
        label, speaker = codes.get(_code(groups)), groups["speaker"]
        if label is not None:
            clips.append(
                Clip(
                    file=file,
                    label=label,
                    speaker=f"{corpus.name}:{speaker}",
                    gender=corpus.speakers[speaker].gender,
                    channel=corpus.channel,
                    text=groups.get("text", ""),
                    intensity=groups.get("intensity", ""),
                )
            )
    return tuple(clips), tuple(others)


def _belongs_to(corpus: Corpus, groups: Mapping[str, str]) -> bool:
    speaker = corpus.speakers.get(groups["speaker"])
    if speaker is None or _code(groups) not in corpus.tasks["all"]:
        return False
    return groups.get("gender", speaker.gender) == speaker.gender


def _code(groups: Mapping[str, str]) -> str:
    return groups.get("part", "") + groups["code"]
