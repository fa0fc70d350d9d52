"""Books made from a book: some of its accounts, one account taken apart, an account with further trades."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpu_var.tables.book import F8, I4, I8, Accounts, Book, Collateral, Positions

Rows = npt.NDArray[np.intp] | I8 | I4


def of_accounts(book: Book, rows: Rows) -> Book:
    """The book of some accounts alone, with their collateral.

    Args:
        rows: ascending rows of `Book.accounts`; they are counted anew from 0.
    """
    rows = np.asarray(rows, dtype=np.int64)
    place = np.full(len(book.accounts.house), -1, dtype=np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    p, c = book.positions, book.collateral
    kept, pledged = place[p.account] >= 0, place[c.account] >= 0
    return replace(
        book,
        accounts=Accounts(
            book.accounts.name.take(pa.array(rows)),
            book.accounts.member.take(pa.array(rows)),
            book.accounts.house[rows],
            None if book.accounts.volume is None else book.accounts.volume[rows],
        ),
        positions=Positions(place[p.account[kept]], p.instrument[kept], p.quantity[kept]),
        collateral=Collateral(place[c.account[pledged]], c.asset.filter(pa.array(pledged)), c.quantity[pledged]),
    )


def by_position(book: Book, account: int) -> Book:
    """A book in which each position of an account that is not zero is an account of its own.

    The accounts are named by instrument and stand in the order of the positions. So the engine, which knows accounts
    alone, computes profit and loss position by position.
    """
    p = book.positions
    own = np.flatnonzero((p.account == account) & (p.quantity != 0))
    instrument, n = p.instrument[own], len(own)
    names = book.instruments.name.take(pa.array(instrument))
    accounts = Accounts(names, pa.nulls(n, pa.string()), np.zeros(n, dtype=np.bool_))
    none = np.zeros(0, dtype=np.int32)
    return replace(
        book,
        accounts=accounts,
        positions=Positions(np.arange(n, dtype=np.int32), instrument, p.quantity[own]),
        collateral=Collateral(none, pa.array([], pa.string()), np.zeros(0)),
    )


def with_trades(book: Book, account: int, instruments: Rows, quantities: F8) -> Book:
    """The book after an account has traded: the quantities are added to its positions.

    Args:
        account: row of `Book.accounts`.
        instruments: (n,) rows of `Book.instruments`; one may stand there more than once.
        quantities: (n,) signed contracts.
    """
    p = book.positions
    owner = np.concatenate([p.account, np.full(len(instruments), account, dtype=np.int32)])
    instrument = np.concatenate([p.instrument, np.asarray(instruments, dtype=np.int32)])
    key, of_row = np.unique(owner.astype(np.int64) * len(book.instruments.kind) + instrument, return_inverse=True)
    quantity = np.bincount(of_row, np.concatenate([p.quantity, quantities]), len(key))
    n = max(1, len(book.instruments.kind))
    positions = Positions((key // n).astype(np.int32), (key % n).astype(np.int32), np.asarray(quantity, np.float64))
    return replace(book, positions=positions)
