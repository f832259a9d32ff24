"""What our own pages take from the admin: its frame, its fields and who may come in."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from django.utils.functional import Promise
from unfold.widgets import INPUT_CLASSES

INPUT = " ".join(INPUT_CLASSES)

for_staff: Any = staff_member_required(login_url="admin:login")


class AdminFrame:
    """Show a class-based page in the admin's frame."""

    title: Promise | str = ""
    request: HttpRequest

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        """Give what the frame needs, then what the page says."""
        return admin.site.each_context(self.request) | {"title": self.title} | super().get_context_data(**more)  # type: ignore[misc]


def show(request: HttpRequest, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
    """Show a page in the admin's frame; nothing of these pages is kept by browsers or proxies."""
    answer = TemplateResponse(request, template, admin.site.each_context(request) | context, status=status)
    add_never_cache_headers(answer)
    return answer
