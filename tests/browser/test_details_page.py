"""The details page on a phone, with scripts switched off: everything works, nothing is in anybody's way, in both languages and looks."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils.timezone import now
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from abm.models import AnnouncedLeaving
from crm import details, policy
from crm.models import Contact, DetailsRequest
from tests.browser.conftest import barriers
from tests.factories.crm import AccountFactory, ContactFactory, PersonFactory

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def address(live_server: LiveServer) -> str:
    cache.clear()
    person = PersonFactory(given_name="Saar", family_name="Molenaar", language="nl")
    account = AccountFactory(name="Een bedrijf met een heel lange naam in de techniek BV")
    contact = ContactFactory(person=person, account=account, email="een.heel.lang.adres.van.saar@molenaar-techniek.example")
    asked = DetailsRequest.objects.create(contact=contact, nonce="abc", asked_at=now())
    return live_server.url + reverse("details", args=[details.token(asked)])


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False, locale="nl-NL")
    yield context.new_page()
    context.close()


def test_contact_answers_on_a_phone_without_scripts(phone: Page, address: str) -> None:
    phone.goto(address)
    phone.get_by_role("button", name="Ja, dit klopt").click()
    expect(phone.get_by_role("status")).to_have_text("Dank u wel. Wij hebben genoteerd dat uw gegevens kloppen.")

    phone.get_by_text("Er klopt iets niet").click()
    phone.get_by_label("Functie").fill("Directeur")
    phone.get_by_label("E-mail (").first.fill("saar@")
    phone.get_by_role("button", name="Mijn verbeteringen opslaan").click()
    expect(phone.get_by_role("alert")).to_contain_text("E-mail")
    expect(phone.get_by_label("Functie")).to_have_value("Directeur")
    phone.get_by_label("E-mail (").first.fill("saar@molenaar.example")
    phone.get_by_role("button", name="Mijn verbeteringen opslaan").click()

    phone.get_by_text("Ik vertrek, of ik ben al weg").click()
    phone.get_by_label("Vanaf deze dag").fill((policy.day_of(now()) + timedelta(days=20)).isoformat())
    phone.get_by_label("Wie mij opvolgt").fill("Jan Kok")
    phone.get_by_role("button", name="Melden dat ik vertrek").click()
    expect(phone.get_by_text("Na u: Jan Kok")).to_be_visible()
    phone.get_by_role("button", name="ik blijf").click()
    expect(phone.get_by_role("status")).to_have_text("Wij hebben genoteerd dat u blijft.")
    phone.get_by_role("button", name="Geen mail meer").click()
    expect(phone.get_by_role("status")).to_contain_text("geen mail meer")

    contact = Contact.objects.select_related("person").get()
    assert (contact.job_title, contact.email) == ("Directeur", "saar@molenaar.example")
    assert contact.person.opted_out_at is not None
    assert AnnouncedLeaving.objects.get().taken_back_at is not None


@pytest.mark.parametrize(("width", "scheme", "language"), [(390, "dark", "nl"), (1400, "light", "en")])
def test_page_has_no_barrier(browser: Browser, address: str, live_server: LiveServer, width: int, scheme: str, language: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=True)  # type: ignore[arg-type]
    page, found = context.new_page(), {}
    for name, path in {"page": f"{address}?lang={language}", "closed": f"{live_server.url}/details/x"}.items():
        page.goto(path)
        for summary in page.locator("summary").all():
            summary.click()
        if name == "page":
            page.locator("button[value=leave]").click()
        found[name] = barriers(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()

    assert found == {"page": [], "closed": []}
