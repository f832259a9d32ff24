"""Which lines of the log are worth keeping."""

import re
from logging import LogRecord

from structlog.typing import EventDict, WrappedLogger

# What stands behind these addresses opens somebody's details, or sets a password.
_SECRET = re.compile(r"(/details/|/password-reset/)[^\s?]+")


def is_no_refusal(record: LogRecord) -> bool:
    """Drop Django's line and traceback for what somebody was refused: `request_finished` says it with code, address and user."""
    return not 400 <= getattr(record, "status_code", 0) < 500


def without_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave out of a line the part of an address that is as good as a key."""
    return {name: _SECRET.sub(r"\1…", value) if isinstance(value, str) else value for name, value in event.items()}
