"""The nearest points at which something breaks: design points of the first-order reliability method.

A limit state g(u) is positive where things hold. In whitened coordinates the least implausible break is the point of
the set g ≤ 0 that is nearest to the origin (Hasofer & Lind 1974). Every point that is kept is a break, found along its
ray and verified; that none is nearer cannot be proved where the set is not convex, hence several starts.
"""

from dataclasses import dataclass

import numpy as np

from gpu_var.stress.descent import Around, Descent, Gaps, Search, Spent, unit_rows
from gpu_var.tables.book import F8

GRID = 0.5
"""Spacing along a ray of the points at which a break is looked for, in standard deviations."""

_ROUNDS = 4  # of narrowing when a search has ended, so that a bracket shrinks by 16⁴
_ITERATIONS = 40
_SAME = 0.99  # cosine between two starts of which one is enough
_MET = 1.0 - 1e-6  # cosine between two searches that have met


@dataclass(frozen=True)
class Breaking:
    """Where a limit state is reached first."""

    point: F8 | None  # (r,) whitened; None where nothing was found
    distance: float  # its length; the limit of the search where nothing was found
    start: int  # which start led to it; −1 for none
    aligned: float  # cosine of the angle between the point and the way to the break: 1 at a smooth design point
    complete: bool  # False: the budget of evaluations ran out first


def breaking_points(
    gaps: Gaps,
    starts: F8,
    *,
    limit: float = 15.0,
    most: int = 50_000,
    refine: int = 4,
    around: Around | None = None,
    cost: int = 1,
) -> list[Breaking]:
    """The nearest points to the origin at which limit states are reached, as far as the starts lead to them.

    Args:
        gaps: of n limit states at many points at once, in whitened coordinates; a NaN counts as holding.
        starts: (k, r) directions in which to look.
        limit: how far to look along each start, standard deviations.
        most: points that are evaluated at the most, 1 or more.
        around: gaps close to some points, for gradients; from `gaps` itself unless given.
        cost: what `around` counts for a point, in evaluations.
        refine: of how many starts, those that break first, the nearest point is looked for.

    Returns:
        One for each limit state; `distance` 0 where it is reached at the origin.
    """
    search = Search(gaps, most, around, cost)
    searches: list[Descent] = []
    complete = False
    today = search.gaps(np.zeros((1, starts.shape[1])))[:, 0] <= 0.0
    n = len(today)
    try:
        unit = unit_rows(starts)
        low, high = search.along(unit, GRID * np.arange(1.0, round(limit / GRID) + 1.0))
        for state in np.flatnonzero(~today).tolist():
            chosen = _first(unit, high[state], refine)
            searches += [Descent(state, i, unit[i] * high[state, i]) for i in chosen]
        _narrowed(search, searches, low, 1)
        rng = np.random.Generator(np.random.PCG64(0))  # the same search for the same book
        for _ in range(_ITERATIONS):
            active = [s for s in searches if s.active]
            if not active:
                break
            search.advance(active, rng)
            _end_met(searches)
        best = [min(own, key=lambda s: s.distance) for k in range(n) if (own := [s for s in searches if s.state == k])]
        _narrowed(search, best, None, _ROUNDS)
        complete = True
    except Spent:
        pass  # what has been found so far is a break all the same
    out = []
    for state in range(n):
        own = [s for s in searches if s.state == state]
        if today[state]:
            out.append(Breaking(np.zeros(starts.shape[1]), 0.0, -1, 1.0, True))
        elif own:
            s = min(own, key=lambda s: s.distance)
            out.append(Breaking(s.point, s.distance, s.start, s.aligned, complete))
        else:
            out.append(Breaking(None, limit, -1, 0.0, complete))
    return out


def _first(unit: F8, high: F8, refine: int) -> list[int]:
    """The starts that break first, none of them close to another."""
    out: list[int] = []
    for i in np.argsort(high, kind="stable")[: np.count_nonzero(np.isfinite(high))].tolist():
        if len(out) < refine and not any(float(unit[i] @ unit[j]) > _SAME for j in out):
            out.append(i)
    return out


def _narrowed(search: Search, searches: list[Descent], low: F8 | None, rounds: int) -> None:
    """Bring each search as near as its own ray lets it.

    Args:
        low: (n, k) by limit state and start, radii at which rays hold; 99 % of the distance unless given.
    """
    if not searches:
        return
    state, size = np.array([s.state for s in searches]), np.array([s.distance for s in searches])
    unit = unit_rows(np.array([s.point for s in searches]))
    begin = 0.99 * size if low is None else low[state, [s.start for s in searches]]
    for s, direction, radius in zip(searches, unit, search.narrow(unit, begin, size, state, rounds), strict=True):
        s.point = direction * radius


def _end_met(searches: list[Descent]) -> None:
    """Of searches of one limit state that have met, the nearest alone goes on."""
    kept: list[Descent] = []
    for s in sorted(searches, key=lambda s: s.distance):
        near = [k for k in kept if k.state == s.state]
        if s.active and any(float(s.point @ k.point) > _MET * s.distance * k.distance for k in near):
            s.active = False
        kept.append(s)
