"""Every page of the admin, read as a Dutch reader reads it: no English, no number or day written as English writes it."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client
from django.utils.text import capfirst

from crm.models import Account, User
from tests.doors.admin_pages import MAKERS
from tests.doors.every_address import Address, every_address
from tests.doors.test_dutch import CATALOGUES, CONTEXT, PLACEHOLDER, compiled
from tests.factories.crm import AccountFactory

READ_ALOUD = {"aria-label", "aria-description", "title", "placeholder", "alt", "data-label", "data-moving", "data-failed", "data-too-large"}
UNREAD = {"script", "style", "code", "kbd", "pre", "textarea", "svg"}
# Words of an English sentence that no Dutch one has.
ENGLISH = re.compile(r"\b(the|and|with|this|that|not|your|you|from|which|there|cannot|they|been|has|must|may not)\b", re.IGNORECASE)
# 1,234 or 12.5 or 2026-03-01 or Mar 9: how Dutch writes no number and no day. Telephone numbers and versions have more dots or digits.
FOREIGN = re.compile(
    r"(?<![\w.,/+-])(\d{1,3},\d{3}|\d+\.\d{1,2}|\d{4}-\d\d-\d\d)(?![\w.,-])|\b\d{1,2} (Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b"
)
# What machines read.
NO_PAGES = {"jsi18n", "crm_person_export"}
# The schedule of the worker is left out: its package marks half of its words for nobody to translate.
# A language is named in its own words, and a permission as the database keeps it.
RIGHT = re.compile(r"^English$|\| Can [a-z]")
GROUPS: dict[str, list[Address]] = {}
for each in every_address():
    if each.route.startswith("admin/") and each.name not in NO_PAGES and "django_celery_beat" not in each.route:
        GROUPS.setdefault(each.model._meta.label if each.model else "no model", []).append(each)


class Reader(HTMLParser):
    """Collect what a page says, to eyes and to ears, in pieces; the names of icons, and what only machines read, left out."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.unread: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = {name: value or "" for name, value in attrs}
        self.pieces += [facts[name] for name in READ_ALOUD & set(facts)]
        is_unread = tag in UNREAD or "material-symbols" in facts.get("class", "") or facts.get("translate") == "no"
        if tag not in ("input", "img", "br", "hr", "link", "meta", "path") and (self.unread or is_unread):
            self.unread.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.unread:
            del self.unread[len(self.unread) - 1 - self.unread[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        if not self.unread:
            self.pieces.append(data)


def pieces_of(html: str) -> list[str]:
    reader = Reader()
    reader.feed(html)
    return [piece for each in reader.pieces if (piece := " ".join(each.split()))]


def english() -> dict[str, str]:
    """Map each English text without facts in it to its Dutch, where that differs."""
    found: dict[str, str] = {}
    for path in CATALOGUES:
        found |= {key.partition(CONTEXT)[2] or key: text for key, text in compiled(path).items() if isinstance(key, str)}
    dutch = {text.casefold() for text in found.values()}
    return {
        capfirst(key): text
        for key, text in found.items()
        # one word can be English for one thing and Dutch for another: 'later', 'import'
        if not PLACEHOLDER.search(key) and key.casefold() not in dutch
    }


def strange(piece: str, known: dict[str, str]) -> bool:
    if RIGHT.search(piece):
        return False
    text = capfirst(piece.rstrip(" :…"))
    return text in known or capfirst(piece) in known or bool(ENGLISH.search(piece) or FOREIGN.search(piece))


@pytest.fixture
def dutch_admin(admin_user: User) -> Client:
    admin_user.groups.add(Group.objects.get(name="sales rep"))
    client = Client(headers={"accept-language": "nl"})
    client.force_login(admin_user)
    return client


@pytest.fixture
def records(admin_user: User) -> dict[type[Model], Model]:
    account: Account = AccountFactory(owner=admin_user, team=admin_user.team)
    return {model: make(account) for model, make in MAKERS.items()}


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_page_says_nothing_in_english(group: str, dutch_admin: Client, records: dict[type[Model], Model]) -> None:
    known = english()
    said: dict[str, list[str]] = {}
    for address in GROUPS[group]:
        page = dutch_admin.get(address.filled(records))
        if page.status_code in (200, 403, 404) and page.headers["Content-Type"].startswith("text/html"):
            said[str(address)] = pieces_of(page.text)

    assert said
    assert {name: wrong for name, pieces in said.items() if (wrong := [piece for piece in pieces if strange(piece, known)])} == {}


# --- what no page need be opened for -----------------------------------------------------------------

MARKED = re.compile(r"{%\s*(blocktrans\w*).*?%}.*?{%\s*end\1\s*%}|{%.*?%}|{{.*?}}|{#.*?#}", re.DOTALL)


def unmarked(source: str) -> Iterator[str]:
    """Give the words of a template that no tag marks for translation."""
    for piece in pieces_of(MARKED.sub("", source)):
        if re.search(r"[A-Za-z]{2}", piece):
            yield piece


def test_template_holds_no_word_that_cannot_be_translated() -> None:
    places = [path for folder in ("crm", "abm") for path in (settings.BASE_DIR / folder).glob("templates/**/*.*")]
    found = {path.name: words for path in places if (words := [*unmarked(path.read_text())])}

    # The product's own name, and what machines read: a header, and classes of the frame.
    assert {word for words in found.values() for word in words} <= {
        "| Quorum",
        "Authorization: Token …",
        "bg-base-50 login dark:bg-base-900 |",
    }


def test_script_says_nothing_of_its_own() -> None:
    """Sentences come to it through the page, in data-… attributes, where they are translated."""
    places: list[Path] = [path for folder in ("crm", "abm") for path in (settings.BASE_DIR / folder).glob("static/**/*.js")]
    code = "\n".join(re.sub(r"^\s*//.*", "", path.read_text(), flags=re.MULTILINE) for path in places)
    texts = set(re.findall(r'["`]([A-Za-z]+(?: [a-z]+){2,}[^"`]*)["`]', code))

    assert len(places) > 5
    assert {text for text in texts if ENGLISH.search(text)} == set()


def test_words_that_no_tag_marks_are_found() -> None:
    source = '<p title="A tip">{% trans "Good" %} bad <span class="material-symbols-outlined">call</span>{{ name }}</p>{# no #}'

    assert [*unmarked(source)] == ["A tip", "bad"]
