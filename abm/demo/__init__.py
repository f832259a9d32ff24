"""The demo: a public data set of accounts and past deals, and invented people, mail, visits and live deals on top of it."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.utils.translation import gettext as _

from abm import nightly
from abm.demo import activity, budgets, changes, deals, logins, mail, marketing, people
from abm.demo.people import SOURCE
from abm.errors import AbmError
from crm import bulk, imports, policy, sales_history
from crm.models import Account, Contact

DATA = Path(__file__).parent / "maven-crm"

__all__ = ["SOURCE", "is_loaded", "load"]


def is_loaded() -> bool:
    """Say whether the demo is there; what is invented comes in one transaction, so it is there wholly or not at all."""
    return Contact.objects.filter(source=SOURCE).exists()


def load(*, at: datetime, say: Callable[[str], object]) -> bool:
    """Load the demo, with its last half year ending at `at`; say whether anything was to be done.

    A second call does nothing, and one after a kill does what is left. Refuses a database that holds other accounts.
    """
    if is_loaded():
        say(_("The demo is there already."))
        return False
    _refuse_other_accounts()
    say(_("Taking over 85 accounts and 8,800 past deals of the public data set"))
    sales_history.load(DATA, at=at)
    say(_("Inventing people, mail, web visits and live deals"))
    with transaction.atomic():
        _invent(at=at)
        bulk.look_at()
    say(_("Doing the nightly run of today"))
    nightly.run(policy.day_of(at), clock=lambda: at)
    return True


def _refuse_other_accounts() -> None:
    lines, _report = imports.read_lines(DATA / "accounts.csv", columns=["account"])
    names = [line.values["account"] for line in lines]
    others = Account.objects.exclude(source=sales_history.SOURCE, external_id__in=names)
    if other := others.first():
        raise AbmError(
            _("This database holds accounts that are not the demo's, e.g. %(account)s: the demo belongs into an empty one.")
            % {"account": other},
            code="not_empty",
        )


def _invent(*, at: datetime) -> None:
    """Make everything that is not in the data set; the later steps rest on the earlier ones."""
    logins.make()
    sellers = logins.sellers()
    accounts = list(Account.objects.filter(source=sales_history.SOURCE).select_related("owner__team", "team").order_by("name"))
    members = people.settle(accounts, at=at)
    changes.depart_and_opt_out(members, at=at)
    meetings = deals.make(members, [sellers["rep"], sellers["other rep"]], at=at)
    activity.record(members, accounts, at=at)
    activity.record_rows(meetings, label="meeting", at=at)
    changes.suspect(members, rep=sellers["rep"], at=at)
    mail.send_and_return(members, at=at)
    budgets.spend(at=at)
    budgets.aim(list(sellers.values()), at=at)
    marketing.write_profile()
    marketing.score(at=at)
    marketing.make_lists(lead=sellers["lead"], other_rep=sellers["other rep"], at=at)
    marketing.make_experiment(lead=sellers["lead"], at=at)
    marketing.open_tasks(sellers, at=at)
