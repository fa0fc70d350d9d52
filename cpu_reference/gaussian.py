"""The normal distribution where its tail matters: N, φ, and the Mills ratio R(a) = N(−a)/φ(a) with its moments.

Option prices out of the money are φ times differences of R, and R is tame where N and φ vanish. Its moments
M_n(a) = ∫₀^∞ sⁿ exp(−a·s − s²/2) ds = (−1)ⁿ·dⁿR/daⁿ give those differences without cancellation (M₀ = R).
Recursion: M_{n+1} = n·M_{n−1} − a·M_n (Abramowitz & Stegun 7.2.5, repeated integrals of erfc), hence the continued
fraction M_n/M_{n−1} = n/(a + M_{n+1}/M_n), whose terms are all positive.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import erfcx

F8 = npt.NDArray[np.float64]

SQRT_HALF = float(np.sqrt(0.5))
SQRT_HALF_PI = float(np.sqrt(np.pi / 2))
INV_SQRT_2PI = float(1 / np.sqrt(2 * np.pi))

_FAR = 5.0  # from here on 1 − a·R(a) loses over a digit, and the continued fraction converges fast
_TERMS = 20


def density(d: F8) -> F8:
    """φ(d), any shape; relative error 1e-13 until it underflows (|d| > 38)."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(-0.5 * d * d) * INV_SQRT_2PI)


def cumulative(d: F8) -> F8:
    """N(d), any shape, d may be ±inf; relative error 1e-13, also in the lower tail until it underflows."""
    with np.errstate(over="ignore"):
        tail = 0.5 * np.exp(-0.5 * d * d) * erfcx(np.abs(d) * SQRT_HALF)
    return np.asarray(np.where(d > 0, 1 - tail, tail))


def mills(a: F8) -> F8:
    """R(a) = N(−a)/φ(a) for a ≥ 0, any shape."""
    return np.asarray(SQRT_HALF_PI * erfcx(a * SQRT_HALF))


def _ratios(a: F8, count: int) -> list[F8]:
    """M_n/M_{n−1} for n = 1…count, a ≥ `_FAR`, by the continued fraction run backwards from its fixed point."""
    ratio = 2 * _TERMS / (a + np.sqrt(a * a + 4 * _TERMS))
    kept: list[F8] = []
    for n in range(_TERMS - 1, 0, -1):
        ratio = n / (a + ratio)
        if n <= count:
            kept.append(ratio)
    return kept[::-1]


def first_moment(a: F8) -> F8:
    """M₁(a) = 1 − a·R(a) for a ≥ 0 (1-d): Bachelier's price is deviation·φ(a)·M₁(a). Relative error 1e-14."""
    moment = 1 - a * mills(a)
    far = np.flatnonzero(a > _FAR)
    if far.size:
        moment[far] = mills(a[far]) * _ratios(a[far], 1)[0]
    return moment


def mills_difference(a: F8, t: F8) -> F8:
    """(R(a − t) − R(a + t))/2 for a ≥ 0 and 0 ≤ t ≤ 0.02·(1 + a), 1-d: the series Σ tᵏ·M_k(a)/k! over odd k ≤ 9.

    The first term left out is below 1e-15 of the sum. All terms are positive.
    """
    t2 = t * t
    a2 = a * a
    m1 = 1 - a * mills(a)
    m3 = (3 + a2) * m1 - 1
    m5 = (7 + a2) * m3 - 6 * m1
    m7 = (11 + a2) * m5 - 20 * m3
    m9 = (15 + a2) * m7 - 42 * m5
    half = t * (m1 + t2 * (m3 / 6 + t2 * (m5 / 120 + t2 * (m7 / 5040 + t2 * m9 / 362880))))
    far = np.flatnonzero(a > _FAR)
    if far.size:
        r = _ratios(a[far], 9)
        t2 = t2[far]
        tail = 1 + t2 * r[7] * r[8] / 72
        tail = 1 + t2 * r[5] * r[6] / 42 * tail
        tail = 1 + t2 * r[3] * r[4] / 20 * tail
        tail = 1 + t2 * r[1] * r[2] / 6 * tail
        half[far] = mills(a[far]) * r[0] * t[far] * tail
    return half
