"""What is known of a book's accounts once its scenarios are revalued: all that a margin method may read."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import numpy as np

from cpu_reference import Tail
from cpu_reference.price import Valuation
from gpu_var.backend import Backend
from gpu_var.cells import Cells
from gpu_var.margin.addons import AddOns, Sensitivities, add_ons, sensitivities
from gpu_var.margin.core import Core, core
from gpu_var.margin.scan.result import ScanResult
from gpu_var.market.factors import Factors
from gpu_var.market.state import Underlying, fx_rates
from gpu_var.scenarios.model import ScenarioSet, measures
from gpu_var.tables.book import F8, Book, Bool
from gpu_var.tables.config import Config


@dataclass(frozen=True)
class Setting:
    """What a measurement starts from: a book, its models' scenarios, and today's values."""

    book: Book
    config: Config
    factors: Factors
    backend: Backend
    threads: int
    precision: str
    sets: dict[str, ScenarioSet]  # by model; auxiliary ones, which bring nothing to core, have a dot in their name
    cells: Cells
    valuation: Valuation  # over all instruments of the book, NaN for those that nobody holds
    parts: list[Underlying]  # the underlyings held

    @property
    def fx(self) -> F8:
        """(n_currencies,) base currency for one unit."""
        return fx_rates(self.book, self.config.base_currency)


@dataclass(frozen=True)
class Measured(Setting):
    """Accounts in the order of the book, cells as in `Cells`; base currency, losses positive, not floored."""

    pnl: dict[str, F8]  # model -> (n_accounts, n_scenarios), the backend's array, gains positive
    tails: dict[str, Tail]  # model -> (n_accounts,), NaN for a failed account; of sets that are ranked
    cell_tails: dict[str, Tail]  # model -> (n_cells,)
    cell_pnl: dict[str, F8] | None  # model -> (n_cells, n_scenarios) on the host, where it was asked for
    scan: ScanResult | None
    sensitivity: Sensitivities
    extra: AddOns
    core: Core
    cell_core: Core
    failed: dict[int, str]  # account -> why it has no margin
    notes: list[str] = field(default_factory=list)

    def by_account(self, amount: F8) -> F8:
        """(n_accounts,) sums of (n_cells,) amounts."""
        sums = np.bincount(self.cells.account, amount, len(self.book.accounts.house))
        return np.asarray(sums, dtype=np.float64)

    @property
    def broken(self) -> Bool:
        """(n_accounts,): the account has failed."""
        out = np.zeros(len(self.book.accounts.house), dtype=np.bool_)
        out[list(self.failed)] = True
        return out


def measure(
    setting: Setting,
    pnl: dict[str, F8],
    cell_tails: dict[str, Tail],
    broken_cells: dict[int, str],
    scan: ScanResult | None,
    cell_pnl: dict[str, F8] | None = None,
    notes: Iterable[str] = (),
    known: tuple[Core, Core] | None = None,
) -> Measured:
    """From profit and loss to measures, core and add-ons.

    Args:
        setting: what was revalued.
        pnl: model -> (n_accounts, n_scenarios), the backend's arrays; the rows of failed accounts are set to NaN.
        cell_tails: model -> (n_cells,).
        broken_cells: cell -> why its profit and loss is not a number.
        scan: of the same book, where [scan] is enabled.
        known: the cores of accounts and of cells, where they are not to be found here.
    """
    book, config, cells = setting.book, setting.config, setting.cells
    with np.errstate(over="ignore", invalid="ignore"):
        sensitivity = sensitivities(book, config, cells, setting.valuation, setting.fx)
        scanned = None if scan is None else scan.cell_amount
        cell_core = core(cell_tails, scanned, config) if known is None else known[1]
        extra = add_ons(book, config, cells, sensitivity, cell_core.amount, setting.fx)
        broken_cells = ({} if scan is None else scan.failed) | broken_cells
        failed = _failed_accounts(book, cells, broken_cells, sensitivity, extra)
        tails = _account_tails(setting, pnl, failed)
        amount = None if scan is None else np.where(_marked(failed, len(scan.amount)), np.nan, scan.amount)
        chosen = core(tails, amount, config) if known is None else known[0]
    return Measured(
        **{f.name: getattr(setting, f.name) for f in fields(Setting)},
        pnl=pnl,
        tails=tails,
        cell_tails=cell_tails,
        cell_pnl=cell_pnl,
        scan=scan,
        sensitivity=sensitivity,
        extra=extra,
        core=chosen,
        cell_core=cell_core,
        failed=failed,
        notes=list(notes),
    )


def _marked(failed: dict[int, str], n: int) -> Bool:
    marked = np.zeros(n, dtype=np.bool_)
    marked[list(failed)] = True
    return marked


def _failed_accounts(
    book: Book, cells: Cells, broken_cells: dict[int, str], sensitivity: Sensitivities, extra: AddOns
) -> dict[int, str]:
    """Account -> why it has no margin: the first of its cells with a number that is not finite."""
    columns = [c for c in (*vars(sensitivity).values(), *vars(extra).values()) if c.ndim == 1]
    finite = np.isfinite(np.stack(columns)).all(axis=0)
    reasons = {
        int(c): f"a Greek of {book.underlyings.name[int(cells.underlying[c])].as_py()} is not finite"
        for c in np.flatnonzero(~finite)
    } | broken_cells
    out: dict[int, str] = {}
    for cell in sorted(reasons):
        out.setdefault(int(cells.account[cell]), reasons[cell])
    return out


def _account_tails(setting: Setting, pnl: dict[str, F8], failed: dict[int, str]) -> dict[str, Tail]:
    """The tails of the accounts; all is NaN for a failed account, which the tables show as null."""
    out = {}
    for model, values in pnl.items():
        if failed:
            values[list(failed)] = np.nan
        if not setting.sets[model].ranked:
            continue
        step = max(1, (1 << 20) // values.shape[1])
        parts = [
            measures(setting.backend, -values[r : r + step], setting.sets[model].samples, setting.config.level)
            for r in range(0, max(1, len(values)), step)
        ]
        out[model] = Tail(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return out
