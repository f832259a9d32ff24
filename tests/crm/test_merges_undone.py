"""Undoing a merge of accounts later: what came since, chains, conflicts and what somebody else took."""

from datetime import datetime, timedelta

import pytest

from abm.models import TargetAccount
from crm import accounts, activities, dmu, merges, privacy
from crm.errors import Conflict, Invalid
from crm.models import Account, Activity, Contact, FollowUp, Merge, Opportunity, Person, User
from tests.crm.merging import Two, two_accounts
from tests.factories.crm import AccountFactory, ActivityFactory, ContactFactory, MembershipFactory, OpportunityFactory
from tests.tables import checksums

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair() -> Two:
    return Two(AccountFactory(name="Bos", domain="bos.example"), AccountFactory(name="Bos BV", domain="bosbv.example", city="Ede"))


def merged(two: Two, at: datetime, **choices: str) -> Merge:
    return merges.merge(two.kept, two.folded, choices=choices, by=None, at=at)


def test_empty_facts_are_filled_and_others_taken_when_chosen(pair: Two, at: datetime) -> None:
    merged(pair, at, name="folded")

    kept = Account.objects.get()
    assert (kept.name, kept.domain, kept.city) == ("Bos BV", "bos.example", "Ede")
    assert kept.history.first().history_change_reason == "merged with a duplicate"


def test_choice_that_there_is_not_is_refused_and_changes_nothing(pair: Two, at: datetime) -> None:
    before = checksums()
    with pytest.raises(Invalid) as refusal:
        merged(pair, at, revision="folded")
    assert list(refusal.value.detail) == ["revision"]
    assert checksums() == before


def test_record_is_not_merged_with_itself(pair: Two, at: datetime) -> None:
    with pytest.raises(Invalid):
        merges.merge(pair.kept, pair.kept, choices={}, by=None, at=at)
    assert Account.objects.count() == 2


def test_former_domain_leads_to_the_kept_account_and_nobody_else_may_have_it(pair: Two, at: datetime) -> None:
    done = merged(pair, at)

    assert accounts.match("jan@bosbv.example") == pair.kept
    with pytest.raises(Invalid):
        accounts.open(name="Bos anew", domain="bosbv.example", at=at)
    for domain in ("bosbv.example", "bos.example"):
        accounts.change(pair.kept, domain=domain, at=at)
    merges.unmerge(done, by=None, at=at)
    assert accounts.match("jan@bosbv.example") == pair.folded


def test_domain_that_was_not_chosen_is_the_former_one(pair: Two, at: datetime) -> None:
    assert merged(pair, at, domain="folded").folded_domain == "bos.example"


def test_what_came_since_stays_or_follows_whom_it_is_about(pair: Two, at: datetime) -> None:
    person, deal = ContactFactory(account=pair.folded), OpportunityFactory(account=pair.folded)
    done = merged(pair, at)
    facts = {"account": pair.kept, "kind": "meeting", "occurred_at": at, "source": "test", "at": at}
    of_person = activities.record(**facts, contact=Contact.objects.get(pk=person.pk))
    of_deal = activities.record(**facts, opportunity=Opportunity.objects.get(pk=deal.pk))
    of_nobody = activities.record(**facts)
    role = dmu.assign(contact=Contact.objects.get(pk=person.pk), role="buyer", at=at)

    done = merges.unmerge(done, by=None, at=at)
    where = dict(Activity.objects.values_list("pk", "account_id"))
    assert where == {of_person.pk: pair.folded.pk, of_deal.pk: pair.folded.pk, of_nobody.pk: pair.kept.pk}
    role.refresh_from_db()
    assert role.account_id == pair.folded.pk
    assert done.figures["followed"] == {"crm.activity": 2, "crm.dmumembership": 1}
    assert done.steps == []


def test_rows_that_crossed_the_accounts_before_cross_them_again(pair: Two, at: datetime) -> None:
    ActivityFactory(account=pair.kept, contact=ContactFactory(account=pair.folded))
    ActivityFactory(account=pair.folded, contact=ContactFactory(account=pair.kept))
    before = checksums()

    merges.unmerge(merged(pair, at), by=None, at=at)
    assert checksums() == before


def test_value_changed_since_stays_and_is_named(pair: Two, at: datetime) -> None:
    done = merged(pair, at, name="folded")
    accounts.change(Account.objects.get(), name="Bos & Zn", at=at)

    done = merges.unmerge(done, by=None, at=at)
    assert set(Account.objects.values_list("name", "city")) == {("Bos & Zn", ""), ("Bos BV", "Ede")}
    assert "crm.account" in done.figures["changed"]


def test_chain_is_undone_backwards_only(pair: Two, at: datetime) -> None:
    third = AccountFactory(name="Woud")
    before = checksums()
    first = merged(pair, at)
    second = merges.merge(third, Account.objects.get(pk=pair.kept.pk), choices={}, by=None, at=at)
    assert merges.taken_into(Account, pair.folded.pk) == third.pk
    between = checksums()

    with pytest.raises(Conflict, match="Undo the later merge first: Bos → Woud"):
        merges.unmerge(Merge.objects.get(pk=first.pk), by=None, at=at)
    assert checksums() == between
    for done in (second, first):
        merges.unmerge(Merge.objects.get(pk=done.pk), by=None, at=at)
    assert checksums() == before
    assert merges.taken_into(Account, pair.folded.pk) is None


def test_merge_is_undone_once(pair: Two, at: datetime) -> None:
    done = merges.unmerge(merged(pair, at), by=None, at=at)
    with pytest.raises(Conflict, match="undone already"):
        merges.unmerge(done, by=None, at=at)


def test_second_merge_of_a_pair_is_a_conflict(pair: Two, at: datetime) -> None:
    merged(pair, at)
    for kept, folded in (pair, reversed(pair)):
        with pytest.raises(Conflict, match="Bos BV is not there any more"):
            merges.merge(kept, folded, choices={}, by=None, at=at)
    assert Merge.objects.count() == 1


def test_undo_says_when_somebody_took_what_must_be_unique(at: datetime) -> None:
    pair = Two(AccountFactory(), AccountFactory(source="crm", external_id="A"))
    done = merged(pair, at)
    Account.objects.update(source="", external_id="")
    AccountFactory(source="crm", external_id="A")
    before = checksums()
    with pytest.raises(Conflict, match="source id by now"):
        merges.unmerge(done, by=None, at=at)
    assert checksums() == before


def test_company_never_ends_up_above_itself(at: datetime) -> None:
    top = AccountFactory()
    folded = AccountFactory(parent=top)
    middle = AccountFactory(parent=folded)
    kept = AccountFactory(parent=middle)
    before = checksums()

    done = merges.merge(kept, folded, choices={"parent_id": "folded"}, by=None, at=at)
    assert dict(Account.objects.values_list("pk", "parent_id")) == {top.pk: None, kept.pk: top.pk, middle.pk: kept.pk}
    merges.unmerge(done, by=None, at=at)
    assert checksums() == before


def test_people_known_at_both_become_one_and_namesakes_stay_two(pair: Two, at: datetime) -> None:
    jan = ContactFactory(account=pair.kept, email="jan@bos.example", person__given_name="Jan", person__family_name="Bos")
    ContactFactory(account=pair.folded, email="JAN@bos.example", phone="+31201234567", person__given_name="J.", person__family_name="Bos")
    info = ContactFactory(account=pair.kept, email="info@bos.example", person__family_name="Smit")
    other = ContactFactory(account=pair.folded, email="info@bos.example", person__given_name="Aad", person__family_name="Kruis")
    before = checksums()

    preview = merges.preview(pair.kept, pair.folded, by=None, at=at)
    assert checksums() == before
    assert preview.settled == {"crm.contact": 1, "shared_address": 1}
    done = merged(pair, at)
    assert dict(Contact.objects.values_list("pk", "email")) == {jan.pk: "jan@bos.example", info.pk: "info@bos.example", other.pk: ""}
    assert str(Contact.objects.get(pk=jan.pk).phone) == "+31201234567"
    assert Person.objects.count() == 3
    merges.unmerge(done, by=None, at=at)
    assert checksums() == before


def test_opt_out_holds_for_both_also_when_it_came_after_the_merge(pair: Two, at: datetime) -> None:
    early, late = at - timedelta(days=3), at + timedelta(days=3)
    Account.objects.filter(pk=pair.folded.pk).update(opted_out_at=early, contract_conflict=True)
    for account in pair:
        ContactFactory(account=account, email="jan@bos.example", person__given_name="Jan", person__family_name="Bos")
    done = merged(pair, at)
    kept = Account.objects.get()
    assert (kept.opted_out_at, kept.contract_conflict) == (early, True)

    privacy.opt_out(Person.objects.get(), at=late)
    merges.unmerge(done, by=None, at=late)
    assert list(Person.objects.values_list("opted_out_at", flat=True)) == [late, late]
    assert list(Account.objects.order_by("pk").values_list("opted_out_at", flat=True)) == [None, early]


def test_same_open_task_is_closed_and_comes_back(pair: Two, at: datetime) -> None:
    for account in pair:
        FollowUp.objects.create(reason="warming_up", subject_key=f"account:{account.pk}", account=account, due_on=at.date(), opened_at=at)
    before = checksums()
    done = merged(pair, at)
    assert FollowUp.objects.open().filter(subject_key=f"account:{pair.kept.pk}").count() == 1
    merges.unmerge(done, by=None, at=at)
    assert checksums() == before


def test_slot_that_somebody_else_got_since_stays_with_them(at: datetime, rep: User) -> None:
    two = two_accounts(team=rep.team, people=6, happenings=10, days=1)
    slot = TargetAccount.objects.get(account=two.folded, slot=2)
    done = merged(two, at)
    other = AccountFactory()
    TargetAccount.objects.create(target_list=slot.target_list, slot=2, account=other, added_at=at)
    done = merges.unmerge(done, by=None, at=at)

    assert TargetAccount.objects.get(target_list=slot.target_list, slot=2).account == other
    assert not TargetAccount.objects.filter(pk=slot.pk).exists()
    assert "abm.targetaccount" in done.figures["changed"]


def test_role_of_a_person_at_both_is_one_and_the_better_known(pair: Two, at: datetime) -> None:
    for account, facts in zip(pair, ({"is_assumed": True}, {"is_assumed": False, "stance": "champion"}), strict=True):
        contact = ContactFactory(account=account, email="jan@bos.example", person__given_name="Jan", person__family_name="Bos")
        MembershipFactory(contact=contact, role="decider", **facts)
    before = checksums()
    done = merged(pair, at)
    held = Account.objects.get().memberships.get()
    assert (held.role, held.is_assumed, held.stance) == ("decider", False, "champion")
    merges.unmerge(done, by=None, at=at)
    assert checksums() == before
