"""What the theme draws anew for every row of a list, drawn once: headers, check boxes and names were half of a row's time."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from unfold.admin import checkbox
from unfold.templatetags import unfold_list

# Stands for a row's key in what is drawn once.
PLACE = "999000999"
_NAME = '<span class="flex flex-col text-right lg:text-left"><strong class="block font-normal">{}</strong>{}</span>'
_draw_headers = unfold_list.result_headers


def headers(shown: Any) -> Iterable[dict[str, Any]]:
    """Give the headers of a list, made and translated once: the theme asks for them again to label the cells of each row."""
    drawn: list[dict[str, Any]] = shown.__dict__.setdefault("drawn_headers", [])
    if not drawn:
        drawn.extend(header | {"text": conditional_escape(header["text"])} for header in _draw_headers(shown))
    return drawn


def check_box(pk: object) -> SafeString:
    """Draw the box that picks a row for an action."""
    return with_key(_check_box(get_language() or ""), pk)


def with_key(drawn: str, pk: object) -> SafeString:
    """Put a row's key into what was drawn once for every row."""
    return SafeString(drawn.replace(PLACE, str(pk)))


def name_of(value: Sequence[Any], _empty: str) -> SafeString:
    """Draw what a row is called, and in a line below what tells it from others."""
    below = format_html('<p class="text-base-500">{}</p>', value[1]) if value[1] else ""
    return format_html(_NAME, value[0], below)


@cache
def _check_box(_language: str) -> str:
    return str(checkbox.render(ACTION_CHECKBOX_NAME, PLACE))


unfold_list.result_headers = headers
unfold_list.display_for_header = name_of
