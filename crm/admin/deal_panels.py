"""What the page of a deal shows: each panel with its facts, and the small forms that stand in it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

from django.db.models import Q
from django.forms import Form
from django.http import HttpRequest
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from crm import access, bant, dmu, opportunities, policy
from crm.admin import deal_deeds, deeds
from crm.admin.confirmations import Withdraw, bant_row
from crm.admin.lists import role_chip
from crm.admin.pilots import StartPilot, Verdict
from crm.errors import MISSING_SENTENCES
from crm.models import Activity, ConfirmationKind, Contact, DmuMembership, DmuRole, FollowUp, Opportunity, Pilot, Stage, StageMove

STEPS = (Stage.MQL, Stage.SQL, Stage.OPPORTUNITY, Stage.PROPOSAL, Stage.WON)


@dataclass(frozen=True)
class Tried:
    """A form of the page that was sent and refused: it is shown again as typed, with the rule's sentence beside it."""

    key: str
    form: Form
    refusal: str


@dataclass
class Sheet:
    """One look at a deal: who looks, when, what they may do, and what they tried."""

    request: HttpRequest
    deal: Opportunity
    at: datetime
    may_change: bool
    sees_account: bool
    may_assign: bool
    tried: Tried | None = None
    is_shown: bool = False

    @cached_property
    def people(self) -> list[Contact]:
        """Give whom the forms offer."""
        return deal_deeds.people(self.deal)

    def spot(self, deed: str, form: Form, button: str, *, about: object = "", elsewhere: str = "") -> dict[str, Any]:
        """Give a form that stands in a panel; `about` says which letter, pilot or task it is about."""
        key = f"{deed}-{about}" if about else deed
        again = self.tried if self.tried and self.tried.key == key else None
        self.is_shown = self.is_shown or again is not None
        return {
            "key": key,
            "deed": deed,
            "about": about,
            "form": again.form if again else form,
            "button": button,
            "refusal": again.refusal if again else "",
            "is_open": again is not None,
            "elsewhere": elsewhere,
        }


def stage_bar(sheet: Sheet, moves: Collection[StageMove]) -> list[dict[str, Any]]:
    """Give the stages as steps, done, here or to come, with the days in each; the next one can be taken."""
    deal, days = sheet.deal, days_in_stages(moves, sheet.at)
    if deal.stage == Stage.LOST:
        passed = [stage for stage in STEPS if stage in days]
        return [_step(stage, "done", days) for stage in passed] + [_step(Stage.LOST, "lost", {})]
    here = STEPS.index(Stage(deal.stage))
    states = ["done" if number < here else "here" if number == here else "later" for number in range(len(STEPS))]
    bar = [_step(stage, state, days) for stage, state in zip(STEPS, states, strict=True)]
    if deal.is_open and sheet.may_change:
        bar[here + 1]["is_next"] = True
    return bar


def _step(stage: Stage, state: str, days: Mapping[str, int | None]) -> dict[str, Any]:
    return {"stage": stage, "label": stage.label, "state": state, "days": days.get(stage) if stage != Stage.WON else None}


def days_per_move(moves: Collection[StageMove], at: datetime) -> list[dict[str, Any]]:
    """Give each move with the days that the deal then stayed; unknown where an import had no date."""
    in_order = list(moves)
    last = in_order[-1].to_stage if in_order else ""
    ends = [after.moved_at for _before, after in pairwise(in_order)] + [None if last in (Stage.WON, Stage.LOST) else at]
    return [
        {"move": move, "days": (end - move.moved_at).days if move.moved_at and end else None}
        for move, end in zip(in_order, ends, strict=False)
    ]


def days_in_stages(moves: Collection[StageMove], at: datetime) -> dict[str, int | None]:
    """Add up the days in each stage that the deal was in; unknown as soon as one stay is."""
    days: dict[str, int | None] = {}
    for row in days_per_move(moves, at):
        before = days.get(row["move"].to_stage, 0)
        days[row["move"].to_stage] = None if before is None or row["days"] is None else before + row["days"]
    return days


def bant_panel(sheet: Sheet) -> list[dict[str, Any]]:
    """Give the four letters, each with who said so and until when, and the forms to confirm it and to withdraw it."""
    deal = sheet.deal
    given = list(deal.confirmations.select_related("contact__person", "recorded_by", "withdrawn_by").order_by("-confirmed_at", "-id")[:50])
    rows = [bant_row(kind, given, sheet.at) for kind in ConfirmationKind]
    if not (sheet.may_change and sheet.sees_account and deal.is_open and deal.account_id):
        return rows
    deciders = dmu.holders(DmuRole.DECIDER, opportunities=[deal])[deal.pk]
    for row in rows:
        kind, standing = row["kind"], row["given"]
        only = deciders if kind == ConfirmationKind.AUTHORITY else None
        row["nobody"] = only is not None and not only
        if not row["nobody"]:
            row["confirm"] = _confirm_spot(sheet, kind, deal_deeds.letter_form(deal, kind, sheet.people, only=only), is_anew=bool(standing))
        if standing:
            row["withdraw"] = sheet.spot("withdraw", Withdraw(auto_id=f"id_withdraw_{standing.pk}_%s"), _("Withdraw"), about=standing.pk)
    return rows


def _confirm_spot(sheet: Sheet, kind: ConfirmationKind, form: Form, *, is_anew: bool) -> dict[str, Any]:
    page = reverse("admin:crm_opportunity_confirm", args=[sheet.deal.pk])
    elsewhere = f"{page}?kind={kind}" if len(sheet.people) >= deal_deeds.PEOPLE_OFFERED else ""
    return sheet.spot("confirm", form, _("Confirm anew") if is_anew else _("Confirm"), about=kind.value, elsewhere=elsewhere)


def mends(
    deal: Opportunity, lacking: Iterable[str], standing: Collection[str], *, may_confirm_authority: bool = True
) -> list[dict[str, Any]]:
    """Give what keeps a deal out of its next stage in words, each with the places on its page where that is mended."""
    page = reverse("admin:crm_opportunity_change", args=[deal.pk])
    return [
        {"sentence": MISSING_SENTENCES[name], "links": list(_links(name, page, deal, standing, may_confirm_authority))} for name in lacking
    ]


def _links(name: str, page: str, deal: Opportunity, standing: Collection[str], may_confirm_authority: bool) -> Iterable[dict[str, str]]:
    to_confirm = {"two_of_three": bant.THREE, "gate_broken": bant.ASKED.get(deal.stage, ()), "decider": ("authority",)}
    anew = name == "decider" or name.endswith("_stale")
    kind = name.removesuffix("_stale")
    for letter in to_confirm.get(name, (kind,) if kind in ConfirmationKind.values else ()):
        if letter == "authority" and not may_confirm_authority:
            yield {"label": _("Assign a decider"), "href": f"{page}#assign-decider"}
        elif anew or letter not in standing:
            yield {"label": capfirst(_("Confirm %(what)s") % {"what": ConfirmationKind(letter).label}), "href": f"{page}#confirm-{letter}"}
    if name == "amount":
        yield {"label": _("Fill in the amount"), "href": f"{page}#id_amount"}
    if name == "close_date":
        yield {"label": _("Fill in the expected close"), "href": f"{page}#id_expected_close_on"}
    if name == "account":
        yield {"label": _("Name the account"), "href": reverse("admin:crm_opportunity_name_account", args=[deal.pk])}


def next_panel(sheet: Sheet, letters: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Give what the next stage still needs, each with what mends it, and the form that takes the step."""
    following = opportunities.NEXT_STAGE.get(sheet.deal.stage)
    if following is None:
        return {}
    rows = list(letters)
    lacking = opportunities.missing_for(sheet.deal, following, at=sheet.at)
    is_nobody = any(row.get("nobody") for row in rows)
    standing = {row["kind"].value for row in rows if row["given"]}
    button = _("Move on to %(stage)s") % {"stage": following.label}
    return {
        "label": following.label,
        "is_won": following == Stage.WON,
        "is_ready": not lacking,
        "lacking": mends(sheet.deal, lacking, standing, may_confirm_authority=not is_nobody),
        "spot": sheet.spot("advance", deal_deeds.advance_form(following), button) if sheet.may_change else None,
    }


def dmu_panel(sheet: Sheet) -> list[dict[str, Any]]:
    """Give the roles that count for this deal: who holds each, for this deal or standing, and whom that overrides."""
    deal = sheet.deal
    coverage = dmu.coverage_of_opportunities([deal], at=sheet.at)[deal.pk]
    held = DmuMembership.objects.current().filter(account=deal.account_id, contact__left_on=None)
    rows = held.filter(Q(opportunity=None) | Q(opportunity=deal)).select_related("contact__person").order_by("id")
    members: dict[str, list[DmuMembership]] = defaultdict(list)
    for row in rows:
        members[row.role].append(row)
    panel = [_role(sheet, role.role, role.state, members[role.role], role) for role in coverage.roles]
    others = [role for role in DmuRole.values if role in members and role not in coverage.states]
    return panel + [_role(sheet, role, "", members[role]) for role in others]


def _role(
    sheet: Sheet, role: str, state: str, members: Collection[DmuMembership], covered: dmu.RoleCoverage | None = None
) -> dict[str, Any]:
    specific = [row for row in members if row.opportunity_id]
    rungs = {holder.contact_id: holder for holder in covered.holders} if covered else {}
    assign = deal_deeds.assign_form(sheet.deal, role, sheet.people) if sheet.may_assign else None
    return {
        "name": DmuRole(role).label,
        "chip": role_chip(capfirst(DmuRole(role).label), state or "known"),
        "covered": covered,
        "holders": [{"row": row, "holder": rungs.get(row.contact_id)} for row in specific or members],
        "overridden": [row for row in members if not row.opportunity_id] if specific else [],
        "assign": sheet.spot("assign", assign, _("Assign") if not members else _("Assign somebody else"), about=role) if assign else None,
    }


def pilot_panel(sheet: Sheet) -> dict[str, Any]:
    """Give the pilots, the running one with the days it has left, and the forms to judge it and to start one."""
    today, rows = policy.day_of(sheet.at), []
    pilots: list[Pilot] = list(sheet.deal.pilots.all()[:5])
    for pilot in pilots:
        is_running = not pilot.verdict
        form = Verdict(auto_id=f"id_judge_{pilot.pk}_%s")
        judge = sheet.spot("judge", form, _("Give the verdict"), about=pilot.pk) if is_running and sheet.may_change else None
        rows.append({"pilot": pilot, "days": (pilot.ends_on - today).days, "late": (today - pilot.ends_on).days, "judge": judge})
    may_start = sheet.may_change and sheet.deal.is_open and all(pilot.verdict for pilot in pilots)
    start = sheet.spot("start_pilot", StartPilot(auto_id="id_pilot_%s"), _("Start a pilot")) if may_start else None
    return {"rows": rows, "start": start}


def task_panel(sheet: Sheet) -> list[dict[str, Any]]:
    """Give the open tasks of the deal, each with what the user may do with it."""
    open_ones = FollowUp.objects.visible_to(sheet.request.user).open().filter(opportunity=sheet.deal)
    tasks = access.with_may_change(open_ones, sheet.request.user).select_related("owner", "account", "contact__person", "opportunity")[:20]
    today = policy.day_of(sheet.at)
    return [
        {
            "task": task,
            "is_late": task.due_on < today,
            "finish": sheet.spot("finish_task", deeds.Nothing(), _("Done"), about=task.pk) if task.may_change else None,
            "snooze": sheet.spot("snooze_task", deal_deeds.Snooze(), _("Put off"), about=task.pk) if task.may_change else None,
        }
        for task in tasks
    ]


def activities(deal: Opportunity) -> Any:
    """Give what was recorded about this deal."""
    return Activity.objects.filter(opportunity=deal, account=deal.account_id)


def close_spots(sheet: Sheet) -> dict[str, Any]:
    """Give the forms with which a deal is lost or reopened."""
    if not sheet.may_change:
        return {}
    if sheet.deal.is_open:
        return {"lose": sheet.spot("lose", deeds.Because(auto_id="id_lose_%s"), _("Mark as lost"))} if sheet.deal.account_id else {}
    return {"reopen": sheet.spot("reopen", deeds.Because(auto_id="id_reopen_%s"), _("Reopen"))}
