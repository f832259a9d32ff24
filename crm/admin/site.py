"""What every page of the admin shares: who sees what, and rules that refuse in words."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, models
from django.forms import Form, ModelForm
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from simple_history.admin import SimpleHistoryAdmin
from unfold.dataclasses import UnfoldAction

from crm.admin import stale
from crm.admin.deeds import DayField, MomentField, RuleForm
from crm.admin.lists import BY_NAME
from crm.admin.record_list import ListPage
from crm.admin.sidebar import Place
from crm.admin.versions import Words, because
from crm.errors import Conflict, CrmError, Invalid
from crm.models import User


def page_of(record: models.Model) -> str:
    """Give the address of a record's page."""
    return reverse(f"admin:{record._meta.app_label}_{record._meta.model_name}_change", args=[record.pk])


class RecordAdmin(ListPage):
    """The base of every page: only what the user may see, and nothing written around a rule.

    A page of a noun with rules gives `begin` and `correct`; the form calls those instead of saving the row.
    """

    place: Place | None = None
    deletable = False
    compressed_fields = True
    change_form_before_template = "crm/admin/parts/as_seen.html"
    form: type[ModelForm] = RuleForm
    formfield_overrides = {
        models.DateField: {"form_class": DayField, "widget": DayField.widget},
        models.DateTimeField: {"form_class": MomentField, "widget": MomentField.widget},
    }

    class Media:
        css = {"all": ["crm/admin.css"]}

    # --- who sees what -----------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> Any:
        """Keep the records in the user's sight; lists, pages, deeds and autocompletes all start here."""
        return in_sight(super().get_queryset(request), request)

    def may(self, request: HttpRequest, verb: str, record: Any = None) -> bool:
        """Say whether the user has a verb's permission, on this one record when it knows who may see it."""
        name = f"{self.opts.app_label}.{verb}_{self.opts.model_name}"
        # The theme passes an id where Django passes a record: the deed itself asks again with the record.
        owned = isinstance(record, self.model) and hasattr(self.model._default_manager.all(), "visible_to")
        return request.user.has_perm(name, record) if owned else request.user.has_perm(name)

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return self.may(request, "view", obj) or self.may(request, "change", obj)

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return self.may(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return self.deletable and self.may(request, "delete", obj)

    def formfield_for_foreignkey(self, db_field: models.ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer only what the user may see; people by their names."""
        offered = in_sight(db_field.remote_field.model._default_manager.all(), request)
        kwargs.setdefault("queryset", offered.order_by(*BY_NAME) if offered.model is User else offered)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    # --- forms call rules --------------------------------------------------------------------------

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> Any:
        """Make a record of what the form says; pages of nouns with rules call the rule."""
        record = self.model(**values)
        record.save()
        return record

    def correct(self, request: HttpRequest, record: Any, values: dict[str, Any]) -> Any:
        """Change a record as stored to what the form says; `values` holds what changed, and only that is written."""
        for name, value in values.items():
            setattr(record, name, value)
        moments = [field.name for field in self.opts.concrete_fields if getattr(field, "auto_now", False)]
        record.save(update_fields=[*values, *moments])
        return record

    def save_model(self, request: HttpRequest, obj: models.Model, form: ModelForm, change: bool) -> None:
        """Hand the form's values to `begin` or `correct`; a rule compares with the row as stored, so it gets that one."""
        if change:
            saved = self.correct(request, self.get_queryset(request).get(pk=obj.pk), stale.changed(request, form))
        else:
            saved = self.begin(request, dict(form.cleaned_data))
        obj.__dict__.update(saved.__dict__)

    def response_post_save_add(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Go back to the page on which this was begun: the one that is named, else the account's."""
        if back := way_back(request):
            return redirect(back)
        account = request.GET.get("account", "")
        return redirect("admin:crm_account_change", account) if account.isdecimal() else super().response_post_save_add(request, obj)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        context["show_save_and_add_another"] = False
        if not (context["adminform"].form.fields or context["inline_admin_formsets"]):
            # A page on which nothing can be typed has nothing to save.
            context |= {"show_save": False, "show_save_and_continue": False}
        if context.get("original"):
            context["as_seen"] = stale.token(request, context["adminform"].form)
        return super().render_change_form(request, context, *args, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show the form again, as typed and with the sentence, when a rule refuses."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except CrmError as refusal:
            request.__dict__["refusal"] = refusal
        except IntegrityError:
            request.__dict__["refusal"] = Conflict(_("The database refuses this: it contradicts what is on record."))
        return super().changeform_view(request, *args, **kwargs)

    def get_form(self, request: HttpRequest, obj: models.Model | None = None, change: bool = False, **kwargs: Any) -> type[ModelForm]:
        form = super().get_form(request, obj, change=change, **kwargs)
        refusal = getattr(request, "refusal", None)
        return refused(form, refusal) if refusal else form

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Mapping[str, Any] | None = None) -> Any:
        """Go back to the record with the sentence when a rule refuses to delete it."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except CrmError as refusal:
            messages.error(request, str(refusal))
            return redirect(request.path)

    # --- deeds: small pages that ask, and call one rule --------------------------------------------

    def useless(self, record: Any) -> set[str]:
        """Name the deeds that would only be refused in the record's present state; their buttons are left out."""
        return set()

    def too_late(self, record: Any) -> Promise | str:
        """Say why a useless deed is not asked about any more."""
        return _("This has been done already, or is not possible any more.")

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[UnfoldAction]:
        deeds = super().get_actions_detail(request, object_id)
        record = self.get_object(request, unquote(str(object_id)))
        left_out = self.useless(record) if record else set()
        return [deed for deed in deeds if deed.action_name.removeprefix(self._prefix()) not in left_out]

    def _prefix(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_"

    def _deed(self, request: HttpRequest) -> str:
        """Name the deed that a request is about."""
        match = request.resolver_match
        return (match.url_name or "").removeprefix(self._prefix()) if match else ""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Read a record once per page: its form, its panels and its buttons are all about the same row."""
        if request.method != "GET" or from_field:
            return super().get_object(request, object_id, from_field)
        seen = request.__dict__.setdefault("records_seen", {})
        if object_id not in seen:
            seen[object_id] = super().get_object(request, object_id, from_field)
        return seen[object_id]

    def record(self, request: HttpRequest, object_id: str, verb: str = "change") -> Any:
        """Give the record that a deed is about; 404 out of sight, 403 when the user may look only."""
        record = self.get_object(request, unquote(str(object_id)))
        if record is None:
            raise Http404
        if not self.may(request, verb, record):
            raise PermissionDenied
        return record

    def ask(
        self,
        request: HttpRequest,
        record: models.Model | None,
        form: Form,
        deed: Callable[..., object],
        *,
        title: Promise | str,
        done: Promise | str,
        button: Promise | str = "",
        warning: Promise | str = "",
        back: str = "",
    ) -> HttpResponse:
        """Show a form; once it is filled in, call the rule with its values, and say how it went."""
        back = way_back(request) or back or (page_of(record) if record else self.list_address())
        if request.method == "GET" and isinstance(record, self.model) and self._deed(request) in self.useless(record):
            messages.error(request, str(self.too_late(record)))
            return redirect(back)
        if request.method == "POST" and form.is_valid() and self.attempt(request, deed, done=done, **form.cleaned_data):
            return redirect(back)
        context = self.admin_site.each_context(request) | {
            "title": title,
            "subtitle": str(record or ""),
            "form": form,
            "button": button or title,
            "warning": warning,
            "back": back,
            "as_seen": request.POST.get(stale.FIELD) or stale.version(record),
            "opts": self.opts,
            "media": self.media + form.media,
        }
        return TemplateResponse(request, "crm/admin/ask.html", context)

    def attempt(self, request: HttpRequest, deed: Callable[..., object], *, done: Promise | str, **values: Any) -> bool:
        """Call a rule at this moment; say that it is done, or in the rule's own words why not."""
        try:
            deed(at=now(), **values)
        except CrmError as refusal:
            messages.error(request, str(refusal))
            return False
        messages.success(request, str(done))
        return True

    def on_post(
        self, request: HttpRequest, record: models.Model, deed: Callable[..., object], *, done: Promise | str, back: str = ""
    ) -> HttpResponse:
        """Do at once what a button in a list asks; anything but a button's POST only goes back."""
        if request.method == "POST":
            self.attempt(request, deed, done=done)
        return redirect(way_back(request) or back or page_of(record))


class RememberedAdmin(SimpleHistoryAdmin, RecordAdmin):
    """A page of a record whose changes are kept; old versions are shown, never put back around the rules."""

    def revert_disabled(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return True

    def history_form_view(self, request: HttpRequest, object_id: str, version_id: str, extra_context: Any = None) -> Any:
        if request.method != "GET":
            raise PermissionDenied
        return super().history_form_view(request, object_id, version_id, extra_context)

    def get_historical_record_context_helper(self, _request: HttpRequest, historical_record: Any) -> Words:
        return Words(self.model, historical_record)

    def set_history_delta_changes(self, request: HttpRequest, historical_records: Any, foreign_keys_are_objs: bool = True) -> None:
        super().set_history_delta_changes(request, historical_records, foreign_keys_are_objs)
        for record in historical_records:
            record.history_change_reason = because(record.history_change_reason)  # the theme writes "None"


class ReadOnlyAdmin(RecordAdmin):
    """A page that only shows: what rules and machines write."""

    def has_add_permission(self, request: HttpRequest, *_args: object) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


def doer(request: HttpRequest) -> User:
    """Give who does it: somebody who is signed in, for the admin lets nobody else come this far."""
    return cast(User, request.user)


def way_back(request: HttpRequest) -> str:
    """Give the page of ours to which `next` leads back after a deed, e.g. the start page; empty when it names none."""
    named = request.POST.get("next") or request.GET.get("next", "")
    return named if url_has_allowed_host_and_scheme(named, allowed_hosts=None) else ""


def in_sight(queryset: Any, request: HttpRequest) -> Any:
    """Keep what the user may see, of records that know it."""
    return queryset.visible_to(request.user) if hasattr(queryset, "visible_to") else queryset


def refused(form: Any, refusal: CrmError) -> type[ModelForm]:
    """Give a form that repeats a rule's refusal: at the fields it names, else above them."""

    class Refused(form):
        def clean(self) -> Any:
            cleaned = super().clean()
            for name, reason in refusal.detail.items() if isinstance(refusal, Invalid) else ():
                if name in self.fields:
                    self.add_error(name, str(reason))
            if not self.errors:
                raise ValidationError(str(refusal))
            return cleaned

    return Refused
