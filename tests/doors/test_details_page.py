"""The page behind the link in our mail: who opens it sees their own details and nothing else, and what they say is kept once."""

import re
from dataclasses import replace
from datetime import date, timedelta

import pytest
from django.core import signing
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from abm.models import AnnouncedLeaving, JobChangeSignal
from crm import contacts, details, merges, policy, privacy
from crm.models import Contact, DetailsRequest, FollowUp
from tests.factories.crm import AccountFactory, ContactFactory, PersonFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow so little that a test need not send much."""
    monkeypatch.setattr(policy, "DETAILS", replace(policy.DETAILS, answers_per_link=2, answers_per_address=3))


@pytest.fixture
def contact() -> Contact:
    person = PersonFactory(given_name="Saar", family_name="Molenaar", language="en")
    return ContactFactory(person=person, account=AccountFactory(name="Molen BV"), email="saar@molen.example", job_title="Inkoper")


@pytest.fixture
def asked(contact: Contact) -> DetailsRequest:
    return DetailsRequest.objects.create(contact=contact, nonce="abc", asked_at=now() - timedelta(days=1))


def link(asked: DetailsRequest) -> str:
    return reverse("details", args=[details.token(asked)])


def say(client: Client, asked: DetailsRequest, deed: str, **values: str):
    return client.post(link(asked), {"deed": deed, **values}, follow=True)


def stored() -> list[list[tuple[object, ...]]]:
    return [list(model._default_manager.values_list()) for model in (Contact, DetailsRequest, AnnouncedLeaving, JobChangeSignal)]


def correction(**changes: str) -> dict[str, str]:
    known = {"given_name": "Saar", "family_name": "Molenaar", "job_title": "Inkoper", "phone": "", "email": "saar@molen.example"}
    return known | changes


# --- the link ----------------------------------------------------------------------------------------


def test_link_opens_ones_own_details_and_nobody_elses(client: Client, asked: DetailsRequest) -> None:
    colleague = ContactFactory(account=asked.contact.account, person__family_name="Geheim", email="geheim@molen.example")
    page = client.get(link(asked)).content.decode()

    assert "Saar Molenaar" in page
    assert "saar@molen.example" in page
    assert colleague.email not in page
    assert "Geheim" not in page


def test_opening_the_link_changes_nothing_because_scanners_open_links(client: Client, asked: DetailsRequest) -> None:
    before = stored()
    assert client.get(link(asked)).status_code == 200
    assert client.head(link(asked)).status_code == 200
    assert stored() == before


@pytest.mark.parametrize("hostile", ["x", "a:b:c", "%00", "../admin", "1", "<script>", "x" * 5000])
def test_link_that_we_did_not_make_opens_nothing(client: Client, asked: DetailsRequest, hostile: str) -> None:
    answer = client.get(reverse("details", args=[hostile.replace("/", "")]))
    assert answer.status_code == 404
    assert "Molenaar" not in answer.content.decode()


@pytest.mark.parametrize("payload", [["1", "2", "3"], [1], "text", None, {"a": 1}, [[], {}], [-1, ""], ["x", "abc"]])
def test_signed_payload_of_another_shape_opens_nothing(client: Client, asked: DetailsRequest, payload: object) -> None:
    token = signing.dumps(payload, salt=details.SALT)
    assert client.get(reverse("details", args=[token])).status_code == 404


def test_signature_for_another_purpose_opens_nothing(client: Client, asked: DetailsRequest) -> None:
    token = signing.dumps([asked.contact_id, asked.nonce], salt="password")
    assert client.get(reverse("details", args=[token])).status_code == 404


def test_secret_of_one_contact_opens_no_other(client: Client, asked: DetailsRequest) -> None:
    other = ContactFactory()
    token = signing.dumps([other.pk, asked.nonce], salt=details.SALT)
    before = stored()
    assert client.post(reverse("details", args=[token]), {"deed": "opt_out"}).status_code == 404
    assert stored() == before


def closed(client: Client, asked: DetailsRequest, sentence: str) -> None:
    before = stored()
    for answer in (client.get(link(asked)), client.post(link(asked), {"deed": "confirm"})):
        assert answer.status_code == 410
        assert sentence in answer.content.decode()
        assert "saar@molen.example" not in answer.content.decode()
    assert stored() == before


def test_link_runs_out(client: Client, asked: DetailsRequest) -> None:
    DetailsRequest.objects.update(asked_at=now() - timedelta(days=policy.DETAILS.link_days))
    closed(client, asked, "This link has run out.")


def test_link_of_who_was_erased_says_so_kindly(client: Client, asked: DetailsRequest) -> None:
    privacy.erase(asked.contact.person, at=now())
    closed(client, asked, "Your details were erased.")


def test_link_of_who_left_says_so_kindly(client: Client, asked: DetailsRequest) -> None:
    contacts.depart(asked.contact, left_on=date(2026, 1, 1), at=now())
    closed(client, asked, "You no longer work there, as far as we know.")


def test_link_of_who_was_merged_says_so_kindly_and_opens_the_others_details_to_nobody(
    client: Client, asked: DetailsRequest, admin_user
) -> None:
    kept = ContactFactory(account=asked.contact.account, email="kept@molen.example")
    merges.merge(kept, asked.contact, choices={}, at=now(), by=admin_user)
    answer = client.get(reverse("details", args=[signing.dumps([asked.contact_id, "abc"], salt=details.SALT)]))
    assert answer.status_code == 410
    assert "brought together" in answer.content.decode()
    assert "kept@molen.example" not in answer.content.decode()


# --- what they say -----------------------------------------------------------------------------------


def test_confirming_counts_once_and_the_history_says_that_the_person_did_it(client: Client, asked: DetailsRequest) -> None:
    assert "We noted that your details are right" in say(client, asked, "confirm").content.decode()
    first = Contact.objects.get(pk=asked.contact_id).details_confirmed_at
    say(client, asked, "confirm")

    assert Contact.objects.get(pk=asked.contact_id).details_confirmed_at == first
    (line,) = asked.contact.history.filter(history_type="~")
    assert (line.history_user, line.history_change_reason) == (None, details.SAID_SO)


def test_correction_is_written_and_confirms_the_rest(client: Client, asked: DetailsRequest) -> None:
    page = say(client, asked, "correct", **correction(job_title="Directeur", phone="020 624 1111", family_name="de Molenaar"))

    row = Contact.objects.select_related("person").get(pk=asked.contact_id)
    assert "Your corrections are saved" in page.content.decode()
    assert (row.job_title, str(row.phone), str(row.person)) == ("Directeur", "+31206241111", "Saar de Molenaar")
    assert row.details_confirmed_at is not None
    assert row.person.history.latest().history_change_reason == details.SAID_SO


def test_wrong_correction_says_what_and_where_and_loses_nothing_typed(client: Client, asked: DetailsRequest) -> None:
    before = stored()
    answer = say(client, asked, "correct", **correction(email="saar@", phone="12", job_title="Baas van alles"))
    page = answer.content.decode()

    assert (answer.status_code, answer.redirect_chain) == (200, [])
    assert 'value="Baas van alles"' in page
    assert 'value="saar@"' in page
    assert 'href="#id_email"' in page
    assert stored() == before
    page = say(client, asked, "correct", **correction(phone="12", job_title="Baas van alles")).content.decode()
    assert 'href="#id_phone"' in page
    assert 'value="Baas van alles"' in page
    assert stored() == before


def test_somebody_elses_address_is_refused_without_a_word_on_who_has_it(client: Client, asked: DetailsRequest) -> None:
    ContactFactory(account=asked.contact.account, email="baas@molen.example")
    page = say(client, asked, "correct", **correction(email="baas@molen.example")).content.decode()

    assert "We cannot take this address here" in page
    assert "Another contact" not in page
    assert Contact.objects.get(pk=asked.contact_id).email == "saar@molen.example"


def test_names_are_written_as_text_and_never_as_page(client: Client, asked: DetailsRequest) -> None:
    page = say(client, asked, "correct", **correction(given_name="<script>alert(1)</script>", job_title='"><img src=x>')).content.decode()
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def leaving(day: date, **values: str) -> dict[str, str]:
    return {"leaves_on": day.isoformat(), "successor_name": "Jan Kok", "successor_email": "jan@molen.example"} | values


def test_leaving_today_opens_a_signal_with_the_successor_once(client: Client, asked: DetailsRequest) -> None:
    for _ in range(2):
        page = say(client, asked, "leave", **leaving(policy.day_of(now())))

    signal = JobChangeSignal.objects.get()
    assert "We noted that you leave" in page.content.decode()
    assert (signal.status, signal.successor_name, signal.successor_email) == ("open", "Jan Kok", "jan@molen.example")
    assert [row.source for row in signal.evidence.all()] == ["contact"]
    assert not Contact.objects.filter(email="jan@molen.example").exists()


def test_leaving_later_is_kept_and_can_be_taken_back_on_the_same_page(client: Client, asked: DetailsRequest) -> None:
    say(client, asked, "leave", **leaving(policy.day_of(now()) + timedelta(days=30)))
    assert not JobChangeSignal.objects.exists()
    assert FollowUp.objects.open().get().reason == "leaves_soon"
    assert "That was a mistake: I stay" in client.get(link(asked)).content.decode()

    say(client, asked, "stay")
    assert AnnouncedLeaving.objects.exclude(taken_back_at=None).count() == 1
    assert not FollowUp.objects.open().exists()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"leaves_on": ""}, "Give the day."),
        ({"leaves_on": "31-31-2026"}, "Give a day, such as 31-12-2026."),
        ({"leaves_on": "2126-01-01"}, "This day is very far off."),
        ({"successor_email": "jan@"}, "Enter a valid email address."),
    ],
)
def test_wrong_leaving_says_what_and_where_and_loses_nothing_typed(client: Client, asked: DetailsRequest, values, sentence: str) -> None:
    before = stored()
    answer = say(client, asked, "leave", **leaving(policy.day_of(now()), **values))
    assert (answer.status_code, answer.redirect_chain) == (200, [])
    assert sentence in answer.content.decode()
    assert 'value="Jan Kok"' in answer.content.decode()
    assert stored() == before


def test_opting_out_stops_all_mail_and_can_be_taken_back(client: Client, asked: DetailsRequest) -> None:
    say(client, asked, "opt_out")
    person = Contact.objects.get(pk=asked.contact_id).person
    assert person.opted_out_at is not None
    assert (person.history.latest().history_user, person.history.latest().history_change_reason) == (None, details.SAID_SO)

    say(client, asked, "opt_in")
    assert Contact.objects.get(pk=asked.contact_id).person.opted_out_at is None


def test_form_from_another_site_is_refused(asked: DetailsRequest) -> None:
    strict, before = Client(enforce_csrf_checks=True), stored()
    assert strict.post(link(asked), {"deed": "opt_out"}).status_code == 403
    assert stored() == before


def test_too_many_forms_by_one_link_wait_and_lose_nothing_typed(narrow: None, client: Client, asked: DetailsRequest) -> None:
    for _ in range(policy.DETAILS.answers_per_link):
        client.post(link(asked), {"deed": "nonsense"})
    answer = say(client, asked, "correct", **correction(job_title="Directeur"))

    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "3600"
    assert 'value="Directeur"' in answer.content.decode()
    assert Contact.objects.get(pk=asked.contact_id).job_title == "Inkoper"
    assert client.get(link(asked)).status_code == 200


def test_who_guesses_links_waits(narrow: None, client: Client) -> None:
    answers = {client.get(reverse("details", args=[f"guess{n}"])).status_code for n in range(policy.DETAILS.answers_per_address + 1)}
    assert answers == {404, 429}


# --- how it is said ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "word"), [("nl", "Uw gegevens"), ("nl-be", "Uw gegevens"), ("en", "Your details"), ("fr", "Your details")]
)
def test_page_speaks_the_contacts_language(client: Client, asked: DetailsRequest, language: str, word: str) -> None:
    type(asked.contact.person).objects.update(language=language)
    assert word in client.get(link(asked)).content.decode()


def test_reader_may_choose_the_other_language_and_keeps_it(client: Client, asked: DetailsRequest) -> None:
    answer = client.post(f"{link(asked)}?lang=nl", {"deed": "confirm"}, follow=True)
    assert answer.headers["Content-Language"] == "nl"
    assert 'lang="nl"' in answer.content.decode()


@pytest.mark.parametrize("token", ["own", "forged"])
def test_page_is_kept_from_caches_search_engines_and_other_sites(client: Client, asked: DetailsRequest, token: str) -> None:
    answer = client.get(link(asked) if token == "own" else "/details/forged")
    page = answer.content.decode()

    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert "noindex" in answer.headers["X-Robots-Tag"]
    assert "no-store" in answer.headers["Cache-Control"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script|\son[a-z]+=|https?://", page)


# --- the button of a mail program ----------------------------------------------------------------------


def test_mail_programs_button_stops_our_mail_without_a_page(asked: DetailsRequest) -> None:
    strict, address = Client(enforce_csrf_checks=True), link(asked)
    before = stored()
    assert strict.get(f"{address}/stop").headers["Location"] == address
    assert stored() == before
    assert strict.post(f"{address}/stop", {"List-Unsubscribe": "One-Click"}).status_code == 204
    assert Contact.objects.get(pk=asked.contact_id).person.opted_out_at is not None
    assert strict.post("/details/forged/stop").status_code == 404
