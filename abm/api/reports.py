"""Reports over the API: which there are, and one of them for a period, as page and command give it."""

from datetime import date
from typing import Any, cast

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, permissions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from abm import reports
from abm.reports import Report
from crm.api.contract import refuse_without_scope
from crm.api.records import Promised
from crm.models import User
from crm.policy import day_of


class MaySeeDeals(permissions.BasePermission):
    """Let in who may look at any report at all; each report asks for its own permission then."""

    def has_permission(self, request: Any, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        refuse_without_scope(request, view)
        return bool(reports.open_to(request.user))


class ColumnSerializer(serializers.Serializer):
    """One figure of every row."""

    name, unit = serializers.CharField(), serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the figure's, not the field's


class ChoiceSerializer(serializers.Serializer):
    """Something to choose by a parameter of this name; the first value is the usual one."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the choice's, not the field's
    values = serializers.DictField(child=serializers.CharField(), help_text="Value and label.")


class ReportSerializer(serializers.Serializer):
    """One report that there is."""

    report, title, about = serializers.CharField(), serializers.CharField(), serializers.CharField()
    columns, choices = ColumnSerializer(many=True), ChoiceSerializer(many=True)


class TableSerializer(serializers.Serializer):
    """A report as it was asked for: shares are 0 to 1, days and money have at most four decimals."""

    report, title = serializers.CharField(), serializers.CharField()
    period = serializers.DictField(child=serializers.CharField(allow_null=True), help_text="from, to and today.")
    choices = serializers.DictField(child=serializers.CharField())
    columns = ColumnSerializer(many=True)
    rows = serializers.ListField(child=serializers.DictField(), help_text="Figures by the names of the columns.")
    notes = serializers.ListField(child=serializers.CharField())


class PeriodForm(serializers.Serializer):
    """The days that a report is asked for; both are part of it."""

    first, last = serializers.DateField(required=False), serializers.DateField(required=False)

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        return {"from": fields["first"], "to": fields["last"]}


class ReportListView(Promised, APIView):
    """The reports that there are."""

    scope = "reports"
    permission_classes = [MaySeeDeals]

    @extend_schema(responses=ReportSerializer(many=True), operation_id="reports_list")
    def get(self, request: Request) -> Response:
        """List the reports that the caller may ask for, with their columns and choices."""
        return Response([_described(report, cast(User, request.user)) for report in reports.open_to(cast(User, request.user))])


def _described(report: Report, user: User) -> dict[str, Any]:
    return {
        "report": report.slug,
        "title": str(report.title),
        "about": str(report.about),
        "columns": [{"name": each.name, "label": str(each.label), "unit": each.unit.value} for each in report.columns],
        "choices": [
            {"name": each.name, "label": str(each.label), "values": {value: str(label) for value, label in each.values(user)}}
            for each in report.choices
        ],
    }


class ReportView(Promised, APIView):
    """One report."""

    scope = "reports"
    permission_classes = [MaySeeDeals]

    @extend_schema(
        responses=TableSerializer,
        operation_id="reports_retrieve",
        parameters=[
            OpenApiParameter("from", date, description="First day of the period; open without it."),
            OpenApiParameter("to", date, description="Last day of the period; open without it."),
            OpenApiParameter(
                "by", str, description="What rows are told apart by, of the reports that say so; see the list for all choices."
            ),
        ],
    )
    def get(self, request: Request, report: str) -> Response:
        """Compute a report for a period, over what the caller may see."""
        given = {name: str(value) for name, value in request.query_params.items()}
        form = PeriodForm(data={name: given.pop(name) for name in ("from", "to") if name in given})
        form.is_valid(raise_exception=True)
        user = cast(User, request.user)
        try:
            found = reports.find(report, user)
        except reports.NoSuchReport as error:
            raise exceptions.NotFound(str(error)) from error
        days = form.validated_data
        period = reports.period_of(days.get("from"), days.get("to"), today=day_of(timezone.now()))
        return Response(reports.ask(found, period=period, user=user, given={k: v for k, v in given.items() if v}).as_json())
