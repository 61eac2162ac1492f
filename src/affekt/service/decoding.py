"""Decode uploads in worker processes, with limits of time and memory.

A recording that crashes its decoder, or takes too much, ends its worker only.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import numpy as np
from anyio import BrokenWorkerProcess, CapacityLimiter, move_on_after, to_process
from numpy.typing import NDArray

from affekt.audio.reading import Channel, channel_blocks, read
from affekt.errors import AudioError
from affekt.service.uploads import Upload

MAX_SECONDS = 3600.0  # of sound
MAX_MEMORY = 2 << 30  # bytes of one worker
MAX_PROCESSOR = 60  # s of processor time for one recording
MAX_WALL = 180.0  # s for one recording, on a busy machine
NICENESS = 5  # live streams come first
MAX_START = 30.0  # s until a worker has started


async def decoded(
    upload: Upload, channel: Channel, limiter: CapacityLimiter
) -> NDArray[np.float32]:
    """Decode a recording in one of the worker processes that the limiter bounds.

    Returns:
        ``(samples,)`` at 16 kHz, of one channel or the mean of all; of the channel ``each``,
        ``(samples, channels)``.

    Raises:
        AudioError: not a recording, a damaged one, or one that needs too much time or memory.
        RuntimeError: no worker can start.
    """
    work = upload.getvalue(), channel, MAX_SECONDS, MAX_MEMORY, MAX_PROCESSOR
    async with limiter:  # MAX_WALL does not count the wait for others
        await _ready_worker()
        with move_on_after(MAX_WALL), suppress(BrokenWorkerProcess):
            return await to_process.run_sync(_decode, *work, cancellable=True)
    raise AudioError(
        f"{upload.name} must be decoded without a crash, within {MAX_PROCESSOR} s and "
        f"{MAX_MEMORY >> 20} MB. Got a recording that is not. Convert it to 16 kHz mono."
    )


async def _ready_worker() -> None:
    """Start a worker first, so that one that cannot start is not blamed on the recording.

    Each holder of the limiter starts a worker, so that none decodes in a worker that has ended.
    """
    for _ in range(2):
        with move_on_after(MAX_START), suppress(BrokenWorkerProcess, ProcessLookupError):
            return await to_process.run_sync(_prepare, cancellable=True)
    raise RuntimeError(  # the first may have ended while it waited; the second is new
        "no process that decodes recordings can start. It imports the main module of the program: "
        'import PyTorch and start the service below `if __name__ == "__main__":`.'
    )


def _decode(
    content: bytes, channel: Channel, max_seconds: float, memory: int, processor: int
) -> NDArray[np.float32]:
    """Decode in this process, which is a worker."""
    upload = Upload(content)
    try:
        with _limited(memory, processor):
            if channel == "each":
                return np.concatenate([*channel_blocks(upload, max_seconds=max_seconds)])
            return read(upload, channel=channel, max_seconds=max_seconds)
    except MemoryError as error:
        raise AudioError(
            f"{upload.name} must be decoded within {memory >> 20} MB. Got one that needs more. "
            f"Convert it to 16 kHz mono."
        ) from error


@contextmanager
def _limited(memory: int, processor: int) -> Iterator[None]:
    """Limit the memory of this process, and the processor time from now on."""
    if sys.platform == "win32":
        yield
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + processor
    limits = {resource.RLIMIT_DATA: memory, resource.RLIMIT_CPU: seconds}
    hard = {kind: resource.getrlimit(kind)[1] for kind in limits}
    try:
        for kind, soft in limits.items():
            bound = soft if hard[kind] < 0 else min(soft, hard[kind])
            resource.setrlimit(kind, (bound, hard[kind]))
        yield
    finally:  # this process can receive its next recording
        for kind in limits:
            resource.setrlimit(kind, (hard[kind], hard[kind]))


@cache
def _prepare() -> None:
    """Leave Ctrl-C to the service, which ends its workers after it has answered."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        os.nice(NICENESS)
