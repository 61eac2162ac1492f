"""Describe the service as an OpenAPI document.

``openapi.json`` is that document without what depends on the model and the limits of the service.

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


def document(labels: Sequence[str], max_upload: int) -> dict[str, Any]:
    """Build the document for the labels of a model, and the most bytes of a recording."""
    text = FILE.read_text(encoding="utf-8").replace("MAX_UPLOAD", str(max_upload))
    stored = json.loads(text)
    stored["info"]["version"] = affekt.__version__
    components = stored["components"]
    components["parameters"]["speakers"]["schema"]["enum"] = [*SPEAKER_VALUES]
    components["schemas"]["Label"]["enum"] = [*labels, "uncertain"]
    shares = {"properties": dict.fromkeys(labels, SHARE), "required": [*labels]}
    components["schemas"]["Probabilities"] |= shares
    schemas = {name: components[name] for name in ("schemas", "securitySchemes")}
    return {**stored, "paths": _expanded(stored["paths"], components), "components": schemas}


def _expanded(part: Any, components: dict[str, Any]) -> Any:
    """Replace references, but those to schemas, so that readers need not follow them."""
    if isinstance(part, list):
        return [_expanded(each, components) for each in part]
    if not isinstance(part, dict):
        return part
    *_, kind, name = part.get("$ref", "/").split("/")
    if kind in ("parameters", "requestBodies", "responses"):
        return components[kind][name]
    return {key: _expanded(value, components) for key, value in part.items()}
