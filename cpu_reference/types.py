"""The plain arrays that every backend function takes: one underlying at a time, columns throughout."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.intp]
Bool = npt.NDArray[np.bool_]

SPOT, FUTURE, PERPETUAL, OPTION = range(4)
"""Codes of `Instruments.kind`."""


def once(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array without repetition: of an axis along which one number stands for all (stride 0), the first place."""
    return array[tuple(slice(0, 1) if step == 0 else slice(None) for step in array.strides)]


class Smile(NamedTuple):
    """Variance σ² as a function of moneyness k, one piecewise quadratic a maturity, constant beyond its end knots.

    Moneyness is ln(K/F) (lognormal) or K − F (normal). The knots of maturity m are ``knot[start[m]:start[m+1]]``,
    ascending; its M + 1 segments are ``segment[start[m]+m : start[m+1]+m+1]``: on segment b, with t = k − knot[b−1]
    (t = 0 on the first), σ² = segment[b] · (1, t, t²).
    """

    start: I8  # (n_maturities + 1,)
    knot: F8  # (n_knots,)
    segment: F8  # (n_knots + n_maturities, 3)


class Maturities(NamedTuple):
    """An underlying's curves read at its instruments' maturities, all (n_maturities,); years may be ≤ 0 (expired)."""

    years: F8
    forward: F8
    rate: F8  # zero rate, continuous


class Instruments(NamedTuple):
    """The instruments of one underlying, sorted by (maturity, sign, american, strike); all (n,)."""

    kind: npt.NDArray[np.int8]  # SPOT, FUTURE, PERPETUAL, OPTION
    maturity: I8  # row of `Maturities`; −1 for spot and perpetual
    strike: F8  # NaN but for options
    sign: npt.NDArray[np.int8]  # +1 call, −1 put, 0 else
    american: Bool
    inverse: Bool
    multiplier: F8
    vol: F8  # the instrument's own volatility; NaN: read from the smile

    def cut(self, rows: slice | I8) -> "Instruments":
        """The columns cut to some rows."""
        cut: Instruments = self._replace(**{name: column[rows] for name, column in self._asdict().items()})
        return cut


class Market(NamedTuple):
    """One underlying's market today, and how it is read in a scenario."""

    normal: bool  # Bachelier dynamics
    sticky_strike: bool
    forward_from_rate: bool  # F = S·exp((r − dividend yield)·T), so that a rate shock moves it too
    spot: float
    fx: float  # base currency for one unit of the quote currency
    today: Maturities
    horizon: Maturities  # as `today` unless positions roll: then the same curves read at the years left
    smile_today: Smile
    smile_horizon: Smile


class Shocks(NamedTuple):
    """One underlying's market in each scenario: levels, not shocks."""

    spot: F8  # (n_scenarios,)
    fx: F8  # (n_scenarios,)
    forward: F8  # (n_maturities, n_scenarios)
    rate: F8  # (n_maturities, n_scenarios)
    vol_growth: F8  # (n_maturities, n_scenarios): multiplies σ
