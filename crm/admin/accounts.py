"""Accounts: the list a rep starts from; their page is in account_page.py."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from crm import access, accounts
from crm.admin import bulk, choices, deeds
from crm.admin.account_page import AccountPage
from crm.admin.bulk import BulkPage
from crm.admin.lists import ChoicesFilter, MineFirst, TeamFilter, chip, label_of
from crm.admin.merges import Mergeable
from crm.admin.saved_views import Tab
from crm.admin.sidebar import Place
from crm.admin.site import doer
from crm.models import Account, User


class StatusFilter(ChoicesFilter):
    """Filter by what the company is to us."""

    title, parameter_name, field = _("status"), "status", "status"

    def choices_of(self) -> Any:
        return Account.Status.choices


class IndustryFilter(ChoicesFilter):
    """Filter by industry."""

    title, parameter_name, field = _("industry"), "industry", "industry"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*choices.industries(request, Account)]


class HandOver(forms.Form):
    """Ask for the new owner and team."""

    owner = deeds.record(_("owner"), required=False)
    team = deeds.record(_("team"), required=False)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deeds.offer(self, "owner", owners_for(user))
        deeds.offer(self, "team", access.teams(user))


def owners_for(user: User) -> QuerySet[User]:
    """Give to whom a user may give an account, by name."""
    return access.colleagues(user).order_by("first_name", "last_name", "username")


@admin.register(Account)
class AccountAdmin(BulkPage, Mergeable, AccountPage):
    """Accounts; none is deleted here: people, deals and what was counted hang on it."""

    place = Place("selling", 1, "domain")
    list_display = ["title", "owner", "status_label"]
    list_filter = [MineFirst, TeamFilter, StatusFilter, IndustryFilter]
    tabs = (Tab(_("My accounts"), "owner=me"), Tab(_("My team's"), "team=mine"), Tab(_("All that I may see"), "owner=all"))
    everything = "?owner=all"
    nothing_yet = _("Add the companies you want to sell to, or import them from a file.")
    list_select_related = ["owner"]
    search_fields = ["domain", "name"]
    search_help_text = _("Name or web domain")
    autocomplete_fields = ["parent"]
    actions = ["export_rows"]
    bulk_deeds = {"hand_over_many": bulk.ACCOUNTS}
    actions_detail = ["assign_role", "hand_over", "merge_with"]

    @display(description=_("account"), ordering="name", header=True)
    def title(self, account: Account) -> list[str]:
        return [account.name, " · ".join(filter(None, [account.domain, capfirst(account.industry)]))]

    @display(description=_("status"), ordering="status")
    def status_label(self, account: Account) -> str:
        tones = {"customer": "engaged", "competitor": "lost", "former": "assumed"}
        return chip(label_of(account, "status"), tones.get(account.status, "plain"))

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> list[str]:
        """Owner and team change hands by a deed of their own, which takes the deals and the tasks along."""
        may_give = obj is None and request.user.has_perm("crm.assign_account")
        return ["opted_out_at", "source", *([] if may_give else ["owner", "team"])]

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "country":
            kwargs["widget"] = deeds.LongSelect()
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        within_reach = {"owner": owners_for, "team": access.teams}
        if offered := within_reach.get(db_field.name):
            kwargs["queryset"] = offered(doer(request))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> Account:
        return accounts.open(at=now(), by=doer(request), **{name: value for name, value in values.items() if value is not None})

    def correct(self, request: HttpRequest, record: Any, values: dict[str, Any]) -> Any:
        return accounts.change(record, at=now(), by=doer(request), **values)

    def has_hand_over_permission(self, request: HttpRequest, _obj: object = None) -> bool:
        """Say whether the user may give accounts away; a dotted name in the deed itself would need the database at start."""
        return request.user.has_perm("crm.assign_account")

    @action(description=_("Hand over"), url_path="hand-over", icon="sync_alt", permissions=["hand_over"])
    def hand_over(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = self.record(request, object_id)
        if not self.has_hand_over_permission(request):
            raise PermissionDenied
        form = HandOver(deeds.filled(request), user=doer(request), initial={"owner": account.owner_id, "team": account.team_id})
        deed = partial(accounts.hand_over, account, by=doer(request))
        title, back = _("Hand over to another owner"), reverse("admin:crm_account_changelist")
        return self.ask(request, account, form, deed, title=title, done=_("The account is handed over."), back=back)
