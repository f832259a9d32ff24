"""Keys of integrations: made for a purpose, each secret shown once, renewed and revoked."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.timezone import localtime, now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminIntegerFieldWidget

from crm import api_keys, policy
from crm.admin import deeds
from crm.admin.lists import chip
from crm.admin.sidebar import Place
from crm.admin.site import RecordAdmin, page_of
from crm.errors import CrmError
from crm.models import SCOPE_GROUPS, ApiKey, User

if admin.site.is_registered(ApiKey):  # the key package registers a page that shows keys in a message
    admin.site.unregister(ApiKey)

_VERBS: dict[str, Promise] = {api_keys.READ: _("read"), api_keys.WRITE: _("change")}
SHOWN = ["name", "whose", "may_do", "state", "beginning", "made", "used", "ends"]


class Renewal(forms.Form):
    """Ask how long the old secret goes on working."""

    old_for_hours = forms.IntegerField(
        label=_("Hours that the old secret goes on working"),
        min_value=0,
        max_value=24 * 90,
        initial=lambda: policy.API.old_secret_hours,
        help_text=_("0: it ends at once."),
        widget=UnfoldAdminIntegerFieldWidget(),
    )


@admin.register(ApiKey)
class ApiKeyAdmin(RecordAdmin):
    """Keys of integrations: the secret is shown once, on the page that answers its making."""

    place = Place("settings", 5, "key")
    deletable = True
    list_display = SHOWN
    list_select_related = ["user"]
    search_fields = ["name", "user__username"]
    autocomplete_fields = ["user"]
    add_fieldsets = [(None, {"fields": ["name", "user", "scopes", "expiry"]})]
    fields = SHOWN
    readonly_fields = SHOWN[1:]
    actions_detail = ["renew", "revoke"]

    # The key package names its fields for nobody to translate.
    @display(description=_("user"), ordering="user")
    def whose(self, row: ApiKey) -> User:
        return row.user

    @display(description=_("may"))
    def may_do(self, row: ApiKey) -> str:
        return ", ".join(row.scopes)

    @display(description=_("state"))
    def state(self, row: ApiKey) -> str:
        if row.revoked_at:
            return chip(_("revoked"), "lost", sign="!")
        if row.expiry and row.expiry <= now():
            return chip(_("ran out"), "lost")
        if row.renewed_at:
            return chip(_("renewed, ends soon"), "known")
        return chip(_("in force"), "engaged")

    @display(description=_("key begins with"))
    def beginning(self, row: ApiKey) -> str:
        return str(row.token_key)

    @display(description=_("created"), ordering="created")
    def made(self, row: ApiKey) -> str:
        return _moment(row.created)

    @display(description=_("last used"), ordering="last_used_at")
    def used(self, row: ApiKey) -> str:
        return _moment(row.last_used_at)

    @display(description=_("valid until"), ordering="expiry")
    def ends(self, row: ApiKey) -> str:
        return _moment(row.revoked_at or row.expiry)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "scopes":
            return _scopes_field()
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if label := {"user": _("user"), "expiry": _("valid until")}.get(db_field.name):
            field.label = capfirst(label)
        return field

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse: a key is made, renewed and revoked, never changed."""
        return False

    def has_end_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        """Say who renews and revokes keys."""
        return self.may(request, "change")

    def useless(self, record: ApiKey) -> set[str]:
        if record.revoked_at or (record.expiry and record.expiry <= now()):
            return {"renew", "revoke"}
        return {"renew"} if record.renewed_at else set()

    # --- making, renewing, revoking ----------------------------------------------------------------
    def begin(self, request: HttpRequest, values: dict[str, Any]) -> Any:
        issued = api_keys.issue(at=now(), expires_at=values.pop("expiry"), **values)
        request.__dict__["issued"] = issued
        return issued.key

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        return self._once(request, request.__dict__["issued"], title=_("New API key"))

    @action(description=_("Renew"), url_path="renew", icon="autorenew", permissions=["end"])
    def renew(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make a new secret; the old one goes on for a while, so that the integration can be changed without a gap."""
        key, form = self.record(request, object_id), Renewal(deeds.filled(request))
        if request.method == "POST" and form.is_valid():
            try:
                issued = api_keys.renew(key, at=now(), **form.cleaned_data)
            except CrmError as refusal:
                messages.error(request, str(refusal))
                return redirect(page_of(key))
            return self._once(request, issued, title=_("Renewed API key"))
        return self.ask(request, key, form, partial(api_keys.renew, key), title=_("Renew"), done=_("The key is renewed."))

    @action(description=_("Revoke"), url_path="revoke", icon="block", permissions=["end"])
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End a key at once."""
        key = self.record(request, object_id)
        form, warning = forms.Form(deeds.filled(request)), _("Whatever calls with this key is refused at once.")
        done, deed = _("The key is revoked."), partial(api_keys.revoke, key)
        return self.ask(request, key, form, deed, title=_("Revoke"), done=done, warning=warning)

    def _once(self, request: HttpRequest, issued: api_keys.Issued, *, title: Promise | str) -> HttpResponse:
        """Show a secret in the answer itself: no message, no session and no second page holds it."""
        context = self.admin_site.each_context(request) | {
            "title": title,
            "key": issued.secret,
            "row": issued.key,
            "back": self.list_address(),
            "opts": self.opts,
            "media": self.media,
        }
        answer = TemplateResponse(request, "crm/admin/new_key.html", context)
        add_never_cache_headers(answer)
        return answer


def _scopes_field() -> forms.MultipleChoiceField:
    # The scope's own name first: it is what the documents and refusals say, and what a narrow screen must not cut off.
    labels = [
        (scope := f"{group}:{verb}", format_html("<code>{}</code> – {}: {}", scope, word, what))
        for group, what in SCOPE_GROUPS.items()
        for verb, word in _VERBS.items()
    ]
    hint = _("Only what the integration needs; its user's role and team bound it further.")
    return forms.MultipleChoiceField(
        label=capfirst(_("scopes")),
        choices=labels,
        help_text=hint,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
    )


def _moment(at: Any) -> str:
    return date_format(localtime(at), "SHORT_DATETIME_FORMAT") if at else "–"
