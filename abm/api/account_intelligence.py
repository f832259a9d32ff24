"""What abm adds to accounts over the API: where each stands, and why."""

from dataclasses import asdict
from decimal import Decimal

from django.db.models import DecimalField, Value
from django.db.models.functions import Coalesce
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.response import Response

from abm import engagement, icp
from abm.api.journey import AccountFilter, JourneySerializer, PlacementSerializer, journey_of
from abm.models import AccountStanding
from crm import coverage, policy
from crm.api.accounts import AccountSerializer, AccountViewSet
from crm.api.dmu import CoverageSerializer
from crm.api.records import reading
from crm.models import Account


class StandingSerializer(serializers.ModelSerializer):
    """Fit, score, momentum and coverage of an account, as of a day."""

    coverage_states = serializers.DictField(child=serializers.CharField(), read_only=True, help_text="State of each required role.")

    class Meta:
        model = AccountStanding
        fields = [
            "as_of", "fit", "score", "momentum", "coverage_percent", "coverage_states", "is_single_threaded", "refreshed_at",
        ]  # fmt: skip
        read_only_fields = fields


class AccountWithStandingSerializer(AccountSerializer):
    """A company, and where it stands and is on its journey; null until it is scored, or anything is known of it, for the first time."""

    standing = StandingSerializer(read_only=True, allow_null=True)
    journey = PlacementSerializer(read_only=True, allow_null=True)

    class Meta(AccountSerializer.Meta):
        fields = [*AccountSerializer.Meta.fields, "standing", "journey"]
        read_only_fields = fields


class FitReasonSerializer(serializers.Serializer):
    """One part of the fit."""

    part, points, of = serializers.CharField(), serializers.IntegerField(), serializers.IntegerField(help_text="The most points.")
    code, sentence = serializers.CharField(), serializers.SerializerMethodField()

    def get_sentence(self, reason: dict[str, object]) -> str:
        return icp.in_words(reason)


class FitSerializer(serializers.Serializer):
    """How well the account matches the ideal customer profile."""

    points, reasons = serializers.IntegerField(), FitReasonSerializer(many=True)


class ScoreLineSerializer(serializers.Serializer):
    """What one person's activities of one kind on one day are worth now."""

    contact = serializers.IntegerField(source="contact_id", allow_null=True, help_text="Null: an anonymous visitor.")
    kind, day, times, age_days = serializers.CharField(), serializers.DateField(), serializers.IntegerField(), serializers.IntegerField()
    points, after_cap, decay = serializers.FloatField(), serializers.FloatField(), serializers.FloatField()
    role_weight, weighted = serializers.FloatField(), serializers.FloatField()
    activities = serializers.SerializerMethodField(help_text="Ids of the activities behind the line.")

    def get_activities(self, line: engagement.Line) -> list[int]:
        return list(self.context["activity_ids"][line.group])


class MissingRoleSerializer(serializers.Serializer):
    """A required role that is not active, and the score as it would be if it were."""

    role, breadth, score = serializers.CharField(), serializers.FloatField(), serializers.FloatField()


class ExplanationSerializer(serializers.Serializer):
    """The engagement score, down to the activity."""

    as_of = serializers.DateField()
    score = serializers.DecimalField(max_digits=4, decimal_places=1, source="scored.score_1")
    weighted_points, breadth = serializers.FloatField(source="scored.weighted_points"), serializers.FloatField(source="scored.breadth")
    active_roles = serializers.ListField(child=serializers.CharField(), source="scored.active_roles")
    required_roles = serializers.ListField(child=serializers.CharField(), source="scored.required_roles")
    missing_roles = MissingRoleSerializer(many=True)
    parameters_version = serializers.CharField()
    lines = serializers.SerializerMethodField()

    @extend_schema_field(ScoreLineSerializer(many=True))
    def get_lines(self, explanation: engagement.Explanation):
        context = {"activity_ids": explanation.activity_ids}
        return ScoreLineSerializer(explanation.scored.lines, many=True, context=context).data


class IntelligenceSerializer(serializers.Serializer):
    """What the figures of an account rest on, as of now."""

    fit, score, coverage, journey = FitSerializer(), ExplanationSerializer(), CoverageSerializer(), JourneySerializer()


# What stands in for a figure of an account that was never scored: below every figure there is.
NEVER_SCORED = Decimal("-999.9")


def _figure(name: str) -> Coalesce:
    return Coalesce(f"standing__{name}", Value(NEVER_SCORED), output_field=DecimalField(max_digits=4, decimal_places=1))


class AccountWithStandingViewSet(AccountViewSet):
    """Companies, with their owner and team, and where they stand; in the order of a figure, those never scored come last."""

    also_shows = AccountViewSet.also_shows | {"intelligence": ("contacts:read", "activities:read")}
    queryset = Account.objects.select_related("standing", "journey").annotate(
        by_score=_figure("score"), by_momentum=_figure("momentum"), by_fit=_figure("fit")
    )
    serializer_class = AccountWithStandingSerializer
    filterset_class = AccountFilter
    orderings = AccountViewSet.orderings | {
        "-score": ("-by_score", "-id"), "-momentum": ("-by_momentum", "-id"), "-fit": ("-by_fit", "-id"),
    }  # fmt: skip

    @reading(IntelligenceSerializer)
    def intelligence(self, request, pk: str) -> Response:
        """Show fit, score and coverage of an account with their reasons."""
        account, at = self.get_object(), self.at
        facts = {
            "fit": asdict(icp.of_accounts([account.pk])[account.pk]),
            "score": engagement.explain(account, as_of=policy.day_of(at), with_activities=True),
            "coverage": coverage.coverage([account], at=at)[account.pk],
            "journey": journey_of(account, today=policy.day_of(at)),
        }
        return Response(IntelligenceSerializer(facts).data)
