"""One's own second factor: set up, new recovery codes, and off again."""

from base64 import b32encode
from collections.abc import Callable
from typing import Any, cast

import segno
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import mark_safe
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from crm import second_factors, sessions
from crm.errors import CrmError
from crm.models import User
from crm.pages import signed_in
from crm.pages.look import INPUT, for_staff, show
from crm.pages.sign_in import CodeForm


class SureForm(CodeForm):
    """Ask for password and code before the second factor is changed."""

    password = forms.CharField(
        label=gettext_lazy("Password"), widget=forms.PasswordInput({"class": INPUT, "autocomplete": "current-password"})
    )
    field_order = ["password", "code"]


@for_staff
@sensitive_post_parameters()
def page(request: HttpRequest) -> HttpResponse:
    """Show the state of one's second factor, or set it up."""
    user = cast(User, request.user)
    if second_factors.is_enrolled(user):
        left = second_factors.codes_left(user)
        return show(request, "crm/pages/second_factor.html", title=_("Second factor"), codes_left=left, must=signed_in.must_enrol(user))
    form = CodeForm(request.POST or None)
    if form.is_valid() and (codes := _attempt(form, second_factors.confirm, user)):
        sessions.end_others(user, but=signed_in.browser(request))
        signed_in.enrolled(request)
        return _codes(request, codes)
    device = second_factors.offer(user)
    facts: dict[str, Any] = {
        "qr": _drawn(device.config_url),
        "key": _in_fours(b32encode(device.bin_key).decode()),
        "must": signed_in.must_enrol(user),
    }
    return show(request, "crm/pages/enrol.html", title=_("Set up the second factor"), form=form, issuer=settings.OTP_TOTP_ISSUER, **facts)


@for_staff
@sensitive_post_parameters()
def renew(request: HttpRequest) -> HttpResponse:
    """Make new recovery codes, for who knows the password and holds the phone."""
    user, form = cast(User, request.user), SureForm(request.POST or None)
    if form.is_valid() and _is_sure(request, form, user):
        return _codes(request, second_factors.renew_codes(user, at=now()))
    return show(request, "crm/pages/sure.html", title=_("New recovery codes"), form=form, why=_("The old codes stop working."))


@for_staff
@sensitive_post_parameters()
def disable(request: HttpRequest) -> HttpResponse:
    """Switch the second factor off, e.g. to set it up on another phone."""
    user, form = cast(User, request.user), SureForm(request.POST or None)
    if form.is_valid() and _is_sure(request, form, user):
        second_factors.disable(user, at=now())
        signed_in.left_off(request, user)
        messages.success(request, _("The second factor is off. Set it up anew to use another phone."))
        return redirect("second_factor")
    why = _("From then on the password alone signs you in, until you set it up anew.")
    return show(request, "crm/pages/sure.html", title=_("Switch the second factor off"), form=form, why=why)


def _attempt(form: Any, rule: Callable[..., Any], user: User) -> Any:
    """Call a rule with the form's code; a refusal becomes the form's."""
    try:
        return rule(user, code=form.cleaned_data["code"], at=now())
    except CrmError as refusal:
        form.add_error("code", str(refusal))
        return None


def _is_sure(request: HttpRequest, form: Any, user: User) -> bool:
    """Check password and code; wrong ones count towards the lock-out."""
    if authenticate(request, username=user.username, password=form.cleaned_data["password"]) is None:
        form.add_error("password", _("This is not your password."))
        return False
    _attempt(form, second_factors.check, user)
    return not form.errors


def _codes(request: HttpRequest, codes: list[str]) -> HttpResponse:
    """Show recovery codes in the answer itself: no message, no session and no second page holds them."""
    return show(request, "crm/pages/codes.html", title=_("Your recovery codes"), codes=codes)


def _drawn(address: str) -> str:
    """Draw a QR code; what is in it comes from us alone."""
    drawn = segno.make(address, error="m").svg_inline(
        scale=5, border=3, dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None
    )
    return mark_safe(drawn)  # noqa: S308


def _in_fours(key: str) -> str:
    return " ".join(key[place : place + 4] for place in range(0, len(key), 4))
