"""The way in: the password first, then the code of the second factor; and the page for who is locked out."""

from datetime import timedelta
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import login
from django.contrib.auth.signals import user_login_failed
from django.contrib.auth.views import LoginView, RedirectURLMixin
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic.edit import FormView
from unfold.forms import AuthenticationForm

from crm import lock_outs, second_factors, sessions
from crm.errors import CrmError
from crm.models import SignInEvent, User
from crm.pages.look import INPUT, AdminFrame, show

# Who gave the password and not yet the code; nobody is signed in until both are there.
HALF = "half_signed_in"
HALF_FOR_SECONDS = 10 * 60


class CodeForm(forms.Form):
    """Ask for a code of the app, or a recovery code."""

    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=20,
        widget=forms.TextInput({"class": INPUT, "autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false"}),
    )


class SignInView(AdminFrame, LoginView):
    """The first step: who has a second factor is led to the second step, everybody else is in."""

    title = gettext_lazy("Sign in")
    template_name = "admin/login.html"
    authentication_form = AuthenticationForm

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if admin.site.has_permission(request):
            return redirect(self.get_success_url())
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        here = {"app_path": self.request.get_full_path(), "username": self.request.user.get_username()}
        return super().get_context_data(**here, **more)

    def form_valid(self, form: Any) -> HttpResponse:
        user: Any = form.get_user()
        if not second_factors.is_enrolled(user):
            login(self.request, user)
            return redirect(self.get_success_url())
        half = {"user": user.pk, "backend": user.backend, "hash": user.get_session_auth_hash(), "at": now().timestamp()}
        self.request.session[HALF] = half
        return redirect(f"{reverse('sign_in_code')}?{urlencode({'next': self.get_success_url()})}")


@method_decorator([sensitive_post_parameters(), csrf_protect, never_cache], name="dispatch")
class CodeView(AdminFrame, RedirectURLMixin, FormView):
    """The second step: a right code signs in; wrong ones count towards the lock-out as wrong passwords do."""

    title = gettext_lazy("Second step")
    template_name = "crm/pages/code.html"
    form_class = CodeForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.user = half_signed_in(request)
        return super().dispatch(request, *args, **kwargs) if self.user else redirect("admin:login")

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        return super().get_context_data(who=self.user, next=self.get_redirect_url(), **more)

    def form_valid(self, form: Any) -> HttpResponse:
        user, at = self.user, now()
        assert user  # noqa: S101  dispatch lets nobody else come here
        if not AxesProxyHandler.is_allowed(self.request, {"username": user.username}):
            facts: Any = self.request
            facts.axes_locked_out, facts.axes_credentials = True, {"username": user.username}
            return self.form_invalid(form)  # the lock-out page takes its place
        try:
            second_factors.check(user, code=form.cleaned_data["code"], at=at)
        except CrmError as refusal:
            if refusal.code == "wrong_code":
                user_login_failed.send(sender=__name__, credentials={"username": user.username}, request=self.request)
            form.add_error("code", str(refusal))
            return self.form_invalid(form)
        return self._let_in(user, form.cleaned_data["code"])

    def _let_in(self, user: User, code: str) -> HttpResponse:
        backend = self.request.session.pop(HALF)["backend"]
        self.request.__dict__["second_factor_given"] = True
        login(self.request, user, backend=backend)
        if not code.strip().isdecimal():
            left = second_factors.codes_left(user)
            told = ngettext("You have %(n)d recovery code left.", "You have %(n)d recovery codes left.", left) % {"n": left}
            messages.warning(self.request, told)
        return redirect(self.get_success_url())


def half_signed_in(request: HttpRequest) -> User | None:
    """Give who gave the right password in this browser some minutes ago, unless the password was changed since."""
    half = request.session.get(HALF)
    if not half or now().timestamp() - half["at"] > HALF_FOR_SECONDS:
        return None
    user = User.objects.filter(pk=half["user"], is_active=True).first()
    return user if user and user.get_session_auth_hash() == half["hash"] else None


def locked_out(request: Any, _answer: object, credentials: dict[str, Any] | None) -> HttpResponse:
    """Say that somebody is locked out, and for how long."""
    username, at, pause = str((credentials or {}).get("username") or ""), now(), settings.AXES_COOLOFF_TIME
    if request.axes_failures_since_start == settings.AXES_FAILURE_LIMIT and (user := User.objects.filter(username=username).first()):
        sessions.note(user, SignInEvent.Kind.LOCKED, at=at)
    minutes = lock_outs.minutes_left(username, address=request.axes_ip_address, pause=pause, at=at)
    answer = show(request, "crm/pages/locked.html", status=429, title=_("Locked for a while"), minutes=minutes)
    answer["Retry-After"] = str(int(timedelta(minutes=minutes).total_seconds()))
    # The middleware that asked for this page stands outside of what renders answers.
    return answer.render() if hasattr(answer, "render") else answer
