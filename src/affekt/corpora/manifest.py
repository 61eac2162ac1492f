"""Read, write and check ``manifest.csv``: one row for each clip of a corpus.

A :class:`Manifest` refuses a clip without a label, a speaker with two genders, and a path that
leaves the root.

The first line of the file is ``# {...}``: JSON with corpus, task, labels in their order, and the
folder of the recordings. CSV (UTF-8) follows.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

from affekt.corpora.clips import COLUMNS, Clip, fault_of, part_name, read_clips
from affekt.corpora.tables import csv_text, read_lines, read_text, write_text
from affekt.errors import CorpusError


@dataclass(frozen=True)
class Manifest:
    """A corpus as one table, checked.

    Raises:
        CorpusError: any clip breaks a rule of :class:`~affekt.corpora.clips.Clip`, two clips share
            sound, a speaker has two genders, or there are no clips.
    """

    corpus: str  #: name of the corpus
    task: str  #: name of the label set, such as ``four``
    labels: tuple[str, ...]  #: all labels of the task in the order of a model's outputs
    root: Path  #: folder that the clips' files are relative to
    clips: tuple[Clip, ...]  #: the rows, at least one

    def __post_init__(self) -> None:
        if not self.clips:
            raise CorpusError(
                f"manifest of {self.corpus}, task {self.task}: must hold at least one clip. "
                f"Got none under {self.root}. Check the folder and the task."
            )
        if not self.labels or "" in self.labels or len(set(self.labels)) < len(self.labels):
            raise CorpusError(
                f"manifest of {self.corpus}: labels must be different and not empty. "
                f"Got {', '.join(map(repr, self.labels)) or 'none'}. Name each label once."
            )
        for clip, name in zip(self.clips, self.names, strict=True):
            fault = fault_of(clip, self.labels)
            if fault:
                raise CorpusError(f"manifest of {self.corpus}, clip {name!r}: {fault}")
        _refuse_two_genders(self)
        _refuse_shared_sound(self)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of task, labels and rows, as 64 hex digits; the same wherever the root is."""
        heading = json.dumps([self.corpus, self.task, self.labels])
        return hashlib.sha256(f"{heading}\n{_rows(self)}".encode()).hexdigest()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Unique names of the clips: file, and part where a file has several.

        Parts are written as media fragments are: ``call.wav#t=0.5,2.0``.
        """
        clips = Counter(clip.file for clip in self.clips)
        return tuple(c.file if clips[c.file] == 1 else part_name(c) for c in self.clips)

    @cached_property
    def speakers(self) -> tuple[str, ...]:
        """All speakers, sorted."""
        return tuple(sorted({clip.speaker for clip in self.clips}))


def _refuse_two_genders(manifest: Manifest) -> None:
    genders: dict[str, str] = {}
    for clip in manifest.clips:
        before = genders.setdefault(clip.speaker, clip.gender)
        if before != clip.gender:
            raise CorpusError(
                f"manifest of {manifest.corpus}: speaker {clip.speaker} must have one gender. "
                f"Got {before!r} and {clip.gender!r} ({clip.file}). Correct the table, or "
                f"use a separate name for each speaker."
            )


def _refuse_shared_sound(manifest: Manifest) -> None:
    """Refuse the same sound twice: it would be in training and test, or have double weight."""
    by_place = sorted(manifest.clips, key=lambda clip: (clip.file, clip.start or 0.0))
    for file, group in groupby(by_place, key=lambda clip: clip.file):
        for before, clip in _overlaps(tuple(group)):
            if (before.start or 0.0, before.end) == (clip.start or 0.0, clip.end):
                raise CorpusError(
                    f"manifest of {manifest.corpus}: {file} must be in one row for each of "
                    f"its parts. Got the same part twice. Remove one row."
                )
            if before.speaker != clip.speaker:
                raise CorpusError(
                    f"manifest of {manifest.corpus}: parts of {file} by two speakers must not "
                    f"overlap. Got {before.speaker} until {before.end} s and {clip.speaker} from "
                    f"{clip.start or 0.0} s. Correct start and end, or give each a channel."
                )


def _overlaps(clips: tuple[Clip, ...]) -> Iterator[tuple[Clip, Clip]]:
    """Pairs of clips that overlap in time and share a channel; the mean of all shares each."""
    for index, before in enumerate(clips):
        for clip in clips[index + 1 :]:
            if before.end is not None and (clip.start or 0.0) >= before.end:
                break
            if before.channel == clip.channel or None in (before.channel, clip.channel):
                yield before, clip


def _rows(manifest: Manifest) -> str:
    return csv_text([COLUMNS, *(vars(clip).values() for clip in manifest.clips)])


def write_manifest(manifest: Manifest, path: str | Path) -> None:
    """Write ``manifest.csv`` and its folders; raise a CorpusError if that fails."""
    about = {name: getattr(manifest, name) for name in ("corpus", "task", "labels")}
    about["root"] = str(manifest.root)
    write_text(Path(path), f"# {json.dumps(about)}\n{_rows(manifest)}")


def read_manifest(path: str | Path, root: str | Path | None = None) -> Manifest:
    """Read ``manifest.csv`` and check all of it; ``root`` is for recordings that have moved.

    Its digest is that of the manifest written.

    Raises:
        CorpusError: no such file, not a manifest, an unknown or missing column, an invalid number,
            or a fault that :class:`Manifest` refuses.
    """
    path = Path(path)
    first, _, rows = read_text(path).partition("\n")
    try:
        about = json.loads(first.removeprefix("# "))
        corpus, task, labels = about["corpus"], about["task"], tuple(about["labels"])
        if {*map(type, (corpus, task, *labels))} != {str}:
            raise TypeError("not text")
        root = Path(about["root"] if root is None else root)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorpusError(
            f"{path}: the first line of a manifest must name corpus, task, labels and root as "
            f"'# {{JSON}}'. Got {first[:60]!r}. Write it with: affekt corpus NAME ROOT -o {path}"
        ) from error
    lines = read_lines(f"\n{rows}", path=path)  # numbered as in the file
    clips = tuple(read_clips(lines, path=path, allowed=COLUMNS, required=COLUMNS, first=2))
    return Manifest(corpus, task, labels, root, clips)
