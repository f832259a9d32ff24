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
    except errors.CrmError as error:
        status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 400)
        # No error of ours, but whoever entered the secret looks for it.
        logger.warning("A report of %s was refused: %s %s", provider, error, error.__cause__ or "")
        return _refusal(status, error.code, str(error))
    except OSError as error:
        logger.warning("A report of %s waits, because SNS cannot be reached: %s", provider, error)
        return _refusal(503, "try_again", "The signature cannot be checked now.")


_STATUS: dict[type[errors.CrmError], int] = {errors.TooLarge: 413, errors.NotAllowed: 401}


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
