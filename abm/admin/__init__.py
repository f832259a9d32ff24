"""The admin's doors of abm."""
