"""What a scan array says of a portfolio: pure functions of its losses in each scenario.

Sources: CME, *SPAN methodology: components of SPAN*; McMillan, *Options as a Strategic Investment*, chapter 34, whose
table the tests recompute.
"""

from typing import NamedTuple

import numpy as np

from gpu_var.margin.scan.grid import Grid
from gpu_var.tables.book import F8, I8


class Risk(NamedTuple):
    """Of some portfolios, in currency, losses positive; all (n,)."""

    scan: F8  # max(0, the largest loss)
    worst: F8  # the largest loss, which is negative where every scenario gains
    active: I8  # the scenario of the largest loss, the first on ties
    volatility_adjusted: F8  # the mean of the active scenario's loss and its pair's
    time: F8  # the mean loss where the price does not move
    volatility: F8  # scan − volatility adjusted
    price: F8  # volatility adjusted − time


def scan_risk(losses: F8, grid: Grid) -> Risk:
    """The scan risk and its parts.

    R_i is the loss in scenario i, already weighted. Scan risk = max(0, max R_i), ties to the lowest number; with a the
    active scenario, VA = (R_a + R_pair(a))/2; time risk TR = (R_c + R_pair(c))/2 with c the first scenario that leaves
    the price where it is (0 where the grid has none); volatility risk = scan risk − VA; price risk = VA − TR.

    Args:
        losses: (n, n_scenarios).
    """
    row = np.arange(len(losses))
    active = losses.argmax(axis=1) if len(losses) else np.zeros(0, dtype=np.intp)
    worst = losses[row, active]
    scan = np.maximum(worst, 0.0)
    adjusted = 0.5 * (worst + losses[row, grid.pair[active]])
    time = np.zeros(len(losses))
    if grid.centre >= 0:
        time = 0.5 * (losses[:, grid.centre] + losses[:, grid.pair[grid.centre]])
    return Risk(scan, worst, active, adjusted, time, scan - adjusted, adjusted - time)


def weighted_futures_price_risk(price_risk: F8, composite_delta: F8) -> F8:
    """Price risk for one unit of net delta, PR/|Δ|: 0 where there is no delta, and where there is no price risk.

    Args:
        price_risk: (n,) in currency.
        composite_delta: (n,) net, in units of the underlying.
    """
    size = np.abs(composite_delta)
    return np.divide(np.maximum(price_risk, 0.0), size, out=np.zeros(len(size)), where=size > 0.0)


def group_risk(scan: F8, charges: F8, credit: F8, short_option_minimum: F8) -> F8:
    """max(scan + charges − credit, short option minimum), where there is such a minimum.

    Args:
        scan: (n,) scan risk; charges: (n,) inter-month, delivery and whatever else is added; credit: (n,), subtracted;
            short_option_minimum: (n,), 0 where nothing is short.
    """
    risk = scan + charges - credit
    return np.where(short_option_minimum > 0.0, np.maximum(risk, short_option_minimum), risk)
