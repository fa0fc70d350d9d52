"""Prices and Greeks at today's market.

Everything is per one unit of the underlying in its quote currency, at fixed volatility; an inverse instrument is priced
as the linear quote. T ≤ 0 is intrinsic value at spot.
"""

from typing import NamedTuple

import numpy as np

from cpu_reference.american import american_greeks
from cpu_reference.bachelier import bachelier, bachelier_greeks
from cpu_reference.black import black, black_greeks
from cpu_reference.exercise import HOST, Solver
from cpu_reference.smile import smile_variance
from cpu_reference.types import F8, FUTURE, I8, OPTION, Instruments, Market


class Valuation(NamedTuple):
    """One row an instrument, all (n,)."""

    price: F8
    forward: F8  # at the instrument's expiry; spot for spot, perpetual and what has expired
    iv: F8  # NaN but for options
    delta: F8  # ∂/∂S, the forward moving as under a spot shock: in proportion, or (normal) by the same amount
    gamma: F8  # ∂²/∂S²
    vega: F8  # per 1.00 of volatility
    theta: F8  # per calendar day: −(∂/∂T)/365 at fixed S, σ, r and ln(F/S)/T (normal: fixed F)
    rho: F8  # per 1.00 of the zero rate, the forward moving where it comes from the rate
    bucket_delta: F8  # undiscounted N(sign·d₁) on the forward, normal N(sign·d), in [0, 1]; NaN but for live options


def price(instruments: Instruments, market: Market, rho: bool = True, solver: Solver = HOST) -> Valuation:
    """Value and differentiate every instrument today.

    Args:
        instruments: (n,) columns; an option's own `vol` replaces the smile.
        market: theirs; of horizons nothing is read.
        rho: whether it is asked for; without it the rho of American options, which costs most, is NaN.
        solver: of American options.

    Returns:
        (n,) columns. NaN where an unexpired option has no volatility, neither of its own nor from a smile.
    """
    n = len(instruments.kind)
    option = instruments.kind == OPTION
    live = market.today.years[instruments.maturity] > 0
    spot = market.spot[instruments.maturity]
    forward = np.where(live, market.today.forward[instruments.maturity], spot)
    out = Valuation(
        price=forward.copy(),
        forward=forward,
        iv=np.where(option, instruments.vol, np.nan),
        delta=np.ones(n),
        gamma=np.zeros(n),
        vega=np.zeros(n),
        theta=np.zeros(n),
        rho=np.zeros(n),
        bucket_delta=np.full(n, np.nan),
    )
    if not market.normal:
        futures = live & (instruments.kind == FUTURE)
        out.delta[futures] = forward[futures] / spot[futures]

    expired = option & ~live
    out.price[expired] = np.maximum(instruments.sign[expired] * (spot[expired] - instruments.strike[expired]), 0.0)
    out.delta[expired] = np.where(out.price[expired] > 0, instruments.sign[expired], 0)

    rows = np.flatnonzero(option & live)
    if rows.size:
        _volatilities(instruments, market, rows, out)
        american = instruments.american[rows]
        if not american.all():
            european = _bachelier if market.normal else _black
            european(instruments, market, rows[~american], out)
        if american.any():
            _american(instruments, market, rows[american], out, rho, solver)
    return out


def _volatilities(instruments: Instruments, market: Market, rows: I8, out: Valuation) -> None:
    """Fill `iv` from the smile where an option has none of its own, and `bucket_delta`."""
    forward, strike = out.forward[rows], instruments.strike[rows]
    own = instruments.vol[rows]
    ask = np.isnan(own)
    if ask.any():
        moneyness = strike - forward if market.normal else np.log(strike / forward)
        own[ask] = np.sqrt(smile_variance(market.smile_today, instruments.maturity[rows[ask]], moneyness[ask]))
    out.iv[rows] = own
    deviation = own * np.sqrt(market.today.years[instruments.maturity[rows]])
    sign = instruments.sign[rows]
    if market.normal:
        out.bucket_delta[rows] = bachelier_greeks(forward, strike, deviation, sign).n
    else:
        out.bucket_delta[rows] = black_greeks(forward, strike, deviation, sign).n1


def _black(instruments: Instruments, market: Market, rows: I8, out: Valuation) -> None:
    """European options on a lognormal underlying (Black 1976), Greeks in closed form."""
    forward, strike, sign, vol = out.forward[rows], instruments.strike[rows], instruments.sign[rows], out.iv[rows]
    years = market.today.years[instruments.maturity[rows]]
    rate = market.today.rate[instruments.maturity[rows]]
    deviation = vol * np.sqrt(years)
    discount = np.exp(-rate * years)
    pieces = black_greeks(forward, strike, deviation, sign)

    value = discount * black(forward, strike, deviation, sign)
    from_rate = market.forward_from_rate[instruments.maturity[rows]]
    by_forward = discount * sign * pieces.n1
    by_deviation = discount * forward * pieces.density
    spot = market.spot[instruments.maturity[rows]]
    carry = np.log(forward / spot) / years
    out.price[rows] = value
    out.delta[rows] = by_forward * forward / spot
    with np.errstate(over="ignore"):  # of a spot above 1e154: no gamma to speak of
        out.gamma[rows] = discount * pieces.density * forward / ((spot * spot) * deviation)
    out.vega[rows] = by_deviation * np.sqrt(years)
    out.theta[rows] = (rate * value - by_forward * carry * forward - by_deviation * vol / (2 * np.sqrt(years))) / 365
    out.rho[rows] = -years * value + np.where(from_rate, by_forward * years * forward, 0.0)


def _bachelier(instruments: Instruments, market: Market, rows: I8, out: Valuation) -> None:
    """European options on a normal underlying (Bachelier 1900), Greeks in closed form."""
    forward, strike, sign, vol = out.forward[rows], instruments.strike[rows], instruments.sign[rows], out.iv[rows]
    years = market.today.years[instruments.maturity[rows]]
    rate = market.today.rate[instruments.maturity[rows]]
    deviation = vol * np.sqrt(years)
    discount = np.exp(-rate * years)
    pieces = bachelier_greeks(forward, strike, deviation, sign)

    value = discount * bachelier(forward, strike, deviation, sign)
    from_rate = market.forward_from_rate[instruments.maturity[rows]]
    by_forward = discount * sign * pieces.n
    by_deviation = discount * pieces.density
    out.price[rows] = value
    out.delta[rows] = by_forward
    out.gamma[rows] = by_deviation / deviation
    out.vega[rows] = by_deviation * np.sqrt(years)
    out.theta[rows] = (rate * value - by_deviation * vol / (2 * np.sqrt(years))) / 365
    out.rho[rows] = -years * value + np.where(from_rate, by_forward * years * forward, 0.0)


def _american(instruments: Instruments, market: Market, rows: I8, out: Valuation, rho: bool, solver: Solver) -> None:
    """American options on a lognormal underlying: constant rate r and dividend yield q = r − ln(F/S)/T."""
    years = market.today.years[instruments.maturity[rows]]
    rate = market.today.rate[instruments.maturity[rows]]
    spot = market.spot[instruments.maturity[rows]]
    greeks = american_greeks(
        spot,
        instruments.strike[rows],
        years,
        rate,
        rate - np.log(out.forward[rows] / spot) / years,
        out.iv[rows],
        instruments.sign[rows],
        market.forward_from_rate[instruments.maturity[rows]],
        with_rho=rho,
        solver=solver,
        owner=market.underlying[instruments.maturity[rows]],
    )
    for column in ("price", "delta", "gamma", "vega", "theta", "rho"):
        getattr(out, column)[rows] = getattr(greeks, column)
