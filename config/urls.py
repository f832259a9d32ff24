"""The addresses of the product."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from abm.api import nightly_runs
from crm.admin import search
from crm.api import delivery_hooks, health
from crm.api.problems import no_such_address, without_slash

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/"), name="home"),
    path("admin/", include("crm.pages.urls")),
    # In place of the theme's own search, which would keep what it found for five minutes, whatever the user may see by then.
    path("admin/search/", admin.site.admin_view(search.answer)),
    path("admin/", admin.site.urls),
    path("api/v1/", include("abm.api.urls")),
    path("api/v1/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/v1/docs", SpectacularSwaggerSplitView.as_view(), name="docs"),
    re_path(r"^api/v1/(?P<address>.*[^/])/$", without_slash),
    re_path(r"^api/", no_such_address),
    path("details/", include("abm.pages.urls")),
    path("hooks/delivery/<slug:provider>", delivery_hooks.receive, name="delivery_hook"),
    path("healthz", health.alive),
    path("readyz", health.ready, {"more": (nightly_runs.last_finished, health.mailbox)}),
]

handler400 = "crm.api.problems.bad_request"
handler403 = "crm.api.problems.permission_denied"
handler500 = "crm.api.problems.server_error"
