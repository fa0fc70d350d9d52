"""Fully collateralised, as option vaults do it: all that can be owed lies there, and nothing is lent on anything."""

import numpy as np

from gpu_var.margin.compare.positions import Held
from gpu_var.margin.compare.segments import totals
from gpu_var.tables.book import F8


def margins(held: Held, n: int) -> F8:
    """(n,) the equity that each account needs, in base currency, ≥ 0, its positions counted at today's prices.

    A short call is covered by a unit of the underlying, which what is held of it serves for first; a short put by its
    strike in cash. Options bought and the underlying are paid for in full. Futures, perpetuals and what is sold short
    of the underlying are covered by their whole notional. A premium received is part of the cover.

    Args:
        held: the positions of all accounts.
        n: the number of accounts.
    """
    short = held.option & (held.units < 0)
    units = np.abs(held.units)
    key = held.account * (int(held.underlying.max(initial=0)) + 1) + held.underlying
    _, first, group = np.unique(key, return_index=True, return_inverse=True)

    written = totals(group, np.where(short & (held.sign > 0), units, 0.0), len(first))
    owned = totals(group, np.where(held.stock, held.units, 0.0), len(first))
    bought_for_cover = np.maximum(written - np.maximum(owned, 0.0), 0.0) * held.spot[first] * held.fx[first]
    # Stock sold short is owed at its price, and its proceeds cover that: it takes the notional once more.
    owed = np.where(held.stock & (held.units < 0), 2.0 * held.notional, 0.0)
    owed += np.where(short & (held.sign < 0), units * held.strike * held.fx, 0.0)
    owed += np.where(held.future, held.notional, 0.0)
    total = totals(held.account, owed + held.value, n) + totals(held.account[first], bought_for_cover, n)
    return np.maximum(total, 0.0)
