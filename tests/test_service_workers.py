"""Test processes of the service: several at one port, late answers to pings, own programs."""

import asyncio
import importlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent import futures
from contextlib import ExitStack, suppress
from http.server import ThreadingHTTPServer
from pathlib import Path
from socket import create_connection, create_server
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from websockets.sync.client import connect

import affekt
from conftest import QuietHandler, wait_until
from running_service import PATIENCE, Served, needs_proc, served
from synthetic_network import made_sound, own_model
from test_service import wav

SOUND = wav(made_sound(3.0))
PING, CLOSED = b"\x89\x04", b"\x88\x02\x03\xe8"  # frames: with four bytes, and with status 1000
#: Run `affekt serve` with pings a hundred times as often, and a thirtieth of the time for answers.
HASTY = """
import sys
import uvicorn
class Hasty(uvicorn.Config):
    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.ws_ping_interval /= 100
        self.ws_ping_timeout /= 30
uvicorn.Config = Hasty
from affekt.cli import main
sys.exit(main(sys.argv[1:]))
"""
OWN = """
import sys
import affekt
import uvicorn
from affekt.service.app import make_app
app = make_app(affekt.load(sys.argv[1]), hosts={"localhost"})
uvicorn.run(app, fd=int(sys.argv[2]), log_level="warning")
"""

pytestmark = needs_proc


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> affekt.Predictor:
    return affekt.load(own_model(tmp_path_factory.mktemp("model")))


def workers(server: Served) -> list[int]:
    """The processes that listen at the service's port, besides the one that started them."""
    lines = {}
    for each in server.children:
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            lines[each] = Path(f"/proc/{each}/cmdline").read_bytes()
    return [number for number, line in lines.items() if b"spawn_main" in line]


def sockets(process: int) -> int:
    found = 0
    for link in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has just been closed
            found += str(link.readlink()).startswith("socket:")
    return found


def predicted(server: Served, *_: object) -> int:
    with urlopen(Request(f"{server.address}/predict", data=SOUND), timeout=PATIENCE) as found:
        return int(found.status)


def test_every_process_answers_and_one_that_ends_is_replaced(predictor: affekt.Predictor) -> None:
    with served(predictor, "--workers", "2") as server:
        wait_until(lambda: len(workers(server)) == 2)
        first = workers(server)
        assert [predicted(server) for _ in range(8)] == [200] * 8
        # A process counts a request after its answer is sent, and another may answer /metrics.
        wait_until(lambda: server.counted("affekt_requests_total", "/predict") == 8)
        before = [*map(sockets, first)]
        with ExitStack() as opened:
            for _ in range(32):
                opened.enter_context(create_connection(("127.0.0.1", server.port)))
            wait_until(
                lambda: all(sockets(n) > had + 2 for n, had in zip(first, before, strict=True))
            )
        with connect(f"ws://localhost:{server.port}/stream"):
            wait_until(lambda: server.counted("affekt_active", "/stream") == 1)
            for each in first:
                os.kill(each, signal.SIGKILL)
            wait_until(lambda: len({*workers(server)} - {*first}) == 2)
            assert predicted(server) == 200
        assert server.counted("affekt_active", "/stream") == 0
        wait_until(lambda: server.counted("affekt_requests_total", "/predict") == 9)


def test_a_stop_under_load_answers_every_upload(predictor: affekt.Predictor) -> None:
    long = wav(made_sound(20.0))
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(long)}\r\n"
    with served(predictor, "--workers", "2", "--access-log") as server:
        wait_until(lambda: len(workers(server)) == 2)
        told = Path(f"/proc/{workers(server)[0]}/environ").read_bytes()
        folder = Path(re.findall(rb"PROMETHEUS_MULTIPROC_DIR=([^\0]+)", told)[0].decode())
        assert predicted(server) == 200
        assert folder.is_dir()
        with futures.ThreadPoolExecutor(8) as clients:
            uploads = [
                clients.submit(server.asked, f"{head}Connection: close\r\n\r\n", long)
                for _ in range(8)
            ]
            wait_until(lambda: server.uploads() == 9)
            futures.wait(uploads, return_when=futures.FIRST_COMPLETED)
            server.process.send_signal(signal.SIGTERM)
            statuses = [each.result().split()[1] for each in uploads]
        assert {*statuses} <= {b"200", b"503"}
        assert b"200" in statuses
        assert server.process.wait(PATIENCE) == 0
    assert not folder.exists()
    logged = [json.loads(line) for line in server.said.splitlines()]
    found = [str(each["status"]).encode() for each in logged if each["path"] == "/predict"]
    assert sorted(found) == sorted([b"200", *statuses])


def test_a_stream_may_answer_pings_late(predictor: affekt.Predictor) -> None:
    """Its answers wait behind sound that is not processed yet: here 30 s, in uvicorn 20 s."""
    words = ["serve", "--port", "0", "--model", str(predictor.graph.file)]
    head = (
        "GET /stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    )
    head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    with subprocess.Popen([sys.executable, "-c", HASTY, *words], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        server = Served(process, int(process.stdout.readline().decode().rpartition(":")[2]))
        with create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
            client.sendall(head.encode())
            answer = b""
            while PING not in answer and (more := client.recv(1 << 16)):
                answer += more
            time.sleep(1.0)
            client.sendall(b"\x81\x83\0\0\0\0end")  # a masked text frame
            while not answer.endswith(CLOSED) and (more := client.recv(1 << 16)):
                answer += more
        process.terminate()
    _, _, frames = answer.partition(b"\r\n\r\n")
    assert frames.count(PING) == 1  # it was asked
    assert frames.endswith(CLOSED)


def test_a_program_without_the_main_guard_is_told_so(
    predictor: affekt.Predictor, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    words = [sys.executable, str(tmp_path / "own.py"), str(predictor.graph.file)]
    with create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        words.append(str(number))
        with subprocess.Popen(
            words, stderr=subprocess.PIPE, text=True, pass_fds=[number]
        ) as process:
            with pytest.raises(HTTPError, match="500"):
                predicted(Served(process, listener.getsockname()[1]))  # type: ignore[arg-type]
            process.terminate()
            _, said = process.communicate(timeout=PATIENCE)
    assert said.splitlines()[-1].endswith('start the service below `if __name__ == "__main__":`.')


class Refusing(QuietHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(503)


def test_the_benchmark_does_not_time_what_is_refused() -> None:
    service = importlib.import_module("service")
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        address = f"http://127.0.0.1:{server.server_port}"
        found = asyncio.run(service.uploads(address, 1, until=math.inf, most=3))
        server.shutdown()
    assert (found["uploads"], found["per_second"], found["p50"], found["refused"]) == (
        0,
        0,
        None,
        3,
    )


def test_the_benchmark_counts_what_it_sends(
    predictor: affekt.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = importlib.import_module("service")
    monkeypatch.setattr(service, "CLIENTS", (2,))
    found = service.measured(1, str(predictor.graph.file), seconds=3.0, requests=5)
    (loaded,) = found["uploads"]
    assert loaded["uploads"] > loaded["refused"] == 0
    assert 0 < loaded["p50"] <= loaded["p99"]
    assert found["memory"]["uploads"] == 5
    assert found["memory"]["mb_after"] > 20
    for live in (found["streams_alone"], found["streams_beside_uploads"]):
        assert live["segments"] >= service.STREAMS
        assert 0 < live["p50"] <= live["p99"]
    assert service.table([found]).row_count == 4
