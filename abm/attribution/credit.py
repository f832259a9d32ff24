"""What each touch of a path is credited with, and what that makes together: by rule, by Shapley value, or by a Markov chain; pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from math import floor

from django.utils.translation import gettext as _

from abm import policy
from abm.attribution import markov
from abm.attribution.paths import Path
from crm.errors import Invalid

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Line:
    """What one channel (or role) is credited with: so many wins, their value, and in how many won deals it had a part.

    `value` is exact as far as floats are; `amount` is it to the cent, and the amounts add up to the attributed value.
    """

    key: str
    credit: float
    value: float
    amount: Decimal
    deals: int


@dataclass(frozen=True)
class Attribution:
    """The wins credited by one model, the largest value first; what nobody had a part in is kept apart."""

    model: str
    lines: tuple[Line, ...]
    won: int
    lost: int
    won_value: Decimal
    unattributed: int
    unattributed_value: Decimal

    @property
    def attributed(self) -> int:
        """Give the number of wins that are credited."""
        return self.won - self.unattributed

    @property
    def attributed_value(self) -> Decimal:
        """Give the value of the wins that are credited."""
        return self.won_value - self.unattributed_value


# --- what each touch of one path is worth; together 1 ----------------------------------------------


def _first(path: Path) -> list[float]:
    return [1.0] + [0.0] * (len(path.steps) - 1)


def _last(path: Path) -> list[float]:
    return [0.0] * (len(path.steps) - 1) + [1.0]


def _linear(path: Path) -> list[float]:
    return [1 / len(path.steps)] * len(path.steps)


def _time_decay(path: Path) -> list[float]:
    ages = path.days_before or ()
    # Against the newest touch: an old path would else be divided by what is too small for a float.
    weights = [2 ** ((min(ages) - age) / policy.ATTRIBUTION.half_life_days) for age in ages]
    return _scaled(weights)


def _u_shaped(path: Path) -> list[float]:
    ends, middle = policy.ATTRIBUTION.u_end_share, len(path.steps) - 2
    if middle < 1:
        return _linear(path)
    return [ends, *[(1 - 2 * ends) / middle] * middle, ends]


def _w_shaped(path: Path) -> list[float]:
    peak, weights = policy.ATTRIBUTION.w_peak_share, [0.0] * len(path.steps)
    peaks = (0, path.lead or 0, path.opportunity or 0)
    for place in peaks:
        weights[place] += peak
    for place in (others := set(range(len(weights))) - {*peaks}):
        weights[place] = (1 - 3 * peak) / len(others)
    return weights if others else _scaled(weights)


def _shapley(path: Path) -> list[float]:
    """Share equally between the different channels: the closed form of the simplified, unordered Shapley value.

    Source: Zhao, Mahboobi and Bagheri 2018; a coalition is worth the wins of the paths that need no channel besides.
    """
    times = Counter(path.steps)
    return [1 / len(times) / times[step] for step in path.steps]


def _scaled(weights: Sequence[float]) -> list[float]:
    total = sum(weights)
    return [weight / total for weight in weights]


BY_RULE: Mapping[str, Callable[[Path], list[float]]] = {
    "first_touch": _first,
    "last_touch": _last,
    "linear": _linear,
    "time_decay": _time_decay,
    "u_shaped": _u_shaped,
    "w_shaped": _w_shaped,
    "shapley": _shapley,
}
MODELS = (*BY_RULE, "markov")
# What needs to know when each touch was, besides which came first.
TIMED = frozenset({"time_decay", "w_shaped"})
# Names under which others know the models.
OTHER_NAMES = {
    "first": "first_touch", "last": "last_touch", "time_decay_half_life_7d": "time_decay", "u": "u_shaped", "position_based": "u_shaped",
    "w": "w_shaped", "shapley_simplified": "shapley", "markov_order1_with_null": "markov", "markov_order1": "markov",
}  # fmt: skip


def model_called(name: str) -> str:
    """Give the model of a name, also of one that others use; raises Invalid with the names that there are."""
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    found = OTHER_NAMES.get(plain, plain)
    if found not in MODELS:
        names = ", ".join(MODELS)
        raise Invalid(_("There is no model %(name)s; there are %(names)s.") % {"name": name, "names": names}, detail={"model": name})
    return found


def weights(model: str, path: Path) -> list[float]:
    """Give what each touch of a path is worth by a rule; together 1. Raises Invalid when the model needs to know more."""
    if (model == "time_decay" and path.days_before is None) or (model == "w_shaped" and None in (path.lead, path.opportunity)):
        raise Invalid(_("The model %(model)s needs the moment of every touch; these paths only have their order.") % {"model": model})
    return BY_RULE[model](path)


# --- all paths together ----------------------------------------------------------------------------


def attribute(paths: Iterable[Path], *, model: str) -> Attribution:
    """Credit the wins among closed deals to what happened before; raises Invalid for a model that the paths are too poor for."""
    paths = list(paths)
    won = [path for path in paths if path.is_won]
    credited = [path for path in won if path.steps]
    value = sum((path.value for path in won), Decimal(0))
    attributed = sum((path.value for path in credited), Decimal(0))
    credits_, values = _by_chain(paths, attributed) if model == "markov" else _by_rule(credited, model)
    keys = sorted({step for path in paths for step in path.steps})
    return Attribution(
        model=model,
        lines=_lines(keys, credits_, values, attributed, _deals(credited)),
        won=sum(path.deals for path in won),
        lost=sum(path.deals for path in paths if not path.is_won),
        won_value=value,
        unattributed=sum(path.deals for path in won if not path.steps),
        unattributed_value=value - attributed,
    )


Shares = Mapping[str, float]


def _by_rule(won: Iterable[Path], model: str) -> tuple[Shares, Shares]:
    credits_: defaultdict[str, float] = defaultdict(float)
    values: defaultdict[str, float] = defaultdict(float)
    for path in won:
        value = float(path.value)
        for step, weight in zip(path.steps, weights(model, path), strict=True):
            credits_[step] += weight * path.deals
            values[step] += weight * value
    return credits_, values


def _by_chain(paths: Sequence[Path], attributed: Decimal) -> tuple[Shares, Shares]:
    effects = markov.removal_effects(paths)
    total = sum(effects.values())
    wins = sum(path.deals for path in paths if path.is_won and path.steps)
    shares = {key: effect / total for key, effect in effects.items()}
    return {key: wins * share for key, share in shares.items()}, {key: float(attributed) * share for key, share in shares.items()}


def _deals(won: Iterable[Path]) -> Counter[str]:
    """Count the won deals in which each key had a part."""
    counted: Counter[str] = Counter()
    for path in won:
        counted.update(dict.fromkeys(path.steps, path.deals))
    return counted


def _lines(keys: Sequence[str], credits_: Shares, values: Shares, total: Decimal, deals: Mapping[str, int]) -> tuple[Line, ...]:
    exact = [values.get(key, 0.0) for key in keys]
    amounts = to_the_cent(exact, total=total)
    lines = (
        Line(key, credits_.get(key, 0.0), value, amount, deals.get(key, 0)) for key, value, amount in zip(keys, exact, amounts, strict=True)
    )
    return tuple(sorted(lines, key=lambda line: (-line.amount, -line.credit, line.key)))


def to_the_cent(values: Sequence[float], *, total: Decimal) -> list[Decimal]:
    """Round amounts down to the cent and hand out what is left, one cent each, by largest remainder; they add up to `total`."""
    cents = [value * 100 for value in values]
    whole = [floor(value) for value in cents]
    left = int(total.quantize(CENT, ROUND_HALF_EVEN) * 100) - sum(whole)
    by_remainder = sorted(range(len(values)), key=lambda place: (whole[place] - cents[place], place))
    # Floats may put a sum a cent over the total: then the smallest remainders give one back.
    for place in by_remainder[:left] if left >= 0 else by_remainder[left:]:
        whole[place] += 1 if left > 0 else -1
    return [Decimal(value) * CENT for value in whole]
