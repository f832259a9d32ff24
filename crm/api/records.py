"""What every resource of the API is built from: forms that read a body, and views on records."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, cast

from django.db.models import DateTimeField, Model
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.validators import UniqueValidator

from crm import access
from crm.api import bodies, keys, replays, rows, tags
from crm.api.contract import KeysetPagination, asked_fields, refuse_unknown
from crm.models import Team, User


def within_reach(queryset: Any, user: User) -> Any:
    """Keep what a caller may name in a body: records it may see, colleagues, the own team."""
    if hasattr(queryset, "visible_to"):
        return queryset.visible_to(user)
    if queryset.model is User:
        return access.colleagues(user)
    return access.teams(user) if queryset.model is Team else queryset


class RecordField(serializers.PrimaryKeyRelatedField):
    """Name a record by id; one beyond the caller's reach is refused exactly as one that does not exist."""

    default_error_messages = {"does_not_exist": gettext_lazy("{pk_value} not found.")}

    def get_queryset(self):
        return within_reach(super().get_queryset(), self.context["request"].user)


class Form(serializers.Serializer):
    """Read what a caller gives, and nothing else.

    A name that the form does not have is refused, so that no typing error passes as done; so is a number where a text
    belongs, which the framework would take for its digits.
    """

    def to_internal_value(self, data):
        writable = {name: field for name, field in self.fields.items() if not field.read_only}
        if not isinstance(data, Mapping):
            return super().to_internal_value(data)
        if unknown := data.keys() - writable.keys():
            raise exceptions.ValidationError({name: [_("This cannot be set here.")] for name in sorted(unknown)})
        numbers = {name: wrong for name, field in writable.items() if (wrong := _numbers_for_texts(field, data.get(name)))}
        try:
            read = super().to_internal_value(data)
        except exceptions.ValidationError as error:
            raise exceptions.ValidationError({**error.detail, **numbers}) from error  # type: ignore[dict-item]
        if numbers:
            raise exceptions.ValidationError(numbers)
        return read


def _numbers_for_texts(field: serializers.Field, value: object) -> Any:
    """Say where a number stands for a text, in the value of a field or in a list of texts."""
    if isinstance(field, serializers.CharField) and isinstance(value, int | float):
        return [_("This must be a text.")]
    if isinstance(field, serializers.ListField) and isinstance(value, list) and isinstance(field.child, serializers.CharField):
        return {place: wrong for place, one in enumerate(value) if (wrong := _numbers_for_texts(field.child, one))}
    return None


class MomentField(serializers.DateTimeField):
    """A moment that every calendar can show: further back, time zones have odd seconds that JSON has no words for."""

    default_error_messages = {"too_old": gettext_lazy("This moment lies too far back.")}

    def to_internal_value(self, value):
        moment = super().to_internal_value(value)
        if moment.year < _FIRST_YEAR:
            self.fail("too_old")
        return moment


# The last places gave up their own sun's time in the first half of the last century.
_FIRST_YEAR = 1950


class Facts(Form, serializers.ModelSerializer):
    """Read what a caller gives for a record; what is unique is the business of the rule, which knows who may see it."""

    serializer_related_field = RecordField
    serializer_field_mapping = serializers.ModelSerializer.serializer_field_mapping | {DateTimeField: MomentField}

    def build_standard_field(self, field_name, model_field):
        field, kwargs = super().build_standard_field(field_name, model_field)
        if "validators" in kwargs:
            kwargs["validators"] = [one for one in kwargs["validators"] if not isinstance(one, UniqueValidator)]
        return field, kwargs

    def get_uniqueness_extra_kwargs(self, field_names, declared_fields, extra_kwargs):
        return extra_kwargs, {}

    def get_validators(self) -> list[Any]:
        return []


class Promised:
    """What every address of the API promises: calls are counted, a key needs its scopes, and what is shown has a tag."""

    # The group of scopes that a key needs here, and what else it needs where an answer shows records of another group.
    scope: ClassVar[str] = "all"
    also_shows: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def check_permissions(self, request) -> None:
        """Count the call, then ask whether the caller may: what is refused counts as well."""
        if request.user.is_authenticated:
            keys.spend(request)
        super().check_permissions(request)  # type: ignore[misc]

    def finalize_response(self, request, response, *args: Any, **kwargs: Any):
        """Say what is left of the minute's calls, and tag what a GET shows."""
        response = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[misc]
        if spent := getattr(request, "spent", None):
            for name, value in spent.headers().items():
                response.headers[name] = value
        if request.method in ("GET", "HEAD") and response.status_code == 200 and isinstance(response, Response):
            response.add_post_render_callback(tags.conditional)
        return response


class RecordViewSet(Promised, viewsets.GenericViewSet):
    """A resource: the records of one model that the caller may see."""

    # as many digits as every database can hold
    lookup_value_regex = "[0-9]{1,18}"
    orderings: ClassVar[Mapping[str, tuple[str, ...]]] = {"-id": ("-id",)}
    # action -> verb, where it is not the usual one
    verbs: ClassVar[Mapping[str, str]] = {}

    def largest_body(self) -> int | None:
        """Say how many megabytes a body may have, where not as many as everywhere."""
        return None

    @property
    def at(self) -> datetime:
        """Read the clock: this is where a moment enters the rules."""
        return timezone.now()

    def initial(self, request, *args: Any, **kwargs: Any) -> None:
        """Take the call in; a write is from here on done once per Idempotency-Key, and only while If-Match holds."""
        super().initial(request, *args, **kwargs)
        bodies.take_in(request, megabytes=self.largest_body())
        method = request.method.lower()
        if self.action and request.method in replays.WRITES:
            setattr(self, method, replays.guard(self, getattr(self, method)))

    # --- what every resource may ask -----------------------------------------------------------
    def get_queryset(self):
        records: Any = super().get_queryset()
        return records.visible_to(self.request.user)

    def given(self, form: type[serializers.BaseSerializer], **kwargs: Any) -> dict[str, Any]:
        """Read the body as the form says; raise what is wrong, field by field."""
        reading = form(data=self.request.data, context=self.get_serializer_context(), **kwargs)
        reading.is_valid(raise_exception=True)
        return dict(reading.validated_data)

    def answer(self, record: Model, *, status: int = 200) -> Response:
        """Answer with a record as it is now, also when the caller just gave it out of sight."""
        shown = self.get_serializer(super().get_queryset().get(pk=record.pk)).data
        return Response(shown, status=status, headers={"ETag": tags.of(shown)})


# What lies under a record is given whole, neither paged nor filtered.
_WHOLE: dict[str, Any] = {"pagination_class": None, "filter_backends": []}


def deed(form: type[serializers.BaseSerializer] | None, answer: object, *, status: int = 200, on_list: bool = False):
    """Make a method a POST under a record (or under the list), named as the method: `hand_over` gives /hand-over."""
    described = extend_schema(request=form, responses={status: answer})
    return lambda method: described(action(detail=not on_list, methods=["post"], url_path=_address(method), **_WHOLE)(method))


def reading(answer: object, *, parameters: Sequence[OpenApiParameter] = ()):
    """Make a method a GET under a record: something short that belongs to it, in one piece."""
    described = extend_schema(responses=answer, parameters=[*parameters])
    return lambda method: described(action(detail=True, methods=["get"], url_path=_address(method), **_WHOLE)(method))


def _address(method: Callable[..., Response]) -> str:
    return method.__name__.replace("_", "-")


class ReadViewSet(RecordViewSet):
    """A resource with a list and a detail."""

    # Nothing but the model's columns and who may see them decides the list: neither the day nor the settings.
    is_prepared: ClassVar[bool] = False

    def list(self, request) -> Response:
        """Answer one page of the records that the caller may see, and that pass the filters."""
        form: Any = self.get_serializer_class()
        model: Any = self.queryset.model  # type: ignore[arg-type, union-attr]  # taken for a manager
        pages = cast(KeysetPagination, self.paginator)
        names = asked_fields(request, rows.shown_by(form))
        plan = rows.plan(form, tuple(names), model)
        page = pages.plain_page(request, self, plan) if plan else None
        if page is None:
            page = pages.paginate_queryset(self.filter_queryset(self.get_queryset()), request, self, plan=plan)
        return self.get_paginated_response(plan.show(page) if plan else self._shown(page, names))

    def _shown(self, page: Sequence[Model], names: Sequence[str]) -> Any:
        many: Any = self.get_serializer(page, many=True)
        for name in many.child.fields.keys() - set(names):
            del many.child.fields[name]
        return many.data

    def retrieve(self, request, pk: str) -> Response:
        """Answer one record."""
        refuse_unknown(request, {"fields"})
        shown = self.get_serializer(self.get_object()).data
        names = asked_fields(request, list(shown))
        return Response({name: shown[name] for name in names}, headers={"ETag": tags.of(shown)})
