"""Losses near a shock to first order, in all directions at once, from a few revaluations whatever the factors' number.

A cell, an account's positions on one underlying, is moved by that underlying's own factors alone. So the spots of all
underlyings are moved in one revaluation, the first tenors of all their volatilities in another, and each cell tells
apart what its own factor did.
"""

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from gpu_var import engine
from gpu_var.cells import cells_of
from gpu_var.margin.measured import Measured
from gpu_var.market.factors import Tenors
from gpu_var.market.state import underlyings
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.tables.book import F8, I8
from gpu_var.tables.slices import of_accounts

BUMP = 0.01
"""Half the width of a central difference, in each factor's standard deviations."""


class Linearised:
    """Losses of some accounts and their derivatives by every factor.

    Args:
        measured: the book that they are accounts of.
        accounts: (n,) ascending rows of its accounts.
        deviation: (F,) a factor's standard deviation; one of 0 does not move.
    """

    def __init__(self, measured: Measured, accounts: I8, deviation: F8) -> None:
        self._m, self._deviation = measured, deviation
        self._book = of_accounts(measured.book, accounts)
        self._cells = cells_of(self._book)
        self._parts = underlyings(self._book, measured.config, np.flatnonzero(self._book.held))
        own = _own_factors(measured)[:, self._cells.underlying]  # (n_groups, n_cells)
        self._own = np.where(own >= 0, np.where(deviation[own] > 0.0, own, -1), -1)
        self._own = self._own[(self._own >= 0).any(axis=1)]

    @property
    def revaluations(self) -> int:
        """Of the whole book, for one shock."""
        return 1 + 2 * len(self._own)

    @property
    def size(self) -> int:
        """Profits and losses of cells that one shock takes."""
        return len(self._cells.account) * self.revaluations

    def __call__(self, shock: F8) -> tuple[F8, list[sparse.csr_array]]:
        """(n, k) losses in (k, F) shocks, and for each shock (n, F) their derivatives."""
        m, n, k = self._m, len(self._book.accounts.house), len(shock)
        bump = np.zeros((len(self._own), shock.shape[1]))
        for row, factors in zip(bump, self._own, strict=True):
            moved = np.unique(factors[factors >= 0])
            row[moved] = BUMP * self._deviation[moved]
        every = np.concatenate([np.zeros((1, shock.shape[1])), bump, -bump])
        points = (shock[:, None, :] + every).reshape(-1, shock.shape[1])
        if not self._parts:
            return np.zeros((n, k)), [sparse.csr_array((n, shock.shape[1]))] * k
        probe = ScenarioSet("stress.probe", [str(i) for i in range(len(points))], points, 0, ranked=False)
        with threadpool_limits(limits=1, user_api="blas"):
            revalued = engine.revalue(
                self._book,
                m.config,
                m.factors,
                self._parts,
                [probe],
                self._cells,
                m.backend,
                m.threads,
                m.precision,
                keep_cells=True,
            )
        assert revalued.cell_pnl is not None
        loss = -revalued.cell_pnl[probe.model].reshape(-1, k, len(every))
        if not np.isfinite(loss).all():
            raise ArithmeticError("a loss is not finite; expected smaller shocks")
        account = self._cells.account
        total = sparse.csr_array((np.ones(len(account)), (account, np.arange(len(account)))), shape=(n, len(account)))
        groups = len(self._own)
        up, down = loss[:, :, 1 : groups + 1], loss[:, :, groups + 1 :]
        return np.asarray(total @ loss[:, :, 0], np.float64), [
            self._jacobian(up[:, i] - down[:, i], n) for i in range(k)
        ]

    def _jacobian(self, difference: F8, n: int) -> sparse.csr_array:
        """(n, F) from (n_cells, n_groups) differences of losses."""
        group, cell = np.nonzero(self._own >= 0)
        factor = self._own[group, cell]
        slope = difference[cell, group] / (2.0 * BUMP * self._deviation[factor])
        return sparse.csr_array((slope, (self._cells.account[cell], factor)), shape=(n, len(self._deviation)))


def _own_factors(m: Measured) -> I8:
    """(n_groups, n_underlyings) the factors that move each underlying, −1 for none; in a group each has its own, or
    shares it with underlyings of the same currency.
    """
    f, currency = m.factors, m.book.underlyings.currency
    n = len(currency)
    groups = [np.asarray(f.spot[:n], np.int64), np.asarray(f.fx, np.int64)[currency]]
    groups += [row[:n] for row in _by_rank(f.iv)] + [row[:n] for row in _by_rank(f.forward)]
    groups += [row[currency] for row in _by_rank(f.rate)]
    return np.stack(groups)


def _by_rank(curves: tuple[Tenors, ...]) -> list[I8]:
    """The first, second, … tenor of each curve, −1 where it has no such."""
    most = max((len(curve.factor) for curve in curves), default=0)
    out = np.full((most, len(curves)), -1, dtype=np.int64)
    for column, curve in enumerate(curves):
        out[: len(curve.factor), column] = curve.factor
    return list(out)
