"""Scores over the API: where every account stands now, and how one account's score went."""

from django.db.models import OuterRef, Subquery
from django_filters import rest_framework as filters
from rest_framework import serializers
from rest_framework.response import Response

from abm import policy
from abm.api.account_intelligence import StandingSerializer
from abm.models import AccountStanding, EngagementScore, StateMark
from crm.api.records import ReadViewSet, reading
from crm.models import Account


class ScoreSerializer(StandingSerializer):
    """Where one account stands."""

    parameters = serializers.CharField(
        read_only=True,
        allow_null=True,
        help_text="Version of the numbers that the score was made with; it may be one behind those in force.",
    )

    class Meta(StandingSerializer.Meta):
        fields = ["account", *StandingSerializer.Meta.fields, "parameters"]
        read_only_fields = fields


class PastScoreSerializer(serializers.ModelSerializer):
    """The engagement score of a day; kept for each day of three months, then for each Monday."""

    active_roles = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = EngagementScore
        fields = ["day", "score", "weighted_points", "breadth", "active_roles", "parameters"]
        read_only_fields = fields


class ScoreFilter(filters.FilterSet):
    """What a list of standings can be narrowed to."""

    score_from = filters.NumberFilter(field_name="score", lookup_expr="gte")
    fit_from = filters.NumberFilter(field_name="fit", lookup_expr="gte")
    warming_up = filters.BooleanFilter(method="filter_warming_up")

    class Meta:
        model = AccountStanding
        fields = ["is_single_threaded"]

    def filter_warming_up(self, standings, _name: str, value: bool):
        risen = standings.warming_up(policy.ALERTS.warming_up_points)
        return risen if value else standings.exclude(pk__in=risen.values("pk"))


class ScoreViewSet(ReadViewSet):
    """Where accounts stand: fit, score, momentum and coverage; the id is the account's."""

    scope = "accounts"
    queryset = AccountStanding.objects.annotate(
        parameters=Subquery(StateMark.objects.filter(pk=OuterRef("account")).exclude(version="").values("version")[:1])
    )
    serializer_class = ScoreSerializer
    filterset_class = ScoreFilter
    orderings = {
        "-score": ("-score", "account"),
        "-momentum": ("-momentum", "account"),
        "-fit": ("-fit", "account"),
        "account": ("account",),
    }

    @reading(PastScoreSerializer(many=True))
    def history(self, request, pk: str) -> Response:
        """List the scores that an account had, the last day first."""
        account = Account(pk=self.get_object().pk)
        return Response(PastScoreSerializer(account.engagement_scores.order_by("-day"), many=True).data)
