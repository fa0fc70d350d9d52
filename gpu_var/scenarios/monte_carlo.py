"""Monte Carlo: correlated normal or Student-t moves at today's volatility, one step, no drift."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

import cpu_reference
from gpu_var.backend import Backend
from gpu_var.market.checks import window
from gpu_var.market.factors import Factors
from gpu_var.scenarios.fhs import factor_returns, steady_factors
from gpu_var.scenarios.model import ScenarioSet, count_floored
from gpu_var.scenarios.scaling import factor_volatility
from gpu_var.tables.book import F8, I8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.config_models import MonteCarlo

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


@dataclass(frozen=True)
class _Law:
    """What the paths are drawn from; columns are the run's factors."""

    model: MonteCarlo
    residuals: F8  # (N, n_moving) z_t = r_t/σ_t of the factors that move
    moving: I8  # (n_moving,) columns of those
    scale: F8  # (n_factors,) √h·σ_{N+1}; 0 for factors that do not move
    steady: tuple[str, ...]


def _law(book: Book, config: Config, factors: Factors, backend: Backend) -> _Law:
    model = config.monte_carlo
    if model is None:
        raise ValueError("[monte_carlo] is not enabled; expected its table in the configuration")
    _, levels = window(book.history, factors, model, config.as_of_us)
    returns = factor_returns(levels, factors.additive, config.returns)
    volatility = factor_volatility(returns, model, factors.names, backend)
    moving = np.flatnonzero(~cpu_reference.steady(returns))
    scale = np.zeros(len(factors.names))
    scale[moving] = (np.sqrt(config.holding_period_days) * volatility[-1])[moving]
    residuals = returns[:, moving] / volatility[:-1, moving]
    return _Law(model, residuals, moving, scale, steady_factors(returns, factors))


def _blocks(model: MonteCarlo, pool: Executor, draw: Callable[[slice], None]) -> None:
    """Call `draw` with the rows of each block of paths."""
    rows = [slice(first, min(first + _BLOCK, model.paths)) for first in range(0, model.paths, _BLOCK)]
    for _ in pool.map(draw, rows):
        pass


def _set(name: str, shock: F8, steady: tuple[str, ...], factors: Factors, config: Config) -> ScenarioSet:
    paths = np.arange(len(shock)).astype(str).tolist()
    return ScenarioSet(name, paths, shock, count_floored(shock, factors.additive, config.returns), steady)


def monte_carlo(book: Book, config: Config, factors: Factors, backend: Backend, pool: Executor) -> ScenarioSet:
    """The paths of `[monte_carlo]`: x = √h·σ_{N+1}·y, y with the correlation of z_t = r_t/σ_t.

    A factor's number is a function of (seed, path, step 0, its index among the run's factors) alone. Constant factors
    have shock 0 and are left out of the correlation, and so do those whose returns are constant.
    """
    law = _law(book, config, factors, backend)
    model, n_factors = law.model, len(factors.names)
    # Factors whose returns do not vary keep their place among the draws, with a root of 0.
    root = np.zeros((n_factors, n_factors))
    root[np.ix_(law.moving, law.moving)] = correlation_root(law.residuals)
    root = backend.to_device(root)
    shock = np.zeros((model.paths, n_factors))

    def draw(rows: slice) -> None:
        n = rows.stop - rows.start
        y = backend.empty((n, n_factors))
        backend.correlate(backend.normals(model.seed, 0, rows.start, y.shape), root, y)
        moves = backend.to_host(y) * law.scale
        if model.copula == "student_t" and model.dof is not None:
            moves *= backend.to_host(backend.student_t_mixing(model.seed, 0, rows.start, n, model.dof))[:, None]
        shock[rows] = moves

    _blocks(model, pool, draw)
    return _set("monte_carlo", shock, law.steady, factors, config)


def dependence_sets(
    book: Book, config: Config, factors: Factors, backend: Backend, pool: Executor
) -> list[ScenarioSet]:
    """The paths of `[monte_carlo]` under perfect and under zero dependence, from the numbers of the run itself.

    Every factor keeps its own distribution. Perfect: the path's normal of column 0, and its one χ²_dof, drive all
    factors alike, so that all rise and fall together (comonotonic; that includes volatilities and rates). Zero: each
    factor has the normal of its own column and, for `student_t`, a χ²_dof of its own, drawn at step 1 + its index,
    because a common one would leave the factors' sizes dependent. The runs have sampling errors of their own, so that
    the measures of a portfolio on a single factor agree within those alone.

    Returns:
        The sets "monte_carlo.perfect" and "monte_carlo.zero"; none where `dependence_addon` is not given.
    """
    law = _law(book, config, factors, backend)
    model, n_factors = law.model, len(factors.names)
    if model.dependence_addon is None:
        return []
    perfect, zero = np.zeros((model.paths, n_factors)), np.zeros((model.paths, n_factors))

    def draw(rows: slice) -> None:
        n = rows.stop - rows.start
        y = backend.to_host(backend.normals(model.seed, 0, rows.start, (n, n_factors)))
        alike, own = y[:, :1] * law.scale, y * law.scale
        if model.copula == "student_t" and model.dof is not None:
            alike *= backend.to_host(backend.student_t_mixing(model.seed, 0, rows.start, n, model.dof))[:, None]
            for column in law.moving.tolist():
                own[:, column] *= backend.to_host(
                    backend.student_t_mixing(model.seed, 1 + column, rows.start, n, model.dof)
                )
        perfect[rows], zero[rows] = alike, own

    _blocks(model, pool, draw)
    sets = {"monte_carlo.perfect": perfect, "monte_carlo.zero": zero}
    return [_set(name, shock, (), factors, config) for name, shock in sets.items()]
