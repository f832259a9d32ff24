"""The marketing intelligence on top of crm: what it means and what to do next."""
