"""The site of the admin: the theme's, without what our pages do not show."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from unfold.sites import UnfoldAdminSite


class AdminSite(UnfoldAdminSite):
    """Make the list of all models only for who reads it: it asks some hundred permissions, and our sidebar is another."""

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """Give the models by app, as a list that is made when it is first looked at."""
        find = super().get_app_list
        return SimpleLazyObject(lambda: find(request, app_label))
