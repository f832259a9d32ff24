"""Automatic replies (RFC 3834): whether a person left, and who took over; anything else is an absence."""

import re

from crm.bounce_providers import successors
from crm.bounce_providers.contract import NOT_A_BOUNCE, Report
from crm.bounce_providers.mime import ADDRESS, Mail, words
from crm.bounce_providers.patterns import Table, read_table, without_accents
from crm.bounce_providers.servers import from_mail_server

DEPARTURES = Table(read_table("departures.toml")["rule"])
# A personal note is short; what follows is a signature, a disclaimer or a repeated mail.
_NOTE_CHARACTERS = 6_000
_SUBJECT = re.compile(
    r"^\W*(?:(?:re|aw|antw?|sv|tr|fw)\s*:\s*)?(?:auto\b|auto[- ]?(?:reply|response|responder|antwoord|antwort)|automat\w*|out of (?:the )?office|ooo\b|"
    r"on (?:vacation|holiday|leave)|vacation|absent|abwesen|afwezig|absence|r[eé]ponse automatique|respuesta autom|risposta autom|resposta autom|"
    r"fuera de|fuori|odpowied|自動)",
    re.IGNORECASE,
)
# No mail server writes so, whatever it is called: people are mail administrators too.
_ABSENCE = re.compile(
    r"^\W*(?:auto(?:matic|mated)?[- ]?reply|out of (?:the )?office|automatisch antwoord|automatische antwort|abwesenheit|afwezig|r[eé]ponse automatique|absence du bureau)",
    re.IGNORECASE,
)
_HEADERS = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply", "x-autoreply-from", "x-auto-replied", "x-apple-action")
# Where the mail that is answered is repeated.
_QUOTED = re.compile(
    r"^[ \t]*(?:>|-{2,} ?(?:original|oorspronkelijk|urspr|message d'origine|forwarded)|_{10,}$|(?:on|am|op|le) .{5,120}(?:wrote|schrieb|schreef|a [eé]crit).{0,40}:[ \t]*$|"
    r"(?:from|van|von|de)[ \t]*:[ \t]*.{1,200}\n(?:sent|to|date|verzonden|aan|datum|gesendet|an|envoy[eé]|[aà]|date)[ \t]*:)",
    re.IGNORECASE | re.MULTILINE,
)
# No sentence ends behind the day of a date ('31. Mai'), a title or an initial.
_SENTENCES = re.compile(
    r"(?<=[.!?])(?<!\s\d\.)(?<!\s\d\d\.)(?<!\bM\.)(?<!\b[MDdm][rsw]\.)(?<!\bMrs\.)(?<!\b[Dd]hr\.)(?<!\bIng\.)(?<!\s[A-Z]\.)[ \t\n]+(?=[A-ZÀ-ÞĀ-Ž\d\"'(])"
    r"|(?<=;)[ \t\n]+|\n[ \t]*\n|\n(?=[ \t]*[-*•])|(?<=[,:!])[ \t]*\n"
)
_FIRST_PERSON = re.compile(r"\b(i|i've|i'm|my|ik|mijn|ich|mein\w*|je|j'ai|mes|mon|ma)\b")
_MY = re.compile(r"\b(?:my|mijn|mein\w*|mon|ma)\b")
_I = re.compile(r"\b(?:i|i've|i'm|ik|ich|je|j'ai)\b")
_WE = re.compile(
    r"(?:(?:please note (?:that )?|from .{3,20}, |as of .{3,20}, |since .{3,20}, )?(?:we|our|the (?:office|shop|branch|team))|wij|we|ons|onze|het (?:kantoor|team)|wir|unsere?|das (?:buro|team)|"
    r"nous|notre|nos|l'equipe|le (?:bureau|magasin))\b"
)
_SOMEBODY = re.compile(
    r"\b(?:person|employee|colleague|recipient|addressee|mailbox|(?:he|she|who|hij|zij|die|er|sie|il|elle|qui)\b|mede ?werk\w*|collega|persoon|ontvanger|mitarbeit\w*|kolleg\w+|empfanger\w*|"
    r"collaborat\w+|collegue|personne|destinataire|m\.|mr|mrs|ms|mme|herr|frau|mevrouw|dhr|mw)"
)
_COLLEAGUE = re.compile(
    r"\b(my|our|mijn|onze|mein\w*|unser\w*|mon|ma|notre) (\w+ )?(colleague|collega|kolleg\w+|collegue|boss|manager|assistant\w*|assistent\w*|secret\w+|sekret\w+|chef\w*|vorgesetzt\w*|leidinggevende|team)\b"
)


def read(mail: Mail) -> list[Report]:
    """Give the report of an automatic reply: its recipient is the person in whose name it comes; nothing for other mail."""
    return [answered(mail)] if is_automatic(mail) else []


def answered(mail: Mail) -> Report:
    """Give the report of a mail that is known to be an automatic reply."""
    person = successors.person_of(words(mail.headers.get("from", "")))
    note = _note(mail)
    report = Report(person.address, NOT_A_BOUNCE, evidence=note, auto_reply=True)
    if not tells_departure(note, person, subject=words(mail.headers.get("subject", ""))):
        return report
    name, address = successors.find(sentences(note), person)
    return report._replace(flag_job_change=True, successor_name=name, successor_email=address)


def is_automatic(mail: Mail) -> bool:
    """Say whether a mailbox answered by itself, and not a mail server about a mail that failed."""
    headers = mail.headers
    if from_mail_server(mail) and not (_ABSENCE.match(words(headers.get("subject", ""))) and mail.kind != "multipart/report"):
        return False
    submitted = headers.get("auto-submitted", "").partition(";")[0].strip().lower()
    return (
        submitted not in {"", "no"}
        or "auto" in headers.get("precedence", "").lower()
        or any(name in headers for name in _HEADERS)
        or bool(_SUBJECT.search(words(headers.get("subject", ""))))
    )


def _note(mail: Mail) -> str:
    """Give what the person wrote, without the mail that it answers."""
    text = mail.text[:_NOTE_CHARACTERS]
    quoted = _QUOTED.search(text)
    return text[: quoted.start()] if quoted and text[: quoted.start()].strip() else text


def sentences(note: str) -> list[str]:
    """Part a note into sentences, lines that are wrapped joined."""
    return [joined for piece in _SENTENCES.split(note) if (joined := " ".join(piece.split()))]


def tells_departure(note: str, person: "successors.Person", *, subject: str = "") -> bool:
    """Say whether a note tells that its person left the employer, not only the desk, the department or the address.

    A sentence that says so is enough, unless it is about somebody else in a note of absence; two weak signs are
    (a successor, a closed mailbox), unless the note names a return.
    """
    seen = [
        (rule.label, folded) for each in [*sentences(note), _own_words(subject)] if (rule := DEPARTURES.first(folded := fold(each, person)))
    ]
    labels = {label for label, _folded in seen}
    told = [folded for label, folded in seen if label == "left" and not _is_of_others(folded, person)]
    if "returns" in labels or "stays" in labels:
        told = [folded for folded in told if _is_own(folded, person)]
    return bool(told) or ({"successor", "mailbox_closed"} <= labels and not labels & {"stays", "returns"})


def _own_words(subject: str) -> str:
    """Give the words of a subject that the person wrote: behind the colon stands the subject of our mail."""
    return subject.partition(":")[0]


def _is_of_others(folded: str, person: "successors.Person") -> bool:
    """Say whether a sentence is about the firm that moved, or about a colleague, and not about the person who writes."""
    if _I.search(folded) or any(name in folded for name in person.names):
        return False
    # 'Our colleague' is how a firm speaks of whose mailbox it is.
    return bool((_COLLEAGUE.search(folded) and _MY.search(folded)) or (_WE.match(folded) and not _SOMEBODY.search(folded)))


def _is_own(folded: str, person: "successors.Person") -> bool:
    """Say whether a sentence is about the person who writes, not about a colleague who left."""
    if _COLLEAGUE.search(folded):
        return any(name in folded for name in person.names)
    return bool(_FIRST_PERSON.search(folded)) or any(name in folded for name in person.names)


def fold(sentence: str, person: "successors.Person") -> str:
    """Give a sentence as the table sees it: small letters, no accents, addresses as @, the employer as 'the company'."""
    plain = without_accents(ADDRESS.sub(" @ ", sentence).replace("\u2019", "'").replace("\u00b4", "'"))
    folded = " ".join(plain.casefold().split())
    return person.employer.sub("the company", folded) if person.employer else folded
