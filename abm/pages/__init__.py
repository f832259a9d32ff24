"""Pages that people outside open, without signing in."""
