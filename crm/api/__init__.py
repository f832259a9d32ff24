"""The REST API's doors of crm."""
