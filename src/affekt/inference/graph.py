"""Load a model file, check its metadata against its graph, and run the graph."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from affekt.audio.windows import LAST_WINDOW, SAMPLE_RATE, WINDOW
from affekt.errors import ModelError, first_line, shortage

FORMAT = 1  # of the metadata
MODEL_BYTES = 1 << 28  # shipped models have up to 10 MB; bounds the memory that a wrong file takes
OUTPUTS = ("probabilities", "recent", "embedding")
State = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Graph:
    """A loaded model file; threads may share it."""

    file: Path
    digest: str  #: SHA-256 of the file, hexadecimal
    metadata: Mapping[str, Any]  #: of the file: name, corpora, licence, recipe, version
    labels: tuple[str, ...]  #: of the columns of the probabilities
    hop: int  #: samples from one window's start to the next
    last_window: str  #: treatment of an incomplete last window: ``drop`` or ``pad``
    #: ``probabilities`` ``(windows, labels)``; in some models ``recent`` of the same shape, about
    #: the last few seconds, and ``embedding`` ``(windows, features)``
    outputs: tuple[str, ...]
    start: State  #: before the first window, all zeros
    profile: tuple[str, ...]  #: which tensors of the state are the speaker's profile, if any
    measure: str  #: identifier of the profile's features; models that share it share profiles
    session: onnxruntime.InferenceSession

    def run(
        self, windows: NDArray[np.float32], state: State, *, adapt: bool = False
    ) -> tuple[dict[str, NDArray[np.float32]], State]:
        """Compute the outputs of consecutive windows.

        Args:
            windows: ``(windows, 15600)``, at least one.
            state: after the previous windows.
            adapt: update the profile in the state with each window before its result.

        Returns:
            The ``outputs``, each row given all windows up to its own, and the state after the
            last window.

        Raises:
            ModelError: the graph cannot run, or returns values other than probabilities.
        """
        names = [*self.outputs, *(f"{name}_next" for name in self.start)]
        given = {"windows": windows, **state}
        if self.profile:
            given["adapt"] = np.full(1, adapt, np.float32)
        try:
            found = self.session.run(names, given)
        except Exception as error:  # ONNX Runtime's errors share no public base
            raise ModelError(
                f"Model {self.file.name} cannot run {len(windows)} windows: "
                f"{shortage(error) or f'{first_line(error)}. Export it again.'}"
            ) from error
        outputs = dict(zip(self.outputs, found, strict=False))
        shape = len(windows), len(self.labels)
        for name, values in outputs.items():
            fits = values.shape == shape and ((values >= 0) & (values <= 1)).all()  # NaN is not
            if name != "embedding" and not fits:
                raise ModelError(
                    f"Model {self.file.name} must return {shape} {name} in [0, 1]. "
                    f"Got shape {values.shape}, some outside. Export it again."
                )
        return outputs, dict(zip(self.start, found[len(outputs) :], strict=True))


def load_graph(file: Path, *, threads: int = 1) -> Graph:
    """Load a model file and check its metadata; a run may use so many CPU threads, at least 1.

    Raises:
        ModelError: missing, not a model of affekt, or inconsistent.
    """
    if not (isinstance(threads, Integral) and threads >= 1):
        raise ModelError(
            f"threads of load must be a whole number, at least 1. Got {threads!r}. Leave it out "
            f"for one."
        )
    content = read_bounded(file, MODEL_BYTES, "a model made by affekt export")
    onnxruntime.disable_telemetry_events()  # if it was loaded before affekt
    try:
        session = onnxruntime.InferenceSession(
            content, session_options(threads), providers=["CPUExecutionProvider"], enable_fallback=0
        )  # its fallback would print and try the same again
    except Exception as error:
        if lacking := shortage(error):
            raise ModelError(f"Model {file} cannot be loaded: {lacking}") from error
        raise ModelError(
            f"Model {file} must be a whole ONNX file. Got {len(content)} bytes that do not load "
            f"({first_line(error)}). Copy or export it again."
        ) from error
    note = _note(file, session)
    _check_tensors(file, session, note)
    profile = note.get("profile") or {"of": "", "state": []}
    return Graph(
        file=file,
        digest=hashlib.sha256(content).hexdigest(),
        metadata=note,
        labels=tuple(note["labels"]),
        hop=note["hop"],
        last_window=note.get("tail", "drop"),
        outputs=tuple(each.name for each in session.get_outputs() if each.name in OUTPUTS),
        start={each["name"]: np.zeros(each["shape"], np.float32) for each in note["state"]},
        profile=tuple(profile["state"]),
        measure=profile["of"],
        session=session,
    )


def require_embedding(graph: Graph) -> None:
    """Raise a ModelError for a model file without the output ``embedding``."""
    if "embedding" not in graph.outputs:
        raise ModelError(
            f"model {graph.file.stem} must have the output embedding. Got "
            f"{', '.join(graph.outputs)}, as affekt 0.1 exported them. Export it again, or choose "
            f"another --model."
        )


def read_bounded(file: Path, most: int, what: str) -> bytes:
    """Read a file of at most ``most`` bytes, which should be ``what``.

    Raises:
        ModelError: no such file, or a larger one.
    """
    try:
        size = file.stat().st_size
        if size <= most and file.is_file():
            return file.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{file} cannot be read: {reason}. Name {what}.") from error
    got = f"{size} bytes" if file.is_file() else "a folder or device"
    raise ModelError(f"{file} must be a file of at most {most} bytes. Got {got}. Name {what}.")


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Options of ONNX Runtime: so many CPU threads, little memory, no printing."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False  # it reserves memory for each batch size
    options.log_severity_level = 4  # errors are raised as exceptions
    return options


@cache
def shipped_session(file: Path) -> onnxruntime.InferenceSession:
    """Load a network that is shipped beside a module, once, to be run on one CPU thread."""
    return onnxruntime.InferenceSession(
        file, session_options(threads=1), providers=["CPUExecutionProvider"]
    )


def _note(file: Path, session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """Read the ``affekt`` entry of the metadata, and check it."""
    try:
        text = session.get_modelmeta().custom_metadata_map.get("affekt")
    except UnicodeDecodeError as error:
        raise _disagreement(file, "its metadata must be UTF-8", error.reason) from error
    if text is None:
        raise ModelError(
            f"Model {file} must have affekt's metadata. Got an ONNX file without it. "
            f"Name a model made by affekt export."
        )
    try:
        note = json.loads(text)
        found = {key: note[key] for key in ("format", "sample_rate", "window")}
        labels, hop = note["labels"], note["hop"]
        states = [(each["name"], each["shape"]) for each in note["state"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _disagreement(file, "its metadata must be complete JSON", repr(error)) from error
    expected = {"format": FORMAT, "sample_rate": SAMPLE_RATE, "window": WINDOW}
    if found != expected:
        raise _disagreement(file, f"its metadata must say {expected}", found)
    if not _are_names(labels) or len(labels) < 2:
        raise _disagreement(file, "its labels must be two or more different names", labels)
    if any(unicodedata.category(letter) == "Cc" for letter in "".join(labels)):
        raise _disagreement(file, "its labels must have no control characters", labels)
    if type(hop) is not int or not 1 <= hop <= WINDOW:
        raise _disagreement(file, f"its hop must be in [1, {WINDOW}] samples", hop)
    if note.get("tail", "drop") not in LAST_WINDOW:
        raise _disagreement(file, f"its tail must be one of {LAST_WINDOW}", note["tail"])
    if not _are_names([name for name, _ in states]) or not all(
        isinstance(shape, list) and all(type(size) is int and size > 0 for size in shape)
        for _, shape in states
    ):
        raise _disagreement(file, "its state must be different names with fixed shapes", states)
    profile = note.get("profile")
    if profile and not _is_profile(profile, dict(states)):
        raise _disagreement(file, "its profile must be three tensors of its state", profile)
    return dict(note)


def _are_names(values: object) -> bool:
    return (
        isinstance(values, list)
        and all(isinstance(value, str) and value for value in values)
        and len(set(values)) == len(values)
    )


def _is_profile(value: object, shapes: Mapping[str, list[int]]) -> bool:
    """Tell whether the tensors for weight, sums and squares are named, with equal sizes."""
    match value:
        case {"of": str(), "steps": int(steps), "state": [_, _, _] as names} if (
            type(steps) is int and steps > 0 and _are_names(names)  # True is an int too
        ):
            weight, total, square = (shapes.get(name) for name in names)
            return weight == [1] and total == square and len(total or ()) == 1
    return False


def _check_tensors(
    file: Path, session: onnxruntime.InferenceSession, note: Mapping[str, Any]
) -> None:
    """Check the graph's inputs and outputs against the metadata."""
    states = {each["name"]: tuple(each["shape"]) for each in note["state"]}
    labels = len(note["labels"])
    given, returned = _shapes(session.get_inputs()), _shapes(session.get_outputs())
    inputs: dict[str, tuple[int | None, ...]] = {"windows": (None, WINDOW), **states}
    if note.get("profile"):
        inputs["adapt"] = (1,)
    outputs: dict[str, tuple[int | None, ...]] = {"probabilities": (None, labels)}
    if "recent" in returned:
        outputs["recent"] = (None, labels)
    if "embedding" in returned:
        outputs["embedding"] = (None, *returned["embedding"][1][-1:])
    outputs |= {f"{name}_next": shape for name, shape in states.items()}
    for kind, found, expected in (("inputs", given, inputs), ("outputs", returned, outputs)):
        if found != {name: ("tensor(float)", shape) for name, shape in expected.items()}:
            raise _disagreement(file, f"its {kind} must be float {expected}", found)


def _shapes(
    tensors: Sequence[onnxruntime.NodeArg],
) -> dict[str, tuple[str, tuple[int | None, ...]]]:
    """Type and shape of each tensor; None for an axis of any length."""
    return {
        each.name: (each.type, tuple(n if isinstance(n, int) else None for n in each.shape))
        for each in tensors
    }


def _disagreement(file: Path, rule: str, got: object) -> ModelError:
    return ModelError(f"Model {file} contradicts itself: {rule}. Got {got}. Export it again.")
