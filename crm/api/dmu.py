"""The DMU over the API: who holds which role, and how well the required roles are covered."""

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from crm import batches, dmu
from crm.api.batches import takes_batches
from crm.api.contract import IdFilter, SuchFilter
from crm.api.following import follows
from crm.api.records import Facts, Form, ReadViewSet, deed
from crm.models import DmuMembership, DmuRole, Stance


class HolderSerializer(serializers.Serializer):
    """Somebody in a role."""

    contact = serializers.IntegerField(source="contact_id")
    name = serializers.CharField()
    stance = serializers.ChoiceField(Stance.choices)
    is_assumed, is_reachable, is_engaged = serializers.BooleanField(), serializers.BooleanField(), serializers.BooleanField()
    at_risk = serializers.BooleanField(help_text="There is evidence that this person may have left.")


class RoleCoverageSerializer(serializers.Serializer):
    """How far one required role is covered, and what to do next."""

    role = serializers.ChoiceField(DmuRole.choices)
    state = serializers.ChoiceField(["missing", "assumed", "known", "reachable", "engaged", "lost"])
    holders = HolderSerializer(many=True)
    next_step = serializers.CharField()


class CoverageSerializer(serializers.Serializer):
    """How far the decision-making unit is covered."""

    percent = serializers.IntegerField(help_text="Share of the required roles that are reachable or engaged.")
    people, required_people = serializers.IntegerField(), serializers.IntegerField()
    is_single_threaded = serializers.BooleanField(help_text="Exactly one person is engaged.")
    roles = RoleCoverageSerializer(many=True)


class MembershipSerializer(serializers.ModelSerializer):
    """A contact in a role, standing for the account or for one opportunity."""

    class Meta:
        model = DmuMembership
        fields = [
            "id", "account", "contact", "opportunity", "role", "stance", "is_assumed", "said_by", "since", "until", "end_reason",
        ]  # fmt: skip
        read_only_fields = fields


class MembershipFacts(Facts):
    """Who holds which role; without an opportunity it stands for the account."""

    class Meta:
        model = DmuMembership
        fields = ["contact", "role", "opportunity", "stance", "is_assumed"]


class StanceForm(Form):
    """How somebody stands towards us."""

    stance = serializers.ChoiceField(Stance.choices)


class EndForm(Form):
    """Why somebody no longer holds a role."""

    reason = serializers.ChoiceField(DmuMembership.EndReason.choices)


class MembershipFilter(filters.FilterSet):
    """What a list of memberships can be narrowed to."""

    account, contact = IdFilter(field_name="account_id"), IdFilter(field_name="contact_id")
    opportunity = IdFilter(field_name="opportunity_id")
    current, standing = SuchFilter(), SuchFilter()

    class Meta:
        model = DmuMembership
        fields = ["role", "stance", "is_assumed"]


@takes_batches(batches.MEMBERSHIPS)
@follows(MembershipSerializer, "Membership")
class MembershipViewSet(ReadViewSet):
    """Who holds which role in a decision."""

    scope = "accounts"
    queryset = DmuMembership.objects.all()
    serializer_class = MembershipSerializer
    filterset_class = MembershipFilter

    @extend_schema(request=MembershipFacts, responses={201: MembershipSerializer})
    def create(self, request) -> Response:
        """Say that a contact holds a role; saying it again confirms it, and makes no second row."""
        return self.answer(dmu.assign(at=self.at, by=request.user, **self.given(MembershipFacts)), status=201)

    @deed(None, MembershipSerializer)
    def confirm(self, request, pk: str) -> Response:
        """Turn an assumed role into a confirmed one."""
        return self.answer(dmu.confirm(self.get_object(), at=self.at, by=request.user))

    @deed(StanceForm, MembershipSerializer)
    def set_stance(self, request, pk: str) -> Response:
        """Say how the holder stands towards us."""
        return self.answer(dmu.set_stance(self.get_object(), at=self.at, by=request.user, **self.given(StanceForm)))

    @deed(EndForm, MembershipSerializer)
    def end(self, request, pk: str) -> Response:
        """End a membership; it stays in the history."""
        return self.answer(dmu.end(self.get_object(), at=self.at, by=request.user, **self.given(EndForm)))
