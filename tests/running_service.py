"""Run ``affekt serve`` as a process of its own, for the tests that need a real server."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import affekt
from conftest import hears_ctrl_c


@dataclass
class Served:
    """A running service."""

    process: subprocess.Popen[bytes]
    port: int
    said: bytes = b""  # standard error, once it has ended

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"

    def asked(
        self, head: str, body: bytes = b"", *, then: Callable[[], object] = lambda: None
    ) -> bytes:
        """Send bytes as they are, call ``then``, and return all that is answered."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as opened:
            opened.sendall(head.encode() + body)
            then()
            while chunk := opened.recv(1 << 16):
                answer += chunk
        return answer


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
            _, said = process.communicate(timeout=60)
    server.said = said
    assert b"Traceback" not in said
