"""The admin with our own site, and what can be judged only when both apps have their numbers."""

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
