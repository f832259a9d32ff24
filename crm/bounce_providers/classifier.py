"""Say what a refusal means, in nine words: by its text, then its enhanced status code, then its reply code.

The rules are rows of rules.toml, in order: the first that fits decides.
"""

import re
from functools import lru_cache

from crm.bounce_providers.contract import BLOCKED_POLICY, JOB_CHANGES, OTHER, OUTCOMES, TEMPORARY
from crm.bounce_providers.patterns import Table, read_table, without_accents

# More than any diagnosis; what follows in a longer text is not about the reason.
JUDGED_CHARACTERS = 4_000


def fold(text: str) -> str:
    """Give a text as the rules see it: small letters, no accents, one space, addresses as @, of links only the host.

    Addresses go because their names mean nothing here: 'user.unknown@' says nothing about the user.
    """
    pieces = (_ADDRESSES.sub(" @ ", piece) if "@" in piece else piece for piece in text[:JUDGED_CHARACTERS].split())
    text = _CONTINUATIONS.sub(" ", _LINKS.sub(r" \1 ", " ".join(pieces)))
    text = _SAID.sub(" ", text) if "said:" in text else text
    return " ".join(without_accents(text.replace("\u2019", "'")).casefold().split())


_ADDRESSES = re.compile(r"<?(?:\"[^\"\s@]{1,64}\"|[^\s<>()\[\]:;,\"@]{1,64})@[^\s<>()\[\]:;,\"'@]{1,254}>?")
_LINKS = re.compile(r"https?://([^\s/>\"'?]{1,253})[^\s>\"']{0,2000}", re.IGNORECASE)
# Who said it is no part of what was said: 'host mx.b.example said: the recipient does not exist'.
_SAID = re.compile(r"\bhost [^\s\[]{1,255}(?:\[[^\]\s]{1,60}\])? said:", re.IGNORECASE)
# The second line of a reply repeats the codes of the first: '550-5.1.1 The account 550-5.1.1 does not exist.'
_CONTINUATIONS = re.compile(r"(?<=\s)[245]\d\d-(?:[245]\.\d{1,3}\.\d{1,3}\b)?")


_TABLE = read_table("rules.toml")
RULES = Table(_TABLE["rule"])
_STATUS: dict[str, str] = _TABLE["status"]
_CODES: dict[str, str] = _TABLE["code"]
_HINTS: dict[str, str] = _TABLE["hint"]
_SUBJECTS: dict[str, str] = _TABLE["subject"]
# Words of a refusal for who sends, or how: '5.1.1' and 'unknown' may be said of anybody beside them.
_ABOUT_SENDING = re.compile(
    r"\b(?:spam\w*|anti-?spam|polic(?:y|ies)|authenticat\w+|unauthenticated|credentials|(?:black|block|white|allow|deny)[ -]?list\w*|reputation|"
    r"permissions?|(?:un)?authori[sz]ed|not (?:allowed|permitted)|gr[ae]ylist\w*|unsolicited|restrict\w+|sender|relay\w*)\b"
)
_CODE_AND_STATUS = re.compile(r"(?<![\w.:])(4[235]\d|5[0-57]\d)(?:[ -]+\(?#?([245]\.\d{1,3}\.\d{1,3}))?(?![\w.:@%])")
_STATUS_WITHIN = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_STATUS_ALONE = re.compile(r"(?<![\w.])#?([245]\.\d{1,3}\.\d{1,3})(?![\w.@])")


def judge(text: str, *, status: str = "", smtp_code: str = "", hint: str = "") -> str:
    """Say which of the nine outcomes a refusal is.

    text is what the server said (RFC 5321 reply or a sentence), status its enhanced code (RFC 3463, '5.1.1'), smtp_code
    its reply code ('550'); codes within the text count as well. hint is the provider's own category, or one of the nine
    words for it: it only breaks ties.
    """
    found_code, found_status = codes(text)
    statuses = [code for code in (_clean(found_status), _clean(status)) if code]
    code = smtp_code.strip() or found_code
    folded = fold(text)
    rule = RULES.first(f"{statuses[0] if statuses else ''} {folded}")
    exact = next((_STATUS[one] for one in statuses if one in _STATUS), "")
    if rule and not rule.weak:
        return _by_strong_words(rule.label, folded, statuses, code)
    if exact in JOB_CHANGES and rule and rule.label == BLOCKED_POLICY and _ABOUT_SENDING.search(folded):
        exact = ""
    return (
        exact
        or _by_weak_signs(rule.label if rule else "", statuses, code)
        or (hint if hint in OUTCOMES else _HINTS.get(_letters(hint), ""))
        or _by_class([*statuses, code])
    )


def _by_strong_words(worded: str, folded: str, statuses: list[str], code: str) -> str:
    """Judge by words that say it outright, unless the codes tell that they were said of something else.

    4.4: what failed was the way there, and 4.3 the server, whatever it said last. 5.7: a refusal for security that
    speaks of senders may call anybody unknown; RFC 5248 has 5.7.13 for a disabled account.
    """
    if worded in JOB_CHANGES and any(one[:4] in {"4.3.", "4.4."} for one in statuses):
        return TEMPORARY
    is_security = any(one[:4] == "5.7." and one != "5.7.13" for one in statuses)
    if worded in JOB_CHANGES and is_security and _ABOUT_SENDING.search(folded):
        return BLOCKED_POLICY
    return TEMPORARY if worded == BLOCKED_POLICY and _passes(code, statuses) else worded


def _passes(code: str, statuses: list[str]) -> bool:
    """Say whether the server asks to try again (4xx): whom it turns away now, it may let in tomorrow."""
    return (code or (statuses or [""])[0])[:1] == "4"


def _by_weak_signs(worded: str, statuses: list[str], code: str) -> str:
    """Judge by the words that many refusals share, by the status's subject, and by the reply code.

    A policy that passes is temporary; 'temporary' words in a refusal for security (5.7) are about the security.
    """
    subject = next(filter(None, (_SUBJECTS.get(one.rpartition(".")[0], "") for one in statuses)), "")
    if worded in {BLOCKED_POLICY, OTHER} and _passes(code, statuses):
        return TEMPORARY
    if worded in {TEMPORARY, OTHER} and subject == BLOCKED_POLICY:
        return BLOCKED_POLICY
    if worded in JOB_CHANGES:
        return TEMPORARY if _passes(code, statuses) else subject or worded
    return worded or subject or _CODES.get(code, "")


def _letters(hint: str) -> str:
    return re.sub(r"[^a-z0-9]", "", hint.lower())


def _clean(status: str) -> str:
    """Give a status as class.subject.detail; empty for anything else, and for what only says that it failed."""
    found = _STATUS_WITHIN.search(status)
    return found[0] if found else ""


def _by_class(found: list[str]) -> str:
    """Judge by whether the failure passes, where nothing else is known."""
    return TEMPORARY if any(code[:1] == "4" for code in list(filter(None, found))[:1]) else OTHER


@lru_cache(maxsize=64)
def codes(text: str) -> tuple[str, str]:
    """Find the reply code and the enhanced status that a text names first; empty where it names none."""
    text = text[:JUDGED_CHARACTERS]
    code = status = ""
    for found in _CODE_AND_STATUS.finditer(text):
        code, status = code or found[1], status or (found[2] or "")
        if status:
            break
    if not status and (alone := _STATUS_ALONE.search(text)):
        status = alone[1]
    return code, status
