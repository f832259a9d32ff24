"""Follow-ups: a rep's pieces of work ('task' on screen)."""

from datetime import date
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils.formats import date_format, number_format
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from crm.models.accounts import Account, within_sight
from crm.models.changes import serial_field
from crm.models.contacts import Contact
from crm.models.histories import WithKey
from crm.models.opportunities import Opportunity
from crm.models.users import User


class FollowUpQuerySet(models.QuerySet["FollowUp"]):
    """Follow-ups as sales people speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep the user's own, and those at accounts that the user may see."""
        seen = within_sight(user, at="account__")
        # An empty condition means every row, and would vanish in an "or".
        return self.filter(Q(owner=user.pk) | seen) if seen else self.all()

    def open(self) -> Self:
        """Keep those still to do."""
        return self.filter(closed_at=None)

    def overdue(self, day: date) -> Self:
        """Keep open ones due before a day."""
        return self.open().filter(due_on__lt=day)


class FollowUp(models.Model):
    """Something a rep should do about an account, a contact or a deal."""

    class Reason(models.TextChoices):
        """Why it was opened; the system's own reasons say what to do."""

        BY_HAND = "by_hand", _("by hand")
        FIND_SUCCESSOR = "find_successor", _("find the successor")
        GATE_BROKEN = "gate_broken", _("gate broken")
        PILOT_OVERDUE = "pilot_overdue", _("pilot without verdict")
        CHAMPION_MOVED = "champion_moved", _("champion moved")
        DOMAIN_CHANGED = "domain_changed", _("domain changed")
        WARMING_UP = "warming_up", _("account warms up")
        ADDRESS_INVALID = "address_invalid", _("address invalid")
        LEAVES_SOON = "leaves_soon", _("leaves soon")

    account = models.ForeignKey(
        Account, verbose_name=_("account"), null=True, blank=True, on_delete=models.CASCADE, related_name="follow_ups"
    )
    contact = models.ForeignKey(
        Contact, verbose_name=_("contact"), null=True, blank=True, on_delete=models.SET_NULL, related_name="follow_ups"
    )
    opportunity = models.ForeignKey(
        Opportunity, verbose_name=_("opportunity"), null=True, blank=True, on_delete=models.CASCADE, related_name="follow_ups"
    )
    reason = models.CharField(_("reason"), max_length=20, choices=Reason, default=Reason.BY_HAND)
    # Whom or what it is about, so that one reason opens one follow-up: 'contact:12'. Empty for those made by hand.
    subject_key = models.CharField(max_length=40, blank=True, editable=False)
    text = models.CharField(_("what to do"), max_length=300, blank=True)
    facts = models.JSONField(_("facts"), default=dict, blank=True, editable=False)
    owner = models.ForeignKey(User, verbose_name=_("owner"), null=True, blank=True, on_delete=models.SET_NULL, related_name="follow_ups")
    due_on = models.DateField(_("due"))
    opened_at = models.DateTimeField(_("opened"))
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    closed_by = models.ForeignKey(User, verbose_name=_("closed by"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    result = models.CharField(_("result"), max_length=300, blank=True)
    change_serial = serial_field()

    history = HistoricalRecords(excluded_fields=["change_serial"], bases=[WithKey])
    objects = FollowUpQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("task"), _("tasks")
        ordering = ["due_on", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["reason", "subject_key"], condition=Q(closed_at=None) & ~Q(subject_key=""), name="follow_up_open_once"
            ),
            models.CheckConstraint(condition=~Q(reason="by_hand") | ~Q(text=""), name="follow_up_says_what"),
        ]
        indexes = [
            models.Index(fields=["owner", "due_on"], condition=Q(closed_at=None), name="follow_up_open_by_owner"),
            models.Index(fields=["account", "due_on"], name="follow_up_by_account"),
            models.Index(fields=["due_on", "id"], name="follow_up_by_due"),
            models.Index(fields=["change_serial", "id"], name="follow_up_by_serial"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        """Say what to do, in the reader's language."""
        if self.text:
            return self.text
        about = {"contact": self.contact, "account": self.account, "opportunity": self.opportunity} | self.facts
        about |= {name: number_format(about[name]) for name in ("score", "before") if name in self.facts}
        for day in {"ends_on", "leaves_on"} & self.facts.keys():
            about[day] = date_format(date.fromisoformat(self.facts[day]), "SHORT_DATE_FORMAT")
        if roles := self.facts.get("roles"):
            about["roles"] = ", ".join(gettext(role) for role in roles)
        sentence: str = str(SENTENCES[self.reason]) % about
        return sentence


SENTENCES: dict[str, Promise] = {
    FollowUp.Reason.FIND_SUCCESSOR: _("Find the successor of %(contact)s, %(roles)s at %(account)s"),
    FollowUp.Reason.GATE_BROKEN: _("Gate broken on %(opportunity)s: confirm %(roles)s anew"),
    FollowUp.Reason.PILOT_OVERDUE: _("The pilot of %(opportunity)s ended on %(ends_on)s: give a verdict"),
    FollowUp.Reason.CHAMPION_MOVED: _("%(contact)s now works at %(account)s: say hello"),
    FollowUp.Reason.DOMAIN_CHANGED: _("Mail to the whole of %(account)s fails: has it moved or been renamed?"),
    FollowUp.Reason.WARMING_UP: _("%(account)s warms up: score %(score)s, was %(before)s a week ago"),
    FollowUp.Reason.ADDRESS_INVALID: _("The address of %(contact)s at %(account)s never worked: correct it"),
    FollowUp.Reason.LEAVES_SOON: _("%(contact)s leaves %(account)s on %(leaves_on)s: meet who comes after"),
}
