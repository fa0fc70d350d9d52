"""Contract section 2: what one unit of an option is worth, and its Greeks, from the textbook formulas.

European Greeks are closed forms (checked against finite differences in test_oracle.py); American values come from
a Leisen–Reimer tree with Richardson extrapolation, their Greeks from differences of it.
"""

import math
from collections.abc import Callable

import numpy as np

AMERICAN_STEPS = 301
"""Steps of the finer of the two trees; their extrapolation is within 2e-5 of the strike on what the tests hold."""


def density(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def cumulative(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def intrinsic(spot: float, strike: float, sign: int) -> float:
    return max(sign * (spot - strike), 0.0)


def black(forward: float, strike: float, t: float, rate: float, sigma: float, sign: int) -> float:
    """Black (1976)."""
    d1, d2 = _d(forward, strike, t, sigma)
    undiscounted = sign * (forward * cumulative(sign * d1) - strike * cumulative(sign * d2))
    return math.exp(-rate * t) * undiscounted


def _d(forward: float, strike: float, t: float, sigma: float) -> tuple[float, float]:
    width = sigma * math.sqrt(t)
    d1 = math.log(forward / strike) / width + 0.5 * width
    return d1, d1 - width


def bachelier(forward: float, strike: float, t: float, rate: float, sigma: float, sign: int) -> float:
    """Bachelier (1900) on a forward."""
    width = sigma * math.sqrt(t)
    d = sign * (forward - strike) / width
    return math.exp(-rate * t) * width * (d * cumulative(d) + density(d))


def bucket_delta(normal: bool, forward: float, strike: float, t: float, sigma: float, sign: int) -> float:
    """|δ| that sorts an option into its vega bucket: undiscounted N(±d₁), normal N(±d)."""
    if normal:
        return cumulative(sign * (forward - strike) / (sigma * math.sqrt(t)))
    return cumulative(sign * _d(forward, strike, t, sigma)[0])


def european_greeks(
    normal: bool,
    spot: float,
    forward: float,
    strike: float,
    t: float,
    rate: float,
    sigma: float,
    sign: int,
    from_rate: bool,
) -> dict[str, float]:
    """Delta to rho of contract section 6."""
    discount, root = math.exp(-rate * t), math.sqrt(t)
    if normal:
        d = (forward - strike) / (sigma * root)
        price = bachelier(forward, strike, t, rate, sigma, sign)
        forward_delta = discount * sign * cumulative(sign * d)
        delta, gamma = forward_delta, discount * density(d) / (sigma * root)
        vega = discount * root * density(d)
        slope = -rate * price + 0.5 * sigma * discount * density(d) / root
    else:
        d1, _ = _d(forward, strike, t, sigma)
        price = black(forward, strike, t, rate, sigma, sign)
        forward_delta = discount * sign * cumulative(sign * d1)
        delta = forward_delta * forward / spot
        gamma = discount * density(d1) / (forward * sigma * root) * (forward / spot) ** 2
        vega = discount * forward * density(d1) * root
        carry = math.log(forward / spot) / t
        slope = -rate * price + 0.5 * sigma * vega / t + forward_delta * carry * forward
    rho = -t * price + (forward_delta * t * forward if from_rate else 0.0)
    return {"delta": delta, "gamma": gamma, "vega": vega, "theta": -slope / 365, "rho": rho}


def american(
    spot: float,
    strike: float,
    t: float,
    rate: float,
    yield_: float,
    sigma: float,
    sign: int,
    steps: int = AMERICAN_STEPS,
) -> float:
    """American option on the spot, constant rate and yield of any sign.

    Leisen and Reimer (1996), two trees extrapolated in 1/steps, never under the European or the intrinsic value.
    """
    half = steps // 2 | 1
    fine = _leisen_reimer(spot, strike, t, rate, yield_, sigma, sign, steps)
    coarse = _leisen_reimer(spot, strike, t, rate, yield_, sigma, sign, half)
    value = fine + (fine - coarse) * half / (steps - half)
    european = black(spot * math.exp((rate - yield_) * t), strike, t, rate, sigma, sign)
    return max(value, european, intrinsic(spot, strike, sign))


def _leisen_reimer(
    spot: float, strike: float, t: float, rate: float, yield_: float, sigma: float, sign: int, steps: int
) -> float:
    dt = t / steps
    d1, d2 = _d(spot * math.exp((rate - yield_) * t), strike, t, sigma)
    up_share, up = _peizer_pratt(d1, steps), _peizer_pratt(d2, steps)
    growth, discount = math.exp((rate - yield_) * dt), math.exp(-rate * dt)
    u = growth * up_share / up
    d = growth * (1 - up_share) / (1 - up)
    ups = np.arange(steps + 1)
    value = np.maximum(sign * (spot * u**ups * d ** (steps - ups) - strike), 0.0)
    for step in range(steps - 1, -1, -1):
        ups = np.arange(step + 1)
        held = discount * (up * value[1:] + (1 - up) * value[:-1])
        value = np.maximum(held, sign * (spot * u**ups * d ** (step - ups) - strike))
    return float(value[0])


def _peizer_pratt(z: float, steps: int) -> float:
    """Peizer–Pratt inversion, method 2."""
    exponent = -((z / (steps + 1 / 3 + 0.1 / (steps + 1))) ** 2) * (steps + 1 / 6)
    return 0.5 + math.copysign(0.5 * math.sqrt(1 - math.exp(exponent)), z)


def american_greeks(
    spot: float, forward: float, strike: float, t: float, rate: float, sigma: float, sign: int, from_rate: bool
) -> dict[str, float]:
    """By central differences of the tree; good to about 1e-3 relative."""
    carry = math.log(forward / spot) / t

    def value(s: float = spot, years: float = t, r: float = rate, vol: float = sigma, c: float = carry) -> float:
        return american(s, strike, years, r, r - c, vol, sign)

    def slope(f: Callable[[float], float], step: float) -> float:
        return (f(step) - f(-step)) / (2 * step)

    bump = 0.01 * spot
    return {
        "delta": slope(lambda e: value(s=spot + e), bump),
        "gamma": (value(s=spot + bump) - 2 * value() + value(s=spot - bump)) / bump**2,
        "vega": slope(lambda e: value(vol=sigma + e), 0.01),
        "theta": -slope(lambda e: value(years=t + e), 0.02 * t) / 365,
        "rho": slope(lambda e: value(r=rate + e, c=carry + (e if from_rate else 0.0)), 0.001),
    }
