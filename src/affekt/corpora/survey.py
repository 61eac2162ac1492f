"""Compare a corpus on disk with the published one: missing, extra and undecodable files."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from affekt.corpora.clips import Clip
from affekt.corpora.manifest import Manifest
from affekt.corpora.recordings import Watch, measured, recordings_in, unwatched
from affekt.corpora.spec import Corpus, published, recognize
from affekt.errors import CorpusError

_MAX_LISTED = 3  # names in a message; further ones are counted
_REMEDY = (
    "Complete the folder, or take it as it is with partial=True (affekt corpus --partial, affekt "
    "run --set partial=true)."
)


@dataclass(frozen=True)
class Row:
    """One row of the comparison: counts found, and published (None: not published)."""

    name: str
    found: tuple[int, ...]  #: speakers, clips of each label in order, clips
    published: tuple[int | None, ...]


@dataclass(frozen=True)
class Survey:
    """The clips of a corpus that a folder holds."""

    corpus: str  #: name of the corpus
    task: str  #: name of the label set
    labels: tuple[str, ...]  #: all labels of the task, in order
    root: Path  #: the folder
    clips: tuple[Clip, ...]  #: clips with a readable header
    undecodable: Mapping[str, str]  #: error message by file
    #: published clips that are absent: count by description
    missing: Mapping[str, int] = field(default_factory=dict)
    #: clips or files that are not published: count by description
    extra: Mapping[str, int] = field(default_factory=dict)
    #: clips by (speaker, label); the speaker is empty if only totals are known
    published: Mapping[tuple[str, str], int] = field(default_factory=dict)
    genders: Mapping[str, str] = field(default_factory=dict)  #: published gender by speaker

    def manifest(self, *, partial: bool = False, remedy: str = _REMEDY) -> Manifest:
        """Return the clips as a manifest; ``remedy`` ends the message of an error.

        Raises:
            CorpusError: the folder is not as published and not ``partial``, or has no clip.
        """
        faults = self.faults()
        if faults and not partial:
            raise CorpusError(
                f"{self.corpus} under {self.root} must be complete. Got {faults}. {remedy}"
            )
        return Manifest(self.corpus, self.task, self.labels, self.root, self.clips)

    def faults(self) -> str:
        """Describe in one line what differs from the published corpus; empty if nothing does."""
        absent = sorted(self.genders.keys() - {clip.speaker for clip in self.clips})
        faults = [
            _listed("missing speakers", dict.fromkeys(absent, 1)),
            _listed("missing clips", self.missing),
            _listed("extra", self.extra),
            _listed("undecodable", dict.fromkeys(self.undecodable, 1)),
        ]
        first = [reason.rstrip(".") for reason in self.undecodable.values()][:1]
        return "; ".join([*filter(None, faults), *(f"the first because: {x}" for x in first)])

    def rows(self) -> tuple[Row, ...]:
        """Count all clips, those of each gender, and those of each speaker."""
        genders = {clip.speaker: clip.gender for clip in self.clips} | {**self.genders}
        groups = {"all": {*genders}}
        for gender in sorted({*genders.values()}):
            name = {"f": "female", "m": "male"}.get(gender, "unknown")
            groups[name] = {speaker for speaker, own in genders.items() if own == gender}
        groups |= {speaker: {speaker} for speaker in sorted(genders)}
        return tuple(self._row(name, speakers) for name, speakers in groups.items())

    def _row(self, name: str, speakers: set[str]) -> Row:
        clips = [clip for clip in self.clips if clip.speaker in speakers]
        found = Counter(clip.label for clip in clips)
        counts: Counter[str] = Counter()
        for (speaker, label), number in self.published.items():
            if speaker in speakers or (speaker == "" and name == "all"):
                counts[label] += number
        known = any(speaker or name == "all" for speaker, _ in self.published)
        numbers = [*(counts[label] for label in self.labels), counts.total()]
        return Row(
            name,
            (len({c.speaker for c in clips}), *(found[x] for x in self.labels), len(clips)),
            (
                len(speakers & self.genders.keys()) if self.genders else None,
                *(numbers if known else [None] * len(numbers)),
            ),
        )


def _listed(what: str, things: Mapping[str, int]) -> str:
    """E.g. ``missing clips: 9 (a, b, 3 c and 4 more)``."""
    if not things:
        return ""
    first = list(things.items())[:_MAX_LISTED]
    names = ", ".join(name if count == 1 else f"{count} {name}" for name, count in first)
    more = sum(things.values()) - sum(count for _, count in first)
    return f"{what}: {sum(things.values())} ({names}{f' and {more} more' if more else ''})"


def survey(
    corpus: Corpus, root: str | Path, task: str = "four", watch: Watch = unwatched
) -> Survey:
    """Search a folder for the clips of a corpus.

    Args:
        root: folder with the recordings, at any depth and in any audio format.
        task: ``four`` or ``all``.

    Raises:
        CorpusError: no such task or folder, or a duplicate recording.
    """
    root, labels = Path(root).resolve(), corpus.labels(task)
    files = recordings_in(root)
    clips, others = recognize(corpus, files, task)
    missing, extra = compare(corpus, task, clips)
    good, bad = measured(root, clips, watch)
    expected = published(corpus, task)
    listed = {f"{corpus.name}:{name}": speaker.gender for name, speaker in corpus.speakers.items()}
    named = {speaker for speaker, _ in expected if speaker} or set(listed)
    return Survey(
        corpus=corpus.name,
        task=task,
        labels=labels,
        root=root,
        clips=good,
        undecodable=bad,
        missing=missing,
        extra={**dict.fromkeys(others, 1), **extra},
        published=expected,
        genders={speaker: gender for speaker, gender in listed.items() if speaker in named},
    )


def compare(
    corpus: Corpus, task: str, clips: Iterable[Clip]
) -> tuple[dict[str, int], dict[str, int]]:
    """Compare the recognized clips of a task with the published ones.

    Returns:
        Counts of missing and of extra clips, by the finest published key: file name, speaker and
        label, or label.
    """
    if corpus.names:
        expected, _ = recognize(corpus, corpus.names, task)
        should = Counter(clip.file for clip in expected)
        found = Counter(clip.file.rpartition("/")[2].partition(".")[0] for clip in clips)
    else:
        cells = published(corpus, task)
        by_speaker = any(speaker for speaker, _ in cells)
        should = Counter({_cell(*cell): count for cell, count in cells.items()})
        found = Counter(_cell(clip.speaker if by_speaker else "", clip.label) for clip in clips)
    return dict(should - found), dict(found - should)


def _cell(speaker: str, label: str) -> str:
    return f"{label} of {speaker}" if speaker else label
