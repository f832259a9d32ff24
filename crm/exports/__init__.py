"""Exports: every list a user may see, as a file of chosen columns; small ones at once, large ones by a worker."""

from crm.exports.columns import crm_lists
from crm.exports.jobs import begin, expire, hand_over, opened, remove, stalled, waiting_for, work
from crm.exports.lists import Column, Listing, add_columns, known, listing_of, lists_for, narrow_with, plain, register

__all__ = [
    "Column",
    "Listing",
    "add_columns",
    "begin",
    "expire",
    "hand_over",
    "known",
    "listing_of",
    "lists_for",
    "narrow_with",
    "opened",
    "plain",
    "register",
    "remove",
    "stalled",
    "waiting_for",
    "work",
]

for _listing in crm_lists():
    register(_listing)
