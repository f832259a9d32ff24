"""What the OpenAPI document says beyond the views: every refusal, the headers of both ways, scopes, and that forms hold nothing else."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.db.models import CharField, PositiveIntegerField, PositiveSmallIntegerField
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_bearer_security_scheme_object
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from crm.api.bodies import PROBLEM
from crm.api.contract import LARGEST_ID, scopes_for
from crm.api.schema_examples import EXAMPLES, REFUSALS

_HEADERS = {
    "X-Request-ID": ("string", "Names this call in the log of the installation; send your own to find it there."),
    "RateLimit-Limit": ("integer", "How many calls a key may make in a minute."),
    "RateLimit-Remaining": ("integer", "How many of them are left."),
    "RateLimit-Reset": ("integer", "Seconds until the next minute begins."),
    "ETag": ("string", "Names what is shown here as it is now; send it back in If-Match or If-None-Match."),
    "Retry-After": ("integer", "Seconds to wait before the next try."),
    "WWW-Authenticate": ("string", "How to send a key."),
    "Idempotent-Replayed": ("string", "`true`: nothing was done; this is the answer that the same call got before."),
}
_COUNTED = ["X-Request-ID", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]
_PARAMETERS = {
    "Idempotency-Key": (
        "header",
        "Do this once, however often it is sent: the same call with the same key gets the same answer for a day.",
    ),
    "If-Match": ("header", "Do this only if the record is still the one with this ETag; else 412 and nothing is changed."),
    "If-None-Match": ("header", "Answer 304 without a body if this is still the ETag."),
}
_ONE_SHAPE = {
    "type": "object",
    "description": "The one shape of every refusal: problem details of RFC 9457.",
    "required": ["type", "title", "status", "code", "detail", "message", "errors", "facts"],
    "properties": {
        "type": {"type": "string", "description": "The code once more, as a URN."},
        "title": {"type": "string", "description": "What the status means."},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable, for machines.", "examples": ["gate_closed"]},
        "detail": {"type": "string", "description": "A sentence in the caller's language."},
        "message": {"type": "string", "description": "The same sentence."},
        "errors": {
            "type": "array",
            "description": "What is wrong where.",
            "items": {
                "type": "object",
                "required": ["path", "reasons"],
                "properties": {
                    "path": {"type": "string", "description": "Of the body, or a parameter's name; empty: the whole.", "examples": ["rows/3/email"]},
                    "reasons": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
        "facts": {"type": "object", "description": "What a machine may want to know besides.", "additionalProperties": {}},
    },
}  # fmt: skip


class KeyScheme(OpenApiAuthenticationExtension):
    """How a key is sent."""

    target_class, name = "crm.api.keys.KeyAuthentication", "knoxApiToken"

    def get_security_definition(self, auto_schema):
        return build_bearer_security_scheme_object(header_name="Authorization", token_prefix="Token")  # noqa: S106


class Schema(AutoSchema):
    """What an operation needs of a key stands with it."""

    def get_extensions(self) -> dict[str, Any]:
        return super().get_extensions() | {"x-required-scopes": scopes_for(self.method, self.view)}

    def get_override_parameters(self) -> list[OpenApiParameter]:
        given: list[OpenApiParameter] = super().get_override_parameters()
        if self.method != "GET" or getattr(self.view, "action", None) not in ("list", "retrieve"):
            return given
        names = list(self.get_response_serializers().fields)
        text = "Only these fields of a record, e.g. `id,name`."
        return [*given, OpenApiParameter("fields", str, enum=names, many=True, style="form", explode=False, description=text)]

    def _map_serializer_field(self, field: Any, direction: str, bypass_extensions: bool = False) -> Any:
        schema = super()._map_serializer_field(field, direction, bypass_extensions)
        if isinstance(field, serializers.PrimaryKeyRelatedField) and direction == "request" and "type" in schema:
            schema |= {"minimum": 1, "maximum": LARGEST_ID}
        if isinstance(field, serializers.DecimalField) and field.min_value == 0 and "pattern" in schema:
            schema["pattern"] = schema["pattern"].replace("-?", "")
        if getattr(field, "is_judged_by_row", False):
            schema["items"] = {"anyOf": [schema["items"], {}]}
        if direction == "response" and "enum" in schema and _may_be_empty(field):
            schema["enum"] = [*schema["enum"], ""]
        return schema

    def _insert_field_validators(self, field: Any, schema: dict[str, Any]) -> None:
        super()._insert_field_validators(field, schema)
        if (most := _LARGEST.get(type(_column(field)))) and "maximum" in schema:
            # SQLite would take more than PostgreSQL does; the document is one for both.
            schema["maximum"] = most
            schema.pop("format", None)
        if field.read_only and schema.get("format") == "email" and _may_be_empty(field):
            del schema["format"]


# The most that every database can hold.
_LARGEST: dict[type, int] = {PositiveSmallIntegerField: 2**15 - 1, PositiveIntegerField: 2**31 - 1}


def _column(field: Any) -> Any:
    """Find the column that a field of a form shows; None for what is none."""
    model = getattr(getattr(field.parent, "Meta", None), "model", None)
    return next((one for one in model._meta.fields if one.name == field.source), None) if model else None


def _may_be_empty(field: Any) -> bool:
    """Say whether a field shows a column that may hold an empty text."""
    column = _column(field)
    return isinstance(column, CharField) and column.blank


def complete(result: dict[str, Any], generator: object, **_kwargs: object) -> dict[str, Any]:
    """Add headers and refusals to every operation, and close the forms; a hook of the schema generator."""
    components = result["components"]
    components["schemas"]["Problem"] = _ONE_SHAPE
    components["headers"] = {name: {"description": text, "schema": {"type": kind}} for name, (kind, text) in _HEADERS.items()}
    components["parameters"] = {name: _parameter(name) for name in _PARAMETERS}
    components["responses"] = {f"Problem{status}": _refusal(status) for status in REFUSALS}
    for name, schema in components["schemas"].items():
        if name.endswith("Request"):
            schema["additionalProperties"] = False
            schema.update({"examples": [EXAMPLES[name]]} if name in EXAMPLES else {})
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
    return result


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    operation["operationId"] = _name(path, operation["operationId"])
    operation["description"] += "\n\nScope: " + ", ".join(f"`{scope}`" for scope in operation["x-required-scopes"]) + "."
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        # A report is known by its name, all else by number.
        if parameter["in"] == "path" and parameter["name"] != "report":
            parameter["schema"] = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}
    parameters += [{"$ref": f"#/components/parameters/{name}"} for name in _parameters_of(path, method)]
    for answer in operation["responses"].values():
        answer["headers"] = _references(_headers_of(method))
    if method == "get":
        operation["responses"]["304"] = {"description": "It is still what the caller has.", "headers": _references(["ETag", *_COUNTED])}
    operation["responses"]["414"] = _TOO_LONG
    refusals = _refusals_of(path, method, operation)
    operation["responses"] |= {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in refusals}


# The web server says so before the API is asked, and in its own words.
_TOO_LONG = {"description": "The address is longer than the web server takes: 8,190 characters.", "content": {"text/html": {}}}


def _name(path: str, operation_id: str) -> str:
    """Name a deed under a record as the field does: opportunities_advance, not opportunities_advance_create."""
    is_deed = path.count("/") > 3 and not path.endswith("}")
    return operation_id.rpartition("_")[0] if is_deed else operation_id


def _parameters_of(path: str, method: str) -> Iterator[str]:
    if method == "get":
        yield "If-None-Match"
        return
    yield "Idempotency-Key"
    if "{" in path:
        yield "If-Match"


def _headers_of(method: str) -> list[str]:
    return [*_COUNTED, "ETag"] if method == "get" else [*_COUNTED, "ETag", "Idempotent-Replayed"]


def _refusals_of(path: str, method: str, operation: dict[str, Any]) -> Iterator[int]:
    yield from (400, 401, 403, 406, 429, 500)
    if "{" in path:
        yield 404
    if path.endswith("/changes"):
        yield 410
    if method != "get":
        yield from (409, 413, 415)
        if "{" in path:
            yield 412


def _refusal(status: int) -> dict[str, Any]:
    description, code, sentence, more = REFUSALS[status]
    example = {
        "type": f"urn:quorum:problem:{code}", "title": HTTPStatus(status).phrase, "status": status, "code": code,
        "detail": sentence, "message": sentence, "errors": [], "facts": {}, **more,
    }  # fmt: skip
    headers = {401: ["X-Request-ID", "WWW-Authenticate"], 429: [*_COUNTED, "Retry-After"]}.get(status, ["X-Request-ID"])
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {code: {"value": example}}}}
    return {"description": description, "headers": _references(headers), "content": content}


def _references(names: list[str]) -> dict[str, dict[str, str]]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _parameter(name: str) -> dict[str, Any]:
    place, text = _PARAMETERS[name]
    schema: dict[str, object] = {"type": "string"}
    if name == "Idempotency-Key":
        schema |= {"minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
    return {"name": name, "in": place, "required": False, "description": text, "schema": schema}
