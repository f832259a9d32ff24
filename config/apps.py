"""The admin with our own site, and what can be judged only when both apps have their numbers."""

import gc

from django.contrib.admin import apps
from django.core.exceptions import ImproperlyConfigured

from abm import policy


class AdminConfig(apps.AdminConfig):
    """Let `admin.site` be ours; it is made when first asked for."""

    default_site = "config.admin_site.AdminSite"

    def ready(self) -> None:
        """Refuse numbers of the two apps that contradict each other; abm and crm are ready before."""
        try:
            policy.refuse_short_retention()
        except ValueError as error:
            raise ImproperlyConfigured(f"QUORUM_POLICY: {error}") from error
        super().ready()
        look_for_garbage_seldom()


def look_for_garbage_seldom() -> None:
    """Let Python look for garbage every 50,000 new objects instead of every 700, and never among what stays for ever.

    A chunk of rows is some hundred thousand objects that are all in use: looking through them took a third of the
    processor time of an import.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
