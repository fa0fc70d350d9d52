"""From profit and loss of instruments to profit and loss of cells."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from cpu_reference.arrays import MEASURED
from cpu_reference.types import F8, I8


class Holdings(NamedTuple):
    """Who holds how much of the instruments of a tile: a sparse matrix in compressed rows, touched cells only."""

    cell: npt.NDArray[np.integer]  # (n_rows,) ascending: row of the output
    start: npt.NDArray[np.integer]  # (n_rows + 1,)
    instrument: npt.NDArray[np.integer]  # (n_holdings,) row of the tile, ascending within a cell
    quantity: F8  # (n_holdings,) signed contracts


def upload(holdings: Holdings) -> Holdings:
    """Holdings where the backend computes, for a tile that is aggregated in several blocks of scenarios."""
    return holdings


def aggregate(holdings: Holdings, pnl: F8, out: F8) -> None:
    """Add the tile's profit and loss to the cells that hold it, in the order of the instruments.

    Args:
        holdings: sparse (n_cells × n_instruments).
        pnl: (n_instruments, n_scenarios) of one contract.
        out: (n_cells, n_scenarios), added to.

    Raises:
        ValueError: pnl and out differ in their scenarios.
    """
    if pnl.shape[1] != out.shape[1]:
        raise ValueError(f"pnl has {pnl.shape[1]} scenarios, out has {out.shape[1]}; expected the same")
    if holdings.cell.size == 0:
        return
    shape = (len(holdings.cell), len(pnl))
    matrix = csr_array((holdings.quantity, holdings.instrument, holdings.start), shape=shape)
    out[holdings.cell] += np.asarray(matrix @ pnl)


def add_rows(rows: I8, values: F8, out: F8) -> None:
    """Add each row of a matrix to a row of another.

    Args:
        rows: (n_rows,) of `out`; those that come more than once are summed before they are added.
        values: (n_rows, n_scenarios).
        out: (…, n_scenarios), added to.
    """
    if (np.diff(rows) <= 0).any():
        aggregate(by_row(rows), values, out)
        return
    # Indexing makes copies, so a few rows at a time.
    step = max(1, MEASURED // max(1, values.shape[1]))
    for begin in range(0, len(rows), step):
        some = slice(begin, begin + step)
        out[rows[some]] += values[some]


def by_row(rows: I8) -> Holdings:
    """What sums rows of a matrix by the row of another that each belongs to, in their order."""
    order = np.argsort(rows, kind="stable")
    begin = np.flatnonzero(np.diff(rows[order], prepend=-1))
    return Holdings(rows[order[begin]], np.append(begin, len(rows)), order, np.ones(len(rows)))
