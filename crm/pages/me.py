"""My account: name, language, keyboard, the way in, and the browsers that are signed in."""

from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST
from django.views.i18n import set_language as choose_language
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from crm import second_factors, sessions
from crm.models import User
from crm.pages import signed_in
from crm.pages.look import for_staff, show

EVENTS_SHOWN = 8


class ProfileForm(forms.ModelForm):
    """What everybody sets for oneself; the mail address is an administrator's to change, for passwords are reset with it."""

    class Meta:
        model = User
        fields = ["first_name", "last_name", "language", "shortcuts", "report_mail"]
        widgets = {
            "first_name": UnfoldAdminTextInputWidget({"autocomplete": "given-name"}),
            "last_name": UnfoldAdminTextInputWidget({"autocomplete": "family-name"}),
            "language": UnfoldAdminSelectWidget(),
            "shortcuts": UnfoldBooleanSwitchWidget(),
            "report_mail": UnfoldBooleanSwitchWidget(),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        language = cast(forms.TypedChoiceField, self.fields["language"])
        language.choices = [("", _("As the browser asks")), *settings.LANGUAGES]
        language.help_text = ""


@for_staff
def page(request: HttpRequest) -> HttpResponse:
    """Show my account, and take what is changed of it."""
    user = cast(User, request.user)
    form = ProfileForm(request.POST or None, instance=User.objects.get(pk=user.pk))
    if form.is_valid():
        form.save()
        with translation.override(form.instance.language or request.LANGUAGE_CODE):
            messages.success(request, _("Your account was changed."))
        return redirect("me")
    facts: dict[str, Any] = {
        "browsers": user.browsers.all(),
        "this": signed_in.browser(request),
        "events": user.sign_in_events.select_related("by")[:EVENTS_SHOWN],
        "enrolled": second_factors.is_enrolled(user),
        "codes_left": second_factors.codes_left(user),
        "must": signed_in.must_enrol(user),
        "hours": settings.SESSION_COOKIE_AGE // 3600,
    }
    return show(request, "crm/pages/me.html", title=_("My account"), form=form, **facts)


@for_staff
@require_POST
def end_browser(request: HttpRequest, browser: int) -> HttpResponse:
    """Sign one of my browsers out."""
    user = cast(User, request.user)
    sessions.end(get_object_or_404(user.browsers, pk=browser))
    messages.success(request, _("That browser is signed out."))
    return redirect("me")


@for_staff
@require_POST
def end_others(request: HttpRequest) -> HttpResponse:
    """Sign every browser of mine out but this one."""
    ended = sessions.end_others(cast(User, request.user), but=signed_in.browser(request))
    told = ngettext("%(n)d other browser is signed out.", "%(n)d other browsers are signed out.", ended) % {"n": ended}
    messages.success(request, told)
    return redirect("me")


@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Speak the language that was chosen, on the page where it was chosen, and remember it for who is signed in."""
    answer = choose_language(request)
    language = request.POST.get("language", "")
    if request.user.is_authenticated and language in dict(settings.LANGUAGES):
        User.objects.filter(pk=request.user.pk).update(language=language)
    return answer
