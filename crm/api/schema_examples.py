"""What the OpenAPI document shows as examples: a refusal of each status, and a body of the usual forms."""

from typing import Any

# status -> what it means here, then a refusal: code, sentence, and what else it says
REFUSALS: dict[int, tuple[str, str, str, dict[str, Any]]] = {
    400: (
        "A value is wrong; `errors` names each with its reasons.",
        "invalid",
        "Some values are not right.",
        {"errors": [{"path": "email", "reasons": ["Enter a valid email address."]}]},
    ),
    401: ("No key, or not a valid one.", "authentication_failed", "This key is unknown, ran out, or was revoked.", {}),
    403: (
        "The caller, or its key, may not do this.",
        "scope_missing",
        "This key lacks the scope contacts:write.",
        {"facts": {"scopes": ["contacts:write"]}},
    ),
    404: ("No such record, or none that the caller may see.", "not_found", "Not found.", {}),
    406: ("The answer would be JSON, and the caller takes none.", "not_acceptable", "Could not satisfy the request Accept header.", {}),
    409: (
        "The state of things does not allow it; `code` and `facts` say why, e.g. what a gate misses.",
        "gate_closed",
        "The gate is closed: budget is not confirmed.",
        {"facts": {"stage": "opportunity", "missing": ["budget"]}},
    ),
    410: (
        "The token leads to no complete answer any more.",
        "sync_expired",
        "This token is older than 30 days; begin anew, without a token.",
        {},
    ),
    412: (
        "The record is not the one any more that If-Match names.",
        "changed_meanwhile",
        "This record was changed since you read it; nothing was changed by this call. Read it again.",
        {},
    ),
    413: ("The body is too large, packed or unpacked.", "body_too_large", "One call may send at most 10 MB.", {}),
    415: (
        "The body is no JSON, or is packed otherwise than with gzip.",
        "unsupported_media_type",
        'Unsupported media type "text/csv".',
        {},
    ),
    429: ("The key made too many calls in this minute.", "throttled", "Request was throttled. Expected available in 12 seconds.", {}),
    500: ("An error of ours; it was logged under the id of the call.", "error", "Something went wrong on our side; it was logged.", {}),
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "AccountFactsRequest": {"name": "Van Dijk Transport", "domain": "vandijk.example", "employees": 120, "country": "NL"},
    "ContactFactsRequest": {"account": 1, "given_name": "Anna", "family_name": "Jansen", "email": "anna@vandijk.example"},
    "OpportunityFactsRequest": {"account": 1, "name": "Planning software", "amount": "48000.00", "currency": "EUR"},
    "ActivityFactsRequest": {
        "account": 1, "kind": "meeting", "occurred_at": "2026-11-03T10:00:00Z", "source": "calendar", "external_id": "e-1",
    },
    "FollowUpFactsRequest": {"account": 1, "text": "Call Anna about the pilot", "due_on": "2026-12-01"},
    "MembershipFactsRequest": {"contact": 1, "role": "buyer"},
    "AdvanceFormRequest": {"to": "sql"},
    "DepartureFormRequest": {"left_on": "2026-11-01", "reason": "Told us on the phone"},
}  # fmt: skip
