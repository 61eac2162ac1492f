"""Open a recording given as a path, bytes, file, array, tensor, dictionary or decoder."""

import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from affekt.audio.decoding import CHUNK, decode, is_seekable
from affekt.audio.headers import checked
from affekt.audio.pcm import Decoded, Raw, empty, scaled
from affekt.errors import AudioError, RunError
from affekt.locations import is_location, open_location


class Tensor(Protocol):
    """A tensor of PyTorch, which affekt does not import."""

    def detach(self) -> Any:
        """The same values without gradient."""


Source = str | Path | Raw | BinaryIO | NDArray[Any] | Tensor | Mapping[str, Any] | Decoded
"""A recording in any of the forms that :func:`affekt.read` takes."""


@contextmanager
def open_source(source: Source, sample_rate: int | None, start: float) -> Iterator[Decoded]:
    """Open a recording, which the caller will read from ``start`` seconds on.

    Raises:
        AudioError: another type than :func:`affekt.audio.reading.read` takes, or not a sound.
    """
    if hasattr(source, "get_all_samples"):  # a decoder of torchcodec, as in data sets
        samples = source.get_all_samples()
        source = {"array": samples.data, "sampling_rate": samples.sample_rate}
    if isinstance(source, Mapping):
        source, sample_rate = _unpacked(source, sample_rate)
    if is_tensor(source):  # (samples,) or (channels, samples)
        tensor = cast(Any, source).detach().cpu()
        tensor = tensor.float() if tensor.is_floating_point() else tensor  # NumPy has no bfloat16
        source = np.asarray(tensor.numpy()).T
    if isinstance(source, np.ndarray):
        yield _array(source, sample_rate)
        return
    name = source_name(source)
    if sample_rate is not None and is_source(source):
        raise AudioError(
            f"sample_rate is for arrays only; the rate of {name} is read from it. "
            f"Got {sample_rate}. Leave it out."
        )
    if isinstance(source, Decoded):
        yield source
        return
    with ExitStack() as stack:
        if isinstance(source, str | Path):
            file = stack.enter_context(open_file(source, name))
        elif isinstance(source, Raw):
            file = BytesIO(source)
        elif hasattr(source, "read"):
            file = cast(BinaryIO, source)
            if getattr(file, "closed", False):
                raise AudioError(f"{name} is closed. Open it again with mode 'rb'.")
        else:
            raise AudioError(
                f"source must be a path, bytes, a binary file or an array. Got {name}. "
                f"Give one of these, such as numpy.asarray(samples)."
            )
        yield stack.enter_context(decode(file, name, start=start))


def open_file(path: str | Path, name: str) -> BinaryIO:
    """Open a file, or a location such as ``s3://bucket/a.wav``; messages call it ``name``.

    Raises:
        AudioError: missing, forbidden, out of reach, or not a file.
    """
    try:
        if isinstance(path, str) and is_location(path):
            return open_location(path)
        found = Path(path).stat()
        if stat.S_ISREG(found.st_mode) and found.st_size:
            return Path(path).open("rb")
    except RunError as error:
        raise AudioError(str(error)) from error
    except FileNotFoundError as error:
        further = ", or cannot be reached" if is_location(str(path)) else ""
        raise AudioError(f"{name} does not exist{further}. Check the path.") from error
    except PermissionError as error:
        raise AudioError(f"{name} may not be read. Give yourself permission to read it.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError(
            f"{name} cannot be opened: {reason}. Check the path and your access to it."
        ) from error
    if stat.S_ISREG(found.st_mode):  # also files of the system without a size, some without an end
        raise empty(name)
    if stat.S_ISDIR(found.st_mode):
        raise AudioError(f"{name} is a folder, not a sound. Name the files in it.")
    raise AudioError(f"{name} is a pipe or device, not a file. Use standard input.")


def source_name(source: Any) -> str:
    """Name a recording in error messages."""
    if isinstance(source, Decoded):
        return source.name
    if isinstance(source, str | Path):
        path = str(source)
        return path if path and path.isprintable() else ascii(path)
    if isinstance(source, Raw):
        return "<bytes>"
    name = getattr(source, "name", None)
    if name in ("<stdin>", 0):
        return "standard input"
    return source_name(name) if isinstance(name, str) else f"<{type(source).__name__}>"


def source_file(source: Any) -> str:
    """Return the path of a recording; empty for bytes, file objects and samples.

    >>> source_file("a.wav"), source_file({"path": "b.wav", "bytes": b""}), source_file(b"")
    ('a.wav', 'b.wav', '')
    """
    if isinstance(source, Mapping):
        source = source.get("path")
    return str(source) if isinstance(source, str | Path) else ""


def is_source(value: object) -> TypeGuard[Source]:
    """Whether a value is one recording, not an iterable of recordings.

    >>> is_source("a.wav"), is_source(np.zeros(9)), is_source(["a.wav"])
    (True, True, False)
    """
    kinds = (str, Path, Raw, np.ndarray, Mapping, Decoded)
    methods = "read", "get_all_samples"
    return isinstance(value, kinds) or is_tensor(value) or any(hasattr(value, m) for m in methods)


def require_rereadable(source: Source) -> None:
    """Raise an AudioError for a pipe or an open sound, which can be read only once."""
    if isinstance(source, Decoded) or (hasattr(source, "read") and not is_seekable(source)):
        raise AudioError(
            f"{source_name(source)} must be a recording that can be read twice, to separate "
            f"its speakers. Save it as a file."
        )


def _unpacked(source: Mapping[str, Any], sample_rate: int | None) -> tuple[Any, int | None]:
    """Unpack the audio of a data set of Hugging Face, decoded or not."""
    if "array" in source and "sampling_rate" in source:
        if sample_rate is not None:
            raise AudioError(
                f"sample_rate is for arrays only; a dictionary has its sampling_rate. "
                f"Got {sample_rate}. Leave it out."
            )
        values = source["array"]
        values = values if is_tensor(values) else np.asarray(values).T  # (channels, samples)
        return values, source["sampling_rate"]
    packed = source.get("bytes") or source.get("path")
    if packed is None:
        raise AudioError(
            f"a dictionary must have the keys array and sampling_rate, or bytes or path. "
            f"Got {', '.join(map(str, source)) or 'none'}. Give the audio column of a data set."
        )
    return packed, sample_rate


def is_tensor(value: object) -> bool:
    """Whether a value is a tensor of PyTorch, which is not imported for it."""
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")


def _array(values: NDArray[Any], sample_rate: int | None) -> Decoded:
    if values.dtype.kind not in "iuf":
        raise AudioError(f"array must be of integers or floats. Got {values.dtype}. Convert it.")
    if values.ndim not in (1, 2):
        raise AudioError(
            f"array must be (samples,) or (samples, channels). Got {values.shape}. Reshape it."
        )
    frames = values.reshape(len(values), -1) if values.size else values.reshape(0, 1)
    if frames.shape[1] > len(frames) > 0:
        raise AudioError(
            f"array must be (samples, channels). Got shape {values.shape}. Transpose it."
        )
    rate, channels = checked(sample_rate, frames.shape[1], "<array>")
    step = max(1, CHUNK // channels)
    chunks = (scaled(frames[at : at + step]) for at in range(0, len(frames), step))
    return Decoded("<array>", rate, channels, len(frames), 0, chunks)
