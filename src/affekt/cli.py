"""The command line: every command parses, makes one library call, and prints.

Results go to standard output, complaints to standard error, one line each. Exit codes: 0 all
done, 1 something of many failed, 2 wrong use. A command returns its exit code (None is 0) and
raises :class:`~affekt.errors.AffektError` for what it refuses; :func:`main` does the rest.
"""

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import affekt
from affekt.commands.corpus import corpus
from affekt.commands.enroll import enroll
from affekt.commands.export import export
from affekt.commands.models import models
from affekt.commands.predict import predict
from affekt.commands.printing import complain
from affekt.commands.report import report
from affekt.commands.run import WithKnobs, run
from affekt.commands.serve import serve
from affekt.commands.stream import stream
from affekt.commands.weights import weights
from affekt.errors import AffektError

app = typer.Typer(
    name="affekt",
    help="Recognize the emotion in a voice.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
INTERRUPTED = 130  # the exit code after Ctrl-C
REPORTING = ("pandas", "sklearn", "scipy", "threadpoolctl", "matplotlib", "jinja2")
SERVING = ("uvicorn", "starlette", "anyio", "websockets")
EXTRAS = {"sounddevice": "mic"}  # by what is missing; who is not here is in train
EXTRAS |= dict.fromkeys(SERVING, "serve") | dict.fromkeys(REPORTING, "report")
_WrongUse: type[Exception] = typer.BadParameter.__mro__[1]  # UsageError, not exported by typer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``affekt``; those of the process by default.

    Returns:
        The exit code: 0, 1 or 2, and 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    code = 2
    _ready_streams()
    try:
        code = app(args=words, prog_name="affekt", standalone_mode=False) or 0
        sys.stdout.flush()
    except AffektError as error:
        complain(str(error))
    except _WrongUse as error:
        message = error.format_message()  # type: ignore[attr-defined]
        complain(f"{message.rstrip('.')}. See affekt --help.")
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(error.name or "", "train")
        complain(f"this command needs {error.name}. Install it with: pip install 'affekt[{extra}]'")
    except (BrokenPipeError, SystemExit):  # whoever read has read enough; typer exits for it
        os._exit(1)
    except OSError as error:  # such as a disk that is full behind standard output
        complain(f"{error.filename or 'the output'} cannot be used: {error.strerror or error}.")
        os._exit(1)
    if code == INTERRUPTED:
        os._exit(code)  # at once: a worker may be deep in a long recording
    return code


def _ready_streams() -> None:
    """Let standard streams take whatever a file may be called, and be there at all."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by who started the program
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        seen = sys.stdout.isatty()
        errors = "backslashreplace" if seen else "surrogateescape"
        sys.stdout.reconfigure(encoding=None if seen else "utf-8", errors=errors)


def _version(asked: bool) -> None:
    if asked:
        print(f"affekt {affekt.__version__}")
        raise typer.Exit


@app.callback()
def _affekt(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Recognize the emotion in a voice."""


for command, example in (
    (predict, "affekt predict samples/ --json -o results.jsonl --resume"),
    (stream, "ffmpeg -i radio.m3u8 -f wav - | affekt stream -"),
    (serve, "affekt serve --port 8080 --adapt"),
    (enroll, "affekt enroll me.profile recordings/of/me/"),
    (models, "affekt models yamnet-lstm --json"),
    (report, "affekt report results/ -o report/"),
    (corpus, "affekt corpus ravdess RAVDESS/ -o manifest.csv"),
    (weights, "affekt weights --download yamnet.h5"),
    (export, "affekt export runs/ravdess-held-out-1a2b3c4d5e6f/ -o yamnet-lstm.onnx"),
):
    app.command(epilog=f"Example: {example}")(command)
app.command(
    cls=WithKnobs, epilog="Example: affekt run recipes/ravdess-yamnet-lstm.toml --folds 1,5"
)(run)


if __name__ == "__main__":
    sys.exit(main())
