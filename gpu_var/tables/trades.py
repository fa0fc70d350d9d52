"""What an account might trade: a file like `positions`, without the account."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.tables.book import F8, I8, Book
from gpu_var.tables.columns import Columns
from gpu_var.tables.findings import PER_KIND, Findings, escaped, listed, shown
from gpu_var.tables.products import unknown
from gpu_var.tables.readers import read_table
from gpu_var.tables.schema import TRADES

SUFFIXES = (".csv", ".parquet", ".arrow")


@dataclass(frozen=True)
class Trades:
    """One row a trade; an instrument may stand there more than once."""

    instrument: I8  # row of Book.instruments
    quantity: F8  # signed contracts, > 0 bought


def read_trades(path: Path, book: Book, findings: Findings) -> Trades:
    """Read a file of trades, with the columns `instrument` and `quantity`; everything wrong goes into `findings`."""
    nothing = Trades(np.zeros(0, np.int64), np.zeros(0))
    if path.suffix not in SUFFIXES or not path.is_file():
        what = f"expected a file ending in {', '.join(SUFFIXES)} with the columns instrument and quantity"
        missing = "no such file: " if not path.is_file() else "no known kind of file: "
        findings.error(path.name, f"{missing}{escaped(str(path), 1000)}; {what}", kind="missing")
        return nothing
    ignored: list[str] = []
    raw = read_table(TRADES, (path,), findings, ignored)
    if ignored:
        findings.note(f"ignored columns: {listed(ignored)}")
    if raw is None or not raw.rows:
        return nothing
    table = Columns(raw, findings)
    named, quantity = table.identifiers("instrument"), table.numbers("quantity")
    row = named.rows_in(book.instruments.name)
    unknown(table, "instrument", (named.code >= 0) & (row < 0), "instruments")
    return Trades(row.astype(np.int64), quantity)


def rows_of(trades: pa.Table, book: Book, account: str | None) -> tuple[I8, I8, F8]:
    """Trades given as a table, as rows of accounts and instruments, and signed contracts.

    Args:
        trades: columns instrument, quantity and, unless `account` is given, account.
        account: whose they all are.

    Raises:
        InputError: a column is missing, or a name unknown, or a quantity not finite; all of it is said.
    """
    findings = Findings()
    wanted = ["instrument", "quantity"] + (["account"] if account is None else [])
    for name in wanted:
        if name not in trades.column_names:
            findings.error("trades", "missing; expected a column of this name", column=name, kind="missing")
    findings.raise_if_any()
    n = trades.num_rows
    owners = pa.array([account] * n, pa.string()) if account is not None else trades["account"]
    rows = []
    for column, names, known in (
        ("account", owners, book.accounts.name),
        ("instrument", trades["instrument"], book.instruments.name),
    ):
        found = pc.index_in(names.cast(pa.string()), known).fill_null(-1).to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(found < 0)
        expected = f"is not in the book; expected the name of an {column}"
        said = [f"{shown(str(names[row].as_py()))} {expected}" for row in wrong[:PER_KIND].tolist()]
        if len(wrong):
            findings.errors_at("trades", _places(wrong), said.__getitem__, column=column, kind="unknown")
        rows.append(found.astype(np.int64))
    quantity = np.asarray(trades["quantity"].cast(pa.float64()).fill_null(np.nan).to_numpy(), dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(quantity))
    if len(bad):
        text = "is not finite; expected a finite number of contracts"
        said = [f"{quantity[row]} {text}" for row in bad[:PER_KIND].tolist()]
        findings.errors_at("trades", _places(bad), said.__getitem__, column="quantity", kind="number")
    findings.raise_if_any()
    return rows[0], rows[1], quantity


def _places(rows: I8) -> list[str]:
    return [f"trades row {row + 1}" for row in rows.tolist()]
