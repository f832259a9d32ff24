"""What every resource of the API shares."""

from rest_framework.pagination import CursorPagination
from rest_framework.permissions import DjangoModelPermissions
from rest_framework.renderers import JSONRenderer
from rest_framework.views import exception_handler


class RecordPermissions(DjangoModelPermissions): ...


class KeysetPagination(CursorPagination): ...


class FastJSONRenderer(JSONRenderer): ...


answer_error = exception_handler
