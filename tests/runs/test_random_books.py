"""Books drawn at random (tests/oracle/fuzz.py), every number of a run against the oracle."""

import pytest
from oracle import fuzz
from oracle.compare import check_breakdown, check_margin, check_pnl, gross, run_book
from oracle.files import read_pnl
from oracle.oracle import Run


@pytest.mark.parametrize("seed", range(20))
def test_a_random_book(tmp_path, seed):
    book, config = fuzz.book(seed)
    run = Run(book, config)
    out = run_book(tmp_path, book, config, ("csv", "parquet", "arrow")[seed % 3])
    check_pnl(out, run, "fhs")
    check_breakdown(out, run)
    check_margin(out, run)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_random_book_of_american_options(tmp_path, seed):
    book, config = fuzz.book(seed, american=True)
    config["fhs"]["lookback"] = min(config["fhs"]["lookback"], 5)
    run = Run(book, config)
    _, pnl = read_pnl(run_book(tmp_path, book, config) / "pnl_fhs.arrow")
    for account, row in pnl.items():
        # 1e-4·S a unit for each of the two prices of a difference.
        assert row == pytest.approx(run.pnl["fhs"][account], abs=2e-4 * gross(run, account)), account
