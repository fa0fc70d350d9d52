"""The grid of a scan: where each scenario puts price and volatility, and which scenarios belong together."""

from typing import NamedTuple

import numpy as np

from gpu_var.margin.scan.vol_law import VolLaw, vol_factor
from gpu_var.market.state import FLOOR
from gpu_var.tables.book import F8, I8, Bool
from gpu_var.tables.config_scan import Scan


class Grid(NamedTuple):
    """The scenarios of [scan] `grid`, then those of `extended`; all (n_scenarios,)."""

    price: F8  # multiple of the price range; a price move of its own where `extended`
    vol: F8  # multiple of the volatility range
    weight: F8  # share of profit and loss that is kept
    extended: Bool
    pair: I8  # the scenario of the same price move and the opposite volatility move; itself where there is none
    centre: int  # the first scenario that does not move the price, −1 where every one does

    @property
    def name(self) -> list[str]:
        """Scenarios are numbered from 1."""
        return (np.arange(len(self.price)) + 1).astype(str).tolist()


def grid_of(scan: Scan) -> Grid:
    """The grid of a configuration."""
    price, vol, weight = np.array([*scan.grid, *scan.extended], dtype=np.float64).T
    extended = np.arange(len(price)) >= len(scan.grid)
    same = (price[:, None] == price) & (extended[:, None] == extended)
    opposite = same & (np.sign(vol)[:, None] * np.sign(vol) < 0.0)
    pair = np.where(opposite.any(axis=1), opposite.argmax(axis=1), np.arange(len(price)))
    still = price == 0.0
    return Grid(price, vol, weight, extended, pair, int(still.argmax()) if still.any() else -1)


def price_moves(scan: Scan, grid: Grid, underlying: str) -> F8:
    """(n_scenarios,) how far each scenario moves an underlying's price, in the unit of `price_range_in`."""
    return np.where(grid.extended, grid.price, grid.price * scan.parameter("price_range", underlying))


def vol_growth(scan: Scan, multiple: F8, years: F8, underlying: str) -> F8:
    """What an underlying's volatilities are multiplied by where the range is relative.

    A volatility keeps at least a hundredth of itself, as under simple returns.

    Args:
        multiple: (m,) of the range. years: (n,) to expiry.

    Returns:
        (n, m) factors.
    """
    up, down = (scan.parameter(name, underlying) for name in ("vol_range", "vol_range_down"))
    return np.maximum(vol_factor(years, multiple, _law(scan, up, down)), FLOOR)


def vol_step(scan: Scan, multiple: float, years: F8, underlying: str) -> F8:
    """(n,) what is added to volatilities where the range is absolute, in their own unit."""
    reach = scan.parameter("vol_range" if multiple > 0.0 else "vol_range_down", underlying)
    return multiple * reach * (vol_factor(years, np.ones(1), _law(scan, 1.0, 1.0))[:, 0] - 1.0)


def _law(scan: Scan, up: float, down: float) -> VolLaw:
    if scan.vol_law == "flat":
        return VolLaw(up, down, scan.vol_floor_days, 0.0, 0.0)
    return VolLaw(up, down, scan.vol_floor_days, scan.vol_power_short, scan.vol_power_long, scan.vol_pivot_days)


def price_levels(moves: F8, price_range_in: str, spot: float, normal: bool) -> F8:
    """The price of the underlying after some moves.

    A relative move is a share of the spot (normal dynamics: of its size, for it may be negative). A lognormal price
    keeps at least a hundredth of itself, as under simple returns; `floored` says where that binds.
    """
    absolute = moves if price_range_in == "absolute" else moves * abs(spot)
    return spot + absolute if normal else np.maximum(spot + absolute, FLOOR * spot)


def floored(moves: F8, price_range_in: str, spot: float, normal: bool) -> Bool:
    """Where the floor of `price_levels` binds."""
    relative = moves / spot if price_range_in == "absolute" else moves
    return np.zeros(len(moves), dtype=np.bool_) if normal else 1.0 + relative < FLOOR
