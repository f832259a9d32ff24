"""Delivery status notifications: what their machine-readable part says of each recipient (RFC 3464, RFC 6533)."""

import re
from collections.abc import Iterator

from crm.bounce_providers import classifier
from crm.bounce_providers.contract import DOMAIN_GONE, MAILBOX_MOVED, NOT_A_BOUNCE, OTHER, PERSON_GONE, TEMPORARY, Report
from crm.bounce_providers.mime import ADDRESS, Mail
from crm.bounce_providers.texts import judge_words, named_by, said_of

MOST_RECIPIENTS = 200
# Postfix answers a question whether an address would work (sendmail -bv) with "deliverable".
_WENT_WELL = {"delivered", "relayed", "expanded", "deliverable"}
_ADDRESS_FIELDS = ("final-recipient", "original-recipient", "x-actual-recipient")
# utf-8-addr-xtext of RFC 6533: \x{E9} stands for é.
_HEX_SIGN = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
# How a local delivery program ended, by sysexits.h; the other numbers say nothing of the recipient.
_EXIT_CODE = re.compile(r"^\s*x-unix\s*;\s*(\d{1,3})\s*$", re.IGNORECASE)
_EXITS = {"67": "user unknown", "68": "host unknown", "75": "temporary failure"}
_FIELDS = re.compile(r"^(?:Final|Original)-Recipient:", re.IGNORECASE | re.MULTILINE)
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_TYPE = re.compile(r"^\s*[A-Za-z0-9-]{1,40}\s*;\s*")


def read(mail: Mail) -> list[Report]:
    """Give a report for each recipient that failed; where none did, for those it says it reached."""
    parts = mail.statuses or ((mail.text,) if _FIELDS.search(mail.text) else ())
    groups = [fields for part in parts for fields in _groups(part)]
    reports = [report for fields in groups[:MOST_RECIPIENTS] if (report := _report(fields, mail))]
    failed = [report for report in reports if report.label != NOT_A_BOUNCE]
    if len(failed) == 1 and not failed[0].recipient and len(named := named_by(mail)) == 1:
        return [failed[0]._replace(recipient=named[0])]
    return list({report.recipient.lower(): report for report in reversed(failed or reports)}.values())[::-1]


def _groups(part: str) -> Iterator[dict[str, str]]:
    """Give the fields of each recipient; some servers leave out the blank line between two, or put one too many."""
    fields: dict[str, str] = {}
    name = ""
    for line in part.split("\n")[:5_000]:
        if line[:1] in {" ", "\t"} and name:
            fields[name] += " " + line.strip()[:1_000] if len(fields[name]) < 4_000 else ""
            continue
        before, colon, value = line.partition(":")
        name = before.strip().lower() if colon else ""
        if name == "final-recipient" and name in fields:
            yield fields
            fields = {}
        if (
            not line.strip()
            and fields.keys() & {"final-recipient", "original-recipient"}
            and fields.keys() & {"action", "status", "diagnostic-code"}
        ):
            yield fields
            fields, name = {}, ""
        if name:
            fields.setdefault(name, value.strip())
    yield fields


def _report(fields: dict[str, str], mail: Mail) -> Report | None:
    """Judge one recipient: by what the other server said, else by what the notification tells people, else by its status."""
    addresses = [address for name in _ADDRESS_FIELDS if (address := _address(fields.get(name, "")))]
    # An address within the server that failed, such as 'user@store', is no address that anybody wrote to.
    recipient = next((address for address in addresses if "." in address.rpartition("@")[2]), next(iter(addresses), ""))
    action = fields.get("action", "").partition(";")[0].strip().lower()
    if not recipient and not action and "status" not in fields:
        return None
    status = found[0] if (found := _STATUS.search(fields.get("status", ""))) else ""
    diagnosis = fields.get("diagnostic-code", "")
    exit_code = _EXIT_CODE.match(diagnosis)
    said = _EXITS.get(exit_code[1], exit_code[1]) if exit_code else _TYPE.sub("", diagnosis)
    code, own_status = classifier.codes(said)
    if action in _WENT_WELL or (status[:1] == "2" and action != "failed"):
        label = NOT_A_BOUNCE
    else:
        label = _label(said, status, action, recipient, mail)
    best = own_status if own_status and status[2:] in {"", "0.0"} else status or own_status
    sent_to = _address(fields.get("original-recipient", ""))
    return Report(recipient, label, best, code, evidence=said or mail.text, sent_to=sent_to if sent_to.lower() != recipient.lower() else "")


def _label(said: str, status: str, action: str, recipient: str, mail: Mail) -> str:
    label = classifier.judge(said, status=status)
    if (label == OTHER and status[2:] in {"", "0.0"}) or not said:
        label = judge_words(said_of(recipient, mail.text), status=status)
        label = label if label != OTHER else judge_words(mail.text, status=status)
    # A notice of delay may quote 'user unknown' of a server that verifies addresses, and a DNS server may be wrong for a day.
    return TEMPORARY if action == "delayed" and label in {PERSON_GONE, MAILBOX_MOVED, DOMAIN_GONE, OTHER} else label


def _address(field: str) -> str:
    """Give the address of a field such as 'rfc822; a@b.example'; empty where it names none."""
    field = _TYPE.sub("", field)
    if "\\x{" in field:
        field = _HEX_SIGN.sub(lambda sign: chr(min(int(sign[1], 16), 0x10FFFF)), field)
    found = ADDRESS.search(field)
    return found[0].strip(".") if found else ""
