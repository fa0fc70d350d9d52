"""What the grid does not see, underlying by underlying: added to the worst scenario, and never negative.

Each function returns (n_cells,) amounts ≥ 0 in base currency. A venue's source stands with its default in
`tables/config_contingency.py` and in the preset's page.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cpu_reference import Valuation
from cpu_reference.types import FUTURE, OPTION, PERPETUAL, SPOT, Shocks
from gpu_var.cells import Cells
from gpu_var.margin.addons import delta_per_contract
from gpu_var.market.curves import years_to
from gpu_var.market.state import Underlying
from gpu_var.tables.book import F8, I8, NO_EXPIRY, Book, Bool
from gpu_var.tables.config_contingency import Basis, Contingency, Delta, OptionContingency, Roll, Static


@dataclass(frozen=True)
class Held:
    """The non-zero positions, one row each, in the order of `Cells.of_position`; all arrays (n,)."""

    n_cells: int
    as_of: int  # microseconds since 1970 UTC
    cell: I8
    kind: npt.NDArray[np.int8]
    option: Bool  # an unexpired option
    expiry: I8  # microseconds since 1970 UTC, or NO_EXPIRY
    strike: F8
    quantity: F8  # contracts
    units: F8  # of the underlying: of an inverse future or perpetual, its face over its price
    delta: F8  # signed, units of the underlying
    level: F8  # |S|·fx: what a unit is worth; a normal underlying's price may be negative
    fx: F8
    value: F8  # of an option position today, base currency, signed; 0 for all else

    def total(self, amount: F8) -> F8:
        """(n_cells,) sums of amounts of positions."""
        return np.asarray(np.bincount(self.cell, amount, self.n_cells), dtype=np.float64)


def held_positions(book: Book, cells: Cells, valuation: Valuation, fx: F8, as_of: int) -> Held:
    """What the contingencies read of a book.

    Args:
        valuation: over all instruments, NaN for those that nobody holds.
        fx: (n_currencies,) base currency for one unit.
        as_of: microseconds since 1970 UTC.
    """
    p, i, u = book.positions, book.instruments, book.underlyings
    kept = p.quantity != 0
    at, quantity = p.instrument[kept], p.quantity[kept]
    kind, owner = i.kind[at], i.underlying[at]
    face = i.inverse[at] & ((kind == FUTURE) | (kind == PERPETUAL))
    contracts = quantity * i.multiplier[at]
    rate = fx[u.currency[owner]]
    return Held(
        n_cells=len(cells.account),
        as_of=as_of,
        cell=cells.of_position,
        kind=kind,
        option=(kind == OPTION) & (i.expiry[at] > as_of),
        expiry=i.expiry[at],
        strike=i.strike[at],
        quantity=quantity,
        units=contracts / np.where(face, valuation.forward[at], 1.0),
        delta=quantity * delta_per_contract(book, valuation)[at],
        level=np.abs(u.spot[owner]) * rate * ~book.cash[owner],  # collateral in a currency is no position in spot
        fx=rate,
        value=np.where(kind == OPTION, contracts * valuation.price[at] * rate, 0.0),
    )


def contingencies(
    table: Contingency, held: Held, risk: F8, group_cell: I8, group_expiry: I8, basis_pnl: F8
) -> dict[str, F8]:
    """Name -> (n_cells,) amount, in the order in which they are added; those whose table is off are not there.

    `basis` with `combine = "max"`, `delta` and `option_minimum` are least amounts: what is returned is by how much they
    exceed what stands before them, so that the sum is the larger of the two.

    Args:
        risk: (n_cells,) the loss in the worst scenario of the grid, ≥ 0.
        group_cell: (n_groups,) cell of each group of positions of one expiry.
        group_expiry: (n_groups,) microseconds since 1970 UTC, or NO_EXPIRY.
        basis_pnl: (n_groups, 2) P&L of the groups under `basis_shocks`; not read where [scan.contingency.basis] is off.
    """
    out: dict[str, F8] = {}
    if table.basis is not None:
        amount = basis(table.basis, held, group_cell, group_expiry, basis_pnl)
        out["basis"] = amount if table.basis.combine == "add" else np.maximum(amount - risk, 0.0)
    if table.static is not None:
        out["static"] = static(table.static, held)
    if table.roll is not None:
        out["roll"] = roll(table.roll, held)
    if table.option is not None:
        out["option"] = option(table.option, held)
    floors = []
    if table.delta is not None:
        floors.append(("delta", delta(table.delta, held)))
    if table.option is not None:
        floors.append(("option_minimum", option_minimum(table.option, held)))
    for name, least in floors:
        so_far = risk + sum(out.values(), np.zeros(len(risk)))
        out[name] = np.maximum(least - so_far, 0.0)
    return out


def static(table: Static, held: Held) -> F8:
    """(perpetual·Σ|q| over perpetuals + spot·Σ|q| over spot + short_option·Σ_strike net short)·|S|·fx, q in units."""
    perpetual = np.where(held.kind == PERPETUAL, np.abs(held.units), 0.0)
    spot = np.where(held.kind == SPOT, np.abs(held.units), 0.0)
    amount = table.perpetual * perpetual + table.spot * spot
    return held.total(amount * held.level) + table.short_option * _net_short(held)


def _net_short(held: Held) -> F8:
    """(n_cells,) Σ max(0, −(calls + puts)) over (expiry, strike), times |S|·fx."""
    rows = np.flatnonzero(held.option)
    keys = np.lexsort((held.strike[rows], held.expiry[rows], held.cell[rows]))
    rows = rows[keys]
    cell, expiry, strike = held.cell[rows], held.expiry[rows], held.strike[rows]
    new = np.ones(len(rows), dtype=np.bool_)
    new[1:] = (cell[1:] != cell[:-1]) | (expiry[1:] != expiry[:-1]) | (strike[1:] != strike[:-1])
    of_strike = np.cumsum(new) - 1
    net = np.bincount(of_strike, held.units[rows] * held.level[rows], int(new.sum()))
    sums = np.bincount(cell[new], np.maximum(-net, 0.0), held.n_cells)
    return np.asarray(sums, dtype=np.float64)


def basis_shocks(table: Basis, underlying: Underlying) -> Shocks:
    """Two markets, up and down, in which every unexpired forward moves and all else stays.

    The forward moves by `up` and `down` times itself; under normal dynamics, where it may be negative, times |S|.
    """
    market, horizon = underlying.market, underlying.market.horizon
    move = np.array([table.up, -table.down])
    base = horizon.forward[:, None]
    moved = base + abs(underlying.spot) * move if market.normal else base * (1.0 + move)
    return Shocks.of_levels(
        market.normal,
        spot=np.full(2, underlying.spot),
        fx=np.full(2, underlying.fx),
        forward=np.where(horizon.years[:, None] > 0.0, moved, base),
        rate=np.repeat(horizon.rate[:, None], 2, axis=1),
        vol_growth=np.ones((len(horizon.years), 2)),
    )


def basis(table: Basis, held: Held, group_cell: I8, group_expiry: I8, pnl: F8) -> F8:
    """−Σ_expiry min(ΔV up, ΔV down, 0)·(weight + weight_per_year·T); arguments as in `contingencies`."""
    dated = group_expiry != NO_EXPIRY
    years = np.maximum(years_to(group_expiry[dated], held.as_of), 0.0)
    loss = np.maximum(-pnl[dated].min(axis=1), 0.0)
    amount = loss * (table.weight + table.weight_per_year * years)
    return np.asarray(np.bincount(group_cell[dated], amount, held.n_cells), dtype=np.float64)


def roll(table: Roll, held: Held) -> F8:
    """Σ max(min_move, annual_move·T)·|q|·|S|·fx over futures and perpetuals (T = 0), q in units of the underlying."""
    rolled = (held.kind == FUTURE) | (held.kind == PERPETUAL)
    future = held.kind == FUTURE
    years = np.zeros(len(held.kind))
    years[future] = np.maximum(years_to(held.expiry[future], held.as_of), 0.0)
    move = np.maximum(table.min_move, table.annual_move * years)
    return held.total(np.where(rolled, move * np.abs(held.units) * held.level, 0.0))


def option(table: OptionContingency, held: Held) -> F8:
    """rate·Σ|q|·|S|·fx over short, unexpired options: no netting."""
    short = np.where(held.option, np.maximum(-held.units, 0.0), 0.0)
    return table.rate * held.total(short * held.level)


def option_minimum(table: OptionContingency, held: Held) -> F8:
    """minimum_per_contract·Σ|contracts| over unexpired options; of long ones never more than they are worth.

    Source: FINRA Rule 4210(g), the least requirement of portfolio margin: $0.375 times the multiplier a contract, for
    long contracts not above the market value.
    """
    least = table.minimum_per_contract * np.abs(held.quantity) * held.fx
    long = np.minimum(least, np.maximum(held.value, 0.0)) if table.minimum_long else np.zeros(len(least))
    return held.total(np.where(held.option, np.where(held.quantity < 0.0, least, long), 0.0))


def delta(table: Delta, held: Held) -> F8:
    """(unhedged·|Σδ| + hedged·(Σ|δ| − |Σδ|)/2)·|S|·fx, δ the positions' deltas in units of the underlying.

    Source: Paradex, "Portfolio margin", the minimum delta requirement.
    """
    net = np.abs(held.total(held.delta * held.level))
    gross = held.total(np.abs(held.delta) * held.level)
    return table.unhedged * net + 0.5 * table.hedged * (gross - net)
