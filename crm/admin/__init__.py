"""The admin: one file per noun; deeds call one rule each, and a refusal is a sentence on the screen."""

from crm.admin import (
    accounts,
    activities,
    confirmations,
    contacts,
    deliverability,
    dmu,
    follow_ups,
    opportunities,
    pilots,
    schedule,
    users,
)

__all__ = [
    "accounts",
    "activities",
    "confirmations",
    "contacts",
    "deliverability",
    "dmu",
    "follow_ups",
    "opportunities",
    "pilots",
    "schedule",
    "users",
]
