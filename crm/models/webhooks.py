"""Webhooks: where other systems are told what happened, what there is to tell them, and how each telling went."""

from secrets import token_hex
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from crm.models.users import Sight, User, sight


def _within_sight(user: User | AnonymousUser, *, at: str = "") -> Q:
    """Select what is the user's own, or everything for who sees every record; `at` leads to the webhook."""
    reach = sight(user)
    return Q(pk__in=[]) if reach is Sight.NOTHING else Q() if reach is Sight.ALL else Q(**{f"{at}owner": user.pk})


class WebhookQuerySet(models.QuerySet["Webhook"]):
    """Webhooks as those who run them speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep the user's own; whoever sees every record sees every webhook."""
        return self.filter(_within_sight(user))

    def active(self) -> Self:
        """Keep those that are told: switched on, and of somebody who is still at work."""
        return self.filter(is_active=True, owner__is_active=True)


class Webhook(models.Model):
    """An address of another system that is told of events, as far as its owner may see them."""

    class Reason(models.TextChoices):
        """Why it is told nothing any more."""

        BY_HAND = "by_hand", _("switched off by hand")
        GONE = "gone", _("the receiver said that it is gone (410)")
        FAILING = "failing", _("nothing arrived for days")

    name = models.CharField(_("name"), max_length=100)
    address = models.CharField(_("address"), max_length=500)
    event_types = models.JSONField(_("events"), default=list)
    owner = models.ForeignKey(
        User,
        verbose_name=_("owner"),
        on_delete=models.CASCADE,
        related_name="webhooks",
        help_text=_("Only what this user may see is told; a service user of its own is best."),
    )
    is_active = models.BooleanField(_("active"), default=True, editable=False)
    disabled_at = models.DateTimeField(_("switched off"), null=True, blank=True, editable=False)
    disabled_because = models.CharField(_("why switched off"), max_length=10, choices=Reason, blank=True, editable=False)
    # Sealed: who reads the database cannot sign. The former one signs, too, until it ends.
    secret = models.CharField(max_length=300, editable=False)
    old_secret = models.CharField(max_length=300, blank=True, editable=False)
    old_secret_until = models.DateTimeField(_("former secret signs until"), null=True, blank=True, editable=False)
    # Since when nothing arrived; empty while the last attempt did.
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"))

    history = HistoricalRecords(excluded_fields=["secret", "old_secret", "failing_since"])
    objects = WebhookQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("webhook"), _("webhooks")
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(
                name="webhook_off_has_reason",
                condition=Q(is_active=True, disabled_at=None, disabled_because="")
                | (Q(is_active=False, disabled_at__isnull=False) & ~Q(disabled_because="")),
            ),
        ]

    def __str__(self) -> str:
        return self.name


def _uid() -> str:
    """Make the name by which receivers know an event again: chance, so that a restored database gives none a second time."""
    return f"evt_{token_hex(16)}"


class WebhookEvent(models.Model):
    """Something that happened, written with the fact itself; kept for a while, so that it can be told again."""

    uid = models.CharField(_("id for receivers"), max_length=40, unique=True, default=_uid, editable=False)
    type = models.CharField(_("event"), max_length=40)
    # What it is about, e.g. "contact:12": events about the same are told in their order.
    subject = models.CharField(_("about"), max_length=60)
    data = models.JSONField(_("facts"), default=dict)
    # Whom it names besides, by id alone; erasure takes the name out.
    contact_id = models.BigIntegerField(_("contact"), null=True, blank=True)
    happened_at = models.DateTimeField(_("happened"))
    # When it was shared out among the webhooks.
    shared_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("webhook event"), _("webhook events")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["id"], condition=Q(shared_at=None), name="webhook_event_unshared"),
            models.Index(fields=["happened_at", "id"], name="webhook_event_by_moment"),
            models.Index(fields=["contact_id"], condition=Q(contact_id__isnull=False), name="webhook_event_of_contact"),
        ]

    def __str__(self) -> str:
        return f"{self.type}, {self.subject}"


class WebhookDeliveryQuerySet(models.QuerySet["WebhookDelivery"]):
    """Deliveries as those who run webhooks speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep those of webhooks that the user may see."""
        return self.filter(_within_sight(user, at="webhook__"))

    def waiting(self) -> Self:
        """Keep those not over yet."""
        return self.filter(state=WebhookDelivery.State.WAITING)

    def dead(self) -> Self:
        """Keep those that were given up."""
        return self.filter(state=WebhookDelivery.State.DEAD)


class WebhookDelivery(models.Model):
    """One event for one webhook, and how the attempts went."""

    class State(models.TextChoices):
        """Where it stands."""

        WAITING = "waiting", _("waiting")
        DELIVERED = "delivered", _("delivered")
        DEAD = "dead", _("given up")

    webhook = models.ForeignKey(Webhook, verbose_name=_("webhook"), on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(WebhookEvent, verbose_name=_("event"), on_delete=models.CASCADE, related_name="deliveries")
    # The event's, for the question that every attempt asks: is an earlier one about the same still waiting?
    subject = models.CharField(max_length=60, editable=False)
    state = models.CharField(_("state"), max_length=9, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_at = models.DateTimeField(_("next attempt"))
    # A worker's hold on it, which runs out.
    claimed_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_at = models.DateTimeField(_("last attempt"), null=True, blank=True)
    last_status = models.PositiveSmallIntegerField(_("answer"), null=True, blank=True)
    last_error = models.CharField(_("what went wrong"), max_length=300, blank=True)

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("webhook delivery"), _("webhook deliveries")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["webhook", "event"], name="webhook_delivery_once_per_event")]
        indexes = [
            models.Index(fields=["webhook", "next_at"], condition=Q(state="waiting"), name="webhook_delivery_due"),
            models.Index(fields=["webhook", "event"], condition=Q(state="waiting"), name="webhook_delivery_in_order"),
            models.Index(fields=["webhook"], condition=Q(state="waiting", claimed_at__isnull=False), name="webhook_delivery_under_way"),
            models.Index(fields=["webhook", "state", "-id"], name="webhook_delivery_log"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} → {self.webhook}"
