"""Describe the service as an OpenAPI document.

``openapi.json`` is that document without what depends on the model and the limits of the service,
and without what all operations or errors have in common.

Source: OpenAPI Specification 3.1.1.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import affekt
from affekt.service.answers import SPEAKER_VALUES

FILE = Path(__file__).with_suffix(".json")
SHARE = {"type": "number", "minimum": 0, "maximum": 1}
ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
EVERYWHERE = ("401", "403", "405", "500")  # statuses that every operation may answer


def document(labels: Sequence[str], max_upload: int) -> dict[str, Any]:
    """Build the document for the labels of a model, and the most bytes of a recording."""
    text = FILE.read_text(encoding="utf-8").replace("MAX_UPLOAD", str(max_upload))
    stored: dict[str, Any] = json.loads(text)
    stored["info"]["version"] = affekt.__version__
    components = stored["components"]
    components["parameters"]["speakers"]["schema"]["enum"] = [*SPEAKER_VALUES]
    components["schemas"]["Label"]["enum"] = [*labels, "uncertain"]
    shares = {"properties": dict.fromkeys(labels, SHARE), "required": [*labels]}
    components["schemas"]["Probabilities"] |= shares
    for response in components["responses"].values():
        response["content"] = ERROR
    for methods in stored["paths"].values():
        for method, operation in methods.items():
            for status in components["responses"] if method == "post" else EVERYWHERE:
                operation["responses"][status] = {"$ref": f"#/components/responses/{status}"}
    del stored["paths"]["/health"]["get"]["responses"]["401"]  # it needs no token
    return stored
