"""Webhooks over the API: who is told what, how each telling went, and telling it again."""

from typing import Any

from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.response import Response

from crm import webhooks
from crm.api.contract import IdFilter, SuchFilter
from crm.api.records import Facts, Form, ReadViewSet, deed
from crm.errors import Invalid
from crm.models import Webhook, WebhookDelivery
from crm.webhooks import outbox


class WebhookSerializer(serializers.ModelSerializer):
    """Where another system is told of events; the secret is shown once, when it is made."""

    event_types = serializers.ListField(child=serializers.CharField(), help_text="The events that it wants.")

    class Meta:
        model = Webhook
        fields = [
            "id", "name", "address", "event_types", "owner", "is_active", "disabled_at", "disabled_because", "failing_since",
            "old_secret_until", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class SecretSerializer(serializers.Serializer):
    """A secret, this once."""

    secret = serializers.CharField(help_text="Shown this once: whsec_ and base64, as the Standard Webhooks libraries take it.")


class NewWebhookSerializer(WebhookSerializer):
    """A webhook just made, with its secret."""

    secret = serializers.CharField(help_text="Shown this once: whsec_ and base64, as the Standard Webhooks libraries take it.")

    class Meta(WebhookSerializer.Meta):
        fields = [*WebhookSerializer.Meta.fields, "secret"]
        read_only_fields = fields


class WebhookFacts(Facts):
    """What makes a webhook; without an owner it is the caller's."""

    address = serializers.CharField(max_length=500, help_text="Begins with https://.")
    event_types = serializers.ListField(child=serializers.CharField(max_length=40), allow_empty=False, max_length=100)

    class Meta:
        model = Webhook
        fields = ["name", "address", "event_types", "owner"]
        extra_kwargs = {"owner": {"required": False}}


class ReplayForm(Form):
    """What is told once more: everything of a time, or all that was given up."""

    since = serializers.DateTimeField(required=False, help_text="From this moment on.")
    until = serializers.DateTimeField(required=False, help_text="Before this moment; without it, until now.")
    state = serializers.ChoiceField(choices=["dead"], required=False, help_text="All that was given up.")


class ReplayedSerializer(serializers.Serializer):
    """How many events are told once more."""

    count = serializers.IntegerField()


class WebhookFilter(filters.FilterSet):
    """What a list of webhooks can be narrowed to."""

    active = SuchFilter()
    owner = IdFilter(field_name="owner_id")

    class Meta:
        model = Webhook
        fields: list[str] = []


class WebhookDeliverySerializer(serializers.ModelSerializer):
    """One event for one webhook, and how the attempts went."""

    event = serializers.CharField(source="event.uid", read_only=True, help_text="The webhook-id that the receiver gets.")
    type = serializers.CharField(source="event.type", read_only=True)
    happened_at = serializers.DateTimeField(source="event.happened_at", read_only=True)
    payload = serializers.SerializerMethodField(help_text="The body that the receiver gets.")

    class Meta:
        model = WebhookDelivery
        fields = [
            "id", "webhook", "event", "type", "subject", "happened_at", "state", "attempts", "next_at", "last_at", "last_status",
            "last_error", "payload",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_payload(self, delivery: WebhookDelivery) -> dict[str, Any]:
        return outbox.payload(delivery.event)


class WebhookDeliveryFilter(filters.FilterSet):
    """What a list of deliveries can be narrowed to."""

    webhook = IdFilter(field_name="webhook_id")
    type = filters.CharFilter(field_name="event__type")
    since = filters.IsoDateTimeFilter(field_name="event__happened_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="event__happened_at", lookup_expr="lt")

    class Meta:
        model = WebhookDelivery
        fields = ["state", "subject"]


class WebhookViewSet(ReadViewSet):
    """Webhooks: addresses that are told what happened, as far as their owners may see it."""

    scope = "webhooks"
    queryset = Webhook.objects.all()
    serializer_class = WebhookSerializer
    filterset_class = WebhookFilter
    orderings = {"-id": ("-id",), "id": ("id",)}

    @extend_schema(request=WebhookFacts, responses={201: NewWebhookSerializer})
    def create(self, request) -> Response:
        """Add a webhook; the answer holds its secret, this once."""
        facts = {"owner": request.user} | self.given(WebhookFacts)
        webhook, secret = webhooks.add(**facts, at=self.at, by=request.user)
        return self._with_secret(self.get_serializer(webhook).data | {"secret": secret}, status=201)

    @extend_schema(request=WebhookFacts, responses=WebhookSerializer)
    def partial_update(self, request, pk: str) -> Response:
        """Change name, address, events or owner."""
        webhook = self.get_object()
        return self.answer(webhooks.change(webhook, **self.given(WebhookFacts, partial=True), at=self.at, by=request.user))

    @extend_schema(responses={204: None})
    def destroy(self, request, pk: str) -> Response:
        """Delete a webhook with what waits for it."""
        webhooks.remove(self.get_object(), by=request.user)
        return Response(status=204)

    @deed(None, WebhookDeliverySerializer, status=202)
    def ping(self, request, pk: str) -> Response:
        """Have a test event delivered at once; the delivery tells how it went."""
        return Response(WebhookDeliverySerializer(webhooks.ping(self.get_object(), at=self.at)).data, status=202)

    @deed(None, SecretSerializer)
    def rotate_secret(self, request, pk: str) -> Response:
        """Make a new secret; the former one signs, too, for a day."""
        return self._with_secret({"secret": webhooks.rotate(self.get_object(), at=self.at, by=request.user)})

    @deed(None, WebhookSerializer)
    def switch_off(self, request, pk: str) -> Response:
        """Tell a webhook nothing any more; what waits for it goes on waiting."""
        return self.answer(webhooks.switch_off(self.get_object(), at=self.at, by=request.user))

    @deed(None, WebhookSerializer)
    def switch_on(self, request, pk: str) -> Response:
        """Tell a webhook again, what waits for it first."""
        return self.answer(webhooks.switch_on(self.get_object(), at=self.at, by=request.user))

    @deed(ReplayForm, ReplayedSerializer, status=202)
    def replay(self, request, pk: str) -> Response:
        """Tell once more everything of a time, also what was missed, or all that was given up."""
        webhook, asked = self.get_object(), self.given(ReplayForm)
        if ("since" in asked) == ("state" in asked):
            sentence = _("Give either since or state.")
            raise Invalid(sentence, detail={"since": sentence})
        if "state" in asked:
            return Response({"count": webhooks.replay_dead(webhook, at=self.at)}, status=202)
        count = webhooks.replay_range(webhook, since=asked["since"], until=asked.get("until", self.at), at=self.at)
        return Response({"count": count}, status=202)

    def _with_secret(self, body: dict[str, Any], *, status: int = 200) -> Response:
        """Answer with a secret, which nobody on the way keeps."""
        return Response(body, status=status, headers={"Cache-Control": "no-store"})


class WebhookDeliveryViewSet(ReadViewSet):
    """The log of webhooks: each event for each webhook, and how the attempts went."""

    scope = "webhooks"
    queryset = WebhookDelivery.objects.select_related("event")
    serializer_class = WebhookDeliverySerializer
    filterset_class = WebhookDeliveryFilter
    orderings = {"-id": ("-id",), "id": ("id",)}

    @deed(None, WebhookDeliverySerializer, status=202)
    def replay(self, request, pk: str) -> Response:
        """Tell one event once more."""
        return self.answer(webhooks.replay(self.get_object(), at=self.at), status=202)
