"""The timeline of an account or a contact: what happened, filtered, a page at a time, and logged in place."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.timezone import get_current_timezone, now
from django.utils.translation import gettext_lazy as _

from crm import access, activities, activity_kinds, machine_agents, policy
from crm.admin import deeds
from crm.admin.activities import BY_HAND, need_person
from crm.admin.site import RememberedAdmin, doer, page_of
from crm.models import Account, Activity, Contact
from crm.models.activities import ActivityQuerySet

CHANNEL_ICONS = {"web": "language", "email": "mail", "event": "event", "meeting": "groups", "phone": "call", "note": "sticky_note_2"}
PAGE, PEOPLE_OFFERED = 20, 300
LATEST = 20
PERIODS = {"7": _("7 days"), "30": _("30 days"), "90": _("90 days"), "365": _("a year")}
# What a rep logs by hand, the likeliest first.
LOGGED = ("call_answered", "call_unanswered", "meeting", "email_sent", "email_reply", "event_visit", "webinar_attended", "note")


@dataclass(frozen=True)
class Wanted:
    """What a timeline was asked for; every field may be left out, and nonsense counts as left out."""

    what: str = ""
    person: str = ""
    side: str = ""
    made: str = ""
    days: str = ""
    text: str = ""
    before: tuple[datetime, int] | None = None

    @classmethod
    def of(cls, asked: QueryDict) -> "Wanted":
        given = {name: asked.get(name, "").strip()[:100].replace("\x00", "") for name in ("what", "person", "side", "made", "days", "text")}
        return cls(**given, before=_mark(asked.get("before", "")))

    @property
    def is_filtered(self) -> bool:
        """Say whether anything but the place in the list was asked for."""
        return any((self.what, self.person, self.side, self.made, self.days, self.text))

    def address(self, mark: str = "") -> str:
        """Give what was asked for as the end of an address, from a place in the list on."""
        asked = QueryDict(mutable=True)
        pairs = {"what": self.what, "person": self.person, "side": self.side, "made": self.made, "days": self.days, "text": self.text}
        asked.update({name: value for name, value in (pairs | {"before": mark}).items() if value})
        return asked.urlencode()

    def select(self, rows: QuerySet[Activity], *, at: datetime) -> QuerySet[Activity]:
        """Keep what was asked for."""
        rows = rows.filter(_of_kind(self.what) & _of_side(self.side) & _made(self.made))
        if self.person == "nobody":
            rows = rows.filter(contact=None)
        if self.person.isdecimal():
            rows = rows.filter(contact=int(self.person[:15]))
        if self.days in PERIODS:
            rows = rows.filter(occurred_at__gte=at - timedelta(days=int(self.days)))
        return rows.filter(subject__icontains=self.text) if self.text else rows


def _mark(text: str) -> tuple[datetime, int] | None:
    """Read a place in the list: the moment and id of the last row shown; a broken one is none."""
    moment, _line, number = text.partition("_")
    try:
        parsed = parse_datetime(moment)
    except ValueError:
        return None
    return (parsed, int(number[:15])) if parsed and parsed.tzinfo and number.isdecimal() else None


def _of_kind(what: str) -> Q:
    if what in activity_kinds.CHANNELS:
        return Q(kind__in=[name for name, kind in activity_kinds.KINDS.items() if kind.channel == what])
    return Q(kind=what) if what in activity_kinds.KINDS else Q()


def _of_side(side: str) -> Q:
    ours = Q(kind__in=activity_kinds.OURS_KINDS)
    return {"ours": ours, "theirs": ~ours}.get(side, Q())


def _made(made: str) -> Q:
    """Leave out what machines made unless asked for it: a scanner's clicks bury everything else."""
    return {"machines": ~Q(machine_reason=""), "all": Q()}.get(made, Q(machine_reason=""))


class LogForm(forms.Form):
    """Ask what just happened, and with whom."""

    kind = deeds.choice(_("what"), lambda: [(name, capfirst(str(activity_kinds.KINDS[name].label))) for name in LOGGED])
    contact = deeds.record(_("with"), required=False)
    subject = deeds.line(_("about"), required=False)
    occurred_at = deeds.moment(_("when"))

    def __init__(self, *args: Any, account: Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deeds.offer(self, "contact", people_of(account))
        self.account = account

    def clean(self) -> Any:
        cleaned = super().clean() or {}
        need_person(self, cleaned.get("kind"), cleaned.get("contact"))
        return cleaned


def people_of(account: Account) -> QuerySet[Contact]:
    """Give who works at an account, by name."""
    return account.contacts.active().select_related("person").order_by("person__given_name", "person__family_name", "pk")


class TimelinePage(RememberedAdmin):
    """A page with a timeline, and the addresses that filter it, page it and add to it."""

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        timeline = path("<path:object_id>/timeline/", self.admin_site.admin_view(self.timeline), name=f"{name}_timeline")
        log = path("<path:object_id>/log/", self.admin_site.admin_view(self.log), name=f"{name}_log")
        return [timeline, log, *super().get_urls()]

    def happened(self, record: Any) -> ActivityQuerySet:
        """Give everything that happened with the record."""
        return record.activities.all()

    def account_of(self, record: Any) -> Account:
        """Give the account where things happen."""
        return record if isinstance(record, Account) else record.account

    def timeline_panel(self, request: HttpRequest, record: Any, people: Iterable[Any], *, at: datetime) -> dict[str, Any]:
        """Collect the timeline with its filters and the form to log something."""
        account, first = self.account_of(record), record.pk if isinstance(record, Contact) else None
        form = LogForm(account=account, initial={"kind": LOGGED[0], "occurred_at": at, "contact": request.GET.get("log_contact") or first})
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        names = [(one.pk, str(one)) for one in people]
        return self.rows(request, record, at=at) | {
            "log_form": form,
            "is_logging": "log_contact" in request.GET,
            "log_address": reverse(f"{name}_log", args=[record.pk]),
            "may_log": request.user.has_perm("crm.add_activity"),
            "kinds": kind_groups(),
            "periods": PERIODS.items(),
            "with_options": deeds.options([("", _("Select value")), *names], form["contact"].value()),
            "people": deeds.options(names, request.GET.get("person")) if isinstance(record, Account) else "",
        }

    def rows(self, request: HttpRequest, record: Any, *, at: datetime) -> dict[str, Any]:
        """Give a page of the timeline, in one query, and where the next begins."""
        wanted = Wanted.of(request.GET)
        found = access.with_may_change(wanted.select(self.happened(record), at=at), doer(request)).select_related(
            "contact__person", "recorded_by"
        )
        if wanted.before:
            moment, number = wanted.before
            found = found.filter(Q(occurred_at__lt=moment) | Q(occurred_at=moment, pk__lt=number), occurred_at__lte=moment)
        rows = list(found.order_by("-occurred_at", "-pk")[: PAGE + 1])
        last = rows[PAGE - 1] if len(rows) > PAGE else None
        address = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_timeline", args=[record.pk])
        older = wanted.address(f"{last.occurred_at.isoformat()}_{last.pk}") if last else ""
        return {
            "record": record,
            "wanted": wanted,
            "days": by_day([line(row, request) for row in rows[:PAGE]], after=wanted.before[0] if wanted.before else None),
            "timeline_address": address,
            "way_back": f"{page_of(record)}#timeline",
            "older": f"{address}?{older}" if last else "",
        }

    def timeline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give a page of the timeline: the rows alone to a page that asks for them, else with everything around."""
        record = self.record(request, object_id, "view")
        if request.headers.get("HX-Request") == "true":
            return TemplateResponse(request, "crm/admin/parts/timeline_rows.html", self.rows(request, record, at=now()))
        panel = self.timeline_panel(request, record, list(people_of(self.account_of(record))[:PEOPLE_OFFERED]), at=now())
        words = {"title": _("Timeline"), "subtitle": str(record), "opts": self.opts, "back": page_of(record), "media": self.media}
        return TemplateResponse(request, "crm/admin/timeline_page.html", self.admin_site.each_context(request) | words | panel)

    def log(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Log what just happened; what cannot be right leaves the form as it was filled in."""
        record = self.record(request, object_id, "view")
        if not request.user.has_perm("crm.add_activity"):
            raise PermissionDenied
        initial = {"kind": LOGGED[0], "occurred_at": now(), "contact": request.GET.get("log_contact")}
        form = LogForm(deeds.filled(request), account=self.account_of(record), initial=initial)
        deed, done = partial(activities.record, account=form.account, source=BY_HAND, by=doer(request)), _("Logged.")
        if request.headers.get("HX-Request") != "true":
            return self.ask(request, record, form, deed, title=_("Log what happened"), done=done, back=f"{page_of(record)}#timeline")
        is_done = request.method == "POST" and form.is_valid() and self.attempt(request, deed, done=done, **form.cleaned_data)
        panel = self.timeline_panel(request, record, people_of(form.account)[:PEOPLE_OFFERED], at=now()) | {"is_answer": True}
        if not is_done:
            names = [("", _("Select value")), *((one.pk, str(one)) for one in people_of(form.account)[:PEOPLE_OFFERED])]
            panel |= {"log_form": form, "is_logging": True, "with_options": deeds.options(names, form["contact"].value())}
        return TemplateResponse(request, "crm/admin/parts/timeline.html", panel)


def kind_groups() -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Give the channels with their kinds, for a filter."""
    kinds = activity_kinds.KINDS.items()
    return [
        (channel, str(label), [(name, capfirst(str(kind.label))) for name, kind in kinds if kind.channel == channel])
        for channel, label in activity_kinds.CHANNELS.items()
    ]


def line(row: Activity, request: HttpRequest) -> dict[str, Any]:
    """Give one activity with the sign of its channel, and whether the user wrote it."""
    known = activity_kinds.KINDS.get(row.kind)
    icon = CHANNEL_ICONS.get(known.channel, "radio_button_checked") if known else "radio_button_checked"
    is_own = row.source == BY_HAND and row.recorded_by_id == request.user.pk
    verdict = "was_person" if row.machine_reason else "was_machine" if row.kind in machine_agents.MAIL else ""
    deed = reverse(f"admin:crm_activity_{verdict}", args=[row.pk]) if verdict and getattr(row, "may_change", False) else ""
    return {"activity": row, "icon": icon, "is_ours": bool(known and known.is_ours), "is_own": is_own, "verdict": deed}


def by_day(lines: list[dict[str, Any]], *, after: datetime | None) -> list[dict[str, Any]]:
    """Put rows under their days; the day that the page before ended in gets no second heading."""
    days: list[dict[str, Any]] = []
    known = after.astimezone(get_current_timezone()).date() if after else None
    for row in lines:
        day = row["activity"].occurred_at.astimezone(get_current_timezone()).date()
        if not days or days[-1]["day"] != day:
            days.append({"day": day, "name": "" if day == known else name_of(day), "lines": []})
        days[-1]["lines"].append(row)
    return days


def name_of(day: date) -> str:
    """Name a day as one speaks of it."""
    back = (policy.day_of(now()) - day).days
    if back in (0, 1):
        return str(_("Today") if back == 0 else _("Yesterday"))
    return date_format(day, "l j F" if back < 300 else "j F Y")


def activity_rows(rows: QuerySet[Activity]) -> list[dict[str, Any]]:
    """Give the latest activities with the sign of their channel."""
    latest = rows.select_related("contact__person").order_by("-occurred_at", "-id")[:LATEST]
    return [
        {"activity": row, "icon": CHANNEL_ICONS.get(getattr(activity_kinds.KINDS.get(row.kind), "channel", ""), "radio_button_checked")}
        for row in latest
    ]
