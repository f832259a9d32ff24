"""The doors at which mail providers report: who may knock, and what they say; anymail knows their forms."""

import json
import urllib.request
import warnings
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn

from anymail.exceptions import AnymailError, AnymailNotSupportedWarning, AnymailWebhookValidationFailure
from anymail.webhooks.amazon_ses import AmazonSESBaseWebhookView, AmazonSESTrackingWebhookView
from anymail.webhooks.brevo import BrevoTrackingWebhookView
from anymail.webhooks.mailgun import MailgunTrackingWebhookView
from anymail.webhooks.postmark import PostmarkTrackingWebhookView
from anymail.webhooks.sendgrid import SendGridTrackingWebhookView
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from crm import errors
from crm.bounce_providers import esp_events, sns

warnings.filterwarnings("ignore", category=AnymailNotSupportedWarning)

SECONDS, CERTIFICATE_BYTES = 5, 20_000


class SesTrackingView(AmazonSESTrackingWebhookView):
    """Notifications of SES through SNS: instead of a secret in the address, the topic and Amazon's signature vouch for them."""

    warn_if_no_basic_auth = False

    def __init__(self, *, topics: Iterable[str]) -> None:
        self.topics = frozenset(topics)
        # Its own __init__ asks for boto3, with which anymail would confirm subscriptions.
        super(AmazonSESBaseWebhookView, self).__init__(webhook_secret=[])

    def validate_request(self, request: HttpRequest) -> None:
        """Refuse what is not of a topic of ours, or not signed by SNS."""
        message = self._parse_sns_message(request)
        if message.get("TopicArn") not in self.topics:
            raise AnymailWebhookValidationFailure("This topic is not one of SES_TOPICS.")
        url = message.get("SigningCertURL")
        if not sns.is_certificate_url(url) or not sns.is_signed(message, certificate(url), at=datetime.now(UTC)):  # noqa: TID251  certificates run out
            raise AnymailWebhookValidationFailure("The signature is not one of SNS.")


_VIEWS: dict[str, Any] = {
    "amazon_ses": SesTrackingView,
    "sendgrid": SendGridTrackingWebhookView,
    "mailgun": MailgunTrackingWebhookView,
    "postmark": PostmarkTrackingWebhookView,
    "brevo": BrevoTrackingWebhookView,
}
PROVIDERS = tuple(_VIEWS)
# What parsing something else than a provider's event can run into.
_UNREADABLE = (AnymailError, LookupError, TypeError, ValueError, AttributeError, RecursionError, OverflowError)


def check(provider: str, request: HttpRequest, *, secrets: Mapping[str, Any]) -> None:
    """Check who sends a report, before anybody reads it; raise NotAllowed for a wrong secret or signature, Invalid for no report."""
    try:
        view = _VIEWS[provider](**secrets)
        json.loads(request.body)
        view.run_validators(request)
    except AnymailWebhookValidationFailure as error:
        raise errors.NotAllowed(_("This report is not signed with our secret.")) from error
    except _UNREADABLE as error:
        raise errors.Invalid(_("This is no report of this provider.")) from error


def read(provider: str, body: bytes) -> list[esp_events.Heard]:
    """Read what a report says, recipient by recipient; raise Invalid for what is no report of this provider."""
    request = HttpRequest()
    request._body, request.content_type = body, "application/json"
    # The door has let it in: reading needs none of the secrets that making a view asks for.
    view = _VIEWS[provider].__new__(_VIEWS[provider])
    try:
        if provider == "amazon_ses" and json.loads(body)["Type"] != "Notification":
            return []
        events = view.parse_events(request)
        heard = [esp_events.read(provider, event) for event in events]
    except _UNREADABLE as error:
        raise errors.Invalid(_("This is no report of this provider.")) from error
    # SNS tells once that it works, of nobody's mail.
    if (not heard and provider != "amazon_ses") or any(not one.report.recipient and one.happened == "unknown" for one in heard):
        raise errors.Invalid(_("This is no report of this provider."))
    return heard


def id_of(provider: str, body: bytes) -> str:
    """Give what makes a report one report at a provider that says so; else nothing, and its digest does."""
    said = json.loads(body)
    if provider == "amazon_ses":
        return str(said["MessageId"])
    # Mailgun signs the token, not the body: the same token again is a replay, whatever it says.
    return str(said["signature"]["token"]) if provider == "mailgun" else ""


# --- Amazon SNS ------------------------------------------------------------------------------------


def subscription_of(provider: str, body: bytes) -> str:
    """Give the address that confirms a subscription, for a message that asks for it and was let in; else nothing."""
    message = json.loads(body) if provider == "amazon_ses" else {}
    url = message.get("SubscribeURL") if message.get("Type") == "SubscriptionConfirmation" else None
    return url if isinstance(url, str) and sns.is_confirmation_url(url) else ""


def confirm_subscription(url: str) -> None:
    """Tell SNS that we want the reports of a topic; raise OSError when it does not answer."""
    if not sns.is_confirmation_url(url):
        raise ValueError(url)
    _get(url)


@lru_cache(maxsize=8)
def certificate(url: str) -> bytes:
    """Fetch a certificate of SNS, once in a process's life; raise OSError when it cannot be had."""
    if not sns.is_certificate_url(url):
        raise ValueError(url)
    return _get(url)


class _NoWayRound(urllib.request.HTTPRedirectHandler):
    """Follow nobody: an address that was checked may not lead to one that was not."""

    def redirect_request(self, *_answer: object) -> NoReturn:
        raise OSError("SNS sent us elsewhere.")


def _get(url: str) -> bytes:
    # Proxies of the environment are honoured: there may be no other way out.
    opener = urllib.request.build_opener(_NoWayRound)
    with opener.open(url, timeout=SECONDS) as answer:
        return bytes(answer.read(CERTIFICATE_BYTES))
