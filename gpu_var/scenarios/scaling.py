"""From yesterday's moves to today's: volatility with its floors, and correlation."""

from collections.abc import Mapping, Sequence

import numpy as np

from gpu_var.backend import Backend
from gpu_var.market.patterns import most_specific
from gpu_var.tables.book import F8
from gpu_var.tables.config_models import Fhs, MonteCarlo

LEAST_PIVOT = 1e-6
"""Least variance of a factor given those before it at which a correlation counts as positive definite."""


def factor_volatility(returns: F8, model: Fhs | MonteCarlo, names: Sequence[str], backend: Backend) -> F8:
    """The model's volatility of every factor, the forecast not under its floor.

    Args:
        returns: (N, n_factors), oldest first.
        model: its `volatility`, `decay` and `volatility_floor` are read.
        names: (n_factors,) of the factors.

    Returns:
        (N + 1, n_factors) on the host: row t is known before return t, the last row is σ_{N+1} = max(σ_{N+1}, floor).
        A factor that does not move stays at 0.
    """
    recursion = backend.filter_absolute if model.volatility == "absolute" else backend.filter_ewma
    volatility: F8 = backend.to_host(recursion(backend.to_device(returns), model.decay))
    if model.volatility_floor:
        forecast = np.maximum(volatility[-1], floors(model.volatility_floor, names))
        volatility[-1] = np.where((returns != 0.0).any(axis=0), forecast, volatility[-1])
    return volatility


def floors(patterns: Mapping[str, float], names: Sequence[str]) -> F8:
    """(n_factors,) least volatility a row of history: that of the most specific pattern that a name matches, else 0."""
    return np.array([patterns[best] if (best := most_specific(name, patterns)) else 0.0 for name in names])


def effective_returns(decay: float) -> float:
    """(1 + λ)/(1 − λ): how many equally weighted returns say as much as those that decay by λ."""
    return (1.0 + decay) / (1.0 - decay)


def recorrelate(returns: F8, volatility: F8, decay: float, shrinkage: float = 0.0) -> tuple[F8, float]:
    """Returns over their volatility, moved from their day's correlation to the forecast's: A_T·A_t⁻¹·D_t⁻¹·r_t.

    D_t is the diagonal of volatilities, A_t the lower Cholesky factor of the EWMA correlation, both known before t;
    multiplied by D_T it is the scaling of Duffie & Pan (1997, "An overview of value at risk"). The covariance starts
    from the sample's (ddof 1) and decays as the volatility does. Residuals A_t⁻¹D_t⁻¹r_t that are white become moves of
    correlation A_T·A_T'. The moves depend on the order of the factors, as Cholesky's factor does.

    Where two factors are the same, the correlations are singular. They are then shrunk, C → (1 − s)·C + s·I, by the
    same s on all days; s = 1 leaves the correlation as it was. Many factors make C an uncertain estimate, and A_t⁻¹
    magnifies that: independent normal residuals of 20, 60 and 120 factors grow by about 9, 30 and 60 % at λ = 0.97,
    and by 4 % or so with s = n_factors/(n_factors + `effective_returns`).

    Args:
        returns: (N, n_factors), each of which varies.
        volatility: (N + 1, n_factors).
        decay: λ.
        shrinkage: the least s, from 0 to 1.

    Returns:
        (N, n_factors) moves in units of the forecast's volatility, and s. That is `shrinkage`, unless on some day the
        variance of a factor given those before it is below 1e-6 of its own: then n_factors/(n_factors + n), n the
        `effective_returns`, and not under 0.01.
    """
    last = np.where(volatility[-1] > 0.0, volatility[-1], 1.0)
    residual = returns / np.where(volatility[:-1] > 0.0, volatility[:-1], last)
    moved = _recorrelated(returns, residual, decay, shrinkage)
    if moved is None:
        n = returns.shape[1]
        shrinkage = max(shrinkage, n / (n + effective_returns(decay)), 0.01)
        moved = _recorrelated(returns, residual, decay, shrinkage)
    if moved is None:
        raise ValueError("returns are not finite; expected finite ones")
    return moved, shrinkage


def _recorrelated(returns: F8, residual: F8, decay: float, shrinkage: float) -> F8 | None:
    """A_T·A_t⁻¹·z_t row by row; None where a correlation is not positive definite."""
    covariance = np.atleast_2d(np.cov(returns, rowvar=False))
    white = np.empty_like(residual)
    from scipy.linalg import solve_triangular  # noqa: PLC0415 - seldom needed, and slow to import

    for t, move in enumerate(returns):
        root = _cholesky(covariance, shrinkage)
        if root is None:
            return None
        white[t] = solve_triangular(root, residual[t], lower=True, check_finite=False)
        covariance = decay * covariance + (1.0 - decay) * np.outer(move, move)
    forecast = _cholesky(covariance, shrinkage)
    return None if forecast is None else white @ forecast.T


def _cholesky(covariance: F8, shrinkage: float) -> F8 | None:
    """Lower Cholesky factor of the shrunk correlation, None where a pivot is below `LEAST_PIVOT`."""
    deviation = np.sqrt(np.diagonal(covariance))
    scale = np.where(deviation > 0.0, deviation, 1.0)
    correlation: F8 = (1.0 - shrinkage) * (covariance / scale[:, None] / scale)
    np.fill_diagonal(correlation, 1.0)
    try:
        root: F8 = np.asarray(np.linalg.cholesky(correlation), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
    return root if (np.diagonal(root) ** 2 >= LEAST_PIVOT).all() else None
