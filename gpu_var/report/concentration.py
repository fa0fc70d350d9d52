"""Where the risk sits: which accounts and underlyings make up the total, and what takes long to unwind."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.report.grid import Column, Grid
from gpu_var.report.money import decimals
from gpu_var.report.source import Source, numbers, texts

UNDERLYINGS = 2000
CELLS = 200
WHOLE_UNITS = 1e5

_LARGEST = (1, 5, 10, 25, 50, 100)


def shares(source: Source) -> list[tuple[int, float]]:
    """What share of the total margin the largest 1, 5, 10 … accounts have."""
    margin = np.sort(np.nan_to_num(source.amount("margin")))[::-1]
    total = float(margin.sum())
    if total <= 0:
        return []
    running = np.cumsum(margin)
    return [(n, float(running[n - 1]) / total) for n in _LARGEST if n < len(margin)]


def effective_accounts(source: Source) -> float:
    """The number of equal accounts that would be as concentrated: (Σ margin)²/Σ margin² (the inverse of Herfindahl)."""
    margin = np.nan_to_num(source.amount("margin"))
    total = float(margin.sum())
    return float(1.0 / np.sum((margin / total) ** 2)) if total > 0 else 0.0


def sizes(source: Source) -> list[tuple[float, int, float]]:
    """Accounts by the size of their margin, a row a power of ten from the smallest to the largest.

    (lower end, accounts, their margin); the first row, from 0, has those without a margin.
    """
    margin = source.amount("margin")
    margin = margin[np.isfinite(margin)]
    some = margin[margin > 0]
    out = [(0.0, int(np.count_nonzero(margin <= 0)), 0.0)]
    if len(some):
        power = np.floor(np.log10(some)).astype(np.int64)
        low = max(int(power.min()), int(power.max()) - 9)
        power = np.maximum(power, low)
        for p in range(low, int(power.max()) + 1):
            out.append((10.0**p, int(np.count_nonzero(power == p)), float(some[power == p].sum())))
    return out


def underlyings(source: Source, places: int) -> Grid:
    """Totals by underlying, the largest stand-alone core first, with what takes longest to unwind."""
    cells = _finite_cells(source)
    if cells.num_rows == 0:
        return Grid("underlyings", "Underlyings", _underlying_columns(cells, np.zeros(0), np.zeros(0), places))
    delta = numbers(cells, "delta")
    table = pa.table(
        {
            "underlying": cells["underlying"],
            "currency": cells["currency"],
            "net": pa.array(delta),
            "gross": pa.array(np.abs(delta)),
            "vega": cells["vega"],
            "core": pa.array(np.maximum(numbers(cells, "core"), 0.0)),
            "concentration": cells["concentration"],
            "liquidity": pa.array(numbers(cells, "liquidity_delta") + numbers(cells, "liquidity_vega")),
            "days": cells["days_to_unwind"],
        }
    )
    summed = ("net", "gross", "vega", "core", "concentration", "liquidity")
    sums = pa.TableGroupBy(table, ["underlying", "currency"], use_threads=False).aggregate(
        [*((name, "sum") for name in summed), ("days", "max"), ([], "count_all")]
    )
    sums = sums.sort_by([("core_sum", "descending"), ("underlying", "ascending")])
    core = numbers(sums, "core_sum")
    total = float(core.sum())
    return Grid(
        "underlyings",
        "Underlyings",
        _underlying_columns(
            sums.slice(0, UNDERLYINGS), core[:UNDERLYINGS], core[:UNDERLYINGS] / (total or 1.0), places
        ),
        sort="core",
    )


def _underlying_columns(sums: pa.Table, core: np.ndarray, share: np.ndarray, places: int) -> list[Column]:
    def of(column: str) -> np.ndarray:
        return numbers(sums, column) if column in sums.column_names else np.zeros(0)

    return [
        Column("underlying", "underlying", "name", texts(sums, "underlying")),
        Column("accounts", "accounts", "count", of("count_all")),
        Column("core", "stand-alone core", "money", core, places),
        Column("share", "share", "share", share),
        Column("concentration", "concentration", "money", of("concentration_sum"), places),
        Column("liquidity", "liquidity", "money", of("liquidity_sum"), places),
        Column("days", "longest days to unwind", "number", of("days_max")),
        _units("net", "net delta, units", of("net_sum")),
        _units("gross", "gross delta, units", of("gross_sum")),
        _units("vega", "net vega", of("vega_sum")),
        Column("currency", "vega in", "text", texts(sums, "currency")),
    ]


def _units(key: str, title: str, values: np.ndarray) -> Column:
    """Amounts that are not in base currency, with the places that their own size asks for."""
    largest = float(np.max(np.abs(values), where=np.isfinite(values), initial=0.0))
    return Column(key, title, "money", values, 0 if largest >= WHOLE_UNITS else decimals(largest))


def slowest(source: Source, places: int) -> Grid:
    """The positions of an account in an underlying that take longer to unwind than the holding period."""
    cells = _finite_cells(source)
    late = cells.filter(pc.greater(cells["days_to_unwind"], float(source.config["holding_period_days"])))
    late = late.sort_by(
        [("days_to_unwind", "descending"), ("account", "ascending"), ("underlying", "ascending")]
    ).slice(0, CELLS)
    columns = [
        Column("account", "account", "name", texts(late, "account")),
        Column("underlying", "underlying", "name", texts(late, "underlying")),
        Column("days", "days to unwind", "number", numbers(late, "days_to_unwind")),
        Column("horizon", "horizon, days", "number", numbers(late, "horizon_days")),
        Column("concentration", "concentration", "money", numbers(late, "concentration"), places),
        Column("core", "stand-alone core", "money", numbers(late, "core"), places),
        _units("delta", "delta, units", numbers(late, "delta")),
        _units("vega", "vega", numbers(late, "vega")),
        Column("currency", "vega in", "text", texts(late, "currency")),
    ]
    return Grid("slowest", "Slowest to unwind", columns)


def late_cells(source: Source) -> int:
    """How many cells take longer to unwind than the holding period."""
    days = numbers(source.breakdown, "days_to_unwind")
    return int(np.count_nonzero(days > float(source.config["holding_period_days"])))


def _finite_cells(source: Source) -> pa.Table:
    """The cells of accounts that have a margin: those of failed accounts may hold no number."""
    if source.ok.all():
        return source.breakdown
    good = source.margin.filter(pa.array(source.ok))["account"]
    return source.breakdown.filter(pc.is_in(source.breakdown["account"], value_set=good.combine_chunks()))
