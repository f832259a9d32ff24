"""Accounts over the API: list, detail, open, change, hand over."""

from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from crm import accounts, batches, coverage
from crm.api.batches import takes_batches
from crm.api.contract import IdFilter, SuchFilter
from crm.api.dmu import CoverageSerializer
from crm.api.following import follows
from crm.api.records import Facts, Form, ReadViewSet, RecordField, deed, reading
from crm.errors import NotAllowed
from crm.models import Account, Team, User

_GIVEN = [
    "name", "domain", "status", "industry", "employees", "revenue", "revenue_currency", "founded_year", "country", "city", "parent",
    "contract_conflict", "opted_out_at", "source", "external_id",
]  # fmt: skip


class AccountSerializer(serializers.ModelSerializer):
    """A company that we sell to or want to sell to."""

    country = serializers.CharField(read_only=True, help_text="ISO 3166-1 alpha-2; empty when unknown.")

    class Meta:
        model = Account
        fields = ["id", *_GIVEN, "owner", "team", "created_at", "updated_at"]
        read_only_fields = fields


class AccountFacts(Facts):
    """What a caller may say of an account; its owner and team change by handing it over."""

    class Meta:
        model = Account
        fields = _GIVEN


class HandOverForm(Form):
    """To whom an account goes; both empty: to nobody."""

    owner = RecordField(queryset=User.objects.all(), allow_null=True)
    team = RecordField(queryset=Team.objects.all(), allow_null=True)


class AccountFilter(filters.FilterSet):
    """What a list of accounts can be narrowed to."""

    name = filters.CharFilter(lookup_expr="icontains")
    country = filters.CharFilter()
    owner, team, parent = IdFilter(field_name="owner_id"), IdFilter(field_name="team_id"), IdFilter(field_name="parent_id")
    customers, approachable = SuchFilter(), SuchFilter()
    updated_since = filters.IsoDateTimeFilter(field_name="updated_at", lookup_expr="gte")

    class Meta:
        model = Account
        fields = ["status", "domain", "industry", "source", "external_id"]


@takes_batches(batches.ACCOUNTS)
@follows(AccountSerializer, "Account")
class AccountViewSet(ReadViewSet):
    """Companies, with their owner and team."""

    scope = "accounts"
    is_prepared = True
    also_shows = {"coverage": ("contacts:read",)}
    queryset = Account.objects.all()
    serializer_class = AccountSerializer
    filterset_class = AccountFilter
    orderings = {"-id": ("-id",), "name": ("name", "id"), "updated_at": ("updated_at", "id")}

    @extend_schema(request=AccountFacts, responses={201: AccountSerializer})
    def create(self, request) -> Response:
        """Open an account; it belongs to the caller and the caller's team."""
        return self.answer(accounts.open(at=self.at, by=request.user, **self.given(AccountFacts)), status=201)

    @extend_schema(request=AccountFacts, responses=AccountSerializer)
    def partial_update(self, request, pk: str) -> Response:
        """Change what is known of an account."""
        account = self.get_object()
        return self.answer(accounts.change(account, at=self.at, by=request.user, **self.given(AccountFacts, partial=True)))

    @deed(HandOverForm, AccountSerializer)
    def hand_over(self, request, pk: str) -> Response:
        """Give an account to another owner and team, with the old owner's open deals and tasks there."""
        account, to = self.get_object(), self.given(HandOverForm)
        if not request.user.has_perm("crm.assign_account"):
            raise NotAllowed(_("You may not give accounts to another owner or team."))
        return self.answer(accounts.hand_over(account, at=self.at, by=request.user, **to))

    @reading(CoverageSerializer)
    def coverage(self, request, pk: str) -> Response:
        """Show how far the decision-making unit of an account is covered."""
        account = self.get_object()
        return Response(CoverageSerializer(coverage.coverage([account], at=self.at)[account.pk]).data)
