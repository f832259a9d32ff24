"""What the frame of a list offers - colleagues, teams, industries, saved views - read in one query per page."""

from collections import defaultdict
from typing import Any

from django.db import connection
from django.db.models import Model
from django.http import HttpRequest

from crm.models import Account, Opportunity
from crm.models.users import Sight, sight

PEOPLE, TEAMS, INDUSTRIES, PRODUCTS = 200, 100, 200, 100

# Each part gives: what, id, three texts, position, team, owner.
_PEOPLE = f"""
    SELECT 'person', id, first_name, last_name, username, 0, team_id, id
    FROM crm_user WHERE is_active AND (%(every)s OR id = %(user)s OR team_id = %(team)s)
    ORDER BY first_name, last_name, username LIMIT {PEOPLE}
"""  # noqa: S608
_TEAMS = f"""
    SELECT 'team', id, name, '', '', 0, id, CAST(NULL AS bigint) FROM crm_team WHERE %(every)s OR id = %(team)s ORDER BY name LIMIT {TEAMS}
"""  # noqa: S608
# Walks the index from one industry to the next: a DISTINCT would read every account.
_INDUSTRIES = f"""
    WITH RECURSIVE walk(industry) AS (
        SELECT min(industry) FROM crm_account WHERE industry > ''
        UNION ALL
        SELECT (SELECT min(industry) FROM crm_account WHERE industry > walk.industry) FROM walk WHERE walk.industry IS NOT NULL
    )
    SELECT 'industry', CAST(NULL AS bigint), industry, '', '', 0, CAST(NULL AS bigint), CAST(NULL AS bigint)
    FROM walk WHERE industry IS NOT NULL LIMIT {INDUSTRIES}
"""  # noqa: S608
_PRODUCTS = f"""
    SELECT 'product', id, name, '', '', 0, CAST(NULL AS bigint), CAST(NULL AS bigint) FROM crm_product ORDER BY name LIMIT {PRODUCTS}
"""  # noqa: S608
_VIEWS = """
    SELECT 'view', id, name, query, '', position, team_id, owner_id FROM crm_savedview
    WHERE page = %(page)s AND (owner_id = %(user)s OR team_id = %(team)s) ORDER BY position, id LIMIT 60
"""

OF_A_LIST: dict[type[Model], list[str]] = {Account: [_INDUSTRIES], Opportunity: [_PRODUCTS]}


def offered(request: HttpRequest, model: type[Model]) -> dict[str, list[dict[str, Any]]]:
    """Give rows by what they are: 'person', 'team', 'view', and 'industry' or 'product' where the list has it; read once per request."""
    read = request.__dict__.setdefault("offered", {})
    if model not in read:
        read[model] = _read(request, model)
    return read[model]


def _read(request: HttpRequest, model: type[Model]) -> dict[str, list[dict[str, Any]]]:
    parts = [_PEOPLE, _TEAMS, _VIEWS, *OF_A_LIST.get(model, [])]
    facts = {
        "every": sight(request.user) is Sight.ALL,
        "user": request.user.pk,
        "team": getattr(request.user, "team_id", None),
        "page": model._meta.label_lower,
    }
    rows = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"SELECT * FROM ({part}) AS part{number}" for number, part in enumerate(parts)), facts)  # noqa: S608
        for what, *row in cursor.fetchall():
            rows[what].append(dict(zip(("id", "a", "b", "c", "position", "team", "owner"), row, strict=True)))
    return rows


def people(request: HttpRequest, model: type[Model]) -> list[tuple[str, str]]:
    """Give colleagues as choices, by name."""
    return [(str(row["id"]), " ".join(filter(None, [row["a"], row["b"]])) or row["c"]) for row in offered(request, model)["person"]]


def teams(request: HttpRequest, model: type[Model]) -> list[tuple[str, str]]:
    """Give teams as choices, by name."""
    return [(str(row["id"]), row["a"]) for row in offered(request, model)["team"]]


def industries(request: HttpRequest, model: type[Model]) -> list[tuple[str, str]]:
    """Give the industries of all accounts as choices."""
    return [(row["a"], row["a"]) for row in offered(request, model)["industry"]]


def products(request: HttpRequest, model: type[Model]) -> list[tuple[str, str]]:
    """Give our products as choices, by name."""
    return [(str(row["id"]), row["a"]) for row in offered(request, model)["product"]]
