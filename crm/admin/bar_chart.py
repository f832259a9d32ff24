"""Bars over days, stacked by kind, drawn on the server: the same is said in words, and stands in a table beside it."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 180, 34, 16, 26


class Bar(NamedTuple):
    """One day's counts by kind, the kind that stands lowest first."""

    day: date
    counts: Mapping[str, int]


def draw(bars: Sequence[Bar], *, words: str) -> SafeString:
    """Draw the bars against a scale that ends above the highest; `words` says what they show."""
    top = scale_end(max((sum(bar.counts.values()) for bar in bars), default=0))
    step = (WIDTH - LEFT) / max(1, len(bars))
    drawn = format_html_join("", "{}", ((_bar(bar, LEFT + number * step, step, top),) for number, bar in enumerate(bars)))
    named = [(LEFT + number * step + step / 2, bar.day) for number, bar in enumerate(bars) if number % 7 == 3]
    days = format_html_join("", "{}", ((_day(day, middle),) for middle, day in named))
    lines = format_html_join(
        "",
        '<line x1="{}" x2="{}" y1="{}" y2="{}"/><text x="{}" y="{}" text-anchor="end">{}</text>',
        ((LEFT, WIDTH, y, y, LEFT - 6, f"{y + 4:.1f}", value) for value in (0, top // 2, top) for y in [_down(value, top)]),
    )
    return format_html(
        '<svg class="q-bars" viewBox="0 0 {} {}" role="img" aria-label="{}"><g class="q-scale">{}{}</g>{}</svg>',
        *(WIDTH, HEIGHT, words, lines, days, drawn),
    )


def scale_end(highest: int) -> int:
    """Give the even round number at which the scale ends: 2, 4, 10, 20, 40, 100 and so on."""
    end = 2
    while end < highest:
        end = end * 5 // 2 if str(end)[0] == "4" else end * 2
    return end


def _bar(bar: Bar, left: float, step: float, top: int) -> SafeString:
    parts, below = [], 0
    for kind, count in bar.counts.items():
        if count:
            y, height = _down(below + count, top), _down(below, top) - _down(below + count, top)
            parts.append((kind, f"{left + step * 0.15:.1f}", f"{y:.1f}", f"{step * 0.7:.1f}", f"{height:.1f}"))
            below += count
    return format_html_join("", '<rect class="q-of-{}" x="{}" y="{}" width="{}" height="{}"/>', parts)


def _day(day: date, middle: float) -> SafeString:
    return format_html(
        '<text x="{}" y="{}" text-anchor="middle">{}</text>', f"{middle:.1f}", HEIGHT - 5, date_format(day, "MONTH_DAY_FORMAT")
    )


def _down(count: float, top: int) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * count / top
