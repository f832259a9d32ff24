"""Follow-ups over the API: list, open by hand, change, close, reopen."""

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from crm import follow_ups
from crm.api.contract import IdFilter, SuchFilter
from crm.api.following import follows
from crm.api.records import Facts, Form, ReadViewSet, deed
from crm.models import FollowUp


class FollowUpSerializer(serializers.ModelSerializer):
    """Something a rep should do."""

    title = serializers.CharField(read_only=True, help_text="What to do, in the caller's language.")

    class Meta:
        model = FollowUp
        fields = [
            "id", "title", "reason", "text", "account", "contact", "opportunity", "owner", "due_on",
            "opened_at", "closed_at", "closed_by", "result",
        ]  # fmt: skip
        read_only_fields = fields


class FollowUpFacts(Facts):
    """Work that a person adds by hand; without an owner it is the caller's."""

    class Meta:
        model = FollowUp
        fields = ["text", "due_on", "account", "contact", "opportunity", "owner"]
        extra_kwargs = {"text": {"required": True, "allow_blank": False}}


class FollowUpChange(Facts):
    """What of a follow-up can change while it is open."""

    class Meta:
        model = FollowUp
        fields = ["text", "due_on", "owner"]


class ClosingForm(Form):
    """What came of it."""

    result = serializers.CharField(required=False, allow_blank=True, max_length=300)


class FollowUpFilter(filters.FilterSet):
    """What a list of follow-ups can be narrowed to."""

    open = SuchFilter()
    account, contact = IdFilter(field_name="account_id"), IdFilter(field_name="contact_id")
    opportunity, owner = IdFilter(field_name="opportunity_id"), IdFilter(field_name="owner_id")
    due_before = filters.DateFilter(field_name="due_on", lookup_expr="lt")

    class Meta:
        model = FollowUp
        fields = ["reason"]


@follows(FollowUpSerializer, "FollowUp")
class FollowUpViewSet(ReadViewSet):
    """Reps' pieces of work, 'tasks' on screen."""

    scope = "activities"
    queryset = FollowUp.objects.select_related("account", "contact__person", "opportunity")
    serializer_class = FollowUpSerializer
    filterset_class = FollowUpFilter
    orderings = {"due_on": ("due_on", "id"), "-id": ("-id",)}

    @extend_schema(request=FollowUpFacts, responses={201: FollowUpSerializer})
    def create(self, request) -> Response:
        """Open a follow-up by hand."""
        facts = {"owner": request.user} | self.given(FollowUpFacts)
        return self.answer(follow_ups.open(reason=FollowUp.Reason.BY_HAND, at=self.at, **facts), status=201)

    @extend_schema(request=FollowUpChange, responses=FollowUpSerializer)
    def partial_update(self, request, pk: str) -> Response:
        """Give a follow-up to somebody else, put it off, or word it better."""
        follow_up = self.get_object()
        now = {"owner": follow_up.owner, "due_on": follow_up.due_on, "text": follow_up.text}
        return self.answer(follow_ups.change(follow_up, **now | self.given(FollowUpChange, partial=True)))

    @deed(ClosingForm, FollowUpSerializer)
    def close(self, request, pk: str) -> Response:
        """Close a follow-up with its result."""
        return self.answer(follow_ups.close(self.get_object(), at=self.at, by=request.user, **self.given(ClosingForm)))

    @deed(None, FollowUpSerializer)
    def reopen(self, request, pk: str) -> Response:
        """Put a closed follow-up back to work."""
        return self.answer(follow_ups.reopen(self.get_object(), at=self.at))
