"""Columns of the output tables."""

import numpy as np
import pyarrow as pa

from gpu_var.tables.book import F8


def numbers(values: F8) -> pa.Array:
    """float64, null where NaN; no negative zeros."""
    return pa.array(values + 0.0, mask=np.isnan(values), type=pa.float64())
