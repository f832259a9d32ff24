"""Browsers in which somebody is signed in, and what happened to somebody's way in."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.models.users import User


class BrowserSession(models.Model):
    """One browser in which a user is signed in; the row ends with the session it names."""

    user = models.ForeignKey(User, verbose_name=_("user"), on_delete=models.CASCADE, related_name="browsers")
    session_key = models.CharField(_("session"), max_length=40, unique=True)
    # The words of the sheet "browser on system": neither the whole agent string nor an address is kept.
    browser = models.CharField(_("browser"), max_length=40)
    system = models.CharField(_("system"), max_length=40)
    since = models.DateTimeField(_("since"))
    seen_at = models.DateTimeField(_("last seen"))

    class Meta:
        verbose_name, verbose_name_plural = _("browser signed in"), _("browsers signed in")
        ordering = ["-seen_at", "-pk"]
        indexes = [models.Index(fields=["user", "-seen_at"], name="browser_of_user")]
        constraints = [models.CheckConstraint(name="browser_seen_since", condition=models.Q(seen_at__gte=models.F("since")))]

    def __str__(self) -> str:
        return f"{self.user}: {self.browser}"


class SignInEvent(models.Model):
    """Something that changed how somebody signs in; written once, never changed."""

    class Kind(models.TextChoices):
        ENROLLED = "enrolled", _("second factor set up")
        CODES_RENEWED = "codes_renewed", _("new recovery codes made")
        RECOVERED = "recovered", _("signed in with a recovery code")
        DISABLED = "disabled", _("second factor switched off")
        RESET = "reset", _("second factor taken away by an administrator")
        PASSWORD_RESET = "password_reset", _("new password by mail")
        SESSIONS_ENDED = "sessions_ended", _("signed out of every browser by an administrator")
        RELEASED = "released", _("lock-out lifted by an administrator")
        LOCKED = "locked", _("locked out after wrong attempts")

    user = models.ForeignKey(User, verbose_name=_("user"), on_delete=models.CASCADE, related_name="sign_in_events")
    kind = models.CharField(_("what"), max_length=20, choices=Kind.choices)
    by = models.ForeignKey(User, verbose_name=_("by"), null=True, on_delete=models.SET_NULL, related_name="+")
    happened_at = models.DateTimeField(_("when"))

    class Meta:
        verbose_name, verbose_name_plural = _("sign-in event"), _("sign-in events")
        ordering = ["-happened_at", "-pk"]
        indexes = [
            models.Index(fields=["-happened_at", "-id"], name="sign_in_event_latest"),
            models.Index(fields=["user", "-happened_at"], name="sign_in_event_of_user"),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_kind_display()}"
