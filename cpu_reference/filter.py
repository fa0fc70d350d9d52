"""Volatility filters: the recursions, all factors at once."""

import numpy as np

from cpu_reference.types import F8, Bool


def filter_ewma(returns: F8, decay: float) -> F8:
    """Exponentially weighted volatility that knows only the past.

    σ²₁ is the sample variance (ddof 1) of all returns, σ²ₜ₊₁ = λσ²ₜ + (1 − λ)r²ₜ (RiskMetrics 1996, eq. 5.3; as the
    filter of Hull & White 1998 and Barone-Adesi, Giannopoulos & Vosper 1999). Where the returns do not vary but for
    rounding (a crawling peg), σ²₁ is their mean square instead, because their variance says nothing.

    Args:
        returns: (n_dates, n_factors), oldest first.
        decay: λ, between 0 and 1.

    Returns:
        (n_dates + 1, n_factors) volatilities: row t is known before return t, the last row is the forecast.
    """
    n = len(returns)
    variance = np.empty((n + 1, returns.shape[1]))
    variance[0] = returns.var(axis=0, ddof=1)
    still = steady(returns)
    variance[0, still] = (returns[:, still] ** 2).mean(axis=0)
    for t in range(n):
        variance[t + 1] = decay * variance[t] + (1.0 - decay) * returns[t] ** 2
    return np.sqrt(variance)


def filter_absolute(returns: F8, decay: float) -> F8:
    """Exponentially weighted volatility from absolute returns, which one large return moves less than a squared one.

    σₜ₊₁ = λσₜ + (1 − λ)·√2·|rₜ|, the maximum-likelihood update for Laplace returns, whose standard deviation is √2
    times their mean size (Guermat & Harris 2002, "Robust conditional variance estimation and value-at-risk"); σ₁ is
    √2 times the mean size of all returns. Normal returns of standard deviation s give 2s/√π, an eighth more.

    Args:
        returns: (n_dates, n_factors), oldest first.
        decay: λ, between 0 and 1.

    Returns:
        (n_dates + 1, n_factors) volatilities: row t is known before return t, the last row is the forecast.
    """
    n = len(returns)
    size = np.sqrt(2.0) * np.abs(returns)
    volatility = np.empty((n + 1, returns.shape[1]))
    volatility[0] = size.mean(axis=0)
    for t in range(n):
        volatility[t + 1] = decay * volatility[t] + (1.0 - decay) * size[t]
    return volatility


def steady(returns: F8) -> Bool:
    """(n_factors,): the returns' variance is rounding, below 1e-12 of their mean square."""
    return np.asarray(returns.var(axis=0, ddof=1) <= 1e-12 * (returns**2).mean(axis=0))
