"""The resources of crm; abm adds its own and makes the addresses of all."""

from rest_framework.viewsets import GenericViewSet

from crm.api.accounts import AccountViewSet
from crm.api.activities import ActivityViewSet
from crm.api.contacts import ContactViewSet, PersonViewSet
from crm.api.deliveries import DeliveryViewSet, SuppressionViewSet
from crm.api.dmu import MembershipViewSet
from crm.api.follow_ups import FollowUpViewSet
from crm.api.imports import ImportProblemViewSet, ImportViewSet
from crm.api.opportunities import OpportunityViewSet
from crm.api.pilots import PilotViewSet
from crm.api.webhooks import WebhookDeliveryViewSet, WebhookViewSet

RESOURCES: dict[str, type[GenericViewSet]] = {
    "accounts": AccountViewSet,
    "contacts": ContactViewSet,
    "persons": PersonViewSet,
    "memberships": MembershipViewSet,
    "opportunities": OpportunityViewSet,
    "pilots": PilotViewSet,
    "activities": ActivityViewSet,
    "follow-ups": FollowUpViewSet,
    "webhooks": WebhookViewSet,
    "webhook-deliveries": WebhookDeliveryViewSet,
    "deliveries": DeliveryViewSet,
    "suppressions": SuppressionViewSet,
    "imports": ImportViewSet,
    "import-problems": ImportProblemViewSet,
}
