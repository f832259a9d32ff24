"""What came back of our mail: counted by local day and by domain, of what the reader may see, in three statements."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm import returned_mail
from crm.admin import bar_chart
from crm.models import DeliveryReport
from tests.conftest import AT
from tests.factories.crm import AccountFactory, ContactFactory, DeliveryFactory


def report(outcome: str, delivery=None, *, days_ago: int = 0) -> DeliveryReport:
    number = DeliveryReport.objects.count()
    return DeliveryReport.objects.create(
        source="test", external_id=str(number), outcome=outcome, reported_at=AT - timedelta(days=days_ago), delivery=delivery
    )


def mail(account, domain: str, outcome: str = "", *, days_ago: int = 0):
    sent_at = AT - timedelta(days=days_ago)
    arrived = None if outcome else sent_at
    facts = {"outcome": outcome, "failed_at": sent_at if outcome else None, "delivered_at": arrived}
    contact = ContactFactory(account=account)
    return DeliveryFactory(contact=contact, address=f"{contact.pk}@{domain}", sent_at=sent_at, **facts)


@pytest.mark.django_db
def test_mail_and_reports_are_counted_by_day_kind_and_domain(rep, team) -> None:
    account = AccountFactory(team=team)
    gone = mail(account, "Molen.example", "person_gone", days_ago=1)
    for outcome in ("temporary", "person_gone", "mailbox_moved"):
        report(outcome, gone)
    for _ in range(3):
        mail(account, "blok.example", "blocked_policy")
    mail(account, "blok.example", days_ago=29)
    report("blocked_policy", mail(account, "oud.example", "other", days_ago=31), days_ago=31)

    found = returned_mail.lately(rep, at=AT)

    assert len(found.days) == 30
    assert (found.days[-1].day, found.days[-1].sent, found.days[-1].kinds) == (date(2026, 3, 10), 3, {"gone": 2, "passing": 1})
    assert (found.sent, found.arrived, found.reports, found.unverified) == (5, 1, 3, None)
    assert [(row["domain"], row["sent"], row["failed"], row["blocked"], row["gone"], row["blocks_us"]) for row in found.domains] == [
        ("blok.example", 4, 3, 3, 0, True),
        ("molen.example", 1, 1, 0, 1, False),
    ]


@pytest.mark.django_db
def test_other_teams_mail_and_forged_reports_count_for_nobody_who_may_not_see_them(rep, team, marketer) -> None:
    AccountFactory(team=team)
    report("person_gone", mail(AccountFactory(), "elders.example", "person_gone"))
    report("person_gone")

    mine, all_ = returned_mail.lately(rep, at=AT), returned_mail.lately(marketer, at=AT)
    assert (mine.sent, mine.reports, mine.domains, mine.unverified) == (0, 0, [], None)
    assert (all_.sent, all_.reports, len(all_.domains), all_.unverified) == (1, 1, 1, 1)


@pytest.mark.django_db
def test_whatever_the_amount_it_takes_three_statements(marketer) -> None:
    marketer.get_all_permissions()
    for number in range(40):
        report("temporary", mail(AccountFactory(), f"d{number}.example", "other"))
    with CaptureQueriesContext(connection) as seen:
        found = returned_mail.lately(marketer, at=AT)
    assert len(found.domains) == 25
    assert len(seen) == 3


@pytest.mark.parametrize(("highest", "end"), [(0, 2), (2, 2), (3, 4), (5, 10), (11, 20), (21, 40), (41, 100), (4001, 10000)])
def test_scale_ends_at_a_round_number_above_the_highest_bar(highest: int, end: int) -> None:
    assert bar_chart.scale_end(highest) == end


def test_bars_are_stacked_in_proportion_and_said_in_words() -> None:
    drawn = bar_chart.draw([bar_chart.Bar(date(2026, 3, 1), {"gone": 1, "other": 3})], words='"Vier" <meldingen>')
    heights = [float(part.split('"')[0]) for part in drawn.split(' height="')[1:]]
    assert heights[1] == pytest.approx(3 * heights[0], abs=0.2)
    assert 'aria-label="&quot;Vier&quot; &lt;meldingen&gt;"' in drawn
