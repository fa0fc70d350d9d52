"""One underlying at a time: its instruments in the backend's order, its market today, its market in the scenarios."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

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
    own = np.zeros(len(i.kind), dtype=np.bool_)
    own[rows] = True
    ordered = _sorted(book, np.concatenate([rows, listed[~own[listed]]]))
    columns, begin, expiries = _columns(book, ordered)
    american = np.flatnonzero(columns.american)  # who is held is listed itself
    listed_columns, listed_begin = columns.cut(american), np.searchsorted(american, begin)
    position = i.underlying[ordered[begin[:-1]]]
    if len(ordered) > len(rows):
        at = np.flatnonzero(own[ordered])
        ordered, columns, begin = ordered[at], columns.cut(at), np.searchsorted(at, begin)
    fx = fx_rates(book, config.base_currency)
    held, others = ([slice(*pair) for pair in pairwise(edges.tolist())] for edges in (begin, listed_begin))
    return [
        Underlying(u, ordered[at], columns.cut(at), _market(book, config, u, expiry, fx), listed_columns.cut(other))
        for u, at, other, expiry in zip(position.tolist(), held, others, expiries, strict=True)
    ]


def _sorted(book: Book, rows: I8) -> I8:
    """Rows of instruments in the order in which the backends take them."""
    i = book.instruments
    key = i.underlying[rows].astype(np.int64)
    for column, n in (
        _ranks(i.expiry[rows]),
        (i.kind[rows], 4),
        (i.sign[rows] + np.int8(1), 3),
        (i.american[rows], 2),
        (np.isnan(i.iv[rows]), 2),
        _ranks(i.strike[rows] + 0.0),  # −0 is 0
    ):
        key *= n
        key += column
    # 16 bits at a time, which NumPy sorts by counting.
    order = np.argsort((key & 0xFFFF).astype(np.uint16), kind="stable")
    for shift in range(16, int(key.max()).bit_length(), 16):
        order = order[np.argsort((key >> shift).astype(np.uint16)[order], kind="stable")]
    return rows[order]


def _ranks(column: npt.NDArray[Any]) -> tuple[I8, int]:
    """Each number's place among the distinct ones, NaN last, and how many these are: few, so that hashing finds them
    sooner than sorting."""
    encoded = pa.array(column).dictionary_encode()
    distinct = encoded.dictionary.to_numpy()
    place = np.empty(len(distinct), dtype=np.int64)
    place[np.argsort(distinct)] = np.arange(len(distinct))
    return place[encoded.indices.to_numpy()], len(distinct)


def _columns(book: Book, rows: I8) -> tuple[Instruments, I8, list[I8]]:
    """The instruments of sorted rows, where each underlying's begin, the end of the last among it, and its expiries."""
    i = book.instruments
    owner, expiry = i.underlying[rows], i.expiry[rows]
    first = np.ones(len(rows) + 1, dtype=np.bool_)
    np.not_equal(owner[1:], owner[:-1], out=first[1:-1])
    begin = np.flatnonzero(first)
    first[1:-1] |= expiry[1:] != expiry[:-1]
    group = np.cumsum(first)  # from 1
    # What does not expire comes first.
    before = group[begin]
    before[:-1] += expiry[begin[:-1]] == NO_EXPIRY
    distinct = expiry[np.flatnonzero(first[:-1])]
    expiries = [distinct[a - 1 : b - 1] for a, b in zip(before[:-1].tolist(), group[begin[1:]].tolist(), strict=True)]
    columns = Instruments(
        kind=i.kind[rows],
        maturity=group[:-1] - before[:-1].repeat(np.diff(begin)),
        strike=i.strike[rows],
        sign=i.sign[rows],
        american=i.american[rows],
        inverse=i.inverse[rows],
        multiplier=i.multiplier[rows],
        vol=i.iv[rows],
    )
    return columns, begin, expiries


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


def _market(book: Book, config: Config, u: int, expiries: I8, fx: F8) -> Market:
    as_of = config.as_of_us
    years = years_to(expiries, as_of)
    today = _maturities(book, u, years, as_of)
    horizon = _maturities(book, u, years - config.holding_period_days / 365.0, as_of) if config.roll else today
    smile_today = smile(book, u, today, as_of)
    return Market(
        normal=bool(book.underlyings.normal[u]),
        sticky_strike=config.smile == "sticky_strike",
        forward_from_rate=forward_from_rate(book, u, as_of),
        spot=float(book.underlyings.spot[u]),
        fx=float(fx[book.underlyings.currency[u]]),
        today=today,
        horizon=horizon,
        smile_today=smile_today,
        smile_horizon=smile(book, u, horizon, as_of) if config.roll else smile_today,
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
    every = (len(years), len(shock))
    currency = int(book.underlyings.currency[u])

    # What is the same in all scenarios, or at all maturities, is one column, or one row, until the end.
    x_spot = shock[:, factors.spot[u]] if factors.spot[u] >= 0 else np.zeros(len(shock))
    x_rate = _between(factors.rate[currency], horizon.years, shock, np.zeros((1, 1)))
    x_iv = _between(factors.iv[u], horizon.years, shock, np.zeros((1, 1)))

    base = horizon.forward[:, None]
    if market.forward_from_rate:
        base = base * np.exp(x_rate * years)
    moved = x_spot if market.normal else growth(x_spot, config.returns)
    forward_moved = moved[None]
    if len(factors.forward[u].years):
        x_forward = _between(factors.forward[u], horizon.years, shock, x_spot[None])
        forward_moved = x_forward if market.normal else growth(x_forward, config.returns)
    move = np.add if market.normal else np.multiply
    spot, forwards = move(market.spot, moved), move(base, forward_moved)
    forwards[horizon.years <= 0.0] = spot
    fx_factor = int(factors.fx[currency])
    fx_growth = growth(shock[:, fx_factor], config.returns) if fx_factor >= 0 else np.ones(1)
    return Shocks(
        spot=spot,
        fx=np.broadcast_to(market.fx * fx_growth, every[1:]),
        forward=forwards,
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
