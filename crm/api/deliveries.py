"""Mail over the API: what we sent and what became of it, and the addresses that get none."""

from django_filters import rest_framework as filters
from rest_framework import serializers

from crm.api.contract import IdFilter, SuchFilter
from crm.api.following import follows
from crm.api.records import ReadViewSet
from crm.models import Delivery, Suppression


class DeliverySerializer(serializers.ModelSerializer):
    """One mail to one recipient."""

    class Meta:
        model = Delivery
        fields = [
            "id", "account", "contact", "address", "subject", "message_id", "provider_id", "sent_at", "delivered_at", "failed_at", "outcome",
        ]  # fmt: skip
        read_only_fields = fields


class DeliveryFilter(filters.FilterSet):
    """What a list of deliveries can be narrowed to."""

    account, contact = IdFilter(field_name="account_id"), IdFilter(field_name="contact_id")
    proven = SuchFilter()
    since = filters.IsoDateTimeFilter(field_name="sent_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="sent_at", lookup_expr="lt")

    class Meta:
        model = Delivery
        fields = ["outcome", "address"]


@follows(DeliverySerializer, "Delivery")
class DeliveryViewSet(ReadViewSet):
    """Mails that we sent."""

    scope = "deliverability"
    is_prepared = True
    queryset = Delivery.objects.all()
    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilter
    orderings = {"-id": ("-id",), "-sent_at": ("-sent_at", "-id")}


class SuppressionSerializer(serializers.ModelSerializer):
    """An address that gets no mail, and why."""

    class Meta:
        model = Suppression
        fields = ["id", "address", "reason", "note", "since", "released_at"]
        read_only_fields = fields


class SuppressionFilter(filters.FilterSet):
    """What a list of suppressions can be narrowed to."""

    address, current = filters.CharFilter(lookup_expr="exact"), SuchFilter()

    class Meta:
        model = Suppression
        fields = ["reason"]


class SuppressionViewSet(ReadViewSet):
    """Addresses that get no mail; of contacts that the caller may see."""

    scope = "deliverability"
    queryset = Suppression.objects.all()
    serializer_class = SuppressionSerializer
    filterset_class = SuppressionFilter
    orderings = {"-id": ("-id",), "-since": ("-since", "-id")}
