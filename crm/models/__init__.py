"""The records of crm; each QuerySet stands above its model."""

from crm.models.accounts import Account
from crm.models.activities import Activity, ActivityChange
from crm.models.contacts import Contact, Departure, Person
from crm.models.deliverability import Delivery, DeliveryReport, Suppression
from crm.models.dmu import DmuMembership, DmuRole, Stance
from crm.models.follow_ups import FollowUp
from crm.models.heartbeats import Heartbeat
from crm.models.opportunities import Confirmation, ConfirmationKind, Opportunity, Product, Stage, StageMove
from crm.models.pilots import Pilot
from crm.models.users import ApiKey, Team, User

__all__ = [
    "Account",
    "Activity",
    "ActivityChange",
    "ApiKey",
    "Confirmation",
    "ConfirmationKind",
    "Contact",
    "Delivery",
    "DeliveryReport",
    "Departure",
    "DmuMembership",
    "DmuRole",
    "FollowUp",
    "Heartbeat",
    "Opportunity",
    "Person",
    "Pilot",
    "Product",
    "Stage",
    "StageMove",
    "Stance",
    "Suppression",
    "Team",
    "User",
]
