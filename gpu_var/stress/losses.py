"""What every account loses in every scenario, and what stands before it."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from gpu_var import engine
from gpu_var.backend import Backend, Name, load_backend
from gpu_var.cells import cells_of
from gpu_var.margin.charges import charges
from gpu_var.margin.core import Core
from gpu_var.margin.measured import Measured, Setting, measure
from gpu_var.margin.output import breakdown_table, margin_table
from gpu_var.margin.requirement import measured, notes_of
from gpu_var.market.factors import Factors
from gpu_var.market.state import Underlying, underlyings
from gpu_var.scenarios.language import StressScenarios
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.stress.liquidation import liquidation_costs
from gpu_var.stress.margins import Margins
from gpu_var.stress.pledged import collateral_in
from gpu_var.tables.book import F8, I8, Book, Bool
from gpu_var.tables.config import Config
from gpu_var.tables.pledged import with_collateral
from gpu_var.tables.slices import of_accounts


@dataclass(frozen=True)
class Exposure:
    """Accounts in the order of the book, base currency; a loss is positive."""

    measured: Measured
    scenarios: StressScenarios
    loss: F8  # (n_accounts, n_scenarios) with `liquidation`; NaN for a failed account
    liquidation: F8  # (n_accounts, n_scenarios) what the scenario's spreads and volumes add, 0 or more
    margin: F8  # (n_accounts,) NaN for a failed account
    collateral: F8  # (n_accounts, n_scenarios) posted, at its value in the scenario; 0 without the table
    failed: dict[int, str]  # account -> why it is left out
    notes: tuple[str, ...]

    @property
    def broken(self) -> Bool:
        """(n_accounts,): the account has failed."""
        out = np.zeros(len(self.margin), dtype=np.bool_)
        out[list(self.failed)] = True
        return out

    def before(self, against: str) -> F8:
        """(n_accounts, n_scenarios) what stands before a loss: "margin", "collateral", or the "larger" of the two."""
        if against == "collateral":
            return self.collateral
        margin = np.broadcast_to(self.margin[:, None], self.loss.shape)
        return margin if against == "margin" else np.maximum(margin, self.collateral)


def exposure(
    book: Book,
    config: Config,
    factors: Factors,
    scenarios: StressScenarios,
    *,
    margin: Margins | None = None,
    backend: Name = "cpu",
    precision: str = "float64",
    threads: int | None = None,
    progress: engine.Progress = engine.nothing,
) -> Exposure:
    """Revalue a book in stress scenarios.

    Args:
        book: validated by `load`, as are config and factors.
        scenarios: over these factors.
        margin: of a finished run over the same book; computed here, by the models of the configuration, unless given.
        backend, precision, threads, progress: as for `margin.requirement.requirement`.
    """
    shocks, notes = replace(scenarios.set, ranked=False), list[str]()
    computes = load_backend(backend)
    if margin is None:
        margin, notes = _computed(book, config, factors, backend, threads, precision, progress)
    m = _measured_with(margin, book, config, factors, shocks, computes, threads, precision, progress)
    failed = margin.failed | m.failed
    loss = m.backend.to_host(m.pnl[shocks.model])
    m = replace(m, pnl={})
    np.negative(loss, out=loss)
    liquidation = liquidation_costs(m, scenarios)
    if liquidation.any():
        loss += liquidation
    posted, about = collateral_in(m.book, config, factors, scenarios.set.shock)
    rows = list(failed)
    loss[rows] = np.nan
    amount = margin.amount.copy()
    amount[rows] = np.nan
    return Exposure(
        m, scenarios, loss, liquidation, amount, posted, failed, tuple(dict.fromkeys([*notes, *m.notes, *about]))
    )


def _computed(
    book: Book,
    config: Config,
    factors: Factors,
    backend: Name,
    threads: int | None,
    precision: str,
    progress: engine.Progress,
) -> tuple[Margins, list[str]]:
    """The margins that a run would give, to the bit, and its notes.

    They are computed apart from the losses: early-exercise premiums are fitted over the scenarios at hand.
    """
    m = measured(book, config, factors, backend=backend, precision=precision, threads=threads, progress=progress)
    amount = np.asarray(margin_table(m, charges(m))["margin"].to_numpy(), dtype=np.float64)
    return Margins(amount, dict(m.failed), breakdown_table(m).select(["account", "underlying", "core"])), m.notes


def _measured_with(
    margin: Margins,
    book: Book,
    config: Config,
    factors: Factors,
    shocks: ScenarioSet,
    backend: Backend,
    threads: int | None,
    precision: str,
    progress: engine.Progress,
) -> Measured:
    """The book in the stress scenarios alone, its margins known."""
    book, count = with_collateral(book, config), threads or os.cpu_count() or 1
    cells = cells_of(book)
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(count) as pool:
        progress("greeks", 0.0)
        valuation, parts = engine.value(book, config, np.flatnonzero(book.held), backend, pool)
        progress("greeks", 1.0)
    setting = Setting(book, config, factors, backend, count, precision, {shocks.model: shocks}, cells, valuation, parts)
    progress("revalue", 0.0)
    revalued = engine.revalue(book, config, factors, parts, [shocks], cells, backend, count, precision, progress)
    known = (_known(margin.amount), _known(margin.cell_core(book, cells)))
    return measure(
        setting,
        revalued.pnl,
        revalued.cell_tail,
        revalued.failed,
        None,
        notes=notes_of(book, [shocks], revalued.direct),
        known=known,
    )


def _known(amount: F8) -> Core:
    """A core that was not computed here."""
    return Core(amount, np.zeros(len(amount), dtype=np.intp), ("known",))


class LossFunction:
    """Losses of some accounts in any shocks, by full revaluation; what does not depend on the shocks is made once.

    Args:
        measured: the book that they are accounts of.
        accounts: (n,) ascending rows of its accounts; all unless given.
    """

    def __init__(self, measured: Measured, accounts: I8 | None = None) -> None:
        self._m = measured
        self._book = measured.book if accounts is None else of_accounts(measured.book, accounts)
        self._cells = cells_of(self._book)
        self._parts: list[Underlying] = underlyings(self._book, measured.config, np.flatnonzero(self._book.held))

    def __call__(self, shock: F8) -> F8:
        """(n, k) losses, base currency, gains negative; no liquidation costs in them.

        Args:
            shock: (k, n_factors) as the engine takes them: returns, or differences for additive factors.

        Raises:
            ArithmeticError: a loss that is not finite.
        """
        m = self._m
        probe = ScenarioSet("stress.probe", [str(i) for i in range(len(shock))], shock, 0, ranked=False)
        if not self._parts:
            return np.zeros((len(self._book.accounts.house), len(shock)))
        with threadpool_limits(limits=1, user_api="blas"):
            revalued = engine.revalue(
                self._book, m.config, m.factors, self._parts, [probe], self._cells, m.backend, m.threads, m.precision
            )
        loss: F8 = -m.backend.to_host(revalued.pnl[probe.model])
        if not np.isfinite(loss).all():
            raise ArithmeticError("a loss is not finite; expected smaller shocks")
        return loss


def losses_in(measured: Measured, shock: F8, accounts: I8 | None = None) -> F8:
    """As `LossFunction`, once: (n_accounts, k) losses of all accounts, or of some, in any shocks (k, n_factors)."""
    return LossFunction(measured, accounts)(shock)
