"""Test what operators need of the service: health, metrics, logs, tokens, a true description."""

import asyncio
import io
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import jsonschema
import numpy as np
import pytest
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import affekt
from affekt.cli import main
from affekt.errors import ModelError, RunError
from affekt.service import app as serving
from affekt.service import decoding, live_session, processes, readiness
from affekt.service.app import make_app
from affekt.service.tokens import read_tokens
from affekt.service.uploads import FORM
from conftest import SAMPLES, wait_until
from running_service import PATIENCE, needs_proc, served
from synthetic_network import made_sound, own_model
from test_service import RATE, STREAM, scope, wav

SOUND = made_sound(3.0)
TOKEN, OTHER = "correct-horse-battery", "another-good-token-1"


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> affekt.Predictor:
    return affekt.load(own_model(tmp_path_factory.mktemp("model")))


def opened(predictor: affekt.Predictor, **options: Any) -> TestClient:
    return TestClient(
        make_app(predictor, hosts={"localhost"}, **options), base_url="http://localhost:8000"
    )


@pytest.fixture
def client(predictor: affekt.Predictor) -> Iterator[TestClient]:
    with opened(predictor) as client:
        yield client


def test_a_form_is_answered_as_a_raw_body(client: TestClient) -> None:
    expected = client.post("/predict", content=wav(SOUND)).json()
    found = client.post("/predict", files={"file": ("a.wav", wav(SOUND), "audio/wav")})
    assert found.status_code == 200
    assert found.json() == expected
    two = {"file": ("a.wav", wav(SOUND)), "more": ("b.wav", wav(SOUND))}
    for fault, words in (
        ({"files": two}, "a form must hold one file and nothing else. Got: Too many files"),
        ({"files": {"file": ("a.wav", b"")}}, "the recording"),
        (
            {"data": {"a": "b"}, "files": {"file": ("a.wav", wav(SOUND))}},
            "a form must hold one file and nothing else",
        ),
        (
            {"content": b"x", "headers": {"content-type": FORM}},
            "Missing boundary",
        ),
        (
            {
                "content": b"--x--\r\n",
                "headers": {"content-type": f"{FORM}; boundary=x"},
            },
            "a form must hold one file. Got none",
        ),
    ):
        refused = client.post("/predict", **fault)
        assert refused.status_code == 422
        assert words in refused.json()["error"]


def test_a_large_form_is_refused_and_nothing_goes_to_the_disk(
    predictor: affekt.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MAX_UPLOAD", 3_000_000)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with opened(predictor) as client:
        long = wav(made_sound(40.0))
        assert 2_000_000 < len(long) < 3_000_000
        assert client.post("/predict", files={"file": ("a.wav", long)}).status_code == 200
        found = client.post("/predict", files={"file": ("a.wav", bytes(3_000_000))})
        assert found.status_code == 413
        assert "at most 3000000 bytes" in found.json()["error"]


def test_timelines_and_embeddings(client: TestClient, predictor: affekt.Predictor) -> None:
    file = SAMPLES / "slow.flac"
    for query, options in (("", {}), ("?time_constant=0", {"time_constant": 0.0})):
        found = client.post(f"/timeline{query}", content=file.read_bytes()).json()
        expected = [each.as_dict() for each in predictor.timeline(file.read_bytes(), **options)]
        assert found["utterances"] == expected
        assert found["duration"] == pytest.approx(len(affekt.read(file)) / RATE)
    for text, speakers in (("2", {"speakers": 2}), ("each", {"channel": "each"})):
        found = client.post(f"/timeline?speakers={text}", content=file.read_bytes()).json()
        expected = [each.as_dict() for each in predictor.timeline(file.read_bytes(), **speakers)]
        assert found["utterances"] == expected
        assert expected[0]["speaker"] == "speaker 1"
    refused = client.post("/timeline?speakers=a.rttm", content=file.read_bytes())
    assert refused.status_code == 422
    assert "each, auto, 1" in refused.json()["error"]
    refused = client.post("/timeline?speakers=each&channel=1", content=file.read_bytes())
    assert refused.status_code == 422
    assert "channel must be left out with speakers=each. Got '1'" in refused.json()["error"]
    found = client.post("/embed", files={"file": file.read_bytes()}).json()
    np.testing.assert_allclose(found["embedding"], predictor.embed(file), rtol=1e-6)
    for wrong in ("/predict?time_constant=2", "/embed?min_confidence=1", "/embed?quality=0"):
        refused = client.post(wrong, content=file.read_bytes())
        assert refused.status_code == 422
        assert "query parameters must be among" in refused.json()["error"]


def test_pages_of_allowed_sites_may_use_it(predictor: affekt.Predictor, tokens: Path) -> None:
    site = "https://example.org"
    good = {"Origin": site, "Authorization": f"Bearer {TOKEN}"}
    with opened(predictor, origins=["https://Example.org"], tokens=tokens) as client:
        asked = {**good, "Access-Control-Request-Method": "POST"}
        asked["Access-Control-Request-Headers"] = "authorization, profile"
        del asked["Authorization"]
        preflight = client.options("/predict", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == site
        found = client.post("/predict", content=wav(SOUND), headers=good)
        assert found.status_code == 200
        assert found.headers["access-control-allow-origin"] == site
        with client.websocket_connect(STREAM, headers=good) as socket:
            socket.send_text("end")
        for foreign in ("https://evil.example", "http://example.org", "null"):
            found = client.get("/model", headers={**good, "Origin": foreign})
            assert found.status_code == 403
            assert "access-control-allow-origin" not in found.headers
        assert client.get("/model", headers={**good, "Host": "evil.example"}).status_code == 403
    for wrong in ("example.org/page", "https://*.example.org", "https://me@example.org"):
        assert main(["serve", "--allow-origin", wrong]) == 2
    for name in ("", "example.org:443", "[::1]", "https://example.org", "\u00e4..b"):
        assert main(["serve", "--name", name]) == 2
        assert main(["serve", "--host", name]) == 2


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/predict", "POST"),
        ("PUT", "/predict", "POST"),
        ("OPTIONS", "/predict", "POST"),
        ("POST", "/model", "GET, HEAD"),
        ("DELETE", "/health", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
        ("POST", "/docs", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
    ],
)
def test_a_wrong_method_names_the_right_one(
    client: TestClient, method: str, path: str, allowed: str
) -> None:
    found = client.request(method, path)
    assert found.status_code == 405
    assert found.headers["allow"] == allowed
    assert found.json()["error"]


def test_it_may_be_a_part_of_a_larger_application(predictor: affekt.Predictor) -> None:
    whole = Starlette(routes=[Mount("/emotion", make_app(predictor, hosts={"localhost"}))])
    with TestClient(whole, base_url="http://localhost") as client:
        assert client.post("/emotion/predict", content=wav(SOUND)).status_code == 200
        assert client.get("/emotion/predict").headers["allow"] == "POST"
        assert client.get("/emotion/openapi.json").json()["servers"] == [{"url": "/emotion"}]
        assert "emotion" in client.get("/emotion/").text
        assert 'path="/predict"' in client.get("/emotion/metrics").text


def test_health_needs_no_token_in_a_larger_application(
    predictor: affekt.Predictor, tokens: Path
) -> None:
    part = make_app(predictor, hosts={"localhost"}, tokens=tokens)
    with TestClient(Starlette(routes=[Mount("/emotion", part)])) as client:
        assert client.get("/emotion/health").status_code == 200
        assert client.get("/emotion/model").status_code == 403


@pytest.mark.parametrize("path", ["/nothing", "/affekt/nothing", "/affekt/predict"])
def test_unknown_paths_are_answered_in_json(client: TestClient, path: str) -> None:
    found = client.get(path)
    assert found.status_code == 404
    assert found.json() == {"error": f"there is no GET {path}. See /openapi.json."}
    assert client.post(f"{path}/").status_code == 404


def test_health_is_that_of_the_model(
    predictor: affekt.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "KEPT", 0.0)
    with opened(predictor) as client:
        found = client.get("/health")
        assert found.status_code == 200
        assert found.json() == {
            "status": "ready",
            "model": "own",
            "sha256": predictor.graph.digest,
            "version": affekt.__version__,
        }
        assert client.get("/health", headers={"host": "10.0.0.7:8000"}).status_code == 200
        foreign = {"host": "evil.example", "origin": "https://evil.example"}
        assert client.get("/health", headers=foreign).status_code == 403

        def broken(*_: object, **__: object) -> None:
            raise ModelError("the graph is broken")

        with monkeypatch.context() as patch:
            patch.setattr(affekt.Predictor, "predict", broken)
            found = client.get("/health")
            assert (found.status_code, found.json()["error"]) == (503, "the graph is broken")
        assert client.get("/health").status_code == 200
        client.app.state.stop()  # type: ignore[attr-defined]
        assert client.get("/health").json() == {"status": "stopping"}


def sample(client: TestClient, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(client.get("/metrics").text)
    found = [
        each.value
        for family in families
        for each in family.samples
        if each.name == name and labels.items() <= each.labels.items()
    ]
    return sum(found)


def test_it_uses_only_the_cores_of_its_process(
    predictor: affekt.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    service = make_app(predictor, hosts=()).state.stop.__self__
    assert service._stream_threads.total_tokens == 1


def test_metrics_count_what_was_answered(client: TestClient) -> None:
    for path in ("/predict", "/predict", "/embed"):
        client.post(path, content=wav(SOUND))
    client.post("/predict", content=b"nothing")
    client.get("/never/seen/before")
    with client.websocket_connect(STREAM) as socket:
        assert sample(client, "affekt_active", path="/stream") == 1
        socket.send_text("end")
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()
    assert sample(client, "affekt_requests_total", path="/predict", status="200") == 2
    assert sample(client, "affekt_requests_total", path="/predict", status="422") == 1
    assert sample(client, "affekt_requests_total", path="other", status="404") == 1
    assert sample(client, "affekt_requests_total", path="/stream", status="101") == 1
    assert sample(client, "affekt_request_seconds_count", path="/predict") == 3
    assert sample(client, "affekt_sound_seconds_total") == pytest.approx(9.0)
    assert sample(client, "affekt_active", path="/predict") == 0
    assert "never" not in client.get("/metrics").text


def test_the_log_has_a_line_for_each_request_and_no_content(predictor: affekt.Predictor) -> None:
    log = io.StringIO()
    with opened(predictor, access_log=log) as client:
        given = {"X-Request-ID": "abc-123", "Profile": "c2VjcmV0"}
        found = client.post("/predict?adapt=1", content=wav(SOUND), headers=given)
        assert found.headers["x-request-id"] == "abc-123"
        strange = client.get("/model", headers={"X-Request-ID": "a b\x7f"})
        assert re.fullmatch(r"[0-9a-f]{32}", strange.headers["x-request-id"])
        with client.websocket_connect(STREAM) as socket:
            socket.send_text("end")
    first, second, third = (json.loads(line) for line in log.getvalue().splitlines())
    assert {*first} == {"time", "id", "method", "path", "status", "seconds", "bytes"}
    assert (first["id"], first["method"], first["path"]) == ("abc-123", "POST", "/predict")
    assert (first["status"], first["bytes"]) == (422, len(found.content))
    assert second["id"] == strange.headers["x-request-id"]
    assert (third["method"], third["status"]) == ("WEBSOCKET", 101)
    assert "c2VjcmV0" not in log.getvalue()
    assert "adapt" not in log.getvalue()


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"{TOKEN}\n# for the laboratory\n\n{OTHER}\n", encoding="utf-8-sig")
    return path


def test_tokens_are_demanded_and_can_be_revoked(predictor: affekt.Predictor, tokens: Path) -> None:
    with opened(predictor, tokens=tokens) as client:
        for header in (None, "", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer #"):
            headers = {} if header is None else {"Authorization": header}
            found = client.get("/model", headers=headers)
            assert found.status_code == 401
            assert found.headers["www-authenticate"].startswith("Bearer")
            with (
                pytest.raises(WebSocketDisconnect),
                client.websocket_connect(STREAM, headers=headers),
            ):
                pass
        assert client.get("/").status_code == 401
        assert client.get("/health").status_code == 200
        good = {"Authorization": f"Bearer {TOKEN}"}
        assert client.get("/model", headers=good).status_code == 200
        with client.websocket_connect(STREAM, headers=good) as socket:
            socket.send_text("end")
        before = tokens.stat()
        content = tokens.read_bytes().replace(TOKEN.encode(), bytes(reversed(TOKEN.encode())))
        tokens.write_bytes(content)  # a file of the same size and time
        os.utime(tokens, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert client.get("/model", headers=good).status_code == 401
        other = {"Authorization": f"bearer {OTHER}"}
        assert client.get("/model", headers=other).status_code == 200
        tokens.unlink()
        assert client.get("/model", headers=other).status_code == 401


def test_files_without_tokens_are_refused(
    tmp_path: Path, predictor: affekt.Predictor, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tokens"
    for content, words in (
        (None, "must be a file of tokens. Got: No such file"),
        (b"\xff\xfe", "Got: not text"),
        (b"# nothing\n", "of at least 16 characters, one a line. Got none"),
        (b"short\n", "Got a shorter one"),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(RunError, match=words):
            read_tokens(path)
    assert main(["serve", "--port", "0", "--tokens", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_description_is_valid_and_true(client: TestClient, predictor: affekt.Predictor) -> None:
    described = client.get("/openapi.json").json()
    validate(described)
    assert described["openapi"].startswith("3.1")
    components = described["components"]
    for schema in components["schemas"].values():  # every field is described
        schema["additionalProperties"] = "properties" not in schema

    def resolved(part: dict[str, Any]) -> Any:
        *_, kind, name = part.get("$ref", "/").split("/")
        return components[kind][name] if kind else part

    def check(path: str, found: Any) -> None:
        (operation,) = described["paths"][path].values()
        answer = resolved(operation["responses"][str(found.status_code)])
        ((kind, content),) = answer["content"].items()
        assert found.headers["content-type"].partition(";")[0] == kind
        schema = {**content["schema"], "components": components}
        jsonschema.validate(found.text if kind == "text/plain" else found.json(), schema)

    for path in ("/model", "/health", "/metrics", "/openapi.json"):
        check(path, client.get(path))
        check(path, client.post(path))
    check("/predict", client.post("/predict?min_confidence=0.99", content=wav(SOUND)))
    check("/predict", client.post("/predict", content=wav(np.tile(SOUND, 8))))
    check("/predict", client.post("/predict", content=b"nothing"))
    check("/predict", client.post("/predict?adapt=maybe", content=wav(SOUND)))
    spoken = (SAMPLES / "calm.flac").read_bytes()
    check("/timeline", client.post("/timeline?time_constant=2", content=spoken))
    check("/timeline", client.post("/timeline?speakers=each", content=spoken))
    check("/timeline", client.post("/timeline?time_constant=-2", content=spoken))
    check("/embed", client.post("/embed", content=spoken))
    check("/embed", client.post("/embed?time_constant=2", content=spoken))
    check("/model", client.get("/model", headers={"host": "evil.example"}))
    assert "401" not in described["paths"]["/health"]["get"]["responses"]
    parameters = described["paths"]["/predict"]["post"]["parameters"]
    names = [resolved(each)["name"] for each in parameters]
    assert names == ["adapt", "min_confidence", "channel", "quality", "Profile"]


def test_the_pages_have_the_limits_of_the_service() -> None:
    """Tests of limits set smaller ones: these are the real ones."""
    docs = Path(__file__).parents[1] / "docs"
    service, deploy, reliability = (
        " ".join((docs / f"{name}.md").read_text(encoding="utf-8").split())
        for name in ("service", "deploy", "reliability")
    )
    hours, minutes = decoding.MAX_SECONDS / 3_600, serving.MAX_RECEIVE / 60
    words = {1.0: "one", 5.0: "five"}
    assert f"up to {serving.MAX_UPLOAD >> 20} MB and {words[hours]} hour." in service
    assert f"the upload pauses for {serving.MAX_IDLE:g} seconds, or takes longer" in service
    assert f"takes longer than {words[minutes]} minutes" in service
    assert f"the upload waited {serving.MAX_WAIT:g} seconds for other uploads" in service
    assert f"do not arrive within {processes.MAX_HEAD:g} seconds is closed" in service
    assert f"is disconnected after {words[processes.PING_TIMEOUT / 60]} minutes" in service
    assert f"for up to {'a minute' * (processes.SHUTDOWN_SECONDS == 60)}." in service
    assert f"samples, at most {live_session.MAX_MESSAGE >> 20} MB" in service
    assert f"`channels` | `/stream` | 1 (default) to {live_session.CHANNELS[-1]}," in service
    streams = serving.MAX_STREAMS
    assert f"Up to {streams} streams run at a time, {streams // 2} of one client." in service
    assert f"sends nothing for {'a minute' * (live_session.MAX_SILENCE == 60)} is" in service
    assert f"handles {serving.MAX_UPLOADS} uploads and {streams} live streams at a time" in deploy
    assert f"with at most {decoding.MAX_PROCESSOR} s of processor time" in deploy
    assert f"and {decoding.MAX_MEMORY >> 30} GB of memory" in deploy
    assert f"does not react for {processes.HANG_SECONDS} seconds" in deploy
    stalled, silent = serving.MAX_IDLE, live_session.MAX_SILENCE
    words_of_both = f"ends after {stalled:g} s, a silent stream after {silent:g} s"
    assert f"A stalled upload {words_of_both}" in reliability


def test_the_proxy_of_the_docs_passes_on_what_the_page_needs(client: TestClient) -> None:
    deploy = (Path(__file__).parents[1] / "docs" / "deploy.md").read_text(encoding="utf-8")
    (proxy,) = re.findall("```nginx\n(.*?)```", deploy, re.DOTALL)
    assert "proxy_set_header Host $http_host;" in proxy  # $host lacks the port
    origin = {"origin": "https://localhost:8443"}
    for host, status in (("localhost", 403), ("localhost:8443", 200)):
        assert client.get("/model", headers={**origin, "host": host}).status_code == status
    (seconds,) = re.findall(r"proxy_read_timeout (\d+)s;", proxy)
    assert float(seconds) > serving.MAX_WAIT + 2 * decoding.MAX_WALL


def test_uploads_that_do_not_arrive_end(
    predictor: affekt.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In time, or when the service stops; what has arrived is answered."""
    app = make_app(predictor, hosts={"localhost"})
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    with TestClient(app, base_url="http://localhost") as client:
        assert client.portal is not None
        monkeypatch.setattr(serving, "MAX_RECEIVE", 0.05)
        client.portal.call(app, scope("http", "/predict"), receive, send)
        assert sent[0]["status"] == 408
        monkeypatch.setattr(serving, "MAX_RECEIVE", 60.0)
        sent.clear()
        stalled = client.portal.start_task_soon(app, scope("http", "/predict"), receive, send)
        time.sleep(0.05)
        client.portal.call(app.state.stop)
        stalled.result(PATIENCE)
        assert sent[0]["status"] == 503


@needs_proc
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_service_that_is_stopped_answers_what_has_arrived(
    predictor: affekt.Predictor, sign: signal.Signals
) -> None:
    long = wav(made_sound(240.0))
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(long)}\r\n"
    with served(predictor, "--access-log") as server:
        with urlopen(f"{server.address}/health") as found:
            assert json.load(found)["status"] == "ready"
        with ThreadPoolExecutor() as client:
            upload = client.submit(server.asked, f"{head}Connection: close\r\n\r\n", long)
            wait_until(lambda: server.children or upload.done())  # it has arrived: it is decoded
            server.process.send_signal(sign)
            answer = upload.result()
        assert answer.startswith(b"HTTP/1.1 200")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["duration"] == pytest.approx(240.0)
        assert server.process.wait(PATIENCE) in (130, 143, -signal.SIGTERM)
    log = [json.loads(line) for line in server.said.decode().splitlines()]
    assert [(each["path"], each["status"]) for each in log] == [("/health", 200), ("/predict", 200)]
