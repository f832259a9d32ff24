"""The weekly report and the monthly cohorts: made once, read again byte for byte, mailed once."""

import json
from datetime import UTC, date, datetime

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives

from abm import kept_reports
from abm.kept_reports import contents, mails, words
from abm.models import ReportSnapshot
from crm import opportunities
from crm.errors import Invalid
from crm.models import Opportunity, User
from tests.abm.ways import deal, midday
from tests.conftest import somebody

# A Monday morning; the week that is over is that of the second.
AT = datetime(2026, 3, 9, 6, 0, tzinfo=UTC)
WEEK, BEFORE = date(2026, 3, 2), date(2026, 2, 23)


def link(snapshot: ReportSnapshot) -> str:
    return "https://crm.example/report"


@pytest.fixture
def boss(admin_user: User) -> User:
    User.objects.filter(pk=admin_user.pk).update(email="baas@example.nl")
    admin_user.refresh_from_db()
    return admin_user


def weekly(user: User, first: date = WEEK, at: datetime = AT) -> ReportSnapshot:
    return kept_reports.make("weekly", user=user, first=first, at=at)


def test_the_last_week_runs_from_monday_to_sunday():
    assert kept_reports.week_before(date(2026, 3, 9)) == (date(2026, 3, 2), date(2026, 3, 8))
    assert kept_reports.week_before(date(2026, 3, 15)) == (date(2026, 3, 2), date(2026, 3, 8))


def test_the_last_month_is_the_one_that_is_over():
    assert kept_reports.month_before(date(2026, 3, 1)) == (date(2026, 2, 1), date(2026, 2, 28))
    assert kept_reports.month_before(date(2026, 1, 31)) == (date(2025, 12, 1), date(2025, 12, 31))


def test_equal_content_has_equal_bytes_whatever_its_order():
    assert contents.written({"b": 1, "a": "é"}) == contents.written({"a": "é", "b": 1}) == '{"a":"é","b":1}'


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "first", "why"), [
    ("weekly", date(2026, 3, 3), "begins on a Monday"), ("weekly", date(2026, 3, 9), "not over yet"), ("monthly", date(2026, 2, 2), "first day"),
])  # fmt: skip
def test_a_period_that_is_not_over_or_does_not_begin_with_its_first_day_is_refused(kind, first, why, boss):
    with pytest.raises(Invalid, match=why):
        kept_reports.make(kind, user=boss, first=first, at=AT)
    assert ReportSnapshot.objects.count() == 0


@pytest.mark.django_db
def test_a_rerun_gives_the_same_bytes_also_when_the_deals_have_changed(boss):
    made = deal(("sql", "2026-03-02"), ("won", "2026-03-04"), amount=500)
    first = weekly(boss)
    mailed = str(mails.message(first, link="x").body)

    Opportunity.objects.filter(pk=made.pk).update(amount=999, name="Anders")
    again = weekly(boss, at=datetime(2026, 3, 20, tzinfo=UTC))

    assert (again.pk, again.content, again.made_at) == (first.pk, first.content, AT)
    message = mails.message(again, link="x")
    assert (str(message.body), message.alternatives[0][0]) == (mailed, mails.message(first, link="x").alternatives[0][0])


@pytest.mark.django_db
def test_the_difference_to_last_week_is_told_part_by_part_and_adds_up(boss):
    old = deal(("sql", "2026-02-02"), amount=1000)
    closing = Opportunity.objects.get(pk=deal(("sql", "2026-02-03"), amount=400).pk)
    weekly(boss, BEFORE, at=midday("2026-03-02"))
    deal(("sql", "2026-03-03"), amount=700)
    Opportunity.objects.filter(pk=old.pk).update(amount=1050)
    opportunities.lose(closing, reason="Te duur", at=midday("2026-03-05"))

    content = contents.read(weekly(boss))

    assert content["pipeline"] == {"before": 1400, "begun": 700, "won": 0, "lost": 400, "changed": 50, "now": 1750}
    told = words.told(weekly(boss))
    assert [row["value"] for row in told["bridge"]] == ["1,400", "+700", "0", "−400", "+50", "1,750"]
    assert next(row["change"] for row in told["figures"] if row["label"] == "Pipeline") == "+350"
    assert [row["name"] for row in content["deals"]["lost"]] == [closing.name]


@pytest.mark.django_db
def test_a_report_holds_only_what_its_reader_may_see(boss, rep, outsider):
    deal(("sql", "2026-03-02"), ("won", "2026-03-04"), name="GEHEIM", owner=rep, team=rep.team, account__team=rep.team)

    assert "GEHEIM" in weekly(boss).content
    assert "GEHEIM" in weekly(rep).content
    assert "GEHEIM" not in weekly(outsider).content
    assert list(ReportSnapshot.objects.visible_to(outsider)) == [weekly(outsider)]


@pytest.mark.django_db
def test_every_reader_gets_the_last_week_and_month_once(boss, rep):
    assert kept_reports.make_due(at=AT) == 4
    assert kept_reports.make_due(at=AT) == 0
    assert set(ReportSnapshot.objects.values_list("kind", "first_day")) == {("weekly", WEEK), ("monthly", date(2026, 2, 1))}


@pytest.mark.django_db
def test_reports_are_mailed_once_in_the_readers_language_to_who_wants_them(boss):
    somebody("sales rep", email="nl@example.nl", language="nl")
    somebody("sales rep", email="niet@example.nl", report_mail=False)
    somebody("sales rep")
    kept_reports.make_due(at=AT)

    assert kept_reports.mail_waiting(link=link, at=AT) == 4
    assert kept_reports.mail_waiting(link=link, at=AT) == 0

    sent = {(message.to[0], message.subject.split()[0]) for message in mail.outbox}
    assert sent == {("baas@example.nl", "Week"), ("baas@example.nl", "Cohorts"), ("nl@example.nl", "Week"), ("nl@example.nl", "Cohorten")}
    dutch = next(message.body for message in mail.outbox if message.to == ["nl@example.nl"] and message.subject.startswith("Week"))
    assert "Winstpercentage" in dutch
    assert "https://crm.example/report" in dutch
    assert {message.extra_headers["Auto-Submitted"] for message in mail.outbox} == {"auto-generated"}


@pytest.mark.django_db
def test_a_mail_that_is_refused_waits_for_the_next_time(boss, monkeypatch):
    kept_reports.make_due(at=AT)
    monkeypatch.setattr(EmailMultiAlternatives, "send", lambda self: (_ for _ in ()).throw(ConnectionRefusedError()))

    assert kept_reports.mail_waiting(link=link, at=AT) == 0
    assert set(ReportSnapshot.objects.values_list("mailed_at", flat=True)) == {None}


@pytest.mark.django_db
def test_the_monthly_report_holds_the_cohorts_of_twelve_months(boss):
    deal(("sql", "2025-02-27"))
    deal(("sql", "2025-03-02"), ("won", "2025-03-09"), amount=250)
    deal(("sql", "2026-03-02"))

    content = json.loads(kept_reports.make("monthly", user=boss, first=date(2026, 2, 1), at=AT).content)

    assert [(row["month"], row["won_value"]) for row in content["cohorts"]] == [("2025-03", 250)]
    assert [(row["month"], row["customers"]) for row in content["customers"]] == [("2025-03", 1)]
    assert words.told(ReportSnapshot.objects.get())["tables"][0]["rows"][0][6]["text"] == "closed"
