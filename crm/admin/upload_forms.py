"""What an import asks: which file, which column is what, and what holds for all rows."""

from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget

from crm import activity_kinds, policy, uploads
from crm.admin import deeds
from crm.models import Contact, Upload
from crm.uploads.door import is_too_large

SAMPLES_SHOWN = 3
FILE_KINDS = ".csv,.tsv,.txt,.xlsx"


class NewUpload(forms.Form):
    """Ask what the rows are, and for the file."""

    what = forms.ChoiceField(
        label=_("What is in the file?"), choices=Upload.What.choices, widget=forms.RadioSelect, initial=Upload.What.CONTACTS
    )
    file = forms.FileField(
        label=_("File"), widget=forms.FileInput({"accept": FILE_KINDS}), error_messages={"required": _("Choose a file.")}, max_length=None
    )

    def __init__(self, *args: Any, is_too_large: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if is_too_large:
            most = {"most": policy.UPLOADS.file_megabytes}
            self.fields["file"].error_messages["required"] = _("The file is larger than %(most)d MB. Import it in parts.") % most


def new_upload(request: Any) -> NewUpload:
    """Make the form of what was sent, if anything was."""
    if request.method != "POST":
        return NewUpload()
    # Reading the files is what finds out that one is too large.
    sent, files = request.POST, request.FILES
    return NewUpload(sent, files, is_too_large=is_too_large(request))


class Mapping(forms.Form):
    """Ask which field each column is, and what holds for every row."""

    existing = forms.ChoiceField(label=_("Records that are there already"), choices=Upload.Existing.choices, widget=forms.RadioSelect)
    legal_basis = deeds.choice(
        _("legal basis"),
        Contact.LegalBasis.choices,
        required=False,
        help_text=_("Why we may keep these people. It holds for every row without its own."),
    )
    source = deeds.line(
        _("source"), max_length=50, help_text=_("Together with the ids in the file it recognises the same record next time.")
    )
    kind = deeds.choice(
        _("kind of every row"), lambda: [("", _("as the column says")), *activity_kinds.choices()], required=False,
        help_text=_("Where the file has no column for it."),
    )  # fmt: skip

    def __init__(self, *args: Any, upload: Upload, **kwargs: Any) -> None:
        mapping = upload.mapping
        super().__init__(*args, **kwargs)
        self.upload = upload
        self.initial = {
            "existing": upload.existing, "legal_basis": upload.legal_basis, "source": upload.source, "kind": mapping.get("=kind", ""),
        }  # fmt: skip
        if upload.what != Upload.What.CONTACTS:
            del self.fields["legal_basis"]
        if upload.what != Upload.What.ACTIVITIES:
            del self.fields["kind"]
        choices = [("", _("(leave out)")), *((field.name, _label(field)) for field in uploads.fields(upload.what))]
        for index, column in enumerate(upload.columns):
            words = {"aria-label": _("Field for column %(column)s") % {"column": column}}
            field = forms.ChoiceField(choices=choices, required=False, widget=UnfoldAdminSelectWidget(words))
            self.fields[f"column-{index}"] = field
            self.initial[f"column-{index}"] = mapping.get(str(index), "")

    def columns(self) -> list[dict[str, Any]]:
        """Give each column with its first values and its control."""
        sample = self.upload.sample
        return [
            {
                "name": column,
                "values": [row[index] for row in sample if len(row) > index and row[index]][:SAMPLES_SHOWN],
                "field": self[f"column-{index}"],
                "is_mapped": bool(self[f"column-{index}"].value()),
            }
            for index, column in enumerate(self.upload.columns)
        ]

    def choices(self) -> list[forms.BoundField]:
        """Give the controls of what holds for every row, but the one drawn by hand."""
        return [self[name] for name in ("legal_basis", "source", "kind") if name in self.fields]

    def missing(self) -> list[str]:
        """Name the fields without which nothing can be imported, and that no column gives yet."""
        chosen = [str(self[f"column-{index}"].value()) for index in range(len(self.upload.columns))]
        if "kind" in self.fields and self["kind"].value():
            chosen.append("kind")
        labels = {field.name: capfirst(str(field.label)) for field in uploads.fields(self.upload.what)}
        return [labels[name] for name in uploads.missing_fields(self.upload.what, chosen)]

    def values(self) -> dict[str, Any]:
        """Give what `uploads.map_columns` takes."""
        said = self.cleaned_data
        mapping = {str(index): said[f"column-{index}"] for index in range(len(self.upload.columns))}
        if said.get("kind"):
            mapping["=kind"] = said["kind"]
        return {"mapping": mapping, "existing": said["existing"], "source": said["source"], "legal_basis": said.get("legal_basis") or None}


def _label(field: uploads.Field) -> str:
    return capfirst(str(field.label)) + (" *" if field.required else "")
