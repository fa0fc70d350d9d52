"""The CUDA backend: the functions of `cpu_reference`, same names and arguments, on CuPy arrays and our own kernels.

Results and the arrays that grow with the scenarios (shocks, profit and loss, losses) are on the device; instruments,
the market today, its prices and holdings are small, stay NumPy and are uploaded by the launchers. Importing this needs
no GPU; `unavailable` says why there is none.
"""

from cpu_reference.aggregate import Holdings
from cpu_reference.filter import steady
from cpu_reference.price import Valuation
from cpu_reference.revalue import Prepared, Request
from cpu_reference.tail import Tail
from cpu_reference.types import Instruments, Market, Maturities, Shocks, Smile
from gpu_var.cuda.aggregate import add_rows, aggregate, upload
from gpu_var.cuda.arrays import (
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
from gpu_var.cuda.device import current, unavailable, use
from gpu_var.cuda.filter import filter_absolute, filter_ewma
from gpu_var.cuda.holders import Holders
from gpu_var.cuda.normals import correlate, draw, normals, student_t_mixing
from gpu_var.cuda.price import price
from gpu_var.cuda.revalue import prepare, prepare_all, revalue
from gpu_var.cuda.tail import tail

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
    "current",
    "draw",
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
    "unavailable",
    "upload",
    "use",
    "workers",
    "zeros",
]
