"""The account's page: who sits where, moved and moved back; tasks done in place; all within the rights of who looks."""

from datetime import date, timedelta

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils.timezone import now

from abm import refresh
from abm.models import JobChangeSignal, TargetAccount
from crm import dmu
from crm import models as crm
from crm.models import Account, Team, User
from tests.conftest import AT
from tests.doors.admin_pages import link, list_of, said
from tests.factories import crm as make

HTMX = {"HX-Request": "true"}


@pytest.fixture
def account(team: Team, rep: User) -> Account:
    return make.AccountFactory(team=team, owner=rep, employees=500)


@pytest.fixture
def contact(account: Account) -> crm.Contact:
    return make.ContactFactory(account=account, job_title="Hoofd inkoop", phone="+31201234567")


def seats(answer: HttpResponse) -> dict[str, list[str]]:
    """Give who sits where on a page."""
    return {seat["role"]: [str(card.contact) for card in seat["cards"]] for seat in answer.context["seats"] if seat["cards"]}


def held() -> set[tuple[str, str, bool]]:
    return set(crm.DmuMembership.objects.current().values_list("role", "stance", "is_assumed"))


def test_five_seats_show_who_decides_and_what_to_do_about_the_rest(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    make.ActivityFactory(account=account, contact=contact, kind="call_unanswered", occurred_at=now() - timedelta(days=3))
    dmu.assign(contact=contact, role="decider", stance="champion", at=AT)

    answer = rep_client.get(link(account, "change"))

    (decider, *others) = answer.context["seats"]
    (card,) = decider["cards"]
    assert (decider["role"], decider["state"]) == ("decider", "reachable")
    assert (card.contact.pk, card.name, card.reach, card.touch, card.stance["word"]) == (
        contact.pk,
        str(contact),
        "both",
        "called, no answer 3 days ago",
        "champion",
    )
    assert [(seat["role"], seat["state"]) for seat in others] == [
        (role, "missing") for role in ("buyer", "influencer", "user", "initiator")
    ]
    assert "Find out who the buyer is" in answer.content.decode()


def test_seat_not_needed_at_this_size_is_quiet_yet_keeps_its_people(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    Account.objects.update(employees=5)
    dmu.assign(contact=contact, role="user", at=AT)

    answer = rep_client.get(link(account, "change"))

    assert {seat["role"]: seat["state"] for seat in answer.context["seats"] if seat["state"]} == {"decider": "missing"}
    assert seats(answer) == {"user": [str(contact)]}


def test_who_has_no_role_waits_in_the_tray_the_latest_in_touch_first(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    warm = make.ContactFactory(account=account)
    make.ActivityFactory(account=account, contact=warm, kind="email_reply")
    make.ContactFactory(account=account, gone=True)

    answer = rep_client.get(link(account, "change"))

    assert [card.contact.pk for card in answer.context["tray"]] == [warm.pk, contact.pk]


def test_person_is_seated_from_the_tray_as_an_assumption(rep_client: Client, account: Account, contact: crm.Contact, rep: User) -> None:
    answer = rep_client.post(link(account, "seat"), {"contact": contact.pk, "role": "buyer"}, headers=HTMX)

    began = crm.DmuMembership.objects.get()
    assert held() == {("buyer", "neutral", True)}
    assert began.said_by == rep
    assert seats(answer) == {"buyer": [str(contact)]}
    assert answer.context["undo"] == {"began": began.pk}


def test_person_is_moved_and_moved_back(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    user = dmu.assign(contact=contact, role="user", stance="supporter", at=AT)

    answer = rep_client.post(
        link(account, "seat"), {"contact": contact.pk, "membership": user.pk, "role": "decider", "stance": "champion"}, headers=HTMX
    )
    assert held() == {("decider", "champion", False)}

    answer = rep_client.post(link(account, "unseat"), answer.context["undo"], headers=HTMX)
    assert held() == {("user", "supporter", False)}
    assert said(answer) == ["Everybody sits where they sat before."]


def test_person_without_a_role_chosen_goes_back_to_the_tray(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    user = dmu.assign(contact=contact, role="user", at=AT)

    answer = rep_client.post(link(account, "seat"), {"contact": contact.pk, "membership": user.pk, "role": ""}, headers=HTMX)

    assert held() == set()
    assert [card.contact.pk for card in answer.context["tray"]] == [contact.pk]
    assert answer.context["undo"] == {"ended": user.pk}


def test_refused_move_is_said_and_everybody_stays(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    user = dmu.assign(contact=contact, role="user", at=AT)
    form = {"contact": contact.pk, "membership": user.pk, "role": "buyer"}
    dmu.move(user, role="decider", by=None, at=now())

    answer = rep_client.post(link(account, "seat"), form, headers=HTMX)

    assert said(answer) == ["This role has ended already."]
    assert answer.context["undo"] == {}
    assert seats(answer) == {"decider": [str(contact)]}


@pytest.mark.parametrize("form", [{}, {"contact": "0"}, {"contact": "x", "role": "buyer"}, {"role": "koning"}])
def test_nonsense_moves_nobody(rep_client: Client, account: Account, contact: crm.Contact, form: dict[str, str]) -> None:
    answer = rep_client.post(link(account, "seat"), {"contact": contact.pk} | form if form else {}, headers=HTMX)

    assert answer.status_code == 200
    assert not crm.DmuMembership.objects.exists()


def test_without_script_the_form_leads_back_to_the_page_with_its_undo(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    answer = rep_client.post(link(account, "seat"), {"contact": contact.pk, "role": "buyer"})

    began = crm.DmuMembership.objects.get()
    assert answer.headers["Location"] == f"{link(account, 'change')}?began={began.pk}#dmu-map"
    assert rep_client.get(answer.headers["Location"]).context["undo"] == {"began": str(began.pk)}


def test_who_works_a_deal_there_adds_people_to_seats_and_moves_nobody(
    client: Client, account: Account, contact: crm.Contact, outsider: User
) -> None:
    make.OpportunityFactory(account=account, owner=outsider, team=outsider.team)
    user = dmu.assign(contact=contact, role="user", at=AT)
    client.force_login(outsider)

    moved = client.post(link(account, "seat"), {"contact": contact.pk, "membership": user.pk, "role": "buyer"}, headers=HTMX)
    taken_back = client.post(link(account, "unseat"), {"began": user.pk}, headers=HTMX)
    assert (moved.status_code, taken_back.status_code) == (403, 403)
    assert held() == {("user", "neutral", False)}

    client.post(link(account, "seat"), {"contact": contact.pk, "role": "initiator"}, headers=HTMX)
    assert held() == {("user", "neutral", False), ("initiator", "neutral", True)}


@pytest.mark.parametrize("page", ["seat", "unseat", "timeline", "log", "task", "history", "change"])
def test_outsider_finds_nothing_there(client: Client, account: Account, contact: crm.Contact, outsider: User, page: str) -> None:
    client.force_login(outsider)
    form = {"contact": contact.pk, "role": "buyer", "kind": "note", "occurred_at": "2026-03-09T10:30"}

    answers = [
        client.get(link(account, page)),
        client.post(link(account, page), form),
        client.post(link(account, page), form, headers=HTMX),
    ]

    assert {answer.status_code for answer in answers} <= {302, 403, 404}
    assert not crm.DmuMembership.objects.exists()
    assert not crm.Activity.objects.exists()


def test_looking_at_the_addresses_of_moves_changes_nothing(rep_client: Client, account: Account, contact: crm.Contact) -> None:
    for page in ("seat", "unseat", "task"):
        assert rep_client.get(link(account, page), {"contact": contact.pk, "role": "buyer"}).status_code == 302

    assert not crm.DmuMembership.objects.exists()


# --- tasks -------------------------------------------------------------------------------------------


def task_of(account: Account, **facts: object) -> crm.FollowUp:
    return crm.FollowUp.objects.create(account=account, owner=account.owner, text="Bel terug", opened_at=AT, **facts)


def test_task_is_done_in_place(rep_client: Client, account: Account, rep: User) -> None:
    task = task_of(account, due_on=date(2026, 3, 9))

    answer = rep_client.post(link(account, "task"), {"task": task.pk}, headers=HTMX)

    task.refresh_from_db()
    assert (task.closed_by, list(answer.context["tasks"])) == (rep, [])


def test_overdue_task_is_put_off_from_today_on(rep_client: Client, account: Account) -> None:
    task = task_of(account, due_on=date(2026, 3, 9))

    answer = rep_client.post(link(account, "task"), {"task": task.pk, "days": "7"})

    task.refresh_from_db()
    assert (task.due_on, task.closed_at) == (answer.wsgi_request and refresh.crm_policy.day_of(now()) + timedelta(days=7), None)


def test_task_of_another_account_is_not_done_here(rep_client: Client, account: Account) -> None:
    other = task_of(make.AccountFactory(), due_on=date(2026, 3, 9))

    assert rep_client.post(link(account, "task"), {"task": other.pk}).status_code == 403
    other.refresh_from_db()
    assert other.closed_at is None


# --- the rest of the page ----------------------------------------------------------------------------


def test_deal_says_what_its_next_stage_needs(rep_client: Client, account: Account) -> None:
    make.OpportunityFactory(account=account, stage="sql", name="Ovens")

    (row,) = rep_client.get(link(account, "change")).context["deals"]

    assert (str(row["following"]), [str(why) for why in row["lacking"]]) == (
        "opportunity",
        ["two of budget, authority and timing must be confirmed"],
    )


def test_page_names_the_slot_on_the_list_at_work_before_one_on_a_draft(rep_client: Client, account: Account, lead: User) -> None:
    draft, active = list_of(account), list_of(account)
    active.status, active.activated_at = "active", AT
    active.save()
    for slot, row in ((4, draft), (7, active)):
        TargetAccount.objects.create(target_list=row, slot=slot, account=account, added_at=AT)

    answer = rep_client.get(link(account, "change"))

    assert answer.context["slot"] == {"list": active.pk, "name": active.name, "slot": 7, "status": "active"}
    assert f"{active.name}, slot 7" in answer.content.decode()


def test_page_of_a_busy_account_asks_at_most_twenty_times(
    rep_client: Client, account: Account, contact: crm.Contact, django_assert_max_num_queries: object
) -> None:
    for number in range(30):
        person = make.ContactFactory(account=account)
        make.ActivityFactory(account=account, contact=person, kind="meeting", occurred_at=now() - timedelta(days=number))
        dmu.assign(contact=person, role=("decider", "buyer", "user")[number % 3], at=AT)
        task_of(account, due_on=date(2026, 3, 9))
    make.OpportunityFactory.create_batch(4, account=account)
    JobChangeSignal.objects.create(account=account, contact=contact, opened_at=AT)
    refresh.account(account.pk, at=now())

    for page in ("change", "timeline", "history"):
        with django_assert_max_num_queries(20):  # type: ignore[operator]
            assert rep_client.get(link(account, page)).status_code == 200
