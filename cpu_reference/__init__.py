"""The reference backend: what the engine computes, in NumPy and SciPy, for reading, for trust and for every CPU.

Plain arrays in, plain arrays out; nothing of `gpu_var`. Losses and profits are in base currency, gains positive.
"""

from cpu_reference.aggregate import Holdings, add_rows, aggregate, upload
from cpu_reference.arrays import (
    BLOCK,
    MEASURED,
    POOLED,
    TILE,
    batch_bytes,
    empty,
    out_of_memory,
    to_device,
    to_host,
    workers,
    zeros,
)
from cpu_reference.filter import filter_absolute, filter_ewma, steady
from cpu_reference.holders import Holders
from cpu_reference.normals import correlate, normals, student_t_mixing
from cpu_reference.price import Valuation, price
from cpu_reference.revalue import Prepared, Request, prepare, prepare_all, revalue
from cpu_reference.tail import Tail, tail
from cpu_reference.types import Instruments, Market, Maturities, Shocks, Smile

__all__ = [
    "BLOCK",
    "MEASURED",
    "POOLED",
    "TILE",
    "Holders",
    "Holdings",
    "Instruments",
    "Market",
    "Maturities",
    "Prepared",
    "Request",
    "Shocks",
    "Smile",
    "Tail",
    "Valuation",
    "add_rows",
    "aggregate",
    "batch_bytes",
    "correlate",
    "empty",
    "filter_absolute",
    "filter_ewma",
    "normals",
    "out_of_memory",
    "prepare",
    "prepare_all",
    "price",
    "revalue",
    "steady",
    "student_t_mixing",
    "tail",
    "to_device",
    "to_host",
    "upload",
    "workers",
    "zeros",
]
