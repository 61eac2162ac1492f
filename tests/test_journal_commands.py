"""Test the commands of the journal end to end, on real clips of one actor."""

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date, timedelta
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affekt.audio.pcm import Decoded
from affekt.cli import main
from affekt.commands import journal as journal_command
from affekt.errors import AudioError, JournalError
from affekt.journal.adding import find_recordings
from affekt.journal.entry import Entry
from affekt.journal.exports import write_fhir
from affekt.journal.store import create_journal, open_journal
from conftest import SAMPLES, Captured, hears_ctrl_c

COMMAND = [sys.executable, "-m", "affekt", "journal"]
ACTOR, CLIPS = "Actor_07", 12
#: Words that a report must not use about a person.
CLINICAL = (
    *("depress", "disorder", "illness", "patient", "symptom", "treat", "therap", "clinic"),
    *("mania", "manic", "bipolar", "suicid", "patholog", "anxi", "mood", "risk", "relapse"),
    *("healthy", "recover", "normal", "abnormal", "detects", "disease"),
)


@pytest.fixture(scope="session")
def memos(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dated clips of one actor, two a day."""
    folder = tmp_path_factory.mktemp("memos")
    four = re.compile(r"03-01-0[1345]-")
    clips = [clip for clip in sorted((data / "ravdess" / ACTOR).iterdir()) if four.match(clip.name)]
    for number, clip in enumerate(clips[:: len(clips) // CLIPS][:CLIPS]):
        day = date(2025, 9, 1) + timedelta(number // 2)
        shutil.copy(clip, folder / f"memo {day} {8 + number % 2:02}.15{clip.suffix}")
    return folder


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, check=False, timeout=600
    )


def journal_main(*words: object) -> int:
    return main(["journal", *map(str, words)])


def exported(journal: Path, capsys: Captured) -> dict[str, object]:
    capsys.readouterr()
    assert journal_main("export", journal, "--json") == 0
    return dict(json.loads(capsys.readouterr().out))


@pytest.fixture(scope="session")
def undisturbed(memos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal to which all memos were added in one go."""
    journal = tmp_path_factory.mktemp("journal") / "a.journal"
    assert journal_main("create", journal, "--baseline", "first=4") == 0
    assert journal_main("add", journal, memos) == 0
    return journal


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    journal = tmp_path / "b.journal"
    assert journal_main("create", journal, "--baseline", "first=4") == 0
    return journal


def test_adding_again_adds_nothing(undisturbed: Path, memos: Path, capsys: Captured) -> None:
    before = exported(undisturbed, capsys)
    assert journal_main("add", undisturbed, memos) == 0
    assert f"0 added, 0 predicted again, {CLIPS} unchanged" in capsys.readouterr().out
    assert exported(undisturbed, capsys) == before
    assert len({entry["profile"] for entry in before["entries"]}) == 1


def test_the_order_of_adding_does_not_matter(
    undisturbed: Path, empty: Path, memos: Path, capsys: Captured
) -> None:
    files = sorted(memos.iterdir(), reverse=True)
    for part in (files[:3], files[3:7], files):
        assert journal_main("add", empty, *part) == 0
    assert exported(empty, capsys) == exported(undisturbed, capsys)


def test_killed_at_any_instant_nothing_is_lost_or_twice(
    undisturbed: Path, empty: Path, memos: Path, endless: Path, capsys: Captured
) -> None:
    """Killed while a recording is predicted or stored; what was printed is in the journal."""
    rng = random.Random(0)
    told: list[str] = []
    for more in (1, 2, 3):
        with subprocess.Popen(
            [*COMMAND, "add", str(empty), str(memos), str(endless)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as adding:
            assert adding.stdout
            told += [adding.stdout.readline().split()[0] for _ in range(more)]
            time.sleep(rng.uniform(0.0, 0.1))
            adding.kill()
        assert adding.returncode == -signal.SIGKILL
        entries = exported(empty, capsys)["entries"]
        assert isinstance(entries, list)
        assert {*told} <= {entry["digest"][:8] for entry in entries}
    assert journal_main("add", empty, memos) == 0
    assert exported(empty, capsys) == exported(undisturbed, capsys)


def test_two_processes_may_add_at_once(
    undisturbed: Path, empty: Path, memos: Path, capsys: Captured
) -> None:
    command = [*COMMAND, "add", str(empty), str(memos)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [each.communicate(timeout=600) for each in both]
    assert [each.returncode for each in both] == [0, 0], told
    added = sum(int(re.findall(r"(\d+) added", out)[0]) for out, _ in told)
    assert added == CLIPS
    assert exported(empty, capsys) == exported(undisturbed, capsys)


def test_a_removed_entry_leaves_the_profile_too(
    undisturbed: Path, memos: Path, tmp_path: Path, capsys: Captured
) -> None:
    journal = Path(shutil.copy(undisturbed, tmp_path / "c.journal"))
    entries = exported(journal, capsys)["entries"]
    assert isinstance(entries, list)
    assert journal_main("remove", journal, entries[0]["digest"][:8]) == 0
    assert (
        "entries removed from the baseline: 1. Run affekt journal refresh"
        in capsys.readouterr().err
    )
    assert journal_main("refresh", journal, *sorted(memos.iterdir())[1:]) == 0
    left = exported(journal, capsys)["entries"]
    assert isinstance(left, list)
    assert len(left) == CLIPS - 1
    assert left[0]["profile"] not in ("", entries[0]["profile"])
    assert journal_main("remove", journal, left[-1]["digest"][:8]) == 0  # not of the baseline
    assert capsys.readouterr().err == ""
    assert journal_main("remove", journal, "zz") == 2


def test_refresh_names_entries_that_it_could_not_predict_again(
    undisturbed: Path, memos: Path, tmp_path: Path, capsys: Captured
) -> None:
    journal = Path(shutil.copy(undisturbed, tmp_path / "c.journal"))
    files = sorted(memos.iterdir())
    assert journal_main("refresh", journal, *files[:9], "--model", "yamnet-lstm") == 0
    told = capsys.readouterr()
    assert "9 predicted again" in told.out
    assert told.out.count("not refreshed: ") == CLIPS - 9
    assert f"entries predicted by another model or profile: {CLIPS - 9}." in told.err
    assert journal_main("report", journal, "-o", tmp_path / "r.html") == 0
    assert "Entries of another model are left out: 3." in (tmp_path / "r.html").read_text()


# ------------------------------------------------------------------ export


@pytest.mark.parametrize("command", ["export --csv", "report"])
def test_a_journal_is_not_replaced_by_what_is_made_of_it(
    command: str, empty: Path, tmp_path: Path, capsys: Captured
) -> None:
    other = tmp_path / "page.html"
    other.symlink_to(empty)
    before, words = empty.read_bytes(), command.split()
    for output in (empty, other):
        assert journal_main(words[0], empty, *words[1:], "-o", str(output)) == 2
        assert "must not be a file that the command uses" in capsys.readouterr().err
    assert empty.read_bytes() == before


def test_fhir_resources_accept_the_export(undisturbed: Path, tmp_path: Path) -> None:
    pytest.importorskip("fhir.resources")
    from fhir.resources.R4B.bundle import Bundle

    assert journal_main("export", undisturbed, "--fhir", "-o", tmp_path / "a.json") == 0
    bundle = Bundle.model_validate_json((tmp_path / "a.json").read_text(encoding="utf-8"))
    resources = [each.resource for each in bundle.entry]
    observations = [each for each in resources if each.get_resource_type() == "Observation"]
    devices = [each for each in resources if each.get_resource_type() == "Device"]
    assert (len(observations), len(devices)) == (CLIPS, 1)
    addresses = {each.fullUrl for each in bundle.entry}
    for each in observations:
        assert each.device.reference in addresses
        shares = [p.valueQuantity.value for p in each.component if "probab" in p.code.text]
        assert float(sum(shares)) == pytest.approx(1, abs=1e-4)
        assert each.effectiveDateTime.tzinfo is not None
        assert each.status == "preliminary"


def test_fhir_takes_no_control_characters_of_older_entries(tmp_path: Path) -> None:
    pytest.importorskip("fhir.resources")
    create_journal(tmp_path / "a")
    entry = Entry("a" * 64, "2025-09-10", "a.wav", label="sad", probabilities={"sad": 1.0})
    for name in ("\xa0Anna\x0b", " \x0b"):
        with open_journal(tmp_path / "a") as journal:
            journal._run("UPDATE journal SET person = ?", name)
            journal.add(replace(entry, note="a\x0bwalk\n\x00"), None)
            journal.add(replace(entry, digest="b" * 64, note="\x0b"), None)
            write_fhir(journal, out := StringIO())
        one, other = (x["resource"] for x in json.loads(out.getvalue())["entry"][1:])
        assert one["note"] == [{"text": "a walk"}]
        assert "note" not in other
        assert one.get("subject") == ({"display": "Anna"} if name.strip(" \x0b") else None)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone cannot be changed")
def test_fhir_takes_times_of_early_years(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Their local time may differ from UTC by a number of seconds, which FHIR does not allow."""
    pytest.importorskip("fhir.resources")
    create_journal(tmp_path / "a")
    entry = Entry("a" * 64, "1880-09-10T08:00:00", "a.wav", label="sad", probabilities={"sad": 1.0})
    with monkeypatch.context() as patch, open_journal(tmp_path / "a") as journal:
        journal.add(entry, None)
        for zone, when in (("UTC-0:53:28", "07:06:32Z"), ("UTC-1", "08:00:00+01:00")):
            patch.setenv("TZ", zone)
            time.tzset()
            write_fhir(journal, out := StringIO())
            found = json.loads(out.getvalue())["entry"][1]["resource"]["effectiveDateTime"]
            assert found == f"1880-09-10T{when}"
    time.tzset()


def test_csv_opens_in_a_spreadsheet(empty: Path, tmp_path: Path) -> None:
    sound = SAMPLES / "calm.flac"
    assert journal_main("add", empty, sound, "--when", "2025-09-10", "--note", "=1+1") == 0
    assert journal_main("export", empty, "--csv", "-o", tmp_path / "a.csv") == 0
    content = (tmp_path / "a.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbfdigest,recorded,name,duration,speech,label")
    assert content.rstrip().endswith(b",'=1+1")
    (row,) = csv.DictReader(content.decode("utf-8-sig").splitlines())
    assert row["baseline"] == "True"
    assert journal_main("export", empty) == 2
    assert journal_main("export", empty, "--csv", "--json") == 2
    assert journal_main("export", empty, "--csv", "-o", tmp_path / "no" / "a.csv") == 2


def test_a_row_of_csv_stays_one_row_with_a_carriage_return(empty: Path, tmp_path: Path) -> None:
    sound, note = SAMPLES / "calm.flac", "tired\rand cold"
    assert journal_main("add", empty, sound, "--when", "2025-09-10", "--note", note) == 0
    assert journal_main("export", empty, "--csv", "-o", tmp_path / "a.csv") == 0
    with (tmp_path / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["note"] for row in csv.DictReader(file)] == [note]


# ------------------------------------------------------------------ report


@pytest.mark.parametrize("command", ["export --csv", "export --json", "report"])
def test_only_the_owner_may_read_what_is_made_of_a_journal(
    command: str, undisturbed: Path, tmp_path: Path
) -> None:
    words = command.split()
    assert journal_main(words[0], undisturbed, *words[1:], "-o", tmp_path / "made") == 0
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600


def test_the_report_never_sounds_like_a_diagnosis(undisturbed: Path, tmp_path: Path) -> None:
    before = undisturbed.read_bytes()
    assert journal_main("report", undisturbed, "-o", tmp_path / "r.html") == 0
    assert undisturbed.read_bytes() == before
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    body = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.S).lower()
    assert body.count("diagnos") == 1
    assert "it is not a diagnosis and does not replace one" in body
    assert [word for word in CLINICAL if word in body] == []
    assert not re.search(r"(src|href)=|<script|url\(|@import", page)
    for needed in ("95 % interval", "calendar", "read with care", "four acted classes"):
        assert needed in body


def test_the_service_shows_the_report(undisturbed: Path, empty: Path) -> None:
    pytest.importorskip("starlette")
    from starlette.testclient import TestClient

    import affekt
    from affekt.commands.serve import _reporter
    from affekt.service.app import make_app

    predictor = affekt.load()
    with TestClient(make_app(predictor, hosts={"testserver"})) as client:
        assert client.get("/journal").status_code == 404
        assert client.get("/model").json()["has_journal"] is False
    app = make_app(predictor, hosts={"testserver"}, journal=_reporter(undisturbed))
    with TestClient(app) as client:
        assert client.get("/model").json()["has_journal"] is True
        answer = client.get("/journal")
        assert "Voice journal" in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-")
    link = empty.with_name("e")  # a letter of the error message
    link.symlink_to(empty)
    with TestClient(make_app(predictor, hosts={"testserver"}, journal=_reporter(link))) as client:
        assert client.get("/journal").status_code == 422
        start = "the journal must hold recordings with an emotion in its baseline."
        assert client.get("/journal").json()["error"].startswith(start)
    with pytest.raises(JournalError, match="cannot be read: No such file"):
        _reporter(empty.with_name("no.journal"))


def test_without_speech_there_is_no_report(empty: Path, tmp_path: Path, capsys: Captured) -> None:
    soundfile.write(tmp_path / "2025-09-10.wav", np.zeros(32_000), 16_000)
    assert journal_main("add", empty, tmp_path / "2025-09-10.wav") == 0
    told = capsys.readouterr().out
    assert "uncertain" in told
    assert "the sound is silent" in told
    (entry,) = exported(empty, capsys)["entries"]  # type: ignore[misc, attr-defined]
    assert entry["quality"]["level"] == -120
    assert journal_main("report", empty, "-o", tmp_path / "r.html") == 2
    assert "an emotion in its baseline. Got none in first=4." in capsys.readouterr().err


# ------------------------------------------------------------------- input


def test_bad_recordings_do_not_stop_the_rest(empty: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "2025-09-09 text.wav").write_text("not a sound")
    shutil.copy(SAMPLES / "calm.flac", tmp_path / "2025-09-10.flac")
    shutil.copy(SAMPLES / "lively.flac", tmp_path / "undated.flac")
    assert journal_main("add", empty, tmp_path) == 1
    told = capsys.readouterr()
    assert "1 added" in told.out
    assert "2025-09-09 text.wav is not audio" in told.err
    assert "undated.flac has no date in its metadata or name. Give one with --when" in told.err
    assert "Traceback" not in told.err


def test_a_report_is_html(empty: Path, tmp_path: Path, capsys: Captured) -> None:
    assert journal_main("report", empty, "-o", tmp_path / "r.pdf") == 2
    assert "Name it .html; a browser can print it to PDF" in capsys.readouterr().err


def test_a_note_with_control_characters_is_refused(empty: Path, capsys: Captured) -> None:
    words = ["add", empty, SAMPLES / "calm.flac", "--when", "2025-09-10", "--note"]
    assert journal_main(*words, "a\x0bb") == 2
    told = capsys.readouterr()
    assert "--note must have no control character. Got " in told.err
    assert (told.out, told.err.count("\n")) == ("", 1)


def test_a_copy_without_a_date_does_not_hide_the_recording(tmp_path: Path) -> None:
    for name in ("Copy.flac", "memo 2025-09-10.flac", "the same.flac"):
        shutil.copy(SAMPLES / "calm.flac", tmp_path / name)
    (found,), failures = find_recordings([str(tmp_path)])
    assert (found.name, found.recorded, failures) == ("memo 2025-09-10.flac", "2025-09-10", [])


@pytest.mark.parametrize(
    ("tag", "when"),
    [
        ("2025-08-01", "2025-08-01"),
        *((tag, "2025-09-10") for tag in ("2020", "1904-01-01", "9999-12-31T23:00-14:00")),
    ],
)
def test_the_date_comes_from_metadata_before_the_name(
    tag: str, when: str, empty: Path, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "2025-09-10.flac"
    sound, rate = soundfile.read(SAMPLES / "calm.flac")
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        file.date = tag
        file.write(sound)
    assert journal_main("add", empty, path) == 0
    assert f"  {when}  " in capsys.readouterr().out


def test_an_impossible_date_is_refused(empty: Path, tmp_path: Path, capsys: Captured) -> None:
    """One day ahead is accepted, since it may be the difference of time zones."""
    tomorrow, later = (str(date.today() + timedelta(days)) for days in (1, 3))
    named, tagged = tmp_path / f"memo {later}.flac", tmp_path / "2025-09-10.flac"
    sound, rate = soundfile.read(SAMPLES / "calm.flac")
    soundfile.write(named, sound, rate)
    with soundfile.SoundFile(tagged, "w", rate, 1) as file:
        file.date = later
        file.write(sound)
    assert journal_main("add", empty, named, tagged) == 1
    told = capsys.readouterr()
    assert "0 added" in told.out
    assert len(told.err.splitlines()) == 2
    allowed = "must have a date in its metadata or name at most one day ahead of now."
    for path in (named, tagged):
        assert f"{path} {allowed} Got {later}. Give its date with --when.\n" in told.err
    mistyped = "0026-09-10", "1899-12-31T23:59"  # the report would show all days since then
    for when in (later, f"{later}T08:15", "9999-12-31T23:00-14:00", *mistyped):
        assert journal_main("add", empty, named, "--when", when) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert len(told.err.splitlines()) == 1
        assert f"Got {when}." in told.err
    assert journal_main("add", empty, named, "--when", tomorrow) == 0


@pytest.mark.parametrize("end", ["ctrl-c", "disconnected", "limit"])
def test_a_microphone_recording_is_an_entry(
    end: str, empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    import contextlib

    from affekt.audio import microphone

    sound, rate = soundfile.read(SAMPLES / "calm.flac", dtype="float32", always_2d=True)

    def chunks() -> object:
        yield from np.array_split(sound, 9)
        if end == "disconnected":
            raise AudioError("mic was disconnected. Connect it and start again.")
        raise KeyboardInterrupt

    @contextlib.contextmanager
    def made(device: str | None = None, **_: object) -> object:
        yield Decoded("mic", rate, 1, None, 0, chunks())

    monkeypatch.setattr(microphone, "microphone", made)
    if end == "limit":
        monkeypatch.setattr(journal_command, "LONGEST_LIVE", 1.0)
    assert journal_main("add", empty, "--live", "--note", "live") == 0
    told = capsys.readouterr()
    assert "1 added" in told.out
    assert "microphone  live" in told.out
    assert ("disconnected" in told.err) == (end == "disconnected")
    assert (" 1.0 s " in told.out) == (end == "limit")
    assert journal_main("add", empty, "--live", SAMPLES) == 2
    assert journal_main("add", empty) == 2
    assert journal_main("add", empty, SAMPLES, "--when", "yesterday") == 2


def test_ctrl_c_keeps_what_was_added(empty: Path, memos: Path, endless: Path) -> None:
    adding = subprocess.Popen(
        [*COMMAND, "add", str(empty), str(memos), str(endless)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_ctrl_c,
    )
    assert adding.stdout
    adding.stdout.readline()
    adding.send_signal(signal.SIGINT)
    _, told = adding.communicate(timeout=60)
    assert (adding.returncode, told) == (130, "")
    assert run("list", empty).stdout.count("\n") >= 1


# -------------------------------------------------------------- passphrase


def test_a_passphrase_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sqlcipher3")
    journal = tmp_path / "s.journal"
    monkeypatch.setenv("AFFEKT_PASSPHRASE", "correct horse")
    assert journal_main("create", journal, "--passphrase") == 0
    assert journal_main("add", journal, SAMPLES / "calm.flac", "--when", "2025-09-10") == 0
    assert journal_main("list", journal) == 0
    assert "2025-09-10" in capfd.readouterr().out
    monkeypatch.setenv("AFFEKT_PASSPHRASE", "wrong horse")
    assert journal_main("list", journal) == 2
    told = capfd.readouterr()
    assert told.err.count("\n") == 1
    assert "must be opened with its own passphrase" in told.err
    plain = tmp_path / "plain.journal"
    assert journal_main("create", plain) == 0
    assert journal_main("encrypt", plain) == 0
    assert capfd.readouterr().out.endswith("plain.journal: encrypted\n")
    assert journal_main("list", plain) == 0
    monkeypatch.delenv("AFFEKT_PASSPHRASE")
    assert run("list", journal).returncode == 2
    assert run("list", plain).returncode == 2
    assert "AFFEKT_PASSPHRASE" in run("list", journal).stderr
    assert "AFFEKT_PASSPHRASE" in run("create", tmp_path / "t", "--passphrase").stderr


def test_the_end_of_the_input_at_a_question_is_no_fault(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    words = [*COMMAND, "create", str(tmp_path / "a.journal"), "--passphrase"]
    with subprocess.Popen(
        words, stdin=follower, stderr=subprocess.PIPE, start_new_session=True
    ) as asked:
        assert asked.stderr
        assert asked.stderr.read(12) == b"Passphrase: "
        os.write(leader, b"\x04")  # Ctrl-D
        assert asked.stderr.read().strip() == b""
    assert asked.returncode == 130
    os.close(leader)
    os.close(follower)


def test_missing_extras_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("AFFEKT_PASSPHRASE", "correct horse")
    monkeypatch.setitem(sys.modules, "sqlcipher3", None)
    monkeypatch.setitem(sys.modules, "sqlcipher3.dbapi2", None)
    assert journal_main("create", tmp_path / "s.journal", "--passphrase") == 2
    assert "pip install 'affekt[journal]'" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_the_report_names_its_own_extra(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """The extra report has jinja2 and scipy too."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert journal_main("report", undisturbed, "-o", tmp_path / "a.html") == 2
    assert "pip install 'affekt[journal]'" in capsys.readouterr().err


def test_an_empty_value_is_refused(empty: Path, tmp_path: Path, capsys: Captured) -> None:
    for words, message in (
        (["add", empty, SAMPLES / "calm.flac", "--when", ""], "--when must be like 2026-09-10"),
        (["refresh", empty, "--baseline", ""], "the baseline must be first=N"),
        (["create", tmp_path / "new.journal", "--baseline", ""], "the baseline must be first=N"),
    ):
        assert journal_main(*words) == 2
        assert message in capsys.readouterr().err
