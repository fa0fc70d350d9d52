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
Bool = npt.NDArray[np.bool_]

_SERIES = 0.02  # R(a − t) − R(a + t) as a difference is good to 1e-15·(1 + a)/t; a series where t is less


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
    with np.errstate(all="ignore"):
        gap = np.abs(forward - strike) / low  # the numerator is exact where the two are close
        distance = np.log1p(gap)
        if np.isinf(gap).any():  # over 308 decades apart
            distance = np.where(np.isinf(gap), np.log(np.maximum(forward, strike)) - np.log(low), distance)
    return np.asarray(distance)


def mantissa(a: F8, t: F8) -> tuple[F8, Bool]:
    """The time value per unit of min(F, K) over exp(−(a − t)²/2), a = |ln(F/K)|/deviation, t = deviation/2; 1-d.

    Where the second result is False (a < t, but for small t) it is (time value − 1)/exp(−(a − t)²/2) instead.
    """
    z = a - t
    value = 0.5 * (np.copysign(erfcx(np.abs(z) * SQRT_HALF), z) - erfcx((a + t) * SQRT_HALF))
    near = np.flatnonzero(t <= _SERIES * (1 + a))
    whole = z >= 0  # as copysign has it
    if near.size:
        value[near] = mills_difference(a[near], t[near]) / SQRT_HALF_PI
        whole[near] = True
    return value, whole


def time_value(low: F8, distance: F8, deviation: F8) -> F8:
    """The price of the option that is out of the money, call or put, of the broadcast shape.

    `low` is min(F, K) > 0, `distance` |ln(F/K)| ≥ 0 and `deviation` σ√T ≥ 0; the last two may be infinite. For whoever
    has the logarithm at hand; `black` takes it itself.
    """
    low, distance, deviation = np.broadcast_arrays(low, distance, deviation)
    shape = low.shape
    low, distance, deviation = low.ravel(), distance.ravel(), deviation.ravel()
    with np.errstate(all="ignore"):  # infinities and underflow are limits here, not accidents
        a = np.where(distance > 0, distance / deviation, 0.0)
        t = 0.5 * deviation
        root = np.exp(-0.25 * (a - t) ** 2)  # twice, so that a representable price has no denormal factor
        part, whole = mantissa(a, t)
        value = low * root * part * root
        value = np.where(whole, value, low + value)
    value[(a == np.inf) | (deviation == 0)] = 0.0
    return value.reshape(shape)


def black(forward: npt.ArrayLike, strike: npt.ArrayLike, deviation: npt.ArrayLike, sign: npt.ArrayLike) -> F8:
    """Undiscounted price of a European option on a lognormal forward, of the broadcast shape.

    `forward` and `strike` are positive, `deviation` = σ√T ≥ 0, `sign` +1 for a call and −1 for a put. The result has a
    relative error below 1e-12 wherever it is a normal float64; below, an absolute one of 1e-12 of the smallest
    normal number.
    """
    f, k, v, s = (np.asarray(x, dtype=np.float64) for x in (forward, strike, deviation, sign))
    intrinsic = np.maximum(s * (f - k), 0.0)
    return np.asarray(intrinsic + time_value(np.minimum(f, k), log_distance(f, k), v))


def black_greeks(
    forward: npt.ArrayLike, strike: npt.ArrayLike, deviation: npt.ArrayLike, sign: npt.ArrayLike
) -> BlackGreeks:
    """N(sign·d₁), N(sign·d₂), φ(d₁), relative error below 1e-12, and d₁, d₂; arguments as for `black`.

    At deviation 0 the limits: d = ±inf, or 0 where F = K.
    """
    f, k, v, s = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (forward, strike, deviation, sign)))
    with np.errstate(all="ignore"):
        distance = np.copysign(log_distance(f, k), f - k)
        middle = np.where(distance != 0, distance / v, 0.0)
        d1 = middle + 0.5 * v
        d2 = middle - 0.5 * v
        return BlackGreeks(cumulative(s * d1), cumulative(s * d2), density(d1), d1, d2)
