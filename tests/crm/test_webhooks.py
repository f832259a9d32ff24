"""Webhooks: who is told what, in which order, how often, and that nothing is lost on the way."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from django.db import connection, transaction

from crm import contacts, policy, privacy, webhooks
from crm.errors import Conflict, Invalid
from crm.models import Account, Contact, User, Webhook, WebhookDelivery, WebhookEvent
from crm.webhooks import delivering, outbox, sharing, signing, targets
from crm.webhooks.sending import Answer, Parcel
from tests.conftest import somebody
from tests.factories.crm import AccountFactory, ContactFactory, TeamFactory, UserFactory
from tests.receiver import HANG_UP, receiver

State = WebhookDelivery.State


class Clock:
    """Stands still until it is moved on."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.at

    def jump(self, **how_far: float) -> None:
        self.at += timedelta(**how_far)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def owner(db: None) -> User:
    return somebody("administrator")


@pytest.fixture
def account(owner: User) -> Account:
    return AccountFactory()


def hook(owner: User, *kinds: str, address: str = "https://hooks.example.com/x", at: datetime | None = None) -> Webhook:
    wanted = kinds or ("account.scored", "contact.updated", "contact.erased")
    return webhooks.add(name="Warehouse", address=address, event_types=wanted, owner=owner, at=at or datetime.now(UTC))[0]


def tell(account: Account, *numbers: int, at: datetime) -> None:
    webhooks.tell("account.scored", [webhooks.News(account.pk, {"number": number}) for number in numbers], at=at)


def answering(*statuses: int | None) -> Callable[[Parcel], Answer]:
    """Give a receiver that answers so, one after the other, the last for ever; `sent` holds the parcels."""
    left = list(statuses)

    def send(parcel: Parcel) -> Answer:
        send.sent.append(parcel)
        status = left.pop(0) if len(left) > 1 else left[0]
        return Answer(status, "" if status and status < 300 else f"{status}")

    send.sent = []
    return send


# --- webhooks themselves ---------------------------------------------------------------------------


def test_a_secret_is_given_once_kept_sealed_and_the_former_one_signs_for_a_day(owner, clock):
    webhook, first = webhooks.add(
        name=" Warehouse ", address="https://hooks.example.com/x", event_types=["contact.updated"], owner=owner, at=clock()
    )
    second = webhooks.rotate(webhook, at=clock(), by=owner)

    assert webhook.name == "Warehouse"
    assert first not in (webhook.secret, webhook.old_secret)
    assert delivering.subscriptions.secrets_of(webhook, at=clock()) == [second, first]
    clock.jump(hours=24)
    assert delivering.subscriptions.secrets_of(webhook, at=clock()) == [second]
    assert not hasattr(webhook.history.first(), "secret")


def test_what_cannot_be_right_is_refused_field_by_field(owner, clock):
    with pytest.raises(Invalid) as refused:
        webhooks.add(name="", address="http://10.0.0.1", event_types=["contact.exploded"], owner=owner, at=clock())

    assert set(refused.value.detail) == {"name", "address", "event_types"}
    assert not Webhook.objects.exists()


def test_a_webhook_is_switched_off_and_on_and_says_so_to_who_comes_second(owner, clock):
    webhook = hook(owner)

    webhooks.switch_off(webhook, at=clock(), by=owner)
    assert (webhook.is_active, webhook.disabled_because) == (False, "by_hand")
    for deed in (webhooks.switch_off, webhooks.ping, webhooks.replay_dead):
        with pytest.raises(Conflict):
            deed(webhook, at=clock())
    webhooks.switch_on(webhook, at=clock(), by=owner)
    assert (webhook.is_active, webhook.disabled_at) == (True, None)


# --- telling ---------------------------------------------------------------------------------------


def test_nothing_is_written_or_looked_up_where_nobody_wants_to_know(account, clock):
    def looked_up():
        raise AssertionError("nobody wants to know")
        yield

    assert webhooks.tell("account.scored", looked_up(), at=clock()) == 0


def test_what_is_told_goes_with_the_fact_and_is_gone_when_that_is_rolled_back(owner, account, clock):
    hook(owner)
    with pytest.raises(RuntimeError), transaction.atomic():
        tell(account, 1, at=clock())
        raise RuntimeError

    assert not WebhookEvent.objects.exists()


def test_many_facts_are_written_in_as_many_statements_as_one(owner, account, clock, django_assert_max_num_queries):
    hook(owner)
    with django_assert_max_num_queries(4):
        tell(account, *range(300), at=clock())

    assert WebhookEvent.objects.count() == 300


def test_a_receiver_gets_type_moment_and_ids_with_a_signature_that_verifies(owner, account, clock):
    webhook, secret = webhooks.add(name="W", address="https://hooks.example.com", event_types=["contact.updated"], owner=owner, at=clock())
    contact = contacts.add(account=account, family_name="Jansen", email="p.jansen@bedrijf.example", at=clock())
    send = answering(200)

    webhooks.work(clock=clock, send=send)

    (parcel,) = send.sent
    told = signing.Signer(secret).verify(parcel.body, dict(parcel.headers))
    facts = {"contact_id": contact.pk, "account_id": account.pk, "person_id": contact.person_id, "changed": ["added"]}
    assert told == {"type": "contact.updated", "timestamp": clock().isoformat(), "data": facts}
    assert b"ansen" not in parcel.body
    delivery = WebhookDelivery.objects.get(webhook=webhook)
    assert (delivery.state, delivery.attempts, delivery.last_status, delivery.claimed_at) == (State.DELIVERED, 1, 200, None)


def test_only_who_asked_for_an_event_and_may_see_its_record_is_told(owner, clock):
    team = TeamFactory()
    theirs, mine = AccountFactory(team=TeamFactory()), AccountFactory(team=team)
    service = somebody("integration", team=team)
    everything, own, other_kind = hook(owner), hook(service), hook(owner, "role.lost", "account.scored")
    webhooks.change(other_kind, event_types=["role.lost"], at=clock())
    nobodys = hook(UserFactory())
    for account in (theirs, mine):
        tell(account, 1, at=clock())

    sharing.share(at=clock())

    def told(webhook):
        return sorted(webhook.deliveries.values_list("subject", flat=True))

    assert told(everything) == sorted([f"account:{theirs.pk}", f"account:{mine.pk}"])
    assert told(own) == [f"account:{mine.pk}"]
    assert told(other_kind) == told(nobodys) == []


def test_what_the_owner_may_see_no_more_when_its_turn_comes_is_not_delivered(clock, db):
    service = somebody("integration", team=TeamFactory())
    hook(service)
    account = AccountFactory(team=service.team)
    tell(account, 1, at=clock())
    sharing.share(at=clock())
    Account.objects.filter(pk=account.pk).update(team=TeamFactory())
    send = answering(200)

    webhooks.work(clock=clock, send=send)

    assert send.sent == []
    assert not WebhookDelivery.objects.exists()


def test_the_owner_who_left_is_told_nothing_and_what_waits_waits(owner, account, clock):
    hook(owner)
    tell(account, 1, at=clock())
    sharing.share(at=clock())
    User.objects.filter(pk=owner.pk).update(is_active=False)
    send = answering(200)

    assert webhooks.work(clock=clock, send=send) is False
    assert send.sent == []
    assert WebhookDelivery.objects.waiting().count() == 1


# --- order and repetition --------------------------------------------------------------------------


def test_what_fails_is_tried_again_later_and_what_comes_after_it_about_the_same_waits(owner, account, clock):
    hook(owner)
    other = AccountFactory()
    tell(account, 1, 2, at=clock())
    tell(other, 7, at=clock())
    send = answering(500, 200)

    webhooks.work(clock=clock, send=lambda parcel: send(parcel) if b'"number":7' not in parcel.body else Answer(200))

    assert [b'"number":1' in parcel.body for parcel in send.sent] == [True]
    assert list(WebhookDelivery.objects.order_by("event_id").values_list("state", flat=True)) == ["waiting", "waiting", "delivered"]
    clock.jump(seconds=5)
    webhooks.work(clock=clock, send=send)
    assert [parcel.body[-3:] for parcel in send.sent] == [b"1}}", b"1}}", b"2}}"]
    assert not WebhookDelivery.objects.waiting().exists()
    assert Webhook.objects.get().failing_since is None


def test_after_the_last_attempt_it_is_given_up_and_the_next_one_gets_its_turn(owner, account, clock, monkeypatch):
    monkeypatch.setattr(policy, "WEBHOOKS", replace(policy.WEBHOOKS, pauses=(1, 1)))
    hook(owner)
    tell(account, 1, 2, at=clock())
    send = answering(503, None, 500, 200)

    for _round in range(3):
        webhooks.work(clock=clock, send=send)
        clock.jump(seconds=1)

    dead, fine = WebhookDelivery.objects.order_by("event_id")
    assert (dead.state, dead.attempts, dead.last_status, dead.last_error) == (State.DEAD, 3, 500, "500")
    assert (fine.state, len(send.sent)) == (State.DELIVERED, 4)


def test_a_receiver_that_asks_for_time_gets_it(owner, account, clock):
    hook(owner)
    tell(account, 1, at=clock())

    webhooks.work(clock=clock, send=lambda _parcel: Answer(429, "429", wait_seconds=3_000))

    assert WebhookDelivery.objects.get().next_at == clock() + timedelta(seconds=3_000)


def test_a_receiver_that_is_gone_is_switched_off_and_what_waits_is_told_once_it_is_back(owner, account, clock):
    webhook = hook(owner)
    tell(account, 1, 2, at=clock())

    webhooks.work(clock=clock, send=answering(410))

    webhook.refresh_from_db()
    assert (webhook.is_active, webhook.disabled_because) == (False, "gone")
    tell(account, 3, at=clock())
    webhooks.switch_on(webhook, at=clock())
    again = answering(200)
    webhooks.work(clock=clock, send=again)
    assert [parcel.body[-3:] for parcel in again.sent] == [b"2}}", b"3}}"]
    assert WebhookDelivery.objects.dead().count() == 1


def test_a_receiver_that_takes_nothing_for_days_is_switched_off(owner, account, clock):
    webhook = hook(owner)
    for number in (1, 2):
        tell(account, number, at=clock())
        webhooks.work(clock=clock, send=answering(500))
        clock.jump(days=6)

    webhook.refresh_from_db()
    assert (webhook.is_active, webhook.disabled_because) == (False, "failing")


def test_a_secret_that_cannot_be_read_any_more_is_a_failure_in_words(owner, account, clock, monkeypatch):
    hook(owner)
    tell(account, 1, at=clock())
    monkeypatch.setattr(signing, "_KEY", "another key of at least thirty-two characters")
    send = answering(200)

    webhooks.work(clock=clock, send=send)

    assert send.sent == []
    assert "make a new secret" in WebhookDelivery.objects.get().last_error


def test_what_a_killed_worker_held_is_sent_by_another_once_its_claim_ran_out(owner, account, clock):
    hook(owner)
    tell(account, 1, 2, at=clock())

    def dies(_parcel: Parcel) -> Answer:
        raise SystemExit

    with pytest.raises(SystemExit):
        webhooks.work(clock=clock, send=dies)
    send = answering(200)
    webhooks.work(clock=clock, send=send)
    assert send.sent == []
    clock.jump(seconds=policy.WEBHOOKS.stalled_seconds + 1)
    webhooks.work(clock=clock, send=send)
    assert [parcel.body[-3:] for parcel in send.sent] == [b"1}}", b"2}}"]


def test_what_comes_of_a_claim_that_ran_out_is_not_written_over_what_came_since(owner, account, clock):
    hook(owner)
    tell(account, 1, at=clock())
    (slow,) = delivering._next(at=clock(), room=9)
    clock.jump(seconds=policy.WEBHOOKS.stalled_seconds + 1)
    webhooks.work(clock=clock, send=answering(200))

    delivering._write_down([(slow, Answer(500, "500"))], at=clock(), chance=lambda: 0)

    assert WebhookDelivery.objects.get().state == State.DELIVERED


def test_what_is_due_goes_also_where_all_of_the_oldest_wait_for_their_next_attempt(owner, clock, monkeypatch):
    monkeypatch.setattr(policy, "WEBHOOKS", replace(policy.WEBHOOKS, looked_at_once=2))
    hook(owner)
    old, new = AccountFactory.create_batch(2), AccountFactory()
    for account in old:
        tell(account, 1, at=clock())
    webhooks.work(clock=clock, send=answering(500))
    tell(new, 7, at=clock())
    tell(old[0], 2, at=clock())
    send = answering(200)

    webhooks.work(clock=clock, send=send)

    assert [parcel.body[-3:] for parcel in send.sent] == [b"7}}"]


def test_one_receiver_gets_no_more_at_once_than_its_part_and_a_failing_one_less(owner, clock):
    slow, quick = hook(owner), hook(owner)
    for account in AccountFactory.create_batch(40):
        tell(account, 1, at=clock())
    Webhook.objects.filter(pk=slow.pk).update(failing_since=clock())

    claims = delivering._next(at=clock(), room=32) + delivering._next(at=clock(), room=32)

    held = [claim.webhook_id for claim in claims]
    numbers = policy.WEBHOOKS
    assert (held.count(slow.pk), held.count(quick.pk)) == (numbers.at_once_failing, numbers.at_once_per_webhook)


# --- again -----------------------------------------------------------------------------------------


def test_one_all_dead_or_a_range_of_time_can_be_told_again_with_the_same_ids(owner, account, clock):
    webhook = hook(owner)
    begun = clock()
    tell(account, 1, 2, at=clock())
    webhooks.work(clock=clock, send=answering(410))
    clock.jump(hours=1)
    tell(account, 3, at=clock())
    sharing.share(at=clock())
    webhook.refresh_from_db()
    webhooks.switch_on(webhook, at=clock())
    first = answering(200)
    webhooks.work(clock=clock, send=first)
    assert [parcel.body[-3:] for parcel in first.sent] == [b"2}}"]

    assert webhooks.replay_dead(webhook, at=clock()) == 1
    assert webhooks.replay_dead(webhook, at=clock()) == 0
    second = answering(200)
    webhooks.work(clock=clock, send=second)
    assert [parcel.body[-3:] for parcel in second.sent] == [b"1}}"]
    one = WebhookDelivery.objects.order_by("event_id").last()
    assert webhooks.replay(one, at=clock()).state == State.WAITING
    with pytest.raises(Conflict):
        webhooks.replay(one, at=clock())
    third = answering(200)
    webhooks.work(clock=clock, send=third)
    assert third.sent[0].headers["webhook-id"] == first.sent[0].headers["webhook-id"]

    # The range also holds the third event, which the webhook missed while it was switched off.
    assert webhooks.replay_range(webhook, since=begun, until=clock() + timedelta(seconds=1), at=clock()) == 3
    fourth = answering(200)
    webhooks.work(clock=clock, send=fourth)
    assert [parcel.body[-3:] for parcel in fourth.sent] == [b"1}}", b"2}}", b"3}}"]
    with pytest.raises(Invalid):
        webhooks.replay_range(webhook, since=clock(), until=begun, at=clock())


def test_a_ping_goes_to_this_webhook_alone_whatever_its_owner_may_see(clock, db):
    mine, other = hook(somebody("integration")), hook(somebody("integration"))
    delivery = webhooks.ping(mine, at=clock())
    send = answering(204)

    webhooks.work(clock=clock, send=send)

    delivery.refresh_from_db()
    assert (delivery.state, len(send.sent), other.deliveries.count()) == (State.DELIVERED, 1, 0)
    assert b'"type":"webhook.ping"' in send.sent[0].body


# --- people, and time ------------------------------------------------------------------------------


def test_after_an_erasure_only_that_is_told_and_nothing_stored_names_the_person(owner, account, clock):
    hook(owner, *outbox.KINDS)
    contact = ContactFactory(account=account)
    contacts.correct(contact, at=clock(), job_title="Inkoper")
    webhooks.tell("role.lost", [webhooks.News(account.pk, {"role": "buyer"}, contact_id=contact.pk)], at=clock())
    assert {row["type"] for row in privacy.export_person(contact.person)["webhook_events"]} == {"contact.updated", "role.lost"}

    privacy.erase(contact.person, at=clock())

    send = answering(200)
    webhooks.work(clock=clock, send=send)
    told = sorted(parcel.body for parcel in send.sent)
    assert [b'"contact.erased"' in body for body in told] == [True, False]
    assert b"contact_id" not in told[1]
    assert not WebhookEvent.objects.filter(contact_id=contact.pk).exists()


def test_old_events_are_let_go_of_with_their_deliveries(owner, account, clock):
    hook(owner)
    tell(account, 1, at=clock() - timedelta(days=policy.WEBHOOKS.event_days + 1))
    tell(account, 2, at=clock())
    sharing.share(at=clock())

    privacy.retain(at=clock())

    assert WebhookEvent.objects.count() == WebhookDelivery.objects.count() == 1


# --- a receiver that fails, hangs up and forgets ---------------------------------------------------


def test_every_event_arrives_at_least_once_in_order_at_a_receiver_that_fails_and_hangs_up(owner, clock, monkeypatch):
    monkeypatch.setattr(policy, "WEBHOOKS", replace(policy.WEBHOOKS, pauses=(1,) * 30))
    accounts = AccountFactory.create_batch(3)
    behaviour = [204, 500, 200, HANG_UP, 429, 202, 503]
    with receiver(lambda number, _call: behaviour[number % len(behaviour)]) as there:
        webhook, secret = webhooks.add(name="W", address=there.address, event_types=["account.scored"], owner=owner, at=clock())
        for number in range(5):
            for account in accounts:
                tell(account, number, at=clock())
        while webhook.deliveries.waiting().exists() or not webhook.deliveries.exists():
            webhooks.work(clock=clock)
            clock.jump(seconds=1)
        there.verify(secret)

    assert webhook.deliveries.filter(state=State.DELIVERED).count() == 15
    assert len(there.calls) > 20
    assert {pk: [told["number"] for told in news] for pk, news in there.by_subject("account_id").items()} == {
        account.pk: list(range(5)) for account in accounts
    }


def test_the_receiver_in_the_documentation_verifies_and_drops_repetitions(owner, account, clock, monkeypatch):
    code = re.search(r"```python\n(.*?)```", Path("docs/webhooks.md").read_text(), re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line]) == 15
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        port = plug.getsockname()[1]
    monkeypatch.setattr(targets, "ALLOWED", targets.Allowed((ip_network("127.0.0.0/8"),), http=True))
    address = f"http://127.0.0.1:{port}/"
    webhook, secret = webhooks.add(name="W", address=address, event_types=["account.scored"], owner=owner, at=clock())
    tell(account, 1, at=clock())

    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "SECRET": secret, "PORT": str(port)}, stdout=subprocess.PIPE
    ) as there:
        while not webhook.deliveries.filter(state=State.DELIVERED).exists():
            webhooks.work(clock=clock)
            WebhookDelivery.objects.waiting().update(next_at=clock(), attempts=0)
            time.sleep(0.05)
        webhooks.replay(webhook.deliveries.get(), at=clock())
        webhooks.work(clock=clock)
        there.terminate()
        printed = there.stdout.read().decode()

    assert webhook.deliveries.get().state == State.DELIVERED
    assert printed == f"account.scored {{'account_id': {account.pk}, 'number': 1}}\n"


@pytest.mark.postgres
def test_two_workers_at_once_never_have_the_same_event_or_two_about_the_same_under_way(committed, clock):
    with transaction.atomic():
        owner = UserFactory(is_superuser=True)
        hook(owner)
        accounts = AccountFactory.create_batch(8)
        for number in range(6):
            for account in accounts:
                tell(account, number, at=clock())
    under_way, clashes, sent = set[int](), list[int](), list[tuple[int, int]]()

    def send(parcel: Parcel) -> Answer:
        told = json.loads(parcel.body)["data"]
        pk = told["account_id"]
        clashes.extend([pk] if pk in under_way else [])
        under_way.add(pk)
        sent.append((pk, told["number"]))
        under_way.discard(pk)
        return Answer(200)

    def worker() -> None:
        try:
            while webhooks.work(clock=clock, send=send) or WebhookDelivery.objects.waiting().exists():
                pass
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(worker), pool.submit(worker)]:
            done.result(timeout=30)

    assert clashes == []
    assert len(sent) == 48
    assert all([number for pk, number in sent if pk == account.pk] == list(range(6)) for account in accounts)
    assert Contact.objects.count() == 0
