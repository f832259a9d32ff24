"""What to look at first in the demo, by name."""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from abm.demo import logins
from abm.demo.people import SOURCE
from abm.models import AccountStanding, JobChangeSignal, TargetList
from crm.models import Confirmation, Opportunity


def sights() -> Iterator[str]:
    """Yield a sentence for each thing worth a look that is there, all of it at the rep's own accounts."""
    rep = logins.SELLERS["rep"]
    standings = AccountStanding.objects.filter(account__owner__username=rep).select_related("account")
    if warm := standings.order_by("-momentum").first():
        yield _("%(account)s warms up: score %(score)s, %(momentum)s more than a week ago") % {
            "account": warm.account, "score": warm.score, "momentum": warm.momentum,
        }  # fmt: skip
    if thread := standings.filter(is_single_threaded=True).order_by("-score").first():
        yield _("%(account)s hangs on one person: see who is missing in its DMU") % {"account": thread.account}
    if broken := Opportunity.objects.gate_broken().filter(source=SOURCE, owner__username=rep).select_related("account").first():
        yield _("%(deal)s at %(account)s: its gate is broken, for who confirmed the budget left") % {
            "deal": broken,
            "account": broken.account,
        }
    signals = JobChangeSignal.objects.open().filter(account__owner__username=rep).select_related("contact__person", "account")
    if signal := signals.order_by("-opened_at", "-pk").first():
        yield _at_risk(signal)
    if active := TargetList.objects.active().first():
        yield _("Target list '%(list)s': twenty accounts, each with its reasons") % {"list": active}


def _at_risk(signal: JobChangeSignal) -> str:
    """Say who may have left, and which live deal rests on that person's word."""
    names = {"contact": signal.contact, "account": signal.account}
    theirs = Confirmation.objects.standing().filter(contact=signal.contact).select_related("opportunity")
    if given := theirs.filter(opportunity__in=Opportunity.objects.open()).first():
        return _("%(contact)s at %(account)s may have left: confirm it, and the gate of '%(deal)s' breaks") % {
            **names,
            "deal": given.opportunity,
        }
    return _("%(contact)s at %(account)s may have left: confirm or dismiss it") % names
