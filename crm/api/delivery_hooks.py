"""Where mail providers report what became of our mail: checked, stored and answered; the work is done behind the door."""

import logging
from functools import partial

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from crm import delivery_hooks, errors, incoming_reports, tasks

logger = logging.getLogger(__name__)


@csrf_exempt
@never_cache
@require_http_methods(["POST", "HEAD"])
def receive(request: HttpRequest, provider: str) -> HttpResponse:
    """Take a report in: 200 once it is stored, 401 for a wrong secret, 413 for too much, 400 for what cannot be read."""
    secrets = settings.DELIVERY_HOOKS.get(provider)
    if secrets is None:
        return _refusal(404, "no_such_hook", "No secret is set for this provider, so there is no hook.")
    if request.method == "HEAD":
        # Some providers try the address when it is entered.
        return HttpResponse()
    try:
        return _take(request, provider, secrets)
    except errors.TooLarge as error:
        return _refusal(413, error.code, str(error))
    except errors.NotAllowed as error:
        # A refusal is no error of ours, but whoever set the secret looks for it.
        logger.warning("A report of %s was refused: %s", provider, error.__cause__)
        return _refusal(401, "not_allowed", str(error))
    except errors.Invalid as error:
        return _refusal(400, error.code, str(error))
    except OSError as error:
        logger.warning("SNS cannot be reached: %s", error)
        return _refusal(503, "try_again", "The signature cannot be checked now.")


def _take(request: HttpRequest, provider: str, secrets: dict[str, object]) -> HttpResponse:
    length = request.headers.get("Content-Length") or "0"
    incoming_reports.refuse_too_large(int(length) if length.isdecimal() else 0)
    delivery_hooks.check(provider, request, secrets=secrets)
    if url := delivery_hooks.subscription_of(provider, request.body):
        delivery_hooks.confirm_subscription(url)
    elif delivery_hooks.read(provider, request.body):
        _store(provider, request.body)
    return HttpResponse()


@transaction.atomic
def _store(provider: str, body: bytes) -> None:
    external_id = delivery_hooks.id_of(provider, body)
    if incoming_reports.store(source=provider, external_id=external_id, body=body, at=timezone.now()):
        transaction.on_commit(partial(tasks.enqueue, tasks.read_reports))


def _refusal(status: int, code: str, message: str) -> HttpResponse:
    answer = JsonResponse({"code": code, "message": message, "detail": {}}, status=status)
    if status == 401:
        answer["WWW-Authenticate"] = 'Basic realm="Quorum"'
    return answer
