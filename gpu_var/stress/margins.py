"""The margins of a finished run, taken for those of the book that is stressed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.cells import Cells
from gpu_var.tables.book import F8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.findings import Findings, listed, shown


@dataclass(frozen=True)
class Margins:
    """What accounts have to post, and the core of each of their underlyings, which a stressed concentration needs."""

    amount: F8  # (n_accounts,) base currency, NaN for a failed account
    failed: dict[int, str] = field(default_factory=dict)  # account -> why
    breakdown: pa.Table | None = None  # of the run: account, underlying, core

    def cell_core(self, book: Book, cells: Cells) -> F8:
        """(n_cells,) the core of each cell; 0 where the run has none for it."""
        out = np.zeros(len(cells.account))
        if self.breakdown is None:
            return out
        n = len(book.accounts.house)
        account = _rows(self.breakdown["account"], book.accounts.name)
        underlying = _rows(self.breakdown["underlying"], book.underlyings.name)
        key = underlying * n + account
        order = np.argsort(key)
        wanted = cells.underlying.astype(np.int64) * n + cells.account
        at = np.minimum(np.searchsorted(key[order], wanted), max(len(key) - 1, 0))
        if not len(key):
            return out
        found = key[order][at] == wanted
        core = np.asarray(self.breakdown["core"].fill_null(0.0).to_numpy(), dtype=np.float64)
        out[found] = core[order][at][found]
        return np.nan_to_num(out)


def margins_of(
    margin: pa.Table, breakdown: pa.Table, facts: Mapping[str, Any], book: Book, config: Config, name: str
) -> tuple[Margins | None, Findings]:
    """The margins of a finished run over the same book, or what shows that it is another one.

    Args:
        margin: its `margin.parquet`.
        breakdown: its `breakdown.parquet`.
        facts: its `run.json`.
        book, config: what is stressed.
        name: how findings call the run.

    Returns:
        The margins, None where there is a finding; findings on base currency, valuation time and accounts.
    """
    findings = Findings()
    then = facts.get("config", {})
    currency, as_of = then.get("base_currency"), then.get("as_of")
    place = f"--margin {name}"
    if currency != config.base_currency:
        text = f"its base currency is {shown(currency)}; expected a run in {shown(config.base_currency)}"
        findings.error(place, text)
    now = config.as_dict()["as_of"]
    if as_of != now:
        text = f"its as_of is {shown(as_of)}; expected a run at {shown(now)}"
        findings.error(place, text)
    names = margin["account"].combine_chunks().cast(pa.string())
    missing = book.accounts.name.filter(pc.invert(pc.is_in(book.accounts.name, names)))
    strange = names.filter(pc.invert(pc.is_in(names, book.accounts.name)))
    for rows, what in ((missing, "has no margin for"), (strange, "has accounts that the book does not have:")):
        if len(rows):
            text = f"it {what} {listed(rows.to_pylist())}; expected a run over the same accounts"
            findings.error(place, text, kind=what)
    if findings.count:
        return None, findings
    order = pa.array(_rows(book.accounts.name, names))
    ordered = margin.take(order)
    amount = np.asarray(ordered["margin"].to_numpy(zero_copy_only=False), dtype=np.float64)
    status = ordered["status"].to_pylist()
    failed = {row: f"{one} (in {name})" for row, one in _failures(status).items()}
    return Margins(amount, failed, breakdown.select(["account", "underlying", "core"])), findings


def _failures(status: list[str]) -> dict[int, str]:
    return {row: one.removeprefix("failed: ") for row, one in enumerate(status) if one != "ok"}


def _rows(names: Any, known: Any) -> Any:
    """(n,) the place of each name among the known ones, −1 where it is none of them."""
    return np.asarray(pc.index_in(names, known).fill_null(-1), dtype=np.int64)
