"""Who took over from somebody who left, as the person's automatic reply says: a name, an address, or both."""

import re
from collections.abc import Iterator
from email.utils import parseaddr
from itertools import islice
from typing import NamedTuple

from crm import policy
from crm.bounce_providers.mime import ADDRESS
from crm.bounce_providers.patterns import without_accents

_PARTICLES = (
    r"(?:van|von|vom|zu|zum|zur|de|der|den|het|'t|ten|ter|te|la|le|du|des|del|della|di|da|dos|el|al|bin|ben|af|av|op|in|d'|d’|v\.d\.|v/d)"
)
_CAPITAL = r"(?:[dDlLO]['’])?[A-ZÀ-ÞĀ-Ž][\w'’\-]*[\w]\.?|[A-ZÀ-Þ]\."
_NAME = re.compile(rf"(?:{_CAPITAL})(?:[ \t]+(?:{_PARTICLES}[ \t]+){{0,3}}(?:{_CAPITAL})){{1,3}}")
_TITLES = re.compile(
    r"\b(?:mr|mrs|ms|miss|dr|prof|ing|ir|drs|mw|mevr|mevrouw|dhr|heer|meneer|herr|herrn|frau|m|mm|mme|mlle|monsieur|madame|mademoiselle|sir|dipl|msc|bsc)\b\.?[ \t]*",
    re.IGNORECASE,
)
# Words in capitals that are no part of a name of a person.
_NO_NAME = re.compile(
    r"\b(?:service|services|desk|team|support|sales|department|dept|office|helpdesk|reception|afdeling|klantenservice|verkoop|inkoop|receptie|administratie|secretariaat|"
    r"einkauf|vertrieb|verkauf|zentrale|sekretariat|kundenservice|kundendienst|abteilung|buchhaltung|accueil|direction|secr[eé]tariat|standard|commercial|achats|"
    r"customer|purchasing|procurement|accounts?|finance|human|resources|hr|it|general|manager|director|company|gmbh|ag|ltd|limited|inc|bv|nv|b\.v|n\.v|sa|sarl|sas|plc|llc|"
    r"please|kind|best|regards|dear|hello|hi|thank|thanks|for|the|our|your|my|you|tel|phone|mobile|telefoon|telefon|mobiel|fax|e-?mail|mail|"
    r"met|groet|groeten|vriendelijke|beste|geachte|hallo|dank|voor|bij|neem|uw|mijn|mit|freundlichen|gr[uü]ssen|gr[uü]ßen|sehr|geehrte|damen|herren|bitte|ihre|ihr|mein|meine|"
    r"bonjour|cordialement|bien|merci|veuillez|pour|votre|vos|mon|ma|monday|tuesday|wednesday|thursday|friday|january|february|march|april|may|june|july|august|september|"
    r"kolleg(?:e|en|in)|collega|colleague|coll[eè]gue|nachfolger(?:in)?|ansprechpartner(?:in)?|vertretung|opvolg(?:er|ster)|successor|successeur|ask|call|write|send|email|try|see|use|new|now|also|all|any|vraag|bel|stuur|schrijf|alle|nieuwe|neue|rufen|fragen|schreiben|wenden|contactez|ecrivez|[eé]crivez|adressez|appelez|"
    r"october|november|december|januari|februari|maart|mei|juni|juli|augustus|oktober|januar|februar|m[aä]rz|mai|dezember|if|in|on|as|at|from|since|sinds|per|vanaf|seit|ab|"
    r"zum|depuis|this|these|deze|dieses|cette|is|was|will|has|have|ik|ich|je|i|we|wij|wir|nous|contact|kontakt|vragen|fragen|anfragen|questions|linkedin|director)\b",
    re.IGNORECASE,
)
_CUE = re.compile(
    r"(?:successor|opvolg(?:er|ster)|nachfolger(?:in)?|successeur|rempla[cç]ant[e]?|replacement|vervang(?:er|ster)|taken over by|overgenomen door|[uü]bernommen von|"
    r"[uü]bernimmt|nimmt(?: nun| jetzt| ab sofort)?|neemt|takes over|will take over|has taken over|reprend|repris(?:es?)? par|replaced by|vervangen door|assur[eé]e?s? par|contact(?:ing)?|contacteer|contacter|"
    r"contact op(?:nemen)? met|terecht bij|wenden (?:sie sich )?(?:bitte )?(?:k[uü]nftig |ab sofort )?an|richten (?:sie .{0,40} )?an|ansprechpartner(?:in)?|aanspreekpunt|contactpersoon|"
    r"point of contact|new contact|adresser? (?:[aà]|au)|joindre|interlocut(?:eur|rice)|turn to|reach out to|get in touch with|speak to|write to|e-?mail|mail|mailen|(?:stuur|send).{0,40}(?:naar|to)|"
    r"colleague|collega|kolleg(?:e|en|in)|coll[eè]gue|[eé]crire [aà]|bereikbaar|helpen|assist|by|door|von|par|an|met|to|bei|bij|[aà])[ \t:,]*(?:is|ist|est|wird|now|nu|nun|jetzt|d[eé]sormais)?[ \t:,]*$",
    re.IGNORECASE,
)
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "æ": "ae"})
_TAKES_OVER = re.compile(
    r"(?:\s*\([^)]{0,60}\))?[^.]{0,10}\b(?:is (?:my|his|her) successor|is (?:now )?(?:the person|your|dealing|handling)|(?:looks|is looking) after|has (?:assumed|picked up)|will (?:be your|handle|assist|help|deal)|"
    r"is (?:nu )?uw|helpt (?:u|je)|ist (?:nun |jetzt |ab sofort |k[uü]nftig )?(?:ihr|f[uü]r sie)|hilft ihnen|wahr\b|est (?:d[eé]sormais )?votre|(?:has taken|takes|will take|is taking) over|neemt|heeft .{0,60}overgenomen|volgt (?:mij|hem|haar) op|"
    r"[uü]bernimmt|hat .{0,60}(?:[uü]bernommen|angetreten)|angetreten|reprend|me remplace|assure d[eé]sormais|a repris|prend (?:ma|sa) (?:suite|rel[eè]ve)|lui succ[eè]de|me succ[eè]de)",
    re.IGNORECASE,
)
# The person's own way on, not the successor's.
_OWN = re.compile(
    r"\b(reach me|contact me|me at|e-?mail me|find me|me on|my (new|private|personal|own)|(private|personal)ly|mij (bereiken|mailen|vinden)|bereik(t|en)? (u |je )?mij|ben ik|mijn (nieuwe|eigen|prive|persoonlijke)|"
    r"prive|privat\w*|mich (erreichen|unter|per)|bin ich|erreichen sie mich|meine (neue|private|personliche)|me (joindre|contacter|ecrire|retrouver)|(mon|ma) (nouvelle?|adresse)|personnelle|"
    r"ik ben te bereiken|i can be reached|keep in touch|in contact blijven|stay in touch|in touch with me|linkedin)\b"
)
_TO_NOBODY = re.compile(r"\b(unsubscribe|abmelden|afmelden|desabonner|remove|verwijder|delete)\b")


# Words that no name begins with, but that many people are called.
_SURNAMES_TOO = {"Vos", "Best", "May", "Mai", "Kind", "Standard", "Bell", "See", "New", "Call", "Will", "Bon", "Beste"}
# A cue stands within so many letters before a name; a note names few people.
_CUE_CHARACTERS, _MOST_NAMES = 120, 20


class Person(NamedTuple):
    """Who replies: the address, the name, the parts of the name in small letters, and the employer as its domain spells it."""

    address: str
    name: str
    names: tuple[str, ...]
    employer: re.Pattern[str] | None


def person_of(sender: str) -> Person:
    """Take a From header apart."""
    name = " ".join(parseaddr(sender)[0].split())
    found = ADDRESS.search(sender)
    address = found[0].strip(".") if found else ""
    names = tuple(part for part in re.split(r"[\s,.]+", plain(name)) if len(part) > 2)
    return Person(address, name, names, _employer(address))


def _employer(address: str) -> re.Pattern[str] | None:
    """Match the employer's name in a folded sentence: the domain's first label, its words apart or not."""
    labels = address.rpartition("@")[2].lower().split(".")
    label = labels[-2] if len(labels) > 1 else ""
    signs = re.sub(r"[^a-z0-9]", "", without_accents(label))[:40]
    if len(signs) < 3 or address.rpartition("@")[2].lower() in policy.MAIL.free_domains:
        return None
    return re.compile(
        r"\b"
        + r"[ .&'-]{0,3}".join(map(re.escape, signs))
        + r"\b(?: (?:gmbh|ag|b\.?v\.?|n\.?v\.?|ltd|limited|inc|sa|sas|sarl|group|groep|gruppe|groupe)\b)?"
    )


def plain(text: str) -> str:
    """Give a text in small letters without accents."""
    return without_accents(text).casefold()


def find(sentences: list[str], person: Person) -> tuple[str, str]:
    """Give name and address of the first person or mailbox that a note offers in the person's place; empty where it names none."""
    offers = [sentence for sentence in sentences if not _is_own(sentence)]
    for place, sentence in enumerate(offers):
        for found in ADDRESS.finditer(sentence):
            address = found[0].strip(".")
            if not _is_persons_own(address, person):
                before = sentence[: found.start()] or (offers[place - 1] if place else "")
                return _name_for(address, before, sentence[found.end() :], person), address
    return next((name for sentence in offers for name in _cued(sentence, person)), ""), ""


def _is_own(sentence: str) -> bool:
    folded = plain(sentence)
    return bool(_OWN.search(folded) or _TO_NOBODY.search(folded))


def _is_persons_own(address: str, person: Person) -> bool:
    """Say whether an address is the person's: the old one, a private one, or one with the name at another domain."""
    local, _at, domain = address.lower().rpartition("@")
    old_domain = person.address.lower().rpartition("@")[2]
    if address.lower() == person.address.lower() or domain in policy.MAIL.free_domains:
        return True
    return domain != old_domain and any(name in local for name in person.names if len(name) > 3)


def _name_for(address: str, before: str, after: str, person: Person) -> str:
    """Give the name beside an address: the nearest before it, else one in brackets behind it; none for a mailbox of a function."""
    local = address.rpartition("@")[0].lower()
    if local.partition("+")[0] in policy.MAIL.role_names:
        return ""
    names = list(_names(before[-160:], person)) or list(_names(after[:60], person))
    fitting = [name for name in names if _fits(name, local)]
    return (fitting or [""])[-1] or (names[-1] if names and _CUE.search(_upto(before, names[-1])) and _looks_personal(local) else "")


def _looks_personal(local: str) -> bool:
    return bool(re.search(r"[._-]|^[a-z]{2,4}$", local)) or len(local) > 4


def _upto(text: str, name: str) -> str:
    """Give the words right before a name."""
    before = text[: text.rfind(name)] if name in text else text
    return _TITLES.sub("", before[-_CUE_CHARACTERS:])


def _fits(name: str, local: str) -> bool:
    """Say whether a local part is made from a name: a part of it, or its first letters."""
    parts = [part for part in re.split(r"[\s.'’-]+", plain(name)) if part]
    letters = re.sub(r"[^a-z]", "", without_accents(local))
    # Germans write ü as ue in addresses.
    spelled = [part for part in re.split(r"[\s.'’-]+", name.casefold().translate(_UMLAUTS)) if part]
    return any(len(part) > 2 and part in letters for part in parts + spelled) or letters == "".join(part[0] for part in parts)


def _names(text: str, person: Person) -> Iterator[str]:
    """Give the names of people in a text, without titles, the person's own, and words that only look like names."""
    for found in islice(_NAME.finditer(_TITLES.sub("", text)), _MOST_NAMES):
        name = " ".join(found[0].split()).strip(" .,")
        while name and (odd := _NO_NAME.match(name)):
            name = name[odd.end() :].strip(" .,:")
        first, _space, last = name.rpartition(" ")
        if odd := _NO_NAME.search(first if last in _SURNAMES_TOO else name):
            # 'Monika Graf Ihre Ansprechpartnerin': the name ends where other words begin.
            name = name[: odd.start()].strip(" .,:")
        is_own = person.names and set(re.split(r"[\s.]+", plain(name))) & set(person.names) and plain(name).split()[-1] in person.names
        if " " in name and not is_own and not (person.employer and person.employer.search(plain(name))):
            yield name


def _cued(sentence: str, person: Person) -> Iterator[str]:
    """Give the names that stand behind a word such as 'successor' or 'contact'."""
    bare = _TITLES.sub("", sentence)
    for name in _names(sentence, person):
        if _CUE.search(_upto(bare, name)) or _TAKES_OVER.match(bare[bare.rfind(name) + len(name) :]):
            yield name
