"""The admin: one file per noun; deeds call one rule each, and a refusal is a sentence on the screen."""

from crm.admin import (
    accounts,
    activities,
    confirmations,
    contacts,
    deliverability,
    dmu,
    exports,
    follow_ups,
    opportunities,
    pilots,
    schedule,
    uploads,
    users,
    way_in,
)

__all__ = [
    "accounts",
    "activities",
    "confirmations",
    "contacts",
    "deliverability",
    "dmu",
    "exports",
    "follow_ups",
    "opportunities",
    "pilots",
    "schedule",
    "uploads",
    "users",
    "way_in",
]
