"""Test that hostile or faulty requests cost the service and other clients nothing."""

import asyncio
import base64
import errno
import io
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from socket import SO_RCVBUF, SOL_SOCKET, create_connection
from typing import Any
from urllib.request import urlopen

import anyio
import numpy as np
import pytest
import soundfile
from anyio import CapacityLimiter, to_process
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

import affekt
from affekt.errors import ModelError
from affekt.service import app as serving
from affekt.service import decoding, live_session, processes
from affekt.service.app import make_app
from affekt.service.decoding import decoded
from affekt.service.uploads import Upload
from conftest import SAMPLES, wait_until
from running_service import PATIENCE, needs_proc, served
from small_model import small_model
from synthetic_network import made_sound, own_model
from test_service import RATE, STREAM, scope, wav

SOUND = made_sound(3.0)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> affekt.Predictor:
    return affekt.load(own_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def client(predictor: affekt.Predictor) -> Iterator[TestClient]:
    app = make_app(predictor, hosts={"localhost", "::1"})
    with TestClient(app, base_url="http://localhost:8000") as opened:
        yield opened


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://localhost:8000#.evil.example"},
        {"origin": "http://localhost:8000/page"},
        {"origin": "file://localhost:8000"},
        {"host": "localhost:8000; script-src *"},
        {"host": "user@localhost:8000"},
        {"host": "localhost:8000#", "origin": "http://localhost:8000#"},
    ],
)
def test_hosts_and_origins_are_names_and_nothing_else(
    client: TestClient, headers: dict[str, str]
) -> None:
    found = client.get("/model", headers=headers)
    assert found.status_code == 403
    assert "script-src" not in str(found.headers)


def test_a_host_that_is_not_allowed_is_not_copied_into_the_policy(client: TestClient) -> None:
    found = client.get("/health", headers={"host": "x; script-src *"})
    assert found.status_code == 200
    assert found.headers["content-security-policy"].startswith(
        "default-src 'self'; connect-src 'self'; frame"
    )
    assert client.get("/model", headers={"host": "[::1]:8000"}).status_code == 200


@pytest.mark.parametrize("weight", [1e13, 1e38, 1e300])
def test_a_profile_of_impossible_weight_is_blamed(
    client: TestClient, predictor: affekt.Predictor, weight: float
) -> None:
    person = predictor.enroll([made_sound(8.0)], sample_rate=RATE)
    heavy = replace(person, weight=weight)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelError, match=r"the profile's weight must be .* at most 1e\+12"):
            replace(predictor, profile=heavy).predict(SOUND, sample_rate=RATE)
        header = {"Profile": base64.b64encode(heavy.content()).decode()}
        found = client.post("/predict", content=wav(SOUND), headers=header)
    assert found.status_code == 422
    assert "the profile's weight" in found.json()["error"]
    limit = replace(predictor, profile=replace(person, weight=1e12), adapt=True)
    assert sum(limit.predict(SOUND, sample_rate=RATE).probabilities.values()) == pytest.approx(1)


def test_no_answer_names_a_path_of_the_server(predictor: affekt.Predictor, tmp_path: Path) -> None:
    """Whatever is wrong: the recording, the query, the profile, the model."""

    class Broken:
        def run(self, *_: object) -> None:
            raise ValueError("out of memory")

    broken = replace(predictor.graph, session=Broken())  # type: ignore[arg-type]
    models = {
        "own": predictor,
        "small": affekt.load(small_model(tmp_path / "small.onnx")),  # takes no profiles
        "broken": replace(predictor, graph=broken),
    }
    app = Starlette(
        routes=[
            Mount(f"/{name}", make_app(each, hosts={"localhost"})) for name, each in models.items()
        ]
    )
    foreign = affekt.load().enroll(SAMPLES / "calm.flac")
    short = replace(foreign, measure=predictor.graph.measure, mean=foreign.mean[:9])
    people = [each.content() for each in (foreign, replace(short, deviation=short.mean))]
    profiles = [base64.b64encode(each).decode() for each in people]
    half = wav(SOUND)[: len(wav(SOUND)) // 2]
    not_numbers = wav(np.full(16_000, np.nan, np.float32))
    told = []
    with TestClient(app, base_url="http://localhost") as client:
        for path in ("/own/predict", "/own/timeline", "/own/embed"):
            told += [client.post(path, content=each) for each in (b"", b"text", half, not_numbers)]
        for path in ("/own/predict", "/own/embed", "/small/timeline"):
            given = [{"Profile": each} for each in profiles]
            told += [client.post(path, content=wav(SOUND), headers=each) for each in given]
        told += [client.post(f"/own/timeline?speakers={tmp_path}/a.rttm", content=wav(SOUND))]
        told += [client.post("/small/predict?adapt=1", content=wav(SOUND))]
        told += [client.post("/small/embed", content=wav(SOUND))]
        told += [client.get(f"/own/{path}") for path in ("nothing", "predict", "affekt/nothing")]
        assert [each.status_code for each in told if not 400 <= each.status_code < 500] == []
        failing = [client.post("/broken/predict", content=wav(SOUND)), client.get("/broken/health")]
        assert all("out of memory" in each.json()["error"] for each in failing)
        texts = [each.text for each in (*told, *failing)]
        for path, message in (("own", profiles[0]), ("small", profiles[0]), ("small?adapt=1", "")):
            name, _, query = path.partition("?")
            with client.websocket_connect(f"ws://localhost/{name}/stream?{query}") as session:
                session.send_text(message)
                texts.append(session.receive_text())
    assert all("error" in each for each in texts)
    ours = (predictor.graph.file.parent, tmp_path, Path(affekt.__file__).parent, sys.prefix)
    assert [each for each in texts if any(str(path) in each for path in ours)] == []


def test_a_fault_of_the_service_is_answered_by_a_request_id(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(serving, "with_query", fail)
    monkeypatch.setattr(serving, "run_session", fail)
    found = client.post("/predict", content=wav(SOUND), headers={"X-Request-ID": "abc"})
    assert found.status_code == 500
    assert "request abc" in found.json()["error"]
    assert "secret" not in found.text
    assert "ZeroDivisionError" in caplog.text
    assert "request abc" in caplog.text
    with (
        client.websocket_connect(STREAM) as session,
        pytest.raises(WebSocketDisconnect) as ended,
    ):
        session.receive_json()
    assert ended.value.code == 1011


def test_a_real_server_refuses_ambiguous_lengths_and_bad_text(predictor: affekt.Predictor) -> None:
    with served(predictor) as server:
        head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
        answer = server.asked(f"{head}Transfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400")
        with ThreadPoolExecutor() as clients:  # at once: each is closed in time
            halves = ("", "GET /health HTTP/1.1\r\nHost: loc", f"{head}\r\nhalf"[:-1])
            ends = [*clients.map(server.asked, halves)]
        assert ends[:2] == [b"", b""]
        assert ends[2].startswith(b"HTTP/1.1 408")
        with connect(f"ws://localhost:{server.port}/stream") as session:
            session.socket.sendall(Frame(Opcode.TEXT, b"\xff\xfe").serialize(mask=True))
            with pytest.raises(ConnectionClosedError) as ended:
                session.recv(timeout=PATIENCE)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1007
        with urlopen(f"{server.address}/health") as found:
            assert found.status == 200


def test_stalled_uploads_of_one_client_leave_room_for_others_and_end(
    predictor: affekt.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert serving.MAX_WAIT > 2 * serving.MAX_IDLE  # of one client, half end before the others
    monkeypatch.setattr(serving, "MAX_IDLE", PATIENCE)
    app = make_app(predictor, hosts={"localhost"})
    answers: list[int] = []
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answers.append(message["status"])

    attack = {**scope("http", "/predict"), "client": ("192.0.2.1", 9)}
    with TestClient(app, base_url="http://localhost") as client:
        assert client.portal is not None
        start = partial(client.portal.start_task_soon, app)
        stalled = [start(dict(attack), receive, send) for _ in range(serving.MAX_UPLOADS)]
        assert client.post("/predict", content=wav(SOUND)).status_code == 200
        assert answers == []
        client.portal.call(gone.set)
        wait(stalled)
        answers.clear()
        gone.clear()
        monkeypatch.setattr(serving, "MAX_IDLE", 0.3)
        wait([start(dict(attack), receive, send) for _ in range(serving.MAX_UPLOADS)])
        assert answers == [408] * serving.MAX_UPLOADS
        assert client.post("/predict", content=wav(SOUND)).status_code == 200


def test_a_recording_waits_for_a_stalled_one(
    predictor: affekt.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MAX_UPLOADS", 1)
    monkeypatch.setattr(serving, "MAX_IDLE", 0.3)
    app = make_app(predictor, hosts={"localhost"})

    async def receive() -> dict[str, Any]:
        await anyio.sleep(60)
        raise AssertionError

    async def send(_: Any) -> None: ...

    with TestClient(app, base_url="http://localhost") as client:
        assert client.portal is not None
        stalled = client.portal.start_task_soon(app, scope("http", "/predict"), receive, send)
        assert client.post("/predict", content=wav(SOUND)).status_code == 200
        stalled.result(PATIENCE)


def test_reports_are_limited_as_recordings(
    predictor: affekt.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes seconds of the threads that compute answers to recordings."""
    monkeypatch.setattr(serving, "MAX_UPLOADS", 1)
    monkeypatch.setattr(serving, "MAX_WAIT", 0.05)
    began, ended = threading.Event(), threading.Event()

    def report() -> str:
        began.set()
        ended.wait(PATIENCE)
        return "the report"

    app = make_app(predictor, hosts={"localhost"}, journal=report)
    with TestClient(app, base_url="http://localhost") as client, ThreadPoolExecutor(1) as other:
        first = other.submit(client.get, "/journal")
        assert began.wait(PATIENCE)
        second = client.get("/journal")
        ended.set()
        assert (first.result().status_code, second.status_code) == (200, 503)


def test_requests_for_health_at_once_share_a_check(
    predictor: affekt.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They need no token, and each check computes a prediction."""
    found: list[float] = []

    def counted(*_: object, **__: object) -> None:
        found.append(time.monotonic())
        time.sleep(0.1)

    monkeypatch.setattr(affekt.Predictor, "predict", counted)
    app = make_app(predictor, hosts={"localhost"})
    with TestClient(app, base_url="http://localhost") as client, ThreadPoolExecutor(8) as clients:
        assert [*clients.map(lambda _: client.get("/health").status_code, range(8))] == [200] * 8
    assert len(found) == 1


def test_a_form_in_a_strange_character_set_is_refused(client: TestClient) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\na\r\n--x--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=x; charset=undefined"}
    found = client.post("/predict", content=body, headers=headers)
    assert found.status_code == 422
    assert "a form must hold one file" in found.json()["error"]


@needs_proc
def test_messages_are_not_decompressed(predictor: affekt.Predictor) -> None:
    """Compressed zeros of 250 kB are 250 MB."""
    with (
        served(predictor) as server,
        connect(f"ws://localhost:{server.port}/stream", compression="deflate") as session,
    ):
        assert session.protocol.extensions == []


@needs_proc
def test_a_client_that_reads_no_answer_to_pings_is_disconnected(
    predictor: affekt.Predictor,
) -> None:
    """The answers fill its buffers, and then the service's memory."""
    pings = Frame(Opcode.PING, bytes(125)).serialize(mask=True) * 1000
    with served(predictor) as server, connect(f"ws://localhost:{server.port}/stream") as session:
        with create_connection(("localhost", server.port), timeout=PATIENCE) as silent:
            silent.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
            silent.sendall(session.request.serialize())
            with pytest.raises(ConnectionError):
                silent.sendall(pings * 400)  # 50 MB
        assert session.ping().wait(PATIENCE)


@needs_proc
@pytest.mark.parametrize("number", [1, 2])
def test_a_client_that_reads_nothing_is_disconnected(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "PING_TIMEOUT", 1.0)
    with ExitStack() as opened:
        *others, listener = processes.listeners("localhost", 0, number)
        for each in others:
            each.close()
        opened.enter_context(listener)
        client = opened.enter_context(create_connection(listener.getsockname()[:2]))
        client.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
        answering = opened.enter_context(listener.accept()[0])
        with pytest.raises(TimeoutError) as ended:
            answering.sendall(bytes(64 << 20))
    assert ended.value.errno == errno.ETIMEDOUT


@needs_proc
def test_more_connections_than_descriptors_are_logged_once(predictor: affekt.Predictor) -> None:
    """The log would grow by a megabyte a second."""
    import resource

    with served(predictor) as server, ExitStack() as opened:
        limit = partial(resource.prlimit, server.process.pid, resource.RLIMIT_NOFILE)
        before = limit()
        limit((40, before[1]))
        for _ in range(60):
            opened.enter_context(create_connection(("localhost", server.port), timeout=PATIENCE))
        time.sleep(2.5)  # two rounds of asyncio
        limit(before)
        with urlopen(f"{server.address}/health", timeout=PATIENCE) as found:
            assert found.status == 200
    assert server.said.count(b"out of system resource") == 1


def test_silent_streams_end(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_session, "MAX_SILENCE", 0.1)
    with client.websocket_connect(STREAM) as session:
        assert "must send a message every 0.1 s" in session.receive_json()["error"]
        with pytest.raises(WebSocketDisconnect):
            session.receive_json()


def test_a_decoder_that_crashes_or_takes_too_much_costs_one_upload(
    predictor: affekt.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence in 8 channels at 512 kHz is 490 MB of samples a minute in a small FLAC file."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 512_000, 8, "PCM_16", format="FLAC") as bomb:
        for _ in range(120):  # s: more than a second of decoding
            bomb.write(np.zeros((512_000, 8), np.int16))
    long = wav(np.zeros(RATE * 600, np.float32))
    with TestClient(
        make_app(predictor, hosts={"localhost"}), base_url="http://localhost"
    ) as client:
        for name, value, content, words in (
            ("MAX_PROCESSOR", 0, file.getvalue(), "without a crash, within 0 s"),
            ("MAX_WALL", 0.01, long, "without a crash"),
            ("MAX_MEMORY", 64 << 20, long, "64 MB"),
            ("MAX_SECONDS", 60.0, long, "60"),
        ):
            with monkeypatch.context() as patched:
                patched.setattr(decoding, name, value)
                found = client.post("/timeline?speakers=each", content=content)
            assert (found.status_code, name) == (422, name)
            assert words in found.json()["error"]
            assert client.post("/predict", content=wav(SOUND)).status_code == 200


def test_a_worker_that_ends_before_it_decodes_costs_no_upload(client: TestClient) -> None:
    """Ended by the system while it waits, and not noticed yet."""

    async def ended_between_two() -> None:
        os.kill(await to_process.run_sync(os.getpid), signal.SIGKILL)
        sound = await decoded(Upload(wav(SOUND)), None, CapacityLimiter(1))
        assert len(sound) == len(SOUND)

    assert client.portal is not None
    for _ in range(3):
        client.portal.call(ended_between_two)


def test_a_worker_that_ends_while_it_starts_costs_no_upload(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python, mark = tmp_path / "python", tmp_path / "mark"
    python.write_text(
        f'#!/bin/sh\n[ -e "{mark}" ] && exec "{sys.executable}" "$@"\ntouch "{mark}"\nexit 1\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert client.post("/predict", content=wav(SOUND)).status_code == 200
    assert mark.exists()


def test_a_service_that_cannot_decode_blames_no_recording(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    found = client.post("/predict", content=wav(SOUND))
    assert found.status_code == 500
    assert "the service failed" in found.json()["error"]


def test_a_service_that_is_stopped_under_load_answers_every_upload(
    predictor: affekt.Predictor,
) -> None:
    """What has begun gets 200, and what still waits for its turn 503."""
    long = wav(made_sound(20.0))
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(long)}\r\n"
    with served(predictor) as server, ThreadPoolExecutor(8) as clients:
        uploads = [
            clients.submit(server.asked, f"{head}Connection: close\r\n\r\n", long) for _ in range(8)
        ]
        wait_until(lambda: server.uploads() == 8)
        wait(uploads, return_when=FIRST_COMPLETED)
        server.process.send_signal(signal.SIGTERM)
        statuses = [each.result().split()[1] for each in uploads]
    assert {*statuses} <= {b"200", b"503"}
    assert b"200" in statuses
