"""Budget lines and sales targets: a list and a form each."""

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from abm.models import BudgetLine, SalesTarget
from crm.admin.sidebar import Place
from crm.admin.site import RecordAdmin
from crm.errors import Invalid


def _first_of(values: dict[str, Any], name: str, *, is_quarter: bool = False) -> dict[str, Any]:
    """Take any day of a month or quarter for its first."""
    if day := values.get(name):
        values[name] = day.replace(day=1, month=3 * ((day.month - 1) // 3) + 1 if is_quarter else day.month)
    return values


class PeriodAdmin(RecordAdmin):
    """A record of a month or quarter, of which any day may be given."""

    deletable = True
    period, is_quarter = "month", False

    def begin(self, request: HttpRequest, values: dict[str, Any]) -> Any:
        return super().begin(request, self._judged(None, _first_of(values, self.period, is_quarter=self.is_quarter)))

    def correct(self, request: HttpRequest, record: Any, values: dict[str, Any]) -> Any:
        return super().correct(request, record, self._judged(record, _first_of(values, self.period, is_quarter=self.is_quarter)))

    def _judged(self, record: models.Model | None, values: dict[str, Any]) -> dict[str, Any]:
        """Refuse a second line of the same month, in words."""
        tried = self.model(**({field.attname: getattr(record, field.attname) for field in self.opts.concrete_fields} if record else {}))
        for name, value in values.items():
            setattr(tried, name, value)
        others = self.model._default_manager.filter(**{name: getattr(tried, name) for name in self.once}).exclude(pk=tried.pk)
        if others.exists():
            raise Invalid(_("There is one for this already: change that one."), detail={self.period: _("There is one for this already.")})
        return values

    once: tuple[str, ...] = ()


@admin.register(BudgetLine)
class BudgetLineAdmin(PeriodAdmin):
    """Budget lines."""

    place = Place("marketing", 6, "savings")
    list_display = ["channel", "month", "purpose", "planned", "actual", "currency"]
    list_filter = ["purpose"]
    search_fields = ["channel"]
    fields = ["channel", "month", "purpose", ("planned", "actual", "currency")]
    once = ("channel", "month", "purpose", "currency")
    nothing_yet = _("Add what each channel may cost per month: reports then know what a customer costs.")


@admin.register(SalesTarget)
class SalesTargetAdmin(PeriodAdmin):
    """Sales targets."""

    place = Place("marketing", 7, "flag")
    list_display = ["quarter", "team", "amount", "currency"]
    list_select_related = ["team"]
    fields = ["team", "quarter", ("amount", "currency")]
    period, is_quarter = "quarter", True
    once = ("team", "quarter", "currency")
    nothing_yet = _("Add what is to be sold per quarter: reports then know how far the pipeline covers it.")
