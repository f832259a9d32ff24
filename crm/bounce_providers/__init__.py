"""Mail that comes back, read without a database: bytes in, what they say of each recipient out."""

from crm.bounce_providers.classifier import judge
from crm.bounce_providers.contract import OUTCOMES, Report
from crm.bounce_providers.reader import read

__all__ = ["OUTCOMES", "Report", "judge", "read"]
