"""One underlying at a time: its instruments in the backend's order, its market today, its market in the scenarios."""

from typing import NamedTuple

import numpy as np

from cpu_reference.types import Instruments, Market, Maturities, Shocks
from gpu_var.market.curves import forward, forward_from_rate, years_to, zero_rate
from gpu_var.market.factors import Factors, Tenors
from gpu_var.market.surface import smile
from gpu_var.tables.book import F8, I8, NO_EXPIRY, Book
from gpu_var.tables.config import Config

FLOOR = 0.01
"""Smallest growth under simple returns."""


class Underlying(NamedTuple):
    """What the engine needs of one underlying."""

    position: int  # row of Book.underlyings
    row: I8  # (n,) rows of Book.instruments, in the order of `instruments`
    instruments: Instruments
    market: Market
    listed: Instruments  # every American option of the book that shares underlying, expiry and right with one of them


def growth(shock: F8, returns: str) -> F8:
    """exp(x), or max(1 + x, 0.01) under simple returns."""
    return np.exp(shock) if returns == "log" else np.maximum(1.0 + shock, FLOOR)


def fx_rates(book: Book, base_currency: str) -> F8:
    """(n_currencies,) base currency for one unit; the base itself is 1."""
    fx = book.currencies.fx.copy()
    if base_currency in book.currencies.name:
        fx[book.currencies.name.index(base_currency)] = 1.0
    return fx


def underlyings(book: Book, config: Config, rows: I8) -> list[Underlying]:
    """The underlyings of some instruments, ascending by their row.

    Args:
        rows: rows of Book.instruments.
    """
    if not rows.size:
        return []
    i = book.instruments
    listed = _listed(book, rows)
    own, others = (np.zeros(len(i.kind), dtype=np.bool_) for _ in range(2))
    own[rows], others[listed] = True, True
    # Mostly all that is listed is held, and then one order serves both.
    ordered = _sorted(book, np.concatenate([rows, listed[~own[listed]]]))
    rows, listed = ordered[own[ordered]], ordered[others[ordered]]
    owner, owner_listed = i.underlying[rows], i.underlying[listed]
    begin = np.flatnonzero(np.diff(owner, prepend=-1))
    present = owner[begin]
    edges = np.searchsorted(owner_listed, present)
    fx = fx_rates(book, config.base_currency)
    return [
        _underlying(book, config, int(u), part, others, float(fx[book.underlyings.currency[u]]))
        for u, part, others in zip(present, np.split(rows, begin[1:]), np.split(listed, edges[1:]), strict=True)
    ]


def _sorted(book: Book, rows: I8) -> I8:
    """Rows of instruments in the order in which the backends take them."""
    i = book.instruments
    expiries = np.unique(i.expiry[rows])
    key = i.underlying[rows].astype(np.int64)
    for column, n in (
        (np.searchsorted(expiries, i.expiry[rows]), len(expiries)),
        (i.kind[rows], 4),
        (i.sign[rows] + np.int8(1), 3),
        (i.american[rows], 2),
        (np.isnan(i.iv[rows]), 2),
    ):
        key *= n
        key += column
    strike = i.strike[rows]
    bits = strike.view(np.int64)  # ascending as the numbers are, NaN last, where none has a sign
    order = np.argsort(strike, kind="stable") if bits.min(initial=0) < 0 else _counted(bits, None)
    return rows[_counted(key, order)]


def _counted(key: I8, order: I8 | None) -> I8:
    """The order of numbers from 0 on, ties in the order given: 16 bits at a time, which NumPy sorts by counting."""
    order = np.arange(len(key)) if order is None else order
    for shift in range(0, int(key.max(initial=0)).bit_length(), 16):
        order = order[np.argsort((key >> shift).astype(np.uint16)[order], kind="stable")]
    return order


def _listed(book: Book, rows: I8) -> I8:
    """Rows of all American options that share underlying, expiry and right with one of the rows."""
    i = book.instruments
    american = np.flatnonzero(i.american)
    if not i.american[rows].any():
        return american[:0]
    wanted = np.zeros(len(i.kind), dtype=np.bool_)
    wanted[rows] = True
    if wanted[american].all():
        return american
    expiry = np.searchsorted(np.unique(i.expiry[american]), i.expiry[american])
    series = (i.underlying[american] * np.int64(expiry.max() + 1) + expiry) * 2 + (i.sign[american] > 0)
    return american[np.isin(series, series[wanted[american]])]


def _underlying(book: Book, config: Config, u: int, rows: I8, listed: I8, fx: float) -> Underlying:
    i = book.instruments
    dated = i.expiry[rows]
    expiries = np.unique(dated[dated != NO_EXPIRY])
    as_of = config.as_of_us
    years = years_to(expiries, as_of)

    today = _maturities(book, u, years, as_of)
    horizon = _maturities(book, u, years - config.holding_period_days / 365.0, as_of) if config.roll else today
    smile_today = smile(book, u, today, as_of)
    instruments = _instruments(book, rows, expiries)
    # Mostly all that is listed is held.
    every = len(listed) == np.count_nonzero(instruments.american)
    return Underlying(
        u,
        rows,
        instruments,
        Market(
            normal=bool(book.underlyings.normal[u]),
            sticky_strike=config.smile == "sticky_strike",
            forward_from_rate=forward_from_rate(book, u, as_of),
            spot=float(book.underlyings.spot[u]),
            fx=fx,
            today=today,
            horizon=horizon,
            smile_today=smile_today,
            smile_horizon=smile(book, u, horizon, as_of) if config.roll else smile_today,
        ),
        instruments.cut(np.flatnonzero(instruments.american)) if every else _instruments(book, listed, expiries),
    )


def _instruments(book: Book, rows: I8, expiries: I8) -> Instruments:
    i = book.instruments
    expiry = i.expiry[rows]
    maturity = np.where(expiry == NO_EXPIRY, -1, np.searchsorted(expiries, expiry)).astype(np.intp)
    return Instruments(
        kind=i.kind[rows],
        maturity=maturity,
        strike=i.strike[rows],
        sign=i.sign[rows],
        american=i.american[rows],
        inverse=i.inverse[rows],
        multiplier=i.multiplier[rows],
        vol=i.iv[rows],
    )


def _maturities(book: Book, u: int, years: F8, as_of: int) -> Maturities:
    rate = zero_rate(book, int(book.underlyings.currency[u]), years, as_of)
    return Maturities(years, forward(book, u, years, rate, as_of), rate)


def shocks(book: Book, config: Config, factors: Factors, underlying: Underlying, shock: F8) -> Shocks:
    """The underlying's market in each scenario.

    A spot shock moves every forward alike, unless the underlying has `forward:` factors; a rate shock moves discounting
    and, where F comes from the rate, F; an `iv` shock multiplies σ. Shocks between tenors are linear in T, flat beyond.

    Args:
        shock: (n_scenarios, n_factors) returns, or differences for additive factors.
    """
    u, market = underlying.position, underlying.market
    horizon = market.horizon
    years = horizon.years[:, None]
    n = len(shock)
    every = (len(horizon.years), n)
    currency = int(book.underlyings.currency[u])

    # What is the same in all scenarios, or at all maturities, is one column, or one row, until the end.
    x_spot = shock[:, factors.spot[u]] if factors.spot[u] >= 0 else np.zeros(n)
    x_rate = _between(factors.rate[currency], horizon.years, shock, np.zeros((1, 1)))
    x_forward = _between(factors.forward[u], horizon.years, shock, x_spot[None])
    x_iv = _between(factors.iv[u], horizon.years, shock, np.zeros((1, 1)))

    base = horizon.forward[:, None]
    if market.forward_from_rate:
        base = base * np.exp(x_rate * years)
    if market.normal:
        spot, forwards = market.spot + x_spot, base + x_forward
    else:
        spot = market.spot * growth(x_spot, config.returns)
        forwards = base * growth(x_forward, config.returns)
    fx_factor = int(factors.fx[currency])
    fx_growth = growth(shock[:, fx_factor], config.returns) if fx_factor >= 0 else np.ones(n)
    return Shocks(
        spot=spot,
        fx=market.fx * fx_growth,
        forward=forwards if (years > 0.0).all() else np.where(years > 0.0, forwards, spot),
        rate=np.broadcast_to(horizon.rate[:, None] + x_rate, every),
        vol_growth=np.broadcast_to(growth(x_iv, config.returns), every),
    )


def _between(tenors: Tenors, years: F8, shock: F8, otherwise: F8) -> F8:
    """(n_maturities, n_scenarios) shock at each maturity, linear in T between the tenors, flat beyond: one row where
    there is one tenor, and `otherwise` without any."""
    if len(tenors.years) == 0:
        return otherwise
    if len(tenors.years) == 1:
        return np.asarray(shock[:, tenors.factor[0]][None])
    weight = np.stack([np.interp(years, tenors.years, unit) for unit in np.eye(len(tenors.years))], axis=1)
    out = np.zeros((len(years), len(shock)))
    for column, factor in zip(weight.T, tenors.factor, strict=True):
        out += column[:, None] * shock[:, factor]
    return out
