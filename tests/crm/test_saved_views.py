"""Saved views: whose they are, what their owner may do, and that nobody else touches them."""

from datetime import datetime

import pytest
from django.http import QueryDict

from crm import saved_views
from crm.admin.saved_views import kept
from crm.errors import Conflict, Invalid
from crm.models import SavedView, User

PAGE = "crm.account"


def keep(by: User, at: datetime, name: str = "Warm", query: str = "score=warm") -> SavedView:
    return saved_views.keep(page=PAGE, name=name, query=query, at=at, by=by)


def names(user: User) -> list[str]:
    return list(SavedView.objects.visible_to(user).of(PAGE).values_list("name", flat=True))


def test_view_is_kept_for_its_owner_alone(rep: User, lead: User, at: datetime) -> None:
    view = keep(rep, at, name="  Warm   ones ")

    assert (view.name, view.query, view.position, view.team) == ("Warm ones", "score=warm", 1, None)
    assert (names(rep), names(lead)) == (["Warm ones"], [])


def test_same_name_again_takes_the_new_query(rep: User, at: datetime) -> None:
    first = keep(rep, at)
    second = keep(rep, at, query="score=hot")

    assert (second.pk, second.query, SavedView.objects.count()) == (first.pk, "score=hot", 1)


@pytest.mark.parametrize(("name", "query"), [("", "a=1"), ("   ", "a=1"), ("x" * 41, "a=1"), ("Warm", "a" * 501)])
def test_view_without_a_fitting_name_or_query_is_refused(rep: User, at: datetime, name: str, query: str) -> None:
    with pytest.raises(Invalid):
        keep(rep, at, name=name, query=query)
    assert SavedView.objects.count() == 0


def test_number_of_views_is_bounded(rep: User, at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_views, "AT_MOST", 1)
    keep(rep, at)

    with pytest.raises(Conflict):
        keep(rep, at, name="Hot")
    assert names(rep) == ["Warm"]


def test_shared_view_is_seen_by_the_team_and_taken_back(rep: User, lead: User, outsider: User, at: datetime) -> None:
    view = saved_views.share(keep(rep, at), by=rep)
    assert (names(lead), names(outsider)) == (["Warm"], [])

    saved_views.unshare(view, by=rep)
    assert names(lead) == []


def test_who_is_in_no_team_shares_nothing(rep: User, at: datetime) -> None:
    view = keep(rep, at)
    rep.team = None

    with pytest.raises(Conflict):
        saved_views.share(view, by=rep)


def test_colleague_changes_nothing_of_a_shared_view_but_the_lead_does(rep: User, lead: User, outsider: User, at: datetime) -> None:
    view = saved_views.share(keep(rep, at), by=rep)
    for deed in (
        lambda: saved_views.rename(view, name="Mine", by=outsider),
        lambda: saved_views.change(view, query="", by=outsider),
        lambda: saved_views.move(view, steps=1, by=outsider),
        lambda: saved_views.delete(view, by=outsider),
    ):
        with pytest.raises(Conflict):
            deed()
    view.refresh_from_db()
    assert (view.name, view.query) == ("Warm", "score=warm")

    saved_views.delete(view, by=lead)
    assert SavedView.objects.count() == 0


def test_renaming_to_a_name_in_use_is_refused(rep: User, at: datetime) -> None:
    keep(rep, at)
    other = keep(rep, at, name="Hot")

    with pytest.raises(Conflict):
        saved_views.rename(other, name="Warm", by=rep)
    assert sorted(names(rep)) == ["Hot", "Warm"]


@pytest.mark.parametrize(("steps", "order"), [(-1, ["B", "A", "C"]), (1, ["A", "C", "B"]), (-9, ["B", "A", "C"]), (9, ["A", "C", "B"])])
def test_views_move_among_their_owners_own(rep: User, at: datetime, steps: int, order: list[str]) -> None:
    views = [keep(rep, at, name=name) for name in "ABC"]

    saved_views.move(views[1], steps=steps, by=rep)
    assert names(rep) == order


def test_only_what_a_list_knows_is_kept_of_an_address() -> None:
    query = QueryDict("score=warm&p=3&evil=1&q=bos&empty=&view=7")

    assert kept(query, {"q", "score", "owner", "empty"}) == "q=bos&score=warm"
