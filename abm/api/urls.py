"""The addresses of the API: crm's resources, some of them extended, and abm's own."""

from django.urls import path
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import GenericViewSet

from abm.api.account_intelligence import AccountWithStandingViewSet
from abm.api.experiments import ExperimentViewSet
from abm.api.job_changes import JobChangeViewSet
from abm.api.reports import ReportListView, ReportView
from abm.api.scores import ScoreViewSet
from abm.api.target_lists import TargetListViewSet
from crm.api.urls import RESOURCES as CRM_RESOURCES

RESOURCES: dict[str, type[GenericViewSet]] = CRM_RESOURCES | {
    "accounts": AccountWithStandingViewSet,
    "experiments": ExperimentViewSet,
    "job-changes": JobChangeViewSet,
    "scores": ScoreViewSet,
    "target-lists": TargetListViewSet,
}

router = SimpleRouter(trailing_slash=False)
for name, viewset in RESOURCES.items():
    router.register(name, viewset, basename=name)

urlpatterns = [
    path("reports", ReportListView.as_view(), name="reports"),
    path("reports/<slug:report>", ReportView.as_view(), name="report"),
    *router.urls,
]
