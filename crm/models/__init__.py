"""The records of crm; each QuerySet stands above its model."""

from crm.models.accounts import Account
from crm.models.activities import Activity, ActivityChange, ActivityVerdict
from crm.models.changes import SerialEra, SightChange
from crm.models.contacts import Contact, Departure, Person
from crm.models.deliverability import Delivery, DeliveryReport, Suppression
from crm.models.details import DetailsRequest
from crm.models.dmu import DmuMembership, DmuRole, Stance
from crm.models.duplicates import AccountKey, AccountPair, ContactPair, DuplicateSweep
from crm.models.exports import Export
from crm.models.follow_ups import FollowUp
from crm.models.heartbeats import Heartbeat
from crm.models.incoming_reports import IncomingReport, Mailbox
from crm.models.kept_answers import KeptAnswer
from crm.models.merges import Merge, MergedRecord
from crm.models.opportunities import Confirmation, ConfirmationKind, DealKind, Opportunity, Product, Stage, StageMove
from crm.models.pilots import Pilot
from crm.models.saved_views import SavedView
from crm.models.sessions import BrowserSession, SignInEvent
from crm.models.uploads import Upload, UploadedRecord, UploadProblem
from crm.models.users import SCOPE_GROUPS, SCOPES, ApiKey, Team, User
from crm.models.webhooks import Webhook, WebhookDelivery, WebhookEvent

__all__ = [
    "SCOPES",
    "SCOPE_GROUPS",
    "Account",
    "AccountKey",
    "AccountPair",
    "Activity",
    "ActivityChange",
    "ActivityVerdict",
    "ApiKey",
    "BrowserSession",
    "Confirmation",
    "ConfirmationKind",
    "Contact",
    "ContactPair",
    "DealKind",
    "Delivery",
    "DeliveryReport",
    "Departure",
    "DetailsRequest",
    "DmuMembership",
    "DmuRole",
    "DuplicateSweep",
    "Export",
    "FollowUp",
    "Heartbeat",
    "IncomingReport",
    "KeptAnswer",
    "Mailbox",
    "Merge",
    "MergedRecord",
    "Opportunity",
    "Person",
    "Pilot",
    "Product",
    "SavedView",
    "SerialEra",
    "SightChange",
    "SignInEvent",
    "Stage",
    "StageMove",
    "Stance",
    "Suppression",
    "Team",
    "Upload",
    "UploadProblem",
    "UploadedRecord",
    "User",
    "Webhook",
    "WebhookDelivery",
    "WebhookEvent",
]
