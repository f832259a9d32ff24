"""The score of the last months as a small line, drawn on the server, with the same in words."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from abm.models import EngagementScore
from crm.models import Account

DAYS = 90
WIDTH, HEIGHT, EDGE = 240, 44, 3


class Point(NamedTuple):
    """The score of one day."""

    day: date
    score: float


def of_account(account: Account, *, today: date) -> list[Point]:
    """Read the scores of the last days, the oldest first; one query."""
    rows = EngagementScore.objects.filter(account=account, day__gt=today - timedelta(days=DAYS), day__lte=today).order_by("day")
    return [Point(day, float(score)) for day, score in rows.values_list("day", "score")]


def draw(points: Sequence[Point], *, today: date) -> SafeString:
    """Draw the line over the whole period, between its lowest and its highest score; nothing for fewer than two days."""
    if len(points) < 2:
        return SafeString("")
    scores = [point.score for point in points]
    # A few points of change must show, yet a still account must look still.
    low, high = max(0.0, min(scores) - 10), max(scores) + 2
    places = [(_across(point.day, today), _down((point.score - low) / (high - low))) for point in points]
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    (first, _y), (last, height) = places[0], places[-1]
    ground = f"{first:.1f},{HEIGHT} {drawn} {last:.1f},{HEIGHT}"
    return format_html(
        '<svg class="q-spark" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>'
        '<polygon points="{}"/><polyline points="{}"/><circle cx="{}" cy="{}" r="2.5"/></svg>',
        *(WIDTH, HEIGHT, in_words(points), in_words(points), ground, drawn, f"{last:.1f}", f"{height:.1f}"),
    )


def _across(day: date, today: date) -> float:
    return EDGE + (WIDTH - 2 * EDGE) * (1 - (today - day).days / (DAYS - 1))


def _down(share: float) -> float:
    return HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * share


def in_words(points: Sequence[Point]) -> str:
    """Say what the line shows."""
    first, last, best = points[0], points[-1], max(points, key=lambda point: point.score)
    said = _("Score from %(first)s on %(first_day)s to %(last)s on %(last_day)s; the highest was %(best)s on %(best_day)s.")
    figures = {name: number_format(point.score, 1) for name, point in (("first", first), ("last", last), ("best", best))}
    days = {f"{name}_day": date_format(point.day, "j F") for name, point in (("first", first), ("last", last), ("best", best))}
    return str(said % (figures | days))
