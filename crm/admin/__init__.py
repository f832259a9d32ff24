"""The admin: one file per noun; deeds call one rule each, and a refusal is a sentence on the screen."""

from crm.admin import (
    accounts,
    activities,
    confirmations,
    contacts,
    deliverability,
    dmu,
    duplicates,
    exports,
    follow_ups,
    merges,
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
    "duplicates",
    "exports",
    "follow_ups",
    "merges",
    "opportunities",
    "pilots",
    "schedule",
    "uploads",
    "users",
    "way_in",
]
