"""Report whether the service is ready: its model predicts a known sound, and it is not stopping."""

import time
from typing import Any

import numpy as np
from anyio import CapacityLimiter, to_thread

import affekt
from affekt.audio.windows import SAMPLE_RATE, WINDOW
from affekt.errors import AffektError
from affekt.inference.predictor import Predictor

KEPT = 5.0  # s: how long a check is valid


class Readiness:
    """Check a model with one window of noise, which it must be able to predict."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._sound = np.random.default_rng(0).normal(0, 0.1, WINDOW).astype(np.float32)
        self._checked, self._fault = -KEPT, ""
        self._limiter = CapacityLimiter(1)
        self.stopping = False

    async def report(self) -> tuple[int, dict[str, Any]]:
        """Return the HTTP status, 200 or 503, and the response to ``GET /health``."""
        if self.stopping:
            return 503, {"status": "stopping"}
        if time.monotonic() - self._checked >= KEPT:
            await to_thread.run_sync(self._check, limiter=self._limiter)
        if self._fault:
            return 503, {"status": "failing", "error": self._fault}
        graph = self._predictor.graph
        about = {"model": graph.metadata["name"], "sha256": graph.digest}
        return 200, {"status": "ready", **about, "version": affekt.__version__}

    def _check(self) -> None:
        """Predict the sound and note what is wrong, unless that was done during the wait."""
        if time.monotonic() - self._checked < KEPT:
            return
        try:
            self._predictor.predict(self._sound, sample_rate=SAMPLE_RATE, channel=0)
            self._fault = ""
        except AffektError as error:
            self._fault = str(error)
        self._checked = time.monotonic()
