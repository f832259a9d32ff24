"""The admin with our own site."""

from django.contrib.admin import apps


class AdminConfig(apps.AdminConfig):
    """Let `admin.site` be ours; it is made when first asked for."""

    default_site = "config.admin_site.AdminSite"
