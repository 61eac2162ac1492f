"""The command line: every command parses, makes one library call, and prints.

Results go to standard output, complaints to standard error, one line each. Exit codes: 0 all
done, 1 something of many failed, 2 wrong use. A command returns its exit code (None is 0) and
raises :class:`~affekt.errors.AffektError` for what it refuses; :func:`main` does the rest.
"""

import io
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

import affekt
from affekt.enroll_command import enroll
from affekt.errors import AffektError
from affekt.export_command import export
from affekt.models_command import models
from affekt.predict_command import predict
from affekt.printing import comparison, complain, watched
from affekt.run_command import WithKnobs, run
from affekt.serve_command import serve
from affekt.stream_command import stream

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


app.command(epilog="Example: affekt predict samples/ --json -o results.jsonl --resume")(predict)
app.command(epilog="Example: ffmpeg -i radio.m3u8 -f wav - | affekt stream -")(stream)
app.command(epilog="Example: affekt serve --port 8080 --adapt")(serve)
app.command(epilog="Example: affekt enroll me.profile recordings/of/me/")(enroll)


app.command(epilog="Example: affekt models yamnet-lstm --json")(models)


@app.command(epilog="Example: affekt report results/ -o report/")
def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, or folders of some.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for page, pictures and tables.")
    ] = Path("report"),
    data: Annotated[
        Path | None, typer.Option(help="Recordings, to draw Figure 2 from (needs extra train).")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Also copy finished folds, without sound or weights, here.")
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(help="Also write one CSV row for each recipe here.")
    ] = None,
) -> None:
    """Make one page of everything that was measured, beside the paper's values."""
    from rich.console import Console

    from affekt.evaluation.keeping import keep_runs
    from affekt.evaluation.report import build_report, no_voices
    from affekt.evaluation.summary import write_summary

    if keep:
        keep_runs(runs, keep)
    if summary:
        write_summary(runs, summary)
    voices = no_voices
    if data:
        from affekt.experiments.examples import example_voices

        voices = partial(example_voices, root=data)
    with Console(stderr=True).status("reading runs and drawing the page"):
        page = build_report(runs, output, voices=voices)
    print(page)


@app.command(epilog="Example: affekt corpus ravdess RAVDESS/ -o manifest.csv")
def corpus(
    name: Annotated[str, typer.Argument(help="A known corpus, or a name for your own.")],
    root: Annotated[Path, typer.Argument(help="Its folder, or the CSV table of your own.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Manifest to write.")] = Path(
        "manifest.csv"
    ),
    task: Annotated[
        str | None, typer.Option(help="Labels: four or all. (Default: four; all for your own.)")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take what is there, complete or not.")
    ] = False,
    speaker: Annotated[
        str, typer.Option(help="Your own: expression that finds the speaker in a path.")
    ] = "",
    label: Annotated[
        list[str] | None, typer.Option(help="Your own: OWN=LABEL, or OWN= to leave it out.")
    ] = None,
) -> None:
    """Check a corpus against the published one, and write its manifest."""
    from affekt.corpora import CORPORA, survey, survey_own, write_manifest

    labels = dict(pair.rpartition("=")[::2] for pair in label or ())
    if "" in labels:
        raise typer.BadParameter("--label must read OWN=LABEL, or OWN= to leave clips out.")
    if name in CORPORA and (labels or speaker):
        raise typer.BadParameter(f"--label and --speaker are for your own data, not for {name}.")
    if name in CORPORA:
        found = survey(CORPORA[name], root, task or "four", watch=watched)
    elif speaker or root.is_file():
        task = task or "all"
        found = survey_own(name, root, task, labels=labels, speaker=speaker, watch=watched)
    else:
        known = ", ".join(CORPORA)
        raise typer.BadParameter(f"NAME is none of {known}; your own data need --speaker or a CSV.")
    if output.exists() and root.is_file() and output.samefile(root):
        raise typer.BadParameter(f"{output} is the table that is read. Name another --output.")
    comparison(found)
    write_manifest(found.manifest(partial=partial), output)
    if found.faults():
        complain(f"{output} holds a part of {name} only: {found.faults()}")


@app.command(epilog="Example: affekt weights --download yamnet.h5")
def weights(
    name: Annotated[
        str | None, typer.Argument(help="yamnet.tflite or yamnet.h5.", show_default=False)
    ] = None,
    fetch: Annotated[
        bool, typer.Option("--download", help="Fetch it (yamnet.tflite) into the user's cache.")
    ] = False,
) -> int:
    """Show where the weights that training starts from are looked for, and what is there."""
    from affekt.model.official import download, survey

    if fetch:
        print(download(name or "yamnet.tflite"))
        return 0
    places = list(survey(name))
    for place in places:
        print(f"{place.state:8}  {place.bytes:>10,} bytes  {place.file}")
    if any(place.state == "official" for place in places):
        return 0
    complain("none of them is the official file. Run affekt weights --download.")
    return 1


app.command(
    epilog="Example: affekt export runs/ravdess-held-out-1a2b3c4d5e6f/ -o yamnet-lstm.onnx"
)(export)
app.command(
    cls=WithKnobs, epilog="Example: affekt run recipes/ravdess-yamnet-lstm.toml --folds 1,5"
)(run)


if __name__ == "__main__":
    sys.exit(main())
