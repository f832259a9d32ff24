"""What a reader of returned mail hands over; the words are those of crm.models.deliverability.Outcome."""

from typing import NamedTuple

PERSON_GONE, MAILBOX_MOVED, DOMAIN_GONE = "person_gone", "mailbox_moved", "domain_gone"
MAILBOX_FULL, TEMPORARY, BLOCKED_POLICY = "mailbox_full", "temporary", "blocked_policy"
CONTENT, OTHER, NOT_A_BOUNCE = "content", "other", "not_a_bounce"
OUTCOMES = (PERSON_GONE, MAILBOX_MOVED, DOMAIN_GONE, MAILBOX_FULL, TEMPORARY, BLOCKED_POLICY, CONTENT, OTHER, NOT_A_BOUNCE)
# The only ones of a bounce that can mean a job change.
JOB_CHANGES = frozenset({PERSON_GONE, MAILBOX_MOVED})


class Report(NamedTuple):
    """What one mail says of one recipient; every text is empty where the mail does not say.

    message_id is that of our mail that came back, with its angle brackets; return_token the part of our return path
    that names the delivery. Who replied automatically is the recipient of that reply's report. sent_to is the address
    that we wrote to where the mail says that it passed it on to another, which is the one that failed.
    """

    recipient: str = ""
    label: str = OTHER
    status: str = ""
    smtp_code: str = ""
    evidence: str = ""
    message_id: str = ""
    return_token: str = ""
    auto_reply: bool = False
    flag_job_change: bool = False
    successor_name: str = ""
    successor_email: str = ""
    sent_to: str = ""
