"""Launcher of kernels/aggregate.cu; twin of cpu_reference/aggregate.py."""

from typing import Any, NamedTuple

import numpy as np

from cpu_reference.aggregate import Holdings, by_row
from cpu_reference.types import I8
from gpu_var.cuda.device import current
from gpu_var.cuda.rows import check_rows, row_stride, span

THREADS = 128
PER_THREAD = 4
"""Scenarios of a thread, at most: independent additions in flight."""

ENOUGH = 2048
"""Blocks that fill any device; with fewer, a thread takes fewer scenarios."""


class Uploaded(NamedTuple):
    """Holdings on the device, checked; for tiles that are aggregated in several blocks of scenarios."""

    cell: Any  # (n_rows,) int32
    start: Any  # (n_rows + 1,) int64: places in the next two, which tiles may share
    instrument: Any  # int32
    quantity: Any  # float64
    n_cells: int  # how many the output must have at least
    n_instruments: int  # and the tile


def upload(holdings: Holdings) -> Uploaded:
    """Copy holdings to the device.

    Raises:
        ValueError: rows, cells or instruments that are out of order or out of range.
    """
    cell, start, instrument, quantity = holdings
    if len(start) != len(cell) + 1 or len(quantity) != len(instrument):
        lengths = ", ".join(str(len(column)) for column in holdings)
        raise ValueError(f"holdings' cell, start, instrument, quantity have {lengths} rows; expected n, n + 1, m, m")
    if start[0] != 0 or start[-1] != len(instrument) or (np.diff(start) < 0).any():
        raise ValueError(f"holdings' start is not ascending from 0 to {len(instrument)}")
    if len(cell) and (cell[0] < 0 or (np.diff(cell) <= 0).any()):
        raise ValueError("holdings' cell is not ascending from 0 or more; expected each cell once")
    lowest, highest = (int(f(instrument)) if len(instrument) else 0 for f in (np.min, np.max))
    if lowest < 0:
        raise ValueError(f"holdings name instrument {lowest}; expected 0 or more")
    if len(cell) and max(int(cell[-1]), highest) > np.iinfo(np.int32).max:
        raise ValueError(f"holdings reach cell {cell[-1]}, instrument {highest}; expected 32-bit numbers")
    put = current().upload
    return Uploaded(
        put(cell.astype(np.int32)),
        put(start.astype(np.int64)),
        put(instrument.astype(np.int32, copy=False)),
        put(quantity.astype(np.float64, copy=False)),
        n_cells=int(cell[-1]) + 1 if len(cell) else 0,
        n_instruments=highest + 1 if len(instrument) else 0,
    )


def add_rows(rows: I8, values: Any, out: Any) -> None:
    """See `cpu_reference.add_rows`; the same bits.

    Args:
        rows: on the host.
        values: on the device; may be a column block of a wider matrix, as `out`.
    """
    aggregate(by_row(rows), values, out)


def aggregate(holdings: Holdings | Uploaded, pnl: Any, out: Any) -> None:
    """Add the tile's profit and loss to the cells that hold it, in the order of the instruments.

    The bits are those of the reference: products and sums are rounded one after another.

    Args:
        holdings: sparse (n_cells × n_instruments); on the host, or uploaded before.
        pnl: (n_instruments, n_scenarios) of one contract, float64, or float32 whose sums are float64 all the same.
        out: (n_cells, n_scenarios) float64, added to; may be a column block of a wider matrix.

    Raises:
        TypeError: an array that is not on the device, or of another dtype.
        ValueError: pnl and out differ in their scenarios, or holdings exceed them.
    """
    single = getattr(pnl, "dtype", None) == np.float32
    check_rows("pnl", pnl, np.float32 if single else np.float64)
    check_rows("out", out, np.float64)
    n_scenarios = out.shape[1]
    if pnl.shape[1] != n_scenarios:
        raise ValueError(f"pnl has {pnl.shape[1]} scenarios, out has {n_scenarios}; expected the same")
    held = holdings if isinstance(holdings, Uploaded) else upload(holdings)
    if held.n_cells > len(out):
        raise ValueError(f"holdings reach cell {held.n_cells - 1}, out has {len(out)} cells")
    if held.n_instruments > len(pnl):
        raise ValueError(f"holdings reach instrument {held.n_instruments - 1}, pnl has {len(pnl)} instruments")
    n_rows = len(held.cell)
    if n_rows == 0 or n_scenarios == 0:
        return
    per_thread = PER_THREAD
    while per_thread > 1 and (
        n_scenarios <= THREADS * per_thread // 2 or n_rows * -(-n_scenarios // (THREADS * per_thread)) < ENOUGH
    ):
        per_thread //= 2
    current().launch(
        "aggregate",
        "aggregate_float32" if single else "aggregate_float64",
        (n_rows, -(-n_scenarios // (THREADS * per_thread))),
        (THREADS,),
        (
            held.cell,
            held.start,
            held.instrument,
            held.quantity,
            np.int64(n_scenarios),
            span(pnl) if len(pnl) else None,
            np.int64(row_stride(pnl)),
            span(out),
            np.int64(row_stride(out)),
            np.int32(per_thread),
        ),
    )
