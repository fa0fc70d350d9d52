"""What the scan is made of, by underlying."""

import numpy as np
import pyarrow as pa

from gpu_var.report.grid import Column, Grid
from gpu_var.report.source import Source, numbers, texts

UNDERLYINGS = 2000

_STEPS = (
    "active_scenario",
    "time_risk",
    "volatility_risk",
    "price_risk",
    "composite_delta",
    "weighted_futures_price_risk",
)
"""Columns of `scan.parquet` from which its amounts are derived; they do not add up over accounts."""


def scan_parts(source: Source, places: int) -> Grid:
    """Totals over the accounts of what `scan.parquet` has of each cell, the most risk first; no row without a scan."""
    table = source.scan
    if table is None or table.num_rows == 0:
        return Grid("scan_parts", "Scan", [Column("underlying", "underlying", "name", np.zeros(0, dtype=object))])
    wanted = [c for c in table.column_names if c not in ("account", "underlying", *_STEPS)]
    filled = pa.table(
        {"underlying": table["underlying"], **{c: pa.array(np.nan_to_num(numbers(table, c))) for c in wanted}}
    )
    sums = pa.TableGroupBy(filled, "underlying", use_threads=False).aggregate([(c, "sum") for c in wanted])
    sums = sums.sort_by([("risk_sum", "descending"), ("underlying", "ascending")]).slice(0, UNDERLYINGS)
    amounts = {c: numbers(sums, f"{c}_sum") for c in wanted}
    columns = [
        Column("underlying", "underlying", "name", texts(sums, "underlying")),
        *(Column(c, c.replace("_", " "), "money", a, places) for c, a in amounts.items() if np.any(a) or c == "risk"),
    ]
    return Grid("scan_parts", "Scan", columns, sort="risk")
