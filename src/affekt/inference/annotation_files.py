"""Write utterances as annotation files: Audacity labels, TextGrid, WebVTT and RTTM.

Source: the manuals of Audacity ("Importing and Exporting Labels") and Praat ("TextGrid file
formats"); W3C, "WebVTT"; NIST, "The 2009 Rich Transcription Evaluation Plan", appendix A.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from affekt.inference.timeline import Utterance

WEBVTT_HEAD = "WEBVTT\n"


def audacity(utterance: Utterance) -> str:
    """One line of a label track for Audacity: start, end and label in columns.

    >>> audacity(Utterance("", 1.0, 2.5, "happy", {"happy": 1.0}, 1.0))
    '1.000000\\t2.500000\\thappy'
    """
    return f"{utterance.start:.6f}\t{utterance.end:.6f}\t{' '.join(utterance.label.split())}"


def webvtt(utterance: Utterance) -> str:
    """One subtitle, label and probability, for a file that begins with :data:`WEBVTT_HEAD`.

    >>> print(webvtt(Utterance("", 1.0, 3725.5, "happy", {"happy": 0.8}, 1.0)))
    00:00:01.000 --> 01:02:05.500
    happy 80%
    <BLANKLINE>
    """
    label = " ".join(utterance.label.split())
    for character, escape in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        label = label.replace(character, escape)
    sure = max(utterance.probabilities.values())
    return f"{_clock(utterance.start)} --> {_clock(utterance.end)}\n{label} {sure:.0%}\n"


def rttm(utterance: Utterance) -> str:
    """One line of Rich Transcription Time Marks, the emotion where a speaker's name would be.

    The fields are file, start, duration, label and, as confidence, the label's probability.

    >>> rttm(Utterance("calls/a b.wav", 1.0, 2.5, "happy", {"happy": 0.8}, 1.0))
    'SPEAKER calls/a_b 1 1.000 1.500 <NA> <NA> happy 0.800 <NA>'
    """
    name = utterance.file.removesuffix(Path(utterance.file).suffix)  # with its folder: mic.wav
    file, label = _word(name), _word(utterance.label)
    times = f"{utterance.start:.3f} {utterance.end - utterance.start:.3f}"
    sure = max(utterance.probabilities.values())
    return f"SPEAKER {file} 1 {times} <NA> <NA> {label} {sure:.3f} <NA>"


def textgrid(utterances: Sequence[Utterance], seconds: float) -> str:
    """A whole TextGrid for Praat: one tier, its intervals without speech empty.

    Args:
        utterances: of one recording, in order and apart.
        seconds: how long the recording is.

    Returns:
        The file's text.
    """
    marks = [*_intervals(utterances, seconds)]
    span = f"xmin = 0\n{{0}}xmax = {marks[-1][1]:.6f}\n"
    lines = ['File type = "ooTextFile"\nObject class = "TextGrid"\n\n' + span.format("")]
    lines.append("tiers? <exists>\nsize = 1\nitem []:\n    item [1]:\n")
    lines.append('        class = "IntervalTier"\n        name = "emotion"\n')
    lines.append("        " + span.format(" " * 8))
    lines.append(f"        intervals: size = {len(marks)}\n")
    for number, (start, end, label) in enumerate(marks, 1):
        text = label.replace('"', '""')
        lines.append(
            f"        intervals [{number}]:\n            xmin = {start:.6f}\n"
            f'            xmax = {end:.6f}\n            text = "{text}"\n'
        )
    return "".join(lines)


LINES = {"audacity": audacity, "webvtt": webvtt, "rttm": rttm}


def _intervals(
    utterances: Sequence[Utterance], seconds: float
) -> Iterator[tuple[float, float, str]]:
    """Start, end and label of intervals that leave nothing out; a tier must have one."""
    at = 0.0
    for each in utterances:
        if each.start > at:
            yield at, each.start, ""
        yield each.start, each.end, each.label
        at = each.end
    if seconds > at or not utterances:
        yield at, seconds, ""


def _word(text: str) -> str:
    """Text without blanks, which part the fields of a line."""
    return "_".join(text.split()) or "-"


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1_000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1_000:02}.{milliseconds % 1_000:03}"
