"""Pilots over the API: list, start, judge."""

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from crm import pilots
from crm.api.contract import IdFilter, SuchFilter
from crm.api.following import follows
from crm.api.records import Facts, Form, ReadViewSet, deed
from crm.models import Pilot


class PilotSerializer(serializers.ModelSerializer):
    """A proof of concept on an opportunity."""

    class Meta:
        model = Pilot
        fields = ["id", "opportunity", "success_criteria", "starts_on", "ends_on", "verdict", "verdict_on", "verdict_note"]
        read_only_fields = fields


class PilotFacts(Facts):
    """What a pilot needs before it starts: criteria and an end; it starts today unless told otherwise."""

    class Meta:
        model = Pilot
        fields = ["opportunity", "success_criteria", "starts_on", "ends_on"]
        extra_kwargs = {"starts_on": {"required": False}}


class VerdictForm(Form):
    """How a pilot ended."""

    verdict = serializers.ChoiceField(Pilot.Verdict.choices)
    note = serializers.CharField(required=False, allow_blank=True)


class PilotFilter(filters.FilterSet):
    """What a list of pilots can be narrowed to."""

    opportunity, running = IdFilter(field_name="opportunity_id"), SuchFilter()
    ends_before = filters.DateFilter(field_name="ends_on", lookup_expr="lt")

    class Meta:
        model = Pilot
        fields = ["verdict"]


@follows(PilotSerializer, "Pilot")
class PilotViewSet(ReadViewSet):
    """Proofs of concept."""

    scope = "deals"
    queryset = Pilot.objects.all()
    serializer_class = PilotSerializer
    filterset_class = PilotFilter

    @extend_schema(request=PilotFacts, responses={201: PilotSerializer})
    def create(self, request) -> Response:
        """Start a pilot; one runs at a time on an opportunity."""
        return self.answer(pilots.start(at=self.at, by=request.user, **self.given(PilotFacts)), status=201)

    @deed(VerdictForm, PilotSerializer)
    def judge(self, request, pk: str) -> Response:
        """Give the verdict of a pilot."""
        return self.answer(pilots.judge(self.get_object(), at=self.at, by=request.user, **self.given(VerdictForm)))
