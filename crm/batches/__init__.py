"""Records that an integration sends by the thousand: made or brought up to date, one result a row, and no wrong row holds up another.

Matched as imports match, where imports have them. New contacts and accounts are written in a fixed number of statements, new
deals and roles by the rule for one.
"""

from crm.batches.accounts import ACCOUNTS
from crm.batches.contacts import CONTACTS
from crm.batches.memberships import MEMBERSHIPS
from crm.batches.opportunities import OPPORTUNITIES
from crm.batches.upserting import STATUSES, Kind, Result, upsert

__all__ = ["ACCOUNTS", "CONTACTS", "MEMBERSHIPS", "OPPORTUNITIES", "STATUSES", "Kind", "Result", "upsert"]
