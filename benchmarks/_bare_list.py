"""The product with one address more: the same rows by the same SQL, in a view of five lines, for benchmarks/api_lists.py."""

import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import orjson
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

STATEMENTS: dict[str, str] = json.loads(Path(os.environ["BARE_STATEMENTS"]).read_text())
settings.ROOT_URLCONF = __name__
application = get_wsgi_application()

from config.urls import urlpatterns as every_address  # noqa: E402


def bare(_request: HttpRequest, name: str) -> HttpResponse:
    """Answer the rows of a statement: no key, no rights, no filters."""
    with connection.cursor() as cursor:
        cursor.execute(STATEMENTS[name])
        names = [column[0] for column in cursor.description or ()]
        rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return HttpResponse(orjson.dumps({"next": None, "results": rows[:50]}, default=str), content_type="application/json")


urlpatterns = [path("bare/<name>", bare), *every_address]
