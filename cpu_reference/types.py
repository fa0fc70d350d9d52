"""The plain arrays that every backend function takes: columns throughout, of one underlying or of several."""

from collections.abc import Callable
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
    """Curves read at the instruments' maturities, all (n_maturities,)."""

    years: F8  # ≤ 0: expired
    forward: F8  # spot where it has expired
    rate: F8  # zero rate, continuous


class Instruments(NamedTuple):
    """The instruments of one underlying, sorted by (maturity, sign, american, strike), or of several, one after
    another; all (n,)."""

    kind: npt.NDArray[np.int8]  # SPOT, FUTURE, PERPETUAL, OPTION
    maturity: I8  # row of `Maturities`; of what does not expire, one of its underlying with years ≤ 0
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
    """The market today of one underlying or of several, and how it is read in a scenario.

    Everything stands by maturity, and a maturity is one underlying's: several are no more than more maturities.
    """

    normal: bool  # Bachelier dynamics, of all
    sticky_strike: bool
    underlying: I8  # (n_maturities,) from 0, ascending
    forward_from_rate: Bool  # (n_maturities,): F = S·exp((r − dividend yield)·T), so that a rate shock moves it too
    spot: F8  # (n_maturities,)
    fx: F8  # (n_maturities,) base currency for one unit of the quote currency
    today: Maturities
    horizon: Maturities  # as `today` unless positions roll: then the same curves read at the years left
    smile_today: Smile
    smile_horizon: Smile

    @classmethod
    def of_one(
        cls,
        normal: bool,
        sticky_strike: bool,
        forward_from_rate: bool,
        spot: float,
        fx: float,
        today: Maturities,
        horizon: Maturities,
        smile_today: Smile,
        smile_horizon: Smile,
    ) -> "Market":
        """That of one underlying."""
        n = len(today.years)
        return cls(
            normal,
            sticky_strike,
            np.zeros(n, np.intp),
            np.full(n, forward_from_rate),
            np.full(n, spot),
            np.full(n, fx),
            today,
            horizon,
            smile_today,
            smile_horizon,
        )


class Levels(NamedTuple):
    """The market of one maturity in some scenarios, all (n_scenarios,)."""

    spot: F8
    fx: F8
    forward: F8
    rate: F8
    vol_growth: F8  # multiplies σ


_SPOT, _FORWARD, _FX, _RATE, _GROWTH = range(5)


class Shocks(NamedTuple):
    """A market in each scenario, in as few rows of numbers as its maturities can share.

    Of maturity m: spot = base[0, m] ∘ move[row[0, m]], forward = base[1, m] ∘ move[row[1, m]], fx = fx[row[2, m]],
    rate = base[2, m] + rate[row[3, m]], growth of σ = vol_growth[row[4, m]], where ∘ is ×, or + under normal dynamics.
    What has expired has the spot as its forward.
    """

    normal: bool
    row: npt.NDArray[np.int32]  # (5, n_maturities), on the host
    base: F8  # (3, n_maturities), on the host
    move: F8  # (n_moves, n_scenarios), the backend's array, as all that follow
    fx: F8  # (n_fx, n_scenarios)
    rate: F8  # (n_rates, n_scenarios)
    vol_growth: F8  # (n_growths, n_scenarios)

    @classmethod
    def of_levels(cls, normal: bool, spot: F8, fx: F8, forward: F8, rate: F8, vol_growth: F8) -> "Shocks":
        """Of one underlying, from levels: spot and fx (n_scenarios,), all else (n_maturities, n_scenarios)."""
        at = np.arange(len(forward), dtype=np.int32)
        none = np.zeros_like(at)
        unit = np.full(len(at), 0.0 if normal else 1.0)
        return cls(
            normal,
            np.stack([none, at + np.int32(1), none, at, at]),
            np.stack([unit, unit, np.zeros(len(at))]),
            np.concatenate([spot[None], forward]),
            fx[None],
            rate,
            vol_growth,
        )

    @property
    def n_scenarios(self) -> int:
        """How many scenarios there are."""
        return int(self.move.shape[1])

    def moving(self, change: Callable[[Any], Any]) -> "Shocks":
        """With what moves by scenario changed: taken to a device, or cut to some scenarios."""
        changed: Shocks = self._replace(
            move=change(self.move), fx=change(self.fx), rate=change(self.rate), vol_growth=change(self.vol_growth)
        )
        return changed

    def at(self, m: int, scenarios: slice = slice(None)) -> Levels:
        """The market of maturity m in some scenarios; for arrays on the host."""
        spot, forward, rate = self.base[:, m]
        row = self.row[:, m]
        moved = np.add if self.normal else np.multiply
        return Levels(
            moved(spot, self.move[row[_SPOT], scenarios]),
            self.fx[row[_FX], scenarios],
            moved(forward, self.move[row[_FORWARD], scenarios]),
            rate + self.rate[row[_RATE], scenarios],
            self.vol_growth[row[_GROWTH], scenarios],
        )
