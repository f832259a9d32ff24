"""The open vocabulary of activity kinds: adding one is one line here and its points in abm/policy.py."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

THEIRS, OURS = "inbound", "outbound"


@dataclass(frozen=True)
class ActivityKind:
    """One kind: its name on screen, the channel it came through, and who acted."""

    label: Promise
    channel: str
    direction: str = THEIRS

    @property
    def is_ours(self) -> bool:
        """Say whether we did it ourselves, so that it says nothing about their interest."""
        return self.direction == OURS


KINDS: dict[str, ActivityKind] = {
    "page_view": ActivityKind(_("page view"), "web"),
    "pricing_view": ActivityKind(_("pricing page view"), "web"),
    "download": ActivityKind(_("download"), "web"),
    "form_demo_request": ActivityKind(_("demo request"), "web"),
    "email_open": ActivityKind(_("mail opened"), "email"),
    "email_click": ActivityKind(_("link in mail clicked"), "email"),
    "email_reply": ActivityKind(_("mail answered"), "email"),
    "webinar_attended": ActivityKind(_("webinar attended"), "event"),
    "event_visit": ActivityKind(_("met at an event"), "event"),
    "meeting": ActivityKind(_("meeting"), "meeting"),
    "call_answered": ActivityKind(_("call, spoken to"), "phone"),
    "email_sent": ActivityKind(_("mail sent"), "email", OURS),
    "email_delivered": ActivityKind(_("mail delivered"), "email", OURS),
    "email_bounced": ActivityKind(_("mail bounced"), "email", OURS),
    "call_unanswered": ActivityKind(_("call, no answer"), "phone", OURS),
    "note": ActivityKind(_("note"), "note", OURS),
}

OURS_KINDS = frozenset(name for name, kind in KINDS.items() if kind.is_ours)
# What proves that an address reached a person (domain: 'the address worked before').
PROOF_OF_ADDRESS = frozenset({"email_delivered", "email_open", "email_click", "email_reply", "meeting"})


def choices() -> list[tuple[str, Promise]]:
    """Give the kinds as form choices; a callable, so that a new kind needs no migration."""
    return [(name, kind.label) for name, kind in KINDS.items()]
