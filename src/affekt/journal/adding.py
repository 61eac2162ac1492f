"""Add recordings to a journal, and predict entries again whose model or profile has changed."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from affekt.audio.recording_date import file_name, is_possible, recording_date
from affekt.audio.sources import open_file
from affekt.errors import AffektError, AudioError, JournalError, writing
from affekt.inference.files import Failure, find_files
from affekt.inference.predictor import Predictor
from affekt.inference.profile import Profile
from affekt.journal.entry import Entry
from affekt.journal.prediction import pooled_profile, predict_entry, profile_digest, voice_of
from affekt.journal.store import Journal


@dataclass(frozen=True)
class Recording:
    """A recording that may be added."""

    #: its path or location, or a dictionary of its ``array`` and ``sampling_rate``
    source: str | dict[str, Any]
    digest: str  #: SHA-256, hexadecimal
    #: date, as :func:`~affekt.audio.recording_date.recording_date` returns it; empty if that is not
    #: known
    recorded: str
    name: str  #: of the file


#: ``added`` and the entry in the journal; or ``refreshed`` or ``known`` (and up to date), and None.
Change = tuple[str, Entry | None]


def find_recordings(
    paths: Sequence[str], *, recorded: str = ""
) -> tuple[list[Recording], list[Failure]]:
    """Return recordings, each once and by time, and the files that cannot be read.

    Args:
        paths: files, folders or locations.
        recorded: date of all of them; by default that of each one's metadata or name.
    """
    found: dict[str, Recording] = {}
    failures = []
    for file in find_files(paths):
        if isinstance(file, Failure):
            failures.append(file)
            continue
        try:
            with writing(file, AudioError, "Check its disk.", done="read"):
                with open_file(file, file) as opened:
                    digest = hashlib.file_digest(opened, "sha256").hexdigest()  # type: ignore[arg-type]
                when = recorded or recording_date(file)
            if digest not in found or not found[digest].recorded:  # a copy may have no date
                found[digest] = Recording(file, digest, when, file_name(file))
        except AffektError as error:
            failures.append(Failure(file, str(error)))
    return sorted(found.values(), key=lambda each: (each.recorded, each.digest)), failures


def add_recordings(
    journal: Journal, predictor: Predictor, recordings: Sequence[Recording], *, note: str = ""
) -> Iterator[Change | Failure]:
    """Add the recordings that are new, then refresh those among ``recordings`` that need it.

    Each entry is one transaction: the process may be killed at any instant, and another one may
    add at the same time.

    Args:
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
            entry = _add(journal, predictor, recording, note)
        except JournalError:
            raise
        except AffektError as error:
            yield Failure(str(recording.source), str(error))
            continue
        if entry:
            yield "added", entry
    yield from refresh_recordings(journal, predictor, recordings, known=known)


def refresh_recordings(
    journal: Journal,
    predictor: Predictor,
    recordings: Sequence[Recording],
    *,
    known: Collection[str],
) -> Iterator[Change | Failure]:
    """Predict entries again that were predicted by another model or profile.

    Args:
        recordings: their sound, matched by digest; others are left out.
        known: digests to report even if nothing changed.

    Yields:
        The result for each recording.
    """
    own = {each.digest: each for each in recordings}
    tried, done = set[str](), set[str]()
    while True:  # until no other process has changed the profile meanwhile
        for digest in _missing_voices(journal, predictor):
            if digest in own and digest not in tried:
                tried.add(digest)
                try:
                    if voice := voice_of(predictor, own[digest].source):
                        journal.set_voice(digest, voice)
                except AudioError as error:
                    yield Failure(str(own.pop(digest).source), str(error))
        profile = _profile(journal, predictor)
        stale = [entry for entry in stale_entries(journal, predictor) if entry.digest in own]
        for entry in stale:
            try:
                predicted = predict_entry(predictor, own[entry.digest].source, profile, entry)
            except AudioError as error:
                yield Failure(str(own.pop(entry.digest).source), str(error))
                continue
            journal.update(predicted)
            done.add(entry.digest)
            yield "refreshed", None
        if not stale:
            break
    for _ in own.keys() & (set(known) - done):
        yield "known", None


def stale_entries(journal: Journal, predictor: Predictor) -> list[Entry]:
    """Entries that were predicted by another model, or with another profile."""
    wanted = predictor.graph.digest, profile_digest(_profile(journal, predictor))
    return [each for each in journal.entries() if (each.model, each.profile) != wanted]


def _profile(journal: Journal, predictor: Predictor) -> Profile | None:
    return pooled_profile(journal.voices().values(), predictor.graph.measure)


def _missing_voices(journal: Journal, predictor: Predictor) -> list[str]:
    """Digests of entries in the baseline without voice statistics for this model."""
    if not predictor.graph.profile:
        return []
    voices = journal.voices()
    return [
        digest
        for digest in journal.baseline_digests()
        if digest not in voices or not pooled_profile([voices[digest]], predictor.graph.measure)
    ]


def _add(journal: Journal, predictor: Predictor, recording: Recording, note: str) -> Entry | None:
    """Add one recording; None if another process was faster."""
    if not recording.recorded:
        raise AudioError(
            f"{recording.source} has no date in its metadata or name. Give one with --when, or "
            f"name the file like 2026-09-10.wav."
        )
    if not is_possible(recording.recorded):
        raise AudioError(
            f"{recording.source} must have a date in its metadata or name at most one day ahead of "
            f"now. Got {recording.recorded}. Give its date with --when."
        )
    voices, voice = journal.voices(), None
    if journal.would_be_baseline(recording.recorded, recording.digest):
        voice = voice_of(predictor, recording.source)
    if voice:
        voices[recording.digest] = voice
    pooled = [voices[digest] for digest in sorted(voices)]
    profile = pooled_profile(pooled, predictor.graph.measure)
    blank = Entry(recording.digest, recording.recorded, recording.name, note=note)
    entry = predict_entry(predictor, recording.source, profile, blank)
    return entry if journal.add(entry, voice) else None
