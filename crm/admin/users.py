"""Users, teams, groups and products."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from crm.admin.sidebar import Place
from crm.admin.site import RecordAdmin
from crm.admin.way_in import WayInAdmin
from crm.models import Product, Team, User

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
    list_display = ["name"]
    search_fields = ["name"]


@admin.register(Product)
class ProductAdmin(RecordAdmin):
    """Products."""

    place = Place("settings", 4, "inventory_2")
    deletable = True
    list_display = ["name", "series", "list_price"]
    search_fields = ["name"]
