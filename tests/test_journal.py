"""Test the journal's file: transactions, baseline, versions, encryption and faults."""

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affekt.audio.recording_date import date_in, local_time, recording_date
from affekt.errors import JournalError
from affekt.journal import connection, schema, store
from affekt.journal.encryption import encrypt_journal
from affekt.journal.entry import Entry, Voice
from affekt.journal.schema import MIGRATIONS
from affekt.journal.store import Journal, create_journal, open_journal

VOICE = Voice(b"statistics", {"sad": 1.0})
Made = Callable[..., Journal]


def entry(number: int, *, day: int | None = None, reason: str = "", note: str = "") -> Entry:
    return Entry(
        digest=f"{number:064x}",
        recorded=f"2026-09-{day or number:02}T08:00:00",
        name=f"{number}.wav",
        duration=3.0,
        speech=2.0,
        label="sad",
        probabilities={"sad": 0.75, "happy": 0.25},
        utterances=[{"start": 0.5, "end": 2.5, "speech": 2.0, "probabilities": {"sad": 0.75}}],
        quality={"level": -20.0},
        reason=reason,
        model="m" * 64,
        profile="",
        note=note,
    )


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Make a journal in a new file and open it."""

    def make(name: str = "a.journal", **options: str) -> Journal:
        create_journal(tmp_path / name, **options)
        return open_journal(tmp_path / name, passphrase=options.get("passphrase"))

    return make


def test_an_entry_comes_back_as_it_was_stored(made: Made) -> None:
    with made(person="Anna") as journal:
        assert journal.add(entry(1, note="after a walk"), VOICE)
        assert journal.entries() == [entry(1, note="after a walk")]
        assert journal.person == "Anna"
        assert journal.voices() == {entry(1).digest: VOICE}


def test_a_recording_is_added_once(made: Made) -> None:
    with made() as journal, open_journal(journal.path) as other:
        assert journal.add(entry(1), VOICE)
        assert not other.add(entry(1, note="again"), VOICE)
        assert [each.note for each in journal.entries()] == [""]


@pytest.mark.parametrize("order", [(1, 2, 3, 4), (4, 3, 2, 1), (2, 4, 1, 3)])
def test_the_baseline_does_not_depend_on_the_order_of_adding(
    made: Made, order: tuple[int, ...]
) -> None:
    with made(baseline="first=2") as journal:
        for number in order:
            known = journal.would_be_baseline(entry(number).recorded, entry(number).digest)
            journal.add(entry(number), VOICE if known else None)
        assert journal.baseline_digests() == [entry(1).digest, entry(2).digest]
        assert [*journal.voices()] == [entry(1).digest, entry(2).digest]


def test_recordings_without_emotion_do_not_count_for_the_baseline(made: Made) -> None:
    with made(baseline="first=1") as journal:
        journal.add(entry(1, reason="no speech"), None)
        journal.add(entry(2), VOICE)
        assert journal.baseline_digests() == [entry(2).digest]


def test_a_baseline_until_a_day_includes_that_day(made: Made) -> None:
    with made(baseline="until=2026-09-02") as journal:
        for number in (1, 2, 3):
            journal.add(entry(number), VOICE)
        assert len(journal.baseline_digests()) == len(journal.voices()) == 2
        journal.choose_baseline("first=1")
        assert [*journal.voices()] == [entry(1).digest]


@pytest.mark.parametrize("rule", ["", "first=0", "until=2026-02-30", "until=1.9.2026", "last=3"])
def test_an_unknown_baseline_is_refused(made: Made, rule: str) -> None:
    with pytest.raises(JournalError, match=r"first=N or until=YYYY-MM-DD"):
        made(baseline=rule)


def test_removed_entries_leave_no_bytes(made: Made) -> None:
    with made() as journal:
        journal.add(entry(1, note="a secret to forget"), VOICE)
        journal.add(entry(2, note="to remember"), VOICE)
        journal.remove([entry(1).digest])
        files = list(journal.path.parent.glob("a.journal*"))
        content = b"".join(file.read_bytes() for file in files)
        assert b"to remember" in content
        assert b"a secret to forget" not in content


def test_bytes_that_another_program_holds_are_named(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.1)
    with made() as journal:
        journal.add(entry(1, note="a secret to forget"), VOICE)
    with open_journal(journal.path, write=False) as reading, open_journal(journal.path) as other:
        rows = reading._connection.execute("SELECT * FROM entries UNION ALL SELECT * FROM entries")
        next(rows)
        with pytest.raises(JournalError, match="bytes are still in the file"):
            other.remove([entry(1).digest])
        assert other.entries() == []
        rows.close()
    open_journal(journal.path).close()
    assert b"a secret to forget" not in journal.path.read_bytes()


def test_an_entry_that_becomes_uncertain_leaves_the_baseline_and_its_voice(made: Made) -> None:
    with made(baseline="first=1") as journal:
        journal.add(entry(1), VOICE)
        journal.update(entry(1, reason="the sound is silent"))
        assert (journal.baseline_digests(), journal.voices()) == ([], {})


def test_text_that_is_no_utf8_is_stored(made: Made) -> None:
    with made(person="Ren\udce9") as journal:
        journal.add(replace(entry(1, note="\udce9"), name="caf\udce9.wav"), None)
        (found,) = journal.entries()
        assert (journal.person, found.name, found.note) == ("Ren?", "caf?.wav", "?")


def test_only_the_owner_may_read_a_journal(made: Made) -> None:
    with made() as journal:
        journal.add(entry(1), None)
        for file in journal.path.parent.glob("a.journal*"):
            assert file.stat().st_mode & 0o077 == 0


def test_an_existing_file_is_not_overwritten(made: Made) -> None:
    made().close()
    with pytest.raises(JournalError, match="exists"):
        made()


@pytest.mark.parametrize("linked", [False, True])
def test_a_new_journal_has_no_entries_of_a_deleted_one(
    made: Made, tmp_path: Path, linked: bool
) -> None:
    """A killed command leaves a log beside the journal, which a user may not know of."""
    with made() as journal:
        journal.add(entry(1, note="private words"), VOICE)
        left = Path(shutil.copy(f"{journal.path}-wal", tmp_path / "left"))
    journal.path.unlink()
    left.rename(f"{journal.path}-wal")
    name = "link.journal" if linked else journal.path.name
    if linked:
        (tmp_path / name).symlink_to(journal.path)
    with pytest.raises(JournalError, match=r"a\.journal-wal must not exist\. Got what a killed"):
        made(name)
    assert not journal.path.exists()


def test_reading_leaves_the_file_as_it_is(made: Made) -> None:
    with made() as journal:
        journal.add(entry(1), None)
    before = journal.path.read_bytes()
    with open_journal(journal.path, write=False) as reading:
        assert len(reading.entries()) == 1
        with pytest.raises(JournalError, match="opened for writing"):
            reading.add(entry(2), None)
    assert journal.path.read_bytes() == before
    assert list(journal.path.parent.glob("a.journal*")) == [journal.path]  # no log beside it


# ----------------------------------------------------------------- faults


def test_a_missing_file_and_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"cannot be read: No such file.*Check its name"):
        open_journal(tmp_path / "no.journal")
    with pytest.raises(JournalError, match="cannot be read"):
        open_journal(tmp_path)
    (tmp_path / "text").write_text("not a journal, and long enough to look like one")
    with pytest.raises(JournalError, match="encrypted, or no journal"):
        open_journal(tmp_path / "text")
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(JournalError, match="another SQLite file"):
        open_journal(tmp_path / "other.db")


@pytest.mark.parametrize("part", ["start", "middle", "end"])
def test_a_damaged_file_is_one_line(made: Made, part: str) -> None:
    with made() as journal:
        for number in range(1, 29):
            journal.add(entry(number, note="x" * 2_000), VOICE)
    content = bytearray(journal.path.read_bytes())
    if part == "end":
        del content[len(content) // 2 :]
    else:
        first = 100 if part == "start" else len(content) // 2
        content[first : first + 9_000] = b"\xa5" * 9_000
    journal.path.write_bytes(content)
    with pytest.raises(JournalError) as caught, open_journal(journal.path) as opened:
        opened.entries()
    assert "Restore a backup" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_full_disk_loses_nothing(made: Made) -> None:
    with made() as journal:
        journal.add(entry(1), VOICE)
        (pages,) = journal._run("PRAGMA page_count")[0]
        journal._run(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(JournalError, match=r"is full.*Earlier entries are kept"):
            journal.add(entry(2, note="x" * 99_999), VOICE)
        journal._run("PRAGMA max_page_count = 100000")
        assert journal.entries() == [entry(1)]
        assert journal.add(entry(2), VOICE)


def test_a_later_version_is_refused(made: Made) -> None:
    with made() as journal:
        journal._run("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match=r"version 99.*Update affekt"):
        open_journal(journal.path)


# ------------------------------------------------------------- encryption


def test_an_encrypted_journal_opens_with_its_passphrase_only(
    made: Made, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sqlcipher3")
    secret = 'it\'s a "secret"'
    with made(passphrase=secret) as journal:
        journal.add(entry(1, note="private words"), VOICE)
        files = list(tmp_path.glob("a.journal*"))
        assert not any(b"private words" in file.read_bytes() for file in files)
    with open_journal(journal.path, passphrase=secret, write=False) as opened:
        assert opened.entries() == [entry(1, note="private words")]
    with pytest.raises(JournalError, match="its own passphrase") as caught:
        open_journal(journal.path, passphrase="it's")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
    with pytest.raises(JournalError, match="AFFEKT_PASSPHRASE"):
        open_journal(journal.path)


def test_a_plain_journal_is_encrypted(made: Made, tmp_path: Path) -> None:
    pytest.importorskip("sqlcipher3")
    with made(person="Anna", baseline="first=3") as journal:
        journal.add(entry(1, note="private words"), VOICE)
    backup = tmp_path / "linked"
    backup.hardlink_to(journal.path)  # shows what happens to the bytes of the old file
    encrypt_journal(journal.path, "it's new")
    assert not backup.read_bytes().strip(b"\0")
    assert sorted(tmp_path.iterdir()) == [journal.path, backup]
    assert journal.path.stat().st_mode & 0o777 == 0o600
    with open_journal(journal.path, passphrase="it's new") as opened:
        assert opened.entries() == [entry(1, note="private words")]
        assert (opened.person, opened.baseline) == ("Anna", "first=3")
        assert opened.voices() == {entry(1).digest: VOICE}
        assert opened.add(entry(2), VOICE)
    with pytest.raises(JournalError, match="must be a plain journal"):
        encrypt_journal(journal.path, "again")


def test_the_log_of_a_killed_command_is_overwritten(made: Made, tmp_path: Path) -> None:
    pytest.importorskip("sqlcipher3")
    path, ends = tmp_path / "killed.journal", ("", "-wal", "-shm")
    with made() as journal:
        journal.add(entry(1, note="private words"), VOICE)
        for end in ends:
            shutil.copy(f"{journal.path}{end}", f"{path}{end}")
            (tmp_path / f"linked{end}").hardlink_to(f"{path}{end}")
    assert b"private words" in (tmp_path / "linked-wal").read_bytes()
    encrypt_journal(path, "it's new")
    for end in ends:
        content = (tmp_path / f"linked{end}").read_bytes()
        assert content
        assert not content.strip(b"\0"), end
        assert Path(f"{path}{end}").exists() == (not end)
    with open_journal(path, passphrase="it's new") as opened:
        assert opened.entries() == [entry(1, note="private words")]


def test_an_open_or_foreign_journal_is_not_encrypted(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sqlcipher3")
    monkeypatch.setattr("affekt.journal.encryption.BUSY_SECONDS", 0.1)
    with made() as journal:
        journal.add(entry(1), VOICE)
    reading = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
        "c.execute('SELECT * FROM entries').fetchall(); print(flush=True); input()"
    )
    words = [sys.executable, "-c", reading, str(journal.path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        try:
            with pytest.raises(JournalError, match="in use by another program"):
                encrypt_journal(journal.path, "it's new")
        finally:
            other.communicate(b"\n", timeout=60)
    with pytest.raises(JournalError, match="at least 8 characters"):
        encrypt_journal(journal.path, "seventh")
    with open_journal(journal.path) as opened:
        assert opened.entries() == [entry(1)]
    sqlite3.connect(tmp_path / "other").execute("CREATE TABLE x (y)").connection.close()
    with pytest.raises(JournalError, match="other"):
        encrypt_journal(tmp_path / "other", "it's new")


@pytest.mark.parametrize("passphrase", ["", "seventh", "Ren\udce9 and others", "null\0byte"])
def test_a_passphrase_that_is_short_or_no_text_is_refused(made: Made, passphrase: str) -> None:
    with pytest.raises(JournalError, match="must be UTF-8 of at least 8 characters"):
        made(passphrase=passphrase)
    assert not list(made().path.parent.glob("*.part"))


def test_a_journal_with_a_short_passphrase_still_opens(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sqlcipher3")
    monkeypatch.setattr("affekt.journal.connection.SHORTEST", 1)
    path = made(passphrase="short").path
    monkeypatch.undo()
    open_journal(path, passphrase="short").close()


def test_a_name_with_control_characters_is_refused(made: Made) -> None:
    with pytest.raises(JournalError, match="the person's name must have no control character"):
        made(person="Anna\x0b")


# ------------------------------------------------------------------ dates


@pytest.mark.parametrize(
    ("name", "when"),
    [
        ("Recording 2026-09-10 08.15.30.m4a", "2026-09-10T08:15:30"),
        ("20260910_081530.wav", "2026-09-10T08:15:30"),
        ("2026-09-10T08-15.flac", "2026-09-10T08:15:00"),
        ("Screen Recording 2026-09-10 at 08.15.mov", "2026-09-10T08:15:00"),
        ("PTT-20260910-WA0003.opus", "2026-09-10"),
        ("memo_2026_09_10.ogg", "2026-09-10"),
        ("2026-02-31 2026-03-01.wav", "2026-03-01"),
        ("2026-9-1.wav", ""),
        ("03-01-05-01-01-01-07.flac", ""),
        ("120260910.wav", ""),
    ],
)
def test_dates_in_names(name: str, when: str) -> None:
    assert date_in(name) == when


def test_a_title_in_an_unknown_encoding_hides_no_date(tmp_path: Path) -> None:
    path = tmp_path / "2026-09-10.wav"
    soundfile.write(path, np.zeros(800), 16_000)
    content, title = path.read_bytes(), b"LIST\x12\0\0\0INFOINAM\x06\0\0\0caf\xe9s\0"
    size = (len(content) + len(title) - 8).to_bytes(4, "little")
    path.write_bytes(b"RIFF" + size + content[8:12] + title + content[12:])
    assert recording_date(str(path)) == "2026-09-10"


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone cannot be changed")
def test_a_time_with_an_offset_becomes_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC-9")  # nine hours ahead
        time.tzset()
        assert local_time("2026-09-10T20:15:00Z") == "2026-09-11T05:15:00"
        assert local_time("2026-09-10T20:15:00+02:00") == "2026-09-11T03:15:00"
        assert local_time("2026-09-10T20:15:00") == "2026-09-10T20:15:00"
    time.tzset()


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid isoformat"):
        local_time("yesterday")


# --------------------------------------------------------------- versions


def add_migration(monkeypatch: pytest.MonkeyPatch, statements: str) -> None:
    for module in (schema, store):
        monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, statements))


def test_an_earlier_version_is_brought_up_to_date(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made() as journal:
        journal.add(entry(1), VOICE)
    assert journal.path.read_bytes()[60:64] == len(MIGRATIONS).to_bytes(4, "big")
    add_migration(monkeypatch, "ALTER TABLE journal ADD COLUMN place TEXT NOT NULL DEFAULT 'x'")
    with open_journal(journal.path, write=False) as opened:  # a report may be the first to open it
        assert opened._run("SELECT place FROM journal") == [("x",)]
        assert opened.entries() == [entry(1)]
        assert opened._run("PRAGMA user_version") == [(len(MIGRATIONS) + 1,)]


def test_a_migration_that_fails_changes_nothing(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made() as journal:
        journal.add(entry(1), VOICE)
    with monkeypatch.context() as patched:
        add_migration(patched, "CREATE TABLE further (x); INSERT INTO missing VALUES (1)")
        with pytest.raises(JournalError, match="no such table: missing"):
            open_journal(journal.path)
    with open_journal(journal.path) as opened:
        assert opened.entries() == [entry(1)]
        assert opened._run("SELECT name FROM sqlite_master WHERE name = 'further'") == []


def test_another_program_that_does_not_end_is_named(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.2)
    with made() as journal, open_journal(journal.path) as other:
        with other._transaction(), pytest.raises(JournalError, match="in use by another program"):
            journal.add(entry(1), None)
        assert journal.add(entry(1), None)
    locking = sqlite3.connect(journal.path, isolation_level=None)
    locking.execute("PRAGMA journal_mode = DELETE")
    locking.execute("BEGIN EXCLUSIVE")
    with pytest.raises(JournalError, match="in use by another program"):
        open_journal(journal.path, write=False)
    locking.close()


def test_a_journal_is_read_where_no_log_can_be_made(made: Made, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    link = tmp_path / "link.journal"
    with made() as journal:
        link.symlink_to(journal.path)
        journal.add(entry(1), None)
        with open_journal(link, write=False) as reading:  # what is in the log only, too
            assert reading.entries() == [entry(1)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # as on a full disk
    try:
        with open_journal(link, write=False) as reading:
            found = reading.entries()
        with pytest.raises(JournalError, match="disk I/O error"):
            open_journal(link)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert found == [entry(1)]
