"""Whole runs from the command line, field by field against the oracle (tests/oracle), which knows only the contract."""

import json
import math

import pyarrow.parquet as pq
import pytest
from oracle import books
from oracle.compare import PRICE, check_breakdown, check_margin, check_pnl, compare, gross, run_book
from oracle.files import read_pnl, read_rows, write_book
from oracle.oracle import Run, price

from gpu_var.cli import main

OIL = {"as_of": "2020-05-06"}
CRASH = {"allow_unshocked": ["iv:CRASH"]}
STRIKE, SIMPLE = {"smile": "sticky_strike"}, {"returns": "simple"}
CASES = {
    "crypto": (books.crypto, {}),
    "crypto strike simple var": (books.crypto, {**STRIKE, **SIMPLE, "measure": "var", "holding_period_days": 3}),
    "crypto rolled": (
        books.crypto,
        {"roll": True, "holding_period_days": 5, "fhs": {"lookback": 40, "scaling": "mid"}},
    ),
    "crypto rolled strike": (books.crypto, {**STRIKE, "roll": True, "fhs": {"lookback": 25, "scaling": "none"}}),
    "crypto wide unwinding": (books.crypto, {"concentration": {"participation": 0.03}, "measure": "worst"}),
    "world": (books.world, CRASH),
    "world simple": (books.world, {**CRASH, **SIMPLE, "level": 0.97, "holding_period_days": 4}),
    "world strike": (books.world, {**CRASH, **STRIKE, "level": 0.5, "fhs": {"lookback": 20, "decay": 0.9}}),
    "world rolled": (books.world, {**CRASH, "roll": True, "holding_period_days": 10, "level": 0.99}),
    "corners": (books.corners, {}),
    "corners simple strike": (books.corners, {**SIMPLE, **STRIKE, "level": 0.9}),
    "oil": (books.oil, OIL),
    "oil simple strike": (books.oil, {**OIL, **SIMPLE, **STRIKE, "fhs": {"lookback": 50, "scaling": "mid"}}),
    "oil rolled": (books.oil, {**OIL, "roll": True, "holding_period_days": 20, "measure": "var", "level": 0.9}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_number_of_a_run(tmp_path, case):
    make, changes = CASES[case]
    book, config = make(), books.config(**changes)
    run = Run(book, config)
    out = run_book(tmp_path, book, config)
    check_pnl(out, run, "fhs")
    check_breakdown(out, run)
    check_margin(out, run)


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_another_base_currency_and_format(tmp_path, form):
    book = books.world()
    book["fx"] = [{"currency": "USD", "rate": 0.92}, {"currency": "HKD", "rate": 0.118}]
    book["history"]["fx:USD"] = books.walk(60, 0.9, 0.005, len(book["history"]["date"]))
    config = books.config(**CRASH, base_currency="EUR")
    run = Run(book, config)
    assert "fx:EUR" not in run.factors
    out = run_book(tmp_path, book, config, form)
    check_pnl(out, run, "fhs")
    check_breakdown(out, run)
    check_margin(out, run)


@pytest.mark.parametrize(
    ("make", "changes"), [(books.crypto, {}), (books.world, CRASH), (books.corners, {}), (books.oil, OIL)]
)
def test_prices_and_greeks(tmp_path, make, changes):
    book, config = make(), books.config(**changes)
    folder, out = write_book(tmp_path / "book", book, config), tmp_path / "price.parquet"
    assert main(["price", str(folder), "--out", str(out), "--quiet"]) == 0
    rows, wanted = read_rows(out), price(book, config)
    assert pq.read_schema(out).names == PRICE
    assert [row["instrument"] for row in rows] == [row["instrument"] for row in wanted]
    scale = {row["underlying"]: max(abs(row["spot"]), 1.0) for row in book["underlyings"]}
    for row, want, terms in zip(rows, wanted, book["instruments"], strict=True):
        expired_option = terms["kind"] == "option" and want["t"] <= 0
        for column in PRICE:
            if not (expired_option and column == "iv"):  # the contract gives it no meaning
                compare(row[column], want[column], (row["instrument"], column), scale[terms["underlying"]])


def test_american_prices_and_greeks(tmp_path):
    book, config = books.equity(), books.config()
    folder, out = write_book(tmp_path / "book", book, config), tmp_path / "price.parquet"
    assert main(["price", str(folder), "--out", str(out), "--quiet"]) == 0
    spot = {row["underlying"]: row["spot"] for row in book["underlyings"]}
    for row, want, terms in zip(read_rows(out), price(book, config), book["instruments"], strict=True):
        size = spot[terms["underlying"]]
        # Price 1e-4·S; a Greek 5e-3 of its own natural size, both trees and differences being that coarse.
        unit = {"price": size, "delta": 50, "gamma": 300 / size, "vega": 50 * size, "theta": size, "rho": 100 * size}
        assert row["forward"] == pytest.approx(want["forward"], rel=1e-12)
        compare(row["iv"], want["iv"], (row["instrument"], "iv"), 1.0)
        for column, natural in unit.items():
            assert row[column] == pytest.approx(want[column], abs=1e-4 * natural), (row["instrument"], column)


@pytest.mark.parametrize("changes", [{}, {**STRIKE, **SIMPLE, "roll": True, "holding_period_days": 6}])
def test_american_options_in_scenarios(tmp_path, changes):
    book, config = books.equity(), books.config(**{"fhs": {"lookback": 20}, **changes})
    run = Run(book, config)
    out = run_book(tmp_path, book, config)
    _, pnl = read_pnl(out / "pnl_fhs.arrow")
    rows = {row["account"]: row for row in read_rows(out / "margin.parquet")}
    for account in run.accounts:
        tolerance = 2e-4 * gross(run, account)
        assert pnl[account] == pytest.approx(run.pnl["fhs"][account], abs=tolerance)
        for column in ("fhs_var", "fhs_es", "fhs_worst", "core", "net_option_value"):
            assert rows[account][column] == pytest.approx(run.margin[account][column], abs=tolerance), (account, column)


def test_measures_follow_from_the_pnl_that_is_written(tmp_path):
    # 1 − level of 40 scenarios is 0.6: fewer than one loss in the tail.
    book, config = books.crypto(), books.config(level=0.985, fhs={"lookback": 40})
    out = run_book(tmp_path, book, config)
    _, pnl = read_pnl(out / "pnl_fhs.arrow")
    for row in read_rows(out / "margin.parquet"):
        worst = max(0.0, -min(pnl[row["account"]]))
        assert row["fhs_var"] == row["fhs_es"] == row["fhs_worst"] == worst


def test_a_crawling_peg_moves_by_its_own_step_and_says_so(tmp_path):
    """Equal returns have no variance to filter by: the rescaled return is the return, and Monte Carlo leaves it out."""
    book = books.world()
    days = len(book["history"]["date"])
    book["history"]["fx:EUR"] = [1.1 * 1.001**t for t in range(days)]
    out = run_book(tmp_path, book, books.config(**CRASH, monte_carlo={"paths": 50}))
    names, pnl = read_pnl(out / "pnl_fhs.arrow")
    assert len(names) == 30
    assert all(math.isfinite(x) for row in pnl.values() for x in row)
    assert {row["status"] for row in read_rows(out / "margin.parquet")} == {"ok"}
    notes = json.loads((out / "run.json").read_text())["notes"]
    start = "the returns of fx:EUR do not vary over the look-back; their"
    assert f"fhs: {start} filter starts from the mean square" in notes
    assert f"monte_carlo: {start} shock is 0" in notes
