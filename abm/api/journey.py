"""What abm adds to accounts over the API: the phase of the journey, why, and how it went."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django_filters import rest_framework as filters
from rest_framework import serializers

from abm import journey
from abm.journey import rules, times, words
from abm.models import JourneyPlacement, Phase, PhaseChange
from abm.models.journey import BY_CODE, PHASES, in_phase
from crm.api.accounts import AccountFilter as CrmAccountFilter
from crm.models import Account

CODES = [(phase.code, phase.label) for phase in Phase]
# With nothing nothing overlaps.
OVERLAPPING = CODES[1:]


class PhaseField(serializers.ChoiceField):
    """A phase by name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(CODES, **kwargs)

    def to_representation(self, value: Any) -> str:
        return Phase(value).code


class SignSerializer(serializers.Serializer):
    """What shows a phase: a sign with how often in how many days, or a deal."""

    phase, sign = serializers.CharField(), serializers.CharField()
    count, days = serializers.IntegerField(required=False), serializers.IntegerField(required=False)
    of = serializers.IntegerField(required=False, help_text="How many are enough.")
    on = serializers.CharField(required=False, help_text="The day of the last deal won.")
    sentence = serializers.SerializerMethodField()

    def get_sentence(self, row: Mapping[str, Any]) -> str:
        return words.in_words(row)


class PlacementSerializer(serializers.ModelSerializer):
    """The phase of an account, and the one that overlaps with it; evidence is of the day on which one of them changed."""

    phase, overlap = PhaseField(read_only=True), PhaseField(read_only=True)
    evidence = SignSerializer(many=True, read_only=True)

    class Meta:
        model = JourneyPlacement
        fields = ["phase", "overlap", "since", "changed_on", "evidence"]
        read_only_fields = fields


class PhaseChangeSerializer(serializers.ModelSerializer):
    """One change: where from, after how many days there, and where to."""

    phase, overlap = PhaseField(read_only=True), PhaseField(read_only=True)
    from_phase, from_overlap = PhaseField(read_only=True), PhaseField(read_only=True)
    evidence = SignSerializer(many=True, read_only=True)

    class Meta:
        model = PhaseChange
        fields = ["day", "from_phase", "from_overlap", "phase", "overlap", "stayed_days", "evidence"]
        read_only_fields = fields


class JourneySerializer(serializers.Serializer):
    """Where the account is on its journey, with what shows it now, the days in each phase, and every change."""

    phase, overlap = PhaseField(), PhaseField()
    since = serializers.DateField(allow_null=True)
    evidence = SignSerializer(many=True)
    days = serializers.DictField(child=serializers.IntegerField(), help_text="Days in each phase, today's included.")
    changes = PhaseChangeSerializer(many=True)


def journey_of(account: Account, *, today: date) -> dict[str, Any]:
    """Collect the journey of one account: as it is kept, with the evidence as it is now."""
    placement: JourneyPlacement | None = getattr(account, "journey", None)
    position = journey.position(account.pk, day=today)
    changes = list(PhaseChange.objects.filter(account=account).order_by("-day"))
    spent = times.of_account(changes, placement, today=today)
    placed = rules.Placed(placement.phase, placement.overlap) if placement else rules.Placed()
    return {
        "phase": placed.phase,
        "overlap": placed.overlap,
        "since": placement.since if placement else None,
        "evidence": rules.evidence(position.facts, placed) if position else [],
        "days": {phase.code: spent[phase] for phase in PHASES if phase in spent},
        "changes": changes,
    }


class AccountFilter(CrmAccountFilter):
    """What a list of accounts can be narrowed to, by their journey as well."""

    phase = filters.ChoiceFilter(choices=CODES, method="filter_phase")
    overlap = filters.ChoiceFilter(choices=OVERLAPPING, method="filter_overlap")

    class Meta(CrmAccountFilter.Meta):
        pass

    def filter_phase(self, accounts, _name: str, value: str):
        return accounts.filter(in_phase(BY_CODE[value]))

    def filter_overlap(self, accounts, _name: str, value: str):
        return accounts.filter(journey__overlap=BY_CODE[value])
