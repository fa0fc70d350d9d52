"""The scan of a book: from arrays to what every account and cell is asked for."""

from functools import partial

import numpy as np
from scipy.sparse import csr_array

from cpu_reference.price import Valuation
from cpu_reference.types import OPTION
from gpu_var.backend import Backend
from gpu_var.cells import Cells
from gpu_var.margin.scan.arrays import risk_arrays
from gpu_var.margin.scan.contingencies import basis_shocks, contingencies, held_positions
from gpu_var.margin.scan.credits import inter_commodity
from gpu_var.margin.scan.discount import discount_factors, discounted
from gpu_var.margin.scan.grid import Grid, floored, grid_of, price_levels, price_moves
from gpu_var.margin.scan.result import RiskArrays, ScanResult
from gpu_var.margin.scan.risk import Risk, group_risk, scan_risk, weighted_futures_price_risk
from gpu_var.margin.scan.spreads import days_to, delivery, inter_month, pools, tier_of
from gpu_var.margin.scan.tails import damped, in_underlying
from gpu_var.market.state import Underlying
from gpu_var.tables.book import F8, I4, I8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.config_scan import Scan


def scan(
    book: Book,
    config: Config,
    cells: Cells,
    parts: list[Underlying],
    valuation: Valuation,
    fx: F8,
    backend: Backend,
    threads: int,
) -> ScanResult:
    """Scan every account.

    Cell by cell: the worst of the grid, with inter-month, delivery and contingency charges, less inter-commodity
    credits, and at least the short option minimum. An account is the sum of its cells; with `across = "joint"` it is
    the worst of one grid in which all its underlyings move together, and the charges of its cells.

    Args:
        parts: the underlyings held, of `engine.value`.
        valuation: over all instruments of the book, NaN for those that nobody holds.
        fx: (n_currencies,) base currency for one unit.

    Raises:
        ValueError: [scan] is not enabled.
    """
    table = config.scan
    if table is None:
        raise ValueError("[scan] is not enabled; expected its table in the configuration")
    names: list[str] = book.underlyings.name.to_pylist()
    grid = grid_of(table)
    basis = table.contingency.basis
    probe, n_probes = (None, 0) if basis is None else (partial(basis_shocks, basis), 2)
    arrays = risk_arrays(book, config, table, grid, cells, parts, valuation, fx, backend, threads, probe, n_probes)

    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # a number that is not finite is found where accounts are measured
        pnl = _cell_pnl(book, config, table, grid, cells, arrays, names)
        risk = scan_risk(-pnl, grid)
        columns = _charges(book, config, table, cells, arrays, risk, valuation, fx, names)
        added = np.zeros(len(cells.account))
        for name, column in columns.items():
            if name in _ADDED or name.startswith("contingency_"):
                added += column
        least = columns["short_option_minimum"]
        alone = group_risk(risk.scan, added, np.zeros(len(least)), least)
        columns["risk"] = group_risk(risk.scan, added, columns["inter_commodity_credit"], least)

        n = len(book.accounts.house)
        account_pnl = _sum_rows(pnl, cells.account, n)
        if table.across == "joint":
            joint = scan_risk(-account_pnl, grid)
            extra, minimum = (_sum_rows(c, cells.account, n) for c in (added, least))
            amount, worst = group_risk(joint.worst, extra, np.zeros(n), minimum), joint.active
        else:
            amount = _sum_rows(columns["risk"], cells.account, n)
            worst = _worst(cells, risk, n)
    return ScanResult(
        name=grid.name,
        amount=amount,
        worst_scenario=np.array([f"scan:{name}" for name in grid.name], dtype=object)[worst],
        pnl=account_pnl,
        cell_amount=alone,
        columns=columns,
        failed=_failed(arrays, grid, cells, names),
        notes=_notes(book, table, grid, cells, names),
    )


_ADDED = ("inter_month", "delivery")


def _cell_pnl(
    book: Book, config: Config, table: Scan, grid: Grid, cells: Cells, arrays: RiskArrays, names: list[str]
) -> F8:
    """(n_cells, n_scenarios) profit and loss as the table weighs, discounts, damps and measures it."""
    pnl = arrays.pnl
    if table.discount is not None:
        underlying = cells.underlying[arrays.cell].astype(np.int64)
        factor = discount_factors(book, config.as_of_us, underlying, arrays.expiry, table.discount)
        pnl = discounted(pnl, arrays.value, factor)
    pnl = _sum_rows(pnl, arrays.cell, len(cells.account)) * grid.weight
    if table.numeraire == "underlying" or table.damper is not None:
        multiple, growth = (m[cells.underlying] for m in _moves(book, table, grid, names))
        if table.numeraire == "underlying":
            pnl = in_underlying(pnl, _sum_rows(arrays.value, arrays.cell, len(cells.account)), multiple, growth)
        if table.damper is not None:
            pnl = damped(pnl, multiple, table.damper.amount)
    return pnl


def _moves(book: Book, table: Scan, grid: Grid, names: list[str]) -> tuple[F8, F8]:
    """(n_underlyings, n_scenarios) price moves in units of the range, and S₁/S₀ (normal: 1)."""
    multiple, growth = np.empty((2, len(names), len(grid.price)))
    for u, name in enumerate(names):
        moves = price_moves(table, grid, name)
        multiple[u] = moves / table.parameter("price_range", name)
        spot, normal = float(book.underlyings.spot[u]), bool(book.underlyings.normal[u])
        growth[u] = 1.0 if normal else price_levels(moves, table.price_range_in, spot, normal) / spot
    return multiple, growth


def _sum_rows(rows: F8, into: I4 | I8, n: int) -> F8:
    """(n, …) sums of the rows of a matrix, each into its place, in their order."""
    matrix = csr_array((np.ones(len(into)), (into, np.arange(len(into)))), shape=(n, len(into)))
    return np.asarray(matrix @ rows, dtype=np.float64)


def _charges(
    book: Book,
    config: Config,
    table: Scan,
    cells: Cells,
    arrays: RiskArrays,
    risk: Risk,
    valuation: Valuation,
    fx: F8,
    names: list[str],
) -> dict[str, F8]:
    """Name -> (n_cells,): the scan risk, its parts and what goes with it."""
    n, of_cell = len(cells.account), cells.underlying
    delta = _sum_rows(arrays.composite_delta, arrays.cell, n)
    wfpr = weighted_futures_price_risk(risk.price, delta)
    u = book.underlyings
    rate = fx[u.currency]
    reach = np.array([table.parameter("price_range", name) for name in names])
    price = np.abs(u.spot)
    reach = reach if table.price_range_in == "absolute" else reach * price
    unit = {"flat": rate, "price": rate * price, "range": rate * reach}
    unit = {name: values[of_cell] for name, values in unit.items()} | {"wfpr": wfpr}

    days = days_to(arrays.expiry, config.as_of_us)
    tier = _tiers(table, days, of_cell[arrays.cell], names)
    pool = pools(arrays.composite_delta, arrays.cell, tier, n)
    charge, left = inter_month(pool, names, of_cell, table.inter_month, unit)
    near = delivery(arrays.composite_delta, arrays.cell, tier, days, pool, left, names, of_cell, table.delivery, unit)
    # What is offset is price risk; and what is not at risk needs no credit.
    most = np.minimum(np.maximum(risk.price, 0.0), risk.scan)
    credit = inter_commodity(cells, len(book.accounts.house), left.net, wfpr, most, names, table.inter_commodity)
    columns = {
        "scan_risk": risk.scan,
        "active_scenario": risk.active + 1.0,
        "time_risk": risk.time,
        "volatility_risk": risk.volatility,
        "price_risk": risk.price,
        "composite_delta": delta,
        "weighted_futures_price_risk": wfpr,
        "inter_month": charge,
        "delivery": near,
    }
    on = table.contingency
    if any(getattr(on, name) is not None for name in type(on).model_fields):
        held = held_positions(book, cells, valuation, fx, config.as_of_us)
        extra = contingencies(on, held, risk.scan, arrays.cell, arrays.expiry, arrays.probe)
        columns |= {f"contingency_{name}": amount for name, amount in extra.items()}
    columns["inter_commodity_credit"] = credit
    columns["short_option_minimum"] = _short_option_minimum(book, config, table, cells, fx, names)
    return {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}


def _tiers(table: Scan, days: F8, underlying: I4, names: list[str]) -> I8:
    """(n_groups,) tier of each expiry, by its underlying's own edges."""
    out = np.zeros(len(days), dtype=np.int64)
    edges = [table.tiers(name) for name in names]
    for one in sorted(set(edges)):
        rows = np.array([e == one for e in edges], dtype=np.bool_)[underlying]
        out[rows] = tier_of(days[rows], one)
    return out


def _short_option_minimum(book: Book, config: Config, table: Scan, cells: Cells, fx: F8, names: list[str]) -> F8:
    """(n_cells,) rate × (short calls + short puts) of those that have not expired, or × the larger of the two."""
    i, p, u = book.instruments, book.positions, book.underlyings
    held = p.quantity != 0
    at, quantity = p.instrument[held], p.quantity[held]
    rate = np.array([table.parameter("short_option_minimum", name) for name in names]) * fx[u.currency]
    each = rate[i.underlying[at]] * np.where((i.kind[at] == OPTION) & (i.expiry[at] > config.as_of_us), 1.0, 0.0)
    if table.short_option_minimum_in == "price":
        each = each * i.multiplier[at] * np.abs(u.spot[i.underlying[at]])
    short = each * np.maximum(-quantity, 0.0)
    calls, puts = (
        np.bincount(cells.of_position, np.where(i.sign[at] == sign, short, 0.0), len(cells.account)) for sign in (1, -1)
    )
    return np.asarray(calls + puts if table.short_option_minimum_basis == "sum" else np.maximum(calls, puts))


def _worst(cells: Cells, risk: Risk, n: int) -> I8:
    """(n,) the active scenario of the account's cell with the largest loss, the first on ties."""
    out = np.zeros(n, dtype=np.int64)
    order = np.lexsort((-np.arange(len(risk.worst)), risk.worst, cells.account))
    out[cells.account[order]] = risk.active[order]  # the last one of an account stays
    return out


def _failed(arrays: RiskArrays, grid: Grid, cells: Cells, names: list[str]) -> dict[int, str]:
    """Cell -> why its profit and loss, or its composite delta, is not a number."""
    out: dict[int, str] = {}
    sound = np.isfinite(arrays.pnl)
    for group in np.flatnonzero(~(sound.all(axis=1) & np.isfinite(arrays.composite_delta))).tolist():
        cell = int(arrays.cell[group])
        where = np.flatnonzero(~sound[group])
        what = f"profit and loss on {names[int(cells.underlying[cell])]} is not finite in scan:"
        out.setdefault(cell, what + (grid.name[int(where[0])] if len(where) else "composite delta"))
    return out


def _notes(book: Book, table: Scan, grid: Grid, cells: Cells, names: list[str]) -> list[str]:
    held = set(cells.underlying.tolist())
    bound = []
    for u in sorted(held):
        normal = bool(book.underlyings.normal[u])
        low = floored(price_moves(table, grid, names[u]), table.price_range_in, float(book.underlyings.spot[u]), normal)
        if low.any():
            bound.append(f"{names[u]} ({int(low.sum())})")
    notes = []
    if bound:
        more = f" and {len(bound) - 5:,} more" if len(bound) > 5 else ""
        notes.append(
            "scan: the price of these underlyings was kept at a hundredth of itself in as many scenarios: "
            + ", ".join(bound[:5])
            + more
        )
    return notes
