"""Define the networks, load their weights, and export them (PyTorch)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from affekt.model.model_file import load_pretrained

__all__ = ["load_pretrained"]


def __getattr__(name: str) -> object:
    """Import :func:`load_pretrained` when it is first used: it needs onnx (PEP 562)."""
    if name != "load_pretrained":
        raise AttributeError(f"module 'affekt.model' has no attribute {name!r}")
    from affekt.errors import needing_extra

    with needing_extra("train", "load_pretrained"):
        from affekt.model.model_file import load_pretrained

    return load_pretrained
