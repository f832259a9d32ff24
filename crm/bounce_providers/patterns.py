"""Tables of patterns: rows of a data file, each tried only where a word that it cannot do without is in the text."""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple


class Pattern(NamedTuple):
    """A regular expression, and words of which any match must hold one."""

    needs: tuple[str, ...]
    expression: str


class Rule(NamedTuple):
    """One row of a table: what it says, what it matches, and sentences that show it."""

    label: str
    patterns: tuple[Pattern, ...]
    examples: tuple[str, ...]
    weak: bool


class Table:
    """Rules in their order, found by the words in a text: most texts hold the words of a dozen patterns out of hundreds."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self.rules = [Rule(row["label"], tuple(patterns(row["patterns"])), tuple(row["examples"]), row.get("weak", False)) for row in rows]
        self._owners = [(rule, pattern.expression) for rule in self.rules for pattern in rule.patterns]
        self._by_word: dict[str, list[int]] = {}
        for place, pattern in enumerate(pattern for rule in self.rules for pattern in rule.patterns):
            for word in pattern.needs:
                self._by_word.setdefault(word, []).append(place)
        self._short = [word for word in self._by_word if len(word) < _GRAM]
        self._by_gram: dict[str, list[str]] = {}
        for word in self._by_word.keys() - set(self._short):
            self._by_gram.setdefault(word[:_GRAM], []).append(word)

        # Storms of the same refusal come from one server; a report may judge one text for each of its recipients.
        self.first = lru_cache(maxsize=256)(self._first)

    def _first(self, folded: str) -> Rule | None:
        """Give the first rule that fits a folded text; a weak one only if no other does."""
        weak = None
        for place in sorted(set(self._places(folded))):
            rule, expression = self._owners[place]
            if not (weak and rule.weak) and _compiled(expression).search(folded):
                if not rule.weak:
                    return rule
                weak = rule
        return weak

    def _places(self, folded: str) -> Iterator[int]:
        """Give the patterns whose words are there; the first letters of a word are looked up before the word is."""
        grams = {folded[place : place + _GRAM] for place in range(len(folded) - _GRAM + 1)}
        for gram in self._by_gram.keys() & grams:
            for word in self._by_gram[gram]:
                if word in folded:
                    yield from self._by_word[word]
        for word in self._short:
            if word in folded:
                yield from self._by_word[word]


# So many letters of a word are looked up at once.
_GRAM = 4


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    """Compile when first needed: hundreds of them at the start would delay every command."""
    return re.compile(expression)


def read_table(name: str) -> dict[str, Any]:
    """Read a data file that lies beside this module."""
    return tomllib.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))


def patterns(expressions: Iterable[str]) -> Iterator[Pattern]:
    """Take expressions as patterns, one for each alternative at the top."""
    for expression in expressions:
        for alternative in _alternatives(without_accents(expression).replace("ß", "ss")):
            yield Pattern(needed(alternative), alternative)


def without_accents(text: str) -> str:
    """Give a text without the marks on its letters."""
    return text if text.isascii() else "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))


_TOKEN = re.compile(r"\\.|\[\^?\]?[^\]]*\]|\(\?[:!=]|\(\?<[!=]|\(|\)|\||.", re.DOTALL)
_QUANTIFIER = re.compile(r"[?*+]\??|\{(\d*),?\d*\}")


def _alternatives(expression: str) -> list[str]:
    """Part an expression at the bars that stand in no group."""
    found, depth = [""], 0
    for sign in _TOKEN.findall(expression):
        depth += sign.startswith("(") - (sign == ")")
        if sign == "|" and not depth:
            found.append("")
        else:
            found[-1] += sign
    return found


def needed(expression: str) -> tuple[str, ...]:
    """Give words of which every match holds at least one: the longest there are; the empty word if none can be named."""
    return max((_needs(one) for one in _runs(expression)), key=lambda words: min(map(len, words)), default=("",))


def _needs(run: str) -> tuple[str, ...]:
    """Give the words for one piece: a run of letters is its own, a group needs one of each alternative."""
    if not run.startswith("("):
        return (run,)
    inner = run[3:-1] if run.startswith("(?:") else run[1:-1]
    return tuple({word for alternative in _alternatives(inner) for word in needed(alternative)})


def _runs(expression: str) -> Iterator[str]:
    """Give what cannot be left out of an expression without bars: runs of plain letters, and whole groups."""
    run, place = "", 0
    while place < len(expression):
        sign, place = _piece(expression, place)
        quantifier = _QUANTIFIER.match(expression, place)
        place = quantifier.end() if quantifier else place
        may_lack = bool(quantifier and (quantifier[0][0] in "?*" or quantifier[1] in {"0", ""}))
        if not may_lack and len(sign) == 1 and sign not in ".^$" and not quantifier:
            run += sign
            continue
        yield run
        run = ""
        if not may_lack and sign.startswith("(") and sign[:3] not in {"(?!", "(?=", "(?<"}:
            yield sign
    yield run


def _piece(expression: str, place: int) -> tuple[str, int]:
    """Give the next sign, class, or whole group of an expression, and where it ends."""
    found = _TOKEN.match(expression, place)
    if not found:
        return "", len(expression)
    sign, end, depth = found[0], found.end(), int(found[0].startswith("("))
    while depth and (inner := _TOKEN.match(expression, end)):
        sign, end = sign + inner[0], inner.end()
        depth += inner[0].startswith("(") - (inner[0] == ")")
    if len(sign) == 2 and sign[0] == "\\" and not sign[1].isalnum():
        return sign[1], end
    return sign, end
