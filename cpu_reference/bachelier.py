"""Bachelier's formula (Bachelier 1900), undiscounted, to full relative precision in the wings.

With a = |F − K|/deviation the out-of-the-money price is deviation·φ(a)·(1 − a·R(a)), R the Mills ratio; an
in-the-money one adds F − K by parity. Forward and strike may be negative.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.gaussian import INV_SQRT_2PI, cumulative, density, first_moment

F8 = npt.NDArray[np.float64]


class BachelierGreeks(NamedTuple):
    """What the Greeks are made of, each of the broadcast shape."""

    n: F8  # N(sign·d): |∂price/∂F| = |∂price/∂K|, undiscounted
    density: F8  # φ(d) = ∂price/∂deviation = deviation·∂²price/∂F²
    d: F8  # (F − K)/deviation


def bachelier(forward: npt.ArrayLike, strike: npt.ArrayLike, deviation: npt.ArrayLike, sign: npt.ArrayLike) -> F8:
    """Undiscounted price of a European option on a normally distributed forward, of the broadcast shape.

    `deviation` = σ√T ≥ 0 in price units, `sign` +1 for a call and −1 for a put. The result has a relative error below
    1e-12 wherever it is a normal float64; below, an absolute one of 1e-12 of the smallest normal
    number.
    """
    f, k, v, s = (np.asarray(x, dtype=np.float64) for x in (forward, strike, deviation, sign))
    gap, v, s = np.broadcast_arrays(f - k, v, s)
    with np.errstate(all="ignore"):  # infinities and underflow are limits here, not accidents
        a = np.where(gap != 0, np.abs(gap) / v, 0.0)
        root = np.exp(-0.25 * a * a)  # twice, so that a representable price has no denormal factor
        value = (v * root) * (first_moment(a.ravel()).reshape(a.shape) * INV_SQRT_2PI) * root
    return np.asarray(np.maximum(s * gap, 0.0) + np.where(a == np.inf, 0.0, value))


def bachelier_greeks(
    forward: npt.ArrayLike, strike: npt.ArrayLike, deviation: npt.ArrayLike, sign: npt.ArrayLike
) -> BachelierGreeks:
    """N(sign·d), φ(d), relative error below 1e-12, and d; arguments as for `bachelier`.

    At deviation 0 the limits: d = ±inf, or 0 where F = K.
    """
    f, k, v, s = (np.asarray(x, dtype=np.float64) for x in (forward, strike, deviation, sign))
    gap, v, s = np.broadcast_arrays(f - k, v, s)
    with np.errstate(all="ignore"):
        d = np.where(gap != 0, gap / v, 0.0)
        return BachelierGreeks(cumulative(s * d), density(d), d)
