"""The tables of an explanation. Amounts in base currency, losses positive."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cpu_reference.tail import ranks
from gpu_var.margin.attribution import ENTRANTS, POSITIONS, Change, State, forecast
from gpu_var.margin.charges import CHARGES
from gpu_var.margin.columns import numbers
from gpu_var.margin.contributions import TOLERANCE, Contributions, active_scenarios, core_shares, tail_weights
from gpu_var.margin.measured import Measured
from gpu_var.margin.scan.grid import grid_of, price_levels, price_moves, vol_growth, vol_step
from gpu_var.margin.scan.result import ScanResult
from gpu_var.market.levels import factor_levels, factors_of, shocked
from gpu_var.tables.book import NO_EXPIRY, Book
from gpu_var.tables.slices import of_accounts

Row = Mapping[str, float | str | None]

KINDS = ("spot", "future", "perpetual", "option")
"""The kinds of instruments by their code."""

_CELLS = ("concentration", "liquidity_delta", "liquidity_vega")
_KEYS = ("instrument", "kind", "underlying", "expiry", "quantity")


def composition(row: Row, breakdown: pa.Table) -> pa.Table:
    """What a margin is made of: component, underlying (null: the whole account), amount; they add up to it.

    Args:
        row: of margin.parquet.
        breakdown: the account's rows of breakdown.parquet.
    """
    parts: list[tuple[str, str | None, float]] = [("core", None, number(row["core"]))]
    cells = breakdown.to_pylist()
    parts += [(name, cell["underlying"], cell[name]) for name in _CELLS for cell in cells if cell[name]]
    parts += [(name, None, number(row[name])) for name in CHARGES if row.get(name)]
    rest = number(row["margin"]) - sum(amount for _, _, amount in parts)
    if abs(rest) > TOLERANCE * abs(number(row["margin"])):
        parts.append(("not itemised", None, rest))
    component, underlying, amount = zip(*parts, strict=True)
    return pa.table(
        {
            "component": pa.array(component, pa.string()),
            "underlying": pa.array(underlying, pa.string()),
            "amount": pa.array(amount, pa.float64()),
        }
    )


def number(value: float | str | None) -> float:
    """A number of a row; NaN for null."""
    return np.nan if value is None else float(value)


def contribution_table(m: Measured, parts: Contributions) -> pa.Table:
    """A position a row, the largest contribution first: instrument, kind, underlying, expiry, quantity, core and a
    column a model. Core is null where it is not made of the positions alone.
    """
    i, at = m.book.instruments, parts.instrument
    expiry = i.expiry[at]
    columns = {
        "instrument": i.name.take(pa.array(at)),
        "kind": pa.array(KINDS, pa.string()).take(pa.array(i.kind[at])),
        "underlying": m.book.underlyings.name.take(pa.array(i.underlying[at])),
        "expiry": pa.array(expiry, pa.timestamp("us", "UTC"), mask=expiry == NO_EXPIRY),
        "quantity": pa.array(parts.quantity),
        "core": pa.nulls(len(at), pa.float64()) if parts.core is None else numbers(parts.core),
        **{model: numbers(loss) for model, loss in parts.loss.items()},
    }
    by = "core" if parts.core is not None else next((model for model in core_shares(m) if model in parts.loss), "core")
    return pa.table(columns).sort_by([(by, "descending"), ("instrument", "ascending")])


def summed(contributions: pa.Table, by: str) -> pa.Table:
    """Contributions summed by a column, which comes first, then the number of positions; the largest first."""
    amounts = [name for name in contributions.column_names if name not in _KEYS]
    table = contributions.group_by(by).aggregate([("instrument", "count"), *((name, "sum") for name in amounts)])
    table = table.select([by, "instrument_count", *(f"{name}_sum" for name in amounts)])
    table = table.rename_columns([by, "positions", *amounts])
    used = next((name for name in amounts if table[name].null_count < max(1, table.num_rows)), "core")
    return table.sort_by([(used, "descending"), (by, "ascending")])


def losses_of(m: Measured, model: str) -> npt.NDArray[np.float64]:
    """(n_scenarios,) the losses of the account, the first of `m`."""
    return np.asarray(-m.backend.to_host(m.pnl[model][0]))


def scenario_table(m: Measured, parts: Contributions, top: int) -> pa.Table:
    """The `top` worst scenarios of each model and the one that VaR is the loss of: model, rank, scenario, loss, weight
    in the model's measure, and whether it is VaR's.
    """
    found: list[tuple[str, int, str, float, float, bool]] = []
    for model, weight in parts.weight.items():
        losses, s = losses_of(m, model), m.sets[model]
        order = np.argsort(-losses, kind="stable")
        var = ranks((1, len(losses)), m.config.level).var - 1 if s.samples == 1 else -1
        shown = [*range(min(top, len(order))), *([var] if var >= top else [])]
        found += [
            (model, place + 1, s.name[order[place]], losses[order[place]], weight[order[place]], place == var)
            for place in shown
        ]
    columns = list(zip(*found, strict=True)) or [()] * 6
    names = {
        "model": pa.string(),
        "rank": pa.int64(),
        "scenario": pa.string(),
        "loss": pa.float64(),
        "weight": pa.float64(),
        "var": pa.bool_(),
    }
    return pa.table({name: pa.array(c, kind) for (name, kind), c in zip(names.items(), columns, strict=True)})


def binding_scenario(m: Measured, row: Row) -> tuple[str, str]:
    """The model and the scenario that the core hangs on: for the measure "var" the one that VaR is the loss of, else
    the largest loss of the models that the core is made of.
    """
    model, _, name = str(row["worst_scenario"]).partition(":")
    simulated = next(iter(core_shares(m)))
    if m.config.measure == "var" and simulated in ("fhs", "monte_carlo") and m.sets[simulated].samples == 1:
        weight = tail_weights(losses_of(m, simulated), m.config.level, "var")
        return simulated, m.sets[simulated].name[int(weight.argmax())]
    return model, name


_SHOCKS = {
    "factor": pa.string(),
    "shock": pa.float64(),
    "before": pa.float64(),
    "after": pa.float64(),
    "tail_shock": pa.float64(),
}


def shock_table(m: Measured, parts: Contributions, model: str, scenario: str) -> pa.Table:
    """A factor a row, of those that can move the account: its shock in the scenario, its level before and after, and
    its mean shock over the tail, each scenario with its weight. Relative shocks first, then differences; the largest
    first. Of the scan: the price and the volatility of each underlying, without a tail. Empty without a model.
    """
    if model == "scan" and m.scan is not None:
        return _scan_shocks(m, m.scan)
    if model not in parts.weight:
        return pa.table({name: pa.array([], kind) for name, kind in _SHOCKS.items()})
    f, s = m.factors, m.sets[model]
    rows = factors_of(m.book, m.config, f, parts.instrument)
    shock = s.shock[s.name.index(scenario), rows]
    order = np.lexsort((-np.abs(shock), f.additive[rows]))
    rows, shock = rows[order], shock[order]
    before = factor_levels(m.book, m.config, f)[rows]
    return pa.table(
        {
            "factor": pa.array([f.names[row] for row in rows], pa.string()),
            "shock": numbers(shock),
            "before": numbers(before),
            "after": numbers(shocked(before, shock, f.additive[rows], m.config.returns)),
            "tail_shock": numbers(parts.weight[model] @ s.shock[:, rows]),
        }
    )


def _scan_shocks(m: Measured, result: ScanResult) -> pa.Table:
    """The moves of each underlying in its active scenario, or in the account's where all move together: of the price,
    and of a volatility of 30 days, which is that of all where the range does not depend on the expiry.
    """
    scan = m.config.scan
    if scan is None:
        raise AssertionError("a scan has its table in the configuration")
    grid, month = grid_of(scan), np.array([30.0 / 365.0])
    own = np.flatnonzero(m.cells.account == 0)
    active = active_scenarios(m, result, own)
    rows: list[tuple[str, float, float | None, float | None]] = []
    for u, at in zip(m.cells.underlying[own].tolist(), active.tolist(), strict=True):
        name = str(m.book.underlyings.name[u].as_py())
        spot, normal = float(m.book.underlyings.spot[u]), bool(m.book.underlyings.normal[u])
        move = price_moves(scan, grid, name)[at : at + 1]
        after = float(price_levels(move, scan.price_range_in, spot, normal)[0])
        rows.append((f"spot:{name}", float(move[0]), spot, after))
        if scan.vol_range_in == "relative":
            vol = float(vol_growth(scan, grid.vol[at : at + 1], month, name)[0, 0]) - 1.0
        else:
            vol = float(vol_step(scan, float(grid.vol[at]), month, name)[0])
        rows.append((f"iv:{name}:30d", vol, None, None))
    columns = [*zip(*rows, strict=True), (None,) * len(rows)] if rows else [()] * len(_SHOCKS)
    return pa.table({n: pa.array(c, kind) for (n, kind), c in zip(_SHOCKS.items(), columns, strict=True)})


def scan_table(m: Measured) -> pa.Table | None:
    """The scan's figures of the account, an underlying a row; its active scenario by its name."""
    if m.scan is None:
        return None
    own = np.flatnonzero(m.cells.account == 0)
    names = np.array(m.scan.name, dtype=object)[m.scan.columns["active_scenario"][own].astype(np.intp) - 1]
    figures = {key: numbers(column[own]) for key, column in m.scan.columns.items() if key != "active_scenario"}
    underlying = m.book.underlyings.name.take(pa.array(m.cells.underlying[own]))
    return pa.table({"underlying": underlying, "active_scenario": pa.array(names, pa.string()), **figures})


def change_table(change: Change) -> pa.Table:
    """A step a row: what it is a part of, what it adds, and margin and core, not floored, after it."""
    return pa.table(
        {
            "step": pa.array(change.step, pa.string()),
            "part": pa.array([POSITIONS if step == ENTRANTS else step for step in change.step], pa.string()),
            "change": numbers(change.change),
            "margin": numbers(change.margin),
            "core": numbers(change.core[1:]),
        }
    )


def trade_table(old: Book, new: Book, account: str) -> pa.Table:
    """The positions that differ: instrument, quantity before and after; by name."""
    sides = []
    for book, side in ((old, "before"), (new, "after")):
        row = book.accounts.name.index(account).as_py()
        own = of_accounts(book, np.array([row] if row >= 0 else [], dtype=np.int64)).positions
        name = book.instruments.name.take(pa.array(own.instrument))
        sides.append(pa.table({"instrument": name, side: pa.array(own.quantity)}))
    both = sides[0].join(sides[1], "instrument", join_type="full outer")
    filled = pa.table(
        {"instrument": both["instrument"], **{s: pc.fill_null(both[s], 0.0) for s in ("before", "after")}}
    )
    return filled.filter(pc.not_equal(filled["before"], filled["after"])).sort_by("instrument")


def driver_table(old: State, new: State, account: str) -> pa.Table:
    """A factor a row, of those that can move the account in either run: its level, and its forecast volatility a row of
    history (that of `fhs`, else of `monte_carlo`), in both; null where a run does not have it.
    """
    sides = []
    for run, side in ((old, "before"), (new, "after")):
        row = run.book.accounts.name.index(account).as_py()
        own = of_accounts(run.book, np.array([row] if row >= 0 else [], dtype=np.int64)).positions
        f, model = run.factors, run.config.fhs or run.config.monte_carlo
        rows = factors_of(run.book, run.config, f, own.instrument[own.quantity != 0])
        sigma = np.full(len(f.names), np.nan) if model is None else forecast(run, model)
        sides.append(
            pa.table(
                {
                    "factor": pa.array([f.names[one] for one in rows], pa.string()),
                    f"level_{side}": numbers(factor_levels(run.book, run.config, f)[rows]),
                    f"volatility_{side}": numbers(sigma[rows]),
                }
            )
        )
    both = sides[0].join(sides[1], "factor", join_type="full outer")
    order = ("factor", "level_before", "level_after", "volatility_before", "volatility_after")
    return both.select(order).sort_by("factor")
