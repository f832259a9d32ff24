"""Experiments and what a list did, at the doors: drafted, started, counted, read and closed by a person and over the API."""

from datetime import date, timedelta
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from abm import targets
from abm.models import ComparisonAccount, Experiment, ExperimentCount, TargetList
from crm.models import User
from crm.policy import day_of
from tests.abm.lists import standing
from tests.conftest import api_client
from tests.doors.admin_pages import link, said
from tests.doors.test_api_contract import assert_refusal
from tests.factories.crm import ActivityFactory


@pytest.fixture
def facts() -> dict[str, object]:
    """What a test that began a week ago needs to start."""
    today = day_of(now())
    return {
        "name": "Onderwerpregel", "hypothesis": "Een vraag valt op.", "kpi": "geopend van bezorgd", "variables": "onderwerpregel",
        "arm_a": "mededeling", "arm_b": "vraag", "baseline_percent": "20", "uplift_percent": "20",
        "starts_on": (today - timedelta(days=7)).isoformat(), "ends_on": (today + timedelta(days=7)).isoformat(),
    }  # fmt: skip


def press(client: Client, row: Experiment, deed: str, **values: object) -> str:
    return " ".join(said(client.post(reverse(f"admin:abm_experiment_{deed}", args=[row.pk]), {"do": "1", **values}, follow=True)))


def page(client: Client, row: object) -> str:
    return unescape(client.get(link(row, "change")).content.decode())


@pytest.mark.django_db
def test_a_person_drafts_starts_counts_and_closes(client: Client, lead: User, facts: dict[str, object]) -> None:
    client.force_login(lead)
    assert "No experiment yet" in client.get(link(Experiment, "changelist")).content.decode()

    begun = facts | {"team": lead.team_id, "owner": lead.pk, "variables": "onderwerpregel\nafzender"}
    client.post(reverse("admin:abm_experiment_add"), begun)
    row = Experiment.objects.get()
    assert "exactly one thing that differs" in page(client, row)
    assert "Only one thing may differ" in press(client, row, "start")

    Experiment.objects.update(variables="onderwerpregel")
    assert "The experiment runs." in press(client, row, "start")
    assert "Nothing is counted yet." in page(client, row)

    counted = {"counted_on": day_of(now()).isoformat(), "n_a": 1700, "successes_a": 212, "n_b": 1700, "successes_b": 300}
    assert "Counted." in press(client, row, "count", **counted)
    shown = page(client, row)
    assert "Winner: vraag." in shown
    assert "12.5 %" in shown
    assert "+5.2 points" in shown
    assert "planned per arm" in shown

    assert "The experiment is closed." in press(client, row, "close", learned="Vragen werken.")
    assert "Vragen werken." in page(client, row)
    assert Experiment.objects.get().winner == "b"
    assert "Written down." in press(client, row, "learn", learned="Vragen werken bij beurzen.")
    assert "Vragen werken bij beurzen." in page(client, row)


@pytest.mark.django_db
def test_an_experiment_that_was_closed_without_a_verdict_is_no_tie_in_the_list(
    client: Client, lead: User, facts: dict[str, object]
) -> None:
    row = Experiment.objects.create(team=lead.team, owner=lead, **facts)
    Experiment.objects.filter(pk=row.pk).update(
        status="closed", started_at=now(), planned_per_arm=1, closed_at=now(), variables="x", p_value=None
    )
    client.force_login(lead)

    listed = client.get(link(Experiment, "changelist") + "?status=closed").content.decode()

    assert "not decidable" in listed
    assert "no difference that counts" not in listed


@pytest.mark.django_db
def test_a_rep_reads_but_changes_nothing(client: Client, rep: User, lead: User, facts: dict[str, object]) -> None:
    row = Experiment.objects.create(team=lead.team, owner=lead, **facts)
    client.force_login(rep)

    assert "Onderwerpregel" in page(client, row)
    assert client.post(reverse("admin:abm_experiment_start", args=[row.pk]), {"do": "1"}).status_code == 403
    assert Experiment.objects.get().status == "draft"


@pytest.mark.django_db
def test_the_same_over_the_api(lead: User, outsider: User, facts: dict[str, object]) -> None:
    api, base = api_client(lead), "/api/v1/experiments"
    row = api.post(base, facts | {"team": lead.team_id, "kpi": ""}, format="json").json()
    here = f"{base}/{row['id']}"

    refused = api.post(f"{here}/start")
    assert list(assert_refusal(refused, 400, "invalid")) == ["kpi"]
    assert api.patch(here, {"kpi": "geopend van bezorgd"}, format="json").json()["kpi"] == "geopend van bezorgd"
    assert api.post(f"{here}/start").json()["planned_per_arm"] == 1683
    assert api.patch(here, {"kpi": "anders"}, format="json").status_code == 409

    counted = {"counted_on": day_of(now()).isoformat(), "n_a": 1055, "successes_a": 200, "n_b": 1040, "successes_b": 268}
    assert api.post(f"{here}/count", counted, format="json").status_code == 200
    found = api.get(f"{here}/verdict").json()
    assert found["verdict"] == {"winner": "b", "indication": "b", "lacking": []}
    assert (found["days"], found["needed_per_arm"], found["compared"]["test"]) == (7, 1683, "z")
    assert found["words"][0].startswith("Winner: vraag.")
    assert [count["n_b"] for count in api.get(f"{here}/counts").json()] == [1040]
    assert api.post(f"{here}/count", counted | {"n_a": 1}, format="json").status_code == 400
    assert api.post(f"{here}/close", {"learned": "Doen"}, format="json").json()["winner"] == "b"
    assert api_client(outsider).get(here).status_code == 404
    assert ExperimentCount.objects.count() == 1


@pytest.mark.django_db
def test_a_list_shows_what_it_did_beside_its_group(client: Client, lead: User) -> None:
    begun = now() - timedelta(days=60)
    row = targets.draft(name="Lijst", team=lead.team, owner=lead, starts_on=day_of(begun), ends_on=date(2199, 1, 1), at=begun, by=lead)
    listed, _group = ([standing(fit=fit, team=lead.team) for _ in range(6)] for fit in (80, 40))
    api, here = api_client(lead), f"/api/v1/target-lists/{row.pk}/results"
    for account in listed:
        targets.pick(row, account=account, at=begun, by=lead)
        ActivityFactory(account=account, kind="email_reply", occurred_at=begun + timedelta(days=3))
    assert api.get(here).status_code == 404
    targets.activate(row, at=begun, by=lead)

    client.force_login(lead)
    shown = page(client, row)
    found = api.get(here).json()

    assert "The list did better" in shown
    assert "Nobody tossed a coin" in shown
    assert "difference in standard deviations" in shown
    assert (found["verdict"]["winner"], found["days"], found["random_pairs"]) == ("b", 56, 0)
    assert found["measures"]["responses"]["b"]["successes"] == 6
    assert {one["trait"] for one in found["balance"]} == {"size", "fit", "score", "industry"}


@pytest.mark.django_db
def test_a_toss_can_be_asked_for_at_both_doors(client: Client, lead: User) -> None:
    at = now()
    for _ in range(4):
        standing(team=lead.team)
    lists = [
        targets.draft(name=name, team=lead.team, owner=lead, starts_on=day_of(at), ends_on=date(2199, 1, 1), at=at, by=lead)
        for name in ("Een", "Twee")
    ]
    client.force_login(lead)

    client.post(reverse("admin:abm_targetlist_fill", args=[lists[0].pk]), {"hold_out": "on"})
    api_client(lead).post(f"/api/v1/target-lists/{lists[1].pk}/fill", {"hold_out": True}, format="json")

    for row in lists:
        assert (row.slots.count(), row.held_out.count()) == (2, 2)
    targets.activate(TargetList.objects.get(pk=lists[0].pk), at=at, by=lead)
    assert ComparisonAccount.objects.filter(is_random=True).count() == 2
