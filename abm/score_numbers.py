"""The numbers of the engagement score in force: which hold now, who changed them and why, and putting others in force.

What was saved here wins over the settings; without any the settings' numbers hold. Nothing is remembered between two calls:
many processes score, and the next job of each must work with what was saved a moment ago.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from abm import policy
from abm.models import ScoreChange, ScoreParameters
from crm.errors import Conflict, Invalid
from crm.models import User


def in_force() -> policy.Scoring:
    """Give the numbers that hold now: those saved last, else the settings'; one small query, to be asked once per job."""
    latest = current()
    return numbers_of(latest.parameters) if latest else policy.SCORING


def current() -> ScoreChange | None:
    """Give the change that holds now; None while the settings' numbers do."""
    return ScoreChange.objects.select_related("parameters", "made_by").order_by("-number").first()


def numbers_of(parameters: ScoreParameters) -> policy.Scoring:
    """Give the numbers of a version, to score or to replay with."""
    return policy.Scoring(**parameters.numbers)


def on_record(numbers: policy.Scoring, *, at: datetime) -> ScoreParameters:
    """Give the version that numbers are kept under, made when it is their first use."""
    kept, _is_new = ScoreParameters.objects.get_or_create(
        version=numbers.version, defaults={"numbers": asdict(numbers), "first_used_at": at}
    )
    return kept


def put_in_force(numbers: policy.Scoring, *, note: str, seen: int, at: datetime, by: User | None) -> ScoreChange:
    """Put numbers in force, with the reason; `seen` is the number of the change that the person had on screen, 0 for none.

    Raises Invalid for a missing reason or when nothing would change, Conflict when somebody else changed them meanwhile.
    The scores follow: every refresh uses them from now on, and `abm.nightly.rebuild` brings all accounts there.
    """
    latest = current()
    if seen != (latest.number if latest else 0):
        raise _overtaken(latest)
    if not note.strip():
        raise Invalid(_("Say why the numbers change."), detail={"note": _("Say why the numbers change.")})
    before = numbers_of(latest.parameters) if latest else policy.SCORING
    if numbers == before:
        raise Invalid(_("These numbers are in force already: nothing would change."))
    try:
        with transaction.atomic():
            replaces, parameters = on_record(before, at=at), on_record(numbers, at=at)
            facts = {"note": note.strip()[:300], "made_by": by, "made_at": at}
            return ScoreChange.objects.create(number=seen + 1, parameters=parameters, replaces=replaces, **facts)
    except IntegrityError as error:
        raise _overtaken(current()) from error


def _overtaken(latest: ScoreChange | None) -> Conflict:
    facts = {"who": (latest and latest.made_by) or "–", "note": latest.note if latest else "–"}
    return Conflict(_("%(who)s changed the numbers meanwhile (%(note)s). Nothing was saved: look at them, then try yours again.") % facts)


@dataclass(frozen=True)
class Difference:
    """One number that changed: of which kind or role, if of any, its name, and its values."""

    about: str
    name: str
    before: float | None
    after: float | None


def differences(before: policy.Scoring, after: policy.Scoring) -> list[Difference]:
    """List what changed from one set of numbers to another; a kind that is worth nothing has None."""
    one, other = _flat(before), _flat(after)
    keys = [*one, *(key for key in other if key not in one)]
    return [Difference(*key, one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)]


def _flat(numbers: policy.Scoring) -> dict[tuple[str, str], float]:
    flat: dict[tuple[str, str], float] = {}
    for name, value in asdict(numbers).items():
        for about, one in value.items() if isinstance(value, Mapping) else ():
            flat |= {(about, inner): number for inner, number in _named(one, name).items()}
        if not isinstance(value, Mapping):
            flat["", name] = value
    return flat


def _named(value: Any, name: str) -> Mapping[str, float]:
    return value if isinstance(value, Mapping) else {name: value}
