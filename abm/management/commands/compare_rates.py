"""Compare plain counts of two arms: of one test on the command line, or of a file of cases."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from abm import policy, rates
from abm.rates import Arm, Comparison
from crm.errors import Invalid


class Command(BaseCommand):
    help = "Say whether two rates differ by more than chance, and how many are needed to see a difference; no database is read."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "cases", nargs="?", type=Path, metavar="CASES.json",
            help='{"cases": [{"id", "kind": "ab" or "abm", "a": {"successes", "n"}, "b": {...}, "days", "planning"}]}',
        )  # fmt: skip
        parser.add_argument("--cases", type=Path, dest="named_cases", metavar="CASES.json", help="the same, by name")
        parser.add_argument("--a", metavar="SUCCESSES/N", help="the arm without the change, e.g. 212/1040")
        parser.add_argument("--b", metavar="SUCCESSES/N", help="the arm with it")
        parser.add_argument("--days", type=int, default=0, help="how long it ran")
        parser.add_argument("--kind", choices=("ab", "abm"), default="ab", help="two variants, or accounts of a list against others")
        parser.add_argument("--baseline", type=float, help="plan: the rate without the change, 0 to 1")
        parser.add_argument("--uplift", type=float, help="plan: the relative uplift to be seen, e.g. 0.2")
        parser.add_argument("--alpha", type=float, help="plan: default that of the policy")
        parser.add_argument("--power", type=float, help="plan: default that of the policy")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, cases: Path | None, named_cases: Path | None, json: bool, **options: Any) -> None:
        source = cases or named_cases
        try:
            listed = _load(source) if source else [_from_line(options)]
            found = [_compared(case, place) for place, case in enumerate(listed, start=1)]
        except Invalid as error:
            raise CommandError(str(error)) from error
        answer = {"cases": found} if source else found[0]
        self.stdout.write(_as_json(answer) if json else "\n".join(map(_as_text, found)))


def _as_json(answer: dict[str, Any]) -> str:
    return json.dumps(answer, indent=1, ensure_ascii=False)


def _load(path: Path) -> list[Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}.") from error
    except ValueError as error:
        raise Invalid(f"{path} is not JSON: {error}.") from error
    cases = found.get("cases", [found]) if isinstance(found, dict) else found
    if not isinstance(cases, list):
        raise Invalid(_("The cases must be a list."))
    return cases


def _from_line(options: dict[str, Any]) -> dict[str, Any]:
    if not options["a"] or not options["b"]:
        raise Invalid(_("Give a file of cases, or both arms with --a and --b, e.g. --a 212/1040 --b 268/1055."))
    names = {"baseline": "baseline", "uplift": "minimum_relative_uplift", "alpha": "alpha", "power": "power"}
    planning = {theirs: options[ours] for ours, theirs in names.items() if options[ours] is not None}
    return {"a": _fraction("a", options["a"]), "b": _fraction("b", options["b"]), "days": options["days"], "kind": options["kind"]} | (
        {"planning": planning} if planning else {}
    )


def _fraction(name: str, text: str) -> dict[str, int]:
    successes, slash, n = text.partition("/")
    if not (slash and successes.isdecimal() and n.isdecimal()):
        raise Invalid(_("%(name)s must be such as 212/1040, not %(value)s.") % {"name": f"--{name}", "value": text})
    return {"successes": int(successes), "n": int(n)}


def _compared(case: Any, place: int) -> dict[str, Any]:
    """Compare one case; raises Invalid that says which case and what is wrong with it."""
    where = _("Case %(place)d") % {"place": place}
    if not isinstance(case, dict):
        raise Invalid(f"{where}: " + _("it must be an object."))
    try:
        compared = Comparison(_arm(case, "a"), _arm(case, "b"))
        days = _whole(case, "days", default=0)
        return {name: case[name] for name in ("id", "title", "kind") if name in case} | _figures(compared) | _judged(case, compared, days)
    except Invalid as error:
        raise Invalid(f"{where} ({case.get('id', place)}): {error}") from error


def _arm(case: dict[str, Any], name: str) -> Arm:
    given = case.get(name)
    if not isinstance(given, dict):
        raise Invalid(_("%(name)s is missing.") % {"name": name})
    return Arm(_whole(given, "successes"), _whole(given, "n"))


def _whole(given: dict[str, Any], name: str, *, default: int | None = None) -> int:
    value = given.get(name, default)
    if value is None:
        raise Invalid(_("%(name)s is missing.") % {"name": name})
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Invalid(f"{name}: " + _("%(value)s is not a whole number.") % {"value": value})
    return value


def _figures(compared: Comparison) -> dict[str, Any]:
    return {
        "a": asdict(compared.a),
        "b": asdict(compared.b),
        "p_a": compared.a.rate,
        "p_b": compared.b.rate,
        "difference": compared.difference,
        "relative_uplift": compared.uplift,
        "z_pooled": compared.z,
        "p_value_z_two_sided": compared.p_z,
        "p_value_fisher_two_sided": compared.p_fisher,
        "wilson95_a": compared.a.wilson,
        "wilson95_b": compared.b.wilson,
        "newcombe95_difference": compared.newcombe,
        "min_expected_cell": compared.smallest_expected_cell,
        "use": compared.test,
        "p_value_used": compared.p_value,
    }


def _judged(case: dict[str, Any], compared: Comparison, days: int) -> dict[str, Any]:
    numbers, found = policy.EXPERIMENTS, rates.verdict(compared, days=days)
    is_big = compared.uplift is not None and abs(compared.uplift) >= numbers.indication_share
    judged: dict[str, Any] = {
        "days": days,
        "article_rule": {
            "n_at_least_1000_per_arm": min(compared.a.n, compared.b.n) >= numbers.per_arm_at_least,
            "days_7_to_14": numbers.shortest_days <= days <= numbers.longest_days,
            "p_below_0_05": rates.is_significant(compared),
            "uplift_at_least_10pct_either_way": is_big,
            "winner": found.winner,
            "indication": found.indication,
        },
    }
    if case.get("kind") == "abm":
        of_list = rates.verdict_on_accounts(compared, days=days)
        is_late = days >= policy.TARGETS.compare_after_days
        judged["abm_rule"] = {"days_at_least_56": is_late, "p_below_0_05": rates.is_significant(compared), "winner": of_list.winner}
    if planning := case.get("planning"):
        judged["planning"] = _planned(planning)
    return judged


def _planned(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Invalid("planning: " + _("it must be an object."))
    names = ("baseline", "minimum_relative_uplift", "alpha", "power")
    values = {name: given[name] for name in names if given.get(name) is not None}
    if wrong := [name for name, value in values.items() if isinstance(value, bool) or not isinstance(value, int | float)]:
        raise Invalid(_("%(name)s must be a number.") % {"name": wrong[0]})
    if missing := [name for name in names[:2] if name not in values]:
        raise Invalid(_("%(name)s is missing.") % {"name": missing[0]})
    baseline, uplift = values["baseline"], values["minimum_relative_uplift"]
    needed = rates.needed_per_arm(baseline, uplift, alpha=values.get("alpha"), power=values.get("power"))
    return {"target": baseline * (1 + uplift), "n_per_arm_pooled_normal": needed}


def _as_text(found: dict[str, Any]) -> str:
    p, interval = found["p_value_used"], found["newcombe95_difference"]
    rule = found.get("abm_rule") or found["article_rule"]
    if p is None or interval is None:
        return f"{found.get('id', '')} nothing to compare yet"
    return (
        f"{found.get('id', '')} {found['p_a']:.4f} against {found['p_b']:.4f}: difference {found['difference']:+.4f} "
        f"({interval[0]:+.4f} to {interval[1]:+.4f}), p {p:.4f} ({found['use']}), winner {rule['winner'] or 'none'}"
    ).strip()
