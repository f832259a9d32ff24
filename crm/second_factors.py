"""The second factor: codes of an app on a phone, and recovery codes for the day it is lost."""

from datetime import datetime
from math import ceil
from secrets import choice

from django.db import transaction
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from crm import sessions
from crm.errors import Conflict, Invalid
from crm.models import SignInEvent, User

RECOVERY_CODES = 10
# Without letters and digits that look like each other on paper; 10 of 30 signs are about 49 bits.
SIGNS = "abcdefghjkmnpqrstuvwxyz2345679"
NAME = "app"


def is_enrolled(user: User) -> bool:
    """Say whether a user signs in with a code besides the password."""
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists())


def codes_left(user: User) -> int:
    """Count the recovery codes that were not used yet."""
    return int(StaticToken.objects.filter(device__user=user).count())


def offer(user: User) -> TOTPDevice:
    """Give the secret that a user may set up; the same one until it is confirmed."""
    if is_enrolled(user):
        raise Conflict(_("The second factor is set up already."))
    device = TOTPDevice.objects.filter(user=user, confirmed=False).first()
    return device or TOTPDevice.objects.create(user=user, name=NAME, confirmed=False)


def confirm(user: User, *, code: str, at: datetime) -> list[str]:
    """Set the second factor up with a first code of the app; give the recovery codes, which are shown this once."""
    device = offer(user)
    _verify(TOTPDevice, user, code, confirmed=False, at=at)
    with transaction.atomic():
        if not TOTPDevice.objects.filter(pk=device.pk, confirmed=False).update(confirmed=True):
            raise Conflict(_("The second factor is set up already."))
        sessions.note(user, SignInEvent.Kind.ENROLLED, at=at)
        return _new_codes(user)


def check(user: User, *, code: str, at: datetime) -> None:
    """Accept a code of the app, or a recovery code, once; refuse any other in words."""
    plain = _plain(code)
    if plain.isdecimal():
        _verify(TOTPDevice, user, plain, confirmed=True, at=at)
        return
    _verify(StaticDevice, user, _digest(user, plain), confirmed=True, at=at)
    sessions.note(user, SignInEvent.Kind.RECOVERED, at=at)


def renew_codes(user: User, *, at: datetime) -> list[str]:
    """Make new recovery codes; the old ones are worth nothing any more."""
    with transaction.atomic():
        sessions.note(user, SignInEvent.Kind.CODES_RENEWED, at=at)
        return _new_codes(user)


def disable(user: User, *, at: datetime) -> None:
    """Switch a user's own second factor off."""
    _forget(user, SignInEvent.Kind.DISABLED, by=None, at=at)


def reset(user: User, *, by: User, at: datetime) -> None:
    """Take somebody's second factor away, for who lost phone and recovery codes; every browser is signed out."""
    with transaction.atomic():
        _forget(user, SignInEvent.Kind.RESET, by=by, at=at)
        sessions.end_every(user)


def forgive(user: User) -> None:
    """Take codes again at once, after wrong ones made their device pause."""
    for kind in (TOTPDevice, StaticDevice):
        kind.objects.filter(user=user).update(throttling_failure_count=0, throttling_failure_timestamp=None)


def _forget(user: User, kind: SignInEvent.Kind, *, by: User | None, at: datetime) -> None:
    with transaction.atomic():
        if not TOTPDevice.objects.filter(user=user, confirmed=True).delete()[0]:
            raise Conflict(_("There is no second factor to take away."))
        TOTPDevice.objects.filter(user=user).delete()
        StaticDevice.objects.filter(user=user).delete()
        sessions.note(user, kind, by=by, at=at)


def _verify(kind: type[TOTPDevice] | type[StaticDevice], user: User, code: str, *, confirmed: bool, at: datetime) -> None:
    """Try a code on the user's device of a kind; a refusal is raised after the failed attempt is on record."""
    with transaction.atomic():
        device = kind.objects.select_for_update().filter(user=user, confirmed=confirmed).first()
        seconds = _pause(device, at) if device else 0
        accepted = bool(device) and not seconds and device.verify_token(_plain(code))
    if seconds:
        again = ngettext("Too many wrong codes: try again in %(n)d second.", "Too many wrong codes: try again in %(n)d seconds.", seconds)
        raise Invalid(again % {"n": seconds}, code="wait", detail={"code": again % {"n": seconds}})
    if not accepted:
        sentence = _("This code is not right, or was used already.")
        raise Invalid(sentence, code="wrong_code", detail={"code": sentence})


def _pause(device: TOTPDevice | StaticDevice, at: datetime) -> int:
    """Give the seconds for which a device takes no code, because of those that were wrong."""
    allowed, facts = device.verify_is_allowed()
    if allowed or not facts:
        return 0
    until: datetime = facts["locked_until"]
    return max(1, ceil((until - at).total_seconds()))


def _new_codes(user: User) -> list[str]:
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name=NAME)
    codes = ["".join(choice(SIGNS) for _sign in range(10)) for _code in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=_digest(user, code)) for code in codes)
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def _plain(code: str) -> str:
    """Leave out how somebody typed it: spaces, dashes and capitals."""
    return "".join(code.lower().replace("-", "").split())


def _digest(user: User, code: str) -> str:
    """Give what is kept of a recovery code; 16 signs, as many as the table has room for."""
    return salted_hmac("crm.second_factors", f"{user.pk} {code}").hexdigest()[:16]
