"""The command ``serve``: on which address, then one library call."""

from typing import Annotated

import typer

from affekt.commands.options import Adapt, MinConfidence, Model, Profile
from affekt.errors import RunError

PATIENCE = 300.0  # s that a client may be too busy to answer a ping
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for other machines too, with --name.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8_000,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Another host name that it may be called by."),
    ] = None,
    model: Model = None,
    profile: Profile = None,
    adapt: Adapt = False,
    min_confidence: MinConfidence = 0.0,
) -> None:
    """Show a voice's emotion in a browser while it speaks, and answer programs over HTTP.

    The sound is heard here and goes no further. Ctrl-C ends it.
    """
    import socket

    import uvicorn

    from affekt.inference.predictor import load
    from affekt.service.app import make_app
    from affekt.service.live_session import MAX_MESSAGE

    predictor = load(model, profile=profile, adapt=adapt, min_confidence=min_confidence)
    app = make_app(predictor, hosts={*LOOPBACK, host, *(name or ())})
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((host, port))
            door.listen()
        except OSError as error:
            raise RunError(
                f"{host}, port {port}, must be free to listen on. Got: {error.strerror}. "
                f"Use another --port or --host."
            ) from error
        called = host if ":" not in host else f"[{host}]"
        print(f"http://{called}:{door.getsockname()[1]}", flush=True)
        config = uvicorn.Config(
            app,
            log_level="warning",
            lifespan="off",
            ws_max_size=2 * MAX_MESSAGE,  # longer messages are answered with an error
            ws_ping_timeout=PATIENCE,
            timeout_graceful_shutdown=1,
        )
        uvicorn.Server(config).run(sockets=[door])
