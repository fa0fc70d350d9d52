"""Positions of any number: read once, batch by batch, and kept in a file, added up account by account."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.tables.batches import UnsoundError, sound_positions
from gpu_var.tables.book import Accounts
from gpu_var.tables.holdings import MOST_CONTRACTS, summed, unlisted
from gpu_var.tables.source_files import Part
from gpu_var.tables.stored import I8, ROW, ROWS, Spill, Stored

_BATCH = 1 << 19
"""Rows that are read at a time."""


def stream_positions(
    parts: tuple[Part, ...], listed: Accounts | None, instruments: pa.StringArray
) -> tuple[Accounts, Stored]:
    """The positions of `batches.streamable` parts, and the accounts, ascending.

    They are what `holdings.positions` makes of the same rows, sum for sum. Memory is taken for some of the rows, for
    every account and for every instrument.

    Args:
        listed: the accounts that there are; None: those that hold positions.
        instruments: the names of all.

    Raises:
        UnsoundError: a value does not belong there, a name is not known, a sum is too large, or there is no row.
        OSError: the disk of temporary files is full.
    """
    names, rows = _read(parts, None if listed is None else listed.name, instruments)
    accounts = listed or unlisted(names)
    row_of = np.asarray(pc.index_in(names, accounts.name), dtype=np.int32)
    parted = _by_part(rows, row_of, len(accounts.house))
    rows.close()
    return accounts, _summed(parted, len(accounts.house), len(instruments))


def _read(
    parts: tuple[Part, ...], listed: pa.StringArray | None, instruments: pa.StringArray
) -> tuple[pa.StringArray, Spill]:
    """The names of the accounts, as they come unless `listed`, and all rows with theirs in place of the accounts."""
    names = pa.array([], pa.string()) if listed is None else listed
    out = Spill()
    for table in sound_positions(parts, _BATCH):
        account, instrument = table.identifiers("account"), table.identifiers("instrument")
        if listed is None:
            used = pc.unique(account.used())
            names = pa.concat_arrays([names, used.filter(pc.invert(pc.is_in(used, names)))])
        rows = np.empty(table.rows, ROW)
        rows["account"], rows["instrument"] = account.rows_in(names), instrument.rows_in(instruments)
        rows["quantity"] = table.numbers("quantity")
        if rows["account"].min() < 0 or rows["instrument"].min() < 0:
            raise UnsoundError("an unknown account or instrument")
        out.append(rows)
    if not out.rows:
        raise UnsoundError("no row")
    return names, out


@dataclass(frozen=True, eq=False)
class _Parted:
    """Rows in parts of some consecutive accounts each, in any order within."""

    rows: Spill
    account: I8  # (n_parts + 1,) the first of each part
    begin: I8  # (n_parts + 1,) the row with which it begins


def _by_part(rows: Spill, row_of: np.ndarray, n_accounts: int) -> _Parted:
    """The rows, with the accounts that `row_of` makes of theirs, those of an account in one part."""
    count = np.zeros(n_accounts, np.int64)
    for block in rows.blocks(ROWS):
        count += np.bincount(row_of[block["account"]], minlength=n_accounts)
    begin = np.append(0, np.cumsum(count))
    _, first, part_of = np.unique(begin[:-1] // ROWS, return_index=True, return_inverse=True)
    at = begin[first]
    parted = _Parted(Spill(), np.append(first, n_accounts), np.append(at, begin[-1]))
    for named in rows.blocks(ROWS):
        named["account"] = row_of[named["account"]]
        part = part_of[named["account"]]
        block = named[np.argsort(part, kind="stable")]
        ends = np.cumsum(np.bincount(part, minlength=len(first)))
        for p in np.unique(part).tolist():
            own = block[ends[p - 1] if p else 0 : ends[p]]
            parted.rows.write(int(at[p]), own)
            at[p] += len(own)
    return parted


def _summed(parted: _Parted, n_accounts: int, n_instruments: int) -> Stored:
    """The rows of an account and instrument added up; zero sums are kept."""
    out, count, held = Spill(), np.zeros(n_accounts, np.int64), np.zeros(n_instruments, np.bool_)
    for p in range(len(parted.account) - 1):
        rows = parted.rows.read(int(parted.begin[p]), int(parted.begin[p + 1]))
        key = rows["account"].astype(np.int64) * n_instruments + rows["instrument"]
        order, start, total = summed(key, np.ascontiguousarray(rows["quantity"]))
        if not (np.abs(total) <= MOST_CONTRACTS).all():
            raise UnsoundError("a sum that is too large")
        rows = rows[order[start]]
        rows["quantity"] = total
        out.append(rows)
        first, last = parted.account[p], parted.account[p + 1]
        count[first:last] = np.bincount(rows["account"] - first, minlength=int(last - first))
        held[rows["instrument"][total != 0]] = True
    parted.rows.close()
    return Stored(out, np.append(0, np.cumsum(count)), held)
