"""Test every registered corpus: layout, counts, and every kind of incompleteness."""

import csv
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice, product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affekt.audio.reading import Sound
from affekt.corpora import CORPORA, Clip, Survey, load, recordings, survey
from affekt.corpora.spec import FOUR, recognize
from affekt.corpora.survey import compare
from affekt.errors import AudioError, CorpusError

# speakers, women, men; clips of angry, happy, sad, neutral; clips of the task "all"
PUBLISHED = {
    "ravdess": ((24, 12, 12), (192, 192, 192, 96), 1440),
    "demos": ((65, 23, 42), (246, 167, 422, 332), 9697),
    "emodb": ((10, 5, 5), (127, 71, 62, 79), 535),
    "emovo": ((6, 3, 3), (84, 84, 84, 84), 588),
    "nemo": ((9, 4, 5), (749, 749, 769, 809), 4481),
    "savee": ((4, 0, 4), (60, 60, 60, 120), 480),
    "tess": ((2, 2, 0), (400, 400, 400, 400), 2800),
    "cremad": ((91, 43, 48), (1270, 1270, 1269, 1086), 7435),
}


def by_speaker(name: str, takes: Callable[[str, str], Iterable[str]]) -> list[str]:
    """As many paths of each speaker and code as are published."""
    return [
        path
        for speaker, facts in CORPORA[name].speakers.items()
        for code, count in (facts.clips or {}).items()
        for path in islice(takes(speaker, code), count)
    ]


def in_total(name: str, takes: Callable[[str, str], Iterable[str]]) -> list[str]:
    """As many paths of each code as are published, dealt out over all speakers."""
    form = CORPORA[name]
    return [
        path
        for code, count in form.totals.items()
        for path in islice(
            (
                p
                for some in zip(*(takes(s, code) for s in form.speakers), strict=True)
                for p in some
            ),
            count,
        )
    ]


def demos(speaker: str, code: str) -> Iterable[str]:
    gender = CORPORA["demos"].speakers[speaker].gender
    folder, part = ("NEU/", "") if code == "neu" else ("DEMOS/", code[:2] + "_")
    for number, letter in product(range(100), "abc"):
        yield f"{folder}{part}{gender}_{speaker}_{code[-3:]}{number:02}{letter}.wav"


TREES: dict[str, Callable[[], list[str]]] = {
    "ravdess": lambda: [
        f"Actor_{actor:02}/03-01-{emotion:02}-{intensity:02}-0{text}-0{take}-{actor:02}.wav"
        for actor in range(1, 25)
        for emotion, intensity, text, take in product(range(1, 9), (1, 2), (1, 2), (1, 2))
        if (emotion, intensity) != (1, 2)
    ],
    "demos": lambda: by_speaker("demos", demos),
    "emodb": lambda: by_speaker(
        "emodb",
        lambda speaker, code: (
            f"wav/{speaker}{text}{code}{version}.wav"
            for text, version in product(("a01", "a02", "a04", "b01", "b09", "b10"), "abc")
        ),
    ),
    "emovo": lambda: [
        f"{actor}/{emotion}-{actor}-{text}.wav"
        for actor in ("f1", "f2", "f3", "m1", "m2", "m3")
        for emotion in ("rab", "gio", "tri", "neu", "pau", "dis", "sor")
        for text in (
            f"{kind}{n}" for kind, last in ("b3", "l4", "n5", "d2") for n in range(1, int(last) + 1)
        )
    ],
    "nemo": lambda: in_total(
        "nemo", lambda who, code: (f"samples/{who}_{code}_{n}.wav" for n in range(1, 91))
    ),
    "savee": lambda: by_speaker(
        "savee", lambda who, code: (f"AudioData/{who}/{code}{n:02}.wav" for n in range(1, 31))
    ),
    "tess": lambda: by_speaker(
        "tess",
        lambda who, code: (
            f"{who}F_{code.title()}/{who}{'' if word == 'bite' and who == 'OA' else 'F'}"
            f"_{word}_{code}.wav"
            for word in [
                "bite",
                *(f"{a}{b}" for a, b in product("bcdfghjklm", map(chr, range(97, 117)))),
            ]
        ),
    ),
    "cremad": lambda: [
        *in_total(
            "cremad",
            lambda actor, code: (
                f"AudioWAV/{actor}_{text}_{code}_{level}.wav"
                for text, level in product(
                    ("IEO", "DFA", "IOM", "ITH", "TAI"), ("XX", "LO", "MD", "HI")
                )
            ),
        ),
        "AudioWAV/1076_MTI_SAD_XX.wav",
    ],
}

both = pytest.mark.parametrize("task", ["four", "all"])
every = pytest.mark.parametrize("name", sorted(CORPORA))


class Disk:
    """A made-up folder: what it lists, and which files do not decode."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[str] = []
        self.broken: set[str] = set()

    def survey(self, name: str) -> Survey:
        return survey(CORPORA[name], self.root)

    def listed(self, _: Path) -> list[str]:
        return self.files

    def probe(self, path: Path) -> Sound:
        if path.relative_to(self.root).as_posix() in self.broken:
            raise AudioError(f"{path} is broken. Fetch it again.")
        return Sound(16_000, 1, 2.0)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(tmp_path.resolve())
    monkeypatch.setattr(recordings, "probe", disk.probe)
    # the module, which the function of the same name hides
    monkeypatch.setattr(sys.modules["affekt.corpora.survey"], "recordings_in", disk.listed)
    return disk


def clips_of(name: str, files: list[str], task: str = "four") -> tuple[Clip, ...]:
    return recognize(CORPORA[name], files, task)[0]


def files_of(name: str, files: list[str], task: str = "four") -> list[str]:
    return [clip.file for clip in clips_of(name, files, task)]


def test_every_corpus_is_in_the_table_of_this_test() -> None:
    assert set(TREES) == set(PUBLISHED) == set(CORPORA)


@every
def test_form_is_a_page_of_facts(name: str) -> None:
    module = sys.modules[f"affekt.corpora.{name}"]
    assert module.CORPUS is CORPORA[name]
    assert CORPORA[name].name == name
    assert CORPORA[name].licence
    assert "Source: " in (module.__doc__ or "")
    assert len(Path(str(module.__file__)).read_text(encoding="utf-8").splitlines()) <= 80
    assert CORPORA[name].labels("four") == FOUR
    assert CORPORA[name].labels("all")[:4] == FOUR


@every
@both
def test_complete_corpus(name: str, task: str, disk: Disk) -> None:
    disk.files = TREES[name]()
    manifest = load(name, disk.root, task=task)
    (speakers, women, men), four, everything = PUBLISHED[name]
    found = Counter(clip.label for clip in manifest.clips)
    genders = Counter({clip.speaker: clip.gender for clip in manifest.clips}.values())
    if task == "all":
        assert found.total() == everything
        assert len(manifest.speakers) == (68 if name == "demos" else speakers)
    else:
        assert tuple(found[label] for label in FOUR) == four
        assert manifest.labels == FOUR
        assert (len(manifest.speakers), genders["f"], genders["m"]) == (speakers, women, men)
    assert set(found) == set(manifest.labels)
    assert all(clip.speaker.startswith(f"{name}:") for clip in manifest.clips)
    assert [clip.file for clip in manifest.clips] == sorted(files_of(name, disk.files, task))
    assert {clip.seconds for clip in manifest.clips} == {2.0}
    assert {clip.channel for clip in manifest.clips} == {0 if name == "emovo" else None}


@every
def test_order_on_disk_and_depth_change_nothing(name: str) -> None:
    files = TREES[name]()
    deeper = [f"unpacked/here/{file[:-4]}.flac" for file in files]
    clips, others = recognize(CORPORA[name], files, "four")
    assert recognize(CORPORA[name], files[::-1], "four") == (clips, others)
    assert len(clips_of(name, deeper)) == len(clips)


@every
def test_counts_are_shown_with_the_published_ones(name: str, disk: Disk) -> None:
    disk.files = TREES[name]()
    (speakers, women, men), four, _ = PUBLISHED[name]
    rows = disk.survey(name).rows()
    assert rows[0].name == "all"
    assert rows[0].found == rows[0].published == (speakers, *four, sum(four))
    assert [row.found[0] for row in rows if row.name == "female"] == [women][: women > 0]
    assert [row.found[0] for row in rows if row.name == "male"] == [men][: men > 0]
    assert sum(":" in row.name for row in rows) == speakers
    for row in rows:
        assert row.found == tuple(
            found if number is None else number
            for found, number in zip(row.found, row.published, strict=True)
        )


@every
def test_missing_clip(name: str, disk: Disk) -> None:
    disk.files = TREES[name]()
    gone = files_of(name, disk.files)[7]
    disk.files.remove(gone)
    looked = disk.survey(name)
    with pytest.raises(CorpusError, match=rf"{name} .* must be complete.*clips: 1 ") as error:
        looked.manifest()
    assert "--partial" in str(error.value)
    assert "\n" not in str(error.value)
    if CORPORA[name].names:
        assert Path(gone).stem in str(error.value)
    clips = looked.manifest(partial=True).clips
    assert gone not in {clip.file for clip in clips}
    assert len(clips) == sum(PUBLISHED[name][1]) - 1


@every
def test_missing_speaker(name: str, disk: Disk) -> None:
    files = TREES[name]()
    first = clips_of(name, files)[0].speaker
    gone = {clip.file for clip in clips_of(name, files, "all") if clip.speaker == first}
    disk.files = [file for file in files if file not in gone]
    looked = disk.survey(name)
    with pytest.raises(CorpusError, match=rf"missing speakers: 1 \({first}\); missing clips"):
        looked.manifest()
    assert [row.found[0] for row in looked.rows() if row.name == first] == [0]


@every
def test_extra_file(name: str, disk: Disk) -> None:
    disk.files = [*TREES[name](), "notes/interview 1.mp3"]
    looked = disk.survey(name)
    with pytest.raises(CorpusError, match=r"Got extra: 1 \(notes/interview 1\.mp3\)"):
        looked.manifest()
    assert len(looked.manifest(partial=True).clips) == sum(PUBLISHED[name][1])


@every
def test_undecodable_files(name: str, disk: Disk) -> None:
    disk.files = TREES[name]()
    disk.broken = set(files_of(name, disk.files)[3:8])
    looked = disk.survey(name)
    with pytest.raises(CorpusError, match=r"undecodable: 5 \(.* and 2 more\)") as error:
        looked.manifest()
    assert f"the first because: {disk.root}" in str(error.value)
    left = {clip.file for clip in looked.manifest(partial=True).clips}
    assert not left & disk.broken
    assert len(left) == sum(PUBLISHED[name][1]) - 5


@every
def test_a_second_copy_is_refused_even_in_part(name: str, disk: Disk) -> None:
    files = TREES[name]()
    disk.files = [*files, f"copy/{files[9]}"]
    with pytest.raises(CorpusError, match=r"must hold each recording once.*copy/"):
        load(name, disk.root, partial=True)


@every
def test_nothing_there(name: str, disk: Disk) -> None:
    with pytest.raises(CorpusError, match="missing speakers"):
        load(name, disk.root)
    with pytest.raises(CorpusError, match="at least one clip"):
        load(name, disk.root, partial=True)


@every
def test_real_files_of_any_format(name: str, tmp_path: Path) -> None:
    files = clips_of(name, TREES[name]())[:3]
    paths = [
        tmp_path / replace(clip, file=clip.file[:-4] + suffix).file
        for clip, suffix in zip(files, (".wav", ".flac", ".WAV"), strict=True)
    ]
    for seconds, path in enumerate(paths, start=1):
        path.parent.mkdir(parents=True, exist_ok=True)
        format_ = "FLAC" if path.suffix == ".flac" else "WAV"
        soundfile.write(path, np.zeros((seconds * 8_000, 2)), 8_000, format=format_)
    (tmp_path / "readme.txt").write_text("not sound")
    for hidden in (".trash/a.wav", "__MACOSX/b.wav", "._c.wav"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_bytes(b"")
    looked = survey(CORPORA[name], tmp_path)
    assert not looked.extra
    assert not looked.undecodable
    assert Counter(clip.seconds for clip in looked.clips) == Counter([1.0, 2.0, 3.0])
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    paths[0].write_bytes(pointer)
    with pytest.raises(CorpusError, match=r"undecodable: 1 .*git-lfs"):
        load(name, tmp_path)


# ------------------------------------------------------- what only one corpus has


@pytest.mark.parametrize("layout", ["{0}/{1}", "{0}_{1}", "{0}{1}", "x/{0}/{0}_{1}"])
def test_savee_in_any_layout(layout: str, disk: Disk) -> None:
    files = [file.split("/")[1:] for file in TREES["savee"]()]
    disk.files = [layout.format(who, name) for who, name in files]
    assert len(load("savee", disk.root).clips) == 300


def test_tess_takes_the_misnamed_file() -> None:
    (clip,), others = recognize(CORPORA["tess"], ["OAF_neutral/OA_bite_neutral.wav"], "four")
    assert (clip.speaker, clip.label, clip.text, others) == ("tess:OA", "neutral", "bite", ())


def test_cremad_leaves_out_silence_and_audio_with_two_labels() -> None:
    names = ["1076_MTI_SAD_XX.wav", "1006_TIE_HAP_XX.wav", "1076_MTI_NEU_XX.wav"]
    clips, others = recognize(CORPORA["cremad"], names, "four")
    assert [clip.file for clip in clips] == ["1076_MTI_NEU_XX.wav"]
    assert others == ()


def test_demos_takes_prototypical_and_neutral_files_only() -> None:
    names = ["NP_f_01_gio00a.wav", "PR_f_01_gio00a.wav", "f_01_neu00a.wav", "PR_f_01_pau00a.wav"]
    clips, others = recognize(CORPORA["demos"], names, "four")
    assert [(clip.file, clip.label) for clip in clips] == [
        ("PR_f_01_gio00a.wav", "happy"),
        ("f_01_neu00a.wav", "neutral"),
    ]
    assert others == ()
    assert len(recognize(CORPORA["demos"], names, "all")[0]) == 4


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("demos", "PR_m_01_gio00a.wav"),  # 01 is a woman
        ("demos", "PR_m_35_gio00a.wav"),  # there is no 35
        ("demos", "m_02_gio00a.wav"),  # neither prototypical nor not
        ("ravdess", "03-02-01-01-01-01-01.wav"),  # song
        ("ravdess", "03-01-01-01-01-01-25.wav"),
        ("emodb", "01a01Fa.wav"),
        ("emodb", "03a03Fa.wav"),
    ],
)
def test_other_files_are_extra(name: str, file: str) -> None:
    clips, others = recognize(CORPORA[name], [file], "all")
    assert others == (file,)
    assert clips == ()


def test_more_than_published_is_extra(disk: Disk) -> None:
    disk.files = [*TREES["demos"](), "DEMOS/PR_f_01_gio99c.wav"]
    with pytest.raises(CorpusError, match=r"Got extra: 1 \(happy of demos:01\)"):
        load("demos", disk.root)


def test_refuses_names(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"corpus must be one of ravdess, demos.*Got 'iemocap'"):
        load("iemocap", tmp_path)
    with pytest.raises(CorpusError, match=r"task of ravdess must be one of four, all. Got 'two'"):
        load("ravdess", tmp_path, task="two")
    with pytest.raises(CorpusError, match="root of a corpus must be a folder"):
        load("ravdess", tmp_path / "none")


def test_progress_is_reported_to_watch(disk: Disk) -> None:
    disk.files = TREES["savee"]()
    seen: list[int] = []

    def watch(items: Iterable[object], total: int) -> Iterable[object]:
        seen.append(total)
        return items

    survey(CORPORA["savee"], disk.root, watch=watch)
    assert seen == [300]


# ------------------------------------------------------------ the real recordings


def test_real_ravdess(data: Path) -> None:
    manifest = load("ravdess", data / "ravdess")
    assert Counter(clip.label for clip in manifest.clips) == dict(
        zip(FOUR, (192, 192, 192, 96), strict=True)
    )
    assert len(manifest.speakers) == 24
    assert 3.6 < sum(clip.seconds for clip in manifest.clips) / 672 < 3.8
    everything = Counter(c.label for c in load("ravdess", data / "ravdess", task="all").clips)
    assert len(everything) == 8
    assert sorted(everything.values()) == [96, *[192] * 7]


def test_real_emovo(data: Path) -> None:
    manifest = load("emovo", data / "emovo")
    assert Counter(clip.label for clip in manifest.clips) == dict.fromkeys(FOUR, 84)
    assert {clip.channel for clip in manifest.clips} == {0}
    with pytest.raises(CorpusError, match="missing clips: 252 "):
        load("emovo", data / "emovo", task="all")


def test_real_nemo(data: Path) -> None:
    with pytest.raises(CorpusError, match=r"missing speakers: 5 .*missing clips: 1637 "):
        load("nemo", data / "nemo")
    manifest = load("nemo", data / "nemo", partial=True)
    found = Counter(clip.label for clip in manifest.clips)
    assert [found[label] for label in FOUR] == [360, 360, 360, 359]
    genders = {clip.speaker: clip.gender for clip in manifest.clips}
    assert genders == {"nemo:EB0": "f", "nemo:IC0": "f", "nemo:KS0": "m", "nemo:WR0": "m"}


def test_real_demos_names(data: Path) -> None:
    with (data / "demos-filelist.csv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    files = [row["file"] for row in rows]
    assert len(files) == 9697
    clips, others = recognize(CORPORA["demos"], files, "four")
    found = Counter(clip.label for clip in clips)
    assert [found[label] for label in FOUR] == [246, 167, 422, 332]
    assert Counter({clip.speaker: clip.gender for clip in clips}.values()) == {"m": 42, "f": 23}
    assert others == ()
    assert compare(CORPORA["demos"], "four", clips) == ({}, {})
    everything, others = recognize(CORPORA["demos"], files, "all")
    assert len(everything) == 9697
    assert others == ()
    assert compare(CORPORA["demos"], "all", everything) == ({}, {})
    of_list = {row["file"]: (f"demos:{row['speaker']}", row["gender"][0]) for row in rows}
    assert {clip.file: (clip.speaker, clip.gender) for clip in everything} == of_list
