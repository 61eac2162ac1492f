"""Test the service: its predictions equal the library's, and foreign requests are rejected."""

import asyncio
import base64
import hashlib
import io
import json
import mimetypes
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from socket import create_connection
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from websockets.sync.client import connect

import affekt
from affekt.cli import main
from affekt.errors import RunError
from affekt.inference.profile import profile_of
from affekt.service import app as serving
from affekt.service.app import make_app
from affekt.service.browser_model import RUNTIME, runtime_folder
from conftest import hears_ctrl_c
from synthetic_network import made_sound, own_model

RATE = 16_000
STREAM = "ws://localhost:8000/stream"
SOUND = made_sound(4.0, 200.0)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> affekt.Predictor:
    return affekt.load(own_model(tmp_path_factory.mktemp("model")), limits=None)


@pytest.fixture(scope="module")
def client(predictor: affekt.Predictor) -> Iterator[TestClient]:
    app = make_app(predictor, hosts={"localhost"})
    with TestClient(app, base_url="http://localhost:8000") as opened:
        yield opened


def wav(sound: np.ndarray, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def talk(client: TestClient, query: str, *messages: bytes | str) -> list[dict[str, Any]]:
    """Send messages to a live session and return all that it sends until it ends."""
    found = []
    with client.websocket_connect(f"{STREAM}?{query}") as socket:
        for message in messages:
            socket.send_bytes(message) if isinstance(message, bytes) else socket.send_text(message)
        with suppress(WebSocketDisconnect):
            while True:
                found.append(socket.receive_json())
    return found


def pieces(sound: np.ndarray, size: int = 3_000) -> list[bytes]:
    return [sound[at : at + size].tobytes() for at in range(0, len(sound), size)]


def close(found: list[dict[str, Any]], expected: tuple[affekt.Segment, ...]) -> bool:
    assert [each["label"] for each in found] == [each.label for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one["start"], one["end"]) == pytest.approx((other.start, other.end))
        assert one["probabilities"] == pytest.approx(other.probabilities, abs=1e-5)
    return True


def test_scripts_are_served_as_scripts(predictor: affekt.Predictor) -> None:
    mimetypes.add_type("text/plain", ".js")  # as the registry of some Windows systems says
    app = make_app(predictor, hosts={"localhost"})
    with TestClient(app, base_url="http://localhost:8000") as client:
        for path in ("/page.js", "/affekt/affekt.js"):
            assert client.get(path).headers["content-type"].startswith("text/javascript")


def test_a_recording_is_predicted_as_by_the_library(
    client: TestClient, predictor: affekt.Predictor
) -> None:
    found = client.post("/predict", content=wav(SOUND)).json()
    expected = predictor.predict(SOUND, sample_rate=RATE)
    assert found["label"] == expected.label
    assert found["duration"] == expected.duration
    assert close(found["segments"], expected.segments)
    both = np.stack([0 * SOUND, SOUND], axis=1)
    alone = client.post("/predict?channel=1", content=wav(both)).json()
    assert alone["probabilities"] == pytest.approx(expected.probabilities)
    unsure = client.post("/predict?min_confidence=1", content=wav(SOUND)).json()
    assert unsure["label"] == "uncertain"


@pytest.mark.parametrize(
    ("query", "content", "code", "words"),
    [
        ("", b"no sound at all", 422, "the recording is not audio"),
        ("", b"", 422, "empty"),
        ("?adapt=maybe", wav(SOUND), 422, "query parameter adapt must be one of 0, 1. Got 'maybe'"),
        ("?adapt=2", wav(SOUND), 422, "query parameter adapt must be one of 0, 1. Got '2'"),
        ("?quality=-1", wav(SOUND), 422, "query parameter quality must be one of 0, 1. Got '-1'"),
        ("?min_confidence=2", wav(SOUND), 422, "must be a probability in [0, 1]"),
        (
            "?channel=-1",
            wav(SOUND),
            422,
            "query parameter channel must be a whole number, 0 or more.",
        ),
        (
            "?rate=16000",
            wav(SOUND),
            422,
            "among adapt, min_confidence, quality, channel. Got 'rate'.",
        ),
        ("", bytes(5_001), 413, "must have at most 5000 bytes"),
    ],
)
def test_bad_requests_are_explained(
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    query: str,
    content: bytes,
    code: int,
    words: str,
) -> None:
    monkeypatch.setattr(serving, "MAX_UPLOAD", 5_000 if code == 413 else serving.MAX_UPLOAD)
    found = client.post(f"/predict{query}", content=content)
    assert found.status_code == code
    assert words in found.json()["error"]


def test_a_recording_with_a_profile(client: TestClient, predictor: affekt.Predictor) -> None:
    """The prediction is that of ``affekt predict --profile P --adapt``."""
    person = predictor.enroll([made_sound(8.0)], sample_rate=RATE)
    header = {"Profile": base64.b64encode(person.content()).decode()}
    for adapt in (False, True):
        path = f"/predict?adapt={int(adapt)}"
        found = client.post(path, content=wav(SOUND), headers=header).json()
        knowing = affekt.Predictor(
            predictor.graph, profile_of(person.content()), adapt, limits=None
        )
        assert close(found["segments"], knowing.predict(SOUND, sample_rate=RATE).segments)
    for text, words in {
        "hello?": "the header Profile must be a profile in base64. Got 'hello?'",
        "aGVsbG8=": "must be a whole profile",
    }.items():
        refused = client.post("/predict", content=wav(SOUND), headers={"Profile": text})
        assert refused.status_code == 422
        assert words in refused.json()["error"]


def scope(kind: str, path: str) -> dict[str, Any]:
    """Make an ASGI scope, for requests that the test client cannot send."""
    host = [(b"host", b"localhost")]
    return {"type": kind, "method": "POST", "path": path, "query_string": b"", "headers": host}


def test_uploads_are_limited(predictor: affekt.Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_UPLOADS", 1)
    monkeypatch.setattr(serving, "MAX_WAIT", 0.05)
    app = make_app(predictor, hosts={"localhost"})
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:  # a client that sends nothing, and leaves
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None: ...

    with TestClient(app, base_url="http://localhost") as client:
        assert client.portal is not None
        first = client.portal.start_task_soon(app, scope("http", "/predict"), receive, send)
        found = client.post("/predict", content=wav(SOUND))
        assert found.status_code == 503
        assert "at most 1 recordings at a time" in found.json()["error"]
        client.portal.call(gone.set)
        first.result()
        assert client.post("/predict", content=wav(SOUND)).status_code == 200


@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_a_live_stream_is_predicted_as_by_the_library(
    client: TestClient, predictor: affekt.Predictor, rate: int
) -> None:
    expected = predictor.predict(SOUND, sample_rate=rate).segments
    found = talk(client, f"rate={rate}", *pieces(SOUND), "end")
    assert close(found, expected)
    whole = (SOUND * 32_767).astype("<i2")
    found = talk(client, f"rate={rate}&encoding=s16le", *pieces(whole), "end")
    assert [each["label"] for each in found] == [each.label for each in expected]


def test_a_live_session_adapts_and_returns_the_profile(
    client: TestClient, predictor: affekt.Predictor
) -> None:
    with client.websocket_connect(f"{STREAM}?adapt=1") as socket:
        socket.send_text("profile")
        assert "no speech detected" in socket.receive_json()["error"]
        socket.send_bytes(SOUND.tobytes())
        for _ in range(4):
            assert "probabilities" in socket.receive_json()
        socket.send_text("profile")
        content = socket.receive_bytes()
    person = profile_of(content)
    assert person.seconds > 1
    knowing = affekt.Predictor(predictor.graph, person, limits=None)
    expected = knowing.predict(SOUND, sample_rate=RATE).segments
    words = base64.b64encode(content).decode()
    assert close(talk(client, "", words, *pieces(SOUND), "end"), expected)
    without_profile = predictor.predict(SOUND, sample_rate=RATE)
    assert expected[-1].probabilities != without_profile.probabilities


def test_the_voice_in_the_profile_of_the_service_is_not_sent(predictor: affekt.Predictor) -> None:
    person = replace(predictor.enroll(SOUND, sample_rate=RATE), voice=np.ones(256, np.float32))
    app = make_app(replace(predictor, profile=person), hosts={"localhost"})
    with TestClient(app) as client, client.websocket_connect(STREAM) as socket:
        socket.send_text("profile")
        assert profile_of(socket.receive_bytes()).voice is None


@pytest.mark.parametrize(
    ("query", "messages", "words"),
    [
        ("rate=nan", [], "query parameter rate must be a whole number"),
        (
            "rate=16000.5",
            [],
            "must be a whole number, 0 or more. Got '16000.5'. Correct it.",
        ),
        (
            "min_confidnce=0.9",
            [],
            "quality, rate, encoding, channels. Got 'min_confidnce'. Leave it out.",
        ),
        ("rate=3", [], "sample rate of a stream must be a whole number"),
        ("encoding=mp3", [], "must be one of f32le, s16le. Got 'mp3'. Correct it"),
        ("", [b"odd"], "whole samples of 4 bytes"),
        ("", [bytes(2 << 20)], "Got 2097152. Send smaller messages of whole samples"),
        ("", [np.full(9, np.nan, np.float32).tobytes()], "must be finite"),
        ("", ["hello?"], "must be end, profile, or a profile in base64. Got 'hello?'"),
        ("", ["aGVsbG8="], "must be a whole profile"),
        ("", [bytes(40), "aGVsbG8="], "must be sent before the first samples"),
    ],
)
def test_bad_messages_end_a_live_session_with_one_error(
    client: TestClient, query: str, messages: list[bytes | str], words: str
) -> None:
    (found,) = talk(client, query, *messages)
    assert words in found["error"]


def test_live_sessions_are_limited(
    predictor: affekt.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MAX_STREAMS", 1)
    app = make_app(predictor, hosts={"localhost"})
    with (
        TestClient(app, base_url="http://localhost") as client,
        client.websocket_connect(STREAM) as first,
    ):
        (found,) = talk(client, "")
        assert "at most 1 live streams" in found["error"]
        first.send_text("end")
        with pytest.raises(WebSocketDisconnect):
            first.receive_json()
        assert talk(client, "", "end") == []


def test_a_client_that_leaves_during_an_error_causes_no_traceback(
    predictor: affekt.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MAX_STREAMS", 1)
    app = make_app(predictor, hosts={"localhost"})
    unclear = {**scope("websocket", "/stream"), "query_string": b"rate=3"}
    lost = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            lost.append(message["text"])
            raise OSError("gone")  # as servers do

    with TestClient(app, base_url="http://localhost") as client:
        assert client.portal is not None
        client.portal.call(app, dict(unclear), receive, send)
        with client.websocket_connect(STREAM):
            client.portal.call(app, dict(unclear), receive, send)
    assert "sample rate" in lost[0]
    assert "at most 1 live streams" in lost[1]


def test_foreign_hosts_and_origins_are_rejected(client: TestClient) -> None:
    for headers in (
        {"host": "evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:9999"},
        {"origin": "null"},
        {"origin": "http://["},
        {"host": "["},
    ):
        refused = client.get("/model", headers=headers)
        assert refused.status_code == 403
        assert next(iter(headers.values())) in refused.json()["error"]
        with (
            pytest.raises(WebSocketDisconnect),
            client.websocket_connect(STREAM, headers=headers),
        ):
            pass
    same = {"origin": "http://localhost:8000"}
    assert client.get("/model", headers=same).status_code == 200
    with client.websocket_connect(STREAM, headers=same) as socket:
        socket.send_text("end")


def test_the_page_loads_nothing_from_other_sites(client: TestClient) -> None:
    for path in ("/", "/docs"):
        page = client.get(path)
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; connect-src 'self' ws://localhost:8000")
        assert "unsafe" not in policy
        names = re.findall(r'(?:href|src)="([^"]+)"', page.text)
        assert len(names) > 2
        for name in names:
            assert "//" not in name
            assert client.get(f"/{name}").status_code == 200
    assert (
        client.get("/affekt/microphone-worklet.js")
        .headers["content-type"]
        .startswith("text/javascript")
    )
    assert client.get("/../app.py").status_code == 404
    scripts = [path.read_text() for path in serving.PAGE.iterdir()]
    assert not any("http://" in text.replace("http://www.w3.org", "") for text in scripts)
    assert client.get("/model").json()["labels"] == ["angry", "happy", "sad", "neutral"]


def test_the_page_can_have_what_the_model_needs_in_the_browser(
    predictor: affekt.Predictor, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"must hold ort.wasm.bundle.min.mjs and .* Got no ort"):
        runtime_folder(tmp_path)
    for name in RUNTIME:
        (tmp_path / name).write_text(name)
    app = make_app(predictor, hosts={"localhost"}, runtime=runtime_folder(tmp_path))
    with TestClient(app, base_url="http://localhost") as client:
        found = client.get("/model").json()["browser_model"]
        model = client.get(found["address"])
        assert hashlib.sha256(model.content).hexdigest() == found["sha256"]
        assert "max-age" in model.headers["cache-control"]
        assert "script-src 'self' 'wasm-unsafe-eval'; " in model.headers["content-security-policy"]
        assert '"../runtime/ort.wasm.bundle.min.mjs"' in client.get("/affekt/session.js").text
        runtime = client.get(f"/runtime/{RUNTIME[1]}")
        assert runtime.headers["content-type"] == "application/wasm"
        again = client.get(
            f"/runtime/{RUNTIME[1]}", headers={"If-None-Match": runtime.headers["etag"]}
        )
        assert (runtime.text, again.status_code) == (RUNTIME[1], 304)


def test_serve_command(predictor: affekt.Predictor, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a real server: it prints its address, predicts a stream, and ends on Ctrl-C."""
    words = [sys.executable, "-m", "affekt", "serve", "--port", "0"]
    words += ["--model", str(predictor.graph.file)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=hears_ctrl_c
    ) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        address = server.stdout.readline().decode().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
        port = address.rpartition(":")[2]
        assert main(["serve", "--port", port]) == 2
        assert "must be free to listen on" in capsys.readouterr().err
        assert main(["serve", "--browser-runtime", ".", "--min-confidence", "0.5"]) == 2
        assert "cannot be combined with --profile or --min-conf" in capsys.readouterr().err
        with urlopen(address) as page:
            assert b"<title>affekt</title>" in page.read()
        with connect(f"{address.replace('http', 'ws')}/stream?adapt=1") as socket:
            for piece in pieces(SOUND):
                socket.send(piece)
            socket.send("end")
            found = [json.loads(message) for message in socket]
        expected = affekt.load(predictor.graph.file, adapt=True).predict(SOUND, sample_rate=RATE)
        assert close(found, expected.segments)
        with closing(create_connection(("127.0.0.1", int(port)))) as stalled:
            head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
            stalled.sendall(head + b"half")
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 130
        said = server.stderr.read().decode()  # perhaps that it did not wait for the other half
        assert "Traceback" not in said
        assert len(said.splitlines()) <= 1


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from affekt.cli import main; "
    code += "sys.exit(main(['serve']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "pip install 'affekt[serve]'" in done.stderr
