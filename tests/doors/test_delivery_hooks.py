"""Where mail providers report: who may, what is stored, and what each of their events comes to mean."""

import base64
import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from crm import delivery_hooks, incoming_reports, policy
from crm import tasks as queueing
from crm.models import Activity, Delivery, DeliveryReport, IncomingReport, Suppression
from tests.conftest import AT
from tests.crm.sns import CERTIFICATE, CONFIRM_URL, signed
from tests.factories.crm import ContactFactory, DeliveryFactory

pytestmark = pytest.mark.django_db
DATA = Path(__file__).resolve().parents[1] / "data" / "esp_events"
LOGIN = "quorum:a-long-secret-of-the-webhooks-of-providers"
TOPIC = "arn:aws:sns:eu-west-1:111122223333:abm-ses-events"
LABELS = defaultdict(list)
for _row in csv.DictReader((DATA / "labels.csv").open()):
    LABELS[_row["file"]].append(_row)


@pytest.fixture(autouse=True)
def hooks(settings, monkeypatch):
    """Secrets of every provider, a certificate of SNS, and what was handed to the queue."""
    basic = {name: {"webhook_secret": [LOGIN]} for name in ("brevo", "postmark", "sendgrid")}
    mailgun = {"webhook_signing_key": "test-signing-key", "webhook_secret": []}
    settings.DELIVERY_HOOKS = basic | {"mailgun": mailgun, "amazon_ses": {"topics": [TOPIC]}}
    monkeypatch.setattr(delivery_hooks, "certificate", lambda _url: CERTIFICATE)
    handed = []
    monkeypatch.setattr(queueing, "enqueue", lambda task, *arguments: handed.append((task.name, *arguments)))
    return handed


def sample(name):
    return json.loads((DATA / "json" / name).read_text())


def post(event, *, body=None, login=LOGIN, **headers):
    """Send an event as its provider would, or another body in its place."""
    said = event["body"]
    if event["esp"] == "amazon_ses":
        said = signed(said) if "SignatureVersion" in said else said
        headers |= {"X-Amz-Sns-Message-Type": said["Type"], "X-Amz-Sns-Message-Id": said["MessageId"]}
    elif event["esp"] != "mailgun" and login:
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    raw = body if body is not None else json.dumps(said).encode()
    return Client().generic("POST", f"/hooks/delivery/{event['esp']}", raw, content_type=event["content_type"], headers=headers)


def work(at=AT):
    incoming_reports.work(clock=lambda: at)
    assert [(row.source, row.error) for row in IncomingReport.objects.waiting()] == []


def of(row, **facts):
    """Put the mail on record that a row of the labels reports about."""
    contact = ContactFactory(email=row["recipient"])
    return DeliveryFactory(contact=contact, provider_id=row["message_id"], message_id="", sent_at=AT, **facts)


# --- every row -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(LABELS))
def test_every_event_means_what_its_label_says_and_for_the_right_recipient(name, hooks, django_capture_on_commit_callbacks):
    rows = LABELS[name]
    sent = {row["recipient"]: of(row) for row in rows}

    with django_capture_on_commit_callbacks(execute=True):
        assert post(sample(name)).status_code == 200
    assert hooks[0] == ("crm.tasks.read_reports",)
    with django_capture_on_commit_callbacks(execute=True):
        work()

    failures = [row for row in rows if row["anymail_event_type"] != "delivered"]
    found = DeliveryReport.objects.order_by("recipient").values_list("recipient", "outcome", "delivery")
    assert list(found) == sorted((row["recipient"], row["label"], sent[row["recipient"]].pk) for row in failures)
    lasting = {row["recipient"] for row in rows if row["flag_job_change"] == "1" or row["label"] == "domain_gone"}
    judged = {DeliveryReport.objects.get(pk=task[1]).recipient for task in hooks if task[0] == "abm.tasks.assess_failure"}
    assert judged == lasting
    for row in rows:
        sent[row["recipient"]].refresh_from_db()
        assert bool(sent[row["recipient"]].delivered_at) == (row["anymail_event_type"] == "delivered")


@pytest.mark.parametrize("name", ["amazon_ses-01.json", "sendgrid-01.json", "mailgun-01.json", "postmark-01.json", "brevo-01.json"])
def test_a_replay_is_answered_and_stored_once(name):
    of(LABELS[name][0])
    for _ in range(2):
        assert post(sample(name)).status_code == 200
        work()
    assert post(sample(name)).status_code == 200

    assert (IncomingReport.objects.count(), DeliveryReport.objects.count()) == (1, 1)
    assert IncomingReport.objects.get().done_at == AT


NO_REPORTS = (b"", b"{", b"[]", b"5", b'"x"', b"null", b"\xff\xfe", b"[" * 100_000, b'{"signature": 5}', b'[{"event": {}}, 7]', b"{}")


@pytest.mark.parametrize("name", ["amazon_ses-01.json", "sendgrid-01.json", "mailgun-01.json", "postmark-01.json", "brevo-01.json"])
def test_what_is_no_report_is_refused_and_not_stored(name):
    for body in NO_REPORTS:
        assert post(sample(name), body=body).status_code in (400, 401), body
    assert not IncomingReport.objects.exists()


@pytest.mark.parametrize("name", ["sendgrid-01.json", "postmark-01.json", "brevo-01.json"])
def test_a_wrong_secret_is_refused_and_not_stored(name):
    for login in ("", "quorum:wrong", LOGIN + "x", "other:" + LOGIN):
        answer = post(sample(name), login=login)

        assert (answer.status_code, answer.json()["code"]) == (401, "not_allowed")
        assert answer["WWW-Authenticate"].startswith("Basic")
    assert not IncomingReport.objects.exists()


def test_a_wrong_signature_of_mailgun_is_refused():
    event = sample("mailgun-01.json")
    event["body"]["signature"]["token"] = "another"

    assert post(event).status_code == 401
    assert not IncomingReport.objects.exists()


@pytest.mark.parametrize("change", [{"TopicArn": "arn:aws:sns:eu-west-1:999999999999:evil"}, {"TopicArn": None}])
def test_a_topic_that_is_not_ours_is_refused_though_sns_signed_it(change):
    event = sample("amazon_ses-01.json")
    event["body"] |= change
    body = json.dumps(signed(event["body"]) if change["TopicArn"] else event["body"]).encode()

    assert post(sample("amazon_ses-01.json"), body=body).status_code == 401
    assert not IncomingReport.objects.exists()


def test_a_signature_that_sns_did_not_make_is_refused():
    event = sample("amazon_ses-01.json")
    forged = json.dumps(signed(event["body"]) | {"Message": event["body"]["Message"].replace("p.vermeulen", "m.baas")}).encode()

    assert post(event, body=forged).status_code == 401
    # as in the file: a certificate of another host, and no signature at all
    assert post(event, body=json.dumps(event["body"]).encode()).status_code == 401
    assert not IncomingReport.objects.exists()


def test_a_subscription_is_confirmed_only_for_our_topic_and_at_sns(monkeypatch):
    called = []
    monkeypatch.setattr(delivery_hooks, "_get", lambda url: called.append(url) or b"")
    event = sample("amazon_ses-01.json")
    asked = {"Type": "SubscriptionConfirmation", "Token": "2336", "SubscribeURL": CONFIRM_URL}

    for change in ({}, {"SubscribeURL": "https://evil.example/"}, {"TopicArn": "arn:aws:sns:eu-west-1:999:evil"}):
        post(event | {"body": event["body"] | asked | change})

    assert called == [CONFIRM_URL]
    assert DeliveryReport.objects.count() == 0


def test_sns_that_cannot_be_reached_is_asked_again_later(monkeypatch):
    def unreachable(_url):
        raise OSError("timed out")

    monkeypatch.setattr(delivery_hooks, "certificate", unreachable)

    assert post(sample("amazon_ses-01.json")).status_code == 503
    assert not IncomingReport.objects.exists()


def test_a_report_above_the_bound_is_refused_unread(monkeypatch):
    monkeypatch.setattr(policy, "MAIL", policy.Mail(report_kilobytes=1))
    event = sample("postmark-01.json")
    event["body"]["Details"] = "x" * 1_000

    answer = post(event)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert not IncomingReport.objects.exists()


@pytest.mark.parametrize("provider", ["mandrill", "nobody"])
def test_a_provider_without_a_secret_has_no_hook(client, provider):
    assert client.post(f"/hooks/delivery/{provider}", "{}", content_type="application/json").status_code == 404
    assert client.get("/hooks/delivery/postmark").status_code == 405
    assert client.head("/hooks/delivery/postmark").status_code == 200


# --- what else they tell ---------------------------------------------------------------------------


def sendgrid(*events):
    return {"esp": "sendgrid", "content_type": "application/json", "body": list(events)}


def test_opens_and_clicks_become_activities_once_and_a_machine_is_marked():
    mail = of({"recipient": "j@klant.example", "message_id": "<m1@quorum.example>"}, delivered_at=AT)
    usual = {"email": "j@klant.example", "smtp-id": "<m1@quorum.example>", "timestamp": int(AT.timestamp())}
    events = [
        usual | {"event": "open", "sg_event_id": "o1", "useragent": "Firefox"},
        usual | {"event": "open", "sg_event_id": "o2", "sg_machine_open": True},
        usual | {"event": "click", "sg_event_id": "c1", "url": "https://quorum.example/prijs"},
        usual | {"event": "click", "sg_event_id": "c2", "email": "other@klant.example"},
        usual | {"event": "processed", "sg_event_id": "p1"},
    ]
    post(sendgrid(*events))
    post(sendgrid(*events[:2]))
    work()

    found = Activity.objects.order_by("pk").values_list("kind", "contact", "link", "machine_reason", "source")
    assert [row[0] for row in found] == ["email_open", "email_open", "email_click"]
    assert {row[1] for row in found} == {mail.contact_id}
    assert (found[1][3], found[2][2], found[2][4]) == ("mail_proxy", "https://quorum.example/prijs", "sendgrid")
    assert not DeliveryReport.objects.exists()


def test_a_batch_of_many_arrivals_and_opens_takes_as_many_statements_as_one_of_few():
    def statements(count):
        sent = [DeliveryFactory(message_id=f"<{count}-{n}@quorum.example>", sent_at=AT, delivered_at=None) for n in range(count)]
        events = [
            {"email": one.address, "smtp-id": one.message_id, "event": word, "sg_event_id": f"{word}{one.pk}", "timestamp": int(AT.timestamp())}
            for one in sent for word in ("delivered", "open")
        ]  # fmt: skip
        incoming_reports.store(source="sendgrid", body=json.dumps(events).encode(), at=AT)
        with CaptureQueriesContext(connection) as asked:
            work()
        assert {Delivery.objects.get(pk=one.pk).delivered_at for one in sent} == {AT}
        return len(asked)

    assert statements(3) == statements(40)
    assert Activity.objects.filter(kind="email_open").count() == 43


def test_a_complaint_and_an_unsubscription_end_our_mail_to_that_address_only_if_it_was_ours():
    of({"recipient": "j@klant.example", "message_id": "<m1@quorum.example>"})
    usual = {"smtp-id": "<m1@quorum.example>", "timestamp": int(AT.timestamp())}
    post(
        sendgrid(
            usual | {"event": "spamreport", "sg_event_id": "s1", "email": "j@klant.example"},
            usual | {"event": "unsubscribe", "sg_event_id": "u1", "email": "j@klant.example"},
            usual | {"event": "spamreport", "sg_event_id": "s2", "email": "k@klant.example"},
        )
    )
    work()

    found = Suppression.objects.order_by("reason").values_list("address", "reason")
    assert list(found) == [("j@klant.example", "complained"), ("j@klant.example", "opted_out")]
    assert set(DeliveryReport.objects.values_list("outcome", flat=True)) == {"not_a_bounce"}


def test_an_open_of_a_mail_to_several_people_is_nobodys():
    event = sample("amazon_ses-01.json")
    message = json.loads(event["body"]["Message"])
    message["mail"]["destination"] = ["p.vermeulen@staalbouw-kempen.example", "x@staalbouw-kempen.example"]
    message |= {"notificationType": "Open", "open": {"userAgent": "Firefox"}}
    of(LABELS["amazon_ses-01.json"][0])
    event["body"]["Message"] = json.dumps(message)
    post(event)
    work()

    assert not Activity.objects.exists()


def test_ses_knows_our_mail_by_its_return_path_and_message_id():
    event = sample("amazon_ses-01.json")
    recipient = LABELS["amazon_ses-01.json"][0]["recipient"]
    mail = DeliveryFactory(contact=ContactFactory(email=recipient), message_id="<34920fbd01f40072e3cf@noordlicht-abm.example>", sent_at=AT)

    post(event)
    work()

    assert DeliveryReport.objects.get().delivery == mail
