"""Imports of files over the API: how far each has come, and what became of its rows."""

from django_filters import rest_framework as filters
from rest_framework import serializers

from crm.api.records import ReadViewSet
from crm.models import Upload


class ImportSerializer(serializers.ModelSerializer):
    """One import of a file; counts are of rows."""

    class Meta:
        model = Upload
        fields = [
            "id", "what", "file_name", "source", "existing", "owner", "team", "state", "rows_total", "rows_done", "created_count",
            "changed_count", "unchanged_count", "failed_count", "error", "created_at", "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields


class ImportFilter(filters.FilterSet):
    """What a list of imports can be narrowed to."""

    class Meta:
        model = Upload
        fields = ["what", "state", "source"]


class ImportViewSet(ReadViewSet):
    """Imports of files, the caller's own; for a team's lead those of the team."""

    scope = "imports"
    queryset = Upload.objects.all()
    serializer_class = ImportSerializer
    filterset_class = ImportFilter
