"""Attribution by a first-order Markov chain: what the wins would lose without a channel; exact, nothing is simulated."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

from abm.attribution.paths import Path

START, WON, LOST = "\0start", "\0won", "\0lost"
Matrix = list[list[float]]


def removal_effects(paths: Iterable[Path]) -> dict[str, float]:
    """Give per channel the share of the chance to win that is gone without it, 0 to 1; empty without a win.

    Who leaves a channel out sends all that comes through it to 'lost'. What is lost is then the chance to come by the
    channel at all, times the chance to win from there: one inverse tells both, for every channel.
    """
    moves = transitions(paths)
    channels = sorted({origin for origin in moves if origin != START})
    if not any(WON in ends for ends in moves.values()):
        return {}
    visits = _inverse(_staying(moves, channels))
    to_win = [_share(moves, channel, WON) for channel in channels]
    entry = [_share(moves, START, channel) for channel in channels]
    wins_from = [sum(map(_product, row, to_win)) for row in visits]
    reached = [sum(map(_product, entry, column)) / column[place] for place, column in enumerate(zip(*visits, strict=True))]
    total = sum(map(_product, entry, wins_from))
    return {channel: reached[place] * wins_from[place] / total for place, channel in enumerate(channels)}


def transitions(paths: Iterable[Path]) -> Mapping[str, Counter[str]]:
    """Count from where to where deals went; those without any touch are left out."""
    moves: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for path in paths:
        if path.steps:
            for origin, end in pairwise((START, *path.steps, WON if path.is_won else LOST)):
                moves[origin][end] += path.deals
    return moves


def _product(one: float, other: float) -> float:
    return one * other


def _share(moves: Mapping[str, Counter[str]], origin: str, end: str) -> float:
    return moves[origin][end] / moves[origin].total()


def _staying(moves: Mapping[str, Counter[str]], channels: list[str]) -> Matrix:
    """Give I - Q, where Q holds the chances to go from channel to channel."""
    return [[(origin == end) - _share(moves, origin, end) for end in channels] for origin in channels]


def _inverse(matrix: Matrix) -> Matrix:
    """Invert by Gauss and Jordan with the largest pivot; every path ends, so that there is an inverse."""
    size = len(matrix)
    rows = [[*row, *(float(place == column) for column in range(size))] for place, row in enumerate(matrix)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda place: abs(rows[place][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = rows[column][column]
        rows[column] = [value / scale for value in rows[column]]
        for place in range(size):
            if place != column and (factor := rows[place][column]):
                rows[place] = [value - factor * base for value, base in zip(rows[place], rows[column], strict=True)]
    return [row[size:] for row in rows]
