"""The law of the factors' moves by which a shock's plausibility is judged: that of Monte Carlo, whitened."""

from dataclasses import dataclass

import numpy as np

import cpu_reference
from gpu_var.backend import Backend
from gpu_var.market.checks import window
from gpu_var.market.factors import Factors
from gpu_var.scenarios.fhs import factor_returns
from gpu_var.scenarios.scaling import factor_volatility
from gpu_var.tables.book import F8, Book, Bool
from gpu_var.tables.config import Config

KEPT = 1e-12
"""Eigenvalues of the correlation below this share of the largest are noise, and their directions cannot move."""


@dataclass(frozen=True)
class FactorLaw:
    """x = root·u, u of unit covariance; F factors, r directions. Returns, or differences for additive factors."""

    deviation: F8  # (F,) √h·σ_{N+1}; 0 for factors that do not move
    root: F8  # (F, r): root·root' is the covariance; columns are principal components, the largest first
    dof: float | None  # of the copula "student_t"

    def shocks(self, points: F8) -> F8:
        """(k, F) shocks of (k, r) whitened points."""
        out: F8 = points @ self.root.T
        return out

    def whitened(self, shock: F8) -> F8:
        """(k, r) the points of (k, F) shocks; what lies outside the covariance's range is left out."""
        scaled = self.scaled_root
        unit = np.divide(shock, self.deviation, out=np.zeros_like(shock), where=self.deviation > 0.0)
        out: F8 = unit @ scaled / (scaled**2).sum(axis=0)
        return out

    @property
    def scaled_root(self) -> F8:
        """(F, r) root in units of each factor's deviation: eigenvectors of the correlation times √eigenvalue."""
        safe = np.where(self.deviation > 0.0, self.deviation, 1.0)
        out: F8 = self.root / safe[:, None]
        return out


def factor_law(book: Book, config: Config, factors: Factors, backend: Backend, chosen: Bool) -> FactorLaw | None:
    """Today's covariance of some factors: σ_{N+1} of the model's filter and the Pearson correlation of z_t = r_t/σ_t.

    The model is [monte_carlo], or [fhs] where that is not enabled; its look-back, decay, kind of volatility and floors
    are read. Over a holding period of h days volatilities are √h times those of a day, as in every model.

    Args:
        chosen: (F,) the factors that may move. Those whose returns do not vary cannot.

    Returns:
        None without either model, or where no chosen factor moves.
    """
    model = config.monte_carlo or config.fhs
    if model is None:
        return None
    _, levels = window(book.history, factors, model, config.as_of_us)
    returns = factor_returns(levels, factors.additive, config.returns)
    volatility = factor_volatility(returns, model, factors.names, backend)
    moving = np.flatnonzero(~cpu_reference.steady(returns) & chosen & (volatility[-1] > 0.0))
    if not len(moving):
        return None
    deviation = np.zeros(len(factors.names))
    deviation[moving] = np.sqrt(config.holding_period_days) * volatility[-1, moving]
    correlation = np.atleast_2d(np.corrcoef(returns[:, moving] / volatility[:-1, moving], rowvar=False))
    eigenvalue, vector = np.linalg.eigh(correlation)
    kept = np.flatnonzero(eigenvalue > KEPT * eigenvalue[-1])[::-1]
    root = np.zeros((len(factors.names), len(kept)))
    root[moving] = deviation[moving, None] * vector[:, kept] * np.sqrt(eigenvalue[kept])
    dof = config.monte_carlo.dof if config.monte_carlo is not None else None
    return FactorLaw(deviation, root, dof)
