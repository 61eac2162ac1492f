"""Write utterances as an annotation document for ELAN.

Source: MPI for Psycholinguistics, "EAF Annotation Format".
"""

import mimetypes
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from affekt.inference.timelines.timeline import Utterance

SCHEMA = {
    "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation": (
        "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
    )
}


def eaf(utterances: Sequence[Utterance], file: str) -> str:
    """A whole annotation document: a tier for each speaker; it names the recording beside it.

    Args:
        utterances: of one recording, in order.
        file: name of the recording.

    Returns:
        The file's text, XML.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"AUTHOR": "affekt", "DATE": now, "FORMAT": "3.0", "VERSION": "3.0"}
    root = ElementTree.Element("ANNOTATION_DOCUMENT", {**about, **SCHEMA})
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if file:
        name = f"./{Path(file).name}"
        kind = mimetypes.guess_type(file)[0] or "audio/x-wav"
        media = {"MEDIA_URL": name, "RELATIVE_MEDIA_URL": name, "MIME_TYPE": kind}
        ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", media)
    order = ElementTree.SubElement(root, "TIME_ORDER")
    speakers = [*dict.fromkeys(each.speaker for each in utterances)] or [None]
    tiers = {
        speaker: ElementTree.SubElement(
            root, "TIER", TIER_ID=speaker or "emotion", LINGUISTIC_TYPE_REF="emotion"
        )
        for speaker in speakers
    }
    for number, each in enumerate(utterances, 1):
        start, end = f"ts{2 * number - 1}", f"ts{2 * number}"
        for slot, seconds in ((start, each.start), (end, each.end)):
            time = {"TIME_SLOT_ID": slot, "TIME_VALUE": str(round(seconds * 1_000))}
            ElementTree.SubElement(order, "TIME_SLOT", time)
        span = {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": start, "TIME_SLOT_REF2": end}
        annotation = ElementTree.SubElement(tiers[each.speaker], "ANNOTATION")
        aligned = ElementTree.SubElement(annotation, "ALIGNABLE_ANNOTATION", span)
        ElementTree.SubElement(aligned, "ANNOTATION_VALUE").text = each.label
    kind_of_tier = {"LINGUISTIC_TYPE_ID": "emotion", "TIME_ALIGNABLE": "true"}
    ElementTree.SubElement(root, "LINGUISTIC_TYPE", {**kind_of_tier, "GRAPHIC_REFERENCES": "false"})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
