"""Listen to what crm tells, and enqueue; nothing else."""


def connect() -> None:
    """Connect the receivers; called once at start."""
