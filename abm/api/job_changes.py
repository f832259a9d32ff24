"""Job-change signals over the API: list, suspect, confirm, dismiss, undo."""

from django_filters import rest_framework as filters
from rest_framework import serializers
from rest_framework.response import Response

from abm import job_changes
from abm.models import JobChangeSignal, SignalEvidence
from crm.api.contract import IdFilter, SuchFilter
from crm.api.following import follows
from crm.api.records import Form, ReadViewSet, RecordField, deed
from crm.models import Account, ApiKey, Contact


class EvidenceSerializer(serializers.ModelSerializer):
    """One thing that spoke for a signal."""

    class Meta:
        model = SignalEvidence
        fields = ["source", "text", "seen_at", "given_by"]
        read_only_fields = fields


class SignalSerializer(serializers.ModelSerializer):
    """Evidence that a contact left, or that a whole account's mail moved."""

    evidence = EvidenceSerializer(many=True, read_only=True)

    class Meta:
        model = JobChangeSignal
        fields = [
            "id", "kind", "account", "contact", "status", "opened_at", "decided_at", "decided_by", "successor_name",
            "successor_email", "evidence",
        ]  # fmt: skip
        read_only_fields = fields


class SuspicionForm(Form):
    """Who may have left, and how we know; the same key twice is one piece of evidence."""

    contact = RecordField(queryset=Contact.objects.all())
    text = serializers.CharField(max_length=500)
    key = serializers.CharField(required=False, max_length=80, help_text="Names this evidence at its source.")
    successor_name = serializers.CharField(required=False, allow_blank=True, max_length=200)
    successor_email = serializers.EmailField(required=False, allow_blank=True)


class ConfirmationForm(Form):
    """When the person left (the day they named, else today), who comes after, and where the person works now, if known."""

    left_on = serializers.DateField(required=False, allow_null=True)
    successor = RecordField(queryset=Contact.objects.all(), required=False, allow_null=True)
    new_account = RecordField(queryset=Account.objects.all(), required=False, allow_null=True)
    new_email = serializers.EmailField(required=False, allow_blank=True)
    new_job_title = serializers.CharField(required=False, allow_blank=True, max_length=150)


class SignalFilter(filters.FilterSet):
    """What a list of signals can be narrowed to."""

    open, of_persons, of_domains = SuchFilter(), SuchFilter(), SuchFilter()
    account, contact = IdFilter(field_name="account_id"), IdFilter(field_name="contact_id")

    class Meta:
        model = JobChangeSignal
        fields = ["status", "kind"]


@follows(SignalSerializer, "Signal")
class JobChangeViewSet(ReadViewSet):
    """Signals that somebody may have changed jobs; a guess until a person decides."""

    scope = "marketing"
    queryset = JobChangeSignal.objects.prefetch_related("evidence")
    serializer_class = SignalSerializer
    filterset_class = SignalFilter

    @deed(SuspicionForm, SignalSerializer, on_list=True, status=201)
    def suspect(self, request) -> Response:
        """Say that somebody may have left; adds to the open signal of that contact if there is one."""
        given = self.given(SuspicionForm)
        is_key = isinstance(request.auth, ApiKey)
        source = SignalEvidence.Source.API if is_key else SignalEvidence.Source.REP
        key = f"{source}:{given.pop('key', '') or request.user.pk}"
        contact = given.pop("contact")
        return self.answer(job_changes.suspect(contact, source=source, key=key, at=self.at, by=request.user, **given), status=201)

    @deed(ConfirmationForm, SignalSerializer)
    def confirm(self, request, pk: str) -> Response:
        """Confirm that the person left, with every consequence."""
        return self.answer(job_changes.confirm(self.get_object(), at=self.at, by=request.user, **self.given(ConfirmationForm)))

    @deed(None, SignalSerializer)
    def dismiss(self, request, pk: str) -> Response:
        """Dismiss a signal; everything that it did is put back."""
        return self.answer(job_changes.dismiss(self.get_object(), at=self.at, by=request.user))

    @deed(None, SignalSerializer)
    def undo(self, request, pk: str) -> Response:
        """Take a decision back; the signal is open again."""
        return self.answer(job_changes.undo(self.get_object(), at=self.at, by=request.user))
