"""Add recordings to a journal, and predict entries again whose model or profile has changed."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from affekt.audio.opening import open_file
from affekt.audio.recording_date import recording_date
from affekt.errors import AffektError, AudioError, JournalError
from affekt.inference.files import Failure, find_files
from affekt.inference.predictor import Predictor
from affekt.inference.profile import Profile
from affekt.journal.entry import Entry
from affekt.journal.prediction import pooled_profile, predict_entry, profile_digest, voice_of
from affekt.journal.store import Journal

BLOCK = 1 << 20  # bytes read at a time


@dataclass(frozen=True)
class Recording:
    """A recording that may be added.

    Attributes:
        source: its path or location, or its samples at 16 kHz.
        digest: SHA-256, hexadecimal.
        recorded: date, as :func:`~affekt.audio.recording_date.recording_date` returns it; empty
            if that is not known.
        name: of the file.
    """

    source: str | NDArray[np.float32]
    digest: str
    recorded: str
    name: str


@dataclass(frozen=True)
class Change:
    """The result for one recording.

    Attributes:
        what: ``added``, ``known`` (and up to date) or ``refreshed``.
        entry: the entry in the journal; None if it is ``known``.
        recording: that was read.
    """

    what: str
    entry: Entry | None
    recording: Recording


def find_recordings(paths: Sequence[str], *, recorded: str = "") -> list[Recording | Failure]:
    """Find recordings, their digests and dates.

    Args:
        paths: files, folders or locations.
        recorded: date of all of them; by default that of each one's metadata or name.

    Returns:
        Each recording once, by time; then files that cannot be read.
    """
    found: dict[str, Recording] = {}
    failures: list[Recording | Failure] = []
    for file in find_files(paths):
        if isinstance(file, Failure):
            failures.append(file)
            continue
        try:
            with open_file(file, file) as opened:
                digest = _digest(opened)
            when = recorded or recording_date(file)
            found.setdefault(digest, Recording(file, digest, when, Path(file).name))
        except AffektError as error:
            failures.append(Failure(file, str(error)))
        except OSError as error:
            failures.append(Failure(file, f"{file} cannot be read: {error.strerror}."))
    return [*sorted(found.values(), key=lambda each: (each.recorded, each.digest)), *failures]


def add_recordings(
    journal: Journal, predictor: Predictor, recordings: Sequence[Recording], *, note: str = ""
) -> Iterator[Change | Failure]:
    """Add the recordings that are new, then refresh those among ``recordings`` that need it.

    Each entry is one transaction: the process may be killed at any instant, and another one may
    add at the same time.

    Args:
        journal: open for writing.
        predictor: the loaded model.
        recordings: of the person alone, by time.
        note: for new entries.

    Yields:
        The result for each recording, as it is done; a bad one never stops the rest.
    """
    known = journal.digests()
    for recording in recordings:
        if recording.digest in known:
            continue
        try:
            if not recording.recorded:
                raise AudioError(
                    f"{recording.source} has no date in its metadata or name. Give one with "
                    f"--when, or name the file like 2026-09-10.wav."
                )
            entry = _add(journal, predictor, recording, note)
        except JournalError:
            raise
        except AffektError as error:
            yield Failure(str(recording.source), str(error))
            continue
        if entry:
            yield Change("added", entry, recording)
    yield from refresh_recordings(journal, predictor, recordings, known=known)


def refresh_recordings(
    journal: Journal,
    predictor: Predictor,
    recordings: Sequence[Recording],
    *,
    known: Iterable[str] = (),
) -> Iterator[Change | Failure]:
    """Predict entries again that were predicted by another model or profile.

    Args:
        journal: open for writing.
        predictor: the loaded model.
        recordings: their sound, matched by digest; others are left out.
        known: digests to report even if nothing changed.

    Yields:
        The result for each recording.
    """
    own = {each.digest: each for each in recordings}
    done, silent = set(), set()
    while True:  # until no other process has changed the profile meanwhile
        entries = {entry.digest: entry for entry in journal.entries()}
        for digest in missing_voices(journal, predictor):
            if digest in own and digest not in silent:
                silent.add(digest)
                try:
                    _complete(journal, predictor, own[digest], entries[digest])
                except AudioError as error:
                    yield Failure(str(own.pop(digest).source), str(error))
        profile = journal_profile(journal, predictor)
        wanted = predictor.graph.digest, profile_digest(profile)
        stale = [n for n in own if n in entries and _model_and_profile(entries[n]) != wanted]
        for digest in stale:
            try:
                entry = predict_entry(predictor, own[digest].source, profile, entries[digest])
            except AudioError as error:
                yield Failure(str(own.pop(digest).source), str(error))
                continue
            journal.update(entry)
            done.add(digest)
            yield Change("refreshed", entry, own[digest])
        if not stale:
            break
    for digest in own.keys() & (set(known) - done):
        yield Change("known", None, own[digest])


def _model_and_profile(entry: Entry) -> tuple[str, str]:
    return entry.model, entry.profile


def _complete(journal: Journal, predictor: Predictor, recording: Recording, entry: Entry) -> None:
    """Store the voice statistics that an entry of the baseline lacks."""
    plain = predict_entry(predictor, recording.source, None, entry)
    if voice := voice_of(predictor, recording.source, plain):
        journal.set_voice(recording.digest, voice)


def journal_profile(journal: Journal, predictor: Predictor) -> Profile | None:
    """The profile of the journal's baseline, for one model; None without any."""
    return pooled_profile(journal.voices().values(), predictor)


def stale_entries(journal: Journal, predictor: Predictor) -> list[Entry]:
    """Entries that were predicted by another model, or with another profile."""
    wanted = predictor.graph.digest, profile_digest(journal_profile(journal, predictor))
    return [each for each in journal.entries() if _model_and_profile(each) != wanted]


def missing_voices(journal: Journal, predictor: Predictor) -> list[str]:
    """Digests of entries in the baseline without voice statistics for this model."""
    if not predictor.graph.profile:
        return []
    voices = journal.voices()
    return [
        digest
        for digest in journal.baseline_digests()
        if digest not in voices or not pooled_profile([voices[digest]], predictor)
    ]


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _add(journal: Journal, predictor: Predictor, recording: Recording, note: str) -> Entry | None:
    """Add one recording; None if another process was faster."""
    blank = Entry(
        digest=recording.digest,
        recorded=recording.recorded,
        name=recording.name,
        duration=0.0,
        speech=0.0,
        label="",
        probabilities={},
        utterances=(),
        quality={},
        reason="",
        model="",
        profile="",
        note=note,
    )
    voices, voice = journal.voices(), None
    if journal.would_be_baseline(recording.recorded, recording.digest):
        plain = predict_entry(predictor, recording.source, None, blank)
        if voice := voice_of(predictor, recording.source, plain):
            voices[recording.digest] = voice
    ordered = [voices[digest] for digest in sorted(voices)]
    entry = predict_entry(predictor, recording.source, pooled_profile(ordered, predictor), blank)
    return entry if journal.add(entry, voice) else None
