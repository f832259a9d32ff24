"""Trial scores of plain contacts and events, with numbers of their own if they bring some; no record is read or written."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils.translation import gettext as _

from abm import engagement, policy
from crm import policy as crm_policy
from crm.errors import Invalid
from crm.policy.own import number

ANONYMOUS = "anonymous"
PLAIN = ("window_days", "half_saturation", "breadth_floor", "breadth_per_share", "role_counts_from_points")


@dataclass(frozen=True)
class Trial:
    """One case: whose events, in which roles, scored as of which day."""

    name: Any
    as_of: date
    roles: Mapping[str, frozenset[str]]
    left_on: Mapping[str, date]
    required: tuple[str, ...]
    # Who (None: nobody known), what, and when.
    events: tuple[tuple[str | None, str, datetime], ...]

    def score(self, numbers: policy.Scoring, *, zone: ZoneInfo) -> dict[str, Any]:
        """Score the case; lines name people as the case does."""
        ids = {who: number for number, who in enumerate(sorted({*self.roles, *(who for who, _kind, _at in self.events if who)}), start=1)}
        names = {number: who for who, number in ids.items()}
        counts = Counter((ids[who] if who else None, kind, moment.astimezone(zone).date()) for who, kind, moment in self.events)
        scored = engagement.score(
            counts,
            roles={ids[who]: roles for who, roles in self.roles.items()},
            left_on={ids[who]: day for who, day in self.left_on.items()},
            required=self.required,
            as_of=self.as_of,
            numbers=numbers,
        )
        return {
            "id": self.name,
            "score": float(scored.score_1),
            "score_6": round(scored.score, 6),
            "x": scored.x,
            "sum_weighted": scored.weighted_points,
            "breadth_factor": scored.breadth,
            "active_roles": list(scored.active_roles),
            "required_roles": list(scored.required_roles),
            "points_of_score_by_contact": {names.get(who or 0, ANONYMOUS): points for who, points in scored.shares.items()},
            "lines": [_line(line, names.get(line.contact_id or 0, ANONYMOUS)) for line in scored.lines],
        }


def _line(line: engagement.Line, who: str) -> dict[str, Any]:
    given = line._asdict()
    names = ("kind", "points", "after_cap", "age_days", "decay", "role_weight", "live", "weighted")
    return {"contact": who, "day": line.day.isoformat(), "times": line.times} | {name: given[name] for name in names}


def score_all(cases: Any, params: Mapping[str, Any] | None, *, in_force: policy.Scoring) -> list[dict[str, Any]]:
    """Score cases as JSON holds them, with the numbers in force or with those given; raise Invalid that says which and why."""
    given, zone, roles = numbers_of(params or {})
    numbers = given if params else in_force
    if not isinstance(cases, list):
        raise Invalid(_("The cases must be a list."))
    return [_read(case, place, roles).score(numbers, zone=zone) for place, case in enumerate(cases, start=1)]


def numbers_of(params: Mapping[str, Any]) -> tuple[policy.Scoring, ZoneInfo, tuple[str, ...]]:
    """Read numbers in the layout of a parameter file: what it leaves out is as the product has it."""
    own = {"floor": "breadth_floor", "per_share": "breadth_per_share"}
    given = {own.get(name, name): value for name, value in ({**params, **params.get("breadth", {})}).items()}
    try:
        plain = {name: number(name, given[name], 0, 1_000_000) for name in PLAIN if name in given}
        tables = {name: given[name] for name in ("role_weight", "kinds") if name in given}
        zone = ZoneInfo(params["timezone"]) if "timezone" in params else crm_policy.ZONE
        return policy.Scoring(**plain, **tables), zone, tuple(params.get("dmu_roles") or crm_policy.DMU.required[-1].roles)
    except (TypeError, ValueError, ZoneInfoNotFoundError) as error:
        raise Invalid(_("The parameters are wrong: %(reason)s") % {"reason": error}) from error


def _read(case: Any, place: int, roles: tuple[str, ...]) -> Trial:
    where = _("Case %(place)d") % {"place": place}
    if not isinstance(case, dict):
        raise Invalid(f"{where}: " + _("it must be an object."))
    name = case.get("id", place)
    try:
        people = {str(row["id"]): row for row in case.get("contacts", [])}
        return Trial(
            name=name,
            as_of=_day(case["as_of"]),
            roles={who: frozenset(row.get("roles") or ()) & crm_policy.ROLES for who, row in people.items()},
            left_on={who: _day(row["left_on"]) for who, row in people.items() if row.get("left_on")},
            required=_required(case, roles),
            events=tuple(_events(case.get("events", []))),
        )
    except KeyError as error:
        raise Invalid(f"{where} ({name}): " + _("%(name)s is missing.") % {"name": error.args[0]}) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise Invalid(f"{where} ({name}): {error}") from error


def _required(case: Mapping[str, Any], roles: tuple[str, ...]) -> tuple[str, ...]:
    """Give the roles that a case asks for: named, by the size of its company, or those of the parameters."""
    if named := case.get("required_roles") or case.get("dmu_roles"):
        return tuple(named)
    return crm_policy.required_dmu(case["employees"]).roles if "employees" in case else roles


def _events(rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str | None, str, datetime]]:
    for row in rows:
        who, moment = row.get("contact"), datetime.fromisoformat(row["at"])
        if moment.tzinfo is None:
            raise ValueError(_("%(moment)s has no time zone.") % {"moment": row["at"]})
        if not (row.get("machine_reason") or row.get("is_machine")):
            yield None if who in (None, "", ANONYMOUS) else str(who), str(row["kind"]), moment


def _day(text: str) -> date:
    return date.fromisoformat(text[:10])
