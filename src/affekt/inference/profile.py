"""Read, write and apply the profile of a person.

A profile holds mean and deviation of each feature of the trunk over a person's speech, and the
amount of speech. It holds no sound and no words. It is a few kilobytes of safetensors.
"""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affekt.atomic_write import atomic_write
from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import ModelError, writing
from affekt.inference.graph import Graph, State, read_bounded

FORMAT = 1
PROFILE_BYTES = 1 << 20  # more than any valid profile has
TENSORS = ("mean", "deviation")
MAX_WEIGHT = 1e12  # steps: more speech than anyone has; its squares stay within float32
VOICE = "voice"  # the tensor that only some profiles have
VOICE_FEATURES = 256


@dataclass(frozen=True, eq=False)
class Profile:
    """Voice statistics of one person, for one kind of model.

    Attributes:
        measure: identifier of the model's features; see :class:`~affekt.inference.graph.Graph`.
        weight: amount of speech, in steps of the model; above 0.
        mean: ``(features,)``.
        deviation: ``(features,)``.
        seconds: approximate duration of the speech.
        voice: ``(256,)`` mean speaker embedding; None unless requested.
    """

    measure: str
    weight: float
    mean: NDArray[np.float32] = field(repr=False)
    deviation: NDArray[np.float32] = field(repr=False)
    seconds: float
    voice: NDArray[np.float32] | None = field(default=None, repr=False)

    def content(self) -> bytes:
        """Return the bytes that :meth:`save` writes."""
        from safetensors.numpy import save

        about = {
            "format": str(FORMAT),
            "measure": self.measure,
            "weight": repr(self.weight),
            "seconds": repr(self.seconds),
        }
        tensors = {name: getattr(self, name).astype(np.float16) for name in TENSORS}
        if self.voice is not None:
            tensors[VOICE] = self.voice.astype(np.float16)
        return save(tensors, metadata={"affekt": json.dumps(about)})

    def save(self, path: str | Path) -> None:
        """Write the profile's file.

        Raises:
            ModelError: it cannot be written; no partial file is left.
        """
        with writing(path, ModelError), atomic_write(Path(path)) as part:
            part.write_bytes(self.content())


def read_profile(path: Profile | str | Path) -> Profile:
    """Read a profile's file, without running code from it; return a profile as it is.

    Raises:
        ModelError: no such file, too large a one, or not a profile.
    """
    if not isinstance(path, str | Path):
        return path
    content = read_bounded(Path(path), PROFILE_BYTES, "a profile made by affekt enroll")
    return profile_of(content, name=f"{path}")


def profile_of(content: bytes, *, name: str = "a profile") -> Profile:
    """Parse the content of a profile's file, which errors call ``name``; runs no code from it.

    Raises:
        ModelError: not a profile.
    """
    from safetensors.numpy import load

    try:
        tensors = load(content)
        length = int.from_bytes(content[:8], "little")
        about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["affekt"])
        mean, deviation = (tensors[key].astype(np.float32) for key in TENSORS)
        voice = tensors[VOICE].astype(np.float32) if VOICE in tensors else None
        weight, seconds = float(about["weight"]), float(about["seconds"])
        valid = (
            about["format"] == str(FORMAT)
            and mean.ndim == 1
            and mean.shape == deviation.shape
            and np.isfinite(mean).all()
            and np.isfinite(deviation).all()
            and (deviation >= 0).all()
            and 0 < weight < math.inf
            and 0 <= seconds < math.inf
            and (voice is None or (voice.shape == (VOICE_FEATURES,) and np.isfinite(voice).all()))
        )
        if not valid:
            raise ValueError("numbers out of range")
        return Profile(str(about["measure"]), weight, mean, deviation, seconds, voice)
    except Exception as error:  # the parser may raise any error on damaged bytes
        raise ModelError(
            f"{name} must be a whole profile. Got another file, or a damaged one. "
            f"Make it with affekt enroll."
        ) from error


def voice_in(profile: Profile, name: str) -> NDArray[np.float32]:
    """Return the speaker embedding ``(256,)`` of a profile; raise a ModelError without one."""
    if profile.voice is None:
        raise ModelError(
            f"the profile of {name} must hold a speaker embedding. Got none. Enroll "
            f"again with --voice (in Python: voice=True)."
        )
    return profile.voice


def profile_state(profile: Profile | None, graph: Graph) -> dict[str, NDArray[np.float32]]:
    """Convert a profile, or None for no enrolment, into the tensors of a graph's state.

    Raises:
        ModelError: a model without speaker normalization, or of another kind; a weight that is
            out of range.
    """
    if profile is None:
        return {name: np.asarray(graph.start[name]) for name in graph.profile}
    require_speaker_normalization(graph, "leave out the profile, or ")
    if profile.measure != graph.measure:
        raise ModelError(
            f"the profile must be made with the features of model {graph.file.stem} "
            f"({graph.measure}). Got {profile.measure}. Enroll again with this model, or choose "
            f"the other one with --model."
        )
    weight, total, square = graph.profile
    mean = profile.mean
    if mean.shape != graph.start[total].shape:
        raise ModelError(
            f"the profile must hold {graph.start[total].size} numbers for {graph.file.stem}. "
            f"Got {mean.size}. Enroll again with this model."
        )
    if not 0 < profile.weight <= MAX_WEIGHT:
        raise ModelError(
            f"the profile's weight must be above 0 and at most {MAX_WEIGHT:g}. "
            f"Got {profile.weight:g}. Enroll again."
        )
    return {
        weight: np.full(graph.start[weight].shape, profile.weight, np.float32),
        total: profile.weight * mean,
        square: profile.weight * (profile.deviation**2 + mean**2),
    }


def require_speaker_normalization(graph: Graph, remedy: str = "") -> None:
    """Raise a ModelError for a model that uses no profiles; ``remedy`` begins its remedy."""
    if not graph.profile:
        raise ModelError(
            f"model {graph.file.stem} has no speaker normalization; {remedy}choose another --model."
        )


def profile_from(state: State, graph: Graph, *, adapt: bool) -> Profile:
    """Compute the profile from a graph's state.

    Raises:
        ModelError: a model without speaker normalization, no adaptation, or no speech.
    """
    require_speaker_normalization(graph)
    weight, total, square = (np.asarray(state[name], np.float64) for name in graph.profile)
    amount = float(weight.sum())
    if amount < 1.0:
        speechless = "no speech detected; name recordings with speech."
        idle = "a stream without adapt makes no profile. Switch adapt on."
        raise ModelError(speechless if adapt else idle)
    mean = total / amount
    deviation = np.sqrt(np.maximum(square / amount - mean**2, 0.0))
    seconds = amount / graph.metadata["profile"]["steps"] * graph.hop / SAMPLE_RATE
    return Profile(
        graph.measure, amount, mean.astype(np.float32), deviation.astype(np.float32), seconds
    )
