"""A refused request is one line in the log, and an error of ours keeps its traceback."""

import logging

import pytest
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.utils.log import log_response

from config.logs import without_secrets


def logged(status: int) -> list[str]:
    """Give what Django itself logs of an answer with this status, which an exception led to."""
    lines: list[str] = []
    ours, heard = logging.getLogger("django.request"), logging.Handler()
    heard.emit = lambda line: lines.append(f"{line.levelname} {line.getMessage()} {bool(line.exc_info)}")
    ours.addHandler(heard)
    try:
        log_response("No: %s", "/admin/", response=HttpResponse(status=status), exception=PermissionDenied())
    finally:
        ours.removeHandler(heard)
    return lines


@pytest.mark.parametrize("status", [400, 403, 404, 405, 499])
def test_django_adds_no_line_of_its_own_to_a_refusal(status):
    assert logged(status) == []


def test_an_error_of_ours_is_logged_with_its_traceback():
    assert logged(500) == ["ERROR No: /admin/ True"]


@pytest.mark.parametrize("secret", ["/details/Wzg1:1xV:j4R_-", "/admin/password-reset/MQ/abc-def/"])
def test_addresses_that_are_as_good_as_a_key_are_not_logged(secret):
    line = without_secrets(None, "warning", {"request": f"GET {secret}?lang=nl", "code": 404})
    assert line["request"] in ("GET /details/…?lang=nl", "GET /admin/password-reset/…?lang=nl")
    assert line["code"] == 404
