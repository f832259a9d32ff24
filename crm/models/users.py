"""Users, their teams, how far each of them sees, and the keys of integrations."""

from collections.abc import Iterable
from datetime import datetime
from enum import Enum

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken, AuthTokenManager


class Team(models.Model):
    """People who sell together and see each other's accounts."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    office = models.CharField(_("office"), max_length=100, blank=True, help_text=_("Where it sells from; reports add teams up by it."))

    class Meta:
        verbose_name, verbose_name_plural = _("team"), _("teams")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):  # type: ignore[django-manager-missing]  # knox names the manager itself
    """Somebody who signs in, or a service user that an integration's key belongs to."""

    team = models.ForeignKey(Team, verbose_name=_("team"), null=True, blank=True, on_delete=models.PROTECT, related_name="members")
    language = models.CharField(
        _("language"),
        max_length=8,
        blank=True,
        choices=[("en", _("English")), ("nl", _("Dutch"))],
        help_text=_("Empty: as the browser asks."),
    )
    shortcuts = models.BooleanField(
        _("keyboard shortcuts"), default=True, help_text=_("Single keys such as j, k and /; '?' shows them all.")
    )

    report_mail = models.BooleanField(
        _("reports by mail"), default=True, db_default=True, help_text=_("The weekly report on Monday, and the cohorts each month.")
    )

    class Meta(AbstractUser.Meta):
        verbose_name = _("user")  # type: ignore[assignment]
        verbose_name_plural = _("users")  # type: ignore[assignment]
        permissions = [
            ("see_every_record", _("Can see the records of every team")),
            ("see_team_records", _("Can see the records of the own team")),
        ]

    def __str__(self) -> str:
        return self.get_full_name() or self.username


# What a key may do: read or write, per group of resources; `all` stands for every group, those of later versions too.
SCOPE_GROUPS = {
    "all": _("everything"),
    "accounts": _("accounts, who decides there, and how they score"),
    "contacts": _("contacts and persons"),
    "deals": _("opportunities, confirmations and pilots"),
    "activities": _("activities and tasks"),
    "marketing": _("target lists and job changes"),
    "deliverability": _("deliveries and suppressions"),
    "imports": _("imports"),
    "webhooks": _("webhooks"),
    "reports": _("reports"),
}
SCOPES = [f"{group}:{verb}" for group in SCOPE_GROUPS for verb in ("read", "write")]


def every_scope() -> list[str]:
    """Give the scopes of a key that may do whatever its user may."""
    return ["all:read", "all:write"]


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Keys, by whether they open anything."""

    def in_force(self, at: datetime) -> "ApiKeyQuerySet":
        """Keep keys that were neither revoked nor ran out."""
        return self.filter(Q(expiry=None) | Q(expiry__gt=at), revoked_at=None)


class ApiKey(AbstractAuthToken):
    """A key with which an integration calls the API as its service user; only its digest is kept."""

    name = models.CharField(_("name"), max_length=100)
    scopes = models.JSONField(_("scopes"), default=every_scope)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    renewed_at = models.DateTimeField(_("renewed"), null=True, blank=True, editable=False)

    objects = AuthTokenManager.from_queryset(ApiKeyQuerySet)()

    class Meta:
        verbose_name, verbose_name_plural = _("API key"), _("API keys")
        ordering = ["user__username", "name"]

    def __str__(self) -> str:
        return f"{self.name} ({self.token_key}…)"

    def missing(self, needed: Iterable[str]) -> list[str]:
        """List which of these scopes the key was not made for."""
        return [scope for scope in needed if scope not in self.scopes and f"all:{scope.partition(':')[2]}" not in self.scopes]


class Sight(Enum):
    """How far somebody sees."""

    NOTHING, OWN, TEAM, ALL = range(4)


def sight(user: User | AnonymousUser) -> Sight:
    """Say how far a user sees: every record, those of the own team, or only the own ones."""
    if not user.is_active:
        return Sight.NOTHING
    if user.has_perm("crm.see_every_record"):
        return Sight.ALL
    if user.has_perm("crm.see_team_records") and getattr(user, "team_id", None):
        return Sight.TEAM
    return Sight.OWN


def owned_within_sight(user: User | AnonymousUser, *, at: str = "") -> Q:
    """Select rows whose owner or team lies within a user's sight; `at` leads to the owned record, e.g. 'account__'."""
    reach = sight(user)
    if reach is Sight.NOTHING:
        return Q(pk__in=[])
    if reach is Sight.ALL:
        return Q()
    own = Q(**{f"{at}owner": user.pk})
    return own | Q(**{f"{at}team": user.team_id}) if reach is Sight.TEAM else own  # type: ignore[union-attr]
