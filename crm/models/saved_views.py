"""Saved views: a list as somebody looks at it, with its filters, search and order, under a name."""

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models.users import Team, User


class SavedViewQuerySet(models.QuerySet["SavedView"]):
    """Saved views as their users speak of them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Keep the user's own and those shared with the user's team."""
        team = getattr(user, "team_id", None)
        return self.filter(Q(owner=user.pk) | Q(team=team, team__isnull=False)) if user.is_active else self.none()

    def of(self, page: str) -> Self:
        """Keep those of one list, e.g. 'crm.account'."""
        return self.filter(page=page)


class SavedView(models.Model):
    """The filters, search and order of one list, kept by a user and perhaps shared with the team."""

    owner = models.ForeignKey(User, verbose_name=_("owner"), on_delete=models.CASCADE, related_name="saved_views")
    team = models.ForeignKey(
        Team, verbose_name=_("shared with"), null=True, blank=True, on_delete=models.SET_NULL, related_name="saved_views"
    )
    page = models.CharField(_("list"), max_length=60, help_text=_("e.g. crm.account"))
    name = models.CharField(_("name"), max_length=40)
    # As in the address: 'score=hot&o=2&q=bakker'.
    query = models.CharField(_("filters"), max_length=500, blank=True)
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    created_at = models.DateTimeField(_("created"))

    objects = SavedViewQuerySet.as_manager()

    class Meta:
        verbose_name, verbose_name_plural = _("saved view"), _("saved views")
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "page", "name"], name="saved_view_name_once"),
            models.CheckConstraint(condition=~Q(name=""), name="saved_view_has_name"),
        ]
        indexes = [models.Index(fields=["team", "page"], name="saved_view_by_team")]

    def __str__(self) -> str:
        return self.name
