"""Cross margin: one pool of collateral for all positions of an account, and no offsets between them.

In a scenario the pool pays for every position that loses, Σ max(0, loss of the position); what the others gain pays for
nothing. The core rule is applied to that sum. So a pool needs at most what isolated positions need together, because
not all of them lose most in the same scenario, and at least the core of the portfolio, whose gains do offset losses.
A venue that adds up what its positions need alone asks for the isolated amount from one pool.
"""

import numpy as np
import scipy.sparse

from cpu_reference import Tail
from cpu_reference.tail import tail
from gpu_var.margin.core import MEASURED, core
from gpu_var.margin.measured import Measured
from gpu_var.tables.book import F8, I8
from gpu_var.tables.config import Config

_ELEMENTS = 1 << 20  # losses measured at a time


class Pools:
    """The losses that each account's pool pays for, scenario by scenario, while positions are added."""

    def __init__(self, n_accounts: int) -> None:
        self.loss: dict[str, F8] = {}  # model -> (n_accounts, n_scenarios), base currency, ≥ 0
        self.scan: F8 | None = None  # (n_accounts,) a scan has no joint scenarios: what positions need alone
        self._n = n_accounts

    def add(self, units: Measured, account: I8, row: I8, size: F8) -> None:
        """Add positions in instruments that have not been added yet.

        Args:
            units: of an `isolated.unit_book`.
            account: (n_positions,).
            row: (n_positions,) account of the unit book.
            size: (n_positions,) contracts, > 0.
        """
        owner, at = np.unique(account, return_inverse=True)
        shape = (len(owner), len(units.book.accounts.house))
        contracts = scipy.sparse.csr_array((size, (at, row)), shape=shape)
        for model in MEASURED:
            if model in units.pnl:
                loss = np.maximum(-units.backend.to_host(units.pnl[model]), 0.0)
                pool = self.loss.setdefault(model, np.zeros((self._n, loss.shape[1])))
                pool[owner] += contracts @ loss
        if units.scan is not None:
            if self.scan is None:
                self.scan = np.zeros(self._n)
            self.scan[owner] += contracts @ np.maximum(units.scan.amount, 0.0)

    def core(self, config: Config) -> F8:
        """(n_accounts,) the core rule applied to the pools' losses; ≥ 0."""
        tails = {model: _tail(loss, config.level) for model, loss in self.loss.items()}
        if not tails and self.scan is None:
            return np.zeros(self._n)
        return core(tails, self.scan, config).amount


def _tail(loss: F8, level: float) -> Tail:
    step = max(1, _ELEMENTS // loss.shape[1])
    parts = [tail(loss[r : r + step], level) for r in range(0, max(1, len(loss)), step)]
    return Tail(*(np.concatenate(column) for column in zip(*parts, strict=True)))
