"""What scenarios do to an underlying's rates, dividends and volatilities: the ranges that premiums are fitted over.

All maturities at once; what is the same in all scenarios, or at all maturities, is looked at once.
"""

from typing import NamedTuple

import numpy as np

from cpu_reference.smile import smile_variance, smile_variance_ranges
from cpu_reference.types import F8, I8, Instruments, Shocks, Smile, once

ROUNDING = 1e-13
"""Rates times years that differ by no more are alike: they move no price by more than that part of the strike."""


class Reached(NamedTuple):
    """What scenarios do at each maturity."""

    rate: list[F8]  # (n_scenarios,) each; of stride 0 where rate and dividend are the same in all scenarios
    dividend: list[F8]  # (n_scenarios,) each: the rate less ln(F/S)/T; likewise
    growth: tuple[F8, F8]  # least and greatest factor of volatility, (n_maturities,) each
    step: tuple[F8, F8]  # least and greatest step of log-moneyness, (n_maturities,) each


def reached(years: F8, forward: F8, shocks: Shocks, last: Shocks | None = None) -> Reached:
    """What the scenarios, and one after them if it is given, do at each maturity.

    Args:
        years: (n_maturities,) to expiry; what is reached where it is not above 0 is of no use.
        forward: (n_maturities,) that today's moneyness is measured against.
        shocks: the market in the scenarios.
        last: in one more.
    """
    parts = [part for part in (shocks, last) if part is not None and len(part.spot)]
    with np.errstate(all="ignore"):  # no number stays none: its fit is none, and its cell is named
        carry = [part.forward / part.spot for part in parts]
        low, high = _extremes(carry)
        rate_low, rate_high = _extremes([part.rate for part in parts])
        alike = np.log(high / low) + (rate_high - rate_low) * years <= ROUNDING
        forward_low, forward_high = _extremes([part.forward for part in parts])
        n = sum(len(part.spot) for part in parts)
        rates = np.broadcast_to(parts[0].rate[:, :1], (len(years), n))
        dividends = np.broadcast_to(rates[:, :1] - np.log(carry[0][:, :1]) / years[:, None], (len(years), n))
        rate, dividend = list(rates), list(dividends)
        for m in np.flatnonzero(~alike).tolist():
            rate[m] = np.concatenate([part.rate[m] for part in parts])
            dividend[m] = rate[m] - np.log(np.concatenate([part[m] for part in carry])) / years[m]
        step = np.log(forward / forward_high), np.log(forward / forward_low)
    return Reached(rate, dividend, _extremes([part.vol_growth for part in parts]), step)


def vol_ranges(
    instruments: Instruments, begin: I8, smile: Smile, forward: F8, sticky_strike: bool, over: Reached
) -> tuple[F8, F8]:
    """The least and greatest volatility that runs of options reach in any scenario, (n_runs,) each.

    Args:
        instruments: (n ≥ 1,) options, lognormal, those of a run of one maturity.
        begin: (n_runs,) first row of each run; from 0, ascending.
        smile: of the maturities.
        forward: (n_maturities,) that today's moneyness is measured against.
        sticky_strike: whether an option keeps the volatility that the smile has at its strike.
        over: of the same maturities.
    """
    at = instruments.maturity[begin]
    surface = np.isnan(instruments.vol)
    least, greatest = instruments.vol**2, instruments.vol**2
    if surface.any():
        m = instruments.maturity[surface]
        k = np.log(instruments.strike[surface] / forward[m])
        if sticky_strike:
            least[surface] = greatest[surface] = smile_variance(smile, m, k)
        else:
            nowhere = np.full(len(surface), np.inf)
            nowhere[surface] = k
            low = np.minimum.reduceat(nowhere, begin)
            nowhere[surface] = -k
            high = -np.minimum.reduceat(nowhere, begin)
            reads = np.flatnonzero(np.logical_or.reduceat(surface, begin))
            of = at[reads]
            variances = smile_variance_ranges(smile, of, low[reads] + over.step[0][of], high[reads] + over.step[1][of])
            rows = np.flatnonzero(surface)
            first = rows[np.searchsorted(rows, begin[reads])]  # stands for all of its run that read the smile
            least[surface], greatest[surface] = np.inf, -np.inf
            least[first], greatest[first] = variances
    low, high = np.sqrt(np.minimum.reduceat(least, begin)), np.sqrt(np.maximum.reduceat(greatest, begin))
    return low * over.growth[0][at], high * over.growth[1][at]


def _extremes(parts: list[F8]) -> tuple[F8, F8]:
    """Least and greatest of each row (n_maturities, n_scenarios) of arrays side by side; what is the same along an axis
    (stride 0) is looked at once."""
    ends = []
    for array in parts:
        own = once(array)
        ends.append([np.broadcast_to(f(axis=1), len(array)) for f in (own.min, own.max)])
    return np.minimum.reduce([low for low, _ in ends]), np.maximum.reduce([high for _, high in ends])
