"""What the rules of crm refuse, with a code for machines and a sentence for people."""

from collections.abc import Iterable

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext


class CrmError(Exception):
    """A refusal: `code` is stable, `message` is a translated sentence, `detail` names what is missing or wrong."""

    code = "refused"

    def __init__(self, message: str | Promise, *, code: str | None = None, detail: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.detail = detail or {}

    def __str__(self) -> str:
        return str(self.message)


class Invalid(CrmError):
    """A value that cannot be right, whoever gives it; `detail` maps field to reason."""

    code = "invalid"


class TooLarge(Invalid):
    """More than is taken in at once; nothing was stored."""

    code = "too_large"


class NotSent(CrmError):
    """The mail server did not take a mail; there is no record of it."""

    code = "not_sent"


class Conflict(CrmError):
    """Somebody else changed it first; nothing was changed by this call."""

    code = "conflict"


class NotAllowed(CrmError):
    """This person may not do this to this record."""

    code = "not_allowed"


MISSING_SENTENCES = {
    "two_of_three": _("two of budget, authority and timing must be confirmed"),
    "budget": _("budget is not confirmed"),
    "authority": _("authority is not confirmed by a decider"),
    "need": _("the need is not confirmed"),
    "timing": _("timing is not confirmed"),
    "budget_stale": _("the confirmation of budget is too old"),
    "authority_stale": _("the confirmation of authority is too old"),
    "need_stale": _("the confirmation of the need is too old"),
    "timing_stale": _("the confirmation of timing is too old"),
    "decider": _("who confirmed authority does not hold the decider role now"),
    "amount": _("the amount is missing"),
    "close_date": _("the close date is missing"),
    "account": _("the account is not known"),
    "gate_broken": _("a confirmation it rested on was withdrawn: confirm it anew"),
}


class BantGateClosed(CrmError):
    """The gate of a stage is closed; `missing` holds keys of MISSING_SENTENCES."""

    code = "gate_closed"

    def __init__(self, stage: str, missing: Iterable[str]) -> None:
        self.missing = list(missing)
        super().__init__(gate_sentence(self.missing), detail={"stage": stage, "missing": self.missing})


def gate_sentence(missing: list[str]) -> str:
    """Say in words what keeps a gate closed."""
    reasons = "; ".join(str(MISSING_SENTENCES[name]) for name in missing)
    count = len(missing)
    return ngettext("The gate is closed: %(why)s.", "The gate is closed for %(count)d reasons: %(why)s.", count) % {
        "why": reasons,
        "count": count,
    }


class LinkClosed(CrmError):
    """A link that opens nothing (any more); `code` says why: unknown, expired, erased, merged or left."""

    code = "unknown"
