"""Read an uploaded recording into memory: a raw body, or a form with one file."""

from collections.abc import AsyncGenerator
from io import BytesIO

from anyio import fail_after
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from affekt.errors import AudioError

FORM = "multipart/form-data"


class Upload(BytesIO):
    """An uploaded recording; error messages call it by ``name``."""

    name = "the recording"


class UploadTooLargeError(AudioError):
    """A recording of more bytes than the service takes."""


async def read_upload(request: Request, limit: int, idle: float) -> Upload:
    """Read a recording of at most ``limit`` bytes, the body of a request or the file of its form.

    Raises:
        UploadTooLargeError: more bytes.
        AudioError: a form without a file, with several, or that is damaged.
        TimeoutError: no byte for ``idle`` seconds.
        starlette.requests.ClientDisconnect: the client left.
    """
    if request.headers.get("content-type", "").lower().startswith(FORM):
        return await _from_form(request, limit, idle)
    return Upload(b"".join([chunk async for chunk in _limited(request, limit, idle)]))


async def _limited(request: Request, limit: int, idle: float) -> AsyncGenerator[bytes, None]:
    size, stream = 0, request.stream()
    while True:
        with fail_after(idle):
            chunk = await anext(stream, None)
        if chunk is None:
            return
        size += len(chunk)
        if size > limit:
            raise UploadTooLargeError(
                f"a recording must have at most {limit} bytes. Got more. Use affekt predict."
            )
        yield chunk


async def _from_form(request: Request, limit: int, idle: float) -> Upload:
    chunks = _limited(request, limit, idle)
    parser = MultiPartParser(request.headers, chunks, max_files=1, max_fields=0)
    parser.spool_max_size = limit + 1  # nothing goes to the disk
    try:
        form = await parser.parse()
    except (MultiPartException, UnicodeError) as error:  # the latter of a strange charset
        got = getattr(error, "message", str(error)).rstrip(".")
        raise AudioError(
            f"a form must hold one file and nothing else. Got: {got}. "
            f"Send it as curl -F file=@a.wav does."
        ) from error
    try:
        for part in form.values():
            if isinstance(part, UploadFile):
                return Upload(await part.read())
    finally:
        await form.close()
    raise AudioError(
        "a form must hold one file. Got none. Send it as curl -F file=@a.wav does, or as the body."
    )
