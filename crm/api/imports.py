"""Imports of files over the API: received, tried and carried out as on the pages of the admin, watched, and taken back."""

from functools import partial
from typing import Any

import orjson
from django.db import transaction
from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import exceptions, serializers
from rest_framework.response import Response

from crm import policy, tasks, uploads
from crm.api.bodies import BodyTooLarge, FilesParser
from crm.api.contract import IdFilter
from crm.api.records import Form, ReadViewSet, deed, reading
from crm.models import Contact, Upload, UploadProblem
from crm.uploads.door import is_too_large

# What the lines between the parts of a form, and its other fields, may take.
_FORM_MEGABYTES = 1
_FIGURES = ("created", "changed", "unchanged", "failed", "accounts_created")


class TrialFigures(serializers.Serializer):
    """What a run would do, in rows, and in accounts that it would make for contacts."""

    created, changed, unchanged = serializers.IntegerField(), serializers.IntegerField(), serializers.IntegerField()
    failed, accounts_created = serializers.IntegerField(), serializers.IntegerField()


class RefusedRowSerializer(serializers.Serializer):
    """A row that is refused: where it stands, by which column, why, and what it says."""

    line = serializers.IntegerField(help_text="As a spreadsheet counts them; the row of names is 1.")
    column = serializers.CharField(help_text="Empty: the row as a whole.")
    reason = serializers.CharField()
    values = serializers.ListField(child=serializers.CharField())


class TrialSerializer(TrialFigures):
    """What a run would do, and the first rows that it would refuse."""

    problems = RefusedRowSerializer(many=True)


class ImportSerializer(serializers.ModelSerializer):
    """One import of a file; counts are of rows."""

    columns = serializers.ListField(child=serializers.CharField(), read_only=True, help_text="The names above the file's columns.")
    mapping = serializers.DictField(
        child=serializers.CharField(), read_only=True, help_text="The field that each column is, by its number from 0; empty: none."
    )
    missing = serializers.SerializerMethodField(help_text="Fields that no column gives, and without which it cannot be tried.")
    trial = serializers.SerializerMethodField(help_text="What a run would do; null: not tried yet.")
    kept_count = serializers.SerializerMethodField(help_text="Records that stayed when it was undone, for they were touched since.")

    class Meta:
        model = Upload
        fields = [
            "id", "what", "file_name", "source", "existing", "legal_basis", "owner", "team", "state", "columns", "mapping", "missing",
            "trial", "rows_total", "rows_done", "created_count", "changed_count", "unchanged_count", "failed_count", "kept_count",
            "error", "created_at", "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_missing(self, upload: Upload) -> list[str]:
        return uploads.missing_of(upload)

    @extend_schema_field(TrialFigures(allow_null=True))
    def get_trial(self, upload: Upload) -> dict[str, int] | None:
        return {name: upload.report[name] for name in _FIGURES} if "created" in upload.report else None

    def get_kept_count(self, upload: Upload) -> int | None:
        return upload.report.get("kept")


class MappingField(serializers.DictField):
    """Columns by number or name, with the field that each is; in a form with files as JSON."""

    child = serializers.CharField(allow_blank=True, max_length=200)

    def get_value(self, dictionary):
        return dictionary.get(self.field_name, serializers.empty)

    def to_internal_value(self, data):
        if isinstance(data, str):
            try:
                data = orjson.loads(data)
            except orjson.JSONDecodeError as error:
                raise exceptions.ValidationError(_("This is no JSON: %(why)s.") % {"why": error}) from error
        return super().to_internal_value(data)


class ImportChoices(Form):
    """Which field each column is, and what holds for all rows; what is not named stays as it is."""

    mapping = MappingField(
        required=False,
        help_text="By a column's number (from 0) or name; `=kind` gives a field one value for every row. Without it: guessed.",
    )
    existing = serializers.ChoiceField(Upload.Existing.choices, required=False, help_text="What becomes of values that are there.")
    legal_basis = serializers.ChoiceField(
        Contact.LegalBasis.choices, required=False, help_text="Why these people may be kept; rows with a basis of their own go before."
    )
    source = serializers.CharField(  # type: ignore[assignment]
        required=False, max_length=50, help_text="Together with the ids in the file it names the same record the next time."
    )


class NewImport(ImportChoices):
    """A file, what its rows are, and what is known about them."""

    file = serializers.FileField(max_length=None, help_text="CSV or Excel (.xlsx), with a row of names on top.")
    what = serializers.ChoiceField(Upload.What.choices)


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
    verbs = {"destroy": "change"}

    def takes_file(self) -> bool:
        """Say whether this call may bring a file; while the document is written, there is no call."""
        return self.request is not None and self.action_map.get(str(self.request.method).lower()) == "create"

    def get_parsers(self):
        return [FilesParser()] if self.takes_file() else super().get_parsers()

    def largest_body(self) -> int | None:
        return policy.UPLOADS.file_megabytes + _FORM_MEGABYTES if self.takes_file() else None

    @extend_schema(request={"multipart/form-data": NewImport}, responses={201: ImportSerializer})
    def create(self, request) -> Response:
        """Receive a file and try its rows; nothing is imported until `/start`.

        `state` is `checked` when every row was tried: at once for a small file, later for a large one. It stays `received`
        while columns are `missing`: say with PATCH what they are.
        """
        request.data  # noqa: B018  reading the form is what finds out that a file is too large
        if is_too_large(request._request):
            raise BodyTooLarge(megabytes=policy.UPLOADS.file_megabytes)
        given = self.given(NewImport)
        file = given.pop("file")
        upload = uploads.receive(file, name=file.name, by=request.user, at=self.at, **given)
        return self.tried(upload, status=201)

    @extend_schema(request=ImportChoices, responses=ImportSerializer)
    def partial_update(self, request, pk: str) -> Response:
        """Choose otherwise, and try every row again; 409 once it has begun."""
        upload = self.get_object()
        choices = {"mapping": upload.mapping} | self.given(ImportChoices)
        return self.tried(uploads.map_columns(upload, **choices, by=request.user, at=self.at))

    @extend_schema(responses={204: None})
    def destroy(self, request, pk: str) -> Response:
        """Delete an import with its file; the records that it made stay, and can no longer be taken back."""
        uploads.discard(self.get_object(), by=request.user, at=self.at)
        return Response(status=204)

    def tried(self, upload: Upload, *, status: int = 200) -> Response:
        """Try the rows, as far as it is known what they are, and answer."""
        if not uploads.missing_of(upload):
            tasks.try_now_or_soon(upload, at=self.at)
        return self.answer(upload, status=status)

    @deed(None, ImportSerializer)
    def check(self, request, pk: str) -> Response:
        """Try every row again, e.g. after accounts were added; nothing is imported."""
        upload = self.get_object()
        tasks.try_now_or_soon(upload, at=self.at)
        return self.answer(upload)

    @reading(TrialSerializer)
    def trial(self, request, pk: str) -> Response:
        """Give what a run would do, and the first rows that it would refuse; 404 while it was not tried."""
        report = self.get_object().report
        if "created" not in report:
            raise exceptions.NotFound(_("This import was not tried yet."))
        return Response({name: report[name] for name in (*_FIGURES, "problems")})

    @deed(None, ImportSerializer, status=202)
    def start(self, request, pk: str) -> Response:
        """Carry it out: a worker begins at once. `rows_done` tells how far it is, `/import-problems` which rows it refuses."""
        return self.done(uploads.start(self.get_object(), by=request.user, at=self.at))

    @deed(None, ImportSerializer)
    def pause(self, request, pk: str) -> Response:
        """Stop after the rows it is at."""
        return self.done(uploads.pause(self.get_object(), by=request.user, at=self.at), status=200)

    @deed(None, ImportSerializer, status=202)
    def resume(self, request, pk: str) -> Response:
        """Go on where it stopped."""
        return self.done(uploads.resume(self.get_object(), by=request.user, at=self.at))

    @deed(None, ImportSerializer, status=202)
    def undo(self, request, pk: str) -> Response:
        """Take back what it did: what it made goes, what it changed is put back, and what somebody touched since stays."""
        return self.done(uploads.undo(self.get_object(), by=request.user, at=self.at))

    def done(self, upload: Upload, *, status: int = 202) -> Response:
        """Have a worker go on where there is something to do, and answer."""
        if upload.state in Upload.AT_WORK:
            transaction.on_commit(partial(tasks.enqueue, tasks.work_upload, upload.pk))
        return self.answer(upload, status=status)


class ImportProblemSerializer(serializers.ModelSerializer):
    """A row that an import refused: where it stands, by which column, why, and what it says."""

    values: Any = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="The row's cells, in the order of its import's columns."
    )

    class Meta:
        model = UploadProblem
        fields = ["id", "upload", "line", "column", "reason", "values"]
        read_only_fields = fields


class ImportProblemFilter(filters.FilterSet):
    """What a list of refused rows can be narrowed to."""

    upload = IdFilter(field_name="upload_id", label="The import.")

    class Meta:
        model = UploadProblem
        fields: list[str] = []


class ImportProblemViewSet(ReadViewSet):
    """Rows that imports refused, to be mended and sent again."""

    scope = "imports"
    queryset = UploadProblem.objects.all()
    serializer_class = ImportProblemSerializer
    filterset_class = ImportProblemFilter
    orderings = {"line": ("line", "id"), "-id": ("-id",)}
