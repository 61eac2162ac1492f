"""Describe the service as an OpenAPI document.

Source: OpenAPI Specification 3.1.1.
"""

from collections.abc import Sequence
from typing import Any

import affekt
from affekt.service.answers import SPEAKER_VALUES

Json = dict[str, Any]

_PREDICT = """Recognize one recording of any format that FFmpeg reads. The result is that of \
`affekt predict --json`. The recording is held in memory until it is answered, and not stored."""
_TIMELINE = """Recognize every utterance of a recording, as `affekt predict --timeline` does."""
_EMBED = """Compute the vector that the network pools over a recording, as `affekt embed` does. \
Models of affekt 0.1 have none."""
_ABOUT = """Recognize the emotion in a voice. Live sound goes to the WebSocket `/stream`, which \
OpenAPI cannot describe: see the documentation of the service."""


def document(labels: Sequence[str], max_upload: int) -> Json:
    """Build the document.

    Args:
        labels: of the model.
        max_upload: bytes of a recording, at most.

    Returns:
        An OpenAPI 3.1 document, to be sent as JSON.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "affekt",
            "version": affekt.__version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/predict": {"post": _upload("predict", _PREDICT, "Prediction", max_upload)},
            "/timeline": {"post": _upload("timeline", _TIMELINE, "Timeline", max_upload)},
            "/embed": {"post": _upload("embed", _EMBED, "Embedding", max_upload)},
            "/model": {"get": _get("model", "Labels and licence of the model.", "Model")},
            "/health": {"get": _health()},
            "/metrics": {"get": _text("metrics", "Counts and times, as Prometheus reads them.")},
            "/openapi.json": {"get": _get("openapi", "This document.", None)},
        },
        "components": {
            "schemas": _schemas(labels),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],  # a token only where the service was started with tokens
    }


def _upload(name: str, description: str, schema: str, max_upload: int) -> Json:
    binary = {"schema": {"type": "string", "format": "binary"}}
    form = {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
    }
    return {
        "operationId": name,
        "summary": description.partition(".")[0] + ".",
        "description": description,
        "parameters": [
            _query("adapt", {"type": "number"}, "1 updates the profile with the sound."),
            _query(
                "min_confidence",
                {"type": "number", "minimum": 0, "maximum": 1},
                "Probability below which the label is uncertain.",
            ),
            _query("channel", {"type": "integer", "minimum": 0}, "The channel to use, from 0."),
            _query("quality", {"type": "number"}, "0 answers whatever the quality of the sound."),
            *(
                [
                    _query("time_constant", {"type": "number", "minimum": 0}, "Seconds; 0: none."),
                    _query(
                        "speakers",
                        {"type": "string", "enum": [*SPEAKER_VALUES]},
                        "How many to tell apart, auto to count them, each for one a channel.",
                    ),
                ]
                if name == "timeline"
                else []
            ),
            {
                "name": "Profile",
                "in": "header",
                "description": "Profile of the speaker: its file in base64.",
                "schema": {"type": "string", "contentEncoding": "base64"},
            },
        ],
        "requestBody": {
            "required": True,
            "description": f"A recording of at most {max_upload} bytes, or a form with one file.",
            "content": {
                "application/octet-stream": binary,
                "multipart/form-data": {"schema": form},
            },
        },
        "responses": {
            "200": _json("The answer.", schema),
            "400": {"description": "The client left, or sent two lengths."},
            "408": _json("The body did not arrive in time.", "Error"),
            "413": _json("The recording is too large.", "Error"),
            "422": _json("The recording, query or profile cannot be used.", "Error"),
            "503": _json("Too many recordings at a time, or the service stops.", "Error"),
            **_common(),
        },
    }


def _get(name: str, summary: str, schema: str | None) -> Json:
    answers = {"200": _json(summary, schema), **_common()}
    return {"operationId": name, "summary": summary, "responses": answers}


def _health() -> Json:
    summary = "Whether the model answers a known sound."
    answers = {
        "200": _json("Ready.", "Health"),
        "503": _json("Failing or stopping.", "Health"),
        **_common(),
    }
    return {
        "operationId": "health",
        "summary": summary,
        "security": [{}],
        "responses": answers,
    }


def _text(name: str, summary: str) -> Json:
    content = {"text/plain": {"schema": {"type": "string"}}}
    answers = {"200": {"description": summary, "content": content}, **_common()}
    return {"operationId": name, "summary": summary, "responses": answers}


def _common() -> Json:
    refused = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "401": _json("A token is needed.", "Error"),
        "403": {"description": "A foreign host name or origin.", "content": refused},
        "500": _json("The service failed; the error names the request.", "Error"),
        "405": _json("Another method; Allow names the right one.", "Error"),
    }


def _json(description: str, schema: str | None) -> Json:
    shape = {"$ref": f"#/components/schemas/{schema}"} if schema else {"type": "object"}
    return {"description": description, "content": {"application/json": {"schema": shape}}}


def _query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _schemas(labels: Sequence[str]) -> Json:
    share = {"type": "number", "minimum": 0, "maximum": 1}
    shares = {
        "type": "object",
        "properties": dict.fromkeys(labels, share),
        "required": [*labels],
    }
    seconds = {"type": "number", "minimum": 0, "description": "seconds"}
    label = {"type": "string", "enum": [*labels, "uncertain"]}
    text = {"type": "string"}
    segment = {"start": seconds, "end": seconds, "label": label, "probabilities": shares}
    segments = {"type": "array", "items": {"$ref": "#/components/schemas/Segment"}}
    utterances = {"type": "array", "items": {"$ref": "#/components/schemas/Utterance"}}
    prediction = {
        "file": text,
        "duration": seconds,
        "label": label,
        "probabilities": shares,
        "segments": segments,
    }
    model = {
        "name": text,
        "licence": text,
        "labels": {"type": "array", "items": text},
        "hop_seconds": seconds,
        "knows_speakers": {"type": "boolean"},
        "has_journal": {"type": "boolean"},
        "has_service": {"type": "boolean", "const": True},
        "browser_model": {
            "description": "Model file for the page, if the browser can run it.",
            "type": ["object", "null"],
            "properties": {"address": text, "sha256": text},
        },
    }
    status = {"type": "string", "enum": ["ready", "failing", "stopping"]}
    return {
        "Prediction": _object(prediction),
        "Segment": _object(segment),
        "Timeline": _object({"duration": seconds, "utterances": utterances}),
        "Utterance": _object({**segment, "speech": share}),
        "Embedding": _object({"embedding": {"type": "array", "items": {"type": "number"}}}),
        "Model": _object(model),
        "Health": {
            "type": "object",
            "properties": {
                "status": status,
                **dict.fromkeys(("model", "sha256", "version", "error"), text),
            },
            "required": ["status"],
        },
        "Error": _object({"error": text}),
    }


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": [*properties]}
