"""The forms with which a person asks for a deed: small, and with controls that a phone knows."""

from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import Model, Q, QuerySet
from django.forms.utils import flatatt
from django.http import HttpRequest, QueryDict
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    INPUT_CLASSES,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from crm import access
from crm.models import Account, Contact, User

INPUT = " ".join(INPUT_CLASSES)


class DayWidget(forms.DateInput):
    """The browser's own calendar: no script, and no quarrel between the browser's zone and ours."""

    input_type = "date"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"class": INPUT} | (attrs or {}), format="%Y-%m-%d")


class MomentWidget(forms.DateTimeInput):
    """The browser's own calendar and clock, in the organisation's time zone."""

    input_type = "datetime-local"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"class": INPUT} | (attrs or {}), format="%Y-%m-%dT%H:%M")


class LongSelect(UnfoldAdminSelectWidget):
    """A select of hundreds of choices, say every country, drawn in one go."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        shown = self.build_attrs(self.attrs, attrs)
        return format_html('<select name="{}"{}>{}</select>', name, flatatt(shown), options(self.choices, value or ""))


class DayField(forms.DateField):
    """A day."""

    widget = DayWidget


class MomentField(forms.DateTimeField):
    """A moment."""

    widget = MomentWidget


def line(label: Any, *, required: bool = True, help_text: Any = "", max_length: int = 300) -> forms.CharField:
    """Ask for one line of text."""
    widget = UnfoldAdminTextInputWidget()
    return forms.CharField(label=capfirst(label), required=required, help_text=help_text, max_length=max_length, widget=widget)


def paragraph(label: Any, *, required: bool = True, help_text: Any = "") -> forms.CharField:
    """Ask for a few sentences."""
    widget = UnfoldAdminTextareaWidget({"rows": 3})
    return forms.CharField(label=capfirst(label), required=required, help_text=help_text, widget=widget)


def address(label: Any) -> forms.EmailField:
    """Ask for a mail address, which may be left out."""
    return forms.EmailField(label=capfirst(label), required=False, widget=UnfoldAdminEmailInputWidget())


def day(label: Any, *, required: bool = True, help_text: Any = "") -> DayField:
    """Ask for a day."""
    return DayField(label=capfirst(label), required=required, help_text=help_text)


def moment(label: Any, *, required: bool = True, help_text: Any = "") -> MomentField:
    """Ask for a moment."""
    return MomentField(label=capfirst(label), required=required, help_text=help_text)


def choice(label: Any, choices: Any, *, required: bool = True, help_text: Any = "") -> forms.ChoiceField:
    """Ask for one of a few."""
    widget = UnfoldAdminSelectWidget()
    return forms.ChoiceField(label=capfirst(label), choices=choices, required=required, help_text=help_text, widget=widget)


def record(label: Any, queryset: Any = None, *, required: bool = True, help_text: Any = "") -> forms.ModelChoiceField:
    """Ask for one record of a short list; a form that knows the list only later passes none."""
    words = {"label": capfirst(label), "help_text": help_text, "empty_label": _("Select value")}
    return forms.ModelChoiceField(queryset, required=required, widget=UnfoldAdminSelectWidget(), **words)


def offer(form: forms.Form, name: str, queryset: Any) -> None:
    """Give a form's field the records that this user may choose here."""
    cast(forms.ModelChoiceField, form.fields[name]).queryset = queryset


def owners(request: HttpRequest, model: type[Model]) -> QuerySet[User]:
    """Give whom the user may hand a record to, by name; also who has it now, so that saving the rest hands nothing over."""
    match, user = request.resolver_match, cast(User, request.user)
    known = str(match.kwargs.get("object_id", "")) if match else ""
    holder = model._default_manager.filter(pk=int(known) if known.isdecimal() else 0).values("owner")
    within_reach = Q(pk__in=access.colleagues(user).values("pk")) | Q(pk__in=holder)
    return User.objects.filter(within_reach).order_by("first_name", "last_name", "username")


def offer_accounts(form: forms.Form, name: str, request: HttpRequest) -> None:
    """Let a field look accounts up as one types, among those that the user may see."""
    offer(form, name, Account.objects.visible_to(request.user))
    field = cast(forms.ModelChoiceField, form.fields[name])
    field.widget = AutocompleteSelect(Contact._meta.get_field("account"), admin.site)
    field.widget.choices = field.choices


def options(choices: Iterable[tuple[Any, Any]], chosen: object = None) -> SafeString:
    """Draw the options of a select; for lists so long or so many that a template for each would be felt."""
    named = ((str(value), escape(str(label))) for value, label in choices)
    drawn = (f'<option value="{escape(value)}"{" selected" if value == str(chosen) else ""}>{label}</option>' for value, label in named)
    return SafeString("".join(drawn))


def filled(request: HttpRequest) -> QueryDict | None:
    """Give what was sent with a click, if there was one; a form that asks nothing is filled in, too."""
    return request.POST if request.method == "POST" else None


class RuleForm(forms.ModelForm):
    """A record's form that leaves the database's conditions to the rule, which refuses in a sentence."""

    def _post_clean(self) -> None:
        # Django checks the constraints while it cleans the record, and has no switch for it here.
        record: Any = self.instance
        record.validate_constraints = lambda **_options: None
        super()._post_clean()  # type: ignore[misc]
        del record.validate_constraints


class Nothing(forms.Form):
    """Ask for nothing but the click."""


class Because(forms.Form):
    """Ask for a reason."""

    reason = line(_("why"))
