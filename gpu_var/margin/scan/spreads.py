"""Spreads between expiries of one underlying: what a scan nets although the months may part.

A scan moves all expiries together. So the net delta of each expiry is put into its tier, long or short, spreads are
formed in order of priority, and each is charged. Sources: CME, *SPAN: inter-month spreads, delivery month charges*.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from gpu_var.tables.book import F8, I4, I8, NO_EXPIRY, Bool
from gpu_var.tables.config_spreads import EVERY, Delivery, InterMonth

_DAY = 86_400 * 1_000_000  # microseconds


class Pools(NamedTuple):
    """Deltas by tier that spreads can use, both as sizes; (n_cells, n_tiers), tier 0 that of spot and perpetuals."""

    long: F8
    short: F8

    @property
    def net(self) -> F8:
        """(n_cells,) long minus short."""
        net: F8 = self.long.sum(axis=1) - self.short.sum(axis=1)
        return net


def days_to(expiry: I8, as_of: int) -> F8:
    """(n,) days to expiry, NaN for what does not expire; both in microseconds since 1970 UTC."""
    dated = expiry != NO_EXPIRY
    return np.where(dated, (np.where(dated, expiry, as_of) - as_of) / _DAY, np.nan)


def tier_of(days: F8, tier_days: Sequence[float]) -> I8:
    """(n,) tier: 1 up to the first of `tier_days`, inclusive, and so on; one more beyond the last; 0 without expiry."""
    dated = ~np.isnan(days)
    return np.where(dated, 1 + np.searchsorted(np.array(tier_days), np.where(dated, days, 0.0)), 0)


def pools(delta: F8, cell: I8, tier: I8, n_cells: int) -> Pools:
    """Add the expiries' net deltas to their tiers.

    Args:
        delta: (n_groups,) net delta of an expiry, signed.
        cell: (n_groups,); tier: (n_groups,).
    """
    n_tiers = int(tier.max(initial=0)) + 1
    key = cell * n_tiers + tier
    long, short = (np.bincount(key, np.maximum(s * delta, 0.0), n_cells * n_tiers) for s in (1.0, -1.0))
    return Pools(*(np.asarray(side, dtype=np.float64).reshape(n_cells, n_tiers) for side in (long, short)))


def form(long: F8, short: F8, legs: Iterable[tuple[int, float]]) -> F8:
    """How many spreads can be formed: min over the legs of available delta/ratio; their deltas are taken away.

    First with the legs of positive ratio long and the others short, then the other way round. A tier that is not held
    gives none.

    Args:
        long, short: (n, n_tiers), overwritten.
        legs: (tier, signed delta per spread).

    Returns:
        (n,) spreads.
    """
    ratio: dict[tuple[int, bool], float] = {}
    for tier, r in legs:
        ratio[tier, r > 0.0] = ratio.get((tier, r > 0.0), 0.0) + abs(r)
    formed = np.zeros(len(long))
    if any(tier >= long.shape[1] for tier, _ in ratio):
        return formed
    for reverse in (False, True):
        sides = [((long if up != reverse else short)[:, tier], r) for (tier, up), r in ratio.items()]
        spreads = np.min([side / r for side, r in sides], axis=0)
        for side, r in sides:
            np.maximum(side - spreads * r, 0.0, out=side)  # a remainder of rounding is none
        formed += spreads
    return formed


def inter_month(
    pool: Pools, underlying: Sequence[str], of_cell: I4, spreads: Sequence[InterMonth], unit: dict[str, F8]
) -> tuple[F8, Pools]:
    """Charges of the spreads, in order of priority, and the deltas that remain.

    Args:
        pool: of all cells.
        underlying: names.
        of_cell: (n_cells,) underlying of each.
        spreads: those of equal priority keep their order.
        unit: what a charge of 1 is in base currency, (n_cells,), by `charge_in`.

    Returns:
        (n_cells,) charges ≥ 0, and what is left of the pools.
    """
    left = Pools(pool.long.copy(), pool.short.copy())
    charge = np.zeros(len(of_cell))
    for one in sorted(spreads, key=lambda s: s.priority):
        rows = np.flatnonzero(applies(one.underlying, [s.underlying for s in spreads], underlying)[of_cell])
        long, short = left.long[rows], left.short[rows]
        charge[rows] += form(long, short, one.legs) * one.charge * unit[one.charge_in][rows]
        left.long[rows], left.short[rows] = long, short
    return charge, left


def delivery(
    delta: F8,
    cell: I8,
    tier: I8,
    days: F8,
    pool: Pools,
    left: Pools,
    underlying: Sequence[str],
    of_cell: I4,
    charges: Sequence[Delivery],
    unit: dict[str, F8],
) -> F8:
    """Charges on expiries that are close: so much for a delta that stands in a spread, so much for one that does not.

    Which expiry's delta a spread has used is not said by a tier that holds several: each in proportion.

    Args:
        delta, cell, tier, days: (n_groups,) as for `pools`; days to expiry, NaN without one.
        pool, left: before and after the inter-month spreads.
        underlying, of_cell, unit: as for `inter_month`.

    Returns:
        (n_cells,) charges ≥ 0.
    """
    before = np.where(delta > 0.0, pool.long[cell, tier], pool.short[cell, tier])
    after = np.where(delta > 0.0, left.long[cell, tier], left.short[cell, tier])
    outright = np.abs(delta) * np.divide(after, before, out=np.ones(len(delta)), where=before > 0.0)
    spread = np.abs(delta) - outright
    total = np.zeros(len(of_cell))
    for one in charges:
        at = applies(one.underlying, [c.underlying for c in charges], underlying)[of_cell[cell]]
        close = at & (days > 0.0) & (days <= one.days)
        amount = np.where(close, one.spread * spread + one.outright * outright, 0.0)
        total += np.bincount(cell, amount, len(of_cell)) * unit[one.charge_in]
    return total


def applies(name: str, named: Sequence[str], underlying: Sequence[str]) -> Bool:
    """(n_underlyings,): the entry `name` is theirs; "*" is that of all without an entry of their own."""
    if name != EVERY:
        return np.array([u == name for u in underlying], dtype=np.bool_)
    return np.array([u not in named for u in underlying], dtype=np.bool_)
