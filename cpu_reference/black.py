"""Black's formula (Black 1976), undiscounted, to full relative precision in the wings as well as in the middle.

F·N(d₁) − K·N(d₂) loses every digit far out of the money and at small deviation. With a = |ln(F/K)|/deviation and
t = deviation/2, the out-of-the-money price per unit of min(F, K) is φ(a − t)·(R(a − t) − R(a + t)), R the Mills ratio
(the erfcx form of Jäckel 2015, "Let's Be Rational", section 6), and an in-the-money one adds F − K by parity.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import erfcx

from cpu_reference.gaussian import SQRT_HALF, SQRT_HALF_PI, cumulative, density, mills_difference

F8 = npt.NDArray[np.float64]

_SERIES = 0.02  # R(a − t) − R(a + t) as a difference is good to 1e-14·(1 + a)/t; below this share, as a series


class BlackGreeks(NamedTuple):
    """What the Greeks are made of, each of the broadcast shape."""

    n1: F8  # N(sign·d₁): |∂price/∂F|, undiscounted
    n2: F8  # N(sign·d₂): |∂price/∂K|
    density: F8  # φ(d₁): ∂price/∂deviation = F·φ(d₁), ∂²price/∂F² = φ(d₁)/(F·deviation)
    d1: F8
    d2: F8


def log_distance(forward: F8, strike: F8) -> F8:
    """|ln(F/K)| of positive F and K, to full relative precision also where they are close."""
    low = np.minimum(forward, strike)
    high = np.maximum(forward, strike)
    gap = (high - low) / low  # exact numerator where the two are close; overflows only beyond 308 decades
    return np.asarray(np.where(np.isinf(gap), np.log(high) - np.log(low), np.log1p(gap)))


def time_value(distance: F8, deviation: F8) -> F8:
    """The out-of-the-money price per unit of min(F, K), in [0, 1], of the broadcast shape.

    `distance` is |ln(F/K)| ≥ 0 and `deviation` is σ√T ≥ 0; both may be infinite. Relative error below 1e-12.
    """
    return _scaled_time_value(np.ones(1), distance, deviation)


def _scaled_time_value(low: F8, distance: F8, deviation: F8) -> F8:
    """`low`·time_value, multiplied before the exponential can underflow."""
    low, distance, deviation = np.broadcast_arrays(low, distance, deviation)
    with np.errstate(all="ignore"):  # infinities and underflow are limits here, not accidents
        a = np.where(distance > 0, distance / deviation, 0.0)
        t = 0.5 * deviation
        z = a - t
        root = np.exp(-0.25 * z * z)  # twice, so that a representable price has no denormal factor
        inside = np.copysign(erfcx(np.abs(z) * SQRT_HALF), z)
        value = (low * root) * (0.5 * (inside - erfcx((a + t) * SQRT_HALF))) * root
        value = np.where(z <= 0, low + value, value)
        series = np.nonzero(t <= _SERIES * (1 + a))
        if series[0].size:
            half = mills_difference(a[series], t[series]) / SQRT_HALF_PI
            value[series] = (low[series] * root[series]) * half * root[series]
    value[(a == np.inf) | (deviation == 0)] = 0.0
    return np.asarray(value)


def black(
    forward: npt.ArrayLike, strike: npt.ArrayLike, deviation: npt.ArrayLike, sign: npt.ArrayLike
) -> F8:
    """Undiscounted price of a European option on a lognormal forward, of the broadcast shape.

    `forward` and `strike` are positive, `deviation` = σ√T ≥ 0, `sign` +1 for a call and −1 for a put. The result has a
    relative error below 1e-12 wherever it is a normal float64, and an absolute one of a few denormals below.
    """
    f, k, v, s = (np.asarray(x, dtype=np.float64) for x in (forward, strike, deviation, sign))
    intrinsic = np.maximum(s * (f - k), 0.0)
    with np.errstate(over="ignore", divide="ignore"):
        distance = log_distance(f, k)
    return np.asarray(intrinsic + _scaled_time_value(np.minimum(f, k), distance, v))


def black_greeks(
    forward: npt.ArrayLike, strike: npt.ArrayLike, deviation: npt.ArrayLike, sign: npt.ArrayLike
) -> BlackGreeks:
    """N(sign·d₁), N(sign·d₂), φ(d₁), d₁ and d₂, arguments as for `black`; relative error below 1e-12.

    At deviation 0 the limits: d = ±inf, or 0 where F = K.
    """
    f, k, v, s = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (forward, strike, deviation, sign)))
    with np.errstate(all="ignore"):
        distance = np.copysign(log_distance(f, k), f - k)
        middle = np.where(distance != 0, distance / v, 0.0)
        d1 = middle + 0.5 * v
        d2 = middle - 0.5 * v
        return BlackGreeks(cumulative(s * d1), cumulative(s * d2), density(d1), d1, d2)
