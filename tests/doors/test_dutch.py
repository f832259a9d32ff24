"""Every word that a user can see has its Dutch; nothing here needs the gettext tools."""

import ast
import re
from collections.abc import Iterator
from gettext import GNUTranslations
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.template.base import DebugLexer, TokenType
from django.test import Client
from django.utils import translation
from rest_framework.test import APIClient

from abm import icp
from config.language import PreferredLanguageMiddleware
from crm.errors import gate_sentence
from crm.models import Account, FollowUp, Opportunity, User
from tests.factories.crm import AccountFactory, MembershipFactory, OpportunityFactory

FOLDERS = ("crm", "abm", "config")
CATALOGUES = [settings.BASE_DIR / folder / "locale" / "nl" / "LC_MESSAGES" / "django.po" for folder in FOLDERS]
MARKS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy"}
PLACEHOLDER = re.compile(r"%\(\w+\)[sdf]|%[sd]|\{\w*\}")
IN_TAG = re.compile(r"""^(?:trans|translate)\s+("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
IN_VARIABLE = re.compile(r"""_\(("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\)""")
CONTEXT, PLURAL = "\x04", "\0"


# --- what is marked in the source --------------------------------------------------------------------


def marked() -> dict[str, str]:
    """Map each text that is marked for translation to a place where it stands."""
    found: dict[str, str] = {}
    for folder in FOLDERS:
        for path in sorted((settings.BASE_DIR / folder).rglob("*.py")):
            found |= dict.fromkeys(texts_of_module(path.read_text()), str(path.relative_to(settings.BASE_DIR)))
        for path in sorted((settings.BASE_DIR / folder).glob("templates/**/*.*")):
            found |= dict.fromkeys(texts_of_template(path.read_text()), str(path.relative_to(settings.BASE_DIR)))
    return found


def texts_of_module(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and name_of(node.func) in MARKS:
            name = name_of(node.func)
            words = [part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            if words:
                yield CONTEXT.join(words[:2]) if name.startswith("pgettext") else words[0]


def name_of(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def texts_of_template(source: str) -> Iterator[str]:
    block: list[str] = []
    inside = trimmed = False
    for token in DebugLexer(source).tokenize():
        tag = token.split_contents()[0] if token.token_type is TokenType.BLOCK and token.contents else ""
        if tag in ("blocktrans", "blocktranslate"):
            block, inside, trimmed = [], True, "trimmed" in token.contents
        elif inside and tag in ("plural", "endblocktrans", "endblocktranslate"):
            # what follows `plural` is looked up by its singular
            inside = False
            text = "".join(block)
            yield re.sub(r"\s*\n\s*", " ", text.strip()) if trimmed else text
        elif inside and token.token_type is TokenType.VAR:
            block.append(f"%({token.contents})s")
        elif inside and token.token_type is TokenType.TEXT:
            block.append(token.contents.replace("%", "%%"))
        else:
            if match := IN_TAG.match(token.contents):
                yield ast.literal_eval(match[1])
            yield from (ast.literal_eval(word) for word in IN_VARIABLE.findall(token.contents))


# --- what the catalogues hold ------------------------------------------------------------------------


def compiled(path: Path) -> dict[object, str]:
    """Read what Django reads: the compiled catalogue; a plural's key is a pair of its singular and a number."""
    with path.with_suffix(".mo").open("rb") as file:
        return {key: text for key, text in GNUTranslations(file)._catalog.items() if key != ""}  # type: ignore[attr-defined]


def written(path: Path) -> list[dict[str, str]]:
    """Read the entries of the catalogue that translators edit: keyword to text, the header left out."""
    entries, entry, keyword = [], {}, ""
    for line in [*path.read_text().splitlines(), ""]:
        if match := re.match(r'(msg\w+(?:\[\d\])?) (".*")$', line):
            keyword = match[1]
            entry[keyword] = ast.literal_eval(match[2])
        elif line.startswith('"'):
            entry[keyword] += ast.literal_eval(line)
        elif not line and entry:
            entries.append(entry)
            entry = {}
    return [entry for entry in entries if entry["msgid"]]


def keys_of(entry: dict[str, str]) -> dict[object, str]:
    """Key an entry's translations as the compiled catalogue keys them."""
    text = CONTEXT.join(entry[part] for part in ("msgctxt", "msgid") if part in entry)
    if "msgid_plural" not in entry:
        return {text: entry["msgstr"]}
    return {(text, number): entry[f"msgstr[{number}]"] for number in (0, 1)}


ALL_ENTRIES = [(path, entry) for path in CATALOGUES for entry in written(path)]


def test_every_marked_text_of_the_product_has_dutch() -> None:
    dutch = {key for path in CATALOGUES for key in compiled(path)}
    texts = marked()

    assert len(texts) > 700
    assert {text: place for text, place in texts.items() if text not in dutch and (text, 0) not in dutch} == {}


@pytest.mark.parametrize("path", CATALOGUES, ids=FOLDERS)
def test_catalogue_has_no_empty_or_uncertain_entry(path: Path) -> None:
    assert [entry["msgid"] for entry in written(path) if not all(keys_of(entry).values())] == []
    assert "#, fuzzy" not in path.read_text()
    assert "#~ " not in path.read_text()


def test_every_translation_keeps_the_placeholders_of_its_original() -> None:
    wrong = []
    for _path, entry in ALL_ENTRIES:
        originals = [entry["msgid"], entry.get("msgid_plural", entry["msgid"])]
        # "one line" may leave its number out, and so may the translation
        allowed = {frozenset(PLACEHOLDER.findall(text)) for text in originals}
        wrong += [text for text in keys_of(entry).values() if frozenset(PLACEHOLDER.findall(text)) not in allowed]

    assert wrong == []


def test_every_translation_begins_and_ends_with_a_new_line_where_its_original_does() -> None:
    def edges(text: str) -> tuple[bool, bool]:
        return text.startswith("\n"), text.endswith("\n")

    assert [text for _path, entry in ALL_ENTRIES for text in keys_of(entry).values() if edges(text) != edges(entry["msgid"])] == []


@pytest.mark.parametrize("path", CATALOGUES, ids=FOLDERS)
def test_compiled_catalogue_says_what_its_source_says(path: Path) -> None:
    source: dict[object, str] = {}
    for entry in written(path):
        source |= keys_of(entry)

    assert compiled(path) == source


def test_a_text_has_one_translation_in_every_catalogue_of_ours() -> None:
    seen: dict[object, str] = {}
    for _path, entry in ALL_ENTRIES:
        for key, text in keys_of(entry).items():
            assert seen.setdefault(key, text) == text


def test_who_works_here_is_called_je_and_only_a_contact_is_called_u() -> None:
    """A contact is met on the page about their details and in the mail that asks for it."""
    places = marked()
    formal = re.compile(r"\b(?:u|uw|uwe)\b(?!:)", re.IGNORECASE)
    texts = [(entry["msgid"], text) for path, entry in ALL_ENTRIES if path != CATALOGUES[-1] for text in keys_of(entry).values()]

    assert [text for original, text in texts if formal.search(text) and "details" not in places.get(original, "")] == []


def test_a_catalogue_of_ours_holds_nothing_that_is_no_longer_said() -> None:
    texts = set(marked())

    assert [entry["msgid"] for path, entry in ALL_ENTRIES if path != CATALOGUES[-1] and not {entry["msgid"]} & texts] == []


def test_marked_texts_are_found_in_modules_and_in_every_form_of_template_tag() -> None:
    module = 'a = _("one")\nb = ngettext("two", "twos", n)\nc = pgettext("month", "May")\nd = _(variable)\ne = other("six")'
    template = (
        "{% trans 'one' %}{% translate \"two\" as x %}{{ x|default:_('three') }}{% blocktrans %}four {{ n }} %{% endblocktrans %}"
        "{% blocktranslate trimmed count n=1 %}\n  five\n  {{ n }}\n{% plural %}fives{% endblocktranslate %}{{ not_a_word }}"
    )

    assert list(texts_of_module(module)) == ["one", "two", "month\x04May"]
    assert list(texts_of_template(template)) == ["one", "two", "three", "four %(n)s %%", "five %(n)s"]


# --- what a reader sees ------------------------------------------------------------------------------


@pytest.fixture
def account(team: object, rep: User) -> Account:
    account = AccountFactory(name="Voorbeeld", team=team, owner=rep, employees=50)
    MembershipFactory(contact__account=account, role="user", is_assumed=True)
    return account


@pytest.fixture
def deal(account: Account, rep: User) -> Opportunity:
    return OpportunityFactory(account=account, team=account.team, owner=rep, stage="sql")


def pages_of(account: Account, deal: Opportunity) -> dict[str, list[str]]:
    """Map the address of each page to words that it shows in Dutch."""
    return {
        "/admin/crm/account/": ["Verkoop", "Contactpersonen", "Doelaccountlijsten", "Eigenaar", "Filters toepassen", "vermoed"],
        f"/admin/crm/account/{account.pk}/change/": ["Wie beslist", "Uitzoeken wie de beslisser is", "Open taken", "medewerkers"],
        f"/admin/crm/opportunity/{deal.pk}/change/": ["Nog nodig voor", "Bevoegdheid", "Behoefte", "Budget bevestigen", "Eigenaar"],
    }


def test_login_page_speaks_dutch_to_a_dutch_browser(client: Client, db: None) -> None:
    page = client.get("/admin/login/", headers={"accept-language": "nl"})

    assert page.status_code == 200
    assert "Wachtwoord vergeten?" in page.text
    assert "Inloggen" in page.text
    assert "Log in" not in page.text


@pytest.mark.parametrize("number", range(3), ids=["account list", "account page", "opportunity page"])
def test_page_speaks_dutch_to_a_dutch_browser(rep_client: Client, account: Account, deal: Opportunity, number: int) -> None:
    address, words = list(pages_of(account, deal).items())[number]
    page = rep_client.get(address, headers={"accept-language": "nl"})

    assert page.status_code == 200
    assert [word for word in words if word not in page.text] == []


@pytest.mark.parametrize("number", range(3), ids=["account list", "account page", "opportunity page"])
def test_page_speaks_the_language_that_its_reader_chose(
    rep: User, rep_client: Client, account: Account, deal: Opportunity, number: int
) -> None:
    User.objects.filter(pk=rep.pk).update(language="nl")
    address, words = list(pages_of(account, deal).items())[number]
    page = rep_client.get(address, headers={"accept-language": "en"})

    assert page.status_code == 200
    assert [word for word in words if word not in page.text] == []
    assert page.headers["Content-Language"] == "nl"


def test_english_reader_with_a_dutch_browser_reads_english(rep: User, rep_client: Client, account: Account) -> None:
    User.objects.filter(pk=rep.pk).update(language="en")
    page = rep_client.get(f"/admin/crm/account/{account.pk}/change/", headers={"accept-language": "nl"})

    assert "Who decides" in page.text
    assert "Wie beslist" not in page.text


def test_who_chose_no_language_gets_that_of_the_browser(rep: User) -> None:
    heard = []

    def answer(_request: HttpRequest) -> HttpResponse:
        heard.append(translation.get_language())
        return HttpResponse()

    for user in (AnonymousUser(), User(language=""), User(language="en")):
        request = HttpRequest()
        request.user = user
        with translation.override("nl"):
            PreferredLanguageMiddleware(answer)(request)

    assert heard == ["nl", "nl", "en"]


def test_closed_gate_is_refused_in_dutch_over_the_api(rep_api: APIClient, deal: Opportunity) -> None:
    address = f"/api/v1/opportunities/{deal.pk}/advance/"
    dutch = rep_api.post(address, {"to": "opportunity"}, headers={"accept-language": "nl"})
    english = rep_api.post(address, {"to": "opportunity"}, headers={"accept-language": "en"})

    assert "De poort is dicht: twee van budget, bevoegdheid en timing moeten bevestigd zijn." in dutch.text
    assert "The gate is closed: two of budget, authority and timing must be confirmed." in english.text
    deal.refresh_from_db()
    assert (deal.stage, deal.revision) == ("sql", 0)


def test_days_and_numbers_in_sentences_are_written_as_dutch_writes_them() -> None:
    pilot = FollowUp(reason="pilot_overdue", opportunity=Opportunity(name="Vloot"), facts={"ends_on": "2026-03-09"})
    warm = FollowUp(reason="warming_up", account=Account(name="Bakker BV"), facts={"score": "41.5", "before": "21.4"})

    with translation.override("nl"):
        assert pilot.title == "De pilot van Vloot eindigde op 9 mrt 2026: oordeel geven"
        assert warm.title == "Bakker BV warmt op: score 41,5, een week geleden 21,4"
        assert icp.in_words({"code": "revenue_near", "facts": {"value": 5500000}}) == "Omzet van 5.500.000: past bijna."


def test_gate_that_is_closed_for_more_than_one_reason_counts_them_in_dutch() -> None:
    with translation.override("nl"):
        assert gate_sentence(["budget", "need"]) == (
            "De poort is dicht om 2 redenen: het budget is niet bevestigd; de behoefte is niet bevestigd."
        )
