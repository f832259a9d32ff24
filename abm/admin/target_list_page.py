"""The page of a target list: its slots with where the accounts stand, the proposal beside the weakest of them, and how the period goes."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from abm import list_results, policy, target_progress, targets
from abm.admin.two_arms import arms, figures
from abm.models import ComparisonAccount, TargetAccount, TargetList
from abm.ranking import Proposal
from abm.rates import Comparison
from crm import access
from crm import policy as crm_policy
from crm.admin.lists import bar, change_arrow, role_cells
from crm.models import Account

PROPOSED, WEAKEST = 12, 3
PARTS = {"fit": _("fit"), "engagement": _("engagement"), "value": _("value"), "coverage": _("DMU")}


def panels(request: HttpRequest, row: TargetList) -> dict[str, Any]:
    """Collect what the page shows above the form, in a fixed number of queries."""
    at = now()
    slots = {slot.slot: slot for slot in row.slots.select_related("account__standing", "account__owner")}
    is_draft = row.status == TargetList.Status.DRAFT
    since = target_progress.since_start(row, accounts=[slot.account_id for slot in slots.values()], at=at)
    ranked = targets.propose(row, at=at) if is_draft else []
    found = list_results.read(row, at=at)
    listed, compared = target_progress.means(row) if not is_draft else (None, None)
    return {
        "target_list": row,
        "is_draft": is_draft,
        "may_change": access.may(request.user, "change", row),
        "taken": len(slots),
        "free": policy.TARGETS.slots - len(slots),
        "period": target_progress.period(row, today=crm_policy.day_of(at)),
        "slots": [_slot(number, slots.get(number), since) for number in range(1, policy.TARGETS.slots + 1)],
        "totals": sum(since.values(), target_progress.Since()),
        "listed": listed,
        "compared": compared,
        "weakest": _weakest(slots, ranked),
        "proposal": _proposal(row, slots, ranked),
        "parts": PARTS.values(),
        "rejections": row.rejections.select_related("account", "rejected_by")[:20],
        **_against_group(row, found),
        "comparison": _compared(request, row, found.treated if found else frozenset()),
        "compare_after_weeks": policy.TARGETS.compare_after_days // 7,
    }


def _slot(number: int, slot: TargetAccount | None, since: dict[int, target_progress.Since]) -> dict[str, Any]:
    """Give one of the twenty slots as the page shows it, also when it is free."""
    if slot is None:
        return {"number": number, "slot": None}
    standing = getattr(slot.account, "standing", None)
    names = ("pin", "unpin", "remove", "swap")
    then = slot.score_at_start
    return {
        "number": number,
        "slot": slot,
        "score": bar(standing.score) if standing else "",
        "change": change_arrow(float(standing.momentum)) if standing else "",
        "fit": standing.fit if standing else "",
        "roles": role_cells(standing.coverage_states) if standing else "",
        "since": since.get(slot.account_id),
        "rise": change_arrow(float(standing.score - then)) if standing and then is not None else "",
        "why": [f"{PARTS[part['part']]} {number_format(part['points'], 1)}" for part in slot.reasons],
        "words": "; ".join(targets.reason_in_words(part) for part in slot.reasons),
        "links": {name: reverse(f"admin:abm_targetlist_{name}", args=[slot.target_list_id, slot.pk]) for name in names},
    }


def _weakest(slots: dict[int, TargetAccount], ranked: list[Proposal]) -> list[dict[str, Any]]:
    """Give the listed accounts of fewest points that nobody pinned, the weakest first: a proposal is judged beside them."""
    loose = {slot.account_id: slot for slot in slots.values() if not slot.is_pinned}
    weak = [one for one in reversed(ranked) if one.account_id in loose][:WEAKEST]
    return [_judged(one) | {"slot": loose[one.account_id]} for one in weak]


def _proposal(row: TargetList, slots: dict[int, TargetAccount], ranked: list[Proposal]) -> list[dict[str, Any]]:
    """Give the best accounts that are not on the list, each with what its button does: take a free slot, or the weakest one."""
    weakest = next(iter(_weakest(slots, ranked)), None)
    is_full = len(slots) >= policy.TARGETS.slots
    found = []
    for one in [one for one in ranked if one.slot is None][:PROPOSED]:
        args = [row.pk, one.account_id]
        swap = reverse("admin:abm_targetlist_swap_in", args=[row.pk, weakest["slot"].pk, one.account_id]) if is_full and weakest else ""
        found.append(
            _judged(one)
            | {
                "take": "" if is_full else reverse("admin:abm_targetlist_take", args=args),
                "swap": swap,
                "instead": weakest["slot"] if weakest else None,
                "is_better": bool(weakest and one.points > weakest["one"].points),
                "keep_off": reverse("admin:abm_targetlist_keep_off", args=args),
            }
        )
    return found


def _judged(one: Proposal) -> dict[str, Any]:
    """Lay the parts of a judgement side by side: what each was worth of its most."""
    parts = [{"label": PARTS[part.part], "points": part.points, "bar": round(part.value), "value": part.value} for part in one.parts]
    words = "; ".join(targets.reason_in_words(part) for part in one.reasons)
    return {"one": one, "parts": parts, "words": words}


def with_names_for(request: HttpRequest, rows: QuerySet[ComparisonAccount]) -> QuerySet[Any]:
    """Note beside each row which of its two accounts the reader may see."""
    seen = Account.objects.visible_to(request.user)
    return rows.annotate(
        sees_account=Exists(seen.filter(pk=OuterRef("account"))), sees_resembles=Exists(seen.filter(pk=OuterRef("resembles")))
    )


def name_of(account: Account, is_seen: bool) -> str:
    return str(account) if is_seen else str(_("an account of another team"))


def _against_group(row: TargetList, found: list_results.Results | None) -> dict[str, Any]:
    """Give what the list did beside its group, in words and figures; nothing for a draft."""
    if found is None:
        return {}
    names = {"a": _("comparison group"), "b": _("list")}
    return {
        "results": found,
        "results_words": list_results.in_words(found),
        "arms": arms(found.decides, names),
        "figures": figures(found.decides) if found.is_decidable else [],
        "measures": [_measure(name, compared) for name, compared in found.measures.items() if compared is not found.decides],
        "worth": [(names["a"], _worth(found.compared_worth)), (names["b"], _worth(found.listed_worth))],
        "balance": [_balanced(one) for one in row.balance or []],
        "balanced_below": policy.TARGETS.balanced_below,
        "group_size": found.decides.a.n,
    }


def _measure(name: str, compared: Comparison) -> dict[str, Any]:
    labels = {list_results.MEETINGS: _("accounts met"), list_results.DEALS: _("accounts with a new deal")}
    return {"label": labels[name], "a": compared.a, "b": compared.b}


def _worth(sums: Mapping[str, Decimal]) -> str:
    """Write sums of money, one per currency."""
    return ", ".join(f"{number_format(amount, 0, force_grouping=True)} {currency}" for currency, amount in sorted(sums.items())) or "–"


def _balanced(one: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one trait of the two groups side by side, as it was at the start."""
    traits = {"size": _("size (magnitude)"), "fit": _("fit"), "score": _("score"), "industry": _("industry")}
    is_off = one["smd"] is None or abs(one["smd"]) >= policy.TARGETS.balanced_below
    return {**one, "label": traits[one["trait"]], "is_off": is_off, "is_share": one["trait"] == "industry"}


def _compared(request: HttpRequest, row: TargetList, treated: frozenset[int]) -> list[dict[str, Any]]:
    """Give the comparison group as the list's page shows it."""
    rows = with_names_for(request, row.comparison.select_related("account", "resembles"))[:20]
    return [
        {
            "account": name_of(one.account, one.sees_account),
            "resembles": name_of(one.resembles, one.sees_resembles),
            "distance": one.distance,
            "is_random": one.is_random,
            "is_treated": one.account_id in treated,
        }
        for one in rows
    ]
