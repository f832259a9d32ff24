"""The DMU as a picture: five seats with the people in them, and a tray of people without one; moved by mouse, keyboard or plain form."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from crm import access, activity_kinds, dmu, policy
from crm import coverage as coverage_rules
from crm.admin import deeds
from crm.admin.lists import STATES
from crm.admin.site import RememberedAdmin, doer, page_of
from crm.errors import Invalid
from crm.models import Account, Activity, Contact, DmuMembership, DmuRole, Stance
from crm.models.contacts import DELIVERABLE, full_name

# As they sit: who signs at the top, who asked for it last.
SEATS = (DmuRole.DECIDER, DmuRole.BUYER, DmuRole.INFLUENCER, DmuRole.USER, DmuRole.INITIATOR)
DUTIES: dict[str, Promise] = {
    DmuRole.DECIDER: _("says yes or no"),
    DmuRole.BUYER: _("arranges terms and order"),
    DmuRole.INFLUENCER: _("advises and sets demands"),
    DmuRole.USER: _("will work with it"),
    DmuRole.INITIATOR: _("saw the need first"),
}
STANCE_SIGNS = {Stance.CHAMPION: "★", Stance.SUPPORTER: "+", Stance.NEUTRAL: "○", Stance.SCEPTIC: "−", Stance.BLOCKER: "✕"}
STANCE_TONES = {Stance.CHAMPION: "engaged", Stance.SUPPORTER: "reachable", Stance.SCEPTIC: "assumed", Stance.BLOCKER: "lost"}
# What arrived or came back says nothing of the person.
TOUCHES = activity_kinds.KINDS.keys() - {"email_delivered", "email_bounced"}
TRAY, IN_SEAT, PEOPLE = 12, 8, 300


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody who works at the account, with how they can be reached and when they were last in touch."""

    pk: int
    given_name: str
    family_name: str
    job_title: str
    departure_suspected_at: datetime | None
    opted_out_at: datetime | None
    has_mail: bool
    has_phone: bool
    touch: str | None
    touched_at: datetime | None
    deal: str | None

    def __str__(self) -> str:
        return full_name(self.given_name, self.family_name)


@dataclass(frozen=True)
class Card:
    """One person in one seat, or in the tray (as holder of nothing)."""

    contact: Colleague
    name: str
    holder: dmu.Holder | None
    reach: str
    touch: str
    may_move: bool
    role_options: SafeString
    stance_options: SafeString
    only_for: str = ""

    @property
    def key(self) -> str:
        """Name the card on the page; the same after it moved."""
        return f"person-{self.contact.pk}"

    @property
    def log_label(self) -> str:
        """Name the button that logs something."""
        return _("Log something with %(name)s") % {"name": self.name}

    @property
    def move_label(self) -> str:
        """Name the button that opens the menu."""
        return _("Move %(name)s") % {"name": self.name}

    @property
    def stance(self) -> dict[str, object]:
        """Give sign, word and tone of how they stand towards us; nothing for who never was asked."""
        if self.holder is None:
            return {}
        stance = Stance(self.holder.stance)
        return {"value": stance.value, "word": stance.label, "sign": STANCE_SIGNS[stance], "tone": STANCE_TONES.get(stance, "plain")}


class SeatForm(forms.Form):
    """Read who goes to which seat; no role means the tray."""

    contact: Any = forms.ModelChoiceField(None)
    membership: Any = forms.ModelChoiceField(None, required=False)
    role = forms.ChoiceField(choices=[("", ""), *DmuRole.choices], required=False)
    stance = forms.ChoiceField(choices=[("", ""), *Stance.choices], required=False)
    confirmed = forms.BooleanField(required=False)

    def __init__(self, *args: Any, account: Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deeds.offer(self, "contact", account.contacts.active())
        deeds.offer(self, "membership", account.memberships.all())

    def clean(self) -> Any:
        cleaned = super().clean() or {}
        held = cleaned.get("membership")
        if held and held.contact_id != getattr(cleaned.get("contact"), "pk", None):
            self.add_error("membership", _("This is somebody else's role."))
        return cleaned


class DmuMapPage(RememberedAdmin):
    """The part of an account's page where people sit, with the addresses that move them."""

    def get_urls(self) -> list[Any]:
        seat = path("<path:object_id>/seat/", self.admin_site.admin_view(self.seat), name="crm_account_seat")
        back = path("<path:object_id>/unseat/", self.admin_site.admin_view(self.take_back), name="crm_account_unseat")
        return [seat, back, *super().get_urls()]

    def dmu_map(self, request: HttpRequest, account: Account, people: Sequence[Colleague], *, at: datetime) -> dict[str, Any]:
        """Collect what the picture shows of the people there; one query more."""
        coverage = dmu.coverage([account], at=at)[account.pk]
        rights = Rights.of(request, may_change_account=self.may(request, "change", account))
        return {
            "account": account,
            "coverage": coverage,
            **picture(people, coverage, at=at, rights=rights),
            "may_assign": rights.may_assign,
            "may_log": request.user.has_perm("crm.add_activity"),
            "seat_address": reverse("admin:crm_account_seat", args=[account.pk]),
            "unseat_address": reverse("admin:crm_account_unseat", args=[account.pk]),
            "undo": {name: request.GET[name] for name in ("ended", "began") if request.GET.get(name, "").isdecimal()},
        }

    def seat(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give somebody another seat; a refusal shows the picture as it was, with the rule's sentence."""
        account = self.record(request, object_id, "view")
        moved: list[dmu.Moved] = []
        if request.method == "POST":
            self._may_seat(request)
            form = SeatForm(request.POST, account=account)
            self.attempt(request, partial(self._seat, request, form, moved), done=in_words(form))
        return self._answer(request, account, moved[0] if moved else dmu.Moved())

    def _may_seat(self, request: HttpRequest) -> None:
        if not request.user.has_perm("crm.add_dmumembership"):
            raise PermissionDenied

    def _seat(self, request: HttpRequest, form: SeatForm, moved: list[dmu.Moved], *, at: datetime) -> None:
        if not form.is_valid():
            raise Invalid(_("Nobody was moved: this person or role is not here any more."))
        wanted, by = form.cleaned_data, doer(request)
        held: DmuMembership | None = wanted["membership"]
        if held and not access.may(request.user, "change", held):
            raise PermissionDenied
        moved.append(reseat(wanted["contact"], held, role=wanted["role"], stance=wanted["stance"], sure=wanted["confirmed"], by=by, at=at))

    def take_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Undo the move that was just made."""
        account = self.record(request, object_id, "view")
        if request.method == "POST":
            ended, began = (self._of_move(request, account, name) for name in ("ended", "began"))
            deed = partial(dmu.take_back, ended=ended, began=began, by=doer(request))
            self.attempt(request, deed, done=_("Everybody sits where they sat before."))
        return self._answer(request, account, dmu.Moved())

    def _of_move(self, request: HttpRequest, account: Account, name: str) -> DmuMembership | None:
        number = request.POST.get(name, "")
        row = account.memberships.filter(pk=int(number)).first() if number.isdecimal() else None
        if row and not access.may(request.user, "change", row):
            raise PermissionDenied
        return row

    def _answer(self, request: HttpRequest, account: Account, moved: dmu.Moved) -> HttpResponse:
        """Give the picture anew to a page that asks for it, else go back to the page."""
        undo = {name: row.pk for name, row in (("ended", moved.ended), ("began", moved.began)) if row}
        if request.headers.get("HX-Request") != "true":
            asked = "&".join(f"{name}={pk}" for name, pk in undo.items())
            return redirect(f"{page_of(account)}?{asked}#dmu-map")
        context = self.dmu_map(request, account, people_there(account), at=now()) | {"undo": undo, "is_answer": True}
        return TemplateResponse(request, "crm/admin/parts/dmu_map.html", context)


def in_words(form: SeatForm) -> str:
    """Say where somebody sits now, for who listens."""
    wanted = form.cleaned_data if form.is_valid() else {}
    role = dict(DmuRole.choices).get(wanted.get("role", ""), _("no role"))
    return str(_("%(name)s: %(role)s.") % {"name": wanted.get("contact", ""), "role": role})


@dataclass(frozen=True)
class Rights:
    """What a user may do to the seats of one account: add to them, or also change what is there."""

    may_assign: bool
    may_move: bool

    @classmethod
    def of(cls, request: HttpRequest, *, may_change_account: bool) -> "Rights":
        may_assign = request.user.has_perm("crm.add_dmumembership")
        # A role belongs to whom its account belongs.
        may_move = may_change_account and request.user.has_perm("crm.change_dmumembership")
        return cls(may_assign=may_assign, may_move=may_assign and may_move)


def reseat(contact: Contact, held: DmuMembership | None, *, role: str, stance: str, sure: bool, by: Any, at: datetime) -> dmu.Moved:
    """Call the rule for where somebody came from and goes to."""
    if held and role:
        return dmu.move(held, role=role, stance=stance, is_assumed=held.is_assumed and not sure, by=by, at=at)
    if held:
        return dmu.Moved(ended=dmu.end(held, reason=DmuMembership.EndReason.MOVED, by=by, at=at))
    if not role:
        raise Invalid(_("Choose a role."), detail={"role": _("Choose a role.")})
    return dmu.Moved(began=dmu.assign(contact=contact, role=role, stance=stance or Stance.NEUTRAL, is_assumed=not sure, by=by, at=at))


def picture(people: Sequence[Colleague], coverage: dmu.Coverage, *, at: datetime, rights: Rights) -> dict[str, Any]:
    """Lay out seats and tray: who holds a standing role sits, the others who work there wait, the latest in touch first."""
    known, draw = {one.pk: one for one in people}, partial(_card, at=at, rights=rights, options=Options())
    seated = {holder.contact_id for held in coverage.holders.values() for holder in held}
    waiting = sorted((one for one in people if one.pk not in seated), key=lambda one: -one.touched_at.timestamp() if one.touched_at else 0)
    in_seat = {role: [one for one in coverage.holders.get(role, ()) if one.contact_id in known] for role in SEATS}
    return {
        "seats": [
            _seat(role, coverage, [draw(known[one.contact_id], one, role) for one in held[:IN_SEAT]], more=len(held) - IN_SEAT)
            for role, held in in_seat.items()
        ],
        "tray": [draw(one, None, "") for one in waiting[:TRAY]],
        "tray_is_cut": len(waiting) > TRAY,
    }


class Options(dict[str, SafeString]):
    """The options of the cards' selects, drawn once for each choice: every card has the same ones."""

    def __missing__(self, chosen: str) -> SafeString:
        choices = Stance.choices if chosen in Stance.values else [("", _("no role")), *DmuRole.choices]
        return self.setdefault(chosen, deeds.options(choices, chosen))


def people_there(account: Account) -> list[Colleague]:
    """Give who works there by name, with how they can be reached and when they were last in touch; one query."""
    touched = Activity.objects.filter(contact=OuterRef("pk"), machine_reason="", kind__in=TOUCHES).order_by("-occurred_at", "-pk")
    # Who has a role in one deal alone still waits for one at the account; the card says so.
    in_deal = DmuMembership.objects.current().filter(contact=OuterRef("pk")).exclude(opportunity=None).order_by("pk")
    found = account.contacts.active().values_list(
        "pk",
        "person__given_name",
        "person__family_name",
        "job_title",
        "departure_suspected_at",
        "person__opted_out_at",
        Exists(Contact.objects.filter(DELIVERABLE, pk=OuterRef("pk"))),
        ExpressionWrapper(~Q(phone=""), output_field=BooleanField()),
        Subquery(touched.values("kind")[:1]),
        Subquery(touched.values("occurred_at")[:1]),
        Subquery(in_deal.values("opportunity__name")[:1]),
    )
    return [Colleague(*row) for row in found.order_by("person__given_name", "person__family_name", "pk")[:PEOPLE]]


def _card(contact: Colleague, holder: dmu.Holder | None, role: str, *, at: datetime, rights: Rights, options: Options) -> Card:
    may_move = rights.may_move if holder else rights.may_assign
    touch = f"{done(contact.touch or '')} {ago(contact.touched_at, at)}" if contact.touched_at else ""
    drawn = options[role], options[holder.stance if holder else Stance.NEUTRAL.value]
    return Card(contact, str(contact), holder, _reach(contact), touch, may_move, *drawn, only_for="" if holder else contact.deal or "")


def _reach(contact: Colleague) -> str:
    """Name how somebody can be reached: mail, phone, both, neither, or that they want no contact."""
    if contact.opted_out_at:
        return "opted_out"
    return {(True, True): "both", (True, False): "mail", (False, True): "phone"}.get((contact.has_mail, contact.has_phone), "neither")


def _seat(role: DmuRole, coverage: dmu.Coverage, cards: Sequence[Card], *, more: int) -> dict[str, Any]:
    row = next((row for row in coverage.roles if row.role == role), None)
    state = row.state if row else ""
    word, sign = STATES.get(state, ("", ""))
    return {
        "role": role.value,
        "label": role.label,
        "duty": DUTIES[role],
        "state": state,
        "word": word,
        "sign": sign,
        "row": row,
        "cards": cards,
        "more": max(0, more),
        "is_gap": state in (coverage_rules.MISSING, coverage_rules.LOST),
    }


def done(kind: str) -> str:
    """Say in words what happened with somebody."""
    known = activity_kinds.KINDS.get(kind)
    return str(known.done) if known else kind


def ago(moment: datetime, at: datetime) -> str:
    """Say how long ago, in whole local days, weeks, months or years."""
    days = (policy.day_of(at) - policy.day_of(moment)).days
    if days <= 0:
        return str(_("today"))
    if days == 1:
        return str(_("yesterday"))
    if days < 14:
        return ngettext("%(count)d day ago", "%(count)d days ago", days) % {"count": days}
    if days < 60:
        return ngettext("%(count)d week ago", "%(count)d weeks ago", days // 7) % {"count": days // 7}
    if days < 730:
        return ngettext("%(count)d month ago", "%(count)d months ago", days // 30) % {"count": days // 30}
    return ngettext("%(count)d year ago", "%(count)d years ago", days // 365) % {"count": days // 365}
