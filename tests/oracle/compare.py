"""What a run has written, field by field against the oracle."""

import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from gpu_var.cli import main
from oracle.files import read_pnl, read_rows, write_book
from oracle.oracle import Run

MARGIN = [
    "account",
    "currency",
    "status",
    "margin",
    "core",
    "core_model",
    "worst_scenario",
    "concentration",
    "liquidity",
    "fhs_var",
    "fhs_es",
    "fhs_worst",
    "mc_var",
    "mc_var_se",
    "mc_es",
    "mc_es_se",
    "mc_worst",
    "scan",
    "stress",
    "net_option_value",
]
BREAKDOWN = [
    "account",
    "underlying",
    "currency",
    "delta",
    "gamma",
    "vega",
    "theta",
    "fhs_var",
    "fhs_es",
    "fhs_worst",
    "mc_var",
    "mc_es",
    "mc_worst",
    "core",
    "days_to_unwind",
    "horizon_days",
    "concentration",
    "liquidity_delta",
    "liquidity_vega",
    "net_option_value",
]
PRICE = ["instrument", "price", "forward", "iv", "delta", "gamma", "vega", "theta", "rho"]


def gross(run: Run, account: str, underlying: str | None = None) -> float:
    """Σ |quantity·multiplier·price of the underlying| in base currency: what rounding errors are measured against."""
    total = 0.0
    for (owner, name), quantity in run.quantities.items():
        row = run.instruments[name]
        if owner != account or underlying not in (None, row["underlying"]):
            continue
        market = run.markets[row["underlying"]]
        size = (row.get("multiplier") or 1.0) * max(abs(market.spot), 1.0)
        if row.get("settlement") == "inverse" and row["kind"] != "option":
            size = row["multiplier"]
        total += abs(quantity) * size * market.fx
    return total


def compare(got: Any, want: Any, where: tuple[Any, ...], scale: float, rel: float = 1e-9) -> None:
    """Numbers within rel, or within 1e-12 of `scale`; everything else equal."""
    if isinstance(want, float | int) and isinstance(got, float | int):
        assert math.isclose(got, want, rel_tol=rel, abs_tol=1e-12 * scale), (*where, got, want)
    else:
        assert got == want, (*where, got, want)


def run_book(tmp_path: Path, book: Any, config: Any, form: str = "csv") -> Path:
    folder, out = write_book(tmp_path / "book", book, config, form), tmp_path / "out"
    assert main(["run", str(folder), "--out", str(out), "--pnl", "--quiet"]) == 0
    return out


def check_margin(out: Path, run: Run) -> None:
    """Every field of margin.parquet."""
    rows = read_rows(out / "margin.parquet")
    assert pq.read_schema(out / "margin.parquet").names == MARGIN
    assert [row["account"] for row in rows] == run.accounts
    for row in rows:
        for column in MARGIN:
            compare(
                row[column],
                run.margin[row["account"]].get(column),
                (row["account"], column),
                gross(run, row["account"]),
            )


def check_breakdown(out: Path, run: Run) -> None:
    """Every field of breakdown.parquet."""
    rows = read_rows(out / "breakdown.parquet")
    names = pq.read_schema(out / "breakdown.parquet").names
    assert names[: len(BREAKDOWN)] == BREAKDOWN
    assert all(name.split("_")[0] in ("delta", "gamma", "vega", "theta") for name in names[len(BREAKDOWN) :])
    assert sorted((row["account"], row["underlying"]) for row in rows) == run.cells
    for row in rows:
        cell = row["account"], row["underlying"]
        want = {**run.breakdown[cell], "account": cell[0], "underlying": cell[1]}
        want["currency"] = run.markets[cell[1]].currency
        for column in BREAKDOWN:
            compare(row[column], want.get(column), (*cell, column), gross(run, *cell))


def check_pnl(out: Path, run: Run, model: str) -> None:
    """Every number of pnl_MODEL.arrow."""
    names, pnl = read_pnl(out / f"pnl_{model}.arrow")
    assert names == run.labels[model]
    assert list(pnl) == run.accounts
    for account, row in pnl.items():
        for name, got, want in zip(names, row, run.pnl[model][account], strict=True):
            compare(got, want, (account, name), gross(run, account))
