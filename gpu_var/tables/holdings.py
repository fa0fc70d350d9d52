"""Accounts, positions, collateral and members: who holds what, and who answers for it."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.tables.book import Accounts, Collateral, Members, Positions
from gpu_var.tables.columns import F8, I4, I8, Bool, Columns, Identifiers
from gpu_var.tables.findings import Findings, listed, shown
from gpu_var.tables.products import unknown

MOST_CONTRACTS = 1e15


def accounts(table: Columns | None, positions: Columns | None) -> Accounts:
    """The accounts, ascending by their UTF-8 bytes: those of the table, or without one those that hold positions."""
    if table is None:
        return unlisted(_NO_NAMES if positions is None else positions.identifiers("account").used())
    name, member, kind = table.identifiers("account"), table.identifiers("member"), table.words("kind")
    names = name.names()
    table.unique("account", (name.code,), name.code >= 0, lambda row: shown(names[row].as_py()))
    rows = np.flatnonzero(name.code >= 0)
    order = rows[np.asarray(pc.sort_indices(names.take(pa.array(rows)).cast(pa.binary())))]
    volume = table.numbers("volume")[order] if "volume" in table else None
    return Accounts(names.take(pa.array(order)), member.names().take(pa.array(order)), (kind == 1)[order], volume)


def unlisted(names: pa.StringArray) -> Accounts:
    """Accounts of which nothing is known but their names, in any order."""
    return Accounts(_ascending(names), pa.nulls(len(names), pa.string()), np.zeros(len(names), np.bool_))


_NO_NAMES = pa.array([], pa.string())


def _ascending(names: pa.StringArray) -> pa.StringArray:
    return names.take(pc.sort_indices(names.cast(pa.binary())))


def positions(
    table: Columns | None, owners: Accounts, listed_accounts: bool, names: pa.StringArray | None
) -> Positions:
    """Positions added up by account and instrument; rows that were refused are left out.

    `listed_accounts`: an account must stand in `accounts`. `names` are the instruments, None where they are not known.
    """
    if table is None:
        return Positions.none()
    account, instrument = table.identifiers("account"), table.identifiers("instrument")
    quantity = table.numbers("quantity")
    owner = _owner(table, account, owners, listed_accounts)
    if names is None:
        return Positions.none()
    row = instrument.rows_in(names)
    unknown(table, "instrument", (instrument.code >= 0) & (row < 0), "instruments")
    use = (owner >= 0) & (row >= 0) & ~np.isnan(quantity)
    key = owner.astype(np.int64) * max(len(names), 1) + row
    first_of, total = _added_up(table, key, quantity, use, "instrument")
    return Positions(owner[first_of], row[first_of], total)


def _added_up(table: Columns, key: I8, quantity: F8, use: Bool, column: str) -> tuple[I8, F8]:
    """A row of each group of equal keys, ascending by key, and the group's sum; a finding where that is beyond 1e15.

    `use` are the rows that count; `column` is the one that makes up the key with `account`.
    """
    rows = np.arange(table.rows) if use.all() else np.flatnonzero(use)
    order, start, total = summed(key if len(rows) == len(key) else key[rows], quantity[rows])
    over = ~(np.abs(total) <= MOST_CONTRACTS)
    if over.any():
        first = rows[np.minimum.reduceat(order, start)[over]]
        wrong = np.zeros(table.rows, np.bool_)
        wrong[first] = True
        sums = dict(zip(first.tolist(), total[over].tolist(), strict=True))
        table.report("quantity", "sum", wrong, lambda r: _too_many(table, r, sums[r], column))
    return (rows[order[start]] if len(order) else rows), total


def _too_many(table: Columns, row: int, total: float, column: str) -> str:
    who = f"account {table.shown('account', row)} and {column} {table.shown(column, row)}"
    what = "contracts, long or short" if column == "instrument" else "units, owned or owed"
    return f"the quantities of {who} sum to {total:g}; expected a sum of at most 1e15 {what}"


def summed(key: I8, quantity: F8) -> tuple[I8, I8, F8]:
    """The order that sorts by key, where in it groups of equal keys start, and their sums, whatever order rows have."""
    order, start = _groups(key, quantity)
    with np.errstate(over="ignore", invalid="ignore"):
        return order, start, np.add.reduceat(quantity[order], start) if len(order) else np.zeros(0)


def _groups(key: I8, quantity: F8) -> tuple[I8, I8]:
    """The order that sorts by key, and by quantity within one (no sum depends on the order of rows), group starts."""
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    new: Bool = np.append(True, ordered[1:] != ordered[:-1])[: len(order)]
    start = np.flatnonzero(new)
    if len(start) < len(order):
        repeated = ~new | ~np.append(new[1:], True)
        rows = order[repeated]
        order[repeated] = rows[np.lexsort((quantity[rows], key[rows]))]
    return order, start


def _owner(table: Columns, account: Identifiers, owners: Accounts, must_be_listed: bool) -> I4:
    owner = account.rows_in(owners.name)
    if must_be_listed:
        unknown(table, "account", (account.code >= 0) & (owner < 0), "accounts")
    return owner


def collateral(table: Columns | None, owners: Accounts, listed_accounts: bool, findings: Findings) -> Collateral:
    """Collateral added up by account and asset; that of accounts that are in no other table is left out, with a note.

    Whether an asset is known depends on the base currency: `market.checks` asks that.
    """
    if table is None:
        return Collateral(np.zeros(0, np.int32), _NO_NAMES, np.zeros(0))
    account, asset = table.identifiers("account"), table.identifiers("asset")
    quantity = table.numbers("quantity")
    owner = _owner(table, account, owners, listed_accounts)
    stray = (account.code >= 0) & (owner < 0)
    if stray.any() and not listed_accounts:
        names = sorted(set(account.names().filter(pa.array(stray)).to_pylist()))
        findings.note(f"{table.raw.label}, column account: no positions, left out: {listed(names)}")
    use = (owner >= 0) & (asset.code >= 0) & ~np.isnan(quantity)
    by_name = _ascending(asset.value)
    place = asset.rows_in(by_name)
    first_of, total = _added_up(table, owner.astype(np.int64) * max(len(by_name), 1) + place, quantity, use, "asset")
    return Collateral(owner[first_of], by_name.take(pa.array(place[first_of])), total)


def members(table: Columns | None) -> Members:
    """The members, ascending by their UTF-8 bytes; a member without a group is a group of its own."""
    if table is None:
        return Members()
    name = table.identifiers("member")
    names = name.names()
    table.unique("member", (name.code,), name.code >= 0, lambda row: shown(names[row].as_py()))
    rows = np.flatnonzero(name.code >= 0)
    order = pa.array(rows[np.asarray(pc.sort_indices(names.take(pa.array(rows)).cast(pa.binary())))])
    group = pc.coalesce(table.identifiers("group").names(), names)
    return Members(names.take(order), group.take(order), table.numbers("contribution")[order])
