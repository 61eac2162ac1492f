"""Load models by name or path, and compare shipped ones with their checksums."""

import copyreg
import platform
from functools import lru_cache
from pathlib import Path

from affekt.errors import ModelError
from affekt.inference.graph import Graph, load_graph

MODELS = Path(__file__).parents[1] / "models"
DEFAULT_MODEL = "affekt"


def shipped_digest(name: str) -> str | None:
    """Return the SHA-256 of a shipped model's file; None if there is none of this name."""
    sums = (MODELS / "SHA256SUMS").read_text(encoding="ascii").split()
    return dict(zip(sums[1::2], sums[::2], strict=True)).get(name)


def load_model(model: str | Path, *, threads: int = 1) -> Graph:
    """Load a model file, or a shipped model by its name.

    Raises:
        ModelError: no such model, an invalid file, or a shipped one that was changed: a damaged
            copy may still load.
    """
    graph = load_graph(_model_file(model), threads=threads)
    shipped = graph.file.parent == MODELS
    if shipped and graph.digest != (wanted := shipped_digest(graph.file.name)):
        raise ModelError(
            f"Model {graph.file} must be the file that affekt ships: SHA-256 {wanted}. "
            f"Got {graph.digest}. Install affekt again."
        )
    return graph


@lru_cache(maxsize=4)
def load_same(model: str, digest: str, threads: int) -> Graph:
    """Load the model that a :func:`reference` from another process names, once a process.

    Raises:
        ModelError: as :func:`load_model`, or another digest.
    """
    graph = load_model(model, threads=threads)
    if graph.digest != digest:
        raise ModelError(
            f"Model {model} must be the same on all nodes: SHA-256 {digest}. Got {graph.digest} "
            f"on {platform.node()}. Copy it there."
        )
    return graph


def reference(graph: Graph) -> tuple[str, str, int]:
    """Name a model for other processes, where a shipped one may lie in another folder.

    Returns:
        Name of a shipped model or absolute path of a file, SHA-256, and CPU threads of a run.
    """
    file = graph.file.absolute()
    threads = graph.session.get_session_options().intra_op_num_threads
    return file.stem if file.parent == MODELS else str(file), graph.digest, threads


# A pickle holds a reference to the model. So predictors can be sent to other processes.
copyreg.pickle(Graph, lambda graph: (load_same, reference(graph)))


def _model_file(model: str | Path) -> Path:
    """The path of a model: itself, or that of a shipped model's name."""
    path = Path(str(model))  # of another type, it will not exist
    if isinstance(model, Path) or path.suffix or path.name != model:  # a path such as ./mine
        return path
    shipped = {file.stem: file for file in MODELS.glob("*.onnx")}
    if model not in shipped:
        raise ModelError(
            f"Model {model!r} must be a file or one of the shipped {', '.join(sorted(shipped))}. "
            f"Check the name, or make a file with affekt export."
        )
    return shipped[model]
