"""Find the models that are shipped with the package, and compare them with their checksums."""

from pathlib import Path

from affekt.errors import ModelError
from affekt.inference.graph import Graph

MODELS = Path(__file__).parents[1] / "models"
DEFAULT_MODEL = "affekt"


def shipped_digest(name: str) -> str | None:
    """Return the SHA-256 of a shipped model's file; None if there is none of this name."""
    sums = (MODELS / "SHA256SUMS").read_text(encoding="ascii").split()
    return dict(zip(sums[1::2], sums[::2], strict=True)).get(name)


def check_shipped(graph: Graph) -> None:
    """Compare a shipped model with its checksum: a damaged copy may still load.

    Raises:
        ModelError: the file was changed.
    """
    if graph.file.parent != MODELS:
        return
    wanted = shipped_digest(graph.file.name)
    if wanted != graph.digest:
        raise ModelError(
            f"Model {graph.file} must be the file that affekt ships: SHA-256 {wanted}. "
            f"Got {graph.digest}. Install affekt again."
        )


def model_file(model: str | Path) -> Path:
    """Return the file of a model: a path as it is, or that of a shipped model's name.

    Raises:
        ModelError: no shipped model has that name.
    """
    path = Path(model)
    if isinstance(model, Path) or path.suffix or path.name != model:  # a path such as ./mine
        return path
    shipped = {file.stem: file for file in MODELS.glob("*.onnx")}
    if model not in shipped:
        raise ModelError(
            f"Model {model!r} must be a file or one of the shipped {', '.join(sorted(shipped))}. "
            f"Make one with affekt export."
        )
    return shipped[model]
