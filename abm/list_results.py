"""What a target list did: its accounts beside their comparison group, counted over the same eight weeks; accounts, not mails."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Q, Sum, Value
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from abm import policy, rates
from abm.models import ComparisonAccount, TargetAccount, TargetList
from abm.rates import Arm, Comparison, Verdict
from crm.models import Activity, Opportunity

# The first one decides; the others are shown beside it, for who tries several finds a winner by chance.
RESPONSES, MEETINGS, DEALS = "responses", "meetings", "deals"
MEASURES = (RESPONSES, MEETINGS, DEALS)


@dataclass(frozen=True)
class Did:
    """Which accounts did what, and what the deals that they began are worth, per currency."""

    accounts: Mapping[str, frozenset[int]]
    pipeline: Mapping[int, Mapping[str, Decimal]] = field(default_factory=dict)

    def arm(self, measure: str, among: frozenset[int]) -> Arm:
        """Count the accounts of a group that did it."""
        return Arm(len(self.accounts[measure] & among), len(among))

    def worth(self, among: frozenset[int]) -> dict[str, Decimal]:
        """Add up what the deals of a group are worth."""
        found: dict[str, Decimal] = {}
        for account_id in among & self.pipeline.keys():
            for currency, amount in self.pipeline[account_id].items():
                found[currency] = found.get(currency, Decimal(0)) + amount
        return found


@dataclass(frozen=True)
class Results:
    """A list beside its group, after `days` of at most eight weeks; A is the group, B the list.

    `treated` are accounts of the group that got the treatment of a list all the same; `without_them` leaves them out.
    """

    days: int
    is_over: bool
    measures: Mapping[str, Comparison]
    verdict: Verdict
    listed_worth: Mapping[str, Decimal]
    compared_worth: Mapping[str, Decimal]
    treated: frozenset[int]
    without_them: Comparison
    random_pairs: int

    @property
    def decides(self) -> Comparison:
        """Give the measure that decides: accounts that answered."""
        return self.measures[RESPONSES]

    @property
    def is_decidable(self) -> bool:
        """Say whether there is a verdict, whatever it is."""
        return not self.verdict.lacking


def read(target_list: TargetList, *, at: datetime) -> Results | None:
    """Compare a list with its group over the eight weeks since it was activated; None for a draft. Four queries.

    The window ends after eight weeks, or when the list was closed: what comes later is not looked at, or else one could wait for chance.
    """
    if target_list.activated_at is None:
        return None
    begun, until = target_list.activated_at, _until(target_list, at)
    listed, group, random_pairs = _groups(target_list)
    did = _did(listed | group, begun, until)
    treated_ = treated(target_list, at=at)
    measures = {name: Comparison(did.arm(name, group), did.arm(name, listed), is_exact=True) for name in MEASURES}
    # Days of 24 hours, as the window has them: where summer time ends in between, local days would be one fewer.
    days = (until - begun).days
    return Results(
        days=days,
        is_over=until < at,
        measures=measures,
        verdict=rates.verdict_on_accounts(measures[RESPONSES], days=days),
        listed_worth=did.worth(listed),
        compared_worth=did.worth(group),
        treated=treated_,
        without_them=Comparison(did.arm(RESPONSES, group - treated_), did.arm(RESPONSES, listed), is_exact=True),
        random_pairs=random_pairs,
    )


def _groups(target_list: TargetList) -> tuple[frozenset[int], frozenset[int], int]:
    """Give the accounts of the list, those of its group, and how many of these a toss held out; one query."""
    slots = TargetAccount.objects.filter(target_list=target_list).order_by().values_list("account", Value(True), Value(False))
    others = ComparisonAccount.objects.filter(target_list=target_list).order_by().values_list("account", Value(False), "is_random")
    rows = list(slots.union(others, all=True))
    listed = frozenset(account_id for account_id, is_listed, _is_random in rows if is_listed)
    return listed, frozenset(row[0] for row in rows if not row[1]), sum(bool(row[2]) for row in rows)


def _until(target_list: TargetList, at: datetime) -> datetime:
    """Give the end of the window so far."""
    begun = target_list.activated_at or at
    return min(filter(None, (at, target_list.closed_at, begun + timedelta(days=policy.TARGETS.compare_after_days))))


def _did(accounts: frozenset[int], begun: datetime, until: datetime) -> Did:
    done = Activity.objects.by_people().filter(
        account__in=accounts, kind__in=policy.TARGETS.response_kinds | {"meeting"}, occurred_at__gte=begun, occurred_at__lte=until
    )
    answered = Count("pk", filter=Q(kind__in=policy.TARGETS.response_kinds))
    counted = list(done.order_by().values_list("account").annotate(answered=answered, met=Count("pk", filter=Q(kind="meeting"))))
    begun_deals = Opportunity.objects.judged_by_gate().filter(account__in=accounts, created_at__gte=begun, created_at__lte=until)
    pipeline: dict[int, dict[str, Decimal]] = {}
    for account_id, currency, amount in begun_deals.order_by().values_list("account", "currency").annotate(total=Sum("amount")):
        pipeline.setdefault(account_id, {})[currency] = amount or Decimal(0)
    return Did(
        {
            RESPONSES: frozenset(account_id for account_id, answers, _met in counted if answers),
            MEETINGS: frozenset(account_id for account_id, _answers, met in counted if met),
            DEALS: frozenset(pipeline),
        },
        pipeline,
    )


def treated(target_list: TargetList, *, at: datetime) -> frozenset[int]:
    """Give the accounts of the group that were on another list at work in the window; nobody's for a draft."""
    if target_list.activated_at is None:
        return frozenset()
    group = ComparisonAccount.objects.filter(target_list=target_list).values("account")
    begun, until = target_list.activated_at, _until(target_list, at)
    ended = Q(target_list__closed_at__isnull=False, target_list__closed_at__lt=begun)
    slots = TargetAccount.objects.filter(account__in=group, target_list__activated_at__lte=until).exclude(target_list=target_list)
    return frozenset(slots.exclude(ended).values_list("account", flat=True))


# --- in words --------------------------------------------------------------------------------------


def in_words(results: Results) -> list[str]:
    """Say what came of it, in sentences in the reader's language: the verdict first, then what to keep in mind."""
    return [_verdict(results), *_caveats(results)]


def _verdict(results: Results) -> str:
    decides, days = results.decides, policy.TARGETS.compare_after_days
    if not results.is_decidable:
        return (
            _("Not decidable yet: %(why)s") % {"why": _why_not(results)}
            if not results.is_over
            else _("Not decidable: %(why)s") % {"why": _why_not(results)}
        )
    p = {"p": rates.p_in_words(decides.p_value or 0.0), "days": days}
    if results.verdict.winner == "b":
        return (
            _(
                "The list did better: more of its accounts answered within %(days)d days than of the group, and chance alone does that less often than 1 in 20 times (%(p)s)."
            )
            % p
        )
    if results.verdict.winner == "a":
        return (
            _(
                "The group did better: fewer accounts of the list answered within %(days)d days, and chance alone does that less often than 1 in 20 times (%(p)s)."
            )
            % p
        )
    return _("No difference that counts within %(days)d days (%(p)s): with so few accounts only a big one would show.") % p


def _why_not(results: Results) -> str:
    if not results.decides.a.n:
        return _("nobody was there to compare with.")
    if results.is_over:
        return _("the list was closed on day %(day)d of %(days)d.") % {"day": results.days, "days": policy.TARGETS.compare_after_days}
    return _("this is day %(day)d of %(days)d.") % {"day": results.days, "days": policy.TARGETS.compare_after_days}


def _caveats(results: Results) -> list[str]:
    pairs, group = results.random_pairs, results.decides.a.n
    said = []
    if group and results.decides.smallest_p >= policy.EXPERIMENTS.significance_share:
        said.append(_("So few accounts can never tell: even all against none could be chance."))
    if pairs:
        facts = {"pairs": pairs, "group": group}
        said.append(_("%(pairs)d of the %(group)d in the group were held out by a toss; the rest was chosen for being alike.") % facts)
    else:
        said.append(
            _(
                "Nobody tossed a coin: people chose the list, and the group was chosen for being alike. What they knew besides may explain a difference."
            )
        )
    if count := len(results.treated):
        said.append(_contaminated(results, count))
    return said


def _contaminated(results: Results, count: int) -> str:
    told = ngettext(
        "%(count)d account of the group was on another list meanwhile and counts all the same",
        "%(count)d accounts of the group were on other lists meanwhile and count all the same",
        count,
    ) % {"count": count}
    p = results.without_them.p_value
    if p is None or not results.is_decidable:
        return told + "."
    return told + _("; without them it would be %(p)s.") % {"p": rates.p_in_words(p)}
