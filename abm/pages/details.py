"""The page on which a contact confirms or corrects their details, says that they leave, or stops our mail; by a signed link, no sign-in."""

import hashlib
from collections.abc import Callable
from typing import Any

from axes.helpers import get_client_ip_address
from csp.constants import NONE, SELF
from csp.decorators import csp_replace
from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.cache import add_never_cache_headers
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from abm import leavings
from crm import details, limits, policy
from crm.errors import CrmError, LinkClosed
from crm.models import DetailsRequest

DAYS = ["%Y-%m-%d", "%d-%m-%Y", "%d/%m/%Y"]
LANGUAGES = {"nl": "Nederlands", "en": "English"}
# No script, nothing from elsewhere, and no page of others around it.
POLICY = {
    "default-src": [NONE], "style-src": [SELF], "img-src": [SELF], "form-action": [SELF], "frame-ancestors": [NONE], "base-uri": [NONE],
}  # fmt: skip
# `no-referrer` would have browsers send no origin with a form, which the check against forged forms needs.
HEADERS = {"Referrer-Policy": "same-origin", "X-Robots-Tag": "noindex, nofollow, noarchive"}
SAID = {
    "confirm": gettext_lazy("Thank you. We noted that your details are right."),
    "correct": gettext_lazy("Thank you. Your corrections are saved."),
    "leave": gettext_lazy("Thank you for telling us. We noted that you leave."),
    "stay": gettext_lazy("We noted that you stay."),
    "opt_out": gettext_lazy("We noted it: you get no more mail from us."),
    "opt_in": gettext_lazy("We noted that you want our mail after all."),
}


class Correction(forms.Form):
    """Ask for what is right; a person needs a name, everything else may be left out."""

    given_name = forms.CharField(label=gettext_lazy("Given name"), required=False, max_length=100)
    family_name = forms.CharField(label=gettext_lazy("Family name"), required=False, max_length=100)
    job_title = forms.CharField(label=gettext_lazy("Job title"), required=False, max_length=150)
    phone = forms.CharField(label=gettext_lazy("Phone"), required=False, max_length=60, widget=forms.TextInput({"type": "tel"}))
    email = forms.EmailField(label=gettext_lazy("E-mail"), required=False, max_length=254)
    known = {"given_name": "given-name", "family_name": "family-name", "job_title": "organization-title", "phone": "tel", "email": "email"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.widget.attrs["autocomplete"] = self.known[name]


class Leaving(forms.Form):
    """Ask when, and who comes after."""

    leaves_on = forms.DateField(
        label=gettext_lazy("From this day I no longer work there"),
        input_formats=DAYS,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        error_messages={"required": gettext_lazy("Give the day."), "invalid": gettext_lazy("Give a day, such as 31-12-2026.")},
    )
    successor_name = forms.CharField(
        label=gettext_lazy("Who comes after me, or whom to write to"),
        required=False,
        max_length=200,
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    successor_email = forms.EmailField(
        label=gettext_lazy("Their e-mail"), required=False, max_length=254, widget=forms.EmailInput({"autocomplete": "off"})
    )


@require_http_methods(["GET", "HEAD", "POST"])
@csp_replace(POLICY)
@csrf_protect
@sensitive_post_parameters()
def page(request: HttpRequest, token: str) -> HttpResponse:
    """Show a contact their own details, or do what they ask; a link that opens nothing says why."""
    try:
        asked = details.opened(token, at=now())
    except LinkClosed as closed:
        return _closed(request, closed)
    with translation.override(_language(request, asked)):
        return _answer(request, asked, token)


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def stop(request: HttpRequest, token: str) -> HttpResponse:
    """Stop our mail at the button of a mail program (RFC 8058), which posts from nowhere; who opens this in a browser is led to the page."""
    if request.method != "POST":
        return _guarded(redirect("details", token))
    try:
        details.opt_out(details.opened(token, at=now()), at=now())
    except LinkClosed as closed:
        return _closed(request, closed)
    return _guarded(HttpResponse(status=204))


def _language(request: HttpRequest, asked: DetailsRequest) -> str:
    chosen = request.GET.get("lang", "")
    return chosen if chosen in LANGUAGES else details.language_of(asked.contact)


def _answer(request: HttpRequest, asked: DetailsRequest, token: str) -> HttpResponse:
    forms_of: dict[str, Any] = {"correct": (Correction, details.present(asked.contact)), "leave": (Leaving, _announced(asked))}
    deed = request.POST.get("deed", "") if request.method == "POST" else ""
    shown = {name: form(request.POST if name == deed else None, initial=initial) for name, (form, initial) in forms_of.items()}
    if not deed:
        return _show(request, asked, token, shown)
    if _too_many(request, asked):
        return _show(request, asked, token, shown, problem=_too_often(), status=429)
    return _do(request, asked, token, deed, shown)


def _announced(asked: DetailsRequest) -> dict[str, Any]:
    said = leavings.standing(asked.contact)
    return {name: getattr(said, name) for name in Leaving.base_fields} if said else {}


def _do(request: HttpRequest, asked: DetailsRequest, token: str, deed: str, shown: dict[str, Any]) -> HttpResponse:
    """Call the rule of a deed; what it refuses is said where it was typed, and nothing typed is lost."""
    rules: dict[str, Callable[..., object]] = {
        "confirm": details.confirm, "correct": details.correct, "leave": leavings.announce, "stay": leavings.take_back,
        "opt_out": details.opt_out, "opt_in": details.opt_in,
    }  # fmt: skip
    form = shown.get(deed)
    if deed not in rules:
        return redirect(_address(token, request))
    if form is not None and not form.is_valid():
        return _show(request, asked, token, shown)
    try:
        rules[deed](asked, at=now(), **(form.cleaned_data if form is not None else {}))
    except CrmError as refusal:
        problem = _put_at_fields(form, refusal)
        return _show(request, asked, token, shown, problem=problem)
    return redirect(_address(token, request, said=deed))


def _put_at_fields(form: forms.Form | None, refusal: CrmError) -> str:
    """Say a refusal at the fields it names; give the sentence when it names none of them."""
    named = {name: str(reason) for name, reason in refusal.detail.items() if form is not None and name in form.fields}
    for name, reason in named.items():
        form.add_error(name, reason)  # type: ignore[union-attr]
    return "" if named else str(refusal)


def _address(token: str, request: HttpRequest, **more: str) -> str:
    chosen = request.GET.get("lang", "")
    facts = ({"lang": chosen} if chosen in LANGUAGES else {}) | more
    return reverse("details", args=[token]) + ("?" + "&".join(f"{name}={value}" for name, value in facts.items()) if facts else "")


def _show(
    request: HttpRequest, asked: DetailsRequest, token: str, shown: dict[str, Any], *, problem: str = "", status: int = 200
) -> HttpResponse:
    other = "en" if translation.get_language() == "nl" else "nl"
    context = {
        "asked": asked,
        "contact": asked.contact,
        "leaving": leavings.standing(asked.contact),
        "until": details.ends_at(asked),
        "forms": shown,
        "problem": problem,
        "has_errors": any(form.errors for form in shown.values()),
        "said": SAID.get(request.GET.get("said", "")) if request.method == "GET" else None,
        "other": {"code": other, "name": LANGUAGES[other]},
        "here": _address(token, request),
    }
    return _guarded(render(request, "abm/pages/details.html", context, status=status))


def _closed(request: HttpRequest, closed: LinkClosed) -> HttpResponse:
    """Say kindly why a link opens nothing, in the browser's language: whose it was is not to be told."""
    is_unknown = closed.code == "unknown"
    if is_unknown and _over(f"details-unknown:{_network(request)}", policy.DETAILS.answers_per_address):
        return _guarded(render(request, "abm/pages/details_closed.html", {"code": "too_often", "why": _too_often()}, status=429))
    context = {"code": closed.code, "why": str(closed)}
    return _guarded(render(request, "abm/pages/details_closed.html", context, status=404 if is_unknown else 410))


def _guarded(answer: HttpResponse) -> HttpResponse:
    """Keep the page out of caches, search engines and the logs of other sites."""
    add_never_cache_headers(answer)
    answer.headers["Content-Language"] = str(translation.get_language())
    for name, value in HEADERS.items():
        answer.headers[name] = value
    if answer.status_code == 429:
        answer.headers["Retry-After"] = str(limits.HOUR)
    return answer


def _too_often() -> str:
    return _("That was a lot at once. Wait an hour and try again, or answer our mail.")


def _too_many(request: HttpRequest, asked: DetailsRequest) -> bool:
    """Count a form that was sent, for its link and for its network address."""
    of_link = _over(f"details-link:{asked.pk}", policy.DETAILS.answers_per_link)
    return _over(f"details-from:{_network(request)}", policy.DETAILS.answers_per_address) or of_link


def _over(caller: str, at_most: int) -> bool:
    """Count one more within the hour; say whether it is one too many."""
    return limits.spend(caller, most=at_most, at=now(), every=limits.HOUR).remaining < 0


def _network(request: HttpRequest) -> str:
    """Name a network address for the hour, without keeping it."""
    return hashlib.sha256(str(get_client_ip_address(request)).encode()).hexdigest()[:32]
