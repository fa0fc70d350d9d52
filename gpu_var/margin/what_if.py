"""What if an account traded: its margin before and after, by adding the trades' profit and loss to what it has.

The scenarios, and so the number, are those of a run over the whole book. The bits of an answer depend on the question,
not on those before it.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from cpu_reference import Tail
from cpu_reference.price import Valuation
from cpu_reference.types import FUTURE, OPTION
from gpu_var import engine
from gpu_var.backend import Name, load_backend
from gpu_var.cells import cells_of
from gpu_var.desk import Desk
from gpu_var.margin.charges import charges
from gpu_var.margin.measured import Measured, Setting, measure
from gpu_var.margin.output import margin_table
from gpu_var.margin.requirement import scan_of, scenario_sets
from gpu_var.market.checks import check
from gpu_var.market.factors import Factors, held
from gpu_var.market.state import underlyings
from gpu_var.scenarios.model import measures
from gpu_var.tables.book import F8, I4, I8, Book, Bool, Positions
from gpu_var.tables.config import Config
from gpu_var.tables.findings import Findings
from gpu_var.tables.slices import of_accounts, with_trades
from gpu_var.tables.trades import rows_of


def whole_book(
    book: Book,
    config: Config,
    factors: Factors,
    *,
    backend: Name = "cpu",
    precision: str = "float64",
    threads: int | None = None,
) -> Setting:
    """A book with its scenarios, of which nothing has been valued yet; arguments as for `requirement`."""
    computes, count = load_backend(backend), threads or os.cpu_count() or 1
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(count) as pool:
        sets = {s.model: s for s in scenario_sets(book, config, factors, computes, pool)}
    nothing = Valuation(*(np.full(len(book.instruments.kind), np.nan) for _ in Valuation._fields))
    cells = cells_of(book)
    return Setting(book, config, factors, computes, count, precision, sets, cells, nothing, [])


class Portfolio:
    """One account, revalued once, to which trades can then be added again and again.

    The first question about an instrument revalues it, unless `open` has done so.

    Args:
        whole: the whole book, whose scenarios and factors they are. Instruments that are valued on the way are filled
            into its valuation, which changes no number.
        account: row of `Book.accounts`.
        desk: of the same book, where there is one already.
    """

    def __init__(self, whole: Setting, account: int, desk: Desk | None = None) -> None:
        self._whole, self._row = whole, account
        self._needed = held(whole.book, whole.config.as_of_us)
        self._own = of_accounts(whole.book, np.array([account]))
        p = whole.book.positions
        self._others = np.unique(p.instrument[(p.account != account) & (p.quantity != 0.0)])  # what they hold
        self.desk = desk or Desk(
            whole.book,
            whole.config,
            whole.factors,
            list(whole.sets.values()),
            whole.backend,
            whole.threads,
            whole.precision,
        )
        p = self._own.positions
        live = p.quantity != 0.0
        self._underlying, self._cell_pnl = self.desk.pnl(p.instrument[live], p.quantity[live])
        setting = self._setting(self._own)
        tails, broken = _tails(setting, self._cell_pnl, np.arange(len(self._underlying)))
        self._broken = {int(self._underlying[cell]): why for cell, why in broken.items()}
        self.before = self._measured(setting, self._cell_pnl, tails, broken)

    def open(self, progress: engine.Progress = engine.nothing) -> None:
        """Revalue everything listed on the underlyings that the account holds, as far as the desk has room for it, so
        that no question about it has to. For an account that holds nothing: on all that anybody holds.

        Costs about as much as a run over as many instruments.
        """
        book = self._whole.book
        owner = book.instruments.underlying
        owners = self._underlying if len(self._underlying) else owner[book.held]
        listed = np.flatnonzero(np.isin(owner, owners) & self._reachable())
        self._value(listed)
        self.desk.open(listed, progress)

    def _reachable(self) -> Bool:
        """(n_instruments,): a trade in it keeps the risk factors, if nothing is sold out."""
        book, needed = self._whole.book, self._needed
        i, owner = book.instruments, book.instruments.underlying
        live = i.expiry > self._whole.config.as_of_us
        wanting = (needed.underlying | book.cash)[owner]
        wanting &= needed.forward[owner] | ~(live & ((i.kind == FUTURE) | (i.kind == OPTION)))
        wanting &= needed.option[owner] | ~(live & (i.kind == OPTION))
        return np.asarray(wanting & (owner >= 0))

    def keeps_factors(self, instruments: I8, quantities: F8) -> bool:
        """Whether the whole book concerns the same risk factors after these trades.

        Where it does not, as after the first trade in an underlying, a run would draw other scenarios, and what the
        account must post is to be found by a `Portfolio` of the book that has traded.
        """
        own, as_of = self._own, self._whole.config.as_of_us
        traded = replace(
            own, positions=Positions(np.zeros(len(instruments), np.int32), instruments.astype(np.int32), quantities)
        )
        new, old = vars(held(traded, as_of)), vars(self._needed)
        if any((new[name] & ~old[name]).any() for name in new):
            return False
        after = with_trades(own, 0, instruments, quantities).positions
        closed = after.instrument[after.quantity == 0.0]
        was = own.positions.instrument[own.positions.quantity != 0.0]
        if not np.isin(closed, was).any():
            return True
        # Something is sold out: it matters where nobody else holds the like.
        everyone = replace(
            own,
            positions=Positions(
                np.zeros(len(self._others) + len(after.instrument), np.int32),
                np.concatenate([self._others, after.instrument]),
                np.concatenate([np.ones(len(self._others)), after.quantity]),
            ),
        )
        left = vars(held(everyone, as_of))
        return all((left[name] == old[name]).all() for name in left)

    def after(self, instruments: I8, quantities: F8) -> Measured:
        """The account after trades.

        Args:
            instruments: (n,) rows of `Book.instruments`; one may stand there more than once.
            quantities: (n,) signed contracts.

        Raises:
            InputError: the book does not have what is needed for what is traded, such as a risk factor.
        """
        if not self.keeps_factors(instruments, quantities):
            return self._drawn_anew(instruments, quantities)
        traded, of_trade = np.unique(instruments, return_inverse=True)
        amounts = np.asarray(np.bincount(of_trade, quantities, len(traded)), dtype=np.float64)
        underlying, moved = self.desk.pnl(traded, amounts)
        setting = self._setting(with_trades(self._own, 0, instruments, quantities))
        cell_pnl = self._added(setting.book, underlying, moved)
        return self._measured(setting, cell_pnl, *self._tails_after(setting, underlying, cell_pnl))

    def _tails_after(
        self, setting: Setting, moved: I4, cell_pnl: dict[str, F8]
    ) -> tuple[dict[str, Tail], dict[int, str]]:
        """The tails of the cells after trades, and why some have none: only those of the underlyings that moved have
        changed."""
        left = setting.cells.underlying
        stays = ~np.isin(left, moved)
        was = np.searchsorted(self._underlying, left[stays])
        tails, broken = _tails(setting, cell_pnl, np.flatnonzero(~stays))
        for model, tail in tails.items():
            for new, old in zip(tail, self.before.cell_tails[model], strict=True):
                new[stays] = old[was]
        still = {cell: self._broken[u] for cell, u in enumerate(left.tolist()) if stays[cell] and u in self._broken}
        return tails, broken | still

    def _added(self, book: Book, underlying: I4, moved: dict[str, F8]) -> dict[str, F8]:
        """model -> (n_cells, n_scenarios) of the account after its trades; a cell is an underlying of it."""
        left = cells_of(book).underlying
        out = {}
        for model, old in self._cell_pnl.items():
            total = np.zeros((len(left), old.shape[1]))
            for owner, values in ((self._underlying, old), (underlying, moved[model])):
                kept = np.isin(owner, left)
                with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is named where it is measured
                    total[np.searchsorted(left, owner[kept])] += values[kept]
            out[model] = total
        return out

    def _drawn_anew(self, instruments: I8, quantities: F8) -> Measured:
        """As a run over the book that has traded, whose risk factors and so whose scenarios are others."""
        whole = self._whole
        book = with_trades(whole.book, self._row, instruments, quantities)
        findings = Findings()
        factors = check(book, whole.config, findings)
        findings.raise_if_any()
        assert factors is not None
        name: Name = "cpu" if whole.backend is load_backend("cpu") else "cuda"
        traded = whole_book(book, whole.config, factors, backend=name, precision=whole.precision, threads=whole.threads)
        return Portfolio(traded, self._row).before

    def _setting(self, book: Book) -> Setting:
        """The whole book's market and scenarios with the positions of `book`, valued, alone."""
        whole, rows = self._whole, np.flatnonzero(book.held)
        self._value(rows)
        parts = underlyings(book, whole.config, rows) if whole.config.scan is not None else []
        own = {f.name: getattr(whole, f.name) for f in fields(Setting)}
        return Setting(**own | {"book": book, "cells": cells_of(book), "parts": parts})

    def _value(self, rows: I8) -> None:
        """Prices and Greeks of what has none, together with all others on the same underlyings that have none: American
        options of a chain share their boundaries, and the last bits of a Greek are not to depend on who asked first.
        """
        whole, price = self._whole, self._whole.valuation.price
        new = rows[np.isnan(price[rows])]
        if new.size:
            owner = whole.book.instruments.underlying
            beside = np.flatnonzero(np.isin(owner, owner[new]) & np.isnan(price))
            with ThreadPoolExecutor(whole.threads) as pool:
                engine.value_into(whole.valuation, whole.book, whole.config, beside, whole.backend, pool)

    def _measured(
        self, setting: Setting, cell_pnl: dict[str, F8], tails: dict[str, Tail], broken: dict[int, str]
    ) -> Measured:
        """The account with the positions of `setting`."""
        with np.errstate(over="ignore", invalid="ignore"):
            pnl = {model: setting.backend.to_device(values.sum(axis=0)[None]) for model, values in cell_pnl.items()}
        return measure(setting, pnl, tails, broken, scan_of(setting), cell_pnl)


def _tails(setting: Setting, cell_pnl: dict[str, F8], cells: I8) -> tuple[dict[str, Tail], dict[int, str]]:
    """The tails of some cells, NaN for the others, and why some have none."""
    broken: dict[int, str] = {}
    tails = {}
    for model, pnl in cell_pnl.items():
        of, own = setting.sets[model], pnl[cells]
        finite = np.isfinite(own)
        for at in np.flatnonzero(~finite.all(axis=1)).tolist():
            cell = int(cells[at])
            name = setting.book.underlyings.name[int(setting.cells.underlying[cell])].as_py()
            where = of.name[int(np.flatnonzero(~finite[at])[0])]
            broken.setdefault(cell, f"profit and loss on {name} is not finite in {model}:{where}")
        tails[model] = Tail(*(np.full(len(pnl), np.nan) for _ in Tail._fields))
        if of.ranked:
            measured = measures(setting.backend, setting.backend.to_device(-own), of.samples, setting.config.level)
            for column, values in zip(tails[model], measured, strict=True):
                column[cells] = values
    return tails, broken


def comparison(before: Measured, after: Measured) -> pa.Table:
    """Every component of an account's margin before and after, and the change; base currency.

    Returns:
        Columns component, before, after, change; margin first, then what it is made of, then the measures.
    """
    rows = [margin_table(m, charges(m)).to_pylist()[0] for m in (before, after)]
    names = [name for name, value in rows[1].items() if isinstance(value, float) or isinstance(rows[0][name], float)]
    was, now = ([row[name] for name in names] for row in rows)
    change = [None if a is None or b is None else b - a for a, b in zip(was, now, strict=True)]
    number = pa.float64()
    return pa.table(
        {
            "component": pa.array(names, pa.string()),
            "before": pa.array(was, number),
            "after": pa.array(now, number),
            "change": pa.array(change, number),
        }
    )


def what_if(m: Setting, trades: pa.Table, account: str | None, kept: dict[int, Portfolio]) -> pa.Table:
    """The margins of the accounts that trade, before and after.

    Args:
        m: a run.
        trades: columns instrument and quantity, and account unless all are of `account`.
        kept: the portfolios of earlier calls by row of the account; added to, and opened.

    Returns:
        Columns account and those of `comparison`; accounts in the order of the run.

    Raises:
        InputError: unknown accounts or instruments, or quantities that are not finite.
    """
    owner, instrument, quantity = rows_of(trades, m.book, account)
    out = []
    for row in np.unique(owner).tolist():
        if row not in kept:
            kept[row] = Portfolio(m, row, next(iter(kept.values())).desk if kept else None)
            kept[row].open()
        own = owner == row
        table = comparison(kept[row].before, kept[row].after(instrument[own], quantity[own]))
        names = pa.array([m.book.accounts.name[row].as_py()] * table.num_rows, pa.string())
        out.append(table.add_column(0, "account", names))
    return pa.concat_tables(out)
