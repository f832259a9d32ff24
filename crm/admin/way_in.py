"""What an administrator does about somebody's way in: sessions, second factor and lock-out; and the record of it."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from django_otp.plugins.otp_static.admin import StaticDevice
from django_otp.plugins.otp_totp.admin import TOTPDevice
from unfold.admin import ModelAdmin
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action

from crm import lock_outs, second_factors, sessions
from crm.admin import deeds
from crm.admin.sidebar import Place
from crm.admin.site import ReadOnlyAdmin, doer, page_of
from crm.errors import CrmError
from crm.models import SignInEvent, User

# The package's own pages show every secret.
admin.site.unregister([StaticDevice, TOTPDevice])


class WayInAdmin(ModelAdmin):
    """The deeds about a user's way in; each is written down with who did it."""

    actions_detail = ["end_sessions", "reset_second_factor", "release_lock_out"]

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[UnfoldAction]:
        """Leave out what there is nothing to do about."""
        user = self.get_object(request, unquote(str(object_id)))
        return [deed for deed in super().get_actions_detail(request, object_id) if user and self._has_use(deed, user)]

    def _has_use(self, deed: UnfoldAction, user: User) -> bool:
        if deed.action_name.endswith("reset_second_factor"):
            return second_factors.is_enrolled(user)
        if deed.action_name.endswith("release_lock_out"):
            return lock_outs.is_locked(user, limit=settings.AXES_FAILURE_LIMIT, pause=settings.AXES_COOLOFF_TIME, at=now())
        return user.browsers.exists()

    @action(description=_("Sign out everywhere"), url_path="end-sessions", icon="logout", permissions=["change"])
    def end_sessions(self, request: HttpRequest, object_id: str) -> HttpResponse:
        warning = _("Every browser in which this person is signed in is signed out at once. API keys go on working.")
        words = {"title": _("Sign out everywhere"), "done": _("Signed out of every browser."), "warning": warning}
        return self._ask(request, object_id, sessions.end_for, **words)

    @action(description=_("Take the second factor away"), url_path="reset-second-factor", icon="phonelink_erase", permissions=["change"])
    def reset_second_factor(self, request: HttpRequest, object_id: str) -> HttpResponse:
        warning = _("For who lost phone and recovery codes. Make sure that it is really this person who asks: call back.")
        words = {"title": _("Take the second factor away"), "done": _("The second factor is gone."), "warning": warning}
        return self._ask(request, object_id, second_factors.reset, **words)

    @action(description=_("Lift the lock-out"), url_path="release", icon="lock_open", permissions=["change"])
    def release_lock_out(self, request: HttpRequest, object_id: str) -> HttpResponse:
        warning = _("Somebody gave too many wrong passwords or codes for this user name. They may try again at once.")
        return self._ask(
            request, object_id, lock_outs.release, title=_("Lift the lock-out"), done=_("The lock is lifted."), warning=warning
        )

    def _ask(
        self, request: HttpRequest, object_id: str, rule: Callable[..., object], *, title: Promise, done: Promise, warning: Promise
    ) -> HttpResponse:
        """Ask whether it is meant, and call the rule."""
        user = self.get_object(request, unquote(str(object_id)))
        if user is None:
            raise Http404
        if user.is_superuser and not doer(request).is_superuser:
            raise PermissionDenied
        if request.method == "POST":
            self._do(request, user, rule, done)
            return redirect(page_of(user))
        context = self.admin_site.each_context(request) | {"title": title, "button": title, "warning": warning, "subtitle": str(user)}
        about = {"back": page_of(user), "form": deeds.Nothing(), "opts": self.opts, "media": self.media}
        return TemplateResponse(request, "crm/admin/ask.html", context | about)

    def _do(self, request: HttpRequest, user: User, rule: Callable[..., object], done: Promise) -> None:
        try:
            rule(user, by=doer(request), at=now())
        except CrmError as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, str(done))


@admin.register(SignInEvent)
class SignInEventAdmin(ReadOnlyAdmin):
    """Who set up, lost or was given a way in, and by whom."""

    place = Place("settings", 7, "shield_person")
    list_display = ["happened_at", "user", "kind", "by"]
    list_select_related = ["user", "by"]
    list_filter = ["kind"]
    search_fields = ["user__username", "user__first_name", "user__last_name"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("user", "by")
