"""The playground: who may, what it shows before anything is saved, what it refuses and where, and how the scores follow."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from abm import engagement, nightly, policy, refresh, score_numbers, tasks
from abm.models import ScoreChange, ScoreParameters, TargetAccount, TargetList
from crm import activities
from crm.models import Account, Team, User
from crm.policy import day_of
from tests.conftest import somebody
from tests.doors.admin_pages import said
from tests.factories.crm import ContactFactory

pytestmark = pytest.mark.django_db
PAGE = "admin:abm_scorechange_playground"


@pytest.fixture
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was handed to the queue."""
    names: list[str] = []
    monkeypatch.setattr(tasks.rebuild_scores, "delay", lambda: names.append("rebuild"))
    return names


@pytest.fixture
def marketing(marketer: User, client: Client, enqueued: list[str]) -> Client:
    client.force_login(marketer)
    return client


def an_account(kind: str = "meeting", *, name: str = "", team: Team | None = None, times: int = 1) -> Account:
    """Make an account where somebody did something in these days, and score it."""
    person = ContactFactory(account__name=name or f"Bedrijf {kind}", account__team=team)
    for day in range(1, times + 1):
        moment = now() - timedelta(days=day)
        activities.record(account=person.account, contact=person, kind=kind, occurred_at=moment, source="test", at=now())
    refresh.account(person.account_id, at=now())
    found: Account = person.account
    return found


def a_list(team: Team, *accounts: Account, name: str = "Kwartaal") -> TargetList:
    today = day_of(now())
    made = TargetList.objects.create(
        name=name, team=team, starts_on=today, ends_on=today + timedelta(days=80), status="active", activated_at=now()
    )
    for slot, account in enumerate(accounts, start=1):
        TargetAccount.objects.create(target_list=made, slot=slot, account=account, added_at=now())
    return made


def filled(client: Client, **changes: Any) -> dict[str, Any]:
    """Give what the page's form sends when these fields are changed; `__` stands for the dash in a name."""
    form = client.get(reverse(PAGE)).context_data["form"]
    html = str(client.get(reverse(PAGE)).content.decode())
    sent = {name: re.search(rf'name="{name}"[^>]*?value="([^"]*)"', html) for name in form.fields}
    latest = score_numbers.current()
    values = {name: found[1] if found else "" for name, found in sent.items()} | {"seen": latest.number if latest else 0, "list": ""}
    return values | {name.replace("__", "-"): value for name, value in changes.items()}


def sent(client: Client, **changes: Any) -> Any:
    return client.post(reverse(PAGE), filled(client, **changes))


@pytest.mark.parametrize(
    ("role", "status"), [("sales rep", 403), ("team lead", 403), ("integration", 403), ("marketing", 200), ("administrator", 200)]
)
def test_only_marketing_and_administrators_change_the_numbers(role: str, status: int, team: Team, client: Client) -> None:
    client.force_login(somebody(role, team=team))

    assert client.get(reverse(PAGE)).status_code == status
    assert client.post(reverse(PAGE), {"save": "1", "seen": "0"}).status_code == status
    assert client.get(reverse("admin:abm_scorechange_progress")).status_code == status
    ScoreParameters.objects.create(version="old", numbers={"half_saturation": 20.0}, first_used_at=now())
    back = reverse("admin:abm_scorechange_put_back", args=["old"])
    assert client.get(back).status_code == status
    assert client.post(back, {"note": "", "seen": "0"}).status_code == status
    assert not ScoreChange.objects.exists()
    assert (reverse(PAGE) in client.get("/admin/").content.decode()) == (status == 200)


def test_page_says_that_weights_are_judgement_and_what_wins(marketing: Client) -> None:
    page = marketing.get(reverse(PAGE)).content.decode()

    assert "The weights are judgement, not fitted to outcomes." in page
    assert "The first version that is saved here wins over them." in page
    assert "Nobody changed the numbers yet." in page
    assert "There is no account yet to try numbers on." in page


def test_trying_shows_before_and_after_by_the_one_formula_and_stores_nothing(marketing: Client, team: Team) -> None:
    met, mailed = an_account("meeting", times=3), an_account("email_reply", times=6)
    a_list(team, met, mailed)

    answer = sent(marketing, points__meeting="60", daily_cap__meeting="60").context_data

    kinds = {**(policy.SCORING.kinds or {}), "meeting": policy.KindWeight(60, 60, 60)}
    today = day_of(now())
    before = engagement.of_accounts([met.pk, mailed.pk], as_of=today)
    after = engagement.of_accounts([met.pk, mailed.pk], as_of=today, numbers=policy.Scoring(kinds=kinds))
    shown = {row["one"].account_id: row["one"] for row in answer["effects"]}
    assert {pk: (one.before, one.after) for pk, one in shown.items()} == {pk: (before[pk], after[pk]) for pk in before}
    assert shown[met.pk].difference == after[met.pk].score_1 - before[met.pk].score_1 > 5
    assert [(one.kind, one.before < one.after) for one in shown[met.pk].shifts] == [("meeting", True)]
    assert shown[mailed.pk].shifts == []
    assert (answer["totals"].accounts, answer["totals"].moved, answer["totals"].risen, answer["totals"].fallen) == (2, 1, 1, 0)
    assert answer["differences"] == ["Meeting: points: 25 → 60", "Meeting: most per person and day: 25 → 60"]
    assert score_numbers.in_force() is policy.SCORING
    assert not ScoreChange.objects.exists()


def test_rank_among_the_shown_accounts_is_told(marketing: Client, team: Team) -> None:
    met, mailed = an_account("meeting", times=3), an_account("email_reply", times=3)
    a_list(team, met, mailed)

    rows = sent(marketing, points__email_reply="50", daily_cap__email_reply="50").context_data["effects"]

    assert [(row["one"].account_id, row["one"].rank_before, row["one"].rank_after, row["climbed"]) for row in rows] == [
        (mailed.pk, 2, 1, 1),
        (met.pk, 1, 2, -1),
    ]


def test_accounts_that_would_warm_up_are_counted(marketing: Client) -> None:
    account = an_account("email_click", times=6)

    answer = sent(marketing, points__email_click="20", daily_cap__email_click="20").context_data

    standing = account.standing
    standing.refresh_from_db()
    assert standing.momentum < 10 or standing.score < 30
    assert (answer["totals"].warm_before, answer["totals"].newly_warm, answer["totals"].no_longer_warm) == (0, 1, 0)


def test_without_a_list_at_work_the_warmest_accounts_are_shown_and_lists_can_be_chosen(marketing: Client, team: Team) -> None:
    cold, warm = an_account("page_view"), an_account("meeting", times=3)
    assert [row["one"].account_id for row in sent(marketing).context_data["effects"]] == [warm.pk, cold.pk]

    first, second = a_list(team, cold, name="Een"), a_list(team, warm, name="Twee")

    def shown(chosen: object) -> list[int]:
        return [row["one"].account_id for row in sent(marketing, list=str(chosen)).context_data["effects"]]

    assert (shown(first.pk), shown(second.pk), shown("warmest"), shown("99")) == ([cold.pk], [warm.pk], [warm.pk, cold.pk], [warm.pk])


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"points__meeting": "-1"}, "points-meeting", "greater than or equal to 0"),
        ({"points__meeting": "1.005"}, "points-meeting", "no more than 2 decimal places"),
        ({"half_life_days__meeting": "0"}, "half_life_days-meeting", "greater than or equal to 1"),
        ({"half_life_days__meeting": "7.5"}, "half_life_days-meeting", "whole number"),
        (
            {"half_life_days__meeting": "45"},
            "half_life_days-meeting",
            "Only 3 different half-lives are kept; here are 4: 14, 30, 45, 60 days.",
        ),
        ({"role_weight__decider": "101"}, "role_weight-decider", "less than or equal to 100"),
        ({"half_saturation": "0"}, "half_saturation", "greater than or equal to 0.1"),
        ({"breadth_floor": "1.5"}, "breadth_floor", "less than or equal to 1"),
        ({"breadth_floor": ""}, "breadth_floor", "This field is required."),
    ],
)
def test_a_number_that_cannot_be_is_refused_at_its_field(marketing: Client, changes: dict[str, str], field: str, sentence: str) -> None:
    answer = sent(marketing, **changes, save="1", note="Beter")

    assert list(answer.context_data["form"].errors) == [field]
    assert sentence in answer.context_data["form"].errors[field][0]
    assert sentence in answer.content.decode()
    assert "effects" not in answer.context_data
    assert not ScoreChange.objects.exists()


def test_least_bounds_themselves_are_accepted(marketing: Client) -> None:
    assert sent(marketing, half_saturation="0.1", breadth_floor="0", points__meeting="0").context_data["form"].errors == {}


def test_refusals_and_numbers_are_dutch_for_a_dutch_reader(marketing: Client, marketer: User) -> None:
    marketing.cookies["django_language"] = "nl"

    page = sent(marketing, half_life_days__meeting="45")
    tried = sent(marketing, role_weight__decider="1,75")

    assert "Er worden hoogstens 3 verschillende halveringstijden bijgehouden" in page.content.decode()
    assert tried.context_data["form"].numbers.role_weight["decider"] == 1.75
    assert tried.context_data["differences"] == ["Beslisser: gewicht: 1,5 → 1,75"]


def test_saving_puts_numbers_in_force_with_reason_and_author_and_starts_the_scoring(
    marketing: Client, marketer: User, enqueued: list[str]
) -> None:
    answer = marketing.post(reverse(PAGE), filled(marketing, half_saturation="40", note="Scherper", save="1"), follow=True)

    change = ScoreChange.objects.get()
    assert (change.number, change.note, change.made_by) == (1, "Scherper", marketer)
    assert score_numbers.in_force() == policy.Scoring(half_saturation=40.0)
    assert score_numbers.in_force().version == policy.Scoring(half_saturation=40.0).version
    assert enqueued == ["rebuild"]
    assert said(answer) == ["Saved. All accounts are scored with the new numbers now, in the background."]
    page = answer.content.decode()
    assert "Weighted points that make a score of 50: 50 → 40" in page
    assert "Scoring all accounts with the new numbers" in page
    assert "what was saved here wins" in page


def test_saving_without_a_reason_or_a_difference_is_refused_in_words(marketing: Client, enqueued: list[str]) -> None:
    nameless = sent(marketing, half_saturation="40", save="1")
    same = sent(marketing, note="Niets", save="1")

    assert nameless.context_data["form"].errors["note"] == ["Say why the numbers change."]
    assert said(same) == ["These numbers are in force already: nothing would change."]
    assert (ScoreChange.objects.count(), enqueued) == (0, [])


def test_who_saves_what_somebody_changed_meanwhile_gets_a_conflict_and_keeps_what_was_typed(marketing: Client, admin_user: User) -> None:
    mine = filled(marketing, half_saturation="40", note="Mijn", save="1")
    score_numbers.put_in_force(policy.Scoring(half_saturation=30.0), note="Snel", seen=0, at=now(), by=admin_user)

    answer = marketing.post(reverse(PAGE), mine)

    assert f"{admin_user} changed the numbers meanwhile (Snel)." in said(answer)[0]
    assert answer.context_data["differences"] == ["Weighted points that make a score of 50: 30 → 40"]
    assert (answer.context_data["seen"], answer.context_data["form"]["note"].value()) == (1, "Mijn")
    assert ScoreChange.objects.count() == 1


def test_undo_asks_for_a_reason_and_puts_the_numbers_before_back(marketing: Client, marketer: User, enqueued: list[str]) -> None:
    score_numbers.put_in_force(policy.Scoring(half_saturation=30.0), note="Snel", seen=0, at=now(), by=marketer)
    address = reverse("admin:abm_scorechange_put_back", args=[policy.Scoring().version])
    assert address in marketing.get(reverse(PAGE)).content.decode()

    asked = marketing.get(address)
    marketing.post(address, {"note": "Toch niet", "seen": asked.context_data["form"]["seen"].value()})

    assert "30 → 50" in asked.content.decode()
    assert score_numbers.in_force() == policy.Scoring()
    assert list(ScoreChange.objects.values_list("number", "note")) == [(2, "Toch niet"), (1, "Snel")]
    assert enqueued == ["rebuild"]


def test_putting_back_over_somebody_elses_change_is_a_conflict(marketing: Client) -> None:
    first = score_numbers.put_in_force(policy.Scoring(half_saturation=30.0), note="Een", seen=0, at=now(), by=None)
    score_numbers.put_in_force(policy.Scoring(half_saturation=20.0), note="Twee", seen=1, at=now(), by=None)

    answer = marketing.post(reverse("admin:abm_scorechange_put_back", args=[first.parameters_id]), {"note": "Terug", "seen": 1})

    assert "changed the numbers meanwhile (Twee)" in said(answer)[0]
    assert ScoreChange.objects.count() == 2


def test_numbers_of_the_configuration_can_be_tried_when_others_are_in_force(marketing: Client) -> None:
    score_numbers.put_in_force(policy.Scoring(half_saturation=30.0), note="Een", seen=0, at=now(), by=None)

    answer = marketing.get(reverse(PAGE), {"from": "settings"})

    assert answer.context_data["form"].base == policy.SCORING
    assert marketing.get(reverse(PAGE), {"from": "nothing"}).status_code == 404


def test_progress_is_watched_until_every_account_is_scored(marketing: Client) -> None:
    an_account()
    score_numbers.put_in_force(policy.Scoring(half_saturation=30.0), note="Een", seen=0, at=now(), by=None)
    progress = reverse("admin:abm_scorechange_progress")

    waiting = marketing.get(progress, {"state": "queued"})
    nightly.rebuild(clock=now)
    done = marketing.get(progress, {"state": "queued"})

    assert "0 of 1 accounts" in waiting.content.decode()
    assert done.headers["HX-Refresh"] == "true"
    assert "Scoring all accounts" not in marketing.get(reverse(PAGE)).content.decode()


def test_account_that_was_not_reached_yet_says_with_which_numbers_its_score_was_made(marketing: Client) -> None:
    account = an_account()
    page = reverse("admin:crm_account_change", args=[account.pk])
    words = f"made with the numbers {policy.SCORING.version}, which have changed since"
    assert words not in marketing.get(page).content.decode()

    score_numbers.put_in_force(policy.Scoring(half_saturation=30.0), note="Een", seen=0, at=now(), by=None)
    told = marketing.get(page).content.decode()
    nightly.rebuild(clock=now)

    assert words in told
    assert words not in marketing.get(page).content.decode()
    assert "+ 30)" in told


def test_queries_do_not_grow_with_the_accounts(marketing: Client, team: Team, django_assert_max_num_queries: Any) -> None:
    accounts = [an_account(name=f"Nummer {number}") for number in range(6)]
    a_list(team, *accounts)
    data = filled(marketing, half_saturation="40")

    with django_assert_max_num_queries(20):
        assert len(marketing.post(reverse(PAGE), data).context_data["effects"]) == 6


def test_account_out_of_sight_is_not_shown(team: Team, client: Client) -> None:
    from django.contrib.auth.models import Permission

    mine, theirs = an_account(team=team), an_account("email_reply")
    user = somebody("sales rep", team=team)
    user.user_permissions.add(Permission.objects.get(codename="view_scorechange"))
    client.force_login(user)

    answer = client.get(reverse(PAGE))

    assert [row["one"].account_id for row in answer.context_data["effects"]] == [mine.pk]
    assert answer.context_data["totals"].accounts == 1
    assert theirs.name not in answer.content.decode()
    assert "Save as new version" not in answer.content.decode()
    assert client.post(reverse(PAGE), filled(client, half_saturation="40", note="x", save="1")).status_code == 403
