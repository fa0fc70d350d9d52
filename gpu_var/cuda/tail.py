"""Launcher of kernels/tail.cu; twin of cpu_reference/tail.py."""

import functools
from typing import Any

import numpy as np

from cpu_reference.tail import Tail, measures, ranks
from gpu_var.cuda.device import Device, current
from gpu_var.cuda.rows import check_rows, row_stride, span

STATIC_SHARED = 30 << 10
"""Shared memory of a block besides the keys of a staged row."""

ANY_DEVICE = 99 << 10
"""Shared memory that a block gets, when it asks, on every device from compute capability 8.0."""


def tail(losses: Any, level: float) -> Tail:
    """Value at risk, expected shortfall and worst loss of N equally likely losses, row by row.

    The bits are those of the reference, where the formulas stand: the kernel selects and sums, in the same order.

    Args:
        losses: (n_rows, n_scenarios) float64 on the device; may be a column block of a wider matrix.
        level: confidence, e.g. 0.99.

    Returns:
        Arrays on the host.

    Raises:
        TypeError: losses are not on the device, or of another dtype.
        ValueError: no scenario, or a level outside [0, 1).
    """
    device = current()
    check_rows("losses", losses, np.float64)
    rank = ranks(losses.shape, level)
    n_rows, n = losses.shape
    if n > np.iinfo(np.int32).max:
        raise ValueError(f"losses have {n} scenarios; expected at most {np.iinfo(np.int32).max}")
    ordered = device.xp.empty((n_rows, 4))
    total, squares = device.xp.empty(n_rows), device.xp.empty(n_rows)
    scenario = device.xp.empty(n_rows, dtype=np.int64)
    if n_rows:
        keys = 8 * n if STATIC_SHARED + 8 * n <= _shared(device) else 0
        device.launch(
            "tail",
            "tail_staged" if keys else "tail_streamed",
            (n_rows,),
            (_threads(n_rows, n),),
            (
                span(losses),
                np.int64(row_stride(losses)),
                np.int32(n),
                np.int32(rank.nearer),
                np.int32(rank.var),
                np.int32(rank.further),
                ordered,
                total,
                squares,
                scenario,
            ),
            keys,
        )
    selected = (device.download(column) for column in (ordered, total, squares, scenario))
    return measures(rank, level, *selected)


def _threads(n_rows: int, n: int) -> int:
    """Threads of a block: a power of two from 32 to 1024, which divides the lanes of a sum."""
    if n <= 2048:
        return 128
    if n <= 6144:
        return 256
    # Rows that fill half a multiprocessor's shared memory come two at a time; longer ones, or a few, alone.
    return 512 if n <= 10240 and n_rows > 128 else 1024


def _shared(device: Device) -> int:
    """Shared memory that a block may ask for."""
    return ANY_DEVICE if device.xp is np else _shared_of(device.xp, device.xp.cuda.Device().id)


@functools.cache
def _shared_of(xp: Any, gpu: int) -> int:
    return int(xp.cuda.runtime.getDeviceProperties(gpu)["sharedMemPerBlockOptin"])
