"""Scan arrays: every position revalued on the grid, added up by account, underlying and expiry.

By the nature of an array an option keeps its own volatility wherever the price goes (sticky strike), whatever the
configuration says of the smile; the grid's volatility moves shift it. Rates and exchange rates stay as they are.
"""

from collections.abc import Callable

import numpy as np

from cpu_reference.price import Valuation
from cpu_reference.smile import smile_variance
from cpu_reference.types import FUTURE, OPTION, PERPETUAL, Instruments, Market, Shocks
from gpu_var.backend import Backend
from gpu_var.cells import Cells
from gpu_var.engine_scan import Part, Pass, revalue_passes
from gpu_var.margin.scan.grid import Grid, price_levels, price_moves, vol_growth, vol_step
from gpu_var.margin.scan.result import RiskArrays
from gpu_var.market.state import FLOOR, Underlying, underlyings
from gpu_var.tables.book import F8, I8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.config_scan import Scan

BUMP = 1e-4
"""Half the width of a delta's central difference, relative to the price."""


def scan_market(book: Book, config: Config, scan: Scan, parts: list[Underlying]) -> list[Underlying]:
    """The underlyings held, with positions that roll by the look-ahead, or not at all."""
    if not scan.look_ahead_days:
        unrolled = [part.market._replace(horizon=part.market.today) for part in parts]
        return [part._replace(market=market) for part, market in zip(parts, unrolled, strict=True)]
    rolled = config.model_copy(update={"roll": True, "holding_period_days": scan.look_ahead_days})
    return underlyings(book, rolled, np.flatnonzero(book.held))


def risk_arrays(
    book: Book,
    config: Config,
    scan: Scan,
    grid: Grid,
    cells: Cells,
    parts: list[Underlying],
    valuation: Valuation,
    fx: F8,
    backend: Backend,
    threads: int,
    probe: Callable[[Underlying], Shocks] | None = None,
    n_probes: int = 0,
) -> RiskArrays:
    """Profit and loss of every group in every scenario of the grid, and its composite delta.

    Args:
        parts: the underlyings held, of `engine.value`.
        valuation: over all instruments of the book, NaN for those that nobody holds.
        fx: (n_currencies,) base currency for one unit.
        probe: further markets of an underlying, `n_probes` of them, for contingencies.
    """
    p, i = book.positions, book.instruments
    held = p.quantity != 0
    at, quantity = p.instrument[held], p.quantity[held]
    groups, cell, expiry = _groups(cells, i.expiry[at])

    parts = scan_market(book, config, scan, parts)
    n, points = len(grid.price), len(scan.delta_points)
    passes: list[Part] = []
    step = np.ones((len(parts), points))
    width = n + 2 * points + n_probes
    for row, part in enumerate(parts):
        name = book.underlyings.name[part.position].as_py()
        levels, step[row] = _levels(scan, grid, part, name)
        further = None if probe is None else probe(part)
        price = valuation.price[part.row] if scan.look_ahead_days else None
        passes.append(Part(part, price, _passes(scan, grid, part, name, levels, further)))
    pnl = revalue_passes(book, groups, passes, width, backend, threads)

    up, down = pnl[:, n : n + points], pnl[:, n + points : n + 2 * points]
    of_part = np.searchsorted([part.position for part in parts], groups.underlying)
    rate = fx[book.underlyings.currency[groups.underlying]]
    weight = np.array([w for _, w in scan.delta_points])
    with np.errstate(all="ignore"):  # a group that is not finite is found, and named, where accounts are measured
        delta = ((up - down) / step[of_part]) @ weight / rate
        worth = quantity * i.multiplier[at] * valuation.price[at] * fx[book.underlyings.currency[i.underlying[at]]]
    cash = book.cash[groups.underlying]
    pnl[cash], delta[cash] = 0.0, 0.0  # collateral in a currency: a scan moves no exchange rate
    worth[np.isin(i.kind[at], (FUTURE, PERPETUAL))] = 0.0
    value = np.bincount(groups.of_position, worth, len(cell))
    return RiskArrays(cell, expiry, pnl[:, :n], np.asarray(value, dtype=np.float64), delta, pnl[:, n + 2 * points :])


def _groups(cells: Cells, expiry: I8) -> tuple[Cells, I8, I8]:
    """The (cell, expiry) pairs that hold something, as portfolios of the engine; their cell; their expiry."""
    dates, code = np.unique(expiry, return_inverse=True)
    key, of_position = np.unique(cells.of_position * len(dates) + code.reshape(-1), return_inverse=True)
    cell = key // max(1, len(dates))
    groups = Cells(cells.account[cell], cells.underlying[cell], of_position.reshape(-1))
    return groups, cell, dates[key % max(1, len(dates))]


def vol_today(instruments: Instruments, market: Market) -> F8:
    """(n,) the volatility that each live option has today, its own or the surface's; NaN for all else."""
    vol = np.full(len(instruments.kind), np.nan)
    option = np.flatnonzero(instruments.kind == OPTION)
    option = option[market.today.years[instruments.maturity[option]] > 0.0]
    maturity, strike = instruments.maturity[option], instruments.strike[option]
    forward = market.today.forward[maturity]
    moneyness = strike - forward if market.normal else np.log(strike / forward)
    own = instruments.vol[option]
    surface = np.sqrt(smile_variance(market.smile_today, maturity, moneyness))
    vol[option] = np.where(np.isnan(own), surface, own)
    return vol


def _levels(scan: Scan, grid: Grid, part: Underlying, name: str) -> tuple[F8, F8]:
    """Prices of an underlying in the grid's scenarios, above and below each delta point; and the distance between the
    two prices of each delta point."""
    spot, normal = part.spot, part.market.normal
    reach = scan.parameter("price_range", name)
    multiple = np.array([m for m, _ in scan.delta_points])
    point = price_levels(multiple * reach, scan.price_range_in, spot, normal)
    scale = np.abs(point) + (reach if scan.price_range_in == "absolute" else 0.0) if normal else point
    bump = BUMP * np.where(scale > 0.0, scale, 1.0)
    above, below = point + bump, point - bump
    moved = price_levels(price_moves(scan, grid, name), scan.price_range_in, spot, normal)
    return np.concatenate([moved, above, below]), above - below


def _passes(scan: Scan, grid: Grid, part: Underlying, name: str, levels: F8, further: Shocks | None) -> list[Pass]:
    """The scenarios of an underlying by volatility level, today's first.

    A relative move is the same growth for all options of a maturity, so that one pass has them all; an absolute move
    is another growth for each option.

    Args:
        levels: (n_columns,) prices of the underlying; those of the grid come first, the others leave volatilities.
        further: markets of more columns, which leave volatilities too.
    """
    years = part.market.today.years
    both = part.instruments, part.listed
    today = vol_today(part.instruments, part.market), vol_today(part.listed, part.market)
    multiple = np.zeros(len(levels))
    multiple[: len(grid.vol)] = grid.vol
    if scan.vol_range_in == "relative":
        shocks = _shocks(part, levels, vol_growth(scan, multiple, years, name))
        return [_joined(Pass(today, shocks, np.arange(len(levels))), further, len(levels))]
    passes = []
    for m in sorted(set(multiple.tolist()), key=abs):
        column = np.flatnonzero(multiple == m)
        step = vol_step(scan, m, years, name)
        moved = [
            np.maximum(iv + step[some.maturity], FLOOR * iv) if m else iv for iv, some in zip(today, both, strict=True)
        ]
        shocks = _shocks(part, levels[column], np.ones((len(years), len(column))))
        passes.append(Pass((moved[0], moved[1]), shocks, column))
    return [_joined(passes[0], further, len(levels)), *passes[1:]]


def _shocks(part: Underlying, spot: F8, growth: F8) -> Shocks:
    """Markets in which the price of the underlying is given: forwards move with it, rates and currencies stay."""
    market, horizon = part.market, part.market.horizon
    base = horizon.forward[:, None]
    forward = base + (spot - part.spot) if market.normal else base * (spot / part.spot)
    return Shocks.of_levels(
        market.normal,
        spot=spot,
        fx=np.full(len(spot), part.fx),
        forward=np.where(horizon.years[:, None] > 0.0, forward, spot),
        rate=np.repeat(horizon.rate[:, None], len(spot), axis=1),
        vol_growth=growth,
    )


def _joined(one: Pass, further: Shocks | None, first: int) -> Pass:
    """A pass with further scenarios, which fill the columns from `first` on."""
    if further is None:
        return one
    # Both are of levels, and so share their rows.
    both = [
        np.concatenate([getattr(s, name) for s in (one.shocks, further)], axis=1)
        for name in ("move", "fx", "rate", "vol_growth")
    ]
    shocks = one.shocks._replace(move=both[0], fx=both[1], rate=both[2], vol_growth=both[3])
    return one._replace(shocks=shocks, column=np.concatenate([one.column, first + np.arange(further.n_scenarios)]))
