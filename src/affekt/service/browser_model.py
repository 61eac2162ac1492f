"""Serve what a page needs to run the model in the browser: the model file and ONNX Runtime Web."""

import os
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from affekt.errors import RunError
from affekt.inference.graph import Graph
from affekt.shipped_folders import shipped_folder

RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")  # of onnxruntime-web
MODEL_PATH = "/model.onnx"
_IMPORT = '"onnxruntime-web/wasm"'  # in session.js, for bundlers; a page needs an address


class _Checked(StaticFiles):
    """Files that a browser caches, and loads again only if they have changed."""

    def file_response(self, path: str, stat_result: os.stat_result, *more: object) -> Response:  # type: ignore[override]
        """Return the file, or that it has not changed."""
        response = super().file_response(path, stat_result, *more)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        return response


def runtime_folder(folder: Path) -> Path:
    """Return a folder of ONNX Runtime Web; raise a RunError if a file is missing."""
    if missing := [name for name in RUNTIME if not (folder / name).is_file()]:
        raise RunError(
            f"{folder} must hold {' and '.join(RUNTIME)}. Got no {missing[0]}. Name the folder "
            f"dist of the npm package onnxruntime-web."
        )
    return folder


def browser_routes(graph: Graph, runtime: Path) -> list[BaseRoute]:
    """Routes to the model file, to the folder of ONNX Runtime Web, and to what imports it."""
    text = (shipped_folder("web") / "session.js").read_text(encoding="utf-8")
    text = text.replace(_IMPORT, f'"../runtime/{RUNTIME[0]}"')

    async def session(_: Request) -> Response:
        return Response(text, media_type="text/javascript")

    async def model(_: Request) -> Response:  # asked for with its digest: kept for a day
        return FileResponse(graph.file, headers={"Cache-Control": "private, max-age=86400"})

    return [
        Route("/affekt/session.js", session),
        Route(MODEL_PATH, model),
        Mount("/runtime", _Checked(directory=runtime)),
    ]
