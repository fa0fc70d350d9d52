"""Full revaluation: the profit and loss of one contract of each instrument in each scenario.

A scenario only *adds* to log-moneyness, so the logarithms are taken once an instrument and once a scenario, and what
is left an element is one division, one root where the smile moves, and two normal distribution functions.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from cpu_reference.premium import Chain, Premium, american_from_premium, fit_premiums
from cpu_reference.reached import reached, vol_ranges
from cpu_reference.smile import smile_variance, smile_variance_along
from cpu_reference.types import (
    F8,
    FUTURE,
    I8,
    OPTION,
    PERPETUAL,
    Instruments,
    Levels,
    Market,
    Maturities,
    Shocks,
    Smile,
)

_TILE = 16_384
"""Elements of a tile: five float64 temporaries of it stay in a megabyte of cache."""

_SQRT_2PI = np.sqrt(2.0 * np.pi)


class Prepared(NamedTuple):
    """What is computed once for an underlying and a set of scenarios, before its tiles."""

    price: F8  # (n,) today's price in the quote currency
    premium: dict[tuple[int, int], Premium]  # early-exercise premium by (maturity, sign)


class _Curves(NamedTuple):
    """An underlying's curves in the scenarios of one call, and what they start from."""

    maturities: Maturities
    smile: Smile
    smile_forward: F8  # (n_maturities,) the forward that today's moneyness is measured against
    shocks: Shocks
    sticky_strike: bool
    underlying: I8  # (n_maturities,)


class Request(NamedTuple):
    """What `prepare` takes."""

    instruments: Instruments
    market: Market
    shocks: Shocks
    listed: Instruments | None = None


class Fits(NamedTuple):
    """Premiums to be fitted over some scenarios, of which today may be the last."""

    chains: dict[tuple[int, int], Chain]  # by (maturity, sign), of all that are listed
    wanted: set[tuple[int, int]]  # those that the instruments need

    def done(self, fitted: Iterable[Premium]) -> dict[tuple[int, int], Premium]:
        """The premiums wanted, of those fitted for the chains."""
        return {key: premium for key, premium in zip(self.chains, fitted, strict=True) if key in self.wanted}


def prepare(instruments: Instruments, market: Market, shocks: Shocks, listed: Instruments | None = None) -> Prepared:
    """Today's prices, by the same arithmetic as the scenarios' so that no shock means no profit and loss, and the
    early-exercise premiums that the scenarios share.

    Args:
        instruments: of one underlying, or of several.
        market: their market today.
        shocks: their market in *all* scenarios of the run.
        listed: the American options over whose volatilities the premiums are fitted, sorted alike: so that a price
            depends on the market and not on what else is held. Those of `instruments` unless given.
    """
    wanted = fits(Request(instruments, market, shocks, listed))
    premiums = [one.done(fit_premiums(list(one.chains.values()))) for one in wanted]
    price = np.empty((len(instruments.kind), 1))
    _price(instruments, _at_today(market), of_today(premiums[0]), slice(0, 1), price)
    return Prepared(price[:, 0], premiums[-1])


def prepare_all(requests: Sequence[Request]) -> list[Prepared]:
    """`prepare` for each of some requests."""
    return [prepare(*request) for request in requests]


def fits(request: Request, before: int = 0) -> list[Fits]:
    """The premiums that are needed: of today and the scenarios together, or of today, then of the scenarios.

    Args:
        before: how many underlyings other requests have, whose chains are fitted together with these.
    """
    instruments, market, shocks, listed = request
    listed = instruments if listed is None else listed
    today = _at_today(market)
    if market.horizon is market.today:
        # Today is one more scenario of the same fit, so that its error cancels in the difference of prices.
        return [_fits(instruments, listed, _at_horizon(market, shocks), today.shocks, before)]
    return [_fits(instruments, listed, curves, None, before) for curves in (today, _at_horizon(market, shocks))]


def of_today(premiums: dict[tuple[int, int], Premium]) -> dict[tuple[int, int], Premium]:
    """Premiums, of the first of `fits`, of which the first scenario is today."""
    last = slice(-1, None)
    return {key: premium if premium.same else of_scenarios(premium, last) for key, premium in premiums.items()}


def of_scenarios(premium: Premium, at: slice | I8) -> Premium:
    """Some scenarios' part of a fit."""
    return premium._replace(
        rate=premium.rate[at],
        dividend=premium.dividend[at],
        node=premium.node[at],
        weights=None if premium.weights is None else premium.weights[at],
        direct=premium.direct[at],
    )


def revalue(
    instruments: Instruments,
    market: Market,
    shocks: Shocks,
    prepared: Prepared,
    scenarios: slice,
    out: F8,
    rows: slice | None = None,
) -> None:
    """Profit and loss of one contract in base currency, gains positive.

    Spot and options: multiplier·(fx₁·price₁ − fx₀·price₀). Linear futures and perpetuals: multiplier·fx₁·(price₁ −
    price₀). Inverse ones: multiplier·(1/F₀ − 1/F₁)·S₁·fx₁. Options are Black (1976) or Bachelier on the scenario's
    forward, American ones with the early-exercise premium of `cpu_reference.premium`.

    Args:
        instruments: (n,) columns, all instruments or a run of them.
        market: their market today.
        shocks: their market in all scenarios.
        prepared: of the same instruments.
        scenarios: which of the scenarios.
        out: (n_rows, n_scenarios of the slice) is overwritten.
        rows: which of the instruments; all unless given.
    """
    if rows is not None:
        instruments, prepared = instruments.cut(rows), prepared._replace(price=prepared.price[rows])
    multiplier = instruments.multiplier[:, None]
    _price(instruments, _at_horizon(market, shocks), prepared.premium, scenarios, out)
    with np.errstate(all="ignore"):  # a result that is not finite is found, and named, where cells are measured
        margined = np.isin(instruments.kind, (FUTURE, PERPETUAL))
        underlying = market.underlying[instruments.maturity]
        for run in _runs(margined.astype(np.int8), instruments.inverse.astype(np.int8), underlying):
            tile, price = out[run], prepared.price[run, None]
            m = int(instruments.maturity[run.start])
            at = shocks.at(m, scenarios)
            if not margined[run.start]:
                tile *= at.fx
                tile -= price * market.fx[m]
            elif instruments.inverse[run.start]:
                np.divide(-1.0, tile, out=tile)
                tile += 1.0 / price
                tile *= at.spot * at.fx
            else:
                tile -= price
                tile *= at.fx
            tile *= multiplier[run]


def _moneyness(strike: F8, forward: F8, normal: bool) -> F8:
    return strike - forward if normal else np.log(strike / forward)


def unchanged(market: Market) -> Shocks:
    """Today as one scenario in which nothing happens."""
    today, n = market.today, len(market.today.years)
    row = np.zeros((5, n), dtype=np.int32)
    row[2] = np.arange(n)
    return Shocks(
        normal=market.normal,
        row=row,
        base=np.stack([market.spot, today.forward, today.rate]),
        move=np.full((1, 1), 0.0 if market.normal else 1.0),
        fx=market.fx[:, None],
        rate=np.zeros((1, 1)),
        vol_growth=np.ones((1, 1)),
    )


def _at_today(market: Market) -> _Curves:
    today = market.today
    return _Curves(today, market.smile_today, today.forward, unchanged(market), market.sticky_strike, market.underlying)


def _at_horizon(market: Market, shocks: Shocks) -> _Curves:
    horizon = market.horizon
    return _Curves(horizon, market.smile_horizon, horizon.forward, shocks, market.sticky_strike, market.underlying)


def _runs(*keys: npt.NDArray[np.integer]) -> Iterator[slice]:
    """Slices over which every key is constant."""
    if keys[0].size == 0:
        return
    change = np.zeros(len(keys[0]) - 1, dtype=np.bool_)
    for key in keys:
        change |= key[1:] != key[:-1]
    edges = [0, *(np.flatnonzero(change) + 1).tolist(), len(keys[0])]
    for begin, end in pairwise(edges):
        yield slice(begin, end)


def _groups(instruments: Instruments) -> Iterator[tuple[int, int, int, bool, slice]]:
    """Runs of one (kind, maturity, sign, style)."""
    keys = (instruments.kind, instruments.maturity, instruments.sign, instruments.american.astype(np.int8))
    for rows in _runs(*keys):
        at = rows.start
        yield (
            int(instruments.kind[at]),
            int(instruments.maturity[at]),
            int(instruments.sign[at]),
            bool(instruments.american[at]),
            rows,
        )


def _price(
    instruments: Instruments,
    curves: _Curves,
    premium: dict[tuple[int, int], Premium],
    scenarios: slice,
    out: F8,
) -> None:
    """Prices in the quote currency, (n, n_scenarios of the slice)."""
    with np.errstate(all="ignore"):
        for kind, m, sign, american, rows in _groups(instruments):
            at = curves.shocks.at(m, scenarios)
            if kind != OPTION:
                out[rows] = at.forward
            elif curves.maturities.years[m] <= 0.0:
                np.maximum(sign * (at.forward - instruments.strike[rows, None]), 0.0, out=out[rows])
            else:
                early = premium.get((m, sign)) if american else None
                _options(instruments, rows, curves, m, sign, early, at, scenarios.start, out)


def _options(
    instruments: Instruments,
    rows: slice,
    curves: _Curves,
    m: int,
    sign: int,
    premium: Premium | None,
    at: Levels,
    first: int,
    out: F8,
) -> None:
    """Options of one maturity, sign and style, tile by tile; `first` is the scenarios' first."""
    strike, own_vol = instruments.strike[rows], instruments.vol[rows]
    years, base = curves.maturities.years[m], curves.smile_forward[m]
    forward, normal = at.forward, curves.shocks.normal
    discount = np.exp(-at.rate * years)
    root_time = at.vol_growth * np.sqrt(years)
    moneyness = _moneyness(strike, base, normal)
    step = base - forward if normal else np.log(base / forward)

    fixed = own_vol.copy()
    if curves.sticky_strike:
        surface = np.isnan(fixed)
        variance = smile_variance(curves.smile, np.full(int(surface.sum()), m), moneyness[surface])
        fixed[surface] = np.sqrt(variance)
    for part in _runs(np.isnan(fixed).astype(np.int8)):
        moving = bool(np.isnan(fixed[part.start]))
        # The smile is read along ascending steps; everything else is put into that order and taken out of it.
        order = np.argsort(step) if moving else np.arange(len(step))
        back = None
        if moving:
            back = np.empty_like(order)
            back[order] = np.arange(len(order))
        step_, forward_, discount_, root_time_ = step[order], forward[order], discount[order], root_time[order]
        height = max(1, _TILE // max(1, len(step)))
        buffers = np.empty((4, min(height, part.stop - part.start), len(step)))
        for begin in range(part.start, part.stop, height):
            tile = slice(begin, min(begin + height, part.stop))
            k, deviation, d1, d2 = buffers[:, : tile.stop - tile.start]
            np.add(moneyness[tile, None], step_, out=k)
            if moving:
                smile_variance_along(curves.smile, m, moneyness[tile], step_, deviation)
                np.sqrt(deviation, out=deviation)
                deviation *= root_time_
            else:
                np.multiply(fixed[tile, None], root_time_, out=deviation)
            target = out[rows.start + tile.start : rows.start + tile.stop]
            if normal:
                value = _bachelier(k, deviation, sign, d1, d2)
            else:
                value = _black(k, deviation, sign, forward_, strike[tile, None], d1, d2)
            value *= discount_
            if premium is not None:
                spot = at.spot[order]
                value /= strike[tile, None]
                deviation /= np.sqrt(years)
                # ln(S/K) = ln(F/K) − ln(F/S)
                np.subtract(np.log(spot / forward_), k, out=k)
                american = d1 if value is d2 else d2
                american_from_premium(premium, k, deviation, value, order + first, american)
                np.multiply(american, strike[tile, None], out=value)
            if back is None:
                target[...] = value
            else:
                np.take(value, back, axis=1, out=target, mode="clip")


def _black(k: F8, deviation: F8, sign: int, forward: F8, strike: F8, d1: F8, d2: F8) -> F8:
    """sign·(F·N(sign·d₁) − K·N(sign·d₂)), d₁,₂ = −k/s ± s/2 with s = σ√T (Black 1976, eq. 16); overwrites d1, d2."""
    np.divide(k, deviation, out=d2)
    np.multiply(deviation, 0.5, out=d1)
    if sign > 0:
        d1 -= d2
        np.subtract(d1, deviation, out=d2)
    else:
        d2 -= d1
        np.add(d2, deviation, out=d1)
        d1, d2 = d2, d1
    ndtr(d1, out=d1)
    ndtr(d2, out=d2)
    d1 *= sign * forward
    d2 *= sign * strike
    d1 -= d2
    return d1


def _bachelier(k: F8, deviation: F8, sign: int, d: F8, density: F8) -> F8:
    """sign·(F − K)·N(d) + s·φ(d), d = sign·(F − K)/s with s = σ√T (Bachelier 1900); overwrites d and density."""
    np.divide(k, deviation, out=d)
    np.multiply(d, d, out=density)
    density *= -0.5
    np.exp(density, out=density)
    density *= deviation
    density *= 1.0 / _SQRT_2PI
    d *= -sign
    ndtr(d, out=d)
    d *= k
    d *= -sign
    d += density
    return d


def _fits(instruments: Instruments, listed: Instruments, curves: _Curves, last: Shocks | None, before: int) -> Fits:
    """The early-exercise premium of each (maturity, sign), over the volatilities that the listed options can reach in
    the scenarios, and in the one after them that is given."""
    wanted = {(m, sign) for kind, m, sign, american, _ in _groups(instruments) if kind == OPTION and american}
    years = curves.maturities.years
    # All that are listed, for which of them run together has a part in their last digits.
    runs = [
        (m, sign, rows.start, rows.stop)
        for kind, m, sign, american, rows in (_groups(listed) if wanted else ())
        if kind == OPTION and american and years[m] > 0.0
    ]
    if not runs:
        return Fits({}, wanted)
    over = reached(years, curves.smile_forward, curves.shocks, last)
    rows = np.concatenate([np.arange(start, stop) for _, _, start, stop in runs])
    begin = np.cumsum([0, *(stop - start for _, _, start, stop in runs)])[:-1]
    smile, forward = curves.smile, curves.smile_forward
    low, high = vol_ranges(listed.cut(rows), begin, smile, forward, curves.sticky_strike, over)
    owner = (before + curves.underlying).tolist()
    chains = {
        (m, sign): Chain(float(years[m]), sign, over.rate[m], over.dividend[m], *ends, owner[m])
        for (m, sign, _, _), ends in zip(runs, zip(low.tolist(), high.tolist(), strict=True), strict=True)
    }
    return Fits(chains, wanted)
