"""Versions of what is shown: an ETag is the digest of a record as its caller sees it, so whatever changes there changes the tag."""

from hashlib import blake2b
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext as _
from rest_framework import exceptions

from crm.api.bodies import written


class ChangedMeanwhile(exceptions.APIException):
    """The record is not the one any more that the caller saw."""

    status_code, default_code = 412, "changed_meanwhile"

    def __init__(self) -> None:
        super().__init__(_("This record was changed since you read it; nothing was changed by this call. Read it again."))


def of(data: object) -> str:
    """Give the tag of a record as it is shown, all of its fields."""
    return of_body(written(data))


def of_body(body: bytes) -> str:
    """Give the tag of an answer as it goes out."""
    return f'"{blake2b(body, digest_size=16).hexdigest()}"'


def names(header: str, tag: str) -> bool:
    """Say whether an If-Match or If-None-Match header names a tag.

    W/ is looked past: packing an answer makes its tag weak on the way, and the caller sends back what it got.
    """
    listed = [one.strip().removeprefix("W/") for one in header.split(",")]
    return "*" in listed or tag.removeprefix("W/") in listed


def hold_to(header: str, view: Any) -> None:
    """Lock the record of a call and compare it with what the caller saw; raise ChangedMeanwhile (412).

    The lock is kept until the caller's transaction ends, so of two with the same tag the second sees what the first one did.
    A record that the caller does not see is the deed's to refuse.
    """
    record = view.get_queryset().filter(pk=view.kwargs[view.lookup_field]).first()
    if record is None:
        return
    locked: type[Model] = type(record)
    locked._base_manager.select_for_update(of=("self",), no_key=True).filter(pk=record.pk).first()
    now = view.get_queryset().filter(pk=record.pk).first()
    if now is None or not names(header, of(view.get_serializer(now).data)):
        raise ChangedMeanwhile


def conditional(response: Any) -> None:
    """Tag what a GET answered, and leave the body out when the caller has it already; for a rendered answer of 200."""
    tag = response.headers.get("ETag") or of_body(response.content)
    response.headers["ETag"] = tag
    request = response.renderer_context["request"]
    if (held := request.META.get("HTTP_IF_NONE_MATCH")) and names(held, tag):
        response.status_code, response.content = 304, b""
        del response.headers["Content-Type"]
