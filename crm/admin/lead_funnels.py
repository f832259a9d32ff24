"""The import of a lead funnel: two files and what their columns are called, a trial, and the import."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from crm import funnel_files, lead_funnels, policy
from crm.admin import deeds
from crm.admin.site import doer
from crm.errors import CrmError, Invalid
from crm.imports import Report
from crm.uploads.door import is_too_large

COLUMN = "column-"
NEEDS = lead_funnels.NEEDS
STEPS = (_("Files"), _("Trial"), _("Import"))
FIELDS = {
    "id": _("lead: id"),
    "first_contact": _("lead: day of first contact"),
    "origin": _("lead: origin"),
    "campaign": _("lead: campaign"),
    "lead": _("deal: id of its lead"),
    "won": _("deal: day it was won"),
    "customer": _("deal: id of the customer"),
    "segment": _("deal: segment"),
    "amount": _("deal: amount"),
    "revenue": _("deal: customer's revenue per month"),
}


def csv_file(label: Any, *, required: bool) -> forms.FileField:
    """Ask for a CSV file."""
    words = {"required": _("Choose a file.")}
    return forms.FileField(label=label, required=required, widget=forms.FileInput({"accept": ".csv,.txt"}), error_messages=words)


class Funnel(forms.Form):
    """Ask for the files, and for what holds for all rows; the names of columns are those of published funnels unless said otherwise."""

    source = deeds.line(
        _("source"), max_length=50, help_text=_("Together with the ids in the file it recognises the same record next time.")
    )
    currency = forms.RegexField(r"^[A-Z]{3}$", label=_("Currency"), max_length=3, widget=deeds.line("").widget)

    leads, deals = csv_file(_("Leads"), required=True), csv_file(_("Deals won"), required=False)

    def __init__(self, *args: Any, asks_for_files: bool = True, is_too_large: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not asks_for_files:
            del self.fields["leads"], self.fields["deals"]
        elif is_too_large:
            most = {"most": policy.UPLOADS.file_megabytes}
            self.fields["leads"].error_messages["required"] = _("The file is larger than %(most)d MB. Import it in parts.") % most
        self.initial = {"source": "lead-funnel", "currency": "EUR"}
        usual = lead_funnels.LEADS | lead_funnels.DEALS | {lead_funnels.AMOUNT: ""}
        for name, label in FIELDS.items():
            self.fields[COLUMN + name] = deeds.line(label, required=False, max_length=100)
            self.initial[COLUMN + name] = usual[name]

    @property
    def kept(self) -> list[forms.BoundField]:
        """Give what the trial was asked with besides the files."""
        return [self[name] for name in self.fields if name not in ("leads", "deals")]

    @property
    def columns_asked(self) -> list[forms.BoundField]:
        """Give the controls of the columns."""
        return [self[COLUMN + name] for name in FIELDS]

    def facts(self) -> dict[str, Any]:
        """Give what `lead_funnels.load` takes."""
        said = self.cleaned_data
        columns = {name: said[COLUMN + name] for name in FIELDS if said[COLUMN + name]}
        return {"source": said["source"], "currency": said["currency"], "columns": columns, "most": policy.UPLOADS.leads_at_once}


Show = Callable[..., HttpResponse]


def page(request: HttpRequest, show: Show) -> HttpResponse:
    """Ask for the files and try them, or import what was tried; `show` draws a page."""
    if not doer(request).has_perms(NEEDS):
        raise PermissionDenied
    if "do" in request.POST:
        return import_leads(request)
    form = asked(request)
    if form.is_bound and form.is_valid():
        try:
            return try_leads(request, form, show)
        except CrmError as refusal:
            form.add_error(None, str(refusal))
    return show("leads", _("Import a lead funnel"), step=0, labels=STEPS, form=form, most=policy.UPLOADS.leads_at_once)


def asked(request: HttpRequest) -> Funnel:
    """Make the form of what was sent, if anything was."""
    if request.method != "POST":
        return Funnel()
    # Reading the files is what finds out that one is too large.
    sent, files = request.POST, request.FILES
    return Funnel(sent, files, is_too_large=is_too_large(request))


def try_leads(request: HttpRequest, form: Funnel, show: Show) -> HttpResponse:
    """Keep the files, and say what would become of every line."""
    funnel_files.keep(doer(request), leads=form.cleaned_data["leads"], deals=form.cleaned_data["deals"])
    report = load(request, form, is_trial=True)
    first = report.problems[: policy.UPLOADS.first_problems]
    remarks = [(each.file, sentence, count) for each in report.files for sentence, count in each.remarks.items()]
    context = {"form": form, "remarks": remarks, "report": report, "problems": first, "total": len(report.problems)}
    return show("leads_trial", _("Import a lead funnel"), step=1, labels=STEPS, **context)


def import_leads(request: HttpRequest) -> HttpResponse:
    """Take over what was tried, and say how it went."""
    form = Funnel(request.POST, asks_for_files=False)
    try:
        report = load(request, form, is_trial=False)
    except CrmError as refusal:
        messages.error(request, str(refusal))
        return redirect("admin:crm_upload_leads")
    funnel_files.drop(doer(request))
    facts = {"new": report.files[0].created, "there": report.files[0].unchanged, "wrong": len(report.problems)}
    messages.success(request, _("%(new)d leads were imported, %(there)d were there already, %(wrong)d lines were left out.") % facts)
    return redirect("admin:crm_opportunity_changelist")


def load(request: HttpRequest, form: Funnel, *, is_trial: bool) -> Report:
    """Read the files that are kept; raises Invalid for a form that nobody was shown."""
    if not form.is_valid():
        raise Invalid(_("This cannot be imported."))
    with funnel_files.opened(doer(request)) as (leads, deals):
        return lead_funnels.load(leads, deals, at=now(), by=doer(request), is_trial=is_trial, **form.facts())
