"""The methods on a real option book."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from margin.compare_by_hand import by_hand

from gpu_var import engine
from gpu_var.backend import load_backend
from gpu_var.demo import goog
from gpu_var.margin.compare import fully_collateralised, reg_t
from gpu_var.margin.compare.positions import held
from gpu_var.market.checks import load
from gpu_var.market.state import fx_rates
from gpu_var.tables.config_compare import RegT

LOT = 100.0  # shares a contract
MOST = 2_500  # lots: the rules by hand go lot by lot


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """The listed GOOG options of 2015-12-31, its accounts' positions, and their margins by the rules."""
    book, config, _, _ = load(goog.book(tmp_path_factory.mktemp("demo")))
    with ThreadPoolExecutor(1) as pool:
        valuation, _ = engine.value(book, config, np.flatnonzero(book.held), load_backend("cpu"), pool)
    positions = held(book, valuation, fx_rates(book, config.base_currency))
    none = np.zeros(len(book.underlyings.spot), dtype=bool)
    margins = reg_t.margins(positions, RegT(), none, config.as_of_us, len(book.accounts.house))
    return book, config, positions, margins


def test_strategies_of_real_accounts_by_hand(listed):
    book, config, positions, margins = listed
    checked = 0
    for account in range(len(margins)):
        p = positions.take(positions.account == account)
        lots = p.units / LOT
        whole = (lots == np.round(lots)).all()
        if not whole or np.abs(lots).sum() > MOST or p.future.any() or len(np.unique(p.underlying)) != 1:
            continue
        rows = []
        for i in range(len(lots)):
            terms = {"sign": p.sign[i], "strike": p.strike[i], "expiry": int(p.expiry[i])} if p.option[i] else {}
            rows.append({"units": lots[i], "price": p.price[i], **terms})
        expected = LOT * max(0.0, by_hand(float(p.spot[0]), rows, RegT(), config.as_of_us))
        assert margins[account] == pytest.approx(expected, rel=1e-9, abs=1e-6), book.accounts.name[account].as_py()
        checked += 1
    assert checked >= 30


def test_real_strategies_as_their_names_say(listed):
    book, _, positions, margins = listed
    names = book.accounts.name.to_pylist()
    value = np.bincount(positions.account, positions.value, len(names))
    for name, amount, worth in zip(names, margins, value, strict=True):
        if name.startswith(("butterfly", "call-spread")):
            assert amount == pytest.approx(worth)  # the debit
        if name.startswith(("call-buyer", "put-buyer")):
            assert 0.75 * worth <= amount <= worth * (1 + 1e-12)
        if name.startswith("long-only"):
            assert amount == pytest.approx(0.5 * worth)
        if name.startswith("naked"):
            assert amount > -worth


def test_nothing_needs_more_than_full_collateral(listed):
    book, _, positions, margins = listed
    full = fully_collateralised.margins(positions, len(margins))
    names = book.accounts.name.to_pylist()
    assert [n for n, a, f in zip(names, margins, full, strict=True) if a > f * (1 + 1e-12)] == []
