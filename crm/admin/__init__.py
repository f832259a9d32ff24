"""The admin's doors of crm."""
