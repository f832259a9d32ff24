"""Names as they are compared: without legal forms, diacritics, punctuation and order."""

import re
import unicodedata
from functools import lru_cache

from rapidfuzz import fuzz

_FORMS = """
    bv nv vof cv bvba sprl srl sa sas sarl sarlu eurl gmbh mbh ag kg kgaa ohg ug ek ev se ltd limited llc llp lp plc inc incorporated
    corp corporation co company spa sl slu ab oy oyj as aps asa sro spzoo kft zrt doo pty pte pvt stichting cooperatie cooperatief ua
"""
LEGAL_FORMS = frozenset(_FORMS.split())
# Words that tell nothing apart; they count for less than the others, and never alone.
_COMMON = "holding holdings group groep gruppe groupe nederland netherlands international the de het van der den und en and et of"
WEAK = frozenset(_COMMON.split())
# What decomposition leaves as it is.
_LETTERS = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
_INITIALS = re.compile(r"\b(?:\w[./]\s?){2,}|\b\w(?:[./]\s?\w)+\b")
_WORDS = re.compile(r"[^\W_]+")


def plain(text: str) -> str:
    """Give a text in small letters without diacritics: 'Müller & Søn' becomes 'muller & son'."""
    folded = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return "".join(letter for letter in folded if not unicodedata.combining(letter))


@lru_cache(maxsize=50_000)
def words(name: str) -> tuple[str, ...]:
    """Give the words of a company's name in their order, without its legal form: 'Bakkerij Bos B.V.' gives bakkerij, bos."""
    joined = _INITIALS.sub(lambda found: re.sub(r"[./\s]", "", found[0]) + " ", plain(name).replace("'", "").replace("’", ""))
    found = _WORDS.findall(joined)
    telling = [word for word in found if word not in LEGAL_FORMS]
    return tuple(telling or found)


def squashed(name: str) -> str:
    """Give a company's name as one word, as it may stand in a web domain."""
    return "".join(words(name))


def telling(name: str) -> tuple[str, ...]:
    """Give the words of a name that tell companies apart; all of them when none does."""
    return tuple(word for word in words(name) if word not in WEAK) or words(name)


def likeness(one: str, other: str) -> float:
    """Say how alike two company names are, 0 to 100, whatever the order of their words."""
    mine, theirs = telling(one), telling(other)
    if "".join(mine) == "".join(theirs):
        return 100.0
    # Numbers tell branches apart: 'Depot 3' is not 'Depot 4'.
    if {word for word in mine if word.isdigit()} != {word for word in theirs if word.isdigit()}:
        return 0.0
    return float(max(fuzz.ratio("".join(mine), "".join(theirs)), fuzz.token_sort_ratio(" ".join(mine), " ".join(theirs))))


def person_words(name: str) -> tuple[str, ...]:
    """Give the words of a person's name: 'J. de Vries' gives j, de, vries."""
    return tuple(_WORDS.findall(plain(name)))


def person_likeness(one: str, other: str) -> float:
    """Say how alike two people's names are, 0 to 100; an initial stands for a given name, prefixes do not tell apart."""
    mine, theirs = (tuple(word for word in person_words(name) if word not in WEAK) for name in (one, other))
    if not mine or not theirs:
        return 0.0
    if sorted(mine) == sorted(theirs):
        return 100.0
    if len(mine) > 1 and len(theirs) > 1 and mine[-1] == theirs[-1] and _initials_agree(mine[0], theirs[0]):
        return 90.0
    return float(fuzz.token_sort_ratio(" ".join(mine), " ".join(theirs)))


def _initials_agree(one: str, other: str) -> bool:
    return one[0] == other[0] and 1 in (len(one), len(other))
