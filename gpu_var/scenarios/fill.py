"""Factors that a scenario does not name: by written betas, then by what those that it names let expect of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import dpocon

import cpu_reference
from gpu_var.backend import Backend
from gpu_var.market.checks import window
from gpu_var.market.factors import Factors
from gpu_var.scenarios.fhs import factor_returns
from gpu_var.scenarios.scaling import factor_volatility
from gpu_var.tables.book import F8, Book, Bool
from gpu_var.tables.config import Config

TOLERANCE = 1e-8
"""Eigenvalues of the named factors' correlation that count as 0, as a share of the largest one."""


@dataclass(frozen=True)
class Moments:
    """The covariance of the factors' moves over a row of history: S_ij = σ_i·σ_j·ρ_ij."""

    volatility: F8  # (F,) σ_{N+1}; 0 for factors that do not move
    correlation: F8  # (F, F) of z_t = r_t/σ_t; 0 beside the diagonal for factors that do not move
    moving: Bool  # (F,)

    @property
    def covariance(self) -> F8:
        """(F, F) of logarithmic returns, and of differences of additive factors."""
        return self.correlation * self.volatility[:, None] * self.volatility


def moments(book: Book, config: Config, factors: Factors, backend: Backend) -> Moments:
    """The covariance of the factors under the enabled model: that of `[monte_carlo]`, else of `[fhs]`.

    Of logarithmic returns whatever `returns` is, so that a mirrored move has a mirrored expectation, and of differences
    for additive factors. σ is the model's forecast, ρ the Pearson correlation of the returns over their volatility, as
    in `[monte_carlo]`.

    Raises:
        ValueError: neither is enabled.
    """
    model = config.monte_carlo or config.fhs
    if model is None:
        raise ValueError("neither [fhs] nor [monte_carlo] is enabled; expected one of them in the configuration")
    _, levels = window(book.history, factors, model, config.as_of_us)
    returns = factor_returns(levels, factors.additive, "log")
    volatility = factor_volatility(returns, model, factors.names, backend)
    moving = ~cpu_reference.steady(returns)
    correlation = np.eye(len(factors.names))
    if np.count_nonzero(moving) > 1:
        residuals = returns[:, moving] / volatility[:-1, moving]
        correlation[np.ix_(moving, moving)] = np.corrcoef(residuals, rowvar=False)
    return Moments(np.where(moving, volatility[-1], 0.0), correlation, moving)


def by_betas(move: F8, betas: Mapping[int, Mapping[int, float]]) -> tuple[F8, Bool]:
    """Moves of unnamed factors that written betas give: x_u = Σ β·x_n over those of its drivers that are named.

    Drivers must be named themselves: a beta upon a beta is not followed.

    Args:
        move: (n, F) logarithms of growth, and differences of additive factors; NaN where not named.
        betas: row of a factor -> row of each driver -> β.

    Returns:
        (n, F) the moves with those, and which they are.
    """
    out, filled = move.copy(), np.zeros(move.shape, np.bool_)
    for row, drivers in betas.items():
        columns = list(drivers)
        known = ~np.isnan(move[:, columns])
        total = np.where(known, move[:, columns], 0.0) @ np.array(list(drivers.values()))
        new = np.isnan(move[:, row]) & known.any(axis=1)
        out[new, row], filled[new, row] = total[new], True
    return out, filled


def by_correlation(move: F8, law: Moments) -> tuple[F8, Bool]:
    """Moves of unnamed factors as their mean given the named ones: E[x_u | x_n] = S_un·S_nn⁺·x_n.

    The mean of a normal vector given some of its components (e.g. Anderson 2003, "An Introduction to Multivariate
    Statistical Analysis", theorem 2.5.1; for stress tests Kupiec 1998). S⁺ is the Moore-Penrose inverse of the named
    factors' correlation, eigenvalues below `TOLERANCE` times the largest taken for 0: where named factors are the same
    but are given different moves, the mean is that given their average. Factors that do not move over the look-back say
    nothing of others and are not filled.

    Args:
        move: (n, F), NaN where not named.
        law: the covariance.

    Returns:
        (n, F) the moves with those, and which they are: none in a scenario that names no factor that moves.
    """
    out, filled = move.copy(), np.zeros(move.shape, np.bool_)
    named = ~np.isnan(move)
    kinds, of = np.unique(named, axis=0, return_inverse=True)
    of = of.reshape(-1)
    for k, kind in enumerate(kinds):
        given, open_ = np.flatnonzero(kind & law.moving), np.flatnonzero(~kind & law.moving)
        if not len(given) or not len(open_):
            continue
        rows = np.flatnonzero(of == k)
        # In units of volatility, in which all factors are alike.
        regression = _regression(law.correlation[np.ix_(given, given)], law.correlation[np.ix_(given, open_)])
        mean = (move[np.ix_(rows, given)] / law.volatility[given]) @ regression * law.volatility[open_]
        out[np.ix_(rows, open_)], filled[np.ix_(rows, open_)] = mean, True
    return out, filled


def _regression(matrix: F8, right: F8) -> F8:
    """matrix⁺·right, of a correlation; by Cholesky's factor where no eigenvalue comes near the tolerance."""
    try:
        root = cholesky(matrix, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        root = None
    if root is not None:
        # The estimate of 1/κ₁ may be a few times too large, and κ₂ of a symmetric matrix is at most κ₁.
        share, _ = dpocon(root, np.abs(matrix).sum(axis=0).max(), uplo="L")
        if share > 100.0 * TOLERANCE:
            return np.asarray(cho_solve((root, True), right, check_finite=False), dtype=np.float64)
    return np.asarray(np.linalg.pinv(matrix, rcond=TOLERANCE, hermitian=True) @ right, dtype=np.float64)
