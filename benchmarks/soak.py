"""Run the service under load for as long as asked, and check that answers and memory stay the same.

    python benchmarks/soak.py --minutes 180 [--model affekt-small]

64 streams at a time send sounds of about 20 s, in chunks of random length, each when the one before
is answered, while two clients upload the same sounds. Every answer is compared with the
prediction of the whole sound. Once a minute a row is added to ``results/soak-MODEL.csv``: what was
answered so far, the largest difference of a probability, and the memory and open files of the
service. Exits with 1 if an answer differs by more than 1e-4, or if the memory grows.
"""

import asyncio
import csv
import http.client
import io
import json
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from websockets.asyncio.client import connect

import affekt
from affekt.audio.reading import read
from affekt.audio.windows import WINDOW
from arguments import parser_of
from service import served

ROOT = Path(__file__).parents[1]
RATE = 16_000
SOUNDS, SECONDS = 12, 20
STREAMS, UPLOADS = 64, 2  # at a time
LONGEST_CHUNK = 2 * RATE  # samples
ALLOWED = 1e-4  # difference of a probability
GROWTH = 1.05  # of the memory, from the second quarter of the time to the last
COLUMNS = ("minute", "streams", "uploads", "windows", "difference", "memory_mb", "files")


@dataclass
class Tally:
    """What was answered so far."""

    ends: float
    hop: int
    streams: int = 0
    uploads: int = 0
    windows: int = 0
    difference: float = 0.0
    rows: list[tuple[float, ...]] = field(default_factory=list)

    def compare(self, found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
        """Take answers about a sound beside those expected of it."""
        if [each["start"] for each in found] != [each["start"] for each in expected]:
            raise SystemExit(f"{len(found)} windows were answered, {len(expected)} expected")
        values = [
            [[*each["probabilities"].values()] for each in part] for part in (found, expected)
        ]
        self.difference = max(self.difference, float(np.abs(np.subtract(*values)).max()))
        self.windows += len(found)


def made_sounds() -> list[NDArray[np.float32]]:
    """The shipped samples in random orders and at random levels, over noise."""
    generator = np.random.default_rng(0)
    said = [read(path) for path in sorted((ROOT / "samples").glob("*.flac"))]
    sounds = []
    for _ in range(SOUNDS):
        parts = [said[number] for number in generator.integers(len(said), size=12)]
        sound = np.concatenate(parts)[: SECONDS * RATE] * generator.uniform(0.3, 1.0)
        sounds.append((sound + generator.normal(scale=0.003, size=sound.size)).astype(np.float32))
    return sounds


async def stream(
    number: int, port: int, sounds: list[Any], truths: list[Any], tally: Tally
) -> None:
    """Send one sound after the other, each over a connection of its own, chunk by chunk."""
    chance, hop = random.Random(number), tally.hop
    address = (f"127.0.0.{2 + number % 4}", 0)  # one client may have only half of the streams
    while time.monotonic() < tally.ends:
        which = chance.randrange(len(sounds))
        async with connect(
            f"ws://127.0.0.1:{port}/stream",
            local_addr=address,
            ping_interval=None,
            open_timeout=300,
        ) as socket:
            at, found = 0, []
            while at < len(sounds[which]):
                size = chance.randint(1, LONGEST_CHUNK)
                await socket.send(sounds[which][at : at + size].tobytes())
                at = min(at + size, len(sounds[which]))
                while len(found) < (at - WINDOW) // hop + 1:
                    found.append(json.loads(await socket.recv()))
            await socket.send("end")
            found += [json.loads(message) async for message in socket]
        tally.compare(found, truths[which].as_dict()["segments"])
        tally.streams += 1


def posted(port: int, content: bytes) -> dict[str, Any]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    client.request("POST", "/predict", content)
    answer = json.loads(client.getresponse().read())
    client.close()
    return answer


async def upload(
    number: int, port: int, sounds: list[Any], truths: list[Any], tally: Tally
) -> None:
    """Upload one sound after the other."""
    chance = random.Random(-1 - number)
    while time.monotonic() < tally.ends:
        which = chance.randrange(len(sounds))
        file = io.BytesIO()
        soundfile.write(file, sounds[which], RATE, format="WAV", subtype="FLOAT")
        answer = await asyncio.to_thread(posted, port, file.getvalue())
        tally.compare(answer["segments"], truths[which].as_dict()["segments"])
        tally.uploads += 1
        await asyncio.sleep(chance.uniform(0, 1))


def usage(process: int) -> tuple[float, int]:
    """Memory in MB and open files of a process."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    memory = int(status.partition("VmRSS:")[2].split()[0]) / 1_000
    return round(memory, 1), len([*Path(f"/proc/{process}/fd").iterdir()])


async def watch(process: int, output: Path, tally: Tally, minutes: float) -> None:
    """Write a row each minute."""
    for minute in range(1, int(minutes) + 1):
        await asyncio.sleep(tally.ends - minutes * 60 + minute * 60 - time.monotonic())
        counts = (minute, tally.streams, tally.uploads, tally.windows)
        tally.rows.append((*counts, float(f"{tally.difference:.1e}"), *usage(process)))
        with output.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([COLUMNS, *tally.rows])


async def soak(
    predictor: affekt.Predictor, port: int, process: int, minutes: float, output: Path
) -> Tally:
    sounds = made_sounds()
    truths = [predictor.predict(sound, sample_rate=RATE) for sound in sounds]
    tally = Tally(time.monotonic() + minutes * 60, predictor.graph.hop)
    work = (port, sounds, truths, tally)
    async with asyncio.TaskGroup() as tasks:
        for number in range(STREAMS):
            tasks.create_task(stream(number, *work))
        for number in range(UPLOADS):
            tasks.create_task(upload(number, *work))
        tasks.create_task(watch(process, output, tally, minutes))
    return tally


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--minutes", type=float, default=180)
    parser.add_argument("--model", default="affekt")
    asked = parser.parse_args()
    predictor = affekt.load(asked.model)
    output = ROOT / f"results/soak-{Path(asked.model).stem}.csv"
    with served(1, asked.model) as (address, process):
        port = int(address.rstrip("/").rpartition(":")[2])
        tally = asyncio.run(soak(predictor, port, process, asked.minutes, output))
    memory = [row[-2] for row in tally.rows]
    quarter = max(1, len(memory) // 4)
    first, last = np.median(memory[quarter : 2 * quarter] or memory), np.median(memory[-quarter:])
    print(
        f"{tally.streams} streams, {tally.uploads} uploads, {tally.windows} windows; largest "
        f"difference {tally.difference:.1e}; memory {first:.0f} MB in the second quarter of the "
        f"time, {last:.0f} MB in the last"
    )
    sys.exit(int(tally.difference > ALLOWED or last > GROWTH * first))


if __name__ == "__main__":
    main()
