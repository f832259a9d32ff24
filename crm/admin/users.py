"""Users, teams, groups, products, and the keys of integrations, each shown once."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from crm.admin.sidebar import Place
from crm.admin.site import RecordAdmin
from crm.admin.way_in import WayInAdmin
from crm.models import ApiKey, Product, Team, User

if admin.site.is_registered(ApiKey):  # the key package registers a page that shows keys in a message
    admin.site.unregister(ApiKey)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, WayInAdmin):
    """Users."""

    place = Place("settings", 1, "person")
    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    list_display = ["username", "first_name", "last_name", "team", "email", "is_active", "last_login"]
    list_select_related = ["team"]
    list_filter = ["is_active", "is_staff", "groups"]
    list_filter_submit = True
    compressed_fields = True
    show_full_result_count = False
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        (_("Person"), {"fields": [("first_name", "last_name"), ("email", "language"), "team"]}),
        (_("Permissions"), {"fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"]}),
        (_("Dates"), {"fields": [("last_login", "date_joined")]}),
    ]
    add_fieldsets = [(None, {"fields": ["username", "team", "usable_password", "password1", "password2"]})]
    readonly_fields = ["last_login", "date_joined"]


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Roles: groups with their permissions."""

    place = Place("settings", 3, "admin_panel_settings", _("Roles"))


@admin.register(Team)
class TeamAdmin(RecordAdmin):
    """Teams."""

    place = Place("settings", 2, "groups")
    deletable = True
    list_display = ["name", "office"]
    search_fields = ["name", "office"]


@admin.register(Product)
class ProductAdmin(RecordAdmin):
    """Products."""

    place = Place("settings", 4, "inventory_2")
    deletable = True
    list_display = ["name", "series", "list_price"]
    search_fields = ["name"]


@admin.register(ApiKey)
class ApiKeyAdmin(RecordAdmin):
    """Keys of integrations: the key itself is shown once, on the page that answers its creation."""

    place = Place("settings", 5, "key")
    deletable = True
    list_display = ["name", "whose", "beginning", "made", "ends"]
    list_select_related = ["user"]
    search_fields = ["name", "user__username"]
    autocomplete_fields = ["user"]
    add_fieldsets = [(None, {"fields": ["name", "user", "expiry"]})]
    fields = ["name", "whose", "beginning", "made", "ends"]
    readonly_fields = ["whose", "beginning", "made", "ends"]

    # The key package names its fields for nobody to translate.
    @display(description=_("user"), ordering="user")
    def whose(self, row: ApiKey) -> User:
        return row.user

    @display(description=_("key begins with"))
    def beginning(self, row: ApiKey) -> str:
        return str(row.token_key)

    @display(description=_("created"), ordering="created")
    def made(self, row: ApiKey) -> str:
        return _moment(row.created)

    @display(description=_("valid until"), ordering="expiry")
    def ends(self, row: ApiKey) -> str:
        return _moment(row.expiry) if row.expiry else "–"

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if label := {"user": _("user"), "expiry": _("valid until")}.get(db_field.name):
            field.label = capfirst(label)
        return field

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse: a key is made and deleted, never changed."""
        return False

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> Any:
        expiry = values.pop("expiry")
        row, request.__dict__["new_key"] = ApiKey.objects.create(expiry=None, **values)
        if expiry:
            row.expiry = expiry
            row.save(update_fields=["expiry"])
        return row

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Show the new key in the answer itself: no message, no session and no second page holds it."""
        context = self.admin_site.each_context(request) | {
            "title": _("New API key"),
            "key": request.__dict__["new_key"],
            "row": obj,
            "back": self.list_address(),
            "opts": self.opts,
            "media": self.media,
        }
        answer = TemplateResponse(request, "crm/admin/new_key.html", context)
        add_never_cache_headers(answer)
        return answer


def _moment(at: datetime) -> str:
    return date_format(localtime(at), "SHORT_DATETIME_FORMAT")
