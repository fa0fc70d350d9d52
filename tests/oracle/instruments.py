"""Contract sections 2, 3 and 6: an instrument's price, its Greeks, and the P&L of one contract in a scenario."""

import math
from typing import Any

from oracle import pricing
from oracle.market import Market, years
from oracle.scenarios import Shocked, horizon_years

ZERO_GREEKS = {"delta": 0.0, "gamma": 0.0, "vega": 0.0, "theta": 0.0, "rho": 0.0}
Row = dict[str, Any]


def sign_of(row: Row) -> int:
    return 1 if row["right"] == "call" else -1


def option_price(row: Row, normal: bool, spot: float, forward: float, t: float, rate: float, sigma: float) -> float:
    """One unit of the underlying, in the quote currency."""
    strike, sign = row["strike"], sign_of(row)
    if normal:
        return pricing.bachelier(forward, strike, t, rate, sigma, sign)
    if row.get("exercise") == "american":
        yield_ = rate - math.log(forward / spot) / t
        return pricing.american(spot, strike, t, rate, yield_, sigma, sign)
    return pricing.black(forward, strike, t, rate, sigma, sign)


def own_or_surface(row: Row, market: Market, k: float, t: float) -> float:
    return market.sigma(k, t) if row.get("iv") is None else row["iv"]


def quote(row: Row, market: Market, config: Row) -> Row:
    """A row of `gpu-var price`, and |δ| and T for the vega bucket."""
    kind = row["kind"]
    out = {"instrument": row["instrument"], "iv": None, **ZERO_GREEKS}
    if kind in ("spot", "perpetual"):
        return {**out, "price": market.spot, "forward": market.spot, "delta": 1.0}
    t = years(row["expiry"], config["as_of"])
    forward, rate = market.forward(t), market.rate(t)
    if kind == "future":
        return {**out, "price": forward, "forward": forward, "delta": 1.0 if market.normal else forward / market.spot}
    strike, sign = row["strike"], sign_of(row)
    if t <= 0:
        delta = float(sign) if sign * (market.spot - strike) > 0 else 0.0
        price = pricing.intrinsic(market.spot, strike, sign)
        return {**out, "price": price, "forward": forward, "delta": delta, "t": t, "bucket_delta": abs(delta)}
    sigma = own_or_surface(row, market, market.moneyness(strike, forward), t)
    if row.get("exercise") == "american":
        greeks = pricing.american_greeks(market.spot, forward, strike, t, rate, sigma, sign, market.forward_from_rate)
    else:
        greeks = pricing.european_greeks(
            market.normal, market.spot, forward, strike, t, rate, sigma, sign, market.forward_from_rate
        )
    price = option_price(row, market.normal, market.spot, forward, t, rate, sigma)
    bucket_delta = pricing.bucket_delta(market.normal, forward, strike, t, sigma, sign)
    return {**out, "price": price, "forward": forward, "iv": sigma, **greeks, "t": t, "bucket_delta": bucket_delta}


def shocked_price(row: Row, shocked: Shocked, config: Row) -> float:
    """price₁: spot and perpetual S₁, future F₁, option at (F₁, σ₁, r₁), all read at the T left."""
    market = shocked.market
    if row["kind"] in ("spot", "perpetual"):
        return shocked.spot
    t = horizon_years(row["expiry"], config)
    forward = shocked.forward(t)
    if row["kind"] == "future":
        return forward
    if t <= 0:
        return pricing.intrinsic(shocked.spot, row["strike"], sign_of(row))
    sticky_strike = config.get("smile", "sticky_moneyness") == "sticky_strike"
    k = market.moneyness(row["strike"], market.forward(t) if sticky_strike else forward)
    sigma = shocked.vol_growth(t) * own_or_surface(row, market, k, t)
    return option_price(row, market.normal, shocked.spot, forward, t, shocked.rate(t), sigma)


def contract_pnl(row: Row, price_today: float, shocked: Shocked, config: Row) -> float:
    """P&L of one contract in base currency."""
    multiplier = 1.0 if row.get("multiplier") is None else row["multiplier"]
    price = shocked_price(row, shocked, config)
    if row["kind"] in ("spot", "option"):
        return multiplier * (shocked.fx * price - shocked.market.fx * price_today)
    if row.get("settlement") == "inverse":
        return multiplier * (1 / price_today - 1 / price) * shocked.spot * shocked.fx
    return multiplier * shocked.fx * (price - price_today)


def net_delta(row: Row, greeks: Row, market: Market) -> float:
    """Δ of one contract, in units of the underlying."""
    multiplier = 1.0 if row.get("multiplier") is None else row["multiplier"]
    if row.get("settlement") == "inverse" and row["kind"] in ("future", "perpetual"):
        return multiplier / greeks["price"]
    return multiplier * greeks["delta"]
