"""Where to look for a breaking point first: against the worst groups' Greeks, along the worst scenarios, and around."""

import numpy as np

from gpu_var.margin.addons import TENOR_DAYS
from gpu_var.margin.measured import Measured
from gpu_var.market.factors import Tenors
from gpu_var.market.levels import factor_levels
from gpu_var.stress.cover import cover
from gpu_var.stress.factor_law import FactorLaw
from gpu_var.stress.house import House
from gpu_var.stress.shortfall import Shortfall
from gpu_var.tables.book import F8, I8

GROUPS = 6
"""Groups whose Greeks are starts: those that would lose most in a move of one standard deviation."""

COMPONENTS = 4
"""Principal components, in both directions."""

SCENARIOS = 8
"""Scenarios of the stress test, those with the largest Cover N."""

_BUCKET_YEARS = np.array([15.0, 60.0, 227.5, 730.0]) / 365.0
"""The middles of the expiry buckets of `margin.addons`, at which their Greeks are taken to stand."""


def slopes(m: Measured, house: House) -> F8:
    """(n_groups, F) how much each group loses, to first order, by a unit of each factor's shock; from today's Greeks.

    Delta on `spot:` (what is dated on `forward:`, where the underlying has such factors) and vega on `iv:`. Buckets of
    expiries stand at their middles. Rates and exchange rates are left out: this is where the search starts, not where
    it ends.
    """
    assert len(_BUCKET_YEARS) == len(TENOR_DAYS) + 1
    u, cells, s = m.book.underlyings, m.cells, m.sensitivity
    out = np.zeros((len(house.group_name), len(m.factors.names)))
    level = np.nan_to_num(factor_levels(m.book, m.config, m.factors))
    group = house.group[house.member_of[cells.account]]
    rate = m.fx[u.currency[cells.underlying]]
    edges = np.searchsorted(cells.underlying, np.arange(len(u.spot) + 1))
    for at in np.unique(cells.underlying).tolist():
        own = slice(int(edges[at]), int(edges[at + 1]))
        unit = 1.0 if u.normal[at] else float(u.spot[at])
        delta, vega = s.expiry_delta[own] * unit * rate[own, None], s.expiry_vega[own] * rate[own, None]
        spot, forward, iv = int(m.factors.spot[at]), m.factors.forward[at], m.factors.iv[at]
        dated = len(forward.factor) > 0
        if spot >= 0:
            np.subtract.at(out[:, spot], group[own], delta[:, -1] if dated else delta.sum(axis=1))
        if dated:
            _add(out, group[own], forward, delta[:, :-1], np.ones(len(forward.factor)))
        if len(iv.factor):
            _add(out, group[own], iv, vega, level[iv.factor])
    return out


def _add(out: F8, group: I8, tenors: Tenors, by_expiry: F8, level: F8) -> None:
    """Losses by a unit of each tenor's shock: an expiry moves by its tenors' shocks, linear between them."""
    weight = np.stack([np.interp(_BUCKET_YEARS, tenors.years, unit) for unit in np.eye(len(tenors.years))], axis=1)
    money = by_expiry @ weight * level
    for column, factor in zip(money.T, tenors.factor.tolist(), strict=True):
        np.subtract.at(out[:, factor], group, column)


def starts(
    m: Measured, house: House, law: FactorLaw, scenarios: tuple[str, ...], shock: F8, lost: Shortfall, n: int
) -> tuple[F8, list[str]]:
    """(k, r) directions in whitened coordinates, and in words what each of them is.

    Args:
        scenarios: (n_scenarios,) names of the stress test's.
        shock: (n_scenarios, F) of these.
        lost: shortfalls in these.
        n: groups that default together.
    """
    gradient = slopes(m, house) @ law.root  # (n_groups, r)
    size = np.linalg.norm(gradient, axis=1)
    worst = np.argsort(-size, kind="stable")[:GROUPS]
    rows, words = [], []
    for g in worst[size[worst] > 0.0].tolist():
        rows += [gradient[g], -gradient[g]]
        words += [f"against the Greeks of {house.group_name[g]}", f"with the Greeks of {house.group_name[g]}"]
    for k in range(2, min(n, len(worst)) + 1):
        rows.append(gradient[worst[:k]].sum(axis=0))
        words.append(f"against the Greeks of the {k} groups with the most at risk")
    for p in range(min(COMPONENTS, law.root.shape[1])):
        unit = np.eye(law.root.shape[1])[p]
        rows += [unit, -unit]
        words += [f"principal component {p + 1}, {way}" for way in ("up", "down")]
    amount = cover(lost.group, n).amount[:, -1]
    chosen = np.argsort(-amount, kind="stable")[:SCENARIOS]
    points = law.whitened(shock[chosen])
    rows += list(points)
    words += [f"along scenario {scenarios[i]}" for i in chosen.tolist()]
    return np.array(rows).reshape(len(rows), law.root.shape[1]), words
