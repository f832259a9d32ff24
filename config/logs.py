"""Which lines of the log are worth keeping."""

from logging import LogRecord


def is_no_refusal(record: LogRecord) -> bool:
    """Drop Django's line and traceback for what somebody was refused: `request_finished` says it with code, address and user."""
    return not 400 <= getattr(record, "status_code", 0) < 500
