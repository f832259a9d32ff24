"""Opportunities over the API: begin, confirm, withdraw, move through the gate; the stage has no other way."""

from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.response import Response

from crm import access, batches, confirmations, coverage, opportunities
from crm.api.batches import takes_batches
from crm.api.contract import IdFilter, SuchFilter
from crm.api.dmu import CoverageSerializer
from crm.api.following import follows
from crm.api.records import Facts, Form, ReadViewSet, RecordField, deed, reading
from crm.errors import MISSING_SENTENCES, Conflict, NotAllowed
from crm.models import Account, Confirmation, Opportunity, Stage, StageMove

STARTING_STAGES = [(stage.value, stage.label) for stage in (Stage.MQL, Stage.SQL)]
MISSING_REASONS = sorted(MISSING_SENTENCES)
_FIGURES = ["name", "product", "amount", "currency", "expected_close_on", "kind", "origin", "campaign"]


class OpportunitySerializer(serializers.ModelSerializer):
    """A possible sale to one account."""

    entry = serializers.SerializerMethodField(help_text="The confirmations with which it entered its stage, by kind.")
    is_imported_history = serializers.BooleanField(read_only=True)

    class Meta:
        model = Opportunity
        fields = [
            "id", "account", *_FIGURES, "stage", "stage_since", "owner", "team", "closed_on", "lost_reason", "gate_broken_at",
            "entry", "is_imported_history", "source", "external_id", "revision", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_entry(self, row: Opportunity) -> dict[str, int | None]:
        kinds = ("budget", "authority", "need", "timing")
        return {kind: getattr(row, f"entry_{kind}_id") for kind in kinds}


_FIGURE_BOUNDS = {"amount": {"min_value": 0}, "currency": {"min_length": 3}}


class OpportunityFacts(Facts):
    """A new deal: an MQL, or an SQL at once."""

    account = RecordField(queryset=Account.objects.all())
    stage = serializers.ChoiceField(STARTING_STAGES, required=False)

    class Meta:
        model = Opportunity
        fields = ["account", *_FIGURES, "stage", "owner", "source", "external_id"]
        extra_kwargs = _FIGURE_BOUNDS


class OpportunityFigures(Facts):
    """What of a deal can be put right; its stage moves through the gate alone."""

    class Meta:
        model = Opportunity
        fields = _FIGURES
        extra_kwargs = _FIGURE_BOUNDS


class ConfirmationSerializer(serializers.ModelSerializer):
    """That somebody at the account confirmed one letter of BANT."""

    class Meta:
        model = Confirmation
        fields = [
            "id", "opportunity", "kind", "contact", "confirmed_at", "evidence", "recorded_by", "recorded_at",
            "withdrawn_at", "withdrawn_by", "withdrawn_because",
        ]  # fmt: skip
        read_only_fields = fields


class ConfirmationFacts(Facts):
    """Who confirmed what, and the evidence in words; it was now unless told otherwise."""

    class Meta:
        model = Confirmation
        fields = ["kind", "contact", "evidence", "confirmed_at"]
        extra_kwargs = {"confirmed_at": {"required": False}}


class WithdrawalForm(Form):
    """Which confirmation no longer holds, and why."""

    confirmation = RecordField(queryset=Confirmation.objects.all())
    because = serializers.CharField(max_length=300)


class StageMoveSerializer(serializers.ModelSerializer):
    """One step of an opportunity."""

    class Meta:
        model = StageMove
        fields = ["id", "from_stage", "to_stage", "moved_at", "moved_by", "reason", "is_imported"]
        read_only_fields = fields


class AdvanceForm(Form):
    """The next stage; a won deal needs the day on which it was."""

    to = serializers.ChoiceField(Stage.choices)
    closed_on = serializers.DateField(required=False)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=300)


class WinForm(Form):
    """The day on which the deal was won; today unless told otherwise."""

    closed_on = serializers.DateField(required=False)


class ReasonForm(Form):
    """Why."""

    reason = serializers.CharField(max_length=300)


class NameAccountForm(Form):
    """Whose deal it is."""

    account = RecordField(queryset=Account.objects.all())


class MissingSerializer(serializers.Serializer):
    """What keeps a deal out of a stage."""

    stage = serializers.ChoiceField(Stage.choices)
    missing = serializers.ListField(child=serializers.ChoiceField(MISSING_REASONS))
    sentences = serializers.ListField(child=serializers.CharField(), help_text="The same in the caller's language.")


class OpportunityFilter(filters.FilterSet):
    """What a list of opportunities can be narrowed to."""

    account, owner, team = IdFilter(field_name="account_id"), IdFilter(field_name="owner_id"), IdFilter(field_name="team_id")
    open, won, lost = SuchFilter(), SuchFilter(), SuchFilter()
    committed, gate_broken, judged_by_gate = SuchFilter(), SuchFilter(), SuchFilter()
    updated_since = filters.IsoDateTimeFilter(field_name="updated_at", lookup_expr="gte")

    class Meta:
        model = Opportunity
        fields = ["stage", "source", "external_id", "kind", "origin", "campaign"]


_STAGE = OpenApiParameter("stage", str, required=True, enum=[*Stage.values], description="The stage to be entered.")


@takes_batches(batches.OPPORTUNITIES)
@follows(OpportunitySerializer, "Opportunity")
class OpportunityViewSet(ReadViewSet):
    """Possible sales, with their BANT gate."""

    scope = "deals"
    also_shows = {"coverage": ("contacts:read",)}
    queryset = Opportunity.objects.all()
    serializer_class = OpportunitySerializer
    filterset_class = OpportunityFilter
    orderings = {"-id": ("-id",), "updated_at": ("updated_at", "id")}

    @extend_schema(
        request=OpportunityFacts,
        responses={201: OpportunitySerializer, 200: OpenApiResponse(OpportunitySerializer, description="It was begun before.")},
    )
    def create(self, request) -> Response:
        """Begin a deal as MQL or SQL; the same source and external id give the first one back."""
        facts = self.given(OpportunityFacts)
        known = Opportunity.objects.filter(source=facts.get("source", ""), external_id=facts.get("external_id") or None).exists()
        begun = opportunities.begin(at=self.at, by=request.user, **facts)
        if not self.get_queryset().filter(pk=begun.pk).exists():
            raise Conflict(_("This source used this external id for another deal."))
        return self.answer(begun, status=200 if known else 201)

    @extend_schema(request=OpportunityFigures, responses=OpportunitySerializer)
    def partial_update(self, request, pk: str) -> Response:
        """Put the figures of a deal right; the stage is not one of them."""
        figures = self.given(OpportunityFigures, partial=True)
        return self.answer(opportunities.change(self.get_object(), at=self.at, by=request.user, **figures))

    @deed(ConfirmationFacts, ConfirmationSerializer, status=201)
    def confirm(self, request, pk: str) -> Response:
        """Record that somebody at the account confirmed budget, authority, need or timing."""
        deal = self.get_object()
        if not access.sees_account_of(request.user, deal):
            raise NotAllowed(_("This account belongs to another team."))
        confirmation = confirmations.confirm(deal, at=self.at, by=request.user, **self.given(ConfirmationFacts))
        return Response(ConfirmationSerializer(confirmation).data, status=201)

    @deed(WithdrawalForm, ConfirmationSerializer)
    def withdraw(self, request, pk: str) -> Response:
        """Withdraw a confirmation of this deal; when its stage rested on it, the gate is marked broken."""
        deal, given = self.get_object(), self.given(WithdrawalForm)
        if given["confirmation"].opportunity_id != deal.pk:
            raise ValidationError({"confirmation": [_("This confirmation is not one of this deal.")]})
        withdrawn = confirmations.withdraw(given["confirmation"], because=given["because"], at=self.at, by=request.user)
        return Response(ConfirmationSerializer(withdrawn).data)

    @deed(AdvanceForm, OpportunitySerializer)
    def advance(self, request, pk: str) -> Response:
        """Move a deal one stage on; 409 names what is missing, or that somebody else moved it first."""
        return self.answer(opportunities.advance(self.get_object(), at=self.at, by=request.user, **self.given(AdvanceForm)))

    @deed(WinForm, OpportunitySerializer)
    def win(self, request, pk: str) -> Response:
        """Win a deal that has a proposal out."""
        return self.answer(opportunities.win(self.get_object(), at=self.at, by=request.user, **self.given(WinForm)))

    @deed(ReasonForm, OpportunitySerializer)
    def lose(self, request, pk: str) -> Response:
        """Lose an open deal, with the reason."""
        return self.answer(opportunities.lose(self.get_object(), at=self.at, by=request.user, **self.given(ReasonForm)))

    @deed(ReasonForm, OpportunitySerializer)
    def reopen(self, request, pk: str) -> Response:
        """Take a won or lost deal back to SQL, with the reason."""
        return self.answer(opportunities.reopen(self.get_object(), at=self.at, by=request.user, **self.given(ReasonForm)))

    @deed(NameAccountForm, OpportunitySerializer)
    def name_account(self, request, pk: str) -> Response:
        """Say whose deal an imported one is that named no account."""
        return self.answer(opportunities.name_account(self.get_object(), at=self.at, by=request.user, **self.given(NameAccountForm)))

    @reading(MissingSerializer, parameters=[_STAGE])
    def missing(self, request, pk: str) -> Response:
        """List what keeps a deal out of a stage."""
        deal, stage = self.get_object(), request.query_params.get("stage", "")
        if stage not in Stage.values:
            raise ValidationError({"stage": [_("Known are: %(names)s.") % {"names": ", ".join(Stage.values)}]})
        names = opportunities.missing_for(deal, stage, at=self.at)
        return Response({"stage": stage, "missing": names, "sentences": [str(MISSING_SENTENCES[name]) for name in names]})

    @reading(ConfirmationSerializer(many=True))
    def confirmations(self, request, pk: str) -> Response:
        """List every confirmation of a deal, the withdrawn ones too."""
        rows = self._with_account().confirmations.order_by("confirmed_at", "id")
        return Response(ConfirmationSerializer(rows, many=True).data)

    @reading(StageMoveSerializer(many=True))
    def moves(self, request, pk: str) -> Response:
        """List every stage move of a deal, first to last."""
        return Response(StageMoveSerializer(self.get_object().moves.all(), many=True).data)

    @reading(CoverageSerializer)
    def coverage(self, request, pk: str) -> Response:
        """Show how far the decision-making unit of a deal is covered."""
        deal = self._with_account()
        return Response(CoverageSerializer(coverage.coverage_of_opportunities([deal], at=self.at)[deal.pk]).data)

    def _with_account(self) -> Opportunity:
        """Give the deal to a caller who may see what lies at its account, too."""
        deal: Opportunity = self.get_object()
        if not access.sees_account_of(self.request.user, deal):
            raise NotFound
        return deal
