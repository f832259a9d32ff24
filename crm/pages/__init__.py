"""Pages outside the admin's own: the way in, and what somebody sets for oneself."""
