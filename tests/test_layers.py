"""Test the code's structure: allowed imports, sizes of files, docstrings."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Set
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "affekt"
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
MOST_MODULES = 16  # of a folder: one with more is several rooms
LONGEST = 300  # lines: a file with more is usually two stages
MOST_SETTINGS = 250  # of all recipes together: each states only what it changes
SHAPELESS = {"utils", "util", "helpers", "core", "base", "common", "misc", "shared"}


class Room(NamedTuple):
    """What the modules of a folder may import besides ``affekt.errors`` and the standard library.

    ``lazily`` names what may be imported inside functions only, or for type checkers;
    ``extra`` is the optional dependency that declares its third parties.
    """

    rooms: Set[str] = frozenset()
    packages: Set[str] = frozenset()
    lazily: Set[str] = frozenset()
    extra: str = ""


EVERYTHING = {
    "audio",
    "corpora",
    "runs",
    "model",
    "experiments",
    "evaluation",
    "inference",
    "service",
    "journal",
}
EVERYTHING |= {"engines", "locations", "report", "audit"}
ROOMS = {
    "errors": Room(),
    "engines": Room(),
    "locations": Room(),
    "atomic_write": Room(),
    "aliases": Room(),
    "csv_rows": Room(),
    "shipped_folders": Room(),
    "label_colors": Room(),
    "html_templates": Room(lazily={"jinja2"}, extra="report"),
    "affekt": Room(lazily=EVERYTHING),
    "audio": Room({"locations"}, {"numpy", "soundfile", "av", "soxr"}),
    "corpora": Room({"audio", "atomic_write"}, {"numpy"}),
    "model": Room(
        {"audio", "atomic_write", "aliases"}, {"numpy", "torch"}, {"rich", "inference"}, "train"
    ),
    "runs": Room(
        {"corpora", "atomic_write", "aliases", "shipped_folders"},
        {"numpy", "pandas", "filelock"},
        {"rich", "pooch"},
        "report",
    ),
    "experiments": Room(
        {"audio", "corpora", "engines", "model", "evaluation", "report", "runs"}
        | {"atomic_write", "aliases", "shipped_folders"},
        {"numpy", "scipy", "sklearn", "torch", "filelock"},
        {"rich"},
        "train",
    ),
    "evaluation": Room(
        {"runs", "corpora", "aliases", "atomic_write"},
        packages={"numpy", "pandas"},
        extra="report",
    ),
    "report": Room(
        {"evaluation", "runs", "aliases", "atomic_write", "html_templates", "label_colors"},
        {"numpy", "pandas", "sklearn", "matplotlib", "jinja2"},
        {"inference"},
        extra="report",
    ),
    "audit": Room(
        {"audio", "corpora", "evaluation", "inference", "report"}
        | {"atomic_write", "html_templates"},
        {"numpy", "pandas", "scipy", "sklearn", "soundfile", "soxr", "av", "matplotlib"},
        extra="report",
    ),
    "inference": Room({"audio", "engines", "locations", "atomic_write"}, {"numpy", "onnxruntime"}),
    "journal": Room(
        {"audio", "inference", "atomic_write", "csv_rows", "html_templates", "label_colors"},
        {"numpy"},
        {"statsmodels", "scipy", "fhir", "sqlcipher3"},
        "journal",
    ),
    "sklearn": Room({"audio", "inference"}, {"numpy", "sklearn"}, extra="sklearn"),
    "service": Room(
        {"audio", "engines", "inference", "shipped_folders"},
        {"numpy", "anyio", "starlette"},
        extra="serve",
    ),
    "commands": Room(
        {"locations", "atomic_write", "csv_rows", "shipped_folders"},
        {"typer"},
        EVERYTHING | {"numpy", "rich"},
    ),
    "cli": Room({"commands"}, {"typer"}),
    "__main__": Room({"cli"}),
}
# What a single module may import beyond its room, and the extra that declares it.
BEYOND = {
    "affekt.audio.cepstra": ({"librosa", "scipy"}, "train"),
    "affekt.audio.microphone": ({"sounddevice"}, "mic"),
    "affekt.inference.speakers.diarization": ({"sklearn"}, "speakers"),
    "affekt.inference.profile": ({"safetensors"}, ""),
    "affekt.inference.timelines.frames": ({"pandas"}, "tables"),
    "affekt.inference.prediction": ({"pandas"}, "tables"),
    "affekt.inference.timelines.timeline": ({"pandas"}, "tables"),
    "affekt.model.whisper": ({"librosa"}, "train"),
    "affekt.model.whisper_weights": ({"onnx"}, "train"),
    "affekt.model.pretrained": ({"pooch"}, "train"),
    "affekt.model.yamnet_weights": ({"tflite"}, "train"),
    "affekt.model.model_file": ({"onnx"}, "train"),
    "affekt.model.onnx_passes": ({"onnx"}, "train"),
    "affekt.model.export": ({"onnx", "onnxruntime", "affekt"}, "train"),
    "affekt.engines": ({"ray"}, "cluster"),
    "affekt.service.observation": ({"prometheus_client"}, "serve"),
    "affekt.service.processes": ({"h11", "prometheus_client", "uvicorn"}, "serve"),
    "affekt.service.openapi": ({"affekt"}, "serve"),
    "affekt.service.readiness": ({"affekt"}, "serve"),
    "affekt.commands.embed": ({"pyarrow"}, "tables"),
    "affekt.corpora.own_tables": ({"pyarrow"}, "tables"),
    "affekt.evaluation.calibration_metrics": ({"scipy"}, "report"),
    "affekt.evaluation.intervals": ({"scipy"}, "report"),
    "affekt.locations": ({"fsspec"}, "remote"),
    "affekt.experiments.fold": ({"threadpoolctl"}, "train"),
    "affekt.experiments.augmentation": ({"librosa", "soxr"}, "train"),
}


class Import(NamedTuple):
    """One imported module."""

    module: str
    line: int
    lazy: bool


def imports(tree: ast.AST, *, lazy: bool = False) -> Iterator[Import]:
    """Every module that code imports; lazy inside functions and where only type checkers look."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide where code is from"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            modules = {name if name in MODULES else str(node.module) for name in names}
            yield from (Import(module, node.lineno, lazy) for module in modules)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            yield from imports(node, lazy=lazy or inside or checking)


def read_imports(module: str) -> list[Import]:
    return list(imports(ast.parse(MODULES[module].read_text(encoding="utf-8"))))


def room_of(module: str) -> str:
    """``affekt.audio.reading`` is in ``audio``, the package itself in ``affekt``."""
    return module.split(".")[1] if "." in module else module


def target_of(module: str) -> str:
    """What the table calls an imported module: a room of ours, or a third party's package."""
    return room_of(module) if module.split(".")[0] == "affekt" else module.split(".")[0]


@pytest.mark.parametrize("module", MODULES)
def test_every_import_is_allowed(module: str) -> None:
    room = ROOMS[room_of(module)]
    beyond, _ = BEYOND.get(module, (set(), ""))
    always = {"errors", room_of(module)} | room.rooms | room.packages | beyond
    for found in read_imports(module):
        target = target_of(found.module)
        if target in sys.stdlib_module_names:
            continue
        allowed = always | room.lazily if found.lazy else always
        if room_of(module) in ("cli", "commands"):
            allowed = allowed | {"affekt"}
        assert target in allowed, (
            f"{module}, line {found.line}, must not import {found.module}"
            f"{'' if found.lazy else ' at its top'}; allowed: {', '.join(sorted(allowed))}"
        )


def test_imports_go_one_way() -> None:
    graph = {
        module: {found.module for found in read_imports(module) if not found.lazy} - {module}
        for module in MODULES
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the ring


@cache
def declared(extra: str) -> set[str]:
    """Distributions that ``pip install affekt[extra]`` names, its own extras followed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {*project["dependencies"]}
    extras = [extra] if extra else []
    while extras:
        for requirement in project["optional-dependencies"][extras.pop()]:
            if own := re.fullmatch(r"affekt\[(.+)\]", requirement):
                extras += own[1].split(",")
            else:
                wanted.add(requirement)
    return {normalized(re.split(r"[^\w.-]", name)[0]) for name in wanted}


def normalized(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


@cache
def homes_of(package: str) -> set[str]:
    """Distributions that an installed package comes from."""
    return {normalized(name) for name in _homes()[package]}


_homes = cache(packages_distributions)


@pytest.mark.parametrize("module", MODULES)
def test_every_third_party_is_declared(module: str) -> None:
    beyond, its_extra = BEYOND.get(module, (set(), ""))
    for found in read_imports(module):
        package = found.module.split(".")[0]
        if package == "affekt" or package in sys.stdlib_module_names:
            continue
        extra = its_extra if package in beyond else ROOMS[room_of(module)].extra
        assert homes_of(package) & declared(extra), (
            f"{module} imports {package}, which pyproject.toml does not declare in "
            f"{extra or 'dependencies'}"
        )


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()}))
def test_folders_are_small(folder: Path) -> None:
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= MOST_MODULES or folder.name == "corpora"


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_inference_and_command_line_do_without_the_extras() -> None:
    extras = {"torch", "pandas", "sklearn", "matplotlib", "librosa", "scipy", "onnx", "ray"}
    extras |= {"sounddevice", "fsspec", "statsmodels", "fhir", "sqlcipher3"}
    extras |= {"pyarrow", "starlette", "prometheus_client"}
    out = run_python(
        f"import sys; sys.modules.update(dict.fromkeys({sorted(extras)}))\n"
        "import affekt.inference.files, affekt.inference.live\n"
        "import affekt.inference.timelines.timeline; affekt.Stream, affekt.load, affekt.read\n"
        "import affekt.audio.microphone, affekt.cli, affekt.journal.adding\n"
        "import affekt.journal.exports\n"
        "from affekt import *\n"
        "print(affekt.Predictor.__name__, affekt.cli.main(['--version']))"
    )
    assert out.splitlines()[-1] == "Predictor 0"


def test_blocking_torch_works() -> None:
    with pytest.raises(AssertionError, match="torch"):
        run_python("import sys; sys.modules['torch'] = None; import affekt.model.yamnet")


@pytest.mark.parametrize(
    ("code", "missing", "message"),
    [
        ("affekt.finetune", "torch", "affekt.finetune needs torch"),
        ("from affekt import finetune", "sklearn", "affekt.finetune needs sklearn"),
        ("affekt.model.load_pretrained", "torch", "load_pretrained needs torch"),
        ("affekt.to_frame([])", "pandas", "to_frame needs pandas"),
    ],
)
def test_a_function_without_its_packages_names_the_extra(
    code: str, missing: str, message: str
) -> None:
    extra = "tables" if missing == "pandas" else "train"
    out = run_python(
        f"import sys, affekt.model; sys.modules[{missing!r}] = None\n"
        f"try: {code}\nexcept ModuleNotFoundError as error: print(error, error.name)"
    )
    assert out == f"{message}. Install it with: pip install 'affekt[{extra}]' {missing}\n"


def test_importing_the_package_starts_nothing() -> None:
    out = run_python(
        "import sys, threading; before = set(sys.modules); import affekt\n"
        "print(threading.active_count(), *sorted(set(sys.modules) - before))"
    )
    threads, *modules = out.split()
    assert threads == "1"
    assert {name.split(".")[0] for name in modules} <= {"affekt"} | sys.stdlib_module_names
    assert {name for name in modules if name.startswith("affekt.")} == set()


def test_a_plain_recording_needs_no_ffmpeg() -> None:
    out = run_python(
        "import io, sys, numpy, soundfile; from affekt.audio.reading import read\n"
        "for form in ('WAV', 'FLAC'):\n"
        "    file = io.BytesIO(); soundfile.write(file, numpy.zeros(99), 48_000, format=form)\n"
        "    file.name = form; print(len(read(file)), 'av' in sys.modules)\n"
    )
    assert out.splitlines() == ["33 False", "33 False"]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_a_room_with_a_name(module: str) -> None:
    text = MODULES[module].read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, f"{module} must say in a docstring what it makes, and from what"
    assert len(text.splitlines()) <= LONGEST, f"{module} is too long to be one stage"
    assert not SHAPELESS & set(module.split(".")), f"{module} must be named for what it makes"


def test_the_project_contains_no_path_of_a_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "src", "docs", "recipes", "results", "samples", "*.md", "*.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    machine = re.compile(rb"(?<![\w.])/(?:work|opt|tmp|root|home|Users)/")
    binary = {".flac", ".onnx", ".npz", ".png"}
    for name in listed:
        path = ROOT / name
        if path.is_file() and path.suffix not in binary:
            assert not machine.search(path.read_bytes()), f"{name} names a place on one machine"


def test_recipes_state_only_what_they_change() -> None:
    recipes = sorted((ROOT / "recipes").glob("*.toml"))
    settings = {path.stem: len(tomllib.loads(path.read_text("utf-8"))) for path in recipes}
    assert sum(settings.values()) <= MOST_SETTINGS, settings
