"""Experiments over the API: draft, correct, start, count, close, and what they say."""

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from abm import experiments
from abm.models import Experiment, ExperimentCount
from crm.api.contract import IdFilter, SuchFilter
from crm.api.records import Facts, Form, ReadViewSet, deed, reading

FACTS = [
    "name", "team", "owner", "hypothesis", "kpi", "variables", "arm_a", "arm_b", "baseline_percent", "uplift_percent", "starts_on", "ends_on",
]  # fmt: skip


class ExperimentSerializer(serializers.ModelSerializer):
    """A test of one change between A and B."""

    class Meta:
        model = Experiment
        fields = ["id", *FACTS, "status", "started_at", "planned_per_arm", "closed_at", "winner", "indication", "p_value", "learned"]
        read_only_fields = fields


class ExperimentFacts(Facts):
    """A new draft; without an owner it is the caller's. What it lacks to start is asked for when it starts."""

    class Meta:
        model = Experiment
        fields = FACTS


class ExperimentChange(Facts):
    """What of a draft can change."""

    class Meta:
        model = Experiment
        fields = [name for name in FACTS if name != "team"]


class CountForm(Form):
    """What both arms had together by the end of a day, since the start."""

    counted_on = serializers.DateField()
    n_a, successes_a, n_b, successes_b = (serializers.IntegerField(min_value=0, max_value=2_000_000_000) for _name in range(4))


class LearnedForm(Form):
    """What was learned."""

    learned = serializers.CharField(required=False, allow_blank=True)


class CountSerializer(serializers.ModelSerializer):
    """One day's count."""

    class Meta:
        model = ExperimentCount
        fields = ["counted_on", "n_a", "successes_a", "n_b", "successes_b", "recorded_by", "recorded_at"]
        read_only_fields = fields


class ArmSerializer(serializers.Serializer):
    """One arm; the interval holds its true rate in 95 of 100 cases."""

    n, successes = serializers.IntegerField(), serializers.IntegerField()
    rate = serializers.FloatField(allow_null=True)
    interval = serializers.ListField(child=serializers.FloatField(), source="wilson", allow_null=True)


class ComparisonSerializer(serializers.Serializer):
    """A beside B."""

    a, b = ArmSerializer(), ArmSerializer()
    difference = serializers.FloatField(allow_null=True)
    difference_interval = serializers.ListField(child=serializers.FloatField(), source="newcombe", allow_null=True)
    uplift = serializers.FloatField(allow_null=True)
    test = serializers.CharField(help_text="z or fisher")
    p_value = serializers.FloatField(allow_null=True)


class DecisionSerializer(serializers.Serializer):
    """What is decided; `lacking` says what a decision lacks: people, days, too_long."""

    winner, indication = (serializers.CharField(allow_null=True, help_text="a, b or null") for _name in range(2))
    lacking = serializers.ListField(child=serializers.CharField())


class ReadingSerializer(serializers.Serializer):
    """What an experiment says by its latest count, in figures and in words."""

    counted_on = serializers.DateField(allow_null=True)
    days = serializers.IntegerField()
    needed_per_arm = serializers.IntegerField(allow_null=True)
    reached_on = serializers.DateField(allow_null=True)
    compared, verdict = ComparisonSerializer(), DecisionSerializer()
    words = serializers.ListField(child=serializers.CharField())


class ExperimentFilter(filters.FilterSet):
    """What a list of experiments can be narrowed to."""

    team, owner, running = IdFilter(field_name="team_id"), IdFilter(field_name="owner_id"), SuchFilter()

    class Meta:
        model = Experiment
        fields = ["status"]


class ExperimentViewSet(ReadViewSet):
    """Tests of one change."""

    scope = "marketing"
    queryset = Experiment.objects.all()
    serializer_class = ExperimentSerializer
    filterset_class = ExperimentFilter

    @extend_schema(request=ExperimentFacts, responses={201: ExperimentSerializer})
    def create(self, request) -> Response:
        """Begin a draft."""
        facts = {"owner": request.user} | self.given(ExperimentFacts)
        return self.answer(experiments.draft(at=self.at, by=request.user, **facts), status=201)

    @extend_schema(request=ExperimentChange, responses=ExperimentSerializer)
    def partial_update(self, request, pk: str) -> Response:
        """Change a draft."""
        values = self.given(ExperimentChange, partial=True)
        return self.answer(experiments.correct(self.get_object(), values=values, at=self.at, by=request.user))

    @reading(ReadingSerializer)
    def verdict(self, request, pk: str) -> Response:
        """Read what it says by its latest count."""
        row = self.get_object()
        found = experiments.read(row)
        return Response(ReadingSerializer(vars(found) | {"words": experiments.in_words(row, found)}).data)

    @reading(CountSerializer(many=True))
    def counts(self, request, pk: str) -> Response:
        """List what was counted, the latest day first."""
        return Response(CountSerializer(self.get_object().counts.all(), many=True).data)

    @deed(None, ExperimentSerializer)
    def start(self, request, pk: str) -> Response:
        """Let a draft run: with a hypothesis, a KPI and exactly one thing that differs."""
        return self.answer(experiments.start(self.get_object(), at=self.at, by=request.user))

    @deed(CountForm, CountSerializer)
    def count(self, request, pk: str) -> Response:
        """Write down a day's count; the same day again corrects it."""
        row = experiments.count(self.get_object(), at=self.at, by=request.user, **self.given(CountForm))
        return Response(CountSerializer(row).data)

    @deed(LearnedForm, ExperimentSerializer)
    def close(self, request, pk: str) -> Response:
        """End it with the verdict of its latest count."""
        return self.answer(experiments.close(self.get_object(), at=self.at, by=request.user, **self.given(LearnedForm)))
