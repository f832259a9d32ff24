"""My day, the page that the admin opens with: what to do first, with the deed beside every line."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.timezone import localtime, now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from abm import my_day
from abm.models import SignalEvidence
from crm.admin.lists import bar, change_arrow, chip, role_chip
from crm.admin.sidebar import Place, add_page
from crm.admin.site import doer
from crm.coverage import LOST
from crm.models import ConfirmationKind, DmuRole

NAMES: dict[str, Promise] = {
    my_day.MINE: gettext_lazy("Mine"),
    my_day.TEAM: gettext_lazy("My team"),
    my_day.ALL: gettext_lazy("Everybody"),
}
add_page(Place("selling", 0, "wb_sunny", gettext_lazy("My day")), "admin:index")


def panels(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the user's day to what the start page shows; the theme calls this."""
    context |= {"title": _("My day"), "is_allowed": request.user.has_perm("crm.view_account")}
    if not context["is_allowed"]:
        return context
    at = now()
    day = my_day.of(doer(request), at=at, reach=request.GET.get("whose", ""))
    back = reverse("admin:index") + (f"?whose={day.reach}" if day.reach != day.reaches[0] else "")
    return context | {
        "day": day,
        "back": back,
        "names_owner": day.reach != my_day.MINE,
        "reaches": [{"name": NAMES[reach], "key": reach, "is_chosen": reach == day.reach} for reach in day.reaches],
        "greeting": _greeting(localtime(at).hour, doer(request).first_name),
        "summary": _summary(day),
        "warming": [_warming(row, back) for row in day.warming],
        "tasks": [_task(row, day) for row in day.tasks],
        "gaps": [_gap(row, back) for row in day.gaps],
        "gates": [_gate(row, back) for row in day.gates],
        "signals": [_signal(row, back) for row in day.signals],
        "pilots": [_pilot(row, day, back) for row in day.pilots],
        "night": _night(day.night),
        "may": {verb: request.user.has_perm(f"crm.add_{verb}") for verb in ("account", "activity", "dmumembership", "confirmation")},
        "import_address": _import_address(request),
    }


def _import_address(request: HttpRequest) -> str:
    """Give the address of the page that imports accounts, for who may."""
    page = next((page for model, page in admin.site._registry.items() if model._meta.label_lower == "crm.upload"), None)
    return reverse("admin:crm_upload_add") if page and page.has_add_permission(request) else ""


def _greeting(hour: int, name: str) -> str:
    greeting = _("Good morning") if hour < 12 else _("Good afternoon") if hour < 18 else _("Good evening")
    return f"{greeting}, {name}" if name else greeting


def _summary(day: my_day.Day) -> list[dict[str, Any]]:
    """Count each section in words, with the place on the page where it stands; what is empty is left out."""
    counted = [
        ("warming", len(day.warming), ngettext("%d account warms up", "%d accounts warm up", len(day.warming)), False),
        ("tasks", day.overdue, ngettext("%d task overdue", "%d tasks overdue", day.overdue), True),
        ("tasks", day.due_today, ngettext("%d task for today", "%d tasks for today", day.due_today), False),
        ("gates", len(day.gates), ngettext("%d gate to mend", "%d gates to mend", len(day.gates)), True),
        ("signals", len(day.signals), ngettext("%d person may have left", "%d people may have left", len(day.signals)), True),
        ("gaps", len(day.gaps) + day.more_gaps, _gaps_counted(len(day.gaps) + day.more_gaps), False),
        ("pilots", len(day.pilots), ngettext("%d pilot ends", "%d pilots end", len(day.pilots)), False),
    ]
    return [{"anchor": anchor, "words": words % count, "is_urgent": urgent} for anchor, count, words, urgent in counted if count]


def _gaps_counted(count: int) -> str:
    return ngettext("%d role to fill", "%d roles to fill", count)


def _to(name: str, *args: object, **asked: object) -> str:
    """Give the address of a page with what it should start from; what is empty is left out."""
    query = urlencode({key: value for key, value in asked.items() if value})
    return reverse(f"admin:{name}", args=args) + (f"?{query}" if query else "")


def _warming(row: my_day.Warming, back: str) -> dict[str, Any]:
    account, person = row.standing.account, row.call.contact if row.call else None
    return {
        "account": account,
        "score": bar(row.standing.score),
        "change": change_arrow(float(row.standing.momentum)),
        "rise": row.rise,
        "person": person,
        "role": DmuRole(row.call.role).label if row.call and row.call.role else "",
        "phone": person.phone if person else "",
        "log": _to("crm_activity_add", account=account.pk, contact=person.pk if person else "", kind="call_answered", next=back),
    }


def _task(task: Any, day: my_day.Day) -> dict[str, Any]:
    late = (day.today - task.due_on).days
    if late > 0:
        due = chip(ngettext("%d day late", "%d days late", late) % late, "lost", sign="!")
    elif late == 0:
        due = chip(_("today"), "assumed", sign="•")
    else:
        due = chip(f"{date_format(task.due_on, 'D')} {date_format(task.due_on, 'MONTH_DAY_FORMAT')}", "plain")
    return {"task": task, "due": due}


def _gap(gap: my_day.Gap, back: str) -> dict[str, Any]:
    return {
        "gap": gap,
        "chip": role_chip(DmuRole(gap.role.role).label, gap.role.state),
        "is_lost": gap.role.state == LOST,
        "assign": _to("crm_account_assign_role", gap.account.pk, role=gap.role.role, next=back),
        "add": _to("crm_contact_add", account=gap.account.pk, next=back),
    }


def _gate(gate: my_day.Gate, back: str) -> dict[str, Any]:
    return {"deal": gate.deal, "is_broken": gate.deal.gate_broken_at, "letters": [_letter(gate, each, back) for each in gate.letters]}


def _letter(gate: my_day.Gate, letter: my_day.Letter, back: str) -> dict[str, Any]:
    """Say what became of a letter, and offer to confirm it anew, by the same person who still is there."""
    given, kind = letter.given, ConfirmationKind(letter.given.kind).label
    facts = {
        "person": given.contact.person,
        "since": date_format(letter.since, "SHORT_DATE_FORMAT"),
        "given": date_format(localtime(given.confirmed_at), "SHORT_DATE_FORMAT"),
    }
    if letter.is_stale:
        words = _("too old since %(since)s: %(person)s confirmed it on %(given)s") % facts
    else:
        words = _("given by %(person)s, withdrawn on %(since)s: %(why)s") % (facts | {"why": given.why_withdrawn})
    contact = given.contact_id if given.contact.left_on is None else ""
    confirm = _to("crm_opportunity_confirm", gate.deal.pk, kind=given.kind, contact=contact, next=back)
    return {"kind": kind, "is_stale": letter.is_stale, "words": words, "confirm": confirm}


def _signal(signal: Any, back: str) -> dict[str, Any]:
    return {
        "signal": signal,
        "source": dict(SignalEvidence.Source.choices).get(signal.said_by, ""),
        "confirm": _to("abm_jobchangesignal_confirm", signal.pk, next=back),
        "dismiss": _to("abm_jobchangesignal_dismiss_at_once", signal.pk),
    }


def _pilot(pilot: Any, day: my_day.Day, back: str) -> dict[str, Any]:
    left = (pilot.ends_on - day.today).days
    if left < 0:
        ends = chip(ngettext("%d day over", "%d days over", -left) % -left, "lost", sign="!")
    else:
        words = ngettext("%d day left", "%d days left", left) % left if left else _("ends today")
        ends = chip(words, "assumed", sign="•")
    return {"pilot": pilot, "ends": ends, "judge": _to("crm_pilot_judge", pilot.pk, next=back)}


def _night(night: my_day.Night) -> dict[str, Any]:
    """Say when the figures were last reckoned, how much that was, and what failed."""
    if night.run is None:
        return {"words": _("The nightly run has not run yet: scores appear after it."), "is_late": True, "run": None}
    moment = date_format(localtime(night.run.finished_at or night.run.started_at), "SHORT_DATETIME_FORMAT")
    counted = ngettext("%(count)d account", "%(count)d accounts", night.accounts) % {"count": night.accounts}
    failed = ngettext("%(count)d failure", "%(count)d failures", night.failures) % {"count": night.failures} if night.failures else ""
    facts = {"moment": moment, "accounts": counted, "failures": failed or _("no failures")}
    ended = _("Last nightly run: %(moment)s, %(accounts)s, %(failures)s.")
    words = (ended if night.run.finished_at else _("Nightly run since %(moment)s, not finished: %(accounts)s, %(failures)s.")) % facts
    return {"words": words, "is_late": night.is_late or night.failures > 0, "is_old": night.is_late, "run": night.run}
