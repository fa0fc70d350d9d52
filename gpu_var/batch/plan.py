"""The parts of a run: shards of accounts and underlyings, from the book's sizes and the configuration alone.

Neither threads nor workers matter to it, so that every sum is taken in the same order on any of them. So there must be
shards enough for many workers, and each must be much more work to compute than its result is to hand over and keep.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gpu_var.backend import Name
from gpu_var.tables.book import I8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.slices import positions_of

_AMERICAN = 4
"""Revaluations of a European option that one of an American option takes the time of."""

_SMALL = 10_000_000
"""Revaluations that a processor does in about a second: nothing is gained by smaller shards."""

_FOR_A_RESULT = 16
"""Revaluations for each profit and loss of an account that a shard brings: a hundredth of its time is the transfer."""


_POSITION = 512
"""Bytes that a position takes at most while its chunk is computed: sorted, its Greeks, the row of a cell of its own."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Every chunk of accounts is revalued group by group of underlyings: a shard is a pair of the two."""

    chunks: tuple[range, ...]  # rows of Book.accounts
    groups: tuple[I8, ...]  # rows of Book.underlyings, ascending within and over groups: all that are held
    rows: tuple[I8, ...]  # of each group, the rows of Book.instruments that are held
    revaluations: I8  # (n_chunks, n_groups)


def plan_shards(book: Book, config: Config, n_scenarios: int, backend: Name = "cpu") -> Plan:
    """Cut a run into shards.

    Args:
        book: with simulated collateral among its positions.
        n_scenarios: of all models together.
        backend: who computes. A GPU takes shards as large as they may be: it has done a small one before its result is
            written.
    """
    n_scenarios = max(1, n_scenarios)
    chunks = _chunks(book.positions_by_account, config.batch.chunk_megabytes << 20, n_scenarios)

    size = config.batch.shard_revaluations
    if backend == "cpu":
        size = min(size, max(_SMALL, _FOR_A_RESULT * n_scenarios * max(map(len, chunks))))

    i = book.instruments
    rows = np.flatnonzero(book.held)
    weight = np.where(i.american[rows], _AMERICAN, 1) * n_scenarios
    work = np.bincount(i.underlying[rows], weight, len(book.underlyings.spot)).astype(np.int64)
    held = np.flatnonzero(work)
    # An underlying belongs to the group that the middle of its work falls into.
    middle = np.cumsum(work[held]) - work[held] // 2
    names, of_held = np.unique(middle // size, return_inverse=True)
    of_group = np.full(len(work), -1, dtype=np.int64)
    of_group[held] = of_held
    group_of_row = of_group[i.underlying[rows]]
    return Plan(
        chunks,
        tuple(held[of_held == g] for g in range(len(names))),
        tuple(rows[group_of_row == g] for g in range(len(names))),
        _revaluations(book, chunks, of_group, len(names)) * n_scenarios,
    )


def _chunks(positions: I8, size: int, n_scenarios: int) -> tuple[range, ...]:
    """Equal numbers of accounts whose profit and loss has at most `size` bytes; cut further where their positions, with
    all that is computed from them, would have more.

    Args:
        positions: (n_accounts,).
    """
    n_accounts = len(positions)
    parts = max(1, -(-n_accounts // max(1, size // (8 * n_scenarios))))
    edges = [n_accounts * part // parts for part in range(parts + 1)]
    ends = np.cumsum(positions)
    most = max(1, size // _POSITION)
    for a, b in pairwise(edges.copy()):
        # An account belongs to the piece that the middle of its positions falls into.
        middle = ends[a:b] - positions[a:b] // 2 - (ends[a - 1] if a else 0)
        total = max(1, int(positions[a:b].sum()))
        pieces = -(-total // most)
        piece = np.minimum(middle * pieces // total, pieces - 1)
        edges += (a + np.flatnonzero(np.diff(piece)) + 1).tolist()
    return tuple(range(a, b) for a, b in pairwise(sorted(edges)))


def _revaluations(book: Book, chunks: tuple[range, ...], of_group: I8, n_groups: int) -> I8:
    """(n_chunks, n_groups) instruments that the chunk's accounts hold."""
    underlying = book.instruments.underlying
    out = np.zeros((len(chunks), n_groups), dtype=np.int64)
    for c, accounts in enumerate(chunks):
        p = positions_of(book, accounts)
        held = np.zeros(len(underlying), dtype=np.bool_)
        held[p.instrument[p.quantity != 0]] = True
        out[c] = np.bincount(of_group[underlying[held]], minlength=n_groups)
    return out
