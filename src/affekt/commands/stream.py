"""The command ``stream``: where the sound comes from, then one library call."""

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

import typer

from affekt.commands.options import Adapt, Channel, MinConfidence, Model, Profile
from affekt.commands.printing import complain, stopped_by_term
from affekt.commands.stream_printing import show_moments
from affekt.errors import AudioError

if TYPE_CHECKING:
    from affekt.audio.pcm import Decoded

STDIN = "-"


def stream(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[-]",
            help="- for standard input; the microphone if it is left out.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    model: Model = None,
    profile: Profile = None,
    adapt: Adapt = False,
    min_confidence: MinConfidence = 0.0,
    channel: Channel = None,
    rate: Annotated[
        int | None, typer.Option(help="Hz of raw samples (else 16000), or of the microphone.")
    ] = None,
    channels: Annotated[int | None, typer.Option(help="Of raw samples (else 1).")] = None,
    encoding: Annotated[
        str | None,
        typer.Option(help="Of raw samples, as FFmpeg calls it: f32le, mulaw... (else s16le)."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="The microphone's number or name (else the system's).")
    ] = None,
) -> int:
    """Name the emotion of a voice while it speaks, window by window.

    The voice comes from a microphone (needs extra mic), or from standard input: a WAV or another
    recording, known by its first bytes, or else raw samples. Ctrl-C ends it.
    """
    from affekt.inference.listening import listen
    from affekt.inference.predictor import load

    predictor = load(model, profile=profile, adapt=adapt, min_confidence=min_confidence)
    sound = _voice(source, rate=rate, channels=channels, encoding=encoding, device=device)
    try:
        with stopped_by_term():
            moments = listen(predictor.stream(), sound, channel=channel)
            show_moments(moments, predictor.labels, as_json=as_json)
    except AudioError as error:
        complain(str(error))
        return 1
    return 0


def _voice(
    source: str | None,
    *,
    rate: int | None,
    channels: int | None,
    encoding: str | None,
    device: str | None,
) -> "AbstractContextManager[Decoded]":
    """What to listen to, opened once it is entered."""
    from affekt.audio.decoding import decode
    from affekt.audio.headers import checked
    from affekt.audio.microphone import microphone
    from affekt.audio.pcm import ENCODINGS, Pcm
    from affekt.audio.windows import SAMPLE_RATE

    if source not in (None, STDIN):
        raise typer.BadParameter(
            f"affekt stream listens to a microphone or, with -, to standard input. Got {source}. "
            f"Recordings are for affekt predict."
        )
    hertz = SAMPLE_RATE if rate is None else rate
    checked(hertz, 1 if channels is None else channels, "the stream")
    if source is None:
        if channels or encoding:
            raise typer.BadParameter("--channels and --encoding are for raw samples, with -.")
        return microphone(device, sample_rate=rate)
    if device:
        raise typer.BadParameter("--device is for the microphone, without -.")
    if encoding and encoding not in ENCODINGS:
        known = ", ".join(ENCODINGS)
        raise typer.BadParameter(f"--encoding must be one of {known}. Got {encoding}.")
    if sys.stdin.isatty():
        raise typer.BadParameter("standard input is a terminal. Pipe sound in, or leave out the -.")
    pcm = Pcm(encoding or "s16le", hertz, channels or 1)
    return decode(sys.stdin.buffer, "standard input", pcm=pcm)
