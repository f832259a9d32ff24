"""The system of record: who is who, what happened, what was agreed."""
