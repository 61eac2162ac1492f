"""Find the recipes, samples and JavaScript library that are shipped with the package."""

from pathlib import Path

PACKAGE = Path(__file__).parent


def shipped_folder(name: str) -> Path:
    """Return the folder ``recipes``, ``samples`` or ``web``, installed or of the checkout."""
    installed = PACKAGE / name
    return installed if installed.is_dir() else PACKAGE.parents[1] / name
