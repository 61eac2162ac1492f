"""Implement ``affekt serve``: open a port, then run the web service."""

import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from affekt.commands.options import Adapt, MinConfidence, Model, Profile, option
from affekt.errors import AffektError, RunError

SHUTDOWN_SECONDS = 60  # for recordings that have arrived
PING_TIMEOUT = 300.0  # s without an answer to a ping, until a live session is closed
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def serve(
    host: Annotated[
        str,
        option("ADDRESS", "Address to listen on (default: 127.0.0.1, this machine only)."),
    ] = "127.0.0.1",
    port: Annotated[
        int, option("N", "Port (default: 8000); 0 takes a free one.", min=0, max=65535)
    ] = 8_000,
    name: Annotated[
        list[str] | None,
        option("HOST", "Host name that other machines use; repeatable."),
    ] = None,
    model: Model = None,
    profile: Profile = None,
    adapt: Adapt = False,
    min_confidence: MinConfidence = 0.0,
    journal: Annotated[
        Path | None,
        option("JOURNAL", "Show the report of this journal as a tab (extra journal)."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        option("ORIGIN", "Site whose pages may call the service; repeatable."),
    ] = None,
    tokens: Annotated[
        Path | None, option("FILE", "Admit only requests with a token of this file, one a line.")
    ] = None,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="Log each request as JSON to standard error.")
    ] = False,
) -> None:
    """Serve a web page that shows the emotion of live speech, and an HTTP API.

    Audio is processed on this machine and sent to no other. Ctrl-C ends the service; recordings
    that have arrived are answered first.
    """
    import socket

    import uvicorn

    from affekt.inference.predictor import load
    from affekt.service.app import make_app
    from affekt.service.http_protocol import TimedProtocol
    from affekt.service.live_session import MAX_MESSAGE
    from affekt.service.tokens import Tokens

    class Server(uvicorn.Server):
        """Tell the application when the service begins to stop."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.state.stop()
            super().handle_exit(sig, frame)

    predictor = load(model, profile=profile, adapt=adapt, min_confidence=min_confidence)
    report = _reporter(journal) if journal else None
    app = make_app(
        predictor,
        hosts={*LOOPBACK, host, *(name or ())},
        journal=report,
        origins=[_origin(each) for each in allow_origin or ()],
        tokens=Tokens(tokens) if tokens else None,
        access_log=sys.stderr if access_log else None,
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen()
        except OSError as error:
            raise RunError(
                f"{host}, port {port}, must be free to listen on. Got: {error.strerror}. "
                f"Use another --port or --host."
            ) from error
        address = host if ":" not in host else f"[{host}]"
        print(f"http://{address}:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(
            app,
            http=TimedProtocol,
            log_level="warning",
            lifespan="off",
            ws_max_size=2 * MAX_MESSAGE,  # longer messages are answered with an error
            ws_ping_timeout=PING_TIMEOUT,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        logging.getLogger("uvicorn.error").addFilter(_without_traceback)
        Server(config).run(sockets=[listener])


def _without_traceback(record: logging.LogRecord) -> bool:
    """Log text that is not UTF-8 as a fault of the client, in one line."""
    if record.exc_info and isinstance(record.exc_info[1], UnicodeDecodeError):
        record.exc_info = None
    return True


def _origin(text: str) -> str:
    if not re.fullmatch(r"https?://[^/?#\s]+", text):
        raise typer.BadParameter(
            f"--allow-origin must be like https://example.org, without a path. Got {text}."
        )
    return text


def _reporter(file: Path) -> Callable[[], str]:
    """Open a journal once, to check it, and return what renders its report."""
    from affekt.commands.journal import secret_of
    from affekt.journal.report import report_page
    from affekt.journal.store import open_journal

    secret = secret_of(file)

    def report() -> str:
        try:
            with open_journal(file, passphrase=secret, write=False) as journal:
                return report_page(journal, back=True)
        except AffektError as error:  # no path of this machine is sent
            raise RunError(str(error).replace(str(file), "the journal")) from error

    open_journal(file, passphrase=secret, write=False).close()
    return report
