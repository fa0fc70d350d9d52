"""Market impact: what a trade moves the price against itself, from its size in days of volume and its duration."""

from dataclasses import dataclass

import numpy as np

from gpu_var.tables.book import F8


@dataclass(frozen=True)
class ImpactLaw:
    """The mean price given up by a trade, in units of the daily volatility: η·(size/days)^β + ½·γ·size."""

    temporary: float  # η: while trading, of the rate; gone at once when the trade is over
    exponent: float  # β of the rate
    permanent: float = 0.0  # γ: what stays, of the size. On average over the trade half of it is paid


SQUARE_ROOT = ImpactLaw(temporary=2.0 / 3.0, exponent=0.5)
"""The square-root law: a trade of size Q within a day moves the price by Y·σ·√(Q/V) at its end, Y near 1 (Tóth et al.
2011, "Anomalous price impact and the critical nature of liquidity in financial markets", eq. 1; for crypto-currencies
Donier & Bonart 2015). Its mean along the trade is two thirds of that. Over several days each day's part is such a
trade, and the market recovers over night.
"""

TURNOVER_DAYS = 200.0
"""Days of volume that are outstanding, where it is not given: between the two examples of Almgren et al."""


def almgren(turnover_days: float = TURNOVER_DAYS) -> ImpactLaw:
    """The law estimated by Almgren, Thum, Hauptmann & Li (2005, "Direct estimation of equity market impact", eqs. 7–9):
    temporary 0.142·σ·(X/(V·T))^0.6, permanent 0.314·σ·(X/V)·(Θ/V)^¼.

    Args:
        turnover_days: Θ/V, the shares outstanding (or the open interest) in days of volume.
    """
    return ImpactLaw(temporary=0.142, exponent=0.6, permanent=0.314 * turnover_days**0.25)


def impact(law: ImpactLaw, size: F8, days: F8) -> F8:
    """(n,) the mean price given up, in units of the daily volatility.

    Args:
        size: (n,) in days of volume, ≥ 0; 0 where the volume is unlimited.
        days: (n,) > 0 over which it is traded in equal parts.
    """
    out: F8 = law.temporary * (size / days) ** law.exponent + 0.5 * law.permanent * size
    return out


def best_days(law: ImpactLaw, size: F8, money: F8, risk: F8) -> F8:
    """(n,) days T* that minimise impact and risk, money·η·(size/T)^β + risk·√T, each on its own.

    The trade-off of Almgren & Chriss (2000, "Optimal execution of portfolio transactions") among schedules of equal
    parts: T* = (2·β·money·η·size^β/risk)^(1/(β + ½)). The permanent impact does not depend on T.

    Args:
        size: (n,) in days of volume.
        money: (n,) what one daily volatility is worth, ≥ 0.
        risk: (n,) what a day's risk is worth, ≥ 0: the weight of risk times its measure over one day, divided by √3.

    Returns:
        0 where there is no impact, infinity where there is no risk but impact.
    """
    cost = 2.0 * law.exponent * law.temporary * money * size**law.exponent
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(cost > 0.0, cost / risk, 0.0)
    out: F8 = ratio ** (1.0 / (law.exponent + 0.5))
    return out
