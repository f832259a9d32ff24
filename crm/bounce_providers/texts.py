"""Bounces that only speak to people: whom they name, and what they say of each."""

import email
import logging
import re
from collections.abc import Iterable
from email import policy as mail_policies
from functools import lru_cache

from flufl.bounce import all_failures

from crm.bounce_providers import classifier
from crm.bounce_providers.contract import DOMAIN_GONE, JOB_CHANGES, MAILBOX_FULL, OTHER, PERSON_GONE, TEMPORARY, Report
from crm.bounce_providers.mime import ADDRESS, Headers, Mail, words
from crm.bounce_providers.servers import from_mail_server, is_receipt, tells_failure

logger = logging.getLogger(__name__)
# What follows an address this far still speaks of it.
_NEARBY = 1_200
# A notice that the server goes on trying; one that gave up for some recipient says so as well.
_STILL_TRYING = re.compile(
    r"warning message only|(?:will|continue to|continues to) (?:keep |continue )?(?:to )?(?:try|trying|retry|be retried|attempt)|still undelivered|not yet been delivered|"
    r"delivery attempts will continue|do not need to resend|wird weiterhin versucht|blijft (?:het )?proberen|sera (?:re|r[eé])essay",
    re.IGNORECASE,
)
_GAVE_UP = re.compile(
    r"fatal error|permanent(?:ly)? (?:fatal|error|fail|undeliver)|giving up|given up|has failed|could not be delivered|was not delivered|undeliverable",
    re.IGNORECASE,
)
# After these an address is somebody to write to, not who failed.
_NOT_WHO = re.compile(
    r"(contact|reply to|mailto:|questions?|assistance|report this|write to|send (an |your |this )?(e-?mail|mail|message|question)s? to|from|sender|by|van|von|"
    r"return-path|reply-to|message-id|postmaster at|administrator|references|in-reply-to|sent by|e-?mail us at|mail from|x-\S+|help|abuse)\W{0,12}$",
    re.IGNORECASE,
)
_LEADING = re.compile(r"(?:^|\n)[ \t>*|\-•·]{0,20}(?:\"[^\"\n]{0,80}\"[ \t]*)?[<'\"(\[]{0,2}$")
_LABELLED = re.compile(
    r"\b(to|rcpt to|recipients?|rcpt|address(ed to)?|user|mail ?box|final-recipient|original-recipient|addressee|unknown user|userid|destinat\w+|ontvanger|"
    r"geadresseerde|empf\S{1,3}nger|an|aan|account|name|delivered to|adres|adresse|following address(es)?( failed)?|for|local user)\b[ \t]*[:=]?\s*[<'\"(\[]{0,2}$",
    re.IGNORECASE,
)
# Behind such a heading stands who failed; addresses before it are those of our mail.
_LISTED = re.compile(
    r"\b(?:(?:following|these|intended|some|all)\b[^\n]{0,40}\b(?:recipient|address|user|people|destination|mailbox|person)|volgende[n]? (?:geadresseerde|ontvanger|adres)|"
    r"folgende[nr]? (?:Empf|Adress)|destinataires? suivants?|(?:adresses?|personnes?) suivantes?|siguientes? destinat|seguent\w+ destinat|following:)[^\n]{0,80}\n",
    re.IGNORECASE,
)
_JSON_ADDRESS = re.compile(r"emailAddress\W{1,12}([^\s\"\\<>]{1,64}@[^\s\"\\<>]{1,190})")
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+|\n[ \t]*\n|\n(?=[ \t]*[-*•])")
_GUESS = re.compile(
    r"\b(?:(?:may|might) (?:not )?(?:be|exist|have|no longer|accept)|possibl[ey]|perhaps|maybe|probably|either|(?:usual|common|typical|possible|likely) (?:cause|reason)s?|one of the following reasons|mogelijk|misschien|wellicht|"
    r"moglicherweise|m\u00f6glicherweise|vielleicht|peut-\u00eatre|il est possible|google tried to deliver|puede que|quiz\u00e1s|potrebbe|(?:^|[.!?:]\s{1,3})please (?:check|verify|make sure))\b",
    re.IGNORECASE | re.MULTILINE,
)
_ROLES = ("postmaster@", "mailer-daemon@", "abuse@", "hostmaster@", "noreply@", "no-reply@", "root@")


def read(mail: Mail) -> list[Report]:
    """Give a report for each address that the text says failed; nothing if it is no bounce at all."""
    if is_receipt(mail) or not (from_mail_server(mail) or tells_failure(mail)):
        return []
    return [_report(recipient, mail) for recipient in named_by(mail) or [""]]


def _report(recipient: str, mail: Mail) -> Report:
    near = said_of(recipient, mail.text)
    label = judge_words(near)
    said = near if label != OTHER else mail.text
    code, status = classifier.codes(said)
    label = label if label != OTHER else judge_words(mail.text)
    if label in JOB_CHANGES | {DOMAIN_GONE} and _STILL_TRYING.search(mail.text) and not _GAVE_UP.search(mail.text):
        label = TEMPORARY
    return Report(recipient, label if label != OTHER else _by_subject(mail), status, code, evidence=said)


def judge_words(text: str, *, status: str = "") -> str:
    """Judge what a mail server tells people: not by its guesses, nor where it lists all that can be wrong."""
    text = without_guesses(text)
    label = classifier.judge(text, status=status)
    if label in JOB_CHANGES | {MAILBOX_FULL} and not status and classifier.codes(text) == ("", "") and _lists_causes(text):
        return OTHER
    return label


def _lists_causes(text: str) -> bool:
    """Say whether sentences of a text name causes that exclude each other."""
    rules = (classifier.RULES.first(classifier.fold(sentence)) for sentence in _SENTENCE_END.split(text)[:60])
    causes = {rule.label for rule in rules if rule and not rule.weak}
    return {PERSON_GONE, MAILBOX_FULL} <= causes or len(causes) > 2


def _by_subject(mail: Mail) -> str:
    """Judge by the subject, but only as far as it cannot be the subject of our own mail that makes a person gone."""
    label = classifier.judge(words(mail.headers.get("subject", "")))
    return label if label in {TEMPORARY, MAILBOX_FULL} else OTHER


@lru_cache(maxsize=32)
def without_guesses(text: str) -> str:
    """Leave out the sentences in which a mail server guesses ('the mailbox may be full, or may not exist')."""
    text = text[: classifier.JUDGED_CHARACTERS]
    if not _GUESS.search(text):
        return text
    return " ".join(sentence for sentence in _SENTENCE_END.split(text) if not _GUESS.search(sentence))


def said_of(recipient: str, text: str) -> str:
    """Give what a text says after each mention of an address, up to the next address; the whole text if it does not name it."""
    mentions = [(found.start(), found[0].strip(".").lower()) for found in ADDRESS.finditer(text)]
    whole, mine = recipient.lower(), []
    for place, (start, address) in enumerate(mentions):
        if address == whole:
            other = next((begin for begin, each in mentions[place + 1 :] if each != whole), len(text))
            mine.append(text[start : min(other, start + _NEARBY)])
    return " ".join(mine) or text


def named_by(mail: Mail) -> list[str]:
    """Find who failed: named in a header, else on a line of their own, else in a sentence, else whom our mail went to."""
    if named := _unique(ADDRESS.findall(mail.headers.get("x-failed-recipients", ""))):
        return named
    ours = _senders(mail)
    sent_to = [one for one in _addresses(mail.original, "to", "cc") if one.lower() not in ours]
    if "bouncedRecipients" in mail.text:
        return _unique(_JSON_ADDRESS.findall(mail.text.partition("bouncedRecipients")[2].partition("]")[0]))
    listed = _LISTED.search(mail.text)
    leading, *weaker = _mentioned(mail.text[listed.end() :] if listed and ADDRESS.search(mail.text, listed.end()) else mail.text, ours)
    if leading:
        return [one for one in leading if one.lower() not in ours] or leading
    if by_name := [one for one in sent_to if re.search(rf"(?<![\w@.]){re.escape(one.partition('@')[0])}(?![\w@.])", mail.text)]:
        return by_name
    for found in weaker:
        both = [one for one in found if one.lower() in {to.lower() for to in sent_to}]
        if both or found:
            return both or found
    return _by_detectors(mail) or (sent_to if len(sent_to) == 1 else [])


def _senders(mail: Mail) -> set[str]:
    """Give the addresses that are ours or the mail server's."""
    ours = _addresses(mail.original, "from", "sender", "return-path", "reply-to") + _addresses(mail.headers, "from", "to")
    return {address.lower() for address in ours}


def _addresses(headers: Headers, *names: str) -> list[str]:
    return [address.strip(".") for name in names for address in ADDRESS.findall(headers.get(name, ""))]


def _mentioned(text: str, ours: set[str]) -> tuple[list[str], list[str], list[str]]:
    """Sort the addresses of a text: those that begin a line, those behind a word for recipient, and all others."""
    leading: list[str] = []
    labelled: list[str] = []
    others: list[str] = []
    for found in ADDRESS.finditer(text):
        address, before = found[0].strip("."), text[max(0, found.start() - 80) : found.start()]
        is_leading = _LEADING.search("\n" + before)
        if (
            (address.lower() in ours and not is_leading)
            or address.lower().startswith(_ROLES)
            or _NOT_WHO.search(before.rpartition("\n")[2])
        ):
            continue
        rank = leading if is_leading else labelled if _LABELLED.search(before) else others
        rank.append(address)
    return _unique(leading), _unique(labelled), _unique(others)


def _unique(addresses: Iterable[str]) -> list[str]:
    return list({address.strip(".").lower(): address.strip(".") for address in addresses}.values())[:200]


def _by_detectors(mail: Mail) -> list[str]:
    """Ask the detectors of flufl.bounce, which know the layouts of old mail servers."""
    message = email.message_from_string(mail.text, policy=mail_policies.compat32)
    for name in ("from", "subject"):
        message[name] = mail.headers.get(name, "")
    try:
        found = all_failures(message)
    # A detector raises whatever it stumbles over; the mail is read without them then.
    except Exception as error:  # noqa: BLE001
        logger.info("The detectors of flufl.bounce stumbled over a mail: %r", error)
        return []
    return [address.decode("ascii", "replace") for kind in found for address in kind]
