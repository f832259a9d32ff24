"""What a provider's event comes to mean: the receiving server's words first, the provider's category last. No database."""

import copy
import json
from pathlib import Path

import pytest

from crm import delivery_hooks, errors, return_path

DATA = Path(__file__).resolve().parents[1] / "data" / "esp_events" / "json"
SAMPLES = sorted(DATA.glob("*.json"))
GONE, TO = "550 5.1.1 <j@k.example>: Recipient address rejected: User unknown", "j@k.example"


def heard(provider, event):
    return delivery_hooks.read(provider, json.dumps(event).encode())


def label(provider, event):
    (one,) = heard(provider, event)
    return one.report.label


def ses(kind, **facts):
    message = {"notificationType": kind, "mail": {"messageId": "1", "destination": [TO, "other@k.example"]}} | facts
    return {"Type": "Notification", "MessageId": "n1", "Message": json.dumps(message)}


def ses_bounce(kind, sub, **recipient):
    return ses("Bounce", bounce={"bounceType": kind, "bounceSubType": sub, "bouncedRecipients": [{"emailAddress": TO} | recipient]})


def mailgun(severity, reason, code, text):
    data = {
        "event": "failed",
        "severity": severity,
        "reason": reason,
        "recipient": TO,
        "timestamp": 1,
        "delivery-status": {"code": code, "message": text},
    }
    return {"signature": {"token": "t"}, "event-data": data}


def postmark(kind, details="", record="Bounce", **facts):
    return {"RecordType": record, "Type": kind, "Email": TO, "Details": details, "ID": 1} | facts


def brevo(event, reason=""):
    return {"event": event, "email": TO, "reason": reason}


def sendgrid(event, **facts):
    return [{"event": event, "email": TO} | facts]


@pytest.mark.parametrize(
    ("provider", "event", "expected"),
    [
        # the words of the receiving server decide, whatever the provider calls it
        ("amazon_ses", ses_bounce("Transient", "General", diagnosticCode=f"smtp; {GONE}"), "person_gone"),
        ("amazon_ses", ses_bounce("Permanent", "General", diagnosticCode="smtp; 550 5.7.1 blocked using zen.spamhaus.org"), "blocked_policy"),
        ("amazon_ses", ses_bounce("Permanent", "General", status="5.2.2", diagnosticCode="smtp; 552 5.2.2 mailbox full"), "mailbox_full"),
        ("sendgrid", sendgrid("deferred", response=GONE), "person_gone"),
        ("sendgrid", sendgrid("bounce", type="bounce", bounce_classification="Invalid Address", reason="552 5.2.2 over quota"), "mailbox_full"),
        ("mailgun", mailgun("temporary", "generic", 550, GONE), "person_gone"),
        ("mailgun", mailgun("permanent", "generic", 421, "4.7.0 Try again later, greylisted"), "temporary"),
        ("postmark", postmark("HardBounce", "smtp;552 5.2.2 The email account is over quota"), "mailbox_full"),
        ("postmark", postmark("SoftBounce", f"smtp;{GONE}"), "person_gone"),
        ("brevo", brevo("deferred", GONE), "person_gone"),
        ("brevo", brevo("blocked", GONE), "person_gone"),
        # what was not even tried is no evidence, though it quotes an old one
        ("amazon_ses", ses_bounce("Permanent", "OnAccountSuppressionList", status="5.1.1", diagnosticCode="on the suppression list"), "other"),
        ("sendgrid", sendgrid("dropped", reason="Bounced Address", status="5.1.1"), "other"),
        ("mailgun", mailgun("permanent", "suppress-bounce", 605, "Not delivering to previously bounced address"), "other"),
        ("postmark", postmark("ManuallyDeactivated"), "other"),
        ("postmark", postmark("", record="SubscriptionChange", SuppressSending=True, SuppressionReason="HardBounce"), "other"),
        ("brevo", brevo("blocked", "blocked : due to blacklist user"), "other"),
        # without a word of the receiving server nobody is gone
        ("amazon_ses", ses_bounce("Permanent", "General"), "other"),
        ("amazon_ses", ses_bounce("Undetermined", "Undetermined"), "other"),
        ("amazon_ses", ses_bounce("Transient", "MailboxFull"), "mailbox_full"),
        ("amazon_ses", ses_bounce("Transient", "MessageTooLarge"), "content"),
        ("postmark", postmark("HardBounce"), "other"),
        ("postmark", postmark("Transient"), "temporary"),
        ("brevo", brevo("hard_bounce"), "other"),
        ("sendgrid", sendgrid("bounce", type="bounce", bounce_classification="Invalid Address"), "other"),
        ("mailgun", mailgun("permanent", "old", 602, ""), "temporary"),
        # what is no bounce at all
        ("postmark", postmark("AutoResponder", "I no longer work here"), "not_a_bounce"),
        ("postmark", postmark("SpamComplaint", record="SpamComplaint"), "not_a_bounce"),
        ("brevo", brevo("spam"), "not_a_bounce"),
        ("brevo", brevo("delivered"), "not_a_bounce"),
        ("sendgrid", sendgrid("open"), "not_a_bounce"),
        # a filter that took it for spam is no complaint of the person
        ("postmark", postmark("SpamNotification"), "blocked_policy"),
        ("postmark", postmark("AddressChange", "Please write to j@new.example"), "mailbox_moved"),
    ],
)  # fmt: skip
def test_an_event_means(provider, event, expected):
    assert label(provider, event) == expected


def test_ses_speaks_only_of_who_bounced_and_of_who_is_held_up():
    (bounced,) = heard("amazon_ses", ses_bounce("Permanent", "General", diagnosticCode=GONE))
    delayed = heard("amazon_ses", ses("DeliveryDelay", deliveryDelay={"delayedRecipients": [{"emailAddress": TO, "status": "4.4.1"}]}))

    assert (bounced.report.recipient, bounced.report.flag_job_change) == (TO, True)
    assert [(one.report.recipient, one.happened, one.report.label) for one in delayed if one.happened != "ignored"] == [
        (TO, "", "temporary")
    ]


LEFT = "I no longer work here. Please write to Jan Smit, j.smit@b.example."
AWAY = "I am away until 3 June. Please write to Jan Smit, j.smit@b.example."


def answer(text, sender=TO):
    return f"From: Ann <{sender}>\r\nSubject: Automatic reply: Offer\r\nAuto-Submitted: auto-replied\r\n\r\n{text}\r\n"


@pytest.mark.parametrize(
    ("facts", "left", "successor"),
    [
        ({"details": LEFT}, True, "j.smit@b.example"),
        ({"details": AWAY}, False, ""),
        ({"Content": answer(LEFT), "details": "cut off"}, True, "j.smit@b.example"),
        ({"Content": answer(AWAY)}, False, ""),
        ({"Content": answer(LEFT, sender="somebody@else.example")}, False, ""),
        ({"kind": "HardBounce", "Content": answer(LEFT)}, False, ""),
    ],
)
def test_an_automatic_reply_that_an_event_carries_says_who_left(facts, left, successor):
    (one,) = heard("postmark", postmark(facts.pop("kind", "AutoResponder"), **facts))

    assert (one.report.flag_job_change, one.report.successor_email) == (left, successor)
    assert one.report.recipient == TO


def test_unknown_for_now_while_the_provider_goes_on_trying_is_temporary():
    assert label("sendgrid", sendgrid("deferred", response="450 4.1.1 User unknown")) == "temporary"
    assert label("sendgrid", sendgrid("bounce", reason="450 4.1.1 User unknown")) == "person_gone"


def test_the_return_path_of_the_mail_names_it():
    token = return_path.make_token(TO)
    event = ses_bounce("Permanent", "General", diagnosticCode=GONE)
    message = json.loads(event["Message"])
    message["mail"]["source"] = f"bounces+{token}@q.example"

    (one,) = heard("amazon_ses", event | {"Message": json.dumps(message)})

    assert one.report.return_token == token


def test_a_subscription_is_no_report():
    assert heard("amazon_ses", {"Type": "SubscriptionConfirmation", "MessageId": "1"}) == []


def ways_to_spoil(value):
    """Give a value with each of its parts once missing or replaced by something odd."""
    if isinstance(value, dict):
        for name in value:
            yield {key: one for key, one in value.items() if key != name}
            for odd in (None, 7, [], {}, "x", -1e30):
                yield value | {name: odd}
            yield from (value | {name: spoiled} for spoiled in ways_to_spoil(value[name]))
    elif isinstance(value, list) and value:
        yield from ([spoiled, *value[1:]] for spoiled in ways_to_spoil(value[0]))


@pytest.mark.parametrize("sample", SAMPLES[::3], ids=lambda path: path.stem)
def test_whatever_is_odd_in_an_event_it_is_read_or_refused(sample):
    event = json.loads(sample.read_text())
    body, is_ses = event["body"], event["esp"] == "amazon_ses"
    inner = json.loads(body["Message"]) if is_ses else copy.deepcopy(body)
    for spoiled in ways_to_spoil(inner):
        said = json.dumps(body | {"Message": json.dumps(spoiled)} if is_ses else spoiled).encode()
        try:
            read = delivery_hooks.read(event["esp"], said)
        except errors.Invalid:
            continue
        assert all(isinstance(one.report.recipient, str) for one in read)
