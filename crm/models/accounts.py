"""Accounts: the companies we sell to or want to sell to."""

from typing import Any, Self, TypeVar

from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import EmptyResultSet
from django.core.validators import MinValueValidator
from django.db import connection, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q
from django.db.models.lookups import In
from django.utils.translation import gettext_lazy as _
from django_countries.fields import CountryField
from simple_history.models import HistoricalRecords

from crm.models.changes import serial_field
from crm.models.histories import WithKey
from crm.models.users import Sight, Team, User, owned_within_sight, sight

_Record = TypeVar("_Record", bound=models.Model)


class HoldableQuerySet(models.QuerySet[_Record]):
    """Records that others hang rows on."""

    def held(self) -> list[int]:
        """Keep these records from being deleted, merged or erased until the transaction ends, and give their ids, the lowest first.

        Whoever writes rows that hang on a record holds it first; many may at once. The database would do it at the
        commit, and wait there for somebody who deletes the record, and who waits for these rows.
        """
        try:
            sql, values = self.order_by("pk").values_list("pk").query.sql_with_params()
        except EmptyResultSet:
            return []
        with connection.cursor() as cursor:
            cursor.execute(f"{sql} FOR KEY SHARE" if connection.vendor == "postgresql" else sql, values)
            return [pk for (pk,) in cursor.fetchall()]


class AccountQuerySet(HoldableQuerySet["Account"]):
    """Accounts as sales people speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those of the user's team, and those where the user personally works an open deal."""
        return self.filter(within_sight(user))

    def customers(self) -> Self:
        """Keep those that buy from us."""
        return self.filter(status=Account.Status.CUSTOMER)

    def approachable(self) -> Self:
        """Keep those that marketing may work on: not opted out, no competitor, no contract conflict."""
        return self.filter(opted_out_at=None, contract_conflict=False).exclude(status=Account.Status.COMPETITOR)


def within_sight(user: User | AnonymousUser, *, at: str = "") -> Q:
    """Select rows whose account a user may see; `at` leads to the account, e.g. 'account__'.

    Besides the own and the team's accounts these are the ones where the user personally works an open deal:
    who sells there must see who decides there.
    """
    owned = owned_within_sight(user, at=at)
    if sight(user) in (Sight.NOTHING, Sight.ALL):
        return owned
    own_open_deals = apps.get_model("crm", "Opportunity").objects.open().filter(owner=user.pk)
    # Those elsewhere, which are few: PostgreSQL compares the account of every row with every one of them.
    elsewhere = own_open_deals.exclude(owned_within_sight(user, at="account__"))
    return owned | Q(**{f"{at}id__among": elsewhere.values("account_id")})


@models.BigAutoField.register_lookup
@models.BigIntegerField.register_lookup
@models.CharField.register_lookup
class Among(In):
    """`in` a subquery or a list, in the form that PostgreSQL looks up in the index, whatever else it would rather walk through.

    It looks up a subquery in an index also where that is one side of an "or"; and of rows known by their keys it reads
    these, where by its guess it would follow the index of the order until it met enough of them.
    An empty text is among no texts: those are indexed where they are not empty, and of more than a hundred values the
    planner does not see for itself that none is.
    """

    lookup_name = "among"

    def get_prep_lookup(self) -> Any:
        """Take numbers and texts as they are: to ask the field of each of thousands takes as long as to look them up."""
        if self.rhs_is_direct_value() and all(type(one) in (int, str) for one in self.rhs):
            return self.rhs
        return super().get_prep_lookup()

    def process_rhs(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        """Give a list as one array: of numbers the planner takes it for a few, of texts PostgreSQL makes a table to look in."""
        if connection.vendor == "postgresql" and self.rhs_is_direct_value() and self.rhs:
            if self._is_of_texts():
                return "(%s::text[])", [sorted(self.rhs)]
            # As text: the driver takes a list apart number by number.
            return "(ARRAY(SELECT unnest(%s::bigint[])))", [f"{{{','.join(map(str, self.rhs))}}}"]
        sql, values = super().process_rhs(compiler, connection)
        return (f"(ARRAY{sql})" if connection.vendor == "postgresql" else sql), values

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
        """Say of texts, too, that they are not empty."""
        sql, values = super().as_sql(compiler, connection)
        if not self._is_of_texts():
            return sql, values
        column, more = self.process_lhs(compiler, connection)
        return f"({column} <> '' AND {sql})", [*more, *values]

    def get_rhs_op(self, connection: BaseDatabaseWrapper, rhs: str) -> str:
        """Compare with an array where the database knows arrays."""
        return f"= ANY{rhs}" if connection.vendor == "postgresql" else super().get_rhs_op(connection, rhs)

    def _is_of_texts(self) -> bool:
        return isinstance(self.lhs.output_field, models.CharField)


class Account(models.Model):
    """A company, matched by its registrable web domain."""

    class Status(models.TextChoices):
        """What the company is to us."""

        PROSPECT = "prospect", _("prospect")
        CUSTOMER = "customer", _("customer")
        FORMER = "former", _("former customer")
        COMPETITOR = "competitor", _("competitor")

    name = models.CharField(_("name"), max_length=200)
    domain = models.CharField(_("web domain"), max_length=253, blank=True, help_text=_("The registrable part, e.g. example.nl"))
    status = models.CharField(_("status"), max_length=12, choices=Status, default=Status.PROSPECT)
    industry = models.CharField(_("industry"), max_length=100, blank=True)
    employees = models.PositiveIntegerField(_("employees"), null=True, blank=True)
    revenue = models.DecimalField(
        _("revenue per year"), max_digits=16, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    revenue_currency = models.CharField(_("currency of revenue"), max_length=3, default="EUR")
    founded_year = models.PositiveSmallIntegerField(_("founded in"), null=True, blank=True)
    country = CountryField(_("country"), blank=True)
    city = models.CharField(_("city"), max_length=100, blank=True)
    parent = models.ForeignKey(
        "self", verbose_name=_("parent company"), null=True, blank=True, on_delete=models.SET_NULL, related_name="subsidiaries"
    )
    owner = models.ForeignKey(User, verbose_name=_("owner"), null=True, blank=True, on_delete=models.SET_NULL, related_name="accounts")
    team = models.ForeignKey(Team, verbose_name=_("team"), null=True, blank=True, on_delete=models.PROTECT, related_name="accounts")
    contract_conflict = models.BooleanField(
        _("open contract conflict"), default=False, help_text=_("Never proposed for a target list while it lasts.")
    )
    opted_out_at = models.DateTimeField(_("opted out"), null=True, blank=True)
    source = models.CharField(_("source"), max_length=50, blank=True)
    external_id = models.CharField(_("id at the source"), max_length=100, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    change_serial = serial_field()

    history = HistoricalRecords(excluded_fields=["change_serial"], bases=[WithKey])
    objects = AccountQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("account"), _("accounts")
        ordering = ["name", "id"]
        permissions = [("assign_account", _("Can give accounts to another owner or team"))]
        constraints = [
            models.UniqueConstraint(fields=["domain"], condition=~Q(domain=""), name="account_domain_once"),
            models.UniqueConstraint(fields=["source", "external_id"], condition=~Q(external_id=""), name="account_once_per_source"),
            models.CheckConstraint(condition=~Q(name=""), name="account_has_name"),
            models.CheckConstraint(condition=Q(parent=None) | ~Q(parent=models.F("id")), name="account_not_own_parent"),
            models.CheckConstraint(condition=Q(revenue=None) | Q(revenue__gte=0), name="account_revenue_not_negative"),
        ]
        indexes = [
            models.Index(fields=["owner", "name"], name="account_by_owner"),
            models.Index(fields=["team", "name"], name="account_by_team"),
            models.Index(fields=["name", "id"], name="account_by_name"),
            # Whether somebody may see it, which nearly every list asks of many accounts.
            models.Index(fields=["id", "owner", "team"], name="account_within_sight"),
            models.Index(fields=["industry"], name="account_by_industry"),
            models.Index(fields=["updated_at", "id"], name="account_by_change"),
            models.Index(fields=["change_serial", "id"], name="account_by_serial"),
        ]

    def __str__(self) -> str:
        return self.name
