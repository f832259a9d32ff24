"""Many records in one call: made, brought up to date or deleted, with a result for each row."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from crm import batches, policy
from crm.api.records import Form

_MODES = ["upsert", "create"]


class _RowsField(serializers.ListField):
    """Rows as they came: each is judged by itself, so that a wrong one does not hold up the others."""

    child = serializers.DictField()

    def run_child_validation(self, data: Any) -> Any:
        return data


class BatchForm(Form):
    """Rows to make or to bring up to date; a field that a row does not name stays as it is."""

    rows = _RowsField(max_length=policy.RECORDING.activities_per_call)
    mode = serializers.ChoiceField(_MODES, required=False, default="upsert", help_text="create: what is there already fails.")
    atomic = serializers.BooleanField(required=False, default=False, help_text="All or nothing: one failed row, and none is written.")


class BatchRowSerializer(serializers.Serializer):
    """What became of one row."""

    index = serializers.IntegerField(help_text="Place in the given list, from 0.")
    status = serializers.ChoiceField(list(batches.STATUSES))
    id = serializers.IntegerField(allow_null=True)
    errors = serializers.DictField(  # type: ignore[assignment]
        help_text="What is wrong, by field; `row` for the row as a whole. Empty unless failed."
    )


class BatchSerializer(serializers.Serializer):
    """What became of every row, in the given order."""

    counts = serializers.DictField(child=serializers.IntegerField(), help_text="How many rows of each status.")
    results = BatchRowSerializer(many=True)


def takes_batches(kind: batches.Kind):
    """Give a resource its `/bulk`; decorates a viewset."""

    def bulk(self: Any, request: Any) -> Response:
        """Make or bring up to date up to 10,000 records; always 200, with a result for each row: a wrong one holds up no other.

        A row is matched by `source` and `external_id`; else an account by its `domain`, a contact by its `email` at its
        `account`. A membership is matched by `contact`, `role` and `opportunity`. The `stage` of a row says where a new deal begins; it
        moves none. Sending the same rows again is safe: they answer `unchanged`.
        """
        given = self.given(BatchForm)
        results = batches.upsert(
            kind, given["rows"], at=self.at, by=request.user, atomic=given["atomic"], add_only=given["mode"] == "create"
        )
        return Response(answer(results))

    described = extend_schema(request=BatchForm, responses=BatchSerializer)
    made = described(action(detail=False, methods=["post"], url_path="bulk", pagination_class=None, filter_backends=[])(bulk))

    def decorate(viewset: Any) -> Any:
        viewset.bulk = made
        return viewset

    return decorate


def answer(results: list[batches.Result]) -> dict[str, Any]:
    """Give the results as the answer shows them."""
    rows = [
        {"index": one.index, "status": one.status, "id": one.id, "errors": {name: [str(why)] for name, why in one.errors.items()}}
        for one in results
    ]
    counts = {status: sum(one.status == status for one in results) for status in batches.STATUSES}
    return {"counts": counts, "results": rows}


class IdsForm(Form):
    """Which records."""

    ids = serializers.ListField(child=serializers.IntegerField(min_value=1), max_length=policy.RECORDING.activities_per_call)


class DeletedSerializer(serializers.Serializer):
    """What became of each id, in the given order."""

    counts = serializers.DictField(child=serializers.IntegerField())
    results = serializers.ListField(child=serializers.DictField())


def deleted(ids: list[int], gone: set[int]) -> dict[str, Any]:
    """Give the answer to a deletion of many: those the caller may not delete are as those that are not there."""
    absent = [_("No such record, or none that you may delete.")]
    results = [
        {"index": index, "id": pk, "status": "deleted" if pk in gone else "failed", "errors": {} if pk in gone else {"id": absent}}
        for index, pk in enumerate(ids)
    ]
    return {"counts": {"deleted": len(gone), "failed": len(ids) - sum(pk in gone for pk in ids)}, "results": results}
