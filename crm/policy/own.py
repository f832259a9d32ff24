"""An organisation's own numbers in place of ours: known by name, of the right kind, within bounds."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from types import ModuleType
from typing import Any


def override(module: ModuleType, overrides: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Replace numbers of a policy module by an organisation's own; yield what nobody knows, e.g. 'BANT.colour'.

    Raises ValueError with a sentence for a value that cannot be right.
    """
    for table, numbers in overrides.items():
        current: Any = getattr(module, table, None)
        if not is_dataclass(type(current)):
            yield table
            continue
        if not isinstance(numbers, Mapping):
            raise ValueError(f"{table} must be an object of names and values, not {numbers!r}.")  # noqa: TRY004  the start reads ValueError
        known = {field.name for field in fields(current)} & numbers.keys()
        yield from (f"{table}.{name}" for name in numbers if name not in known)
        own = {name: _checked(f"{table}.{name}", numbers[name], like=getattr(current, name)) for name in sorted(known)}
        setattr(module, table, replace(current, **own))


def _checked(name: str, value: Any, *, like: object) -> Any:
    """Give an organisation's value as the kind of thing that the number is now; raise ValueError for another kind."""
    if isinstance(like, int):
        return number(name, value, *_bounds(name), whole=True)
    if isinstance(like, float):
        return number(name, value, *_bounds(name))
    if isinstance(like, frozenset):
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ValueError(f"{name} must be a list of texts, not {value!r}.")
        return frozenset(value)
    # Whole tables are judged row by row by the class they belong to.
    return value


# The least and the most that a number can be, by how its name ends; a century is as far as moments can be computed.
_BOUNDS: dict[str, tuple[float, float]] = {
    "_share": (0, 1), "_floor": (0, 1), "_weight": (0, 100), "_points": (0, 1_000), "_score": (0, 100), "_saturation": (0.1, 1_000_000),
    "activity_days": (0, 36_500), "_days": (1, 36_500), "_days_ago": (1, 36_500), "_hours": (1, 876_000), "_minutes": (0, 1_439),
}  # fmt: skip


def _bounds(name: str) -> tuple[float, float]:
    return next((bounds for ending, bounds in _BOUNDS.items() if name.endswith(ending)), (1, 1_000_000))


def number(name: str, value: Any, least: float, most: float, *, whole: bool = False) -> Any:
    """Give back a number within its bounds; raise ValueError with a sentence for anything else."""
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        raise ValueError(f"{name} must be a {'whole ' if whole else ''}number from {least:g} to {most:,.10g}, not {value!r}.")
    return value


def table(name: str, value: Any, *, known: Collection[str]) -> Mapping[str, Any]:
    """Give back a table of known names; raise ValueError with a sentence for anything else."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be an object of names and values, not {value!r}.")  # noqa: TRY004  the start reads ValueError
    if unknown := sorted(value.keys() - known):
        raise ValueError(f"{name} must have names it knows, not {', '.join(unknown)}.")
    return value
