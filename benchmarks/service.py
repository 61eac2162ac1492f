"""Load `affekt serve` with uploads and live streams; measure rates, times and memory.

    python benchmarks/service.py
    python benchmarks/service.py --seconds 5 --requests 500 --workers 1 -o quick.json

Each client has a loopback address of its own and one connection, and uploads a sample of four
seconds again as soon as it has the answer. Live streams send 0.1 s of sound every 0.1 s; their
latency is the time from the last samples of a segment to the segment. Memory is the proportional
set size of all processes of the service, with its decoders, before and after many uploads. The
load runs beside the service on the same cores: on a machine that has other work, only ratios
within one run count.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from rich.console import Console
from rich.table import Table

import affekt
from affekt.audio.windows import SAMPLE_RATE
from affekt.runs.writing import hardware
from arguments import parser_of

SAMPLE = Path(__file__).parents[1] / "samples" / "calm.flac"
CLIENTS = (1, 8, 64)
STREAMS, UPLOADERS = 8, 8  # live streams, and clients that upload beside them
PIECE = SAMPLE_RATE // 10  # samples of a message
WARM = 20  # uploads before a measurement
LIBRARIES = ("affekt", "aiohttp", "onnxruntime", "starlette", "uvicorn")
Numbers = dict[str, Any]


@contextmanager
def served(workers: int, model: str) -> Iterator[tuple[str, int]]:
    """Run the service; yield its address and process."""
    words = [sys.executable, "-m", "affekt", "serve", "--port", "0", "--model", model]
    words += ["--workers", str(workers)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip(), server.pid
        finally:
            server.terminate()


def connector(number: int) -> aiohttp.TCPConnector:
    """Connect from an address of its own: the service limits what one address may do at a time."""
    return aiohttp.TCPConnector(
        limit=1, local_addr=(f"127.1.{number // 250}.{number % 250 + 1}", 0)
    )


async def uploads(address: str, clients: int, *, until: float, most: float = np.inf) -> Numbers:
    """Upload from several clients, each again and again.

    Args:
        address: of the service.
        clients: at a time.
        until: this reading of ``time.monotonic``.
        most: uploads.

    Returns:
        Answered uploads a second, seconds of the clock until the answer, and how many were refused:
        answers other than 200, which neither rate nor seconds count.
    """
    content = SAMPLE.read_bytes()
    seconds: list[float] = []
    refused: list[float] = []
    begun = count()

    async def client(number: int) -> None:
        async with aiohttp.ClientSession(connector=connector(number)) as session:
            while time.monotonic() < until and next(begun) < most:
                start = time.monotonic()
                async with session.post(f"{address}/predict", data=content) as found:
                    await found.read()
                lasted = time.monotonic() - start
                (seconds if found.status == 200 else refused).append(lasted)

    start = time.monotonic()
    await asyncio.gather(*map(client, range(clients)))
    lasted = time.monotonic() - start
    return {
        "clients": clients,
        "uploads": len(seconds),
        "per_second": len(seconds) / lasted,
        **percentiles(seconds),
        "refused": len(refused),
    }


def percentiles(seconds: list[float]) -> Numbers:
    """Median and 99th percentile; None without values."""
    found = np.percentile(seconds, (50, 99)) if seconds else (None, None)
    return {name: value and float(value) for name, value in zip(("p50", "p99"), found, strict=True)}


async def streams(address: str, *, until: float) -> Numbers:
    """Send live sound at the speed of speech; return the latency of its segments in seconds."""
    sound = (affekt.read(SAMPLE) * 32_767).astype("<i2")
    latencies: list[float] = []

    async def stream(number: int) -> None:
        sent: list[float] = []
        async with (
            aiohttp.ClientSession(connector=connector(1_000 + number)) as session,
            session.ws_connect(f"{address}/stream?encoding=s16le") as socket,
        ):

            async def speak() -> None:
                await asyncio.sleep(0.1 * number / STREAMS)  # not all at the same moment
                start = time.monotonic()
                while time.monotonic() < until:
                    places = np.arange(len(sent) * PIECE, (len(sent) + 1) * PIECE)
                    sent.append(time.monotonic())
                    await socket.send_bytes(sound.take(places, mode="wrap").tobytes())
                    await asyncio.sleep(max(0.0, start + 0.1 * len(sent) - time.monotonic()))
                await socket.close()

            speaker = asyncio.create_task(speak())
            async for message in socket:
                found = time.monotonic()
                last = round(json.loads(message.data)["end"] * SAMPLE_RATE) - 1
                latencies.append(found - sent[last // PIECE])
            await speaker

    await asyncio.gather(*map(stream, range(STREAMS)))
    return {"streams": STREAMS, "segments": len(latencies), **percentiles(latencies)}


async def both(address: str, until: float) -> Numbers:
    """Measure streams while clients upload."""
    live, loaded = await asyncio.gather(
        streams(address, until=until), uploads(address, UPLOADERS, until=until)
    )
    return {**live, "beside_uploads_per_second": loaded["per_second"]}


def memory(process: int) -> float:
    """Proportional set size of a process and its descendants, in MB."""
    folder = Path(f"/proc/{process}")
    lines = (folder / "smaps_rollup").read_text().splitlines()
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    children = (folder / "task" / str(process) / "children").read_text().split()
    return own + sum(memory(int(child)) for child in children)


def measured(workers: int, model: str, seconds: float, requests: int) -> Numbers:
    """Measure a service of so many workers."""
    found: Numbers = {"workers": workers}
    with served(workers, model) as (address, process):

        def ends() -> float:
            return time.monotonic() + seconds

        asyncio.run(uploads(address, 8, until=np.inf, most=WARM * workers))
        found["uploads"] = [
            asyncio.run(uploads(address, clients, until=ends())) for clients in CLIENTS
        ]
        found["streams_alone"] = asyncio.run(streams(address, until=ends()))
        found["streams_beside_uploads"] = asyncio.run(both(address, ends()))
        before = memory(process)
        done = asyncio.run(uploads(address, 8, until=np.inf, most=requests))
        after = memory(process)
        found["memory"] = {"uploads": done["uploads"], "mb_before": before, "mb_after": after}
    return found


def table(rows: list[Numbers]) -> Table:
    """Show what was measured."""
    shown = Table("workers", "load", "requests/s", "p50 s", "p99 s", "refused")

    def line(workers: int, load: str, rate: float | None, times: Numbers, refused: str) -> None:
        cells = (f"{times[name]:.3f}" if times[name] else "" for name in ("p50", "p99"))
        shown.add_row(str(workers), load, f"{rate:.1f}" if rate else "", *cells, refused)

    for row in rows:
        for each in row["uploads"]:
            name = f"{each['clients']} clients upload"
            line(row["workers"], name, each["per_second"], each, str(each["refused"]))
        for key in ("streams_alone", "streams_beside_uploads"):
            each = row[key]
            name = f"{each['streams']} {key.replace('_', ' ')}"
            line(row["workers"], name, each.get("beside_uploads_per_second"), each, "")
        kept = row["memory"]
        text = f"{kept['mb_before']:.0f} MB, {kept['mb_after']:.0f} after {kept['uploads']} uploads"
        shown.add_row(str(row["workers"]), text)
    return shown


def main() -> None:
    parser = parser_of(__doc__, output="results/service.json")
    parser.add_argument("--model", default="affekt", help="model file or name")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=30.0, help="of each measurement")
    parser.add_argument("--requests", type=int, default=10_000, help="between the two memories")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    rows = [measured(each, given.model, given.seconds, given.requests) for each in given.workers]
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": hardware(),
        "load_before": load,
        "libraries": {each: version(each) for each in LIBRARIES},
        "model": given.model,
        "sample_seconds": len(affekt.read(SAMPLE)) / SAMPLE_RATE,
    }
    given.output.write_text(json.dumps({**about, "services": rows}, indent=1) + "\n")
    Console().print(table(rows))


if __name__ == "__main__":
    main()
