"""Underlyings: their instruments in the backend's order, their market today, their market in the scenarios."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cpu_reference.types import Instruments, Market, Maturities, Shocks, Smile
from gpu_var.market.curves import forward, forward_from_rate, years_to, zero_rate
from gpu_var.market.factors import Factors, Tenors
from gpu_var.market.surface import smile
from gpu_var.tables.book import F8, I8, NO_EXPIRY, Book
from gpu_var.tables.config import Config

FLOOR = 0.01
"""Smallest growth under simple returns."""

_TRANSPOSED = 512
"""Scenarios whose factors are put into rows at a time."""


class Underlying(NamedTuple):
    """What the engine needs of one underlying."""

    position: int  # row of Book.underlyings
    row: I8  # (n,) rows of Book.instruments, in the order of `instruments`
    instruments: Instruments
    market: Market
    listed: Instruments  # every American option of the book that shares underlying, expiry and right with one of them

    @property
    def spot(self) -> float:
        """Today's price."""
        return float(self.market.spot[0])

    @property
    def fx(self) -> float:
        """Base currency for one unit of the quote currency, today."""
        return float(self.market.fx[0])


class Pool(NamedTuple):
    """Underlyings that are revalued together."""

    position: I8  # (n_underlyings,) rows of Book.underlyings, ascending
    instruments: Instruments
    market: Market
    listed: Instruments


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
    group = np.cumsum(first) - 1
    before = group[begin]
    distinct = expiry[np.flatnonzero(first[:-1])]
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
    return columns, begin, [distinct[slice(*ends)] for ends in pairwise(before.tolist())]


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
    years = years_to(np.where(expiries == NO_EXPIRY, as_of, expiries), as_of)
    today = _maturities(book, u, years, as_of)
    horizon = _maturities(book, u, years - config.holding_period_days / 365.0, as_of) if config.roll else today
    smile_today = smile(book, u, today, as_of)
    return Market.of_one(
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


def together(parts: Sequence[Underlying]) -> Pool:
    """Underlyings of the same dynamics as one: their columns and maturities one after another."""
    position = np.array([part.position for part in parts], dtype=np.intp)
    if len(parts) == 1:
        return Pool(position, parts[0].instruments, parts[0].market, parts[0].listed)
    count = [len(part.market.today.years) for part in parts]
    shift = [0, *np.cumsum(count).tolist()][:-1]
    markets = [part.market for part in parts]

    def instruments(columns: list[Instruments]) -> Instruments:
        moved = [c._replace(maturity=c.maturity + by) for c, by in zip(columns, shift, strict=True)]
        return Instruments(*map(np.concatenate, zip(*moved, strict=True)))

    market: Market = markets[0]._replace(
        underlying=np.repeat(np.arange(len(parts)), count),
        forward_from_rate=np.concatenate([m.forward_from_rate for m in markets]),
        spot=np.concatenate([m.spot for m in markets]),
        fx=np.concatenate([m.fx for m in markets]),
        today=_joined([m.today for m in markets]),
        smile_today=_smiles([m.smile_today for m in markets]),
    )
    if all(m.horizon is m.today for m in markets):
        market = market._replace(horizon=market.today, smile_horizon=market.smile_today)
    else:
        horizon, smiles = _joined([m.horizon for m in markets]), _smiles([m.smile_horizon for m in markets])
        market = market._replace(horizon=horizon, smile_horizon=smiles)
    held, listed = [part.instruments for part in parts], [part.listed for part in parts]
    return Pool(position, instruments(held), market, instruments(listed))


def _joined(curves: list[Maturities]) -> Maturities:
    return Maturities(*map(np.concatenate, zip(*curves, strict=True)))


def _smiles(smiles: list[Smile]) -> Smile:
    before = np.cumsum([0, *(len(s.knot) for s in smiles)])
    start = [s.start[:-1] + by for s, by in zip(smiles, before[:-1].tolist(), strict=True)]
    return Smile(
        np.concatenate([*start, before[-1:]]),
        np.concatenate([s.knot for s in smiles]),
        np.concatenate([s.segment for s in smiles]),
    )


def shocks(book: Book, config: Config, factors: Factors, of: Underlying | Pool, shock: F8) -> Shocks:
    """The market of an underlying, or of several, in each scenario.

    A spot shock moves every forward alike, unless the underlying has `forward:` factors; a rate shock moves discounting
    and, where F comes from the rate, F; an `iv` shock multiplies σ. Shocks between tenors are linear in T, flat beyond.

    Args:
        shock: (n_scenarios, n_factors) returns, or differences for additive factors.
    """
    position, market, horizon = np.atleast_1d(of.position), of.market, of.market.horizon
    owner, years = market.underlying, horizon.years
    currencies, quoted_in = np.unique(book.underlyings.currency[position], return_inverse=True)
    currency = quoted_in.reshape(-1)[owner]
    move: Callable[[F8, F8], F8] = np.add if market.normal else np.multiply

    def grown(x: F8) -> F8:
        return x if market.normal else growth(x, config.returns)

    base = np.stack([market.spot, horizon.forward, horizon.rate])
    moves = [grown(_columns_of(shock, factors.spot[position]))]
    at_forward = owner.astype(np.int32)
    forwards = [factors.forward[u] for u in position.tolist()]
    if any(len(tenors.years) for tenors in forwards):
        x, own = _between(forwards, owner, years, shock)
        listed = np.array([len(tenors.years) > 0 for tenors in forwards])[owner]
        at_forward[listed] = len(position) + own[listed]
        moves.append(grown(x))
    rates = [factors.rate[c] for c in currencies.tolist()]
    x_rate, at_rate = _between(rates, currency, years, shock)
    by_rate = np.array([len(tenors.years) > 0 for tenors in rates])[currency] & market.forward_from_rate & (years > 0.0)
    if by_rate.any():
        m = np.flatnonzero(by_rate)
        before = horizon.forward[m, None] * np.exp(x_rate[at_rate[m]] * years[m, None])
        so_far = np.concatenate(moves)
        moves = [so_far, move(before, so_far[at_forward[m]])]
        at_forward[m] = len(so_far) + np.arange(len(m))
        base[1, m] = 0.0 if market.normal else 1.0
    expired = years <= 0.0
    at_forward[expired], base[1, expired] = owner[expired], base[0, expired]

    x_iv, at_iv = _between([factors.iv[u] for u in position.tolist()], owner, years, shock)
    fx = np.empty((len(currencies), 1))
    fx[currency, 0] = market.fx
    return Shocks(
        normal=market.normal,
        row=np.stack([owner, at_forward, currency, at_rate, at_iv]).astype(np.int32),
        base=base,
        move=np.concatenate(moves),
        fx=fx * growth(_columns_of(shock, factors.fx[currencies]), config.returns),
        rate=x_rate,
        vol_growth=growth(x_iv, config.returns),
    )


def _columns_of(shock: F8, factor: I8) -> F8:
    """(n, n_scenarios) shocks of some factors; of −1, none."""
    out = np.empty((len(factor), len(shock)))
    # A few scenarios at a time stay in the cache while they are transposed.
    for begin in range(0, len(shock), _TRANSPOSED):
        some = slice(begin, begin + _TRANSPOSED)
        out[:, some] = shock[some][:, factor].T
    out[factor < 0] = 0.0
    return out


def _between(curves: Sequence[Tenors], owner: I8, years: F8, shock: F8) -> tuple[F8, I8]:
    """Shock at each maturity, linear in T between its curve's tenors, flat beyond, as rows (n_rows, n_scenarios) and
    (n_maturities,) which of them is each one's: a row for each curve and T, but one where a curve has one tenor, or
    none, which is 0.

    Args:
        owner: (n_maturities,) which curve is each one's.
    """
    count = np.array([len(tenors.years) for tenors in curves])
    rows = [_columns_of(shock, np.array([t.factor[0] if len(t.years) == 1 else -1 for t in curves], dtype=np.intp))]
    at = owner.copy()
    for curve in np.flatnonzero(count > 1).tolist():
        tenors, own = curves[curve], np.flatnonzero(owner == curve)
        distinct, which = np.unique(years[own], return_inverse=True)
        at[own] = sum(map(len, rows)) + which.reshape(-1)
        weight = np.stack([np.interp(distinct, tenors.years, unit) for unit in np.eye(len(tenors.years))], axis=1)
        out = np.zeros((len(distinct), len(shock)))
        for column, factor in zip(weight.T, tenors.factor, strict=True):
            out += column[:, None] * shock[:, factor]
        rows.append(out)
    return np.concatenate(rows), at
