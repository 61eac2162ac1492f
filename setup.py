"""Put recipes, samples and the JavaScript library into the wheel; make the README's links absolute.

Everything else about the package stands in ``pyproject.toml``. The environment variable
``AFFEKT_REPOSITORY`` names the repository's web address, such as GitHub's; a release sets it.
"""

import os
import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = {"recipes": "*.toml", "samples": "*", "web": "*.js"}  # folders, and which of their files
REPOSITORY = os.environ.get("AFFEKT_REPOSITORY", "").rstrip("/")


class BuildPy(build_py):
    """Copy the shipped folders beside the modules; an editable install reads the checkout's."""

    def run(self) -> None:
        """Build the modules, then copy the folders."""
        super().run()
        if self.editable_mode:
            return
        for folder, pattern in SHIPPED.items():
            target = Path(self.build_lib, "affekt", folder)
            target.mkdir(parents=True, exist_ok=True)
            for file in sorted((ROOT / folder).glob(pattern)):
                shutil.copyfile(file, target / file.name)


def readme() -> str:
    """Return the README, its relative links and pictures as web addresses of the repository."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if not REPOSITORY:
        return text
    text = re.sub(r"(!\[[^\]]*\]\()(?!https?:|#)", rf"\1{REPOSITORY}/raw/main/", text)
    return re.sub(r"((?<!!)\[[^\]]*\]\()(?!https?:|#)", rf"\1{REPOSITORY}/blob/main/", text)


def urls() -> dict[str, str]:
    """Return the links that PyPI shows."""
    if not REPOSITORY:
        return {}
    return {
        "Repository": REPOSITORY,
        "Documentation": f"{REPOSITORY}/tree/main/docs",
        "Changelog": f"{REPOSITORY}/blob/main/CHANGELOG.md",
        "Issues": f"{REPOSITORY}/issues",
    }


setup(
    cmdclass={"build_py": BuildPy},
    long_description=readme(),
    long_description_content_type="text/markdown",
    project_urls=urls(),
)
