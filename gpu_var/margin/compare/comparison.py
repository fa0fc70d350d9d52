"""The accounts of a book under every method, as a table."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from gpu_var import engine
from gpu_var.backend import Name
from gpu_var.margin import collateral
from gpu_var.margin.charges import charges
from gpu_var.margin.columns import numbers
from gpu_var.margin.compare import fully_collateralised, isolated, reg_t
from gpu_var.margin.compare.cross import Pools
from gpu_var.margin.compare.positions import Held, held
from gpu_var.margin.compare.segments import totals
from gpu_var.margin.measured import Measured
from gpu_var.margin.requirement import measured, requirement
from gpu_var.market.factors import Factors
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.tables.book import F8, Book, Bool
from gpu_var.tables.config import Config
from gpu_var.tables.config_compare import Compare, RegT

METHODS = ("isolated", "cross", "reg_t", "fully_collateralised", "portfolio")
"""Columns of the table, the margin under each method."""


@dataclass(frozen=True)
class Comparison:
    """A row an account, in the order of the book."""

    table: pa.Table
    notes: list[str]


def compare(
    book: Book,
    config: Config,
    factors: Factors,
    *,
    backend: Name = "cpu",
    precision: str = "float64",
    threads: int | None = None,
    progress: engine.Progress = engine.nothing,
) -> Comparison:
    """Margin every account under each of `METHODS`; arguments as for `requirement`.

    Returns:
        Columns (text, or float64 in base currency, null where there is nothing to say or the account has failed):
        account, currency, status; positions, those that are not zero; notional, gross; net_value of options and spot
        held; premium_sold, what the options held short are worth; collateral, after haircuts where [collateral] has
        some; equity = collateral + net_value, null without collateral; the margin under each method; saving_vs_isolated
        and saving_vs_reg_t = 1 − portfolio/other; utilisation_METHOD = margin/equity, null where equity is not
        positive; maintenance, of the portfolio (its margin without [maintenance]); liquidation_buffer = equity −
        maintenance, and equity_to_maintenance; margin_per_notional, of the portfolio; volume, where `accounts` gives
        it, and volume_to_collateral.

    Raises:
        ValueError: [compare.reg_t] names an underlying that the book does not have.
    """
    units = partial(measured, config=config, factors=factors, backend=backend, precision=precision, threads=threads)
    run = requirement(book, config, factors, backend=backend, precision=precision, threads=threads, progress=progress)
    m, rules = run.measured, (config.compare or Compare()).reg_t
    n, broken, sets, own = len(m.book.accounts.house), m.broken, list(m.sets.values()), m.book
    notes, status = run.notes, run.tables["margin"]["status"]
    with np.errstate(over="ignore", invalid="ignore"):  # as when measured: what is not finite has failed
        positions = held(own, m.valuation, m.fx)
        portfolio = np.asarray(run.tables["margin"]["margin"].to_numpy(), dtype=np.float64)
        maintenance = collateral.maintenance_margin(m, portfolio)
        del run, m  # the portfolios' profit and loss makes room for that of single contracts
        alone, pooled = _position_by_position(own, positions, config, sets, units, progress)
        margin = {
            "isolated": alone,
            "cross": pooled,
            "reg_t": reg_t.margins(positions, rules, broad_index(own, rules), config.as_of_us, n),
            "fully_collateralised": fully_collateralised.margins(positions, n),
            "portfolio": portfolio,
        }
        least = portfolio if maintenance is None else maintenance
        return Comparison(_table(own, config, positions, margin, least, status, broken), notes)


def _position_by_position(
    book: Book,
    positions: Held,
    config: Config,
    sets: list[ScenarioSet],
    units: Callable[..., Measured],
    progress: engine.Progress,
) -> tuple[F8, F8]:
    """(n_accounts,) isolated and cross margin, from single contracts; `units` measures a book of them."""
    n = len(book.accounts.house)
    pools, alone, added = Pools(n), np.zeros(len(positions.account)), np.zeros(len(positions.account))
    place = np.full(len(book.instruments.kind), -1, dtype=np.int64)
    parts = list(isolated.chunks(book, np.unique(positions.instrument), sum(len(s.name) for s in sets)))
    for done, part in enumerate(parts):
        progress("single positions", done / len(parts))
        m = units(isolated.unit_book(book, part), sets=sets)
        place[:] = -1
        place[part] = np.arange(len(part))
        mine = np.flatnonzero(place[positions.instrument] >= 0)
        row = 2 * place[positions.instrument[mine]] + (positions.quantity[mine] < 0)
        size = np.abs(positions.quantity[mine])
        needs = isolated.alone(m, charges(m), row, size)
        alone[mine], added[mine] = needs.margin, needs.added
        pools.add(m, positions.account[mine], row, size)
    progress("single positions", 1.0)
    pooled = pools.core(config) + totals(positions.account, added, n)
    return np.maximum(totals(positions.account, alone, n), 0.0), np.maximum(pooled, 0.0)


def broad_index(book: Book, rules: RegT) -> Bool:
    """(n_underlyings,): the lower rate of naked options applies.

    Raises:
        ValueError: a name that is no underlying of the book.
    """
    known = book.underlyings.name.to_pylist()
    for name in rules.broad_index:
        if name not in known:
            raise ValueError(f"compare.reg_t.broad_index: {name!r} is no underlying; expected names of underlyings")
    return np.isin(np.array(known, dtype=object), np.array(rules.broad_index, dtype=object))


def equity(book: Book, config: Config) -> F8:
    """(n_accounts,) collateral in base currency, after haircuts where there are some; NaN where none is given."""
    pool = collateral.pool(book, config)
    given = np.isin(np.arange(len(book.accounts.house)), book.collateral.account)
    value = pool.market_value if config.collateral is None else pool.value
    return np.where(given, value, np.nan)


def _table(
    book: Book,
    config: Config,
    positions: Held,
    margin: dict[str, F8],
    maintenance: F8,
    status: "pa.ChunkedArray[pa.StringScalar]",
    broken: Bool,
) -> pa.Table:
    n = len(broken)
    posted = equity(book, config)

    def by_account(amount: F8) -> F8:
        return totals(positions.account, amount, n)

    net = by_account(positions.value)
    notional = by_account(positions.notional)
    sold = positions.option & (positions.units < 0)
    has = posted + net
    volume = np.full(n, np.nan) if book.accounts.volume is None else book.accounts.volume
    portfolio = margin["portfolio"]
    columns = {
        "positions": by_account(np.ones(len(positions.account))),
        "notional": notional,
        "net_value": net,
        "premium_sold": by_account(np.where(sold, -positions.value, 0.0)),
        "collateral": posted,
        "equity": has,
        **{method: margin[method] for method in METHODS},
        "saving_vs_isolated": 1.0 - share(portfolio, margin["isolated"]),
        "saving_vs_reg_t": 1.0 - share(portfolio, margin["reg_t"]),
        **{f"utilisation_{method}": share(margin[method], has) for method in METHODS},
        "maintenance": maintenance,
        "liquidation_buffer": has - maintenance,
        "equity_to_maintenance": share(has, maintenance),
        "margin_per_notional": share(portfolio, notional),
        "volume": volume,
        "volume_to_collateral": share(volume, posted),
    }
    return pa.table(
        {
            "account": book.accounts.name,
            "currency": pa.array([config.base_currency] * n, pa.string()),
            "status": status,
            **{
                name: numbers(np.where(broken | ~np.isfinite(column), np.nan, column))
                for name, column in columns.items()
            },
        }
    )


def share(part: F8, whole: F8) -> F8:
    """part/whole, NaN where the whole is not positive."""
    positive = whole > 0
    return np.where(positive, part / np.where(positive, whole, 1.0), np.nan)


@dataclass(frozen=True)
class Total:
    """A method over all accounts that have not failed; base currency, NaN where there is nothing to divide by."""

    method: str
    margin: float
    saving: float  # of the portfolio against it, 1 − portfolio/margin
    utilisation: float  # margin/equity of the accounts with collateral
    per_notional: float


def totals_of(table: pa.Table) -> list[Total]:
    """A row for each of `METHODS`, of a comparison's table."""
    column = {name: np.asarray(table[name].to_numpy(), dtype=np.float64) for name in (*METHODS, "equity", "notional")}
    posted = np.isfinite(column["equity"])
    portfolio, has = np.nansum(column["portfolio"]), column["equity"][posted].sum()
    out = []
    for method in METHODS:
        margin = float(np.nansum(column[method]))
        used = np.nansum(column[method][posted])
        ratios = share(np.array([portfolio, used, margin]), np.array([margin, has, np.nansum(column["notional"])]))
        out.append(Total(method, margin, 1.0 - float(ratios[0]), float(ratios[1]), float(ratios[2])))
    return out
