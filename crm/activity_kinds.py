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
    # What is said of the person with whom it happened, before 'three days ago'.
    done: Promise
    direction: str = THEIRS

    @property
    def is_ours(self) -> bool:
        """Say whether we did it ourselves, so that it says nothing about their interest."""
        return self.direction == OURS

    @property
    def is_personal(self) -> bool:
        """Say whether it cannot happen without somebody we know: a visitor of our site may stay anonymous, who speaks to us does not."""
        return not self.is_ours and self.channel != "web"


KINDS: dict[str, ActivityKind] = {
    "page_view": ActivityKind(_("page view"), "web", _("was on our site")),
    "pricing_view": ActivityKind(_("pricing page view"), "web", _("looked at prices")),
    "download": ActivityKind(_("download"), "web", _("downloaded something")),
    "form_demo_request": ActivityKind(_("demo request"), "web", _("asked for a demo")),
    "email_open": ActivityKind(_("mail opened"), "email", _("opened our mail")),
    "email_click": ActivityKind(_("link in mail clicked"), "email", _("clicked in our mail")),
    "email_reply": ActivityKind(_("mail answered"), "email", _("answered our mail")),
    "webinar_attended": ActivityKind(_("webinar attended"), "event", _("was at a webinar")),
    "event_visit": ActivityKind(_("met at an event"), "event", _("met at an event")),
    "meeting": ActivityKind(_("meeting"), "meeting", _("met")),
    "call_answered": ActivityKind(_("call, spoken to"), "phone", _("spoken to by phone")),
    "email_sent": ActivityKind(_("mail sent"), "email", _("mailed"), OURS),
    "email_delivered": ActivityKind(_("mail delivered"), "email", _("mail arrived"), OURS),
    "email_bounced": ActivityKind(_("mail bounced"), "email", _("mail bounced"), OURS),
    "call_unanswered": ActivityKind(_("call, no answer"), "phone", _("called, no answer"), OURS),
    "note": ActivityKind(_("note"), "note", _("noted"), OURS),
}

OURS_KINDS = frozenset(name for name, kind in KINDS.items() if kind.is_ours)
PERSONAL_KINDS = frozenset(name for name, kind in KINDS.items() if kind.is_personal)
CHANNELS: dict[str, Promise] = {
    "web": _("our site"), "email": _("mail"), "event": _("events"), "meeting": _("meetings"), "phone": _("phone"), "note": _("notes"),
}  # fmt: skip
# What proves that an address reached a person (domain: 'the address worked before').
PROOF_OF_ADDRESS = frozenset({"email_delivered", "email_open", "email_click", "email_reply", "meeting"})


def choices() -> list[tuple[str, Promise]]:
    """Give the kinds as form choices; a callable, so that a new kind needs no migration."""
    return [(name, kind.label) for name, kind in KINDS.items()]
