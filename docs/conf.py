"""Sphinx: API pages from docstrings, knobs from the recipe, everything else as Markdown."""

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "src"))

import affekt  # noqa: E402
from affekt.experiments.recipe import KNOB_COLUMNS, knob_table  # noqa: E402

project = "affekt"
author = copyright = "the affekt authors"
release = affekt.__version__
html_theme = "furo"
html_title = f"affekt {release}"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.apidoc"]
extensions += ["sphinx_copybutton", "sphinx_design"]
copybutton_prompt_text = "$ "
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

apidoc_modules = [
    {
        "path": "../src/affekt",
        "destination": "api",
        "exclude_patterns": ["**/cli.py", "**/commands"],
        "separate_modules": True,
        "module_first": True,
        "automodule_options": {"members", "show-inheritance"},
    }
]
# A package's __all__ only repeats what its modules define; each name is documented there, once.
autodoc_default_options = {
    "ignore-module-all": True,
    # methods that scikit-learn adds to estimators, with references to its own pages
    "exclude-members": "set_fit_request, set_score_request, set_transform_request",
}
autodoc_member_order = "bysource"
napoleon_custom_sections = ["Source"]
napoleon_use_ivar = True
napoleon_use_rtype = False

nitpicky = True
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(np|numpy|pd|pandas|torch|nn|onnx|onnxruntime|matplotlib|sklearn|rich|typer|jinja2|starlette|anyio|uvicorn)\..*",
    ),
    (
        r"py:.*",
        r"(pathlib|io|collections|contextlib|dataclasses|typing|concurrent|multiprocessing|argparse|datetime|sqlite3|av|asyncio|socket)\..*",
    ),
    (
        r"py:.*",
        r"(affekt\..*\.)?(Item|Value|Watch|Floats)",
    ),  # type variables and aliases have no entry
    (r"py:data", r".*"),  # nor have constants
    (r"py:class", r"NDArray"),  # imported for type checkers only
    (r"py:class", r"dict\[str"),  # a type that Sphinx splits at its comma
]


def knobs_markdown() -> str:
    """All knobs of a recipe as a table in Markdown."""
    lines = [f"| {' | '.join(KNOB_COLUMNS)} |", f"|{' --- |' * len(KNOB_COLUMNS)}"]
    lines += [
        f"| `{name}` | `{default}` | {' | '.join(rest)} |" for name, default, *rest in knob_table()
    ]
    return "\n".join(lines) + "\n"


(HERE / "api").mkdir(exist_ok=True)
(HERE / "api" / "knobs.txt").write_text(knobs_markdown(), encoding="utf-8")


COLON, HIDDEN = ": ", "\N{WORD JOINER} "


def hide_colon(_app: Any, what: str, _name: str, _what: Any, _options: Any, lines: list) -> None:
    """Napoleon reads what stands before a colon in an attribute's first line as its type."""
    if what in ("attribute", "data", "property"):
        lines[:1] = [line.replace(COLON, HIDDEN) for line in lines[:1]]


def show_colon(_app: Any, _kind: str, _name: str, _what: Any, _options: Any, lines: list) -> None:
    """Undo :func:`hide_colon`."""
    lines[:] = [line.replace(HIDDEN, COLON) for line in lines]


def find_home(app: Any, env: Any, node: Any, text: Any) -> Any:
    """A public name, such as ``affekt.load``, leads to the module that defines it."""
    name, *rest = node.get("reftarget", "").removeprefix("affekt.").split(".")
    if name not in affekt._HOMES:
        return None
    target = ".".join([affekt._HOMES[name], name, *rest])
    domain = env.domains["py"]
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], target, node, text
    )


def setup(app: Any) -> None:
    """Put napoleon, of priority 500, between hiding and showing."""
    app.connect("autodoc-process-docstring", hide_colon, priority=400)
    app.connect("autodoc-process-docstring", show_colon, priority=600)
    app.connect("missing-reference", find_home)
