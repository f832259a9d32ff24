"""Handing many records to another owner or team at once, each judged by the rule for one."""
