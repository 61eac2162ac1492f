"""Implement ``affekt serve``: open a port, then run the web service."""

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from affekt.commands.options import Adapt, MinConfidence, Model, Profile, flag, option
from affekt.errors import AffektError, RunError


def serve(
    host: Annotated[
        str, option("ADDRESS", "Address to listen on (default: 127.0.0.1, this machine only).")
    ] = "127.0.0.1",
    port: Annotated[
        int, option("N", "Port (default: 8000); 0 takes a free one.", min=0, max=65535)
    ] = 8_000,
    name: Annotated[
        list[str] | None, option("HOST", "Host name that other machines use; repeatable.")
    ] = None,
    model: Model = None,
    profile: Profile = None,
    adapt: Adapt = False,
    min_confidence: MinConfidence = 0.0,
    journal: Annotated[
        Path | None, option("JOURNAL", "Show the report of this journal as a tab (extra journal).")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, option("ORIGIN", "Site whose pages may call the service; repeatable.")
    ] = None,
    tokens: Annotated[
        Path | None, option("FILE", "Admit only requests with a token of this file, one a line.")
    ] = None,
    access_log: Annotated[
        bool, flag("--access-log", "Log each request as JSON to standard error.")
    ] = False,
    workers: Annotated[
        int, option("N", "Processes that answer requests (default: 1).", min=1, max=1024)
    ] = 1,
    browser_runtime: Annotated[
        Path | None,
        option("FOLDER", "Let the page run the model, with this folder's ONNX Runtime Web."),
    ] = None,
) -> None:
    """Serve a web page that shows the emotion of live speech, and an HTTP API.

    Audio is processed on this machine and sent to no other. Ctrl-C ends the service; recordings
    that have arrived are answered first.
    """
    from affekt.inference.predictor import load
    from affekt.service.app import make_app
    from affekt.service.browser_model import runtime_folder
    from affekt.service.processes import listeners, run

    if browser_runtime and (profile or min_confidence):
        raise typer.BadParameter(
            "--browser-runtime cannot be combined with --profile or --min-confidence."
        )
    for each in (host, *(name or ())):
        if not re.fullmatch(r"[\w.-]+|[\w.%]*(:[\w.%]*){2,}", each, re.ASCII):
            raise typer.BadParameter(
                f"--host and --name must be a host name or address without a port. Got {each!r}."
            )
    for origin in allow_origin or ():
        if not re.fullmatch(r"https?://[^/?#@*\s]+", origin):
            raise typer.BadParameter(
                f"--allow-origin must be one site, such as https://example.org, without a path. "
                f"Got {origin}."
            )
    ready = partial(load, model, profile=profile, adapt=adapt, min_confidence=min_confidence)
    make = partial(
        make_app,
        hosts={"localhost", "127.0.0.1", "::1", host, *(name or ())},
        journal=_reporter(journal) if journal else None,
        origins=allow_origin or (),
        tokens=tokens,
        workers=workers,
        runtime=runtime_folder(browser_runtime) if browser_runtime else None,
    )
    build = partial(_application, ready, make, access_log)
    app = build()  # several workers build their own; this one shows that they can
    try:
        opened = listeners(host, port, workers)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]
        raise RunError(
            f"{host}, port {port}, must be free to listen on. Got: {reason}. "
            f"Use another --port or --host."
        ) from error
    address = host if ":" not in host else f"[{host}]"
    print(f"http://{address}:{opened[0].getsockname()[1]}", flush=True)
    if workers == 1:
        run(lambda: app, opened)
    else:
        del app
        run(build, opened)


def _application(load: Callable[[], Any], make: Callable[..., Any], access_log: bool) -> Any:
    return make(load(), access_log=sys.stderr if access_log else None)


def _reporter(file: Path) -> Callable[[], str]:
    """Open a journal once, to check it, and return what renders its report."""
    from affekt.commands.journal import secret_of
    from affekt.journal.store import open_journal

    secret = secret_of(file)
    open_journal(file, passphrase=secret, write=False).close()
    return partial(_report, file, secret)


def _report(file: Path, secret: str | None) -> str:
    from affekt.journal.report import report_page
    from affekt.journal.store import open_journal

    try:
        with open_journal(file, passphrase=secret, write=False) as journal:
            return report_page(journal, back=True)
    except AffektError as error:  # no path of this machine is sent
        text = re.sub(f"^{re.escape(str(file))}", "the journal", str(error))
        raise RunError(text) from error
