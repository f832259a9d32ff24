"""What abm holds on people, for export and erasure."""

from django.db.models.functions import Lower

from abm.models import JobChangeSignal, SignalEvidence
from crm import privacy


def register() -> None:
    """Tell crm.privacy what abm holds on people; called once at start.

    A successor is a person, too: the name goes when either of the two is erased.
    """
    privacy.hold(
        "job_change_signals",
        privacy.Held(lambda ids: JobChangeSignal.objects.filter(contact__in=ids), {"successor_name": "", "successor_email": ""}),
    )
    privacy.hold(
        "signal_evidence",
        privacy.Held(lambda ids: SignalEvidence.objects.filter(signal__contact__in=ids), {"text": privacy.ERASED}),
    )
    privacy.hold(
        "named_as_successor",
        privacy.Held(
            lambda ids: JobChangeSignal.objects.alias(address=Lower("successor_email")).filter(address__in=privacy.addresses_of(ids)),
            {"successor_name": "", "successor_email": ""},
        ),
    )
