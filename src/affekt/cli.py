"""Run the command line: parse the arguments, call one command, and report errors in one line.

Results go to standard output, messages to standard error. Exit codes: 0 success, 1 some of many
files or folds failed, 2 wrong use, 130 after Ctrl-C. A command returns its exit code (None is 0)
and raises :class:`~affekt.errors.AffektError` for what it refuses.
"""

import inspect
import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import affekt
from affekt.commands.audit import audit
from affekt.commands.corpus import corpus
from affekt.commands.embed import embed
from affekt.commands.enroll import enroll
from affekt.commands.export import export
from affekt.commands.finetune import finetune
from affekt.commands.journal import (
    journal_add,
    journal_create,
    journal_encrypt,
    journal_refresh,
    journal_remove,
)
from affekt.commands.models import models, weights
from affekt.commands.options import is_recording
from affekt.commands.output.journal_output import journal_export, journal_list, journal_report
from affekt.commands.output.printing import complain
from affekt.commands.predict import predict
from affekt.commands.recipe import recipe
from affekt.commands.report import report
from affekt.commands.run import run
from affekt.commands.serve import serve
from affekt.commands.stream import stream
from affekt.errors import AffektError, shortage

EXAMPLES: dict[Callable[..., Any], str] = {  # by command, in the order of the help
    predict: "affekt predict samples/ --json -o results.jsonl --resume",
    stream: "cat samples/lively.flac | affekt stream -",
    serve: "affekt serve --port 8080 --adapt",
    enroll: "affekt enroll me.profile samples/",
    embed: "affekt embed samples/ -o embeddings.parquet",
    models: "affekt models yamnet-lstm --json",
    corpus: "affekt corpus ravdess $AFFEKT_DATA/ravdess -o manifest.csv",
    weights: "affekt weights --download yamnet.tflite",
    recipe: "affekt recipe ravdess-yamnet-lstm",
    run: "affekt run ravdess-yamnet-lstm --folds 1,5 --set epochs=3",
    report: "affekt report results/ -o report/",
    audit: "affekt audit affekt --data $AFFEKT_DATA/ravdess -o audit/",
    export: "affekt export runs/ravdess-yamnet-lstm-*/ --fold 1 -o model.onnx",
    finetune: "affekt finetune recordings.csv -o mine.onnx",
}
JOURNAL: dict[Callable[..., Any], str] = {  # commands of affekt journal
    journal_create: "affekt journal create anna.journal",
    journal_add: "affekt journal add anna.journal memos/",
    journal_refresh: "affekt journal refresh anna.journal memos/",
    journal_report: "affekt journal report anna.journal -o report.html",
    journal_list: "affekt journal list anna.journal",
    journal_export: "affekt journal export anna.journal --csv -o anna.csv",
    journal_remove: "affekt journal remove anna.journal 1f0c93ab",
    journal_encrypt: "affekt journal encrypt anna.journal",
}
# A section of their own in the help.
TRAINING = (corpus, weights, recipe, run, report, audit, export, finetune)
INTERRUPTED = 130  # exit code after Ctrl-C
DEBUG = "AFFEKT_DEBUG"  # set: unexpected errors show their traceback
REPORT = ("pandas", "sklearn", "scipy", "threadpoolctl", "matplotlib", "jinja2")
SERVE = ("uvicorn", "starlette", "anyio", "websockets", "prometheus_client", "python_multipart")
JOURNAL_PACKAGES = ("sqlcipher3", "statsmodels", "fhir")
# The extras that install missing packages; those not listed are in the extra train.
EXTRAS = {"sounddevice": "mic", "pyarrow": "tables"} | dict.fromkeys(JOURNAL_PACKAGES, "journal")
EXTRAS |= dict.fromkeys(SERVE, "serve") | dict.fromkeys(REPORT, "report")
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # not exported by typer

app = typer.Typer(name="affekt", add_completion=False, pretty_exceptions_enable=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default that of the process, and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    words += ["--help"] if words == ["journal"] else []
    code = 2
    _prepare_streams()
    try:
        code = app(args=words, prog_name="affekt", standalone_mode=False) or 0
        sys.stdout.flush()
    except AffektError as error:
        complain(str(error))
    except _UsageError as error:
        complain(_usage_message(error, words))
    except typer.Abort:  # Ctrl-C, or the end of the input, at a question
        code = INTERRUPTED
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = EXTRAS.get(package, "train")
        if words[0] == "journal" and extra == "report":
            extra = "journal"  # which has these packages too
        complain(f"this command needs {package}. Install it with: pip install 'affekt[{extra}]'")
    except (BrokenPipeError, SystemExit):  # the reader of a pipe is gone; typer exits for it
        os._exit(1)
    except OSError as error:  # such as a full disk behind standard output
        unusable = f"{error.filename or 'the output'} cannot be used: {error.strerror or error}."
        complain(shortage(error) or unusable)
        os._exit(1)
    except Exception as error:  # a fault of affekt: one line, and how to report it
        if os.environ.get(DEBUG):
            raise
        complain(
            shortage(error)
            or f"a fault of affekt itself: {type(error).__name__}: {' '.join(str(error).split())}. "
            f"Please report it with the traceback that {DEBUG}=1 shows."
        )
    if code == INTERRUPTED:
        os._exit(code)  # without waiting for threads that still read a long recording
    return code


def _usage_message(error: Any, words: Sequence[str]) -> str:
    """Say what is wrong and which help to read, or which command was meant."""
    command = _command_of(words)
    first_option = words[0].startswith("-") and any(map(is_recording, words))
    if command == "affekt" and (first_option or is_recording(words[0])):
        return f"a command is missing. Did you mean: {shlex.join(['affekt', 'predict', *words])}"
    message = error.format_message().removeprefix("Invalid value: ").rstrip(".")
    for typed, plain in {"int": "whole number", "float": "number"}.items():
        message = re.sub(rf"a valid {typed}( range)?$", f"a {plain}", message)
    for typed, plain in {"integer": "whole number", "number": "number"}.items():
        message = re.sub(f"Input should be a valid {typed}.*", f"not a {plain}", message)
    return f"{message}{'' if message.endswith('?') else '.'} See {command} --help."


def _command_of(words: Sequence[str]) -> str:
    """Return the command of a command line, such as ``affekt journal add``.

    An error knows it too, but not if an option lacks its value.
    """
    parts = (command.__name__.replace("_", " ") for command in JOURNAL)
    names = {"journal", *parts, *(command.__name__ for command in EXAMPLES)}
    found = [name for name in (" ".join(words[:2]), words[0]) if name in names]
    return " ".join(["affekt", *found[:1]])


def _prepare_streams() -> None:
    """Replace standard streams that are closed, and let standard output take any file name."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        terminal = sys.stdout.isatty()
        errors = "backslashreplace" if terminal else "surrogateescape"
        sys.stdout.reconfigure(encoding=None if terminal else "utf-8", errors=errors)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"affekt {affekt.__version__}")
        raise typer.Exit


@app.callback(epilog="Example: affekt predict samples/")
def _affekt(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Recognize the emotion in a voice."""


def _help_of(command: Callable[..., Any]) -> str:
    """Join the lines of each paragraph, so that the terminal's width breaks them."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


for command, example in EXAMPLES.items():
    app.command(
        help=_help_of(command),
        epilog=f"Example: {example}",
        rich_help_panel="Training and evaluation" if command in TRAINING else "Recognition",
    )(command)

journal = typer.Typer(name="journal")
app.add_typer(
    journal,
    help="Follow one person over time, without storing sound.",
    epilog="Example: affekt journal create anna.journal",
    rich_help_panel="Recognition",
)
for command, example in JOURNAL.items():
    name = command.__name__.removeprefix("journal_")
    journal.command(name, help=_help_of(command), epilog=f"Example: {example}")(command)
