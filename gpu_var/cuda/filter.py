"""Launcher of kernels/filter.cu."""

from typing import Any

import numpy as np

from gpu_var.cuda.device import check_array, current

_THREADS = 64


def filter_ewma(returns: Any, decay: float) -> Any:
    """`cpu_reference.filter_ewma` on the device; bit for bit but for a single factor, which NumPy sums pairwise.

    Args:
        returns: (n_dates, n_factors) float64 on the device, oldest first.
        decay: λ, between 0 and 1.

    Returns:
        (n_dates + 1, n_factors) on the device.

    Raises:
        TypeError, ValueError: of `check_array`.
    """
    return _filter("filter_ewma", returns, decay)


def filter_absolute(returns: Any, decay: float) -> Any:
    """`cpu_reference.filter_absolute` on the device; bit for bit but for a single factor, as `filter_ewma`."""
    return _filter("filter_absolute", returns, decay)


def _filter(kernel: str, returns: Any, decay: float) -> Any:
    check_array("returns", returns, np.float64, (None, None))
    n_dates, n_factors = returns.shape
    device = current()
    out = device.xp.empty((n_dates + 1, n_factors))
    args = (returns, np.int64(n_dates), np.int32(n_factors), np.float64(decay), out)
    device.launch("filter", kernel, (-(-n_factors // _THREADS),), (_THREADS,), args)
    return out
