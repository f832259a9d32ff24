"""Following a resource over the API: what changed and what is gone since a token, so that a copy stays in step."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from crm import policy, sync
from crm.sync import followed

_SINCE = OpenApiParameter("since", str, description="The `sync_token` or `next` of the last answer; without it, from the very beginning.")
_SIZE = OpenApiParameter("page_size", int, description="Records in one answer.")


class GoneSerializer(serializers.Serializer):
    """A record that is no longer there for the caller: deleted, merged into another, or out of sight."""

    id = serializers.IntegerField()
    merged_into = serializers.IntegerField(allow_null=True, help_text="The record that took its place, if the caller may see it.")


class SyncExpired(exceptions.APIException):
    """The token leads to no complete answer any more."""

    status_code, default_code = 410, "sync_expired"


def _answer(view: Any, request: Any, form: type[serializers.BaseSerializer]) -> Response:
    if unknown := request.query_params.keys() - {"since", "page_size"}:
        raise exceptions.ValidationError({name: [_("There is no such parameter.")] for name in sorted(unknown)})
    since, size = request.query_params.get("since", ""), _size(request.query_params.get("page_size"))
    try:
        page = sync.page(followed.of(view.queryset.model), user=request.user, since=since, size=size, at=view.at)
    except sync.NoToken as error:
        raise exceptions.ValidationError({"since": [str(error)]}) from error
    except sync.SyncExpired as error:
        raise SyncExpired(str(error)) from error
    records = _in_order(view.get_queryset().filter(pk__in=page.ids).order_by(), page.ids)
    token = str(page.token)
    results = form(records, many=True, context=view.get_serializer_context()).data
    gone = [{"id": one.id, "merged_into": one.merged_into} for one in page.gone]
    return Response({"results": results, "gone": gone, "next": None if page.is_last else token, "sync_token": token})


def _in_order(records: Any, ids: list[int]) -> list[Any]:
    there = {record.pk: record for record in records}
    return [there[pk] for pk in ids if pk in there]


def _size(text: str | None) -> int:
    most = policy.SYNC.records_per_page
    if text is None:
        return most
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= most):
        raise exceptions.ValidationError({"page_size": [_("Give a number from 1 to %(most)d.") % {"most": most}]})
    return int(text)


def follows(form: type[serializers.BaseSerializer], name: str):
    """Give a resource its address of changes, `/contacts/changes`, each record shown as `form` does; decorates a viewset."""
    fields: dict[str, Any] = {"results": form(many=True), "gone": GoneSerializer(many=True)}
    fields["next"] = serializers.CharField(allow_null=True, help_text="Where to go on at once; null: this is all for now.")
    fields["sync_token"] = serializers.CharField(help_text="Where to go on the next time.")
    words = {"__doc__": "What changed since a token, in the order of the changes.", **fields}
    answer = type(f"{name}ChangesSerializer", (serializers.Serializer,), words)

    def changes(self: Any, request: Any) -> Response:
        """Give what changed, and what is gone, since a token: the first time everything.

        Delete what `gone` names, then write what `results` holds over what is there. While `next` is not null, go on with
        it; then keep `sync_token` for the next time. Nothing is lost, whoever writes meanwhile; a record may come twice.
        410 `sync_expired`: the token is too old, or what the key may see has changed; begin anew without a token, and
        delete what did not come.
        """
        return _answer(self, request, form)

    described = extend_schema(parameters=[_SINCE, _SIZE], responses=answer)
    made = described(action(detail=False, methods=["get"], url_path="changes", pagination_class=None, filter_backends=[])(changes))

    def decorate(viewset: Any) -> Any:
        viewset.changes = made
        return viewset

    return decorate
