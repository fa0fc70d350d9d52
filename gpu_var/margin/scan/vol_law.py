"""How far a volatility of given maturity moves: short ones more than long ones."""

from typing import NamedTuple

import numpy as np

from gpu_var.tables.book import F8

REFERENCE_DAYS = 30.0
"""The maturity at which the range is the whole move."""


class VolLaw(NamedTuple):
    """A volatility range and how it scales with maturity; powers of 0 make it the same for all maturities."""

    up: float  # rise at 30 days, relative: 0.5 is half as much again
    down: float  # fall at 30 days
    floor_days: float  # shorter maturities move like this one, > 0
    power_short: float  # under `pivot_days`
    power_long: float  # from `pivot_days` on
    pivot_days: float = REFERENCE_DAYS


def vol_factor(years: F8, multiple: F8, law: VolLaw) -> F8:
    """What volatilities are multiplied by: 1 + up·s upwards, max(0, 1 − down·s) downwards.

    s = |multiple|·(30 days/max(T, floor))^p with p = `power_short` for T < `pivot_days`, else `power_long`. With powers
    0.30 and 0.13 and the pivot at 30 days this is the law that Deribit ("Portfolio margin": (30/15)^0.30·38 % at 15
    days), Derive (`PMRMLib.sol`, 2023) and Paradex ("Portfolio margin", SCAN risk) publish.

    Args:
        years: (n,) Act/365F years to expiry; what has expired moves like `floor_days`.
        multiple: (m,) share of the range, in [−1, 1] or beyond; negative is a fall.
        law: the range and its scaling.

    Returns:
        (n, m) factors, ≥ 0.
    """
    days = years * 365.0
    # As_of and expiry are whole microseconds: a maturity of 30 days is 30, though 30/365·365 may not be.
    long = days >= law.pivot_days * (1.0 - 1e-12)
    power = np.where(long, law.power_long, law.power_short)
    scale = (REFERENCE_DAYS / np.maximum(days, law.floor_days)) ** power
    move = np.where(multiple > 0.0, law.up, law.down) * multiple * scale[:, None]
    factor: F8 = np.maximum(1.0 + move, 0.0)
    return factor
