"""What scenarios do to an underlying's rates, dividends and volatilities: the ranges that premiums are fitted over.

All maturities at once; rows of scenarios that maturities share are looked at once.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cpu_reference.smile import smile_variance, smile_variance_ranges
from cpu_reference.types import F8, I8, Instruments, Shocks, Smile

ROUNDING = 1e-13
"""Rates times years that differ by no more are alike: they move no price by more than that part of the strike."""


class Reached(NamedTuple):
    """What scenarios do at each maturity."""

    # (n_scenarios,) each; of stride 0 where rate and dividend are the same in all, one array where maturities share it
    rate: list[F8]
    dividend: list[F8]  # (n_scenarios,) each: the rate less ln(F/S)/T; of stride 0 where it is the same in all
    growth: tuple[F8, F8]  # least and greatest factor of volatility, (n_maturities,) each
    step: tuple[F8, F8]  # least and greatest step of log-moneyness, (n_maturities,) each


def reached(years: F8, forward: F8, shocks: Shocks, last: Shocks | None = None) -> Reached:
    """What the scenarios, and one after them if it is given, do at each maturity, under lognormal dynamics.

    Args:
        years: (n_maturities,) to expiry; what is reached where it is not above 0 is of no use.
        forward: (n_maturities,) that today's moneyness is measured against.
        shocks: the market in the scenarios.
        last: in one more.
    """
    parts = [part for part in (shocks, last) if part is not None and part.n_scenarios]
    n = sum(part.n_scenarios for part in parts)
    with np.errstate(all="ignore"):  # no number stays none: its fit is none, and its cell is named
        rate_low, rate_high = _extremes(parts, lambda part, ends: part.base[2] + ends(part.rate)[part.row[3]])
        forward_low, forward_high = _extremes(parts, lambda part, ends: part.base[1] * ends(part.move)[part.row[1]])
        growth = _extremes(parts, lambda part, ends: ends(part.vol_growth)[part.row[4]])
        # A forward that moves with the spot keeps its carry, but for rounding.
        carry = [_carry(part) for part in parts]
        own = np.logical_or.reduce([part.row[0] != part.row[1] for part in parts])
        low, high = carry[0].copy(), carry[0].copy()
        for other in carry[1:]:
            low, high = np.minimum(low, other), np.maximum(high, other)
        carries = {m: _carries(parts, m) for m in np.flatnonzero(own).tolist()}
        for m, each in carries.items():
            low[m], high[m] = each.min(), each.max()
        alike = np.log(high / low) + (rate_high - rate_low) * years <= ROUNDING
        first = parts[0].base[2] + parts[0].rate[parts[0].row[3], 0]
        rate = list(np.broadcast_to(first[:, None], (len(years), n)))
        dividend = list(np.broadcast_to((first - np.log(carry[0]) / years)[:, None], (len(years), n)))
        rates: dict[tuple[tuple[float, int], ...], F8] = {}
        for m in np.flatnonzero(~alike).tolist():
            key = tuple((float(part.base[2, m]), int(part.row[3, m])) for part in parts)
            if key not in rates:
                rates[key] = np.concatenate([part.at(m).rate for part in parts])
            rate[m] = rates[key]
            each = carries[m] if m in carries else _carries(parts, m)
            dividend[m] = rate[m] - np.log(each) / years[m]
            if np.ptp(dividend[m]) * years[m] <= ROUNDING:
                dividend[m] = np.broadcast_to(dividend[m][:1], n)
        step = np.log(forward / forward_high), np.log(forward / forward_low)
    return Reached(rate, dividend, growth, step)


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


def _extremes(parts: list[Shocks], of: Callable[[Shocks, Callable[[F8], F8]], F8]) -> tuple[F8, F8]:
    """Least and greatest of each maturity over the scenarios of all parts.

    Args:
        of: what is looked at, of a part, from the ends (n_rows,) of rows that it rises with.
    """
    return (
        np.minimum.reduce([of(part, lambda rows: rows.min(axis=1)) for part in parts]),
        np.maximum.reduce([of(part, lambda rows: rows.max(axis=1)) for part in parts]),
    )


def _carry(part: Shocks) -> F8:
    """(n_maturities,) F/S in the first scenario."""
    spot, forward = (part.base[i] * part.move[part.row[i], 0] for i in (0, 1))
    return np.asarray(forward / spot)


def _carries(parts: list[Shocks], m: int) -> F8:
    """(n_scenarios,) F/S of one maturity in all scenarios of all parts."""
    return np.concatenate([at.forward / at.spot for at in (part.at(m) for part in parts)])
