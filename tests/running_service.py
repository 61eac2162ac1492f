"""Run ``affekt serve`` as a process of its own, for the tests that need a real server."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

import affekt
from conftest import hears_ctrl_c

PATIENCE = 60.0  # s: a busy machine is slow
needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux' /proc")


@dataclass
class Served:
    """A running service."""

    process: subprocess.Popen[bytes]
    port: int
    said: bytes = b""  # standard error, once it has ended

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def children(self) -> list[int]:
        """Processes that it started."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [*map(int, found.split())]

    def asked(self, head: str, body: bytes = b"") -> bytes:
        """Send bytes as they are, and return all that is answered."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as opened:
            opened.sendall(head.encode() + body)
            while chunk := opened.recv(1 << 16):
                answer += chunk
        return answer

    def counted(self, name: str, path: str) -> float:
        """Read a number of a path from the metrics."""
        with urlopen(f"{self.address}/metrics", timeout=PATIENCE) as found:
            families = [*text_string_to_metric_families(found.read().decode())]
        samples = [each for family in families for each in family.samples]
        assert samples
        return sum(
            each.value for each in samples if (each.name, each.labels.get("path")) == (name, path)
        )

    def uploads(self) -> float:
        """Count the uploads that have begun to arrive, answered or not."""
        answered = self.counted("affekt_requests_total", "/predict")
        return answered + self.counted("affekt_active", "/predict")


@contextmanager
def served(predictor: affekt.Predictor, *options: str) -> Iterator[Served]:
    """Start a service, end it by Ctrl-C, and check that it logged no traceback."""
    words = [sys.executable, "-m", "affekt", "serve", "--port", "0"]
    words += ["--model", str(predictor.graph.file), *options]
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=hears_ctrl_c,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            server = Served(process, int(process.stdout.readline().decode().rpartition(":")[2]))
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE)
    server.said = said
    assert b"Traceback" not in said
