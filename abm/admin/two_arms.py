"""Two arms side by side on a page: their rates with intervals on one scale, and what they say together."""

from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from abm import rates
from abm.rates import Arm, Comparison


def arms(compared: Comparison, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Lay two arms side by side, on one scale that ends at the larger of their intervals."""
    top = max((arm.wilson[1] for arm in (compared.a, compared.b) if arm.wilson), default=0) or 1
    return [_arm(names[letter], arm, top) for letter, arm in (("a", compared.a), ("b", compared.b))]


def _arm(name: Any, arm: Arm, top: float) -> dict[str, Any]:
    found = {"name": name, "n": whole(arm.n), "successes": whole(arm.successes)}
    if arm.rate is None or arm.wilson is None:
        return found
    low, high = arm.wilson
    return found | {
        "rate": percent(arm.rate),
        "interval": _("%(low)s to %(high)s") % {"low": percent(low), "high": percent(high)},
        "left": f"{100 * low / top:.1f}",
        "width": f"{100 * (high - low) / top:.1f}",
        "mark": f"{100 * arm.rate / top:.1f}",
    }


def figures(compared: Comparison) -> list[tuple[Any, Any]]:
    """Give what the two arms say together as pairs of name and figure; nothing as long as there is nothing."""
    if compared.difference is None or compared.newcombe is None or compared.p_value is None:
        return []
    low, high = compared.newcombe
    points = _("%(difference)s points (%(low)s to %(high)s)")
    test = {"z": _("z test"), "fisher": _("Fisher's exact test")}[compared.test]
    return [
        (_("difference"), points % {"difference": signed(compared.difference), "low": signed(low), "high": signed(high)}),
        (_("uplift"), f"{signed(compared.uplift)} %" if compared.uplift is not None else "–"),
        (_("significance test"), f"{rates.p_in_words(compared.p_value)} ({test})"),
    ]


def whole(count: int) -> str:
    """Write a count with its thousands apart."""
    return number_format(count, 0, force_grouping=True)


def percent(share: float) -> str:
    """Write a share as a percentage."""
    return f"{number_format(round(100 * share, 1), 1)} %"


def signed(share: float) -> str:
    """Write a difference in percentage points, with its sign."""
    return ("+" if share > 0 else "−" if share < 0 else "") + number_format(round(abs(100 * share), 1), 1)
