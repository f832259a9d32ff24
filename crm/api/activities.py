"""Activities over the API: one, many at once, corrected, deleted."""

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, NoReturn

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from crm import access, activities, activity_kinds, judgements, policy
from crm.activities import Recorded
from crm.api import activity_rows
from crm.api.batches import DeletedSerializer, IdsForm, deleted
from crm.api.contract import LARGEST_ID, IdFilter, SuchFilter
from crm.api.following import follows
from crm.api.records import Facts, Form, ReadViewSet, deed, reading
from crm.errors import Conflict, Invalid
from crm.models import Account, Activity, ActivityVerdict, User
from crm.new_activities import NewActivity


class KindField(serializers.ChoiceField):
    """A kind of the vocabulary; an unknown one is refused with the known ones."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=activity_kinds.choices(), **kwargs)

    def fail(self, key: str, **values: Any) -> NoReturn:
        if key != "invalid_choice":
            super().fail(key, **values)
        known = ", ".join(activity_kinds.KINDS)
        raise ValidationError(_("Unknown kind '%(kind)s'; known are %(known)s.") % {"kind": str(values["input"])[:50], "known": known})


class ActivitySerializer(serializers.ModelSerializer):
    """One dated thing that they did, or that we did with them."""

    class Meta:
        model = Activity
        fields = [
            "id", "account", "contact", "opportunity", "kind", "occurred_at", "day", "subject", "machine_reason", "judged_by",
            "message_id", "link", "user_agent", "source", "external_id", "recorded_by", "recorded_at",
        ]  # fmt: skip
        read_only_fields = fields


MESSAGE_ID = "Of the mail that was opened or clicked, as in its header; tells the clicks of one mail from another's."
LINK = "What was clicked. A longer one is kept shortened."
USER_AGENT = "The program that did it, as it names itself; '-' if it sent no name, empty if nobody knows. Kept for a while only."


class Traces(serializers.Serializer):
    """By what one tells a machine's doing; too long a text is shortened, for an event must not be lost by it."""

    message_id = serializers.CharField(required=False, allow_blank=True, max_length=250, help_text=MESSAGE_ID)
    link = serializers.CharField(required=False, allow_blank=True, max_length=4_000, help_text=LINK)
    user_agent = serializers.CharField(required=False, allow_blank=True, max_length=4_000, help_text=USER_AGENT)


class ActivityFacts(Traces, Facts):
    """One new activity; the same source and external id is the same activity.

    Leave `machine_reason` out unless the source itself knows a machine: what it says stands, else the rules judge.
    """

    kind = KindField()

    class Meta:
        model = Activity
        fields = [
            "account", "contact", "opportunity", "kind", "occurred_at", "subject", "machine_reason", "message_id", "link", "user_agent",
            "source", "external_id",
        ]  # fmt: skip


class ActivityCorrection(Facts):
    """What of an activity can be put right."""

    kind = KindField()

    class Meta:
        model = Activity
        fields = ["kind", "occurred_at", "contact", "opportunity", "subject", "machine_reason"]


class ActivityRow(Traces, Form):
    """One activity among many, by ids."""

    account = serializers.IntegerField(source="account_id", min_value=1, max_value=LARGEST_ID)
    contact = serializers.IntegerField(source="contact_id", min_value=1, max_value=LARGEST_ID, required=False, allow_null=True)
    opportunity = serializers.IntegerField(source="opportunity_id", min_value=1, max_value=LARGEST_ID, required=False, allow_null=True)
    kind = KindField()
    occurred_at = serializers.DateTimeField()
    external_id = serializers.CharField(required=False, allow_blank=True, max_length=100)
    subject = serializers.CharField(required=False, allow_blank=True, max_length=300)
    machine_reason = serializers.CharField(required=False, allow_blank=True, max_length=30)


class JudgementForm(Form):
    """Who made an activity, as somebody says who knows."""

    made_by = serializers.ChoiceField([("person", gettext_lazy("a person")), ("machine", gettext_lazy("a machine"))])
    reason = serializers.CharField(required=False, allow_blank=True, max_length=30, help_text="Why a machine; empty: somebody said so.")


class JudgementSerializer(serializers.ModelSerializer):
    """What somebody said of an activity; an empty reason: a person made it."""

    class Meta:
        model = ActivityVerdict
        fields = ["id", "machine_reason", "said_by", "said_at"]
        read_only_fields = fields


@extend_schema_field(ActivityRow(many=True))
class RowsField(serializers.ListField):
    """Rows as they came: each is judged by itself, so that a wrong one does not hold up the others."""

    child = serializers.JSONField()
    # The document says what a row should be, and that any other is answered in its place.
    is_judged_by_row = True

    def run_child_validation(self, data):
        return data


class ActivitiesForm(Form):
    """Activities of one source."""

    source = serializers.CharField(max_length=50)  # type: ignore[assignment]
    activities = RowsField(max_length=policy.RECORDING.activities_per_call)


STATUSES = ["created", "exists", "error"]


class RowResultSerializer(serializers.Serializer):
    """What became of one row."""

    index = serializers.IntegerField(help_text="Place in the given list, from 0.")
    id = serializers.IntegerField(allow_null=True)
    status = serializers.ChoiceField(STATUSES)
    error = serializers.CharField(help_text="Why it was refused; else empty.")


class ActivitiesResultSerializer(serializers.Serializer):
    """What became of every row, in the given order."""

    created, exists, refused = serializers.IntegerField(), serializers.IntegerField(), serializers.IntegerField()
    results = RowResultSerializer(many=True)


class ActivityFilter(filters.FilterSet):
    """What a list of activities can be narrowed to."""

    account, contact = IdFilter(field_name="account_id"), IdFilter(field_name="contact_id")
    opportunity = IdFilter(field_name="opportunity_id")
    since = filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="lt")
    by_people, by_machines = SuchFilter(), SuchFilter()

    class Meta:
        model = Activity
        fields = ["kind", "source", "external_id"]


@follows(ActivitySerializer, "Activity")
class ActivityViewSet(ReadViewSet):
    """What people of accounts did, and what we did with them."""

    scope = "activities"
    is_prepared = True
    queryset = Activity.objects.all()
    serializer_class = ActivitySerializer
    filterset_class = ActivityFilter
    orderings = {"-id": ("-id",), "-occurred_at": ("-occurred_at", "-id"), "id": ("id",)}
    verbs = {"bulk_delete": "delete"}

    @extend_schema(
        request=ActivityFacts,
        responses={201: ActivitySerializer, 200: OpenApiResponse(ActivitySerializer, description="It was recorded before.")},
    )
    def create(self, request) -> Response:
        """Record one activity; the same source and external id answers 200 with the first one and changes nothing."""
        facts = self.given(ActivityFacts)
        source = facts.pop("source")
        (outcome,) = activities.record_many([_by_ids(facts)], source=source, at=self.at, by=request.user)
        if outcome.activity_id is None:
            raise Invalid(outcome.error, detail={outcome.field: outcome.error})
        activity = self.get_queryset().filter(pk=outcome.activity_id).first()
        if activity is None:
            raise Conflict(_taken())
        return self.answer(activity, status=201 if outcome.created else 200)

    @extend_schema(request=ActivityCorrection, responses=ActivitySerializer)
    def partial_update(self, request, pk: str) -> Response:
        """Correct an activity; every figure that was derived from it follows."""
        activity = self.get_object()
        return self.answer(activities.correct(activity, at=self.at, by=request.user, **self.given(ActivityCorrection, partial=True)))

    @extend_schema(responses={204: None})
    def destroy(self, request, pk: str) -> Response:
        """Delete an activity that never happened."""
        activities.delete(self.get_object(), at=self.at, by=request.user)
        return Response(status=204)

    @deed(JudgementForm, ActivitySerializer)
    def judge(self, request, pk: str) -> Response:
        """Say that a person made an activity, or a machine; it stands, and every figure follows."""
        activity, given = self.get_object(), self.given(JudgementForm)
        reason = given.get("reason") or judgements.BY_MACHINE if given["made_by"] == "machine" else ""
        return self.answer(activities.judge(activity, machine_reason=reason, at=self.at, by=request.user))

    @reading(JudgementSerializer(many=True))
    def verdicts(self, request, pk: str) -> Response:
        """List what people said of who made an activity, the latest first."""
        return Response(JudgementSerializer(self.get_object().verdicts.all(), many=True).data)

    @deed(ActivitiesForm, ActivitiesResultSerializer, on_list=True)
    def bulk(self, request) -> Response:
        """Record many activities of one source; always 200, with a result for each row: a wrong one holds up no other.

        Sending the same rows again is safe: a row whose external id is known answers `exists`.
        """
        given = self.given(ActivitiesForm)
        rows, wrong = _judged(given["activities"], request.user)
        outcomes = activities.record_many(list(rows.values()), source=given["source"], at=self.at, by=request.user)
        outcomes = _without_foreign(outcomes, request.user)
        results = [_result(index, outcome) for index, outcome in zip(rows, outcomes, strict=True)]
        results = sorted([*results, *wrong], key=itemgetter("index"))
        counts = {name: sum(result["status"] == status for result in results) for name, status in _COUNTED.items()}
        return Response({**counts, "results": results})

    @deed(IdsForm, DeletedSerializer, on_list=True)
    def bulk_delete(self, request) -> Response:
        """Delete many activities that never happened; what is not there, or not the caller's to delete, holds up no other."""
        ids = self.given(IdsForm)["ids"]
        return Response(deleted(ids, _delete(ids, request.user)))


def _delete(ids: list[int], user: User) -> set[int]:
    """Delete, chunk by chunk, what the caller may delete of these; give their ids."""
    gone: set[int] = set()
    ordered, size = sorted(set(ids)), policy.RECORDING.rows_per_statement
    for start in range(0, len(ordered), size):
        rows = Activity.objects.visible_to(user).filter(access.changeable(user, Activity), pk__among=ordered[start : start + size])
        mine = list(rows.order_by().values_list("pk", flat=True))
        activities.delete_many(mine)
        gone |= set(mine)
    return gone


def _by_ids(facts: dict[str, Any]) -> NewActivity:
    records = {name: facts.pop(name, None) for name in ("account", "contact", "opportunity")}
    return NewActivity(**{f"{name}_id": record and record.pk for name, record in records.items()}, **facts)


_COUNTED = {"created": "created", "exists": "exists", "refused": "error"}


def _judged(rows: list[Any], user: User) -> tuple[dict[int, NewActivity], list[dict[str, object]]]:
    """Split rows into those that read well, by their place, and the results of the others."""
    good: dict[int, NewActivity] = {}
    wrong = []
    form = ActivityRow()
    for index, row in enumerate(rows):
        try:
            good[index] = activity_rows.plainly_right(row) or NewActivity(**form.run_validation(row))
        except ValidationError as error:
            wrong.append(_refused(index, "; ".join(_sentences(error.detail))))
    seen = _visible_accounts({row.account_id for row in good.values()}, user)
    for index in [index for index, row in good.items() if row.account_id not in seen]:
        wrong.append(_refused(index, _("There is no account %(id)s.") % {"id": good.pop(index).account_id}))
    return good, wrong


def _sentences(detail: Any) -> Iterator[str]:
    for name, reasons in detail.items() if isinstance(detail, Mapping) else [("", detail)]:
        yield from (f"{name}: {reason}" for reason in reasons)


def _visible_accounts(ids: set[int], user: User) -> set[int]:
    """Keep the accounts that a caller may see; a contact or deal there can then be seen as well, and the rule judges it."""
    ordered, size = sorted(ids), policy.RECORDING.rows_per_statement
    chunks = (ordered[start : start + size] for start in range(0, len(ordered), size))
    return {pk for chunk in chunks for pk in Account.objects.visible_to(user).filter(pk__among=chunk).values_list("pk", flat=True)}


def _without_foreign(outcomes: list[Recorded], user: User) -> list[Recorded]:
    """Replace what was there before at an account beyond the caller's sight by a refusal that tells nothing of it."""
    old = sorted(outcome.activity_id for outcome in outcomes if outcome.activity_id and not outcome.created)
    size = policy.RECORDING.rows_per_statement
    chunks = (old[start : start + size] for start in range(0, len(old), size))
    seen = {pk for chunk in chunks for pk in Activity.objects.visible_to(user).filter(pk__in=chunk).values_list("pk", flat=True)}
    hidden = set(old) - seen
    return [Recorded(done.index, None, created=False, error=_taken()) if done.activity_id in hidden else done for done in outcomes]


def _taken() -> str:
    return _("This source used this external id for another activity.")


def _result(index: int, outcome: Recorded) -> dict[str, object]:
    if outcome.activity_id is None:
        return _refused(index, outcome.error)
    return {"index": index, "id": outcome.activity_id, "status": "created" if outcome.created else "exists", "error": ""}


def _refused(index: int, error: str) -> dict[str, object]:
    return {"index": index, "id": None, "status": "error", "error": error}
