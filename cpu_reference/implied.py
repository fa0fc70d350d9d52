"""Implied volatility: Black's formula solved for the deviation.

The time value per unit of min(F, K), b, is a distribution function in the deviation v with density
exp(−(ln(F/K)/v)²/2 − v²/8)·…, which is log-concave; so ln b and ln(1 − b) are concave, and Newton's method on either
runs to the root from one side without ever passing it: on ln b from a lower bound where b < ½, on ln(1 − b) from an
upper bound elsewhere (where the digits are in the distance to the upper bound of the price).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import erfcx, ndtri

from cpu_reference.black import log_distance, mantissa
from cpu_reference.gaussian import SQRT_HALF

F8 = npt.NDArray[np.float64]

_SQRT_2PI = float(np.sqrt(2 * np.pi))
_LIMIT = 64  # iterations; the worst case known takes 10


def implied_deviation(price: npt.ArrayLike, forward: npt.ArrayLike, strike: npt.ArrayLike, sign: npt.ArrayLike) -> F8:
    """σ√T at which `black` gives the undiscounted `price`, of the broadcast shape.

    `forward` and `strike` are positive, `sign` +1 for a call and −1 for a put. 0 at the intrinsic value; NaN below it,
    at or above the upper bound (F for a call, K for a put), and for a NaN price. To 1e-12, as far as the digits of
    `price` beyond the intrinsic value determine it.
    """
    p, f, k, s = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (price, forward, strike, sign)))
    shape = p.shape
    p, f, k, s = p.ravel(), f.ravel(), k.ravel(), s.ravel()
    low = np.minimum(f, k)
    value = p - np.maximum(s * (f - k), 0.0)
    rest = np.where(s > 0, f, k) - p
    deviation = np.where((value == 0) & (rest > 0), 0.0, np.nan)
    inside = (value > 0) & (rest > 0)
    for side, known, chosen in ((_lower, value, value < 0.5 * low), (_upper, rest, value >= 0.5 * low)):
        rows = np.flatnonzero(inside & chosen)
        if rows.size:
            with np.errstate(all="ignore"):  # prices down to the last denormal
                deviation[rows] = _solve(side, known[rows], low[rows], log_distance(f[rows], k[rows]))
    return deviation.reshape(shape)


def _lower(a: F8, t: F8) -> F8:
    """b/exp(−(a − t)²/2)."""
    part, whole = mantissa(a, t)
    return np.asarray(np.where(whole, part, part + np.exp(0.5 * np.minimum(a - t, 0.0) ** 2)))


def _upper(a: F8, t: F8) -> F8:
    """(1 − b)/exp(−(a − t)²/2)."""
    return np.asarray(0.5 * (erfcx((t - a) * SQRT_HALF) + erfcx((a + t) * SQRT_HALF)))


def _solve(side: Callable[[F8, F8], F8], known: F8, low: F8, x: F8) -> F8:
    """The deviation at which b (`_lower`) or 1 − b (`_upper`) is known/low, at the distance x = |ln(F/K)|; all (n,)."""
    share = known / low
    target = np.log(known) - np.log(low) if side is _lower else np.log(share)
    if side is _lower:  # b ≤ ½·exp(−z²/2) where z = x/v − v/2 > 0, and b ≤ v/√2π: lower bounds of v
        z = np.sqrt(-2 * target)
        v = np.maximum(2 * x / (z + np.sqrt(z * z + 2 * x)), share * _SQRT_2PI)
    else:  # 1 − b ≤ 2·N(z), z < 0: an upper bound
        z = -ndtri(0.5 * share)
        v = z + np.sqrt(z * z + 2 * x)
    direction = 1.0 if side is _lower else -1.0
    active = np.arange(x.size)
    for _ in range(_LIMIT):
        a = x[active] / v[active]
        t = 0.5 * v[active]
        scaled = side(a, t)
        error = target[active] + 0.5 * (a - t) ** 2 - np.log(scaled)
        step = direction * error * _SQRT_2PI * scaled  # d ln b/dv = φ(a − t)/b
        v[active] += step
        active = active[np.abs(step) > 1e-8 * v[active]]  # quadratic: the error left is this squared
        if not active.size:
            break
    v[active] = np.nan
    return np.asarray(v)
