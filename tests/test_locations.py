"""Locations: recordings and results in stores, through the real fsspec, S3 and web servers."""

import functools
import http.server
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import soundfile

import affekt
from affekt import locations
from affekt.cli import main
from affekt.inference.files import Failure, find_files
from affekt.journal.adding import find_recordings
from affekt.locations import is_location, local_copy
from conftest import Captured, QuietHandler, wait_until

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings of three kinds in two folders, and three files that are none."""
    place = tmp_path_factory.mktemp("made") / "sounds"
    (place / "deep").mkdir(parents=True)
    rng = np.random.default_rng(3)
    for number, kind in enumerate(("wav", "flac", "ogg") * 2):
        inside = place / "deep" if number > 3 else place
        soundfile.write(inside / f"{number}.{kind}", rng.normal(size=20_000) * 0.1, 16_000)
    (place / "deep" / "text.wav").write_text("no sound")
    (place / "notes.txt").write_text("no sound")
    (place / ".hidden.wav").write_text("no sound")
    return place


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An S3 bucket of a server on this machine."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("voices")
        yield "s3://voices"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(params=["memory", "file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place in a store of each kind."""
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/{uuid4().hex}"
    if request.param == "file":
        return tmp_path.as_uri()
    return f"memory://{uuid4().hex}"


def put(folder: Path, place: str) -> str:
    store, path = fsspec.core.url_to_fs(place)
    for file in folder.rglob("*"):
        if file.is_file():
            store.makedirs(f"{path}/{file.parent.relative_to(folder)}", exist_ok=True)
            store.pipe_file(f"{path}/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return place


def names_below(place: str, name: str) -> str:
    return name.partition(place.rpartition("/")[2] + "/")[2]


@pytest.mark.parametrize(
    "name", ["s3://a/b.wav", "memory://a", "file:///a", "http://a/b?c=d", "HTTPS://a"]
)
def test_locations_by_their_scheme(name: str) -> None:
    assert is_location(name)
    assert not is_location(Path(name))
    assert not is_location(name.replace("://", ":"))


def test_a_folder_is_predicted_as_the_one_here(
    model: str, folder: Path, store: str, capsys: Captured
) -> None:
    place = put(folder, f"{store}/sounds")
    assert main(["predict", str(folder), "--json", "--model", model]) == 1
    here = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert main(["predict", place, "--json", "--model", model]) == 1
    there = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(there) == 7
    assert [each["file"] for each in there] == [
        f"{place}/{Path(each['file']).relative_to(folder).as_posix()}" for each in here
    ]
    for one, other in zip(here, there, strict=True):
        assert one.get("probabilities") == other.get("probabilities")
        assert one.get("segments") == other.get("segments")


def test_links_in_a_local_store_are_found_without_loops(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "linked.wav").symlink_to(folder / "0.wav")
    (tmp_path / "own.wav").write_bytes((folder / "0.wav").read_bytes())
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.wav")
    place = tmp_path.as_uri()
    assert [*find_files([place])] == [f"{place}/linked.wav", f"{place}/own.wav"]


def test_files_and_globs(model: str, folder: Path, store: str) -> None:
    place = put(folder, f"{store}/sounds")
    predictor = affekt.load(model)
    for name in ("0.wav", "1.flac", "2.ogg"):
        expected = predictor.predict(folder / name)
        found = predictor.predict(f"{place}/{name}")
        assert found.probabilities == expected.probabilities
        assert found.file == f"{place}/{name}"
    found_names = [names_below(place, str(name)) for name in find_files([f"{place}/*.wav"])]
    assert found_names == ["0.wav", "3.wav"]
    assert list(find_files([f"{place}/deep/4.flac"])) == [f"{place}/deep/4.flac"]
    (none,) = find_files([f"{place}/*.mp3"])
    assert isinstance(none, Failure)
    assert "matches no file" in none.error


def test_what_is_not_there_is_one_line(model: str, store: str, capsys: Captured) -> None:
    words = [f"{store}/none.wav", f"{store}/none/", "--json", "--model", model]
    assert main(["predict", *words]) == 1
    printed = capsys.readouterr()
    file, place = printed.err.splitlines()
    assert f"{store}/none.wav does not exist" in file
    assert f"{store}/none/ " in place
    assert len(printed.out.splitlines()) == 2


def test_a_store_without_access_is_one_line_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: str) -> None:
        raise OSError("Unable to locate credentials")

    monkeypatch.setattr("affekt.audio.sources.open_location", refuse)
    with pytest.raises(affekt.AffektError, match=r"credentials\. Check .* your access to it\.$"):
        affekt.read("s3://bucket/a.wav")


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_results_go_to_a_location_and_are_resumed(
    model: str, folder: Path, store: str, form: str, tmp_path: Path
) -> None:
    place, output = put(folder, f"{store}/sounds"), f"{store}/results"
    words = ["predict", place, form, "--model", model]
    assert main([*words, "-o", str(tmp_path / "whole")]) == 1
    whole = (tmp_path / "whole").read_bytes()
    assert main([*words, "-o", output]) == 1
    fs, path = fsspec.core.url_to_fs(output)
    assert fs.cat_file(path) == whole
    fs.pipe_file(path, whole[: len(whole) // 2])
    assert main([*words, "-o", output, "--resume"]) == 1
    assert sorted(fs.cat_file(path).splitlines()) == sorted(whole.splitlines())
    fs.pipe_file(path, b"buy milk\n")
    assert main([*words, "-o", output, "--resume"]) == 2
    assert fs.cat_file(path) == b"buy milk\n"


def test_a_recording_is_not_printed_over(
    model: str, folder: Path, store: str, capsys: Captured
) -> None:
    place = put(folder, f"{store}/sounds")
    words = ["predict", str(folder), "--json", "--model", model]
    assert main([*words, "-o", f"{place}/0.wav"]) == 2
    assert "nor named like one" in capsys.readouterr().err
    fs, path = fsspec.core.url_to_fs(f"{place}/0.wav")
    assert fs.cat_file(path) == (folder / "0.wav").read_bytes()


def test_an_output_is_stored_as_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locations, "STORE_SECONDS", 0.05)
    monkeypatch.setattr(locations, "STORE_SHARE", 2)
    name = f"memory://{uuid4().hex}/results"
    fs, path = fsspec.core.url_to_fs(name)
    with local_copy(name, fetch=False) as copy:
        assert fs.cat_file(path) == b""
        copy.write_bytes(b"some")
        wait_until(lambda: fs.cat_file(path) == b"some")
        copy.write_bytes(b"some more")
    assert fs.cat_file(path) == b"some more"
    assert not copy.exists()


def test_results_that_cannot_be_stored_are_kept_here(
    model: str, folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    storing = local_copy(f"{gone.as_uri()}/results", fetch=False)
    copy = storing.__enter__()
    copy.write_bytes(b"work")
    (gone / "results").unlink()
    gone.rmdir()
    gone.write_text("no folder any more")
    with pytest.raises(affekt.AffektError, match="The results are in ") as caught:
        storing.__exit__(None, None, None)
    assert copy.read_bytes() == b"work"
    assert str(copy) in str(caught.value)
    copy.unlink()
    copy.parent.rmdir()
    words = ["predict", str(folder), "--json", "--model", model]
    assert main([*words, "-o", f"{gone.as_uri()}/results"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "results cannot be written" in line


@pytest.fixture
def web(folder: Path) -> Iterator[str]:
    """A web server that gives no parts of files."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_web(model: str, folder: Path, web: str) -> None:
    pytest.importorskip("aiohttp")
    predictor = affekt.load(model)
    for name in ("0.wav", "1.flac", "2.ogg"):
        expected = predictor.predict(folder / name).probabilities
        assert predictor.predict(f"{web}/{name}").probabilities == pytest.approx(expected, abs=1e-4)
    names = [str(name).removeprefix(web) for name in find_files([f"{web}/"])]
    kinds = ["/0.wav", "/1.flac", "/2.ogg", "/3.wav"]
    assert names == [*kinds, "/deep/4.flac", "/deep/5.ogg", "/deep/text.wav"]
    with pytest.raises(affekt.AffektError, match=r"none\.wav does not exist"):
        predictor.predict(f"{web}/none.wav")
    (recording,), _ = find_recordings([f"{web}/0.wav?Date=20260910T081530Z&Signature=secret"])
    assert (recording.name, recording.recorded) == ("0.wav", "")


@pytest.mark.parametrize(
    ("missing", "name"), [("fsspec", "memory://a"), ("s3fs", "s3://a"), ("aiohttp", "http://a")]
)
def test_a_missing_package_is_one_line_with_the_remedy(
    missing: str, name: str, model: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    for module in [each for each in sys.modules if each.split(".")[0] in (missing, "fsspec")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    for words, code in ([f"{name}/b.wav"], 1), (["a.wav", "--json", "-o", f"{name}/b.jsonl"], 2):
        assert main(["predict", *words, "--model", model]) == code
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"affekt: {name}/b.")
        assert missing in line
        assert line.endswith("pip install 'affekt[remote]'")


def test_an_unknown_scheme_is_one_line(model: str, capsys: Captured) -> None:
    assert main(["predict", "nonesuch://a/b.wav", "nonesuch://a/", "--model", model]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("nonesuch" in line for line in lines)
