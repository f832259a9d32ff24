"""What the OpenAPI document says beyond the views: the shape of every refusal, and that bodies hold nothing else."""

from typing import Any

_REFUSALS = {
    "400": "A value is wrong; `detail` maps each field to its reasons.",
    "401": "No key, or not a valid one.",
    "403": "The caller may not do this.",
    "404": "No such record, or none that the caller may see.",
    "409": "The state of things does not allow it; `code` and `detail` say why, e.g. what a gate misses.",
}
_ENVELOPE = {
    "type": "object",
    "description": "The one shape of every refusal.",
    "required": ["code", "message", "detail"],
    "properties": {
        "code": {"type": "string", "description": "Stable, for machines.", "examples": ["gate_closed"]},
        "message": {"type": "string", "description": "A sentence in the caller's language."},
        "detail": {"type": "object", "description": "What is wrong where.", "additionalProperties": {}},
    },
}


def complete(result: dict[str, Any], generator: object, **_kwargs: object) -> dict[str, Any]:
    """Add the refusals to every operation, and close the forms; a hook of the schema generator."""
    schemas = result["components"]["schemas"]
    schemas["Refusal"] = _ENVELOPE
    for name, schema in schemas.items():
        if name.endswith("Request"):
            schema["additionalProperties"] = False
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            operation["operationId"] = _name(path, operation["operationId"])
            for parameter in operation.get("parameters", ()):
                # A report is known by its name, all else by number.
                if parameter["in"] == "path" and parameter["name"] != "report":
                    parameter["schema"] = {"type": "integer", "minimum": 1}
            operation["responses"].update({code: _refusal(code) for code in _codes(path, method, operation)})
    return result


def _name(path: str, operation_id: str) -> str:
    """Name a deed under a record as the field does: opportunities_advance, not opportunities_advance_create."""
    is_deed = path.count("/") > 3 and not path.endswith("}")
    return operation_id.rpartition("_")[0] if is_deed else operation_id


def _codes(path: str, method: str, operation: dict[str, Any]) -> list[str]:
    codes = ["401", "403"]
    if operation.get("requestBody") or any(one["in"] == "query" for one in operation.get("parameters", ())):
        codes.append("400")
    if "{" in path:
        codes.append("404")
    return [*codes, "409"] if method in ("post", "patch", "delete") else codes


def _refusal(code: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    return {"description": _REFUSALS[code], "content": content}
