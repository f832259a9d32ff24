"""The way in: password, second factor, lock-out, and a new password by mail."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from config.addresses import client_address
from crm import second_factors, tasks
from crm.errors import Conflict, Invalid
from crm.models import SignInEvent, User
from tests.conftest import api_client, somebody
from tests.doors.admin_pages import link

pytestmark = pytest.mark.django_db
PASSWORD = "een-lang-wachtwoord"
NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
HOME = "/admin/"


@pytest.fixture(autouse=True)
def _fresh_cache():
    cache.clear()


@pytest.fixture
def clock():
    """A clock that stands still until it is moved."""
    with time_machine.travel(NOW, tick=False) as travelling:
        yield travelling


@pytest.fixture
def noor(rep: User) -> User:
    """A rep who can sign in."""
    rep.username, rep.email = "noor", "noor@voorbeeld.example"
    rep.set_password(PASSWORD)
    rep.save()
    return rep


@pytest.fixture
def enrolled(noor: User, clock: time_machine.Traveller) -> User:
    """A rep with a second factor."""
    second_factors.offer(noor)
    second_factors.confirm(noor, code=code_of(noor), at=NOW)
    clock.shift(timedelta(seconds=30))
    return noor


def code_of(user: User) -> str:
    """Give the code that the user's app shows now."""
    device = TOTPDevice.objects.get(user=user)
    return f"{TOTP(device.bin_key, drift=device.drift).token():06d}"


def give_password(client: Client, username: str = "noor", password: str = PASSWORD, **more: str):
    return client.post(reverse("admin:login"), {"username": username, "password": password, "next": HOME}, **more)


def give_code(client: Client, code: str):
    return client.post(reverse("sign_in_code"), {"code": code, "next": HOME})


def is_in(client: Client) -> bool:
    return client.get(reverse("me")).status_code == 200


# --- two steps -------------------------------------------------------------------------------------


def test_password_alone_signs_in_who_has_no_second_factor(noor, client):
    assert give_password(client).headers["Location"] == HOME
    assert is_in(client)


def test_password_leads_to_the_second_step_and_signs_nobody_in(enrolled, client):
    answer = give_password(client)

    assert answer.headers["Location"].startswith(reverse("sign_in_code"))
    assert not is_in(client)
    assert client.get("/api/v1/accounts").status_code == 401


def test_right_code_signs_in_and_leads_to_where_one_was_going(enrolled, client):
    give_password(client)

    assert give_code(client, code_of(enrolled)).headers["Location"] == HOME
    assert is_in(client)
    assert client.get("/api/v1/accounts").status_code == 200


def test_code_works_once(enrolled, client):
    code = code_of(enrolled)
    give_password(client)
    give_code(client, code)
    other = Client()
    give_password(other)

    assert "not right, or was used already" in give_code(other, code).content.decode()
    assert not is_in(other)


def test_code_typed_with_a_space_is_right(enrolled, client):
    give_password(client)
    code = code_of(enrolled)

    assert give_code(client, f"{code[:3]} {code[3:]}").status_code == 302


def test_second_step_without_the_first_leads_back(enrolled, client):
    assert client.get(reverse("sign_in_code")).headers["Location"] == reverse("admin:login")
    assert give_code(client, code_of(enrolled)).headers["Location"] == reverse("admin:login")
    assert not is_in(client)


def test_second_step_waits_ten_minutes_and_no_longer(enrolled, client, clock):
    give_password(client)
    clock.shift(timedelta(minutes=11))

    assert give_code(client, code_of(enrolled)).headers["Location"] == reverse("admin:login")
    assert not is_in(client)


def test_second_step_ends_when_the_password_is_changed_meanwhile(enrolled, client):
    give_password(client)
    enrolled.set_password("een-ander-wachtwoord")
    enrolled.save()

    assert give_code(client, code_of(enrolled)).headers["Location"] == reverse("admin:login")
    assert not is_in(client)


def test_foreign_address_to_go_on_to_is_ignored(noor, client):
    answer = client.post(reverse("admin:login"), {"username": "noor", "password": PASSWORD, "next": "https://evil.example/"})

    assert answer.headers["Location"] == reverse("admin:index")


def test_wrong_code_makes_the_device_pause(enrolled, client):
    give_password(client)
    give_code(client, "000000")

    assert "try again in 1 second" in give_code(client, code_of(enrolled)).content.decode()
    assert not is_in(client)


def test_session_begun_around_the_second_step_is_none(enrolled, client):
    client.force_login(enrolled)

    assert not is_in(client)
    assert client.get("/api/v1/accounts").status_code == 401


def test_key_of_the_api_needs_no_second_factor(enrolled, settings):
    settings.REQUIRE_SECOND_FACTOR = "everybody"

    assert api_client(enrolled).get("/api/v1/accounts").status_code == 200


# --- recovery codes --------------------------------------------------------------------------------


def test_recovery_code_signs_in_once_and_tells_how_many_are_left(noor, client, clock):
    second_factors.offer(noor)
    code = second_factors.confirm(noor, code=code_of(noor), at=NOW)[0]
    give_password(client)
    give_code(client, code.upper())

    assert "You have 9 recovery codes left." in client.get(reverse("me")).content.decode()
    other = Client()
    give_password(other)
    assert give_code(other, code).status_code == 200
    assert not is_in(other)
    assert list(noor.sign_in_events.values_list("kind", flat=True)) == ["recovered", "enrolled"]


def test_recovery_codes_are_kept_as_digests(noor, clock):
    second_factors.offer(noor)
    codes = second_factors.confirm(noor, code=code_of(noor), at=NOW)

    kept = set(StaticToken.objects.values_list("token", flat=True))
    assert len(codes) == len(set(codes)) == len(kept) == 10
    assert not kept & {code.replace("-", "") for code in codes}


def test_new_codes_replace_the_old(enrolled, client):
    old = set(StaticToken.objects.values_list("token", flat=True))
    give_password(client)
    give_code(client, code_of(enrolled))
    with time_machine.travel(NOW + timedelta(minutes=2), tick=False):
        page = client.post(reverse("renew_codes"), {"password": PASSWORD, "code": code_of(enrolled)}).content.decode()

    assert len(re.findall(r"<li><code>[a-z2-9]{5}-[a-z2-9]{5}</code>", page)) == 10
    assert not old & set(StaticToken.objects.values_list("token", flat=True))


# --- enrolment -------------------------------------------------------------------------------------


def test_enrolment_page_draws_the_key_and_says_it(noor, client, clock):
    give_password(client)
    page = client.get(reverse("second_factor"))

    assert "<svg" in page.content.decode()
    assert "data-key" in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]
    assert not second_factors.is_enrolled(noor)


def test_right_code_sets_up_shows_the_recovery_codes_once_and_ends_other_sessions(noor, client, clock):
    other = Client()
    give_password(other)
    give_password(client)
    client.get(reverse("second_factor"))
    page = client.post(reverse("second_factor"), {"code": code_of(noor)}).content.decode()

    assert len(re.findall(r"<li><code>", page)) == 10
    assert second_factors.is_enrolled(noor)
    assert is_in(client)
    assert not is_in(other)
    assert "<li><code>" not in client.get(reverse("second_factor")).content.decode()


def test_wrong_code_sets_nothing_up(noor, client, clock):
    give_password(client)
    page = client.post(reverse("second_factor"), {"code": "000000"}).content.decode()

    assert "not right, or was used already" in page
    assert not second_factors.is_enrolled(noor)
    assert StaticToken.objects.count() == 0


def test_switching_off_asks_for_password_and_code(enrolled, client, clock):
    give_password(client)
    give_code(client, code_of(enrolled))
    clock.shift(timedelta(seconds=60))
    off = reverse("disable_second_factor")

    client.post(off, {"password": "verkeerd", "code": code_of(enrolled)})
    client.post(off, {"password": PASSWORD, "code": "000000"})
    assert second_factors.is_enrolled(enrolled)
    clock.shift(timedelta(seconds=60))
    assert client.post(off, {"password": PASSWORD, "code": code_of(enrolled)}).status_code == 302
    assert not second_factors.is_enrolled(enrolled)
    assert is_in(client)


@pytest.mark.parametrize(
    ("rule", "role", "must"),
    [("none", "administrator", False), ("administrators", "administrator", True), ("administrators", "sales rep", False), ("everybody", "sales rep", True)],
)  # fmt: skip
def test_who_must_enrol_can_do_nothing_else_until_done(rule, role, must, settings, client, clock):
    settings.REQUIRE_SECOND_FACTOR = rule
    user = somebody(role)
    client.force_login(user)

    answer = client.get(reverse("me"))
    assert (answer.status_code, answer.headers.get("Location")) == ((302, reverse("second_factor")) if must else (200, None))
    assert client.get("/api/v1/accounts").status_code == (401 if must else 200)
    client.get(reverse("second_factor"))
    if must:
        client.post(reverse("second_factor"), {"code": code_of(user)})
        assert is_in(client)
        assert client.get("/api/v1/accounts").status_code == 200


def test_stricter_rule_reaches_sessions_that_stand_already(noor, client, settings):
    client.force_login(noor)
    assert is_in(client)

    settings.REQUIRE_SECOND_FACTOR = "everybody"
    assert client.get(reverse("me")).headers["Location"] == reverse("second_factor")


def test_second_offer_is_refused_to_who_is_enrolled(enrolled):
    with pytest.raises(Conflict):
        second_factors.offer(enrolled)


def test_app_of_somebody_else_opens_nothing(enrolled, clock):
    other = somebody("sales rep")
    second_factors.offer(other)

    with pytest.raises(Invalid):
        second_factors.check(enrolled, code=code_of(other), at=NOW)


# --- an administrator helps ------------------------------------------------------------------------


def test_administrator_takes_a_second_factor_away_and_it_is_written_down(enrolled, admin_user):
    hers, office = Client(), Client()
    give_password(hers)
    give_code(hers, code_of(enrolled))
    office.force_login(admin_user)

    page = link(enrolled, "reset_second_factor")
    assert "call back" in office.get(page).content.decode()
    assert second_factors.is_enrolled(enrolled)
    assert office.post(page).status_code == 302
    assert not second_factors.is_enrolled(enrolled)
    assert not is_in(hers)
    event = SignInEvent.objects.latest("pk")
    assert (event.kind, event.user, event.by) == ("reset", enrolled, admin_user)


def test_rep_takes_nobodys_second_factor_away(enrolled, outsider, client):
    client.force_login(outsider)

    assert client.post(link(enrolled, "reset_second_factor")).status_code == 403
    assert second_factors.is_enrolled(enrolled)


def test_administrator_without_every_right_leaves_a_superuser_alone(admin_user, client, clock):
    second_factors.offer(admin_user)
    second_factors.confirm(admin_user, code=code_of(admin_user), at=NOW)
    client.force_login(somebody("administrator"))

    assert client.post(link(admin_user, "reset_second_factor")).status_code == 403
    assert second_factors.is_enrolled(admin_user)


# --- lock-out --------------------------------------------------------------------------------------


def guess(client: Client, times: int, **more: str) -> int:
    return [give_password(client, password="verkeerd", **more).status_code for _ in range(times)][-1]


def test_five_wrong_passwords_lock_and_the_page_says_for_how_long(noor, client, clock):
    assert guess(client, 4) == 200
    answer = give_password(client, password="verkeerd")

    assert answer.status_code == 429
    assert "Try again in 15 minutes." in answer.content.decode()
    assert answer.headers["Retry-After"] == "900"
    clock.shift(timedelta(minutes=5))
    answer = give_password(client)
    assert answer.status_code == 429
    assert "Try again in 10 minutes." in answer.content.decode()
    assert not is_in(client)
    assert list(noor.sign_in_events.values_list("kind", flat=True)) == ["locked"]


def test_lock_ends_by_itself(noor, client, clock):
    guess(client, 5)
    clock.shift(timedelta(minutes=16))

    assert give_password(client).status_code == 302


def test_colleague_behind_the_same_address_signs_in(noor, client, clock):
    guess(client, 5)
    other = somebody("sales rep", username="sem")
    other.set_password(PASSWORD)
    other.save()

    assert give_password(Client(), username="sem").status_code == 302


def test_owner_of_the_name_signs_in_from_elsewhere_while_a_stranger_guesses(noor, client, clock):
    guess(client, 5, REMOTE_ADDR="203.0.113.9")

    assert give_password(client, REMOTE_ADDR="203.0.113.9").status_code == 429
    assert give_password(client, REMOTE_ADDR="192.0.2.1").status_code == 302


def test_wrong_codes_lock_too(enrolled, client, clock):
    give_password(client)
    for seconds in (0, 1, 2, 4):
        clock.shift(timedelta(seconds=seconds))
        assert give_code(client, "000000").status_code == 200
    clock.shift(timedelta(seconds=8))

    assert give_code(client, "000000").status_code == 429
    clock.shift(timedelta(seconds=60))
    assert give_code(client, code_of(enrolled)).status_code == 429
    assert not is_in(client)


def test_right_password_does_not_wipe_wrong_codes_away(enrolled, client, clock):
    for seconds in (0, 1, 2, 4):
        clock.shift(timedelta(seconds=seconds))
        give_password(client)
        give_code(client, "000000")
    clock.shift(timedelta(seconds=8))
    give_password(client)

    assert give_code(client, "000000").status_code == 429


def test_administrator_lifts_a_lock_at_once(noor, admin_user, client, clock):
    guess(client, 5)
    office = Client()
    office.force_login(admin_user)
    assert "Lift the lock-out" in office.get(link(noor, "change")).content.decode()

    assert office.post(link(noor, "release_lock_out")).status_code == 302
    assert give_password(client).status_code == 302
    assert SignInEvent.objects.filter(kind="released", user=noor, by=admin_user).exists()
    assert "Lift the lock-out" not in office.get(link(noor, "change")).content.decode()


def test_name_that_nobody_has_locks_alike(client, clock, db):
    assert [give_password(client, username="niemand").status_code for _ in range(5)] == [200] * 4 + [429]
    assert SignInEvent.objects.count() == 0


@pytest.mark.parametrize(("behind", "address"), [(False, "10.0.0.1"), (True, "198.51.100.7")])
def test_forwarded_address_is_believed_behind_our_own_proxy_alone(behind, address, rf, settings):
    settings.BEHIND_PROXY = behind
    request = rf.get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="1.2.3.4, 198.51.100.7")

    assert client_address(request) == address


# --- a new password by mail ------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch):
    """Do at once what is handed to the queue."""
    monkeypatch.setattr(tasks, "enqueue", lambda task, *arguments: task(*arguments))


def ask_for_link(client: Client, address: str, **more: str):
    return client.post(reverse("admin_password_reset"), {"email": address}, follow=True, **more)


def test_link_by_mail_sets_a_new_password_and_ends_every_session(noor, client, at_once):
    signed_in = Client()
    give_password(signed_in)
    ask_for_link(client, "noor@voorbeeld.example")
    address = re.search(r"http://testserver(/\S+)", mail.outbox[0].body)[1]

    page = client.get(address, follow=True)
    answer = client.post(page.redirect_chain[-1][0], {"new_password1": "nieuw-en-lang-genoeg", "new_password2": "nieuw-en-lang-genoeg"})
    assert answer.headers["Location"] == reverse("password_reset_complete")
    assert not is_in(signed_in)
    assert noor.browsers.count() == 0
    assert give_password(client).status_code == 200
    assert give_password(client, password="nieuw-en-lang-genoeg").status_code == 302
    assert "too old" in Client().get(address, follow=True).content.decode()
    assert list(noor.sign_in_events.values_list("kind", flat=True)) == ["password_reset"]


def test_page_says_the_same_whether_anybody_has_the_address(noor, client, at_once):
    known, unknown = (ask_for_link(client, f"{name}@voorbeeld.example").content.decode() for name in ("noor", "niemand"))

    token = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')
    assert token.sub("", known) == token.sub("", unknown)
    assert [message.to for message in mail.outbox] == [["noor@voorbeeld.example"]]


def test_second_mail_within_a_minute_is_not_sent(noor, client, at_once):
    ask_for_link(client, "noor@voorbeeld.example")
    ask_for_link(client, "Noor@voorbeeld.example")

    assert len(mail.outbox) == 1


def test_mail_speaks_the_language_of_the_page(noor, client, at_once):
    ask_for_link(client, "noor@voorbeeld.example", HTTP_ACCEPT_LANGUAGE="en")

    assert mail.outbox[0].subject == "A new password for Quorum"
    assert "Your user name is noor." in mail.outbox[0].body


def test_new_password_does_not_switch_the_second_factor_off(enrolled, client, at_once):
    ask_for_link(client, "noor@voorbeeld.example")
    address = re.search(r"http://testserver(/\S+)", mail.outbox[0].body)[1]
    page = client.get(address, follow=True)
    client.post(page.redirect_chain[-1][0], {"new_password1": "nieuw-en-lang-genoeg", "new_password2": "nieuw-en-lang-genoeg"})

    assert give_password(client, password="nieuw-en-lang-genoeg").headers["Location"].startswith(reverse("sign_in_code"))


def test_short_password_is_refused_and_nothing_changes(noor, client, at_once):
    ask_for_link(client, "noor@voorbeeld.example")
    address = re.search(r"http://testserver(/\S+)", mail.outbox[0].body)[1]
    page = client.get(address, follow=True)

    assert client.post(page.redirect_chain[-1][0], {"new_password1": "kort", "new_password2": "kort"}).status_code == 200
    assert give_password(Client()).status_code == 302
    assert Session.objects.exists()
