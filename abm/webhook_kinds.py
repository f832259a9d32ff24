"""What abm tells other systems of."""

from django.utils.translation import gettext_lazy as _

from abm.models import JobChangeSignal, TargetList
from crm import webhooks
from crm.models import Account
from crm.webhooks import Kind


def register() -> None:
    """Tell crm.webhooks what else there is to be told; called once at start."""
    webhooks.register(
        {
            "account.scored": Kind("account", Account, _("an account became warm, or stopped being so")),
            "job_change.opened": Kind("job_change", JobChangeSignal, _("somebody may have left")),
            "job_change.confirmed": Kind("job_change", JobChangeSignal, _("somebody left, or a domain changed")),
            "target_list.activated": Kind("target_list", TargetList, _("work on a target list began")),
        }
    )
