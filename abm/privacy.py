"""What abm holds on people, for export and erasure."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from abm.models import AnnouncedLeaving, JobChangeSignal, SignalEvidence
from crm import privacy
from crm.models import Contact, DmuMembership

_NAMELESS = {"successor_name": "", "successor_email": ""}


def register() -> None:
    """Tell crm.privacy what abm holds on people; called once at start.

    A successor is a person, too: the name goes when either of the two is erased. What names a successor in words is found
    by the columns, so it stands below them: erasure walks backwards.
    """
    privacy.hold("job_change_signals", privacy.Held(lambda ids: JobChangeSignal.objects.filter(contact__in=ids), _NAMELESS))
    privacy.hold(
        "signal_evidence",
        privacy.Held(lambda ids: SignalEvidence.objects.filter(signal__contact__in=ids), {"text": privacy.ERASED}),
    )
    privacy.hold("announced_leavings", privacy.Held(lambda ids: AnnouncedLeaving.objects.filter(contact__in=ids), _NAMELESS))
    privacy.hold("announced_as_successor", privacy.Held(_announcing, _NAMELESS))
    privacy.hold("named_as_successor", privacy.Held(_naming, _NAMELESS))
    privacy.hold("evidence_of_successor", privacy.Held(_evidence_naming, {"text": privacy.ERASED}))


def _announcing(contact_ids: Sequence[int]) -> QuerySet[AnnouncedLeaving]:
    """Find the announcements of colleagues that name one of these contacts: by address, or by name at the account."""
    contacts = Contact.objects.filter(pk__in=contact_ids)
    said = AnnouncedLeaving.objects.alias(address=Lower("successor_email"), name=Lower("successor_name"))
    here = said.filter(contact__account__in=contacts.values("account"))
    names = {str(contact).lower() for contact in contacts.filter(erased_at=None).select_related("person")}
    return said.filter(Q(address__in=privacy.addresses_of(contact_ids)) | Q(pk__in=here.filter(name__in=names).values("pk")))


def _naming(contact_ids: Sequence[int]) -> QuerySet[JobChangeSignal]:
    """Find the signals that name one of these contacts as successor: by address, by name, or by what they did with the contact."""
    here = JobChangeSignal.objects.filter(account__in=Contact.objects.filter(pk__in=contact_ids).values("account"))
    touched = {("added", pk) for pk in contact_ids}
    touched |= {("assigned", pk) for pk in DmuMembership.objects.filter(contact__in=contact_ids).values_list("pk", flat=True)}
    names = {str(contact).lower() for contact in Contact.objects.filter(pk__in=contact_ids, erased_at=None).select_related("person")}
    # In Python: the databases disagree on how to look into a list, and an account has few signals.
    found = [
        pk
        for pk, name, effects in here.values_list("pk", "successor_name", "effects")
        if name.strip().lower() in names or touched & _done(effects)
    ]
    addressed = Q(address__in=privacy.addresses_of(contact_ids))
    return JobChangeSignal.objects.alias(address=Lower("successor_email")).filter(addressed | Q(pk__in=found))


def _done(effects: Iterable[dict[str, Any]]) -> set[tuple[str, int]]:
    return {(effect["effect"], effect["id"]) for effect in effects}


def _evidence_naming(contact_ids: Sequence[int]) -> QuerySet[SignalEvidence]:
    """Find what people wrote for such a signal; a bounced mail names nobody but its recipient."""
    return SignalEvidence.objects.filter(signal__in=_naming(contact_ids)).exclude(source=SignalEvidence.Source.BOUNCE)
