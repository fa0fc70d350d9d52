"""Monte Carlo: correlated normal or Student-t moves at today's volatility, one step, no drift."""

from concurrent.futures import Executor

import numpy as np

import cpu_reference
from gpu_var.backend import Backend
from gpu_var.market.checks import window
from gpu_var.market.factors import Factors
from gpu_var.scenarios.fhs import factor_returns, steady_factors
from gpu_var.scenarios.model import ScenarioSet, count_floored
from gpu_var.tables.book import F8, Book
from gpu_var.tables.config import Config

_BLOCK = 4096
"""Paths drawn at a time: bounds the memory of the draw, changes no number."""


def correlation_root(residuals: F8) -> F8:
    """Symmetric square root of the Pearson correlation, negative eigenvalues set to 0.

    The symmetric root does not depend on the signs of the eigenvectors.

    Args:
        residuals: (n_dates, n_factors) returns over their volatility, none of them constant.
    """
    if residuals.shape[1] == 0:
        return np.zeros((0, 0))
    correlation = np.atleast_2d(np.corrcoef(residuals, rowvar=False))
    eigenvalue, vector = np.linalg.eigh(correlation)
    return np.asarray((vector * np.sqrt(np.maximum(eigenvalue, 0.0))) @ vector.T)


def monte_carlo(book: Book, config: Config, factors: Factors, backend: Backend, pool: Executor) -> ScenarioSet:
    """The paths of `[monte_carlo]`: x = √h·σ_{N+1}·y, y with the correlation of z_t = r_t/σ_t.

    A factor's number is a function of (seed, path, step 0, its index among the run's factors) alone. Constant factors
    have shock 0 and are left out of the correlation, and so do those whose returns are constant.
    """
    model = config.monte_carlo
    if model is None:
        raise ValueError("[monte_carlo] is not enabled; expected its table in the configuration")
    _, levels = window(book.history, factors, model, config.as_of_us)
    returns = factor_returns(levels, factors.additive, config.returns)
    volatility = backend.to_host(backend.filter_ewma(backend.to_device(returns), model.decay))
    moving = np.flatnonzero(~cpu_reference.steady(returns))
    # Factors whose returns do not vary keep their place among the draws, with a root of 0.
    root = np.zeros((len(factors.names), len(factors.names)))
    root[np.ix_(moving, moving)] = correlation_root(returns[:, moving] / volatility[:-1, moving])
    root = backend.to_device(root)
    scale = np.sqrt(config.holding_period_days) * volatility[-1]
    shock = np.zeros((model.paths, len(factors.names)))

    def draw(first: int) -> None:
        rows = slice(first, min(first + _BLOCK, model.paths))
        n = rows.stop - first
        y = backend.empty((n, len(factors.names)))
        backend.correlate(backend.normals(model.seed, 0, first, y.shape), root, y)
        moves = backend.to_host(y) * scale
        if model.copula == "student_t" and model.dof is not None:
            moves *= backend.to_host(backend.student_t_mixing(model.seed, 0, first, n, model.dof))[:, None]
        shock[rows] = moves

    for _ in pool.map(draw, range(0, model.paths, _BLOCK)):
        pass
    names = np.arange(model.paths).astype(str).tolist()
    floored = count_floored(shock, factors.additive, config.returns)
    return ScenarioSet("monte_carlo", names, shock, floored, steady_factors(returns, factors))
