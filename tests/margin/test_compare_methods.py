"""Isolated, cross, fully collateralised and portfolio margin of the same accounts, and what is read from them."""

import numpy as np
import pytest
from margin.compare_books import (
    A_RETURNS,
    B_RETURNS,
    WORST,
    compared,
    losses,
    row,
    stocks,
    write_stocks,
)
from margin.compare_positions import future, option, stock, vault_margin
from oracle.books import crypto, world
from oracle.files import write_book

from gpu_var.margin.compare import METHODS, isolated, totals_of
from gpu_var.margin.compare.segments import overlaps, running
from gpu_var.margin.requirement import requirement
from gpu_var.market.checks import load
from gpu_var.tables.slices import by_position

OPTIONS = {"gamma_move": 0.1, "vega_points": 0.05, "short_minimum": 25.0}


def settings(**changes):
    common = {"as_of": "2026-01-05T08:30:00Z", "base_currency": "USD", "level": 0.95, "fhs": {"lookback": 30}}
    return {**common, **changes}


def test_isolated_and_cross_by_hand(tmp_path):
    path = write_stocks(tmp_path / "book", stocks({"both": {"A": 2.0, "B": 2.0}}))
    one = row(compared(path), "both")
    a, b = losses(A_RETURNS, 200.0), losses(B_RETURNS, 100.0)
    assert one["isolated"] == pytest.approx(max(a) + max(b))
    assert one["cross"] == pytest.approx(max(max(x, 0) + max(y, 0) for x, y in zip(a, b, strict=True)))
    assert one["portfolio"] == pytest.approx(max(x + y for x, y in zip(a, b, strict=True)))
    assert one["portfolio"] < one["cross"] < one["isolated"]


def test_one_position_needs_the_same_from_a_pool_as_alone(tmp_path):
    path = write_stocks(tmp_path / "book", stocks({"long": {"A": 2.0}, "short": {"A-C": -3.0}}))
    for account in ("long", "short"):
        one = row(compared(path), account)
        assert one["isolated"] == pytest.approx(one["portfolio"])
        assert one["cross"] == pytest.approx(one["portfolio"])
        assert one["saving_vs_isolated"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("book", "more"),
    [
        (crypto(), {}),
        (crypto(), {"monte_carlo": {"paths": 200, "seed": 3}, "measure": "var", "options": OPTIONS}),
        (crypto(), {"holding_period_days": 3, "concentration": {"participation": 0.01}}),
        (world(), {"allow_unshocked": ["iv:HSI:X", "iv:CRASH"]}),
    ],
    ids=["fhs", "monte carlo and charges", "concentrated", "currencies"],
)
def test_isolated_is_what_the_engine_asks_of_every_position_alone(tmp_path, book, more):
    path = write_book(tmp_path / "book", book, settings(**more))
    book, config, factors, _ = load(path)
    table = compared(path).table
    for account in range(len(book.accounts.house)):
        apart = requirement(by_position(book, account), config, factors, threads=1).tables["margin"]
        amounts = apart["margin"].to_numpy()
        assert table["isolated"][account].as_py() == pytest.approx(float(amounts.sum()), rel=1e-12, abs=1e-9)


def test_chunks_change_nothing(tmp_path, monkeypatch):
    path = write_book(tmp_path / "book", crypto(), settings())
    whole = compared(path).table
    monkeypatch.setattr(isolated, "CHUNK_BYTES", 1)
    parts = compared(path).table
    for name in METHODS:
        assert parts[name].to_numpy() == pytest.approx(whole[name].to_numpy(), rel=1e-12)


@pytest.mark.parametrize("measure", ["es", "worst"])
def test_portfolio_cross_isolated_is_the_order_of_sub_additive_measures(tmp_path, measure):
    draw = np.random.default_rng(5)
    names = ["spot", "perp", "perp-inv", "fut", "fut-inv", "call-near", "put-mid", "call-far", "put-own"]
    held = np.round(draw.normal(0, 5, (150, len(names))) * (draw.random((150, len(names))) < 0.4), 1)
    book = crypto()
    book["positions"] = [
        {"account": f"a{a}", "instrument": name, "quantity": float(held[a, i])}
        for a in range(len(held))
        for i, name in enumerate(names)
    ]
    del book["accounts"]
    for column in ("adv", "vega_adv", "half_spread", "vol_half_spread"):
        del book["underlyings"][0][column]  # without add-ons, which are not sub-additive
    more = {"monte_carlo": {"paths": 200, "seed": 3}}
    table = compared(write_book(tmp_path / "book", book, settings(measure=measure, **more))).table
    portfolio, cross, alone = (table[name].to_numpy() for name in ("portfolio", "cross", "isolated"))
    room = 1e-9 * (1.0 + alone)
    assert (portfolio <= cross + room).all()
    assert (cross <= alone + room).all()
    assert (cross < 0.999 * alone).sum() > 50


def test_scan_alone_as_the_model(tmp_path):
    scan = {"price_range": 0.1, "vol_range": 0.25}
    config = {key: value for key, value in settings(scan=scan).items() if key != "fhs"}
    path = write_book(tmp_path / "book", crypto(), config)
    table = compared(path).table
    assert (table["portfolio"].to_numpy() <= table["isolated"].to_numpy() + 1e-6).all()
    # A scan has no joint scenarios, so the pool needs what the positions need alone.
    assert table["cross"].to_numpy() == pytest.approx(table["isolated"].to_numpy())


def test_fully_collateralised_by_hand():
    assert vault_margin(100, option(-2, "put", 90, 3)) == pytest.approx(2 * (90 - 3))
    assert vault_margin(100, option(-2, "call", 110, 4)) == pytest.approx(2 * (100 - 4))
    assert vault_margin(100, stock(2), option(-2, "call", 110, 4)) == pytest.approx(2 * (100 - 4))
    assert vault_margin(100, stock(3), option(-2, "call", 110, 4)) == pytest.approx(300 - 8)
    assert vault_margin(100, option(5, "call", 110, 4)) == pytest.approx(20)
    assert vault_margin(100, future(-5)) == pytest.approx(500)
    assert vault_margin(100, stock(-5)) == pytest.approx(500)
    # No credit for a spread, nor between a call and a put.
    spread = [option(-1, "put", 90, 3), option(1, "put", 85, 2), option(-1, "call", 110, 4)]
    assert vault_margin(100, *spread) == pytest.approx(90 - 3 + 2 + 100 - 4)


def test_what_the_account_has(tmp_path):
    book = stocks(
        {"a": {"A": 2.0, "B-perp": 4.0}, "b": {"A-C": -1.0}, "c": {"A": 1.0}},
        accounts=[
            {"account": "a", "volume": 5_000.0},
            {"account": "b", "volume": None},
            {"account": "c", "volume": 0.0},
        ],
        collateral=[
            {"account": "a", "asset": "USD", "quantity": 100.0},
            {"account": "a", "asset": "B", "quantity": 3.0},
            {"account": "b", "asset": "USD", "quantity": 1.0},
        ],
    )
    maintenance = WORST + "[collateral]\nhaircuts = { B = 0.2 }\n[maintenance]\nfactor = 0.5\n"
    result = compared(write_stocks(tmp_path / "book", book, maintenance))
    a, b, c = (row(result, name) for name in "abc")
    assert a["positions"] == 2
    assert a["notional"] == pytest.approx(400)
    assert a["net_value"] == pytest.approx(200)
    assert a["collateral"] == pytest.approx(100 + 0.8 * 150)
    assert a["equity"] == pytest.approx(420)
    assert a["utilisation_portfolio"] == pytest.approx(a["portfolio"] / 420)
    assert a["utilisation_isolated"] == pytest.approx(a["isolated"] / 420)
    assert a["maintenance"] == pytest.approx(0.5 * a["portfolio"])
    assert a["liquidation_buffer"] == pytest.approx(420 - 0.5 * a["portfolio"])
    assert a["equity_to_maintenance"] == pytest.approx(420 / (0.5 * a["portfolio"]))
    assert a["margin_per_notional"] == pytest.approx(a["portfolio"] / 400)
    assert a["volume"] == 5_000
    assert a["volume_to_collateral"] == pytest.approx(5_000 / 220)
    assert a["saving_vs_reg_t"] == pytest.approx(1 - a["portfolio"] / a["reg_t"])
    assert a["reg_t"] == pytest.approx(0.5 * 200 + 0.15 * 200)

    assert b["premium_sold"] == pytest.approx(-b["net_value"])
    assert b["equity"] == pytest.approx(1 - b["premium_sold"])
    assert b["equity"] < 0
    assert b["utilisation_portfolio"] is None  # there is nothing to use
    assert (b["volume"], b["volume_to_collateral"]) == (None, None)
    assert (c["collateral"], c["equity"], c["liquidation_buffer"]) == (None, None, None)
    assert c["volume"] == 0

    total = {one.method: one for one in totals_of(result.table)}
    portfolio = a["portfolio"] + b["portfolio"] + c["portfolio"]
    assert total["portfolio"].margin == pytest.approx(portfolio)
    assert total["reg_t"].saving == pytest.approx(1 - portfolio / (a["reg_t"] + b["reg_t"] + c["reg_t"]))
    assert total["reg_t"].utilisation == pytest.approx((a["reg_t"] + b["reg_t"]) / (a["equity"] + b["equity"]))
    assert total["cross"].per_notional == pytest.approx(total["cross"].margin / (400 + b["notional"] + 100))


def test_collateral_counts_at_market_value_without_haircuts(tmp_path):
    book = stocks({"a": {"A": 1.0}}, collateral=[{"account": "a", "asset": "B", "quantity": 3.0}])
    one = row(compared(write_stocks(tmp_path / "book", book)), "a")
    assert one["collateral"] == pytest.approx(150)
    assert one["maintenance"] == one["portfolio"]


def test_simulated_collateral_is_no_position(tmp_path):
    book = stocks({"a": {"A-C": -1.0}}, collateral=[{"account": "a", "asset": "A", "quantity": 10.0}])
    plain = row(compared(write_stocks(tmp_path / "plain", book)), "a")
    shocked = WORST + "[collateral]\nsimulate = true\nhaircuts = { A = 0.0 }\n"
    one = row(compared(write_stocks(tmp_path / "simulated", book, shocked)), "a")
    for name in ("isolated", "cross", "reg_t", "fully_collateralised", "net_value", "equity", "positions"):
        assert one[name] == pytest.approx(plain[name])
    assert one["portfolio"] != pytest.approx(plain["portfolio"])  # its risk is in the margin of the run


def test_parameters_reach_the_rules(tmp_path):
    book = stocks({"a": {"A-C": -1.0}})
    plain = row(compared(write_stocks(tmp_path / "plain", book)), "a")
    index = WORST + '[compare.reg_t]\nbroad_index = ["A"]\nnaked_index = 0.12\n'
    one = row(compared(write_stocks(tmp_path / "index", book, index)), "a")
    assert plain["reg_t"] == pytest.approx(10 * 10)  # 20 less 10 out of the money, ten units: the minimum as well
    assert one["reg_t"] == pytest.approx(10 * 10)
    index = WORST + '[compare.reg_t]\nbroad_index = ["A"]\nnaked_index = 0.5\n'
    assert row(compared(write_stocks(tmp_path / "half", book, index)), "a")["reg_t"] == pytest.approx(10 * 40)
    with pytest.raises(ValueError, match="'SPX' is no underlying"):
        compared(write_stocks(tmp_path / "wrong", book, WORST + '[compare.reg_t]\nbroad_index = ["SPX"]\n'))


def test_account_that_fails_has_no_numbers_and_harms_no_other(tmp_path):
    book = stocks({"huge": {"A": 1e15, "B": 1e15}, "plain": {"A": 1.0}})
    for underlying in book["underlyings"]:
        underlying["spot"] = 1e300 if underlying["underlying"] == "B" else 100.0
    result = compared(write_stocks(tmp_path / "book", book))
    assert row(result, "huge")["status"].startswith("failed")
    numbers = [value for name, value in row(result, "huge").items() if name not in ("account", "currency", "status")]
    assert set(numbers) == {None}
    assert row(result, "plain")["isolated"] == pytest.approx(max(losses(A_RETURNS, 100.0)))


def test_account_without_positions(tmp_path):
    book = stocks({"a": {"A": 1.0}}, accounts=[{"account": "a"}, {"account": "idle"}])
    one = row(compared(write_stocks(tmp_path / "book", book)), "idle")
    assert [one[name] for name in METHODS] == [0.0] * 5
    assert one["saving_vs_reg_t"] is None


def test_book_in_which_nobody_holds_anything(tmp_path):
    result = compared(write_stocks(tmp_path / "book", stocks({"a": {"A": 0.0}})))
    assert [row(result, "a")[name] for name in METHODS] == [0.0] * 5


def test_running_sums_start_anew_in_every_group():
    group = np.array([0, 0, 0, 2, 2, 5])
    assert running(np.array([1e17, 1.0, 2.0, 0.1, 0.2, 7.0]), group).tolist()[3:] == [0.1, 0.1 + 0.2, 7.0]


def test_overlaps_cut_each_other():
    first, second = np.array([0, 0, 3]), np.array([0, 1, 3, 3])
    match = overlaps(first, np.array([2.0, 3.0, 1.0]), second, np.array([4.0, 1.0, 0.5, 2.0]))
    pieces = sorted(zip(*(column.tolist() for column in match), strict=True))
    assert pieces == [(-1, 1, 1.0), (-1, 3, 1.5), (0, 0, 2.0), (1, -1, 1.0), (1, 0, 2.0), (2, 2, 0.5), (2, 3, 0.5)]
