"""The REST API's doors of abm."""
