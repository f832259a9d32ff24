"""The start page: a deed beside every line, done in place or begun with what is known, and nothing of another team's."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from abm.models import JobChangeSignal, NightlyRun
from crm import follow_ups, pilots, policy
from crm.models import Account, FollowUp, User
from tests.abm.slots import a_list, put
from tests.conftest import somebody
from tests.doors.admin_pages import link, said
from tests.factories.abm import StandingFactory
from tests.factories.crm import AccountFactory, ActivityFactory, ConfirmationFactory, ContactFactory, MembershipFactory, OpportunityFactory

INDEX = "/admin/"


def a_day_of(owner: User, name: str) -> Account:
    """Give somebody a line in every section of the page."""
    account, at = AccountFactory(name=name, owner=owner, team=owner.team, employees=100), now()
    anna = ContactFactory(account=account, person__given_name="Anna", person__family_name="de Boer", phone="+31201234567")
    MembershipFactory(contact=anna, role="decider")
    ActivityFactory(account=account, contact=anna, kind="meeting", occurred_at=at - timedelta(days=1))
    StandingFactory(account=account, score=40, momentum=12)
    put(a_list(owner.team, active=True), account)
    deal = OpportunityFactory(account=account, owner=owner, team=owner.team, name=f"Ovens voor {name}")
    ConfirmationFactory(opportunity=deal, contact=anna, kind="budget", confirmed_at=at - timedelta(days=200))
    pilots.start(opportunity=deal, success_criteria="Snel", ends_on=policy.day_of(at) + timedelta(days=3), at=at)
    JobChangeSignal.objects.create(account=account, contact=ContactFactory(account=account), opened_at=at)
    follow_ups.open(reason="by_hand", owner=owner, due_on=policy.day_of(at) - timedelta(days=2), at=at, text=f"Bel {name}", account=account)
    NightlyRun.objects.get_or_create(day=policy.day_of(at), defaults={"started_at": at, "finished_at": at})
    return account


@pytest.fixture
def account(rep: User) -> Account:
    return a_day_of(rep, "Bakkerij Bos")


def addresses(answer: HttpResponse) -> list[str]:
    """List where the links and buttons of the page lead."""
    return [unescape(each) for each in re.findall(r'(?:href|formaction)="(/admin/[^"]*)"', answer.content.decode())]


def test_day_begins_here_and_stands_first_in_the_sidebar(rep_client: Client, account: Account) -> None:
    answer = rep_client.get("/", follow=True)

    assert answer.redirect_chain[-1][0] == INDEX
    sidebar = answer.context["sidebar_navigation"][0]["items"]
    assert (sidebar[0]["link"], sidebar[0]["active"]) == (INDEX, True)


def test_page_says_whom_to_call_and_why_with_the_deed_beside_it(rep_client: Client, account: Account) -> None:
    deal, anna = account.opportunities.get(), account.contacts.get(phone="+31201234567")

    answer = rep_client.get(INDEX)

    text = unescape(answer.content.decode())
    assert "A meeting by Anna de Boer (decider) this week; " in text and "nothing the week before." in text
    assert 'href="tel:+31201234567"' in text
    assert "2 days late" in text and "3 days left" in text
    assert "too old since" in text
    deeds = addresses(answer)
    back = "next=%2Fadmin%2F"
    assert f"{reverse('admin:crm_activity_add')}?account={account.pk}&contact={anna.pk}&kind=call_answered&{back}" in deeds
    assert f"{reverse('admin:crm_account_assign_role', args=[account.pk])}?role=buyer&{back}" in deeds
    assert f"{reverse('admin:crm_opportunity_confirm', args=[deal.pk])}?kind=budget&contact={anna.pk}&{back}" in deeds
    assert f"{reverse('admin:crm_pilot_judge', args=[deal.pilots.get().pk])}?{back}" in deeds
    assert f"{reverse('admin:abm_jobchangesignal_confirm', args=[account.job_change_signals.get().pk])}?{back}" in deeds


def test_every_address_on_the_page_is_there_for_who_sees_it(rep_client: Client, account: Account) -> None:
    for address in addresses(rep_client.get(INDEX)):
        assert rep_client.get(address).status_code in (200, 302), address


def test_whole_page_takes_at_most_twenty_queries(client: Client, lead: User, rep: User, django_assert_max_num_queries) -> None:
    for number in range(3):
        a_day_of(somebody("sales rep", team=lead.team), f"Bakkerij {number}").target_slots.all().delete()
        lead.team.target_lists.all().delete()
    client.force_login(lead)
    client.get(INDEX)

    with django_assert_max_num_queries(20):
        answer = client.get(INDEX)
    assert len(answer.context["warming"]) == 3


def test_call_is_logged_with_account_and_person_filled_in_and_leads_back(rep_client: Client, account: Account) -> None:
    address = next(each for each in addresses(rep_client.get(INDEX)) if each.startswith(reverse("admin:crm_activity_add")))
    form = rep_client.get(address).context["adminform"].form
    sent = {"kind": "call_answered", "account": form["account"].value(), "contact": form["contact"].value(), "subject": "Belde terug"}

    answer = rep_client.post(address, sent | {"occurred_at": (now() - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M")})

    assert (answer.status_code, answer.url) == (302, INDEX)
    logged = account.activities.get(kind="call_answered")
    assert (logged.subject, str(logged.contact.person)) == ("Belde terug", "Anna de Boer")


def test_task_is_done_and_put_off_in_place(rep_client: Client, account: Account) -> None:
    task = FollowUp.objects.get()

    for days, name in ((1, "put_off_1"), (7, "put_off_7")):
        answer = rep_client.post(link(task, name), {"next": INDEX}, follow=True)
        task.refresh_from_db()
        assert task.due_on == policy.day_of(now()) + timedelta(days=days)
        assert said(answer)[0].endswith(": Bel Bakkerij Bos") and answer.redirect_chain[-1][0] == INDEX
    answer = rep_client.post(link(task, "close_at_once"), {"next": INDEX}, follow=True)

    task.refresh_from_db()
    assert (task.closed_at is not None, task.closed_by.username) == (True, answer.wsgi_request.user.username)
    assert said(answer) == ["Done: Bel Bakkerij Bos"]
    again = rep_client.post(link(task, "close_at_once"), {"next": INDEX}, follow=True)
    assert said(again) == ["This task is closed already."]


def test_link_alone_does_nothing(rep_client: Client, account: Account) -> None:
    task = FollowUp.objects.get()

    for name in ("close_at_once", "put_off_1"):
        assert rep_client.get(link(task, name)).status_code == 302
    task.refresh_from_db()
    assert (task.closed_at, task.due_on) == (None, policy.day_of(now()) - timedelta(days=2))


def test_still_there_is_said_in_place(rep_client: Client, account: Account) -> None:
    signal = account.job_change_signals.get()

    answer = rep_client.post(reverse("admin:abm_jobchangesignal_dismiss_at_once", args=[signal.pk]), {"next": INDEX})

    assert answer.url == INDEX
    signal.refresh_from_db()
    assert signal.status == "dismissed"


@pytest.mark.parametrize("elsewhere", ["https://elders.example/", "//elders.example", "javascript:alert(1)", ""])
def test_deed_leads_back_to_pages_of_ours_only(rep_client: Client, account: Account, elsewhere: str) -> None:
    task = FollowUp.objects.get()

    answer = rep_client.post(link(task, "put_off_1"), {"next": elsewhere})

    assert answer.url == link(FollowUp, "changelist")


def test_another_teams_rep_sees_nothing_and_does_nothing(client: Client, outsider: User, account: Account) -> None:
    client.force_login(outsider)
    task, signal = FollowUp.objects.get(), account.job_change_signals.get()

    for whose in ("", "team", "all"):
        page = client.get(INDEX, {"whose": whose}).content.decode()
        assert "Bakkerij Bos" not in page and "de Boer" not in page
        assert "Add your first account" in page
    for name in ("close_at_once", "put_off_1", "put_off_7"):
        assert client.post(link(task, name), {"next": INDEX}).status_code == 404
    assert client.post(reverse("admin:abm_jobchangesignal_dismiss_at_once", args=[signal.pk])).status_code == 404
    task.refresh_from_db()
    signal.refresh_from_db()
    assert (task.closed_at, task.due_on, signal.status) == (None, policy.day_of(now()) - timedelta(days=2), "open")


def test_lead_sees_the_team_with_owners_and_switches(client: Client, lead: User, rep: User, account: Account) -> None:
    rep.first_name = "Noor"
    rep.save()
    client.force_login(lead)

    team, mine = client.get(INDEX), client.get(INDEX, {"whose": "mine"})

    assert "Noor" in team.content.decode() and "Bakkerij Bos" in team.content.decode()
    assert "Bakkerij Bos" not in mine.content.decode()
    assert 'aria-current="page">My team' in team.content.decode()
    assert "%3Fwhose%3D" not in team.content.decode()


def test_way_back_keeps_whose_day_it_was(client: Client, lead: User, account: Account) -> None:
    a_day_of(lead, "Molen").target_slots.all()
    client.force_login(lead)

    assert any(each.endswith("next=%2Fadmin%2F%3Fwhose%3Dmine") for each in addresses(client.get(INDEX, {"whose": "mine"})))


def test_quiet_day_says_what_to_do_first(rep_client: Client, rep: User) -> None:
    AccountFactory(owner=rep, team=rep.team)

    text = unescape(rep_client.get(INDEX).content.decode())

    for hint in ("Nothing presses today.", "call somebody who went quiet", "add a task", "Every deal rests on fresh confirmations."):
        assert hint in text
    assert "The nightly run has not run yet" in text


def test_old_night_warns(rep_client: Client, account: Account) -> None:
    NightlyRun.objects.update(finished_at=now() - timedelta(hours=27), started_at=now() - timedelta(hours=27))

    assert "The figures on this page are old" in rep_client.get(INDEX).content.decode()


def test_who_has_no_role_yet_is_told_so(client: Client, team) -> None:
    from tests.factories.crm import UserFactory

    client.force_login(UserFactory(is_staff=True, team=team))

    assert "You have no role yet" in client.get(INDEX).content.decode()
