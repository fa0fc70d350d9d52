"""Books made from a book: some of its accounts, one account taken apart, an account with further trades."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpu_var.tables.book import F8, I4, I8, Accounts, Book, Collateral, Positions
from gpu_var.tables.pledged import merged

Rows = npt.NDArray[np.intp] | I8 | I4


def positions_of(book: Book, accounts: range) -> Positions:
    """The positions of some consecutive accounts, which are counted from 0, from memory or from where they are stored.

    Args:
        accounts: rows of `Book.accounts`.
    """
    p = book.positions
    own = slice(*np.searchsorted(p.account, [accounts.start, accounts.stop]).tolist())
    account, instrument, quantity = p.account[own], p.instrument[own], p.quantity[own]
    if book.stored is not None:
        rows = book.stored.read(accounts)
        stored = Positions(*(np.ascontiguousarray(rows[name]) for name in ("account", "instrument", "quantity")))
        # What has been added to a book is in instruments that come after all others.
        whole = merged(stored, account, instrument, quantity) if len(account) else stored
        account, instrument, quantity = whole.account, whole.instrument, whole.quantity
    return Positions(account - np.int32(accounts.start), instrument, quantity)


def of_accounts(book: Book, rows: Rows) -> Book:
    """The book of some accounts alone, with their collateral.

    Args:
        rows: ascending rows of `Book.accounts`; they are counted anew from 0.
    """
    rows = np.asarray(rows, dtype=np.int64)
    place = np.full(len(book.accounts.house), -1, dtype=np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    span = range(int(rows[0]), int(rows[-1]) + 1) if len(rows) else range(0)
    p, c = positions_of(book, span), book.collateral
    owner = place[span.start : span.stop][p.account]
    kept, pledged = owner >= 0, place[c.account] >= 0
    return replace(
        book,
        accounts=Accounts(
            book.accounts.name.take(pa.array(rows)),
            book.accounts.member.take(pa.array(rows)),
            book.accounts.house[rows],
            None if book.accounts.volume is None else book.accounts.volume[rows],
        ),
        positions=Positions(owner[kept], p.instrument[kept], p.quantity[kept]),
        collateral=Collateral(place[c.account[pledged]], c.asset.filter(pa.array(pledged)), c.quantity[pledged]),
        stored=None,
    )


def by_position(book: Book, account: int) -> Book:
    """A book in which each position of an account that is not zero is an account of its own.

    The accounts are named by instrument and stand in the order of the positions. So the engine, which knows accounts
    alone, computes profit and loss position by position.
    """
    p = positions_of(book, range(account, account + 1))
    own = np.flatnonzero(p.quantity)
    instrument, n = p.instrument[own], len(own)
    names = book.instruments.name.take(pa.array(instrument))
    accounts = Accounts(names, pa.nulls(n, pa.string()), np.zeros(n, dtype=np.bool_))
    none = np.zeros(0, dtype=np.int32)
    return replace(
        book,
        accounts=accounts,
        positions=Positions(np.arange(n, dtype=np.int32), instrument, p.quantity[own]),
        collateral=Collateral(none, pa.array([], pa.string()), np.zeros(0)),
        stored=None,
    )


def with_trades(book: Book, account: int, instruments: Rows, quantities: F8) -> Book:
    """The book after an account has traded: the quantities are added to its positions.

    Args:
        account: row of `Book.accounts`.
        instruments: (n,) rows of `Book.instruments`; one may stand there more than once.
        quantities: (n,) signed contracts.
    """
    p = positions_of(book, range(len(book.accounts.house)))
    owner = np.concatenate([p.account, np.full(len(instruments), account, dtype=np.int32)])
    instrument = np.concatenate([p.instrument, np.asarray(instruments, dtype=np.int32)])
    key, of_row = np.unique(owner.astype(np.int64) * len(book.instruments.kind) + instrument, return_inverse=True)
    quantity = np.bincount(of_row, np.concatenate([p.quantity, quantities]), len(key))
    n = max(1, len(book.instruments.kind))
    positions = Positions((key // n).astype(np.int32), (key % n).astype(np.int32), np.asarray(quantity, np.float64))
    return replace(book, positions=positions, stored=None)


def nobodys(book: Book) -> Book:
    """The book's instruments and market alone, for those who revalue them: no accounts, no history, no files."""
    none = np.zeros(0, dtype=np.int32)
    n = len(book.instruments.kind)
    return replace(
        book,
        accounts=_nameless(0),
        positions=Positions.none(),
        instruments=replace(book.instruments, name=pa.nulls(n, pa.string())),
        history=replace(book.history, date=book.history.date[:0], level=book.history.level[:0]),
        collateral=Collateral(none, pa.array([], pa.string()), np.zeros(0)),
        files={},
        notes=(),
        sources={},
        stored=None,
    )


def held_by_nameless(book: Book, positions: Positions, accounts: int) -> Book:
    """The book with other positions, whose accounts have no names."""
    return replace(book, accounts=_nameless(accounts), positions=positions)


def _nameless(n: int) -> Accounts:
    return Accounts(pa.nulls(n, pa.string()), pa.nulls(n, pa.string()), np.zeros(n, dtype=np.bool_))


def by_group(book: Book, accounts: range, group: I8, n_groups: int) -> list[Positions]:
    """The positions of some accounts that are not zero, by the group of their underlying, each in the book's order.

    Args:
        accounts: rows of `Book.accounts`; they are counted from 0 in what is returned.
        group: (n_underlyings,) 0 to n_groups − 1; what is held is in one of them.
    """
    p = positions_of(book, accounts)
    rows = np.flatnonzero(p.quantity)
    of_row = group[book.instruments.underlying[p.instrument[rows]]].astype(np.int32)
    rows = rows[np.argsort(of_row, kind="stable")]
    edges = np.concatenate([[0], np.cumsum(np.bincount(of_row, minlength=n_groups))])
    return [
        Positions(p.account[own], p.instrument[own], p.quantity[own])
        for own in (rows[a:b] for a, b in pairwise(edges.tolist()))
    ]
