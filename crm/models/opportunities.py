"""Opportunities with their confirmations and stage moves; the database itself keeps the BANT gate."""

from datetime import date, datetime, time, timedelta
from itertools import combinations
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from crm import policy
from crm.models.accounts import Account, within_sight
from crm.models.changes import serial_field
from crm.models.contacts import Contact, Departure
from crm.models.histories import WithKey
from crm.models.users import Team, User, owned_within_sight


class Stage(models.TextChoices):
    """Where a possible sale stands."""

    MQL = "mql", _("MQL")
    SQL = "sql", _("SQL")
    OPPORTUNITY = "opportunity", _("opportunity")
    PROPOSAL = "proposal", _("proposal")
    WON = "won", _("won")
    LOST = "lost", _("lost")


class DealKind(models.TextChoices):
    """What a deal adds to what the account has bought so far; together they are its contract history."""

    NEW = "new", _("new business")
    RENEWAL = "renewal", _("renewal")
    UPSELL = "upsell", _("upsell")
    CROSS_SELL = "cross_sell", _("cross-sell")


OPEN_STAGES = (Stage.MQL, Stage.SQL, Stage.OPPORTUNITY, Stage.PROPOSAL)
GATED_STAGES = (Stage.OPPORTUNITY, Stage.PROPOSAL, Stage.WON)


class ConfirmationKind(models.TextChoices):
    """The four letters of BANT."""

    BUDGET = "budget", _("budget")
    AUTHORITY = "authority", _("authority")
    NEED = "need", _("need")
    TIMING = "timing", _("timing")


class Product(models.Model):
    """Something we sell."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    series = models.CharField(_("series"), max_length=50, blank=True)
    list_price = models.DecimalField(_("list price"), max_digits=14, decimal_places=2, null=True, blank=True)

    class Meta:
        verbose_name, verbose_name_plural = _("product"), _("products")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class OpportunityQuerySet(models.QuerySet["Opportunity"]):
    """Opportunities as sales people speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep the user's or team's own deals, and those at accounts that the user may see."""
        return self.filter(deal_within_sight(user))

    def open(self) -> Self:
        """Keep those neither won nor lost."""
        return self.filter(stage__in=OPEN_STAGES)

    def won(self) -> Self:
        """Keep those won."""
        return self.filter(stage=Stage.WON)

    def lost(self) -> Self:
        """Keep those lost."""
        return self.filter(stage=Stage.LOST)

    def gate_broken(self) -> Self:
        """Keep those that stand in a gated stage on a confirmation that was withdrawn."""
        return self.exclude(gate_broken_at=None)

    def committed(self) -> Self:
        """Keep what the forecast may count on: past the gate, and the gate still holds."""
        return self.filter(stage__in=(Stage.OPPORTUNITY, Stage.PROPOSAL), gate_broken_at=None)

    def judged_by_gate(self) -> Self:
        """Leave out imported history, which never saw the gate."""
        return self.filter(imported_stage="")


def _entered_with(*kinds: str) -> Q:
    return Q(**{f"entry_{kind}__isnull": False for kind in kinds})


def deal_within_sight(user: User | AnonymousUser, *, at: str = "") -> Q:
    """Select rows whose deal a user may see; `at` leads to the deal, e.g. 'opportunity__'.

    By joins: a list of what hangs on deals then follows its own order, where a subquery would read every deal first.
    """
    return owned_within_sight(user, at=at) | within_sight(user, at=f"{at}account__")


# The gate as the database sees it; crm/bant.py holds the rule, and a test compares the two.
TWO_OF_THREE = _entered_with("budget", "authority") | _entered_with("budget", "timing") | _entered_with("authority", "timing")
GATE = {
    Stage.OPPORTUNITY: TWO_OF_THREE,
    Stage.PROPOSAL: TWO_OF_THREE & _entered_with("need") & Q(amount__isnull=False, expected_close_on__isnull=False),
    Stage.WON: TWO_OF_THREE & _entered_with("need", "authority") & Q(amount__isnull=False, closed_on__isnull=False),
}


def _holds(stage: Stage) -> Q:
    """Require the gate of a stage from every row in it, but for history that was imported in that very stage."""
    return ~Q(stage=stage) | Q(imported_stage=stage) | GATE[stage]


class Opportunity(models.Model):
    """A possible sale to one account; a gated stage holds only with the confirmations it was entered with."""

    account = models.ForeignKey(
        Account, verbose_name=_("account"), null=True, blank=True, on_delete=models.PROTECT, related_name="opportunities",
        help_text=_("Only imported early deals may lack one."),
    )  # fmt: skip
    name = models.CharField(_("name"), max_length=200)
    product = models.ForeignKey(
        Product, verbose_name=_("product"), null=True, blank=True, on_delete=models.PROTECT, related_name="opportunities"
    )
    stage = models.CharField(_("stage"), max_length=12, choices=Stage, default=Stage.MQL)
    stage_since = models.DateTimeField(_("in this stage since"), null=True, blank=True)
    kind = models.CharField(_("kind of deal"), max_length=10, choices=DealKind, default=DealKind.NEW, db_default=DealKind.NEW)
    origin = models.CharField(
        _("channel"), max_length=50, blank=True, default="", db_default="", help_text=_("How they first came to us, e.g. organic_search.")
    )
    campaign = models.CharField(_("campaign"), max_length=100, blank=True, default="", db_default="")
    owner = models.ForeignKey(User, verbose_name=_("owner"), null=True, blank=True, on_delete=models.SET_NULL, related_name="opportunities")
    team = models.ForeignKey(Team, verbose_name=_("team"), null=True, blank=True, on_delete=models.PROTECT, related_name="opportunities")
    amount = models.DecimalField(_("amount"), max_digits=14, decimal_places=2, null=True, blank=True)
    currency = models.CharField(_("currency"), max_length=3, default="EUR")
    expected_close_on = models.DateField(_("expected close"), null=True, blank=True)
    closed_on = models.DateField(_("closed on"), null=True, blank=True)
    lost_reason = models.CharField(_("why it was lost"), max_length=300, blank=True)
    gate_broken_at = models.DateTimeField(_("gate broken"), null=True, blank=True)
    # What the row entered its gated stage with; frozen until the next stage move.
    entry_budget = models.ForeignKey("crm.Confirmation", null=True, blank=True, editable=False, on_delete=models.RESTRICT, related_name="+")
    entry_authority = models.ForeignKey(
        "crm.Confirmation", null=True, blank=True, editable=False, on_delete=models.RESTRICT, related_name="+"
    )
    entry_need = models.ForeignKey("crm.Confirmation", null=True, blank=True, editable=False, on_delete=models.RESTRICT, related_name="+")
    entry_timing = models.ForeignKey("crm.Confirmation", null=True, blank=True, editable=False, on_delete=models.RESTRICT, related_name="+")
    # Imported history never saw the gate: it may stand in this stage and in no other gated one.
    imported_stage = models.CharField(_("imported as"), max_length=12, choices=Stage, blank=True, default="", editable=False)
    source = models.CharField(_("source"), max_length=50, blank=True)
    external_id = models.CharField(_("id at the source"), max_length=100, blank=True)
    revision = models.PositiveIntegerField(_("revision"), default=0, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    change_serial = serial_field()

    history = HistoricalRecords(excluded_fields=["updated_at", "change_serial"], bases=[WithKey])
    objects = OpportunityQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("opportunity"), _("opportunities")
        ordering = ["-id"]
        constraints = [
            *(models.CheckConstraint(condition=_holds(stage), name=f"gate_of_{stage.value}") for stage in GATED_STAGES),
            # One confirmation cannot stand for two letters.
            *(
                models.CheckConstraint(
                    condition=Q(**{f"entry_{one}": None}) | Q(**{f"entry_{other}": None}) | ~Q(**{f"entry_{one}": F(f"entry_{other}")}),
                    name=f"entry_{one}_is_not_{other}",
                )
                for one, other in combinations(ConfirmationKind.values, 2)
            ),
            models.CheckConstraint(condition=Q(stage__in=Stage.values), name="opportunity_stage_known"),
            models.CheckConstraint(condition=Q(kind__in=DealKind.values), name="opportunity_kind_known"),
            # Who moves an imported deal drops the mark: else it would let the deal back into that stage past the gate.
            models.CheckConstraint(condition=Q(imported_stage="") | Q(imported_stage=F("stage")), name="imported_means_this_stage"),
            models.CheckConstraint(
                condition=Q(account__isnull=False) | Q(imported_stage=F("stage"), stage__in=(Stage.MQL, Stage.SQL)),
                name="opportunity_has_account",
            ),
            models.CheckConstraint(
                condition=~Q(stage=Stage.LOST) | (Q(closed_on__isnull=False) & (~Q(lost_reason="") | Q(imported_stage=Stage.LOST))),
                name="lost_has_day_and_reason",
            ),
            models.CheckConstraint(condition=Q(stage__in=(Stage.WON, Stage.LOST)) | Q(closed_on=None), name="open_has_no_close_day"),
            models.CheckConstraint(condition=Q(amount=None) | Q(amount__gte=0), name="opportunity_amount_not_negative"),
            models.UniqueConstraint(fields=["source", "external_id"], condition=~Q(external_id=""), name="opportunity_once_per_source"),
        ]
        indexes = [
            models.Index(fields=["account", "stage"], name="opportunity_by_account"),
            # What decides who may see a deal's pilots, confirmations and moves, without the deal.
            models.Index(fields=["id", "owner", "team", "account"], name="opportunity_within_sight"),
            models.Index(fields=["owner", "stage", "account"], name="opportunity_by_owner"),
            models.Index(fields=["team", "stage"], name="opportunity_by_team"),
            models.Index(fields=["stage", "expected_close_on"], name="opportunity_by_stage"),
            models.Index(fields=["updated_at", "id"], name="opportunity_by_change"),
            models.Index(fields=["change_serial", "id"], name="opportunity_by_serial"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        """Say whether the deal is neither won nor lost."""
        return self.stage in OPEN_STAGES

    @property
    def is_imported_history(self) -> bool:
        """Say whether it stands where an import put it, never judged by the gate."""
        return self.imported_stage == self.stage


class ConfirmationQuerySet(models.QuerySet["Confirmation"]):
    """Confirmations as sales people speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those given at accounts that the user may see: somebody there said it."""
        return self.filter(within_sight(user, at="opportunity__account__"))

    def standing(self) -> Self:
        """Keep those not withdrawn."""
        return self.filter(withdrawn_at=None)

    def stale_on(self, day: date) -> Self:
        """Keep those that stand, but are too old on a local day to open a gate; crm/bant.py judges one in the same way."""
        oldest = datetime.combine(day - timedelta(days=policy.BANT.stale_after_days), time.min, tzinfo=policy.ZONE)
        return self.standing().filter(confirmed_at__lt=oldest)


class Confirmation(models.Model):
    """That somebody at the account confirmed one letter of BANT; never changed, only withdrawn."""

    opportunity = models.ForeignKey(Opportunity, verbose_name=_("opportunity"), on_delete=models.CASCADE, related_name="confirmations")
    kind = models.CharField(_("what"), max_length=10, choices=ConfirmationKind)
    contact = models.ForeignKey(Contact, verbose_name=_("confirmed by"), on_delete=models.PROTECT, related_name="confirmations")
    confirmed_at = models.DateTimeField(_("confirmed"))
    evidence = models.TextField(_("evidence"), help_text=_("In words: what was said or shown, and where."))
    recorded_by = models.ForeignKey(User, verbose_name=_("recorded by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    recorded_at = models.DateTimeField(_("recorded"))
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True, blank=True)
    withdrawn_by = models.ForeignKey(
        User, verbose_name=_("withdrawn by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    withdrawn_because = models.CharField(_("why withdrawn"), max_length=300, blank=True)
    departure = models.ForeignKey(
        Departure, verbose_name=_("departure"), null=True, blank=True, on_delete=models.SET_NULL, related_name="withdrawn_confirmations"
    )

    objects = ConfirmationQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("confirmation"), _("confirmations")
        ordering = ["opportunity", "kind", "-confirmed_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["opportunity", "kind"], condition=Q(withdrawn_at=None), name="confirmation_stands_once"),
            models.CheckConstraint(condition=Q(kind__in=ConfirmationKind.values), name="confirmation_kind_known"),
            models.CheckConstraint(condition=~Q(evidence=""), name="confirmation_has_evidence"),
        ]
        indexes = [models.Index(fields=["contact"], condition=Q(withdrawn_at=None), name="confirmation_by_contact")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.contact})"

    @property
    def why_withdrawn(self) -> str:
        """Say in the reader's language why it no longer holds; what a person wrote is given as it was written."""
        return str(_("left the company")) if self.departure_id else self.withdrawn_because


class StageMoveQuerySet(models.QuerySet["StageMove"]):
    """Stage moves as sales people speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those of opportunities that the user may see."""
        return self.filter(deal_within_sight(user, at="opportunity__"))

    def judged_by_gate(self) -> Self:
        """Leave out imported moves, which never saw the gate."""
        return self.filter(is_imported=False)


class StageMove(models.Model):
    """One step of an opportunity; the funnel and the sales cycle are computed from these rows alone."""

    opportunity = models.ForeignKey(Opportunity, verbose_name=_("opportunity"), on_delete=models.CASCADE, related_name="moves")
    from_stage = models.CharField(_("from"), max_length=12, choices=Stage, blank=True, help_text=_("Empty: the deal began."))
    to_stage = models.CharField(_("to"), max_length=12, choices=Stage)
    moved_at = models.DateTimeField(_("moved"), null=True, blank=True, help_text=_("Empty: imported without a date."))
    moved_by = models.ForeignKey(User, verbose_name=_("moved by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.CharField(_("why"), max_length=300, blank=True)
    is_imported = models.BooleanField(_("imported"), default=False)

    objects = StageMoveQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("stage move"), _("stage moves")
        ordering = ["opportunity", "moved_at", "id"]
        constraints = [
            models.CheckConstraint(condition=~Q(from_stage=F("to_stage")), name="stage_move_goes_somewhere"),
            models.CheckConstraint(condition=Q(to_stage__in=Stage.values), name="stage_move_to_known_stage"),
            models.CheckConstraint(condition=Q(moved_at__isnull=False) | Q(is_imported=True), name="stage_move_has_moment"),
        ]
        indexes = [
            models.Index(fields=["opportunity", "moved_at"], name="stage_move_by_opportunity"),
            models.Index(fields=["to_stage", "moved_at"], name="stage_move_by_stage"),
        ]

    def __str__(self) -> str:
        return f"{self.get_from_stage_display() or '·'} → {self.get_to_stage_display()}"
