"""Implement ``affekt stream``: open the audio source, then print live predictions."""

import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from affekt.commands import options
from affekt.commands.options import argument, option, refuse_together
from affekt.commands.output.printing import complain, sigterm_as_ctrl_c
from affekt.commands.output.stream_printing import print_stream
from affekt.errors import AudioError

if TYPE_CHECKING:
    from affekt.audio.pcm import Decoded

STDIN = "-"


def stream(
    source: Annotated[
        str | None, argument("[-]", "- for standard input; default: the microphone.")
    ] = None,
    as_json: options.Json = False,
    model: options.Model = None,
    profile: options.Profile = None,
    adapt: options.Adapt = False,
    min_confidence: options.MinConfidence = 0.0,
    no_quality: options.NoQuality = False,
    channel: options.AnyChannel = None,
    rate: Annotated[
        int | None, option("HZ", "Sample rate of raw samples (default: 16000) or microphone.")
    ] = None,
    channels: Annotated[int | None, option("N", "Channels of raw samples (default: 1).")] = None,
    encoding: Annotated[
        str | None,
        option("NAME", "FFmpeg's name of raw samples: s16le (default), f32le, mulaw ..."),
    ] = None,
    device: options.Device = None,
) -> int:
    """Predict the emotion of live speech, window by window.

    Audio comes from a microphone (extra mic), or with - from standard input: a WAV or another
    format that can be read while it arrives, or raw samples. Ctrl-C ends it.
    """
    from affekt.inference.live import listen
    from affekt.inference.predictor import load
    from affekt.inference.speech.quality import LIMITS

    limits = None if no_quality else LIMITS
    chosen = options.channel_of(channel)
    each = chosen == "each"
    refuse_together({"--channel each": each, "--profile": profile})
    if each and source is None:
        raise typer.BadParameter("--channel each needs standard input (-). Got the microphone.")
    predictor = load(
        model, profile=profile, adapt=adapt, min_confidence=min_confidence, limits=limits
    )
    if each and predictor.graph.profile:  # as in a timeline of several speakers
        predictor = replace(predictor, adapt=True)
    audio = _open_source(source, rate=rate, channels=channels, encoding=encoding, device=device)
    try:
        with sigterm_as_ctrl_c():
            moments = listen(predictor.stream, audio, channel=chosen)
            least = predictor.min_confidence
            print_stream(moments, predictor.labels, min_confidence=least, as_json=as_json)
    except AudioError as error:
        complain(str(error))
        return 1
    return 0


def _open_source(
    source: str | None,
    *,
    rate: int | None,
    channels: int | None,
    encoding: str | None,
    device: str | None,
) -> "AbstractContextManager[Decoded]":
    """Check the options of the audio source; the returned context manager opens it."""
    from affekt.audio.decoding import decode
    from affekt.audio.headers import checked
    from affekt.audio.microphone import microphone
    from affekt.audio.pcm import ENCODINGS, Pcm
    from affekt.audio.windows import SAMPLE_RATE

    if source not in (None, STDIN):
        raise typer.BadParameter(
            f"the source must be - for standard input, or left out for the microphone. "
            f"Got {source}. For recordings, use affekt predict."
        )
    hertz = SAMPLE_RATE if rate is None else rate
    checked(hertz, 1 if channels is None else channels, "the stream")
    if source is None:
        if channels or encoding:
            option = "--channels" if channels else "--encoding"
            raise typer.BadParameter(f"{option} needs raw samples from standard input (-).")
        return microphone(device, sample_rate=rate)
    refuse_together({"--device": device, "standard input (-)": True})
    if encoding and encoding not in ENCODINGS:
        names = ", ".join(ENCODINGS)
        raise typer.BadParameter(f"--encoding must be one of {names}. Got {encoding}.")
    if sys.stdin.isatty():
        raise typer.BadParameter(
            "standard input must be a pipe or file. Got a terminal. Leave out - for the microphone."
        )
    pcm = Pcm(encoding or "s16le", hertz, channels or 1)
    return decode(sys.stdin.buffer, "standard input", pcm=pcm)
