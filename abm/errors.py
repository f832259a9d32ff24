"""What the rules of abm refuse; the same shape as in crm, so that every door translates one kind of error."""

from crm.errors import Conflict, CrmError


class AbmError(CrmError):
    """A refusal by a rule of abm."""


class TargetListFull(AbmError):
    """All slots of a target list are taken."""

    code = "target_list_full"


class AccountTaken(Conflict):
    """The account is on this list already, or on another active list of the team."""

    code = "account_taken"


class NotEligible(AbmError):
    """The account may not be on a target list; the message says why."""

    code = "not_eligible"


class WrongStatus(Conflict):
    """The record is past the state in which this can be done."""

    code = "wrong_status"
