"""Browsers that are signed in: seen, listed and signed out; my account; and the language that is chosen there."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from crm import sessions, tasks
from crm.models import BrowserSession, SignInEvent, User
from tests.doors.admin_pages import link, said

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
PASSWORD = "een-lang-wachtwoord"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
EDGE = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"


@pytest.fixture(autouse=True)
def clock():
    cache.clear()
    with time_machine.travel(NOW, tick=False) as travelling:
        yield travelling


@pytest.fixture
def noor(rep: User) -> User:
    rep.username = "noor"
    rep.set_password(PASSWORD)
    rep.save()
    return rep


def sign_in(agent: str = FIREFOX) -> Client:
    """Give a browser in which Noor signed in."""
    client = Client(HTTP_USER_AGENT=agent)
    client.post(reverse("admin:login"), {"username": "noor", "password": PASSWORD})
    return client


def is_in(client: Client) -> bool:
    return client.get(reverse("me")).status_code == 200


@pytest.mark.parametrize(
    ("agent", "words"),
    [(FIREFOX, ("Firefox", "Linux")), (IPHONE, ("Safari", "iPhone")), (EDGE, ("Edge", "Windows")), ("curl/8", ("", "")), ("", ("", ""))],
)
def test_agent_string_is_put_in_two_words(agent, words):
    assert sessions.device(agent) == words


def test_page_lists_my_browsers_and_marks_this_one(noor):
    sign_in(IPHONE)
    page = sign_in().get(reverse("me")).content.decode()

    assert "Firefox on Linux" in page
    assert "Safari on iPhone" in page
    assert page.count("this one") == 1
    assert page.count("Sign out</button>") == 1


def test_browser_is_seen_at_most_once_a_minute(noor, clock, django_assert_num_queries):
    client = sign_in()
    client.get(reverse("set_language"))
    clock.shift(timedelta(seconds=50))
    client.get(reverse("set_language"))
    assert BrowserSession.objects.get().seen_at == NOW

    clock.shift(timedelta(seconds=20))
    client.get(reverse("set_language"))
    assert BrowserSession.objects.get().seen_at == NOW + timedelta(seconds=70)
    assert BrowserSession.objects.get().since == NOW


def test_noting_who_is_signed_in_costs_no_query(noor, django_assert_num_queries):
    client = sign_in()

    with django_assert_num_queries(2):  # the session and its user
        client.get("/healthz")


def test_one_browser_is_signed_out_and_the_others_stay(noor):
    phone, desk = sign_in(IPHONE), sign_in()
    row = BrowserSession.objects.get(system="iPhone")

    answer = desk.post(reverse("end_browser", args=[row.pk]), follow=True)
    assert said(answer) == ["That browser is signed out."]
    assert not is_in(phone)
    assert is_in(desk)


def test_all_others_are_signed_out_at_once(noor):
    others, desk = [sign_in(IPHONE), sign_in(EDGE)], sign_in()

    assert said(desk.post(reverse("end_other_browsers"), follow=True)) == ["2 other browsers are signed out."]
    assert [is_in(client) for client in (*others, desk)] == [False, False, True]
    assert (
        BrowserSession.objects.count() == Session.objects.filter(session_key__in=BrowserSession.objects.values("session_key")).count() == 1
    )


def test_who_signs_in_where_somebody_else_was_signed_in_stays_signed_in(rep_client, outsider):
    rep_client.get(reverse("me"))
    rep_client.force_login(outsider)

    assert [rep_client.get(reverse("me")).status_code for _ in range(3)] == [200, 200, 200]
    assert BrowserSession.objects.filter(user=outsider).count() == 1


def test_nobody_signs_out_a_browser_of_somebody_else(noor, outsider, client):
    hers = sign_in()
    client.force_login(outsider)

    assert client.post(reverse("end_browser", args=[noor.browsers.get().pk])).status_code == 404
    assert client.get(reverse("end_browser", args=[noor.browsers.get().pk])).status_code == 405
    assert is_in(hers)


def test_changed_password_ends_every_other_browser_and_keeps_this_one(noor):
    phone, desk = sign_in(IPHONE), sign_in()
    new = "een-nieuw-wachtwoord"
    answer = desk.post(reverse("admin:password_change"), {"old_password": PASSWORD, "new_password1": new, "new_password2": new})

    assert answer.status_code == 302
    assert not is_in(phone)
    assert is_in(desk)
    assert [row.system for row in noor.browsers.all()] == ["Linux"]
    assert noor.browsers.get().session_key == desk.session.session_key


def test_administrator_signs_somebody_out_everywhere_and_it_is_written_down(noor, admin_user, client):
    hers = sign_in()
    client.force_login(admin_user)
    assert "Sign out everywhere" in client.get(link(noor, "change")).content.decode()

    assert client.post(link(noor, "end_sessions")).status_code == 302
    assert not is_in(hers)
    event = SignInEvent.objects.get()
    assert (event.kind, event.user, event.by, event.happened_at) == ("sessions_ended", noor, admin_user, NOW)


def test_lead_may_not_sign_a_colleague_out(noor, lead, client):
    hers = sign_in()
    client.force_login(lead)

    assert client.post(link(noor, "end_sessions")).status_code == 403
    assert is_in(hers)
    assert SignInEvent.objects.count() == 0


def test_signing_out_takes_the_browser_off_the_list_by_night(noor, clock):
    desk = sign_in()
    desk.post(reverse("admin:logout"))
    tasks.forget_ended_sessions()

    assert BrowserSession.objects.count() == 0


def test_session_that_has_run_out_is_forgotten(noor, clock):
    sign_in()
    clock.shift(timedelta(hours=13))
    desk = sign_in()

    assert tasks.forget_ended_sessions() == 1
    assert Session.objects.count() == noor.browsers.count() == 1
    assert is_in(desk)


def test_session_from_before_is_listed_from_its_next_request_on(noor, client):
    client.force_login(noor)
    BrowserSession.objects.all().delete()
    session = client.session
    del session["sign_in"]
    session.save()

    assert is_in(client)
    assert noor.browsers.count() == 1


def test_stranger_sees_no_account_page(client, db):
    for name in ("me", "second_factor", "renew_codes", "disable_second_factor"):
        assert client.get(reverse(name)).headers["Location"].startswith(reverse("admin:login"))


# --- what somebody sets for oneself ----------------------------------------------------------------


def test_name_language_and_shortcuts_are_mine_to_change_and_nothing_else_is(noor):
    desk = sign_in()
    sent = {
        "first_name": "Nora",
        "last_name": "de Vries",
        "language": "nl",
        "username": "baas",
        "is_superuser": "on",
        "email": "x@y.example",
    }
    desk.post(reverse("me"), sent)

    noor.refresh_from_db()
    assert (noor.first_name, noor.language, noor.shortcuts) == ("Nora", "nl", False)
    assert (noor.username, noor.is_superuser) == ("noor", False)
    assert noor.email != "x@y.example"
    assert '<html lang="nl"' in desk.get(reverse("me")).content.decode()


def test_switch_in_the_menu_remembers_the_language_and_keeps_the_page(noor):
    desk = sign_in()
    answer = desk.post(reverse("set_language"), {"language": "nl", "next": "/admin/crm/contact/?q=bos"})

    noor.refresh_from_db()
    assert answer.headers["Location"] == "/admin/crm/contact/?q=bos"
    assert noor.language == "nl"
    assert Client(HTTP_ACCEPT_LANGUAGE="nl").get(reverse("admin:login")).headers["Content-Language"] == "nl"


def test_unknown_language_changes_nothing(noor):
    sign_in().post(reverse("set_language"), {"language": "xx", "next": "/admin/"})

    noor.refresh_from_db()
    assert noor.language == ""


def test_stranger_chooses_a_language_on_the_sign_in_page(client, db):
    client.post(reverse("set_language"), {"language": "nl", "next": reverse("admin:login")})

    assert '<html lang="nl"' in client.get(reverse("admin:login")).content.decode()


def test_pages_of_my_account_stay_within_twelve_queries(noor, django_assert_max_num_queries):
    desk = sign_in()

    for name in ("me", "second_factor"):
        with django_assert_max_num_queries(12):
            assert desk.get(reverse(name)).status_code == 200


def test_service_user_without_the_admin_has_no_account_page(client):
    client.force_login(User.objects.create_user("machine", password=PASSWORD))

    assert client.get(reverse("me")).status_code == 302
