"""Target lists over the API: draft, fill, pick, pin, reject, activate, close."""

from django.db.models import Q
from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.response import Response

from abm import comparison_groups, list_results, targets
from abm.api.experiments import ComparisonSerializer, DecisionSerializer
from abm.models import TargetAccount, TargetList
from abm.models.targets import SLOTS
from crm.api.contract import IdFilter, SuchFilter
from crm.api.following import follows
from crm.api.records import Facts, Form, ReadViewSet, RecordField, deed, reading
from crm.models import Account


class TargetListSerializer(serializers.ModelSerializer):
    """Twenty slots of one team, for a period."""

    class Meta:
        model = TargetList
        fields = ["id", "name", "team", "owner", "starts_on", "ends_on", "status", "activated_at", "closed_at"]
        read_only_fields = fields


class TargetListFacts(Facts):
    """A new list; without an owner it is the caller's."""

    class Meta:
        model = TargetList
        fields = ["name", "team", "owner", "starts_on", "ends_on"]


class ReasonSerializer(serializers.Serializer):
    """One part of why an account was proposed."""

    part, value, weight, points = (serializers.CharField(), *(serializers.FloatField() for _number in range(3)))
    sentence = serializers.SerializerMethodField()

    def get_sentence(self, reason: dict[str, object]) -> str:
        return targets.reason_in_words(reason)


class SlotSerializer(serializers.ModelSerializer):
    """One account in one slot."""

    account_name = serializers.CharField(source="account.name", read_only=True)
    reasons = ReasonSerializer(many=True, read_only=True)

    class Meta:
        model = TargetAccount
        fields = ["slot", "account", "account_name", "is_pinned", "reasons", "added_by", "added_at", "fit_at_start", "score_at_start"]
        read_only_fields = fields


class ProposalSerializer(serializers.Serializer):
    """One account's place in the ranking; `slot` when it is on the list."""

    rank, account, account_name = (
        serializers.IntegerField(),
        serializers.IntegerField(source="account_id"),
        serializers.CharField(source="name"),
    )
    points, reasons = serializers.FloatField(), ReasonSerializer(many=True)
    slot = serializers.IntegerField(allow_null=True)
    days_old = serializers.IntegerField(allow_null=True, help_text="Age of the figures; null when the account was never scored.")


class ProposableField(RecordField):
    """An account that a list may hold: one that the caller may see, or one that belongs to no team."""

    def get_queryset(self):
        seen = Account.objects.visible_to(self.context["request"].user)
        return Account.objects.filter(Q(pk__in=seen.values("pk")) | Q(team=None))


class AccountForm(Form):
    """Which account."""

    account = ProposableField(queryset=Account.objects.all())


class PickForm(AccountForm):
    """Which account, and into which slot; the first free one unless told."""

    slot = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=SLOTS)


class SwapForm(AccountForm):
    """Which account makes way, and for which one."""

    to_account = ProposableField(queryset=Account.objects.all())


class RejectForm(AccountForm):
    """Which account, and why not."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=300, default="")


class FillForm(Form):
    """Whether a toss decides between accounts that are as good; the other one is held out."""

    hold_out = serializers.BooleanField(required=False, default=False)


class BalanceSerializer(serializers.Serializer):
    """One trait of list and group at the start; `smd` in standard deviations, null when neither varies but they differ."""

    trait, about = serializers.CharField(), serializers.CharField(allow_blank=True)
    listed, compared = serializers.FloatField(), serializers.FloatField()
    smd = serializers.FloatField(allow_null=True)


class ResultsSerializer(serializers.Serializer):
    """A list beside its group, in accounts: `a` is the group, `b` the list; `responses` decides."""

    days, random_pairs = serializers.IntegerField(), serializers.IntegerField()
    is_over, is_decidable = serializers.BooleanField(), serializers.BooleanField()
    verdict = DecisionSerializer()
    measures = serializers.DictField(child=ComparisonSerializer())
    without_them = ComparisonSerializer(help_text="responses, without the accounts of the group that were on another list")
    listed_worth = serializers.DictField(child=serializers.DecimalField(max_digits=16, decimal_places=2))
    compared_worth = serializers.DictField(child=serializers.DecimalField(max_digits=16, decimal_places=2))
    treated = serializers.ListField(child=serializers.IntegerField(), help_text="accounts of the group that were on another list meanwhile")
    balance = BalanceSerializer(many=True)
    words = serializers.ListField(child=serializers.CharField())


class TargetListFilter(filters.FilterSet):
    """What a list of target lists can be narrowed to."""

    team, owner, active = IdFilter(field_name="team_id"), IdFilter(field_name="owner_id"), SuchFilter()

    class Meta:
        model = TargetList
        fields = ["status"]


_SHOW_ACCOUNTS = ("slots", "proposal", "fill", "pick", "swap", "pin", "unpin", "remove", "reject")


@follows(TargetListSerializer, "TargetList")
class TargetListViewSet(ReadViewSet):
    """Accounts that get personal treatment, twenty at most."""

    scope = "marketing"
    also_shows = dict.fromkeys(_SHOW_ACCOUNTS, ("accounts:read",))
    queryset = TargetList.objects.all()
    serializer_class = TargetListSerializer
    filterset_class = TargetListFilter

    @extend_schema(request=TargetListFacts, responses={201: TargetListSerializer})
    def create(self, request) -> Response:
        """Begin an empty draft."""
        facts = {"owner": request.user} | self.given(TargetListFacts)
        return self.answer(targets.draft(at=self.at, by=request.user, **facts), status=201)

    @reading(SlotSerializer(many=True))
    def slots(self, request, pk: str) -> Response:
        """List the slots that are taken."""
        return self._slots(self.get_object())

    @reading(ProposalSerializer(many=True))
    def proposal(self, request, pk: str) -> Response:
        """Rank every account that may be on the list, best first, with the reasons."""
        return Response(ProposalSerializer(targets.propose(self.get_object(), at=self.at)[:_PROPOSED], many=True).data)

    @reading(ResultsSerializer)
    def results(self, request, pk: str) -> Response:
        """Compare the list with its group over the eight weeks since it was activated; 404 for a draft."""
        row = self.get_object()
        found = list_results.read(row, at=self.at)
        if found is None:
            raise NotFound
        told = {"words": list_results.in_words(found), "balance": row.balance or [], "treated": sorted(found.treated)}
        return Response(ResultsSerializer(vars(found) | {"is_decidable": found.is_decidable} | told).data)

    @deed(FillForm, SlotSerializer(many=True))
    def fill(self, request, pk: str) -> Response:
        """Fill a draft with the best of the proposal; pinned accounts stay."""
        row, form = self.get_object(), self.given(FillForm)
        targets.fill(row, at=self.at, by=request.user, toss=comparison_groups.fair_coin if form["hold_out"] else None)
        return self._slots(row)

    @deed(PickForm, SlotSerializer(many=True))
    def pick(self, request, pk: str) -> Response:
        """Put an account on a draft, pinned."""
        row = self.get_object()
        targets.pick(row, at=self.at, by=request.user, **self.given(PickForm))
        return self._slots(row)

    @deed(SwapForm, SlotSerializer(many=True))
    def swap(self, request, pk: str) -> Response:
        """Put another account into the slot of one."""
        row, form = self.get_object(), self.given(SwapForm)
        targets.swap(_slot(row, form["account"]), account=form["to_account"], at=self.at, by=request.user)
        return self._slots(row)

    @deed(AccountForm, SlotSerializer(many=True))
    def pin(self, request, pk: str) -> Response:
        """Keep an account where it is when the draft is filled anew."""
        return self._on_slot(targets.pin)

    @deed(AccountForm, SlotSerializer(many=True))
    def unpin(self, request, pk: str) -> Response:
        """Let an account make way for a better one when the draft is filled anew."""
        return self._on_slot(targets.unpin)

    @deed(AccountForm, SlotSerializer(many=True))
    def remove(self, request, pk: str) -> Response:
        """Take an account off a draft; it may be proposed again."""
        return self._on_slot(targets.remove)

    @deed(RejectForm, SlotSerializer(many=True))
    def reject(self, request, pk: str) -> Response:
        """Keep an account off a draft, so that it is not proposed again."""
        row = self.get_object()
        targets.reject(row, at=self.at, by=request.user, **self.given(RejectForm))
        return self._slots(row)

    @deed(None, TargetListSerializer)
    def activate(self, request, pk: str) -> Response:
        """Put a draft to work; its accounts and their comparison group are frozen."""
        return self.answer(targets.activate(self.get_object(), at=self.at, by=request.user))

    @deed(None, TargetListSerializer)
    def close(self, request, pk: str) -> Response:
        """End the work on an active list."""
        return self.answer(targets.close(self.get_object(), at=self.at, by=request.user))

    def _on_slot(self, rule) -> Response:
        row, form = self.get_object(), self.given(AccountForm)
        rule(_slot(row, form["account"]), at=self.at, by=self.request.user)
        return self._slots(row)

    def _slots(self, row: TargetList) -> Response:
        return Response(SlotSerializer(row.slots.select_related("account").order_by("slot"), many=True).data)


# What a person looks through; the whole ranking of a big house is of no use.
_PROPOSED = 100


def _slot(row: TargetList, account: Account) -> TargetAccount:
    slot = row.slots.filter(account=account).first()
    if slot is None:
        raise ValidationError({"account": [_("This account is not on the list.")]})
    return slot
