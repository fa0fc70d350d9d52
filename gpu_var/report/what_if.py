"""`gpu-var what-if`: an account's margin before and after trades."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich import box
from rich.table import Table
from rich.text import Text

from gpu_var.batch.errors import UsageError
from gpu_var.batch.folder import refuse_in_book, write_file
from gpu_var.batch.host import resolve_backend, thread_count
from gpu_var.batch.nearest import nearest_names
from gpu_var.batch.outputs import writer_for
from gpu_var.margin.what_if import Portfolio, comparison, whole_book
from gpu_var.report.commands import DONE, load_book, say, show_notes
from gpu_var.report.money import decimals, money
from gpu_var.report.progress import ProgressBar
from gpu_var.report.terminal import console
from gpu_var.tables.book import Book
from gpu_var.tables.findings import Findings, escaped, shown
from gpu_var.tables.pledged import with_collateral
from gpu_var.tables.trades import read_trades

_MAIN = ("margin", "core", "concentration", "liquidity")


def command(
    folder: Path,
    account: str,
    trades: Path,
    config: Path | None,
    out: Path | None,
    *,
    backend: str,
    precision: str,
    threads: int | None,
    quiet: bool,
) -> int:
    """Show what an account must post before and after the trades of a file, and write it to `out` if that is given."""
    if out is not None:
        write = writer_for(out)
        refuse_in_book(out, folder)
    count = thread_count(threads)
    loaded = load_book(folder, config, quiet)
    used = resolve_backend(backend, precision)
    row = row_of(loaded.book, account)
    findings = Findings()
    asked = read_trades(trades, loaded.book, findings)
    findings.raise_if_any()
    show_notes(findings.notes, quiet)
    with ProgressBar(not quiet) as progress:
        progress("scenarios")
        book = with_collateral(loaded.book, loaded.config)
        whole = whole_book(book, loaded.config, loaded.factors, backend=used, precision=precision, threads=count)
        progress("the account as it is")
        portfolio = Portfolio(whole, row)
        progress("the trades")
        after = portfolio.after(asked.instrument, asked.quantity)
    table = comparison(portfolio.before, after)
    _refuse_failed(account, {**portfolio.before.failed, **after.failed})
    if out is not None:
        write_file(out, lambda stream: write(table, stream))
    if not quiet:
        show(table, account, len(asked.quantity), loaded.config.base_currency)
    if out is not None:
        say(f"written: {out}", quiet)
    return DONE


def row_of(book: Book, account: str) -> int:
    """The account's row. Raises `UsageError`, naming the nearest ones, where there is none of that name."""
    found = np.flatnonzero(np.asarray(pc.equal(book.accounts.name, pa.scalar(account))))
    if not len(found):
        near = ", ".join(shown(name) for name in nearest_names(account, book.accounts.name))
        raise UsageError(f"account {shown(account)} is not in the book" + (f"; the nearest are {near}" if near else ""))
    return int(found[0])


def _refuse_failed(account: str, failed: dict[int, str]) -> None:
    for reason in failed.values():
        raise UsageError(f"account {escaped(account)} has no margin: {reason}")


def show(table: pa.Table, account: str, trades: int, currency: str) -> None:
    """The comparison on the terminal: what is not 0 or changes."""
    rows = [row for row in table.to_pylist() if row["component"] in _MAIN or row["before"] or row["after"]]
    places = decimals(max((abs(row[c] or 0.0) for row in rows[:1] for c in ("before", "after")), default=0.0))
    title = f"{escaped(account)} and {trades:,} trade{'' if trades == 1 else 's'}, in {currency}"
    shown_table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown_table.add_column("component")
    for name in ("before", "after", "change"):
        shown_table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        cells = [money(row[name], places) for name in ("before", "after", "change")]
        shown_table.add_row(
            Text(row["component"]), *map(Text, cells), style="bold" if row["component"] == "margin" else ""
        )
    console().print(shown_table)
    sys.stdout.flush()
