"""The parts of a run: shards of accounts and underlyings, from the book's sizes and the configuration alone.

Neither threads nor workers matter to it, so that every sum is taken in the same order on any of them.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gpu_var.tables.book import I8, Book
from gpu_var.tables.config import Config

_AMERICAN = 4
"""Revaluations of a European option that one of an American option takes the time of."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Every chunk of accounts is revalued group by group of underlyings: a shard is a pair of the two."""

    chunks: tuple[range, ...]  # rows of Book.accounts
    groups: tuple[I8, ...]  # rows of Book.underlyings, ascending within and over groups: all that are held
    rows: tuple[I8, ...]  # of each group, the rows of Book.instruments that are held
    revaluations: I8  # (n_chunks, n_groups)


def plan_shards(book: Book, config: Config, n_scenarios: int) -> Plan:
    """Cut a run into shards.

    Args:
        book: with simulated collateral among its positions.
        n_scenarios: of all models together.
    """
    n_accounts, n_scenarios = len(book.accounts.house), max(1, n_scenarios)
    most = max(1, (config.batch.chunk_megabytes << 20) // (8 * n_scenarios))
    parts = max(1, -(-n_accounts // most))
    chunks = tuple(range(a, b) for a, b in pairwise(n_accounts * part // parts for part in range(parts + 1)))

    i = book.instruments
    rows = np.flatnonzero(book.held)
    weight = np.where(i.american[rows], _AMERICAN, 1) * n_scenarios
    work = np.bincount(i.underlying[rows], weight, len(book.underlyings.spot)).astype(np.int64)
    held = np.flatnonzero(work)
    # An underlying belongs to the group that the middle of its work falls into.
    middle = np.cumsum(work[held]) - work[held] // 2
    names, of_held = np.unique(middle // config.batch.shard_revaluations, return_inverse=True)
    of_group = np.full(len(work), -1, dtype=np.int64)
    of_group[held] = of_held
    group_of_row = of_group[i.underlying[rows]]
    return Plan(
        chunks,
        tuple(held[of_held == g] for g in range(len(names))),
        tuple(rows[group_of_row == g] for g in range(len(names))),
        _revaluations(book, chunks, of_group, len(names)) * n_scenarios,
    )


def _revaluations(book: Book, chunks: tuple[range, ...], of_group: I8, n_groups: int) -> I8:
    """(n_chunks, n_groups) instruments that the chunk's accounts hold."""
    p, underlying = book.positions, book.instruments.underlying
    out = np.zeros((len(chunks), n_groups), dtype=np.int64)
    for c, accounts in enumerate(chunks):
        begin, end = np.searchsorted(p.account, [accounts.start, accounts.stop])
        held = np.zeros(len(underlying), dtype=np.bool_)
        held[p.instrument[begin:end][p.quantity[begin:end] != 0]] = True
        out[c] = np.bincount(of_group[underlying[held]], minlength=n_groups)
    return out
