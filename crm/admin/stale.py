"""Pages that were open for a while: a form carries how the record looked, so that nobody writes over what they never saw."""

import json
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.forms import BoundField, ModelForm
from django.http import HttpRequest
from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from crm.errors import Conflict

# The hidden field of every form about a record.
FIELD = "as_seen"


def version(record: Any) -> str:
    """Give the stage and revision of a record that counts its revisions; others have no version."""
    return f"{record.stage}:{record.revision}" if hasattr(record, "revision") else ""


def as_seen(request: HttpRequest, record: Any) -> Any:
    """Give a deal as the page showed it that was sent; the rule then finds out whether it is still so."""
    stage, _colon, revision = request.POST.get(FIELD, "").partition(":")
    if revision.isdecimal():
        record.stage, record.revision = stage, int(revision)
    return record


def looks(form: ModelForm) -> dict[str, Any]:
    """Give what each field of a form shows of the record as stored, in words that its field reads back."""
    return {bound.name: _look(bound) for bound in form if not bound.field.disabled}


def _look(bound: BoundField) -> Any:
    shown = bound.field.prepare_value(bound.initial)
    if isinstance(shown, (list, tuple)):
        return sorted(str(one) for one in shown)
    return None if shown is None else str(shown)


def token(request: HttpRequest, form: ModelForm) -> str:
    """Give the hidden field's text; a form that is shown again keeps what it was first made of."""
    return request.POST.get(FIELD) or json.dumps(looks(form))


def changed(request: HttpRequest, form: ModelForm) -> dict[str, Any]:
    """Give the values that the user changed on this page; Conflict when somebody else changed one of them meanwhile."""
    seen, stored = _seen(request), looks(form)
    stale = [name for name in form.changed_data if name in seen and seen[name] != stored.get(name)]
    touched = [name for name in stale if _is_touched(form[name], seen[name])]
    if touched:
        names = get_text_list([str(form[name].label) for name in touched], _("and"))
        raise Conflict(_("Somebody else changed this in the meantime: %(names)s. Nothing is saved: open the page anew.") % {"names": names})
    return {name: form.cleaned_data[name] for name in form.changed_data if name not in stale}


def _seen(request: HttpRequest) -> Mapping[str, Any]:
    try:
        seen = json.loads(request.POST.get(FIELD, "{}"))
    except ValueError:
        return {}
    return seen if isinstance(seen, dict) else {}


def _is_touched(bound: BoundField, seen: Any) -> bool:
    """Say whether what was sent is something else than what the page showed."""
    try:
        return bound.field.has_changed(bound.field.to_python(seen), bound.data)
    except (ValidationError, TypeError):
        return True
