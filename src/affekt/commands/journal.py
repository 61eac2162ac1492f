"""Implement the commands of ``affekt journal`` that write a journal: from create to encrypt."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from affekt.commands import options
from affekt.commands.options import argument, flag, option
from affekt.commands.output.printing import complain, printable, sigterm_as_ctrl_c, with_progress

if TYPE_CHECKING:
    from affekt.inference.files import Failure
    from affekt.inference.predictor import Predictor
    from affekt.journal.adding import Change, Recording
    from affekt.journal.entry import Entry
    from affekt.journal.store import Journal

VARIABLE = "AFFEKT_PASSPHRASE"
LONGEST_LIVE = 3600.0  # s of a recording from the microphone
SHORT_DIGEST = 8  # digits that list prints

File = Annotated[Path, argument("JOURNAL", "File of the journal.")]
Paths = Annotated[
    list[str] | None, argument("[PATH...]", "Recordings of this person, or folders of them.")
]
Baseline = Annotated[
    str | None,
    option("RULE", "Entries of the baseline: first=N (default: 10) or until=YYYY-MM-DD."),
]


def journal_create(
    file: File,
    person: Annotated[str, option("NAME", "Name of the person (default: none).")] = "",
    baseline: Baseline = None,
    passphrase: Annotated[
        bool,
        flag(
            "--passphrase", f"Encrypt it; ask for a passphrase, or use {VARIABLE} (extra journal)."
        ),
    ] = False,
) -> None:
    """Make an empty journal of one person.

    The baseline is the period with which later recordings are compared. With --passphrase the file
    is encrypted; if the passphrase is lost, so is the journal.
    """
    from affekt.journal.schema import FIRST
    from affekt.journal.store import create_journal

    secret = asked_passphrase(new=True) if passphrase else None
    rule = FIRST if baseline is None else baseline
    create_journal(file, person=person, baseline=rule, passphrase=secret)
    print(f"{printable(str(file))}: created")


def journal_encrypt(file: File) -> None:
    """Encrypt a plain journal, and overwrite the plain bytes.

    It asks for the passphrase, or takes it from AFFEKT_PASSPHRASE. If the passphrase is lost, so is
    the journal. Copies and backups of the plain file stay as they are.
    """
    from affekt.journal.encryption import encrypt_journal

    encrypt_journal(file, asked_passphrase(new=True))
    print(f"{printable(str(file))}: encrypted")


def journal_add(
    file: File,
    paths: Paths = None,
    when: Annotated[
        str | None, option("TIME", "Date, or date and time (ISO 8601), of the recordings.")
    ] = None,
    live: Annotated[
        bool, flag("--live", "Record from the microphone until Ctrl-C (extra mic).")
    ] = False,
    device: options.Device = None,
    note: Annotated[str, option("TEXT", "Note for the new entries (default: none).")] = "",
    model: options.Model = None,
    channel: options.Channel = None,
) -> int:
    """Add recordings of the person; those that the journal holds are skipped.

    The date comes from --when, else from the file's metadata, else from its name. No sound is
    stored. The command may be interrupted and repeated at any time.
    """
    from affekt.audio.recording_date import is_possible, local_time
    from affekt.inference.predictor import load
    from affekt.journal.adding import add_recordings, find_recordings
    from affekt.journal.entry import check_text

    check_text(note, "--note")
    if bool(paths) == live:
        raise typer.BadParameter("give recordings, or --live for the microphone.")
    if device and not live:
        raise typer.BadParameter("--device needs --live.")
    options.refuse_together({"--channel": channel is not None, "--live": live})
    try:
        recorded = "" if when is None else local_time(when)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"--when must be like 2026-09-10 or 2026-09-10T08:15. Got {when}."
        ) from error
    if recorded and not is_possible(recorded):
        raise typer.BadParameter(
            f"--when must be from 1900 on, and at most one day ahead of now. Got {when}. "
            f"Correct the date."
        )
    with sigterm_as_ctrl_c(), opened(file) as journal:
        predictor = load(model, channel=channel)
        recordings, failures = find_recordings(paths or [], recorded=recorded)
        if live:
            recordings = [_live(device, recorded)]
        changes = add_recordings(journal, predictor, recordings, note=note)
        return _print_changes(failures, changes, recordings, journal, predictor)


def journal_refresh(
    file: File,
    paths: Paths = None,
    baseline: Baseline = None,
    model: options.Model = None,
    channel: options.Channel = None,
) -> int:
    """Predict entries again after the model, the profile or the baseline has changed.

    No sound is stored, so the recordings are needed again; they are matched by content, whatever
    their names are now. Entries without recording are listed and stay as they are.
    """
    from affekt.inference.predictor import load
    from affekt.journal.adding import find_recordings, refresh_recordings

    with sigterm_as_ctrl_c(), opened(file) as journal:
        predictor = load(model, channel=channel)
        if baseline is not None:
            journal.choose_baseline(baseline)
        recordings, failures = find_recordings(paths or [])
        known = journal.digests()
        changes = refresh_recordings(journal, predictor, recordings, known=known)
        return _print_changes(failures, changes, recordings, journal, predictor, names=True)


def journal_remove(
    file: File,
    entries: Annotated[
        list[str], argument("ENTRY...", "Identifiers, as affekt journal list prints them.")
    ],
) -> None:
    """Delete entries; their bytes in the file are overwritten."""
    with opened(file) as journal:
        digests = journal.digests()
        chosen = set()
        for entry in entries:
            matching = [each for each in digests if each.startswith(entry.lower())]
            if len(matching) != 1 or len(entry) < SHORT_DIGEST // 2:
                raise typer.BadParameter(
                    f"ENTRY must be the start of one identifier, of at least {SHORT_DIGEST // 2} "
                    f"digits. Got {entry}, which matches {len(matching)}. See affekt journal list."
                )
            chosen.add(matching[0])
        profiled = chosen & journal.voices().keys()
        journal.remove(chosen)
        print(f"{printable(str(file))}: {len(chosen)} removed")
    if profiled:
        complain(
            f"the profile has changed: entries removed from the baseline: {len(profiled)}. Run "
            f"affekt journal refresh {file} with the recordings."
        )


def opened(file: Path, *, write: bool = True) -> "Journal":
    """Open a journal; ask for the passphrase of an encrypted one."""
    from affekt.journal.store import open_journal

    return open_journal(file, passphrase=secret_of(file), write=write)


def secret_of(file: Path) -> str | None:
    """Take or ask for the passphrase of a journal; None if it is not encrypted or not given."""
    from affekt.journal.connection import PLAIN, first_bytes

    can_ask = os.environ.get(VARIABLE) or sys.stdin.isatty()
    return asked_passphrase() if can_ask and first_bytes(file) != PLAIN else None


def asked_passphrase(*, new: bool = False) -> str:
    """Take the passphrase from the environment variable, or ask for it on the terminal."""
    if secret := os.environ.get(VARIABLE):
        return secret
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"a passphrase needs a terminal, or the variable {VARIABLE}.")
    return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True))


def _live(device: str | None, recorded: str) -> "Recording":
    """Record from the microphone until Ctrl-C."""
    import hashlib

    import numpy as np

    from affekt.audio.microphone import microphone
    from affekt.audio.reading import blocks
    from affekt.audio.windows import SAMPLE_RATE
    from affekt.errors import AudioError
    from affekt.journal.adding import Recording

    began = datetime.now().isoformat(timespec="seconds")
    sound: list[Any] = []
    try:
        with suppress(KeyboardInterrupt), microphone(device) as source:
            complain(f"recording; Ctrl-C ends it, and so do {LONGEST_LIVE / 60:.0f} minutes.")
            for block in blocks(source, end=LONGEST_LIVE):
                sound.append(block)
    except AudioError as error:  # what was recorded before a fault is kept
        if not sound:
            raise
        complain(str(error))
    if not sound:
        raise AudioError("the microphone gave no sound. Check its connection.")
    samples = np.concatenate(sound)
    digest = hashlib.sha256(samples.tobytes()).hexdigest()
    whole = {"array": samples, "sampling_rate": SAMPLE_RATE}
    return Recording(whole, digest, recorded or began, "microphone")


def _print_changes(
    failures: "Sequence[Failure]",
    changes: "Iterable[Change | Failure]",
    recordings: "Sequence[Recording]",
    journal: "Journal",
    predictor: "Predictor",
    *,
    names: bool = False,
) -> int:
    """Print each change and a summary; return the exit code."""
    from affekt.inference.files import Failure
    from affekt.journal.adding import stale_entries

    counts: Counter[str] = Counter()
    for change in chain(failures, with_progress(changes, len(recordings), delay=0.5)):
        if isinstance(change, Failure):
            complain(change.error)
            counts["failed"] += 1
            continue
        what, entry = change
        counts[what] += 1
        if entry:
            print(entry_line(entry), flush=True)
    print(
        f"{printable(str(journal.path))}: {counts['added']} added, {counts['refreshed']} predicted "
        f"again, {counts['known']} unchanged"
    )
    stale = stale_entries(journal, predictor)
    for left in stale if names else ():
        print(f"not refreshed: {entry_line(left)}")
    if stale:
        complain(
            f"entries predicted by another model or profile: {len(stale)}. Run affekt journal "
            f"refresh {journal.path} with their recordings."
        )
    return int(counts["failed"] > 0)


def entry_line(entry: "Entry") -> str:
    """Format an entry in one line: identifier, time, emotion, duration, name, note or reason."""
    share = "" if entry.reason else f"{entry.probabilities[entry.label]:.0%}"
    when = entry.recorded.replace("T", " ")[:16]
    return printable(
        f"{entry.digest[:SHORT_DIGEST]}  {when:16}  {entry.label:9} {share:>4} "
        f"{entry.duration:7.1f} s  {entry.name}  {entry.note or entry.reason}"
    ).rstrip()
