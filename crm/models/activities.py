"""Activities, one dated thing each, and the queue of changes from which figures are derived."""

from datetime import date, datetime
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _

from crm import activity_kinds, machine_agents
from crm.models.accounts import Account, within_sight
from crm.models.changes import serial_field
from crm.models.users import User


class ActivityQuerySet(models.QuerySet["Activity"]):
    """Activities as sales people speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those at accounts that the user may see."""
        return self.filter(within_sight(user, at="account__"))

    def at_account(self, account_id: int) -> Self:
        """Keep those of one account."""
        return self.filter(account=account_id)

    def since(self, moment: datetime) -> Self:
        """Keep those from a moment on."""
        return self.filter(occurred_at__gte=moment)

    def by_people(self) -> Self:
        """Keep what they did themselves: neither our own work nor a machine's."""
        return self.filter(machine_reason="").exclude(kind__in=activity_kinds.OURS_KINDS)

    def by_machines(self) -> Self:
        """Keep what counts as made by machines."""
        return self.exclude(machine_reason="")

    def on_days(self, first: date, last: date) -> Self:
        """Keep those of local days from first to last, both included."""
        return self.filter(day__gte=first, day__lte=last)


class Activity(models.Model):
    """One dated thing that a contact or an anonymous visitor did, or that we did with them."""

    class JudgedBy(models.TextChoices):
        """Who said whether a machine made it; the rules judge again when something comes to light, the others' word stands."""

        RULES = "", _("the rules")
        SOURCE = "source", _("the source")
        PERSON = "person", _("a colleague")

    # The longer indexes below begin with the account and the contact: one of their own would only cost each row a write.
    account = models.ForeignKey(
        Account, verbose_name=_("account"), on_delete=models.CASCADE, related_name="activities", db_index=False
    )  # fmt: skip
    contact = models.ForeignKey(
        "crm.Contact", verbose_name=_("contact"), null=True, blank=True, on_delete=models.SET_NULL, related_name="activities", db_index=False,
        help_text=_("Empty: an anonymous visitor of the company."),
    )  # fmt: skip
    opportunity = models.ForeignKey(
        "crm.Opportunity", verbose_name=_("opportunity"), null=True, blank=True, on_delete=models.SET_NULL, related_name="activities"
    )
    kind = models.CharField(_("kind"), max_length=30)
    occurred_at = models.DateTimeField(_("occurred"))
    # The organisation's local day, set when recorded: caps and decay work on whole days.
    day = models.DateField(_("day"), editable=False)
    subject = models.CharField(_("subject"), max_length=300, blank=True)
    machine_reason = models.CharField(_("machine-made because"), max_length=30, blank=True)
    judged_by = models.CharField(_("judged by"), max_length=6, choices=JudgedBy, blank=True, default="", db_default="")
    message_id = models.CharField(_("Message-ID"), max_length=250, blank=True, default="", db_default="")
    link = models.CharField(_("link"), max_length=500, blank=True, default="", db_default="")
    # The program that made it, as it names itself; kept for policy.RETENTION.user_agent_days. Never an address.
    user_agent = models.CharField(_("program"), max_length=300, blank=True, default="", db_default="")
    source = models.CharField(_("source"), max_length=50)
    external_id = models.CharField(_("id at the source"), max_length=100, blank=True)
    recorded_by = models.ForeignKey(User, verbose_name=_("recorded by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    recorded_at = models.DateTimeField(_("recorded"))
    change_serial = serial_field()

    objects = ActivityQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("activity"), _("activities")
        ordering = ["-occurred_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], condition=~Q(external_id=""), name="activity_once_per_source"),
        ]
        indexes = [
            models.Index(fields=["account", "-occurred_at"], name="activity_by_account"),
            # All that a count asks for: it need not look at the activities themselves, which lie in the order of time.
            models.Index(fields=["account", "day", "contact", "kind"], condition=Q(machine_reason=""), name="activity_counted"),
            models.Index(fields=["contact", "-occurred_at"], name="activity_by_contact"),
            models.Index(fields=["-occurred_at", "-id"], name="activity_by_moment"),
            models.Index(fields=["-occurred_at", "-id"], condition=~Q(machine_reason=""), name="activity_by_machine"),
            models.Index(fields=["recorded_at"], condition=~Q(user_agent=""), name="activity_with_agent"),
            models.Index(fields=["change_serial", "id"], name="activity_by_serial"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {localize(self.day)}"

    def get_kind_display(self) -> str:
        """Name the kind on screen; an unknown kind by its own code."""
        kind = activity_kinds.KINDS.get(self.kind)
        return str(kind.label) if kind else self.kind

    def get_machine_reason_display(self) -> str:
        """Say in words why it counts as made by a machine; a source's own reason in its words."""
        return str(machine_agents.REASONS.get(self.machine_reason, self.machine_reason))


class ActivityVerdict(models.Model):
    """What a person said of an activity: that somebody did it, or a machine; one row each time, never changed."""

    activity = models.ForeignKey(Activity, verbose_name=_("activity"), on_delete=models.CASCADE, related_name="verdicts")
    machine_reason = models.CharField(_("machine-made because"), max_length=30, blank=True, help_text=_("Empty: made by a person."))
    said_by = models.ForeignKey(User, verbose_name=_("said by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    said_at = models.DateTimeField(_("said"))

    class Meta:
        verbose_name, verbose_name_plural = _("verdict on an activity"), _("verdicts on activities")
        ordering = ["-said_at", "-id"]

    def __str__(self) -> str:
        return str(machine_agents.REASONS.get(self.machine_reason, self.machine_reason) or _("made by a person"))


class ActivityChange(models.Model):
    """One count that went up or down; whoever derives figures from activities claims these rows and deletes them.

    Written in the activity's own transaction, so a row is there exactly when its activity is. Without foreign
    keys: a claim must survive the deletion of what it speaks of.
    """

    # The kind of a row that says: activities of this account moved by other ways, count it anew.
    COUNT_ANEW = ""

    account_id = models.BigIntegerField()
    contact_id = models.BigIntegerField(null=True)
    kind = models.CharField(max_length=30)
    day = models.DateField()
    delta = models.SmallIntegerField()

    objects = models.Manager["ActivityChange"]()

    class Meta:
        verbose_name, verbose_name_plural = _("activity change"), _("activity changes")
        constraints = [models.CheckConstraint(condition=Q(delta__in=(-1, 1)), name="activity_change_is_one")]
        indexes = [models.Index(fields=["account_id"], name="activity_change_by_account")]
