"""Defaulters' books taken together, at the market that a scenario leaves: what is to be closed out."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from cpu_reference.price import Valuation
from cpu_reference.types import OPTION
from gpu_var import engine
from gpu_var.cells import Cells, cells_of
from gpu_var.margin.addons import N_BUCKETS, Sensitivities, sensitivities, vega_bucket
from gpu_var.margin.measured import Measured
from gpu_var.market.curves import years_to
from gpu_var.market.state import Underlying, shocks, underlyings
from gpu_var.scenarios.fhs import historical
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.scenarios.monte_carlo import monte_carlo
from gpu_var.stress.close_out import Exposures
from gpu_var.stress.factor_law import factor_law
from gpu_var.stress.moved_market import moved
from gpu_var.tables.book import F8, I8, Accounts, Book, Collateral, Positions
from gpu_var.tables.findings import listed


@dataclass(frozen=True)
class DefaultedBook:
    """What some accounts hold together, by underlying."""

    underlying: tuple[str, ...]  # (n_u,)
    exposures: Exposures
    delta: F8  # (n_u,) units of the underlying, signed
    vega: F8  # (n_u,) Σ|vega| by bucket, per 1.00 of volatility, the underlying's currency
    notes: tuple[str, ...]
    revaluations: int  # of this book, one a scenario


def defaulted_book(m: Measured, accounts: I8, shock: F8, spreads: float = 1.0, adv: float = 1.0) -> DefaultedBook:
    """What some accounts hold, to be closed out after a scenario.

    Their positions are netted, for they are sold into one market; collateral among them is left out. Greeks and prices
    are those of the market after the scenario (`moved_market`), from which the book is then revalued in a day's moves:
    those of [fhs], or else of [monte_carlo], over √h. σ is today's of the same filter.

    Args:
        m: the measured book.
        accounts: (n,) rows of its accounts.
        shock: (F,) of the scenario as the engine takes it; zeros for today's market.
        spreads, adv: what the scenario multiplies half-spreads and daily volumes by.
    """
    book, config = _together(m.book, accounts), m.config
    parts = [
        moved(book, config, m.factors, part, shock) for part in underlyings(book, config, np.flatnonzero(book.held))
    ]
    cells = cells_of(book)
    at = cells.underlying.astype(np.int64)
    spot = np.array([part.spot for part in parts])  # cells and parts both ascend by underlying, one each
    rate = np.array([part.fx for part in parts])
    valuation = _valued(m, parts)
    greeks = sensitivities(book, config, cells, valuation, np.asarray(m.fx))
    h = config.holding_period_days
    daily = _moves(m) / np.sqrt(h)
    law = factor_law(book, config, m.factors, m.backend, np.ones(len(shock), np.bool_))
    sigma = np.zeros(len(shock)) if law is None else law.deviation / np.sqrt(h)
    linear = np.zeros((len(at), len(daily)))
    for cell, part in enumerate(parts):
        after = shocks(book, config, m.factors, part, daily).at(0).spot
        linear[cell] = greeks.delta[cell] * (after - spot[cell]) * rate[cell]

    u = book.underlyings
    level = np.where(u.normal[at], 1.0, spot) * rate
    own = m.factors.spot[at]
    by_spot = np.where(own >= 0, sigma[own], 0.0)
    delta_money = np.abs(greeks.delta) * level
    by_volatility = _volatility_money(book, m, cells, valuation, sigma)
    exposures = Exposures(
        delta_sigma=delta_money * by_spot,
        vega_sigma=by_volatility * rate,
        delta_size=_known(np.abs(greeks.delta) / (u.adv[at] * adv)),
        vega_size=_known(greeks.bucket_vega / (u.vega_adv[at] * adv)),
        delta_spread=_known(delta_money * u.half_spread[at] * spreads),
        vega_spread=_known(greeks.bucket_vega * u.vol_half_spread[at] * spreads * rate),
        pnl=_pnl(book, m, parts, cells, daily),
        linear=linear,
    )
    notes = _missing(book, at, greeks)
    if law is None:
        notes.append("close-out: neither [fhs] nor [monte_carlo]: impact is 0, and the remaining risk is not known")
    names = tuple(str(u.name[int(row)]) for row in at)
    return DefaultedBook(names, exposures, greeks.delta, greeks.bucket_vega, tuple(notes), len(daily) if parts else 0)


def _moves(m: Measured) -> F8:
    """(n_scenarios, F) over the holding period: those of [fhs], else of [monte_carlo]; none without either."""
    if m.config.fhs is not None:
        return historical(m.book, m.config, m.factors, m.backend).shock
    if m.config.monte_carlo is not None:
        with ThreadPoolExecutor(m.threads) as pool:
            return monte_carlo(m.book, m.config, m.factors, m.backend, pool).shock
    return np.zeros((0, len(m.factors.names)))


def _together(book: Book, accounts: I8) -> Book:
    """A book of one account that holds what some accounts hold, without their collateral."""
    p = book.positions
    chosen = np.zeros(len(book.accounts.house), dtype=np.bool_)
    chosen[accounts] = True
    last = len(book.instruments.kind) if book.pledged is None else book.pledged.instrument
    own = chosen[p.account] & (p.instrument < last)
    total = np.asarray(np.bincount(p.instrument[own], p.quantity[own], len(book.instruments.kind)), np.float64)
    rows = np.flatnonzero(total).astype(np.int32)
    none = np.zeros(0, dtype=np.int32)
    return replace(
        book,
        accounts=Accounts(pa.array([""], pa.string()), pa.nulls(1, pa.string()), np.zeros(1, dtype=np.bool_)),
        positions=Positions(np.zeros(len(rows), np.int32), rows, total[rows]),
        collateral=Collateral(none, pa.array([], pa.string()), np.zeros(0)),
    )


def _valued(m: Measured, parts: list[Underlying]) -> Valuation:
    """Greeks in the moved markets, over all instruments of the book."""
    out = Valuation(*(np.full(len(m.book.instruments.kind), np.nan) for _ in Valuation._fields))
    for part in parts:
        for column, values in zip(out, m.backend.price(part.instruments, part.market, False), strict=True):
            column[part.row] = values
    return out


def _pnl(book: Book, m: Measured, parts: list[Underlying], cells: Cells, daily: F8) -> F8:
    """(n_cells, n_scenarios) of a day's moves from the moved market, gains positive.

    Raises:
        ArithmeticError: one that is not finite.
    """
    if not parts or not len(daily):
        return np.zeros((len(cells.account), len(daily)))
    probe = ScenarioSet("stress.close_out", [str(i) for i in range(len(daily))], daily, 0, ranked=False)
    with threadpool_limits(limits=1, user_api="blas"):
        revalued = engine.revalue(
            book, m.config, m.factors, parts, [probe], cells, m.backend, m.threads, m.precision, keep_cells=True
        )
    assert revalued.cell_pnl is not None
    pnl = revalued.cell_pnl[probe.model]
    if not np.isfinite(pnl).all():
        raise ArithmeticError("a profit or loss is not finite after the scenario; expected a smaller one")
    return pnl


def _volatility_money(book: Book, m: Measured, cells: Cells, valuation: Valuation, sigma: F8) -> F8:
    """(n_cells,) Σ_bucket |Σ vega·σ·v| in the underlying's currency, v the daily volatility of ln σ at the expiry."""
    i, p = book.instruments, book.positions
    held = p.quantity != 0.0
    at, quantity = p.instrument[held], p.quantity[held]
    years = years_to(i.expiry[at], m.config.as_of_us)
    daily = np.zeros(len(at))
    for u in cells.underlying.tolist():
        tenors, own = m.factors.iv[u], i.underlying[at] == u
        if len(tenors.factor):
            daily[own] = np.interp(years[own], tenors.years, sigma[tenors.factor])
    option = i.kind[at] == OPTION
    money = np.where(option, quantity * i.multiplier[at] * valuation.vega[at] * valuation.iv[at] * daily, 0.0)
    place = cells.of_position * N_BUCKETS + vega_bucket(years, valuation.bucket_delta[at])
    by_bucket = np.bincount(place, np.nan_to_num(money), len(cells.account) * N_BUCKETS)
    return np.asarray(np.abs(by_bucket.reshape(-1, N_BUCKETS)).sum(axis=1))


def _known(amount: F8) -> F8:
    """0 where the underlying's optional figure is missing, which a note names."""
    return np.where(np.isnan(amount), 0.0, amount)


def _missing(book: Book, at: I8, greeks: Sensitivities) -> list[str]:
    """Notes on what costs nothing because the book does not say what it costs."""
    u = book.underlyings
    notes = []
    for column, needed, what in (
        (u.adv, greeks.delta != 0.0, "adv: no impact of their delta"),
        (u.half_spread, greeks.delta != 0.0, "half_spread: no spread on their delta"),
        (u.vega_adv, greeks.bucket_vega != 0.0, "vega_adv: no impact of their vega"),
        (u.vol_half_spread, greeks.bucket_vega != 0.0, "vol_half_spread: no spread on their vega"),
    ):
        rows = at[np.isnan(column[at]) & needed]
        if len(rows):
            notes.append(f"close-out: underlyings without {what}: {listed(str(u.name[int(r)]) for r in rows)}")
    return notes
