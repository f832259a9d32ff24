"""A new password: by mail for who forgot it, and on one's own page."""

from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import forms as auth_forms
from django.contrib.auth import views
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from django.utils.timezone import now
from django.utils.translation import get_language, gettext_lazy

from crm import lock_outs, sessions, tasks
from crm.models import SignInEvent, User
from crm.pages import signed_in
from crm.pages.look import INPUT, AdminFrame, for_staff

# One mail per address and minute; more would only fill somebody's inbox.
MAIL_EVERY_SECONDS = 60


class AskForm(forms.Form):
    """Ask for the mail address of somebody who forgot the password."""

    email = forms.EmailField(
        label=gettext_lazy("Email"), max_length=254, widget=forms.EmailInput({"class": INPUT, "autocomplete": "email"})
    )


class NewPasswordForm(auth_forms.SetPasswordForm):
    """Ask for a new password twice, in the theme's clothes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["class"] = INPUT


class AskView(AdminFrame, views.PasswordResetView):
    """Have a link sent; the answer and its time are the same whether anybody has this address."""

    title = gettext_lazy("New password")
    template_name = "crm/pages/password_ask.html"
    form_class: Any = AskForm
    success_url = reverse_lazy("password_reset_done")

    def form_valid(self, form: Any) -> HttpResponse:
        address = form.cleaned_data["email"].lower()
        if cache.add(f"password-mail:{address}", 1, MAIL_EVERY_SECONDS):
            tasks.enqueue(tasks.mail_password_link, address, get_language(), self.request.get_host(), self.request.is_secure())
        return super(views.PasswordResetView, self).form_valid(form)


class SentView(AdminFrame, views.PasswordResetDoneView):
    """Say that a link is on its way, if anybody has this address."""

    title = gettext_lazy("Look into your mail")
    template_name = "crm/pages/password_sent.html"

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        return super().get_context_data(minutes=settings.PASSWORD_RESET_TIMEOUT // 60, **more)


class SetView(AdminFrame, views.PasswordResetConfirmView):
    """Take the new password; every session ends, and the second factor stays as it is."""

    title = gettext_lazy("Choose a new password")
    template_name = "crm/pages/password_set.html"
    form_class = NewPasswordForm

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        sessions.note(form.user, SignInEvent.Kind.PASSWORD_RESET, at=now())
        sessions.end_every(form.user)
        lock_outs.forget_failures(form.user)
        return answer


class DoneView(AdminFrame, views.PasswordResetCompleteView):
    """Lead back to the way in."""

    title = gettext_lazy("Your password was changed")
    template_name = "crm/pages/password_done.html"


@for_staff
def change(request: HttpRequest) -> HttpResponse:
    """Change one's own password on the admin's page; every other browser is signed out, for its session is worth nothing now."""
    answer = admin.site.password_change(request)
    if request.method == "POST" and answer.status_code == 302:
        sessions.end_others(cast(User, request.user), but=signed_in.browser(request))
    return answer
