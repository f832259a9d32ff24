"""What can be done to a deal: each deed asks with one small form and calls one rule, on the deal's page or on one of its own."""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, cast

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef
from django.http import Http404, HttpRequest, QueryDict
from django.shortcuts import get_object_or_404
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from crm import access, confirmations, dmu, follow_ups, opportunities, pilots, policy
from crm.admin import deeds
from crm.admin.confirmations import Confirm, Withdraw
from crm.admin.pilots import StartPilot, Verdict
from crm.admin.site import doer
from crm.models import ConfirmationKind, Contact, DmuMembership, DmuRole, FollowUp, Opportunity, Stage, Stance

Sent = QueryDict | None
PEOPLE_OFFERED = 60


class Deed(NamedTuple):
    """A form that asks, the rule that takes its answers and `at`, and what to call it."""

    form: forms.Form
    rule: Callable[..., object]
    title: Promise | str
    done: Promise | str


class Won(forms.Form):
    """Ask for the day of the signature."""

    closed_on = deeds.day(_("closed on"))


class Advance(forms.Form):
    """Ask for a note with the step."""

    reason = deeds.line(_("note"), required=False)


class NameAccount(forms.Form):
    """Ask whose deal it is."""

    account = deeds.record(_("account"))

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        deeds.offer_accounts(self, "account", request)


class ConfirmLetter(forms.Form):
    """Ask who confirmed one letter of BANT, and how we know."""

    contact = deeds.record(_("confirmed by"))
    evidence = deeds.paragraph(_("evidence"), help_text=_("In words: what was said or shown, and where."))
    confirmed_at = deeds.moment(_("when"), required=False, help_text=_("Empty: now."))


class AssignForDeal(forms.Form):
    """Ask who holds a role, for this deal or for the account as a whole."""

    SCOPES = (("deal", _("this deal only")), ("account", _("every deal of the account")))
    contact = deeds.record(_("who"))
    stance = deeds.choice(_("stance"), Stance.choices)
    is_assumed = deeds.choice(_("certainty"), (("", _("confirmed")), ("yes", _("assumed"))), required=False)
    scope = deeds.choice(_("holds for"), SCOPES)


class Snooze(forms.Form):
    """Ask for how many days a task is put off."""

    days = forms.IntegerField(min_value=1, max_value=365)


def confirm(request: HttpRequest, deal: Opportunity, sent: Sent) -> Deed:
    """Confirm a letter that the form asks for."""
    _refuse_out_of_sight(request, deal)
    form = Confirm(sent, opportunity=deal, initial={"kind": request.GET.get("kind")})
    rule = partial(confirmations.confirm, deal, by=doer(request))
    return Deed(form, rule, _("Confirm a letter of BANT"), _("The confirmation is recorded."))


def confirm_letter(request: HttpRequest, deal: Opportunity, sent: QueryDict) -> Deed:
    """Confirm the letter that was named."""
    _refuse_out_of_sight(request, deal)
    kind = _one_of(ConfirmationKind.values, sent)
    deciders = dmu.holders(DmuRole.DECIDER, opportunities=[deal])[deal.pk] if kind == ConfirmationKind.AUTHORITY else None
    form = letter_form(deal, kind, people(deal), only=deciders, sent=sent)
    rule = partial(confirmations.confirm, deal, kind=kind, by=doer(request))
    return Deed(form, rule, _("Confirm"), _("The confirmation is recorded."))


def letter_form(
    deal: Opportunity, kind: str, offered: Iterable[Contact], *, only: Collection[int] | None = None, sent: Sent = None
) -> ConfirmLetter:
    """Give the form for one letter; `only` names the contacts who may confirm it, if not everybody may."""
    form = ConfirmLetter(sent, auto_id=f"id_{kind}_%s")
    _offer_people(form, deal, [one for one in offered if only is None or one.pk in only])
    return form


def withdraw(request: HttpRequest, deal: Opportunity, sent: Sent, confirmation_id: int | None = None) -> Deed:
    """Withdraw one of the deal's confirmations."""
    wanted = confirmation_id or _number(sent)
    given = get_object_or_404(deal.confirmations.visible_to(request.user), pk=wanted)
    rule = partial(confirmations.withdraw, given, by=doer(request))
    form = Withdraw(sent, auto_id=f"id_withdraw_{given.pk}_%s")
    return Deed(form, rule, _("Withdraw: %(what)s") % {"what": given}, _("The confirmation is withdrawn."))


def advance(request: HttpRequest, deal: Opportunity, sent: Sent) -> Deed:
    """Move on by one stage, from the one that the user saw."""
    following = opportunities.NEXT_STAGE.get(deal.stage, Stage.WON)
    form = advance_form(following, sent)
    rule = partial(opportunities.advance, deal, to=following, by=doer(request))
    return Deed(form, rule, _("Move on to: %(stage)s") % {"stage": Stage(following).label}, _("The deal moved on."))


def advance_form(following: str, sent: Sent = None) -> forms.Form:
    """Ask what a step needs besides what is on record."""
    if following == Stage.WON:
        return Won(sent, initial={"closed_on": policy.day_of(now())}, auto_id="id_advance_%s")
    return Advance(sent, auto_id="id_advance_%s")


def step(request: HttpRequest, deal: Opportunity, to: str, sent: Sent) -> Deed:
    """Move to the stage that was named, whatever the one between; the rule says which steps there are."""
    if to == Stage.LOST and deal.is_open:
        return lose(request, deal, sent)
    if to == Stage.SQL and not deal.is_open:
        return reopen(request, deal, sent)
    is_signature = opportunities.NEXT_STAGE.get(deal.stage) == to == Stage.WON
    form = advance_form(to, sent) if is_signature else deeds.Nothing()
    rule = partial(opportunities.advance, deal, to=to, by=doer(request))
    label = dict(Stage.choices).get(Stage(to), to) if to in Stage.values else to
    return Deed(form, rule, _("Move on to: %(stage)s") % {"stage": label}, _("moved to %(stage)s.") % {"stage": label})


def lose(request: HttpRequest, deal: Opportunity, sent: Sent) -> Deed:
    """Give the deal up."""
    rule = partial(opportunities.lose, deal, by=doer(request))
    return Deed(deeds.Because(sent, auto_id="id_lose_%s"), rule, _("The deal is lost"), _("The deal is recorded as lost."))


def reopen(request: HttpRequest, deal: Opportunity, sent: Sent) -> Deed:
    """Take the deal up again."""
    rule = partial(opportunities.reopen, deal, by=doer(request))
    return Deed(deeds.Because(sent, auto_id="id_reopen_%s"), rule, _("Reopen the deal"), _("The deal is open again, as SQL."))


def start_pilot(request: HttpRequest, deal: Opportunity, sent: Sent) -> Deed:
    """Start a pilot."""
    rule = partial(pilots.start, opportunity=deal, by=doer(request))
    return Deed(StartPilot(sent, auto_id="id_pilot_%s"), rule, _("Start a pilot"), _("The pilot is started."))


def judge(request: HttpRequest, deal: Opportunity, sent: QueryDict) -> Deed:
    """Give the verdict of one of the deal's pilots."""
    pilot = get_object_or_404(deal.pilots, pk=_number(sent))
    form = Verdict(sent, auto_id=f"id_judge_{pilot.pk}_%s")
    return Deed(form, partial(pilots.judge, pilot, by=doer(request)), _("Give the verdict"), _("The verdict is given."))


def name_account(request: HttpRequest, deal: Opportunity, sent: Sent) -> Deed:
    """Say whose deal an imported one is."""
    rule = partial(opportunities.name_account, deal, by=doer(request))
    return Deed(NameAccount(sent, request=request), rule, _("Say whose deal this is"), _("The deal has its account."))


def assign(request: HttpRequest, deal: Opportunity, sent: QueryDict) -> Deed:
    """Give somebody a role, for this deal only or for the account."""
    _refuse_out_of_sight(request, deal)
    if deal.account_id is None or not request.user.has_perm("crm.add_dmumembership"):
        raise PermissionDenied
    role = _one_of(DmuRole.values, sent)

    def rule(*, at: datetime, contact: Contact, stance: str, is_assumed: str, scope: str) -> None:
        only = deal if scope == "deal" else None
        dmu.assign(contact=contact, role=role, stance=stance, is_assumed=bool(is_assumed), opportunity=only, by=doer(request), at=at)

    return Deed(assign_form(deal, role, people(deal), sent), rule, _("Assign"), _("The role is assigned."))


def assign_form(deal: Opportunity, role: str, offered: Iterable[Contact], sent: Sent = None) -> AssignForDeal:
    """Give the form for one role."""
    form = AssignForDeal(sent, auto_id=f"id_{role}_%s", initial={"stance": Stance.NEUTRAL, "scope": "deal"})
    _offer_people(form, deal, offered)
    return form


def finish_task(request: HttpRequest, deal: Opportunity, sent: QueryDict) -> Deed:
    """Close one of the deal's tasks."""
    task = _task(request, deal, sent)
    return Deed(deeds.Nothing(sent), partial(follow_ups.close, task, by=doer(request)), _("Done"), _("The task is done."))


def snooze_task(request: HttpRequest, deal: Opportunity, sent: QueryDict) -> Deed:
    """Put one of the deal's tasks off, counted from today."""
    task = _task(request, deal, sent)

    def rule(*, at: datetime, days: int) -> None:
        follow_ups.change(task, owner=task.owner, due_on=policy.day_of(at) + timedelta(days=days), text=task.text)

    return Deed(Snooze(sent), rule, _("Put off"), _("The task is put off."))


# What the deal's page does in place; what belongs to the deal asks for the right to change it.
OF_THE_DEAL: dict[str, Callable[[HttpRequest, Opportunity, QueryDict], Deed]] = {
    "confirm": confirm_letter,
    "withdraw": withdraw,
    "advance": advance,
    "lose": lose,
    "reopen": reopen,
    "start_pilot": start_pilot,
    "judge": judge,
}
BESIDE_THE_DEAL: dict[str, Callable[[HttpRequest, Opportunity, QueryDict], Deed]] = {
    "assign": assign,
    "finish_task": finish_task,
    "snooze_task": snooze_task,
}


def people(deal: Opportunity) -> list[Contact]:
    """Give the people at the deal's account, those with a role first: so many as a list can be searched by eye."""
    with_role = DmuMembership.objects.current().filter(contact=OuterRef("pk"))
    at_work = Contact.objects.active().filter(account=deal.account_id).select_related("person")
    in_order = at_work.order_by(Exists(with_role).desc(), "person__family_name", "person__given_name", "pk")
    return list(in_order[:PEOPLE_OFFERED])


def _offer_people(form: forms.Form, deal: Opportunity, offered: Iterable[Contact]) -> None:
    """Offer people who were read already: a page shows many such forms, and each would ask anew."""
    named = [(one.pk, f"{one} ({one.job_title})" if one.job_title else str(one)) for one in offered]
    deeds.offer(form, "contact", Contact.objects.active().filter(account=deal.account_id, pk__in=[pk for pk, _name in named]))
    cast(Any, form.fields["contact"]).choices = [("", capfirst(_("select value"))), *named]


def _refuse_out_of_sight(request: HttpRequest, deal: Opportunity) -> None:
    if not access.sees_account_of(request.user, deal):
        raise PermissionDenied


def _task(request: HttpRequest, deal: Opportunity, sent: QueryDict) -> FollowUp:
    task = get_object_or_404(FollowUp.objects.visible_to(request.user), opportunity=deal, pk=_number(sent))
    if not access.may(request.user, "change", task):
        raise PermissionDenied
    return task


def _number(sent: Sent) -> int:
    about = sent.get("about", "") if sent else ""
    if not about.isdecimal():
        raise Http404
    return int(about)


def _one_of(known: Collection[str], sent: QueryDict) -> str:
    about = sent.get("about", "")
    if about not in known:
        raise Http404
    return about
