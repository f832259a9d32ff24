"""The page on returned mail: who may read reports opens it, in few queries, and an empty one says what it is for."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from crm.models import DeliveryReport, User
from tests.factories.crm import AccountFactory, ContactFactory, DeliveryFactory, UserFactory

PAGE = "/admin/crm/deliveryreport/lately/"
pytestmark = pytest.mark.django_db


@pytest.fixture
def failures(rep: User) -> None:
    for number in range(12):
        contact = ContactFactory(account=AccountFactory(owner=rep, team=rep.team), email=f"weg@d{number}.example")
        delivery = DeliveryFactory(contact=contact, sent_at=now(), failed_at=now(), outcome="person_gone")
        DeliveryReport.objects.create(source="test", external_id=str(number), outcome="person_gone", reported_at=now(), delivery=delivery)


def test_empty_page_says_what_it_will_show(rep_client: Client) -> None:
    page = rep_client.get(PAGE).content.decode()
    assert "nothing came back" in page
    assert '<svg class="q-bars"' not in page


def test_page_shows_chart_table_and_domains_in_few_queries(rep_client: Client, failures: None) -> None:
    rep_client.get(PAGE)
    with CaptureQueriesContext(connection) as seen:
        page = rep_client.get(PAGE).content.decode()

    assert '<svg class="q-bars"' in page
    assert "person gone or mailbox moved: 12" in page
    assert page.count('example">d') == 12
    assert len(seen) <= 6


def test_sidebar_leads_there(rep_client: Client) -> None:
    assert f'href="{PAGE}"' in rep_client.get("/admin/crm/deliveryreport/").content.decode()


def test_who_may_not_read_reports_is_refused_and_not_led_there(client: Client) -> None:
    client.force_login(UserFactory(is_staff=True))
    assert client.get(PAGE).status_code == 403
    assert PAGE not in client.get("/admin/").content.decode()


def test_rep_of_another_team_sees_none_of_it(client: Client, outsider: User, failures: None) -> None:
    client.force_login(outsider)
    assert "d1.example" not in client.get(PAGE).content.decode()


def test_page_speaks_dutch(rep_client: Client, rep: User, failures: None) -> None:
    User.objects.filter(pk=rep.pk).update(language="nl")
    page = rep_client.get(PAGE).content.decode()
    assert "Meldingen per dag" in page
    assert "Reports per day" not in page
