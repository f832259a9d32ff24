"""Fit: how well an account matches the ideal customer profile in force, 0 to 100 points, with the reasons."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from abm import policy
from abm.models import AccountFit, IdealCustomerProfile
from crm.models import Account, DmuMembership, DmuRole

KNOWN, ASSUMED, MISSING = "known", "assumed", "missing"
FULL, NOTHING = 1.0, 0.0

SENTENCES: dict[str, Promise] = {
    "no_profile": _("There is no ideal customer profile in force."),
    "industry_any": _("Every industry fits."),
    "industry_first": _("%(industry)s is the industry that fits best."),
    "industry_listed": _("%(industry)s is among the industries that fit."),
    "industry_other": _("%(industry)s is not among the industries that fit."),
    "industry_unknown": _("The industry is not known."),
    "size_any": _("Every size fits."),
    "size_within": _("%(value)s employees: the right size."),
    "size_near": _("%(value)s employees: nearly the right size."),
    "size_outside": _("%(value)s employees: not the right size."),
    "size_unknown": _("The number of employees is not known."),
    "revenue_any": _("Every revenue fits."),
    "revenue_within": _("Revenue of %(value)s: right."),
    "revenue_near": _("Revenue of %(value)s: nearly right."),
    "revenue_outside": _("Revenue of %(value)s: not right."),
    "revenue_unknown": _("The revenue is not known."),
    "decider_known": _("We know who decides."),
    "decider_assumed": _("We assume who decides."),
    "decider_missing": _("We do not know who decides."),
}


@dataclass(frozen=True)
class Fit:
    """Points and the reasons that add up to them, each {part, points, of, code, facts}."""

    points: int
    reasons: tuple[dict[str, Any], ...]
    profile_id: int | None = None


def in_words(reason: Mapping[str, Any]) -> str:
    """Say a reason in the reader's language."""
    facts: Mapping[str, object] = reason["facts"]
    said = {name: number_format(fact, force_grouping=True) if isinstance(fact, int) else fact for name, fact in facts.items()}
    return capfirst(str(SENTENCES[reason["code"]]) % said)


def fit(
    profile: IdealCustomerProfile | None, *, industry: str = "", employees: int | None = None, revenue: Decimal | None = None, decider: str
) -> Fit:
    """Compare an account's facts with a profile; `decider` is known, assumed or missing."""
    if profile is None:
        return Fit(0, (_reason("profile", 100, NOTHING, "no_profile"),))
    numbers = policy.FIT
    reasons = (
        _industry(profile.industries, industry, numbers.industry_points),
        _range("size", numbers.size_points, employees, low=profile.employees_from, high=profile.employees_to),
        _range("revenue", numbers.revenue_points, revenue, low=profile.revenue_from, high=profile.revenue_to),
        _reason("decider", numbers.decider_points, {KNOWN: FULL, ASSUMED: numbers.half_share}.get(decider, NOTHING), f"decider_{decider}"),
    )
    return Fit(min(100, sum(reason["points"] for reason in reasons)), reasons, profile.pk)


def _reason(part: str, of: int, share: float, code: str, **facts: object) -> dict[str, Any]:
    return {"part": part, "points": int(of * share + 0.5), "of": of, "code": code, "facts": facts}


def _industry(fitting: Collection[str], industry: str, of: int) -> dict[str, Any]:
    """Give full points to the first industry of the profile's list, most of them to the others."""
    ranked, name = [word.strip().casefold() for word in fitting], industry.strip().casefold()
    if not ranked:
        return _reason("industry", of, FULL, "industry_any")
    if not name:
        return _reason("industry", of, NOTHING, "industry_unknown")
    if name not in ranked:
        return _reason("industry", of, NOTHING, "industry_other", industry=industry)
    if name == ranked[0]:
        return _reason("industry", of, FULL, "industry_first", industry=industry)
    return _reason("industry", of, policy.FIT.listed_share, "industry_listed", industry=industry)


def _range(part: str, of: int, value: Decimal | int | None, *, low: Decimal | int | None, high: Decimal | int | None) -> dict[str, Any]:
    """Give full points within the bounds, half when within a factor of them; a bound left empty is no bound."""
    if low is None and high is None:
        return _reason(part, of, FULL, f"{part}_any")
    if value is None:
        return _reason(part, of, NOTHING, f"{part}_unknown")
    for factor, share, where in ((1, FULL, "within"), (policy.FIT.near_factor, policy.FIT.half_share, "near")):
        if (low is None or value * factor >= low) and (high is None or value <= high * factor):
            return _reason(part, of, share, f"{part}_{where}", value=int(value))
    return _reason(part, of, NOTHING, f"{part}_outside", value=int(value))


def of_accounts(account_ids: Collection[int]) -> dict[int, Fit]:
    """Compare accounts with the profile in force, in three queries; accounts that do not exist are left out."""
    profile = IdealCustomerProfile.objects.filter(is_active=True).first()
    deciders = _deciders(account_ids)
    rows = Account.objects.filter(pk__in=account_ids).order_by("pk").values_list("pk", "industry", "employees", "revenue")
    return {
        pk: fit(profile, industry=industry, employees=employees, revenue=revenue, decider=deciders.get(pk, MISSING))
        for pk, industry, employees, revenue in rows
    }


def _deciders(account_ids: Collection[int]) -> dict[int, str]:
    """Say of each account with a decider who works there now whether one is known or only assumed."""
    held = DmuMembership.objects.current().at_work().filter(role=DmuRole.DECIDER, account__in=account_ids, contact__left_on=None)
    # Assumed ones first, so that a confirmed one overwrites them.
    rows = held.order_by("-is_assumed").values_list("account_id", "is_assumed")
    return {account_id: ASSUMED if is_assumed else KNOWN for account_id, is_assumed in rows}


def store(fits: Mapping[int, Fit], *, at: datetime) -> None:
    """Write the fit of each account again."""
    AccountFit.objects.bulk_create(
        [
            AccountFit(account_id=pk, profile_id=one.profile_id, points=one.points, reasons=list(one.reasons), computed_at=at)
            for pk, one in sorted(fits.items())
        ],
        update_conflicts=True,
        unique_fields=["account"],
        update_fields=["profile", "points", "reasons", "computed_at"],
    )
