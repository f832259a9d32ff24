"""Keys under which like records stand together, so that only a handful is ever compared."""

from collections.abc import Iterator
from functools import cache

from publicsuffixlist import PublicSuffixList

from crm.duplicates import names

# A key that more records share tells nothing: 'bakkerij'.
MOST_PER_KEY = 40
_VOWELS = str.maketrans("", "", "aeiouy")


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(only_icann=False)


def domain_label(domain: str) -> str:
    """Give the part of a domain that a company chose: 'acme' of 'acme.co.uk'."""
    suffix = _suffixes().publicsuffix(domain) or ""
    return domain.removesuffix(f".{suffix}").rpartition(".")[2] if domain else ""


def of_account(name: str, domain: str, city: str) -> set[str]:
    """Give the keys of an account, at most five."""
    return {key[:40] for key in _of_account(name, domain, city)}


def _of_account(name: str, domain: str, city: str) -> Iterator[str]:
    squashed, telling = names.squashed(name), names.telling(name)
    if label := names.plain(domain_label(domain)).replace("-", ""):
        yield f"s:{label}"
    if squashed:
        yield f"s:{squashed}"
    if telling:
        yield f"s:{''.join(telling)}"
        longest = sorted(telling, key=lambda word: (-len(word), word))[:2]
        yield "w:" + "+".join(sorted(word[:6] for word in longest))
        # A slip in the vowels or at the end.
        yield f"k:{''.join(telling)[0]}{''.join(telling)[1:].translate(_VOWELS)[:7]}"
        if city:
            yield f"c:{''.join(telling)[:5]}@{names.plain(city)[:20]}"


def of_person(name: str, email: str, phone: str) -> set[str]:
    """Give the keys of a contact, among those of the same account."""
    return set(_of_person(name, email, phone))


def _of_person(name: str, email: str, phone: str) -> Iterator[str]:
    found = tuple(word for word in names.person_words(name) if word not in names.WEAK)
    if found:
        yield "f:" + "+".join(sorted(found))
        yield f"l:{found[-1][:4]}{found[0][0]}"
        yield f"l:{found[0][:4]}{found[-1][0]}"
    if email:
        yield f"e:{email.lower().partition('@')[0]}"
    if phone:
        yield f"p:{phone}"
