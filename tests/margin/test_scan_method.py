"""From arrays to accounts: order of aggregation, charges and credits in whole runs, and properties of the amounts."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from margin.scan_books import (
    CALL,
    FAR,
    FORWARD,
    NEAR,
    RATE,
    SCAN,
    SPOT,
    TABLES,
    black,
    by_account,
    column,
    measure,
    pnl,
    run,
    sixteen,
)

S, X = SPOT["BTC"], SPOT["XS"] * 1.25
NEAR_FORWARD = S * (FORWARD / S) ** (NEAR / FAR)
FEW = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
HELD = ("PERP", "FUT", "NFUT", "COIN", "CALL", "CALLPUT", "PUT", "SMILE", "STOCK", "XCALL", "XPUT", "BARREL", "CPUT")
portfolio = st.dictionaries(st.sampled_from(HELD), st.integers(-20, 20).map(float), min_size=1, max_size=5)


def test_a_run_says_scan(tmp_path):
    result = run(tmp_path, a={"FUT": 1.0})
    row = result.margin.to_pylist()[0]
    assert row["scan"] == row["core"] == pytest.approx(0.15 * 2 * FORWARD)
    assert (row["core_model"], row["worst_scenario"], row["status"]) == ("scan", "scan:13", "ok")


def test_underlyings_add_up_or_move_together(tmp_path):
    held = {"a": {"PERP": 2.0, "STOCK": -1000.0}, "b": {"STOCK": -1.0}}
    apart = measure(tmp_path, **held)
    assert by_account(apart) == pytest.approx({"a": 0.15 * (S + 1000 * X), "b": 0.15 * X})
    joint = measure(tmp_path, SCAN + "across = 'joint'\n", **held)
    assert by_account(joint) == pytest.approx({"a": 0.15 * abs(S - 1000 * X), "b": 0.15 * X})
    assert pnl(joint, "a") == pnl(apart, "a")
    # Each underlying by itself is the same in both.
    assert joint.scan.cell_amount == pytest.approx(apart.scan.cell_amount)


def test_the_worst_scenario_is_that_of_the_underlying_with_the_largest_risk(tmp_path):
    held = {"a": {"PERP": 2.0, "STOCK": -1000.0}, "b": {"PERP": 2.0, "STOCK": -1e5}}
    assert measure(tmp_path, **held).scan.worst_scenario.tolist() == ["scan:13", "scan:11"]
    assert measure(tmp_path, SCAN + "across = 'joint'\n", **held).scan.worst_scenario.tolist() == ["scan:13", "scan:11"]


def test_a_gain_everywhere_is_no_risk(tmp_path):
    config = SCAN + "grid = [[1, 0, 1]]\n"
    assert by_account(measure(tmp_path, config, a={"PERP": 1.0})) == {"a": 0.0}
    joint = measure(tmp_path, config + "across = 'joint'\n", a={"PERP": 1.0})
    assert by_account(joint) == pytest.approx({"a": -0.15 * S / 2})
    assert run(tmp_path, config + "across = 'joint'\n", a={"PERP": 1.0}).margin["scan"].to_pylist() == [0.0]


def test_ranges_of_an_underlyings_own(tmp_path):
    own = "[scan.underlyings.XS]\nprice_range = 0.2\n[scan.underlyings.BTC]\nvol_range_down = 0.1\n"
    m = measure(tmp_path, SCAN + own, a={"STOCK": 1.0}, b={"CALL": 1.0})
    assert by_account(m)["a"] == pytest.approx(0.2 * X)
    value = [black(FORWARD * p, CALL["strike"], FAR, CALL["vol"] * g, 1) for p, g in ((1.0, 1.0), (0.85, 0.9))]
    assert pnl(m, "b")[13] == pytest.approx(value[1] - value[0], rel=1e-9)


CALENDAR = """tier_days = [45]
[[scan.inter_month]]
legs = [[1, 1], [2, -1]]
charge = 250
"""


def test_a_calendar_spread_costs_its_charge_and_the_scan_of_its_basis(tmp_path):
    m = measure(tmp_path, SCAN + CALENDAR, a={"NFUT": 10.0, "FUT": -4.0})
    near, far = 10 * NEAR_FORWARD / S, 8 * FORWARD / S
    assert column(m, "inter_month", "a") == pytest.approx(far * 250, rel=1e-9)
    assert column(m, "scan_risk", "a") == pytest.approx(0.15 * S * (near - far), rel=1e-9)
    assert by_account(m)["a"] == pytest.approx(0.15 * S * (near - far) + far * 250, rel=1e-9)
    assert column(m, "risk", "a") == by_account(m)["a"]


def test_a_charge_may_be_a_share_of_the_range_or_the_price(tmp_path):
    config = SCAN + CALENDAR.replace("250", "0.1\ncharge_in = 'range'")
    m = measure(tmp_path, config, a={"NFUT": 10.0, "FUT": -4.0})
    assert column(m, "inter_month", "a") == pytest.approx(8 * FORWARD / S * 0.1 * 0.15 * S, rel=1e-9)
    config = SCAN + CALENDAR.replace("250", "0.0175\ncharge_in = 'price'")
    m = measure(tmp_path, config, a={"NFUT": 10.0, "FUT": -4.0})
    assert column(m, "inter_month", "a") == pytest.approx(8 * FORWARD / S * 0.0175 * S, rel=1e-9)


def test_a_charge_may_be_a_share_of_the_futures_own_risk(tmp_path):
    m = measure(tmp_path, SCAN + CALENDAR.replace("250", "0.1\ncharge_in = 'wfpr'"), a={"NFUT": 10.0, "FUT": -4.0})
    # For futures alone the price risk of a unit of delta is the range.
    assert column(m, "weighted_futures_price_risk", "a") == pytest.approx(0.15 * S, rel=1e-9)
    assert column(m, "inter_month", "a") == pytest.approx(8 * FORWARD / S * 0.1 * 0.15 * S, rel=1e-9)


def test_close_expiries_are_charged_for_delivery(tmp_path):
    config = SCAN + CALENDAR + "[[scan.delivery]]\ndays = 31\nspread = 20\noutright = 50\n"
    m = measure(tmp_path, config, a={"NFUT": 10.0, "FUT": -4.0}, b={"FUT": 1.0, "PERP": 1.0})
    near, far = 10 * NEAR_FORWARD / S, 8 * FORWARD / S
    assert column(m, "delivery", "a") == pytest.approx(far * 20 + (near - far) * 50, rel=1e-9)
    assert column(m, "delivery", "b") == 0.0


def test_inter_commodity_credit(tmp_path):
    config = SCAN + '[[scan.inter_commodity]]\nlegs = [["BTC", 1], ["XS", -1000]]\ncredit = 0.6\n'
    m = measure(tmp_path, config, a={"PERP": 6.0, "STOCK": -2000.0}, b={"PERP": 6.0, "STOCK": 2000.0})
    # Three coins against two thousand shares: two spreads.
    assert column(m, "inter_commodity_credit", "a") == pytest.approx(2 * 0.15 * S * 0.6, rel=1e-9)
    assert column(m, "inter_commodity_credit", "a", "XS") == pytest.approx(2000 * 0.15 * X * 0.6, rel=1e-9)
    assert by_account(m)["a"] == pytest.approx(0.15 * (3 * S + 2000 * X) - 0.6 * 0.15 * (2 * S + 2000 * X), rel=1e-9)
    assert by_account(m)["b"] == pytest.approx(0.15 * (3 * S + 2000 * X), rel=1e-9)
    # Alone, a cell has nothing to be credited for.
    assert m.scan.cell_amount.sum() == pytest.approx(2 * 0.15 * (3 * S + 2000 * X), rel=1e-9)


@pytest.mark.parametrize(("basis", "count"), [("sum", 5), ("max", 3)])
def test_short_option_minimum(tmp_path, basis, count):
    # Calls and puts far from the money would otherwise cost next to nothing to be short of.
    config = f"[scan]\nprice_range = 1e-9\nvol_range = 0\nshort_option_minimum_basis = '{basis}'\n"
    held = {"a": {"CALL": -3.0, "PUT": -2.0, "GONE": -7.0}, "b": {"CALL": 3.0}, "c": {"XPUT": -1.0}}
    m = measure(tmp_path, config + "short_option_minimum = 1000\n", **held)
    assert by_account(m) == pytest.approx({"a": count * 1000, "b": 0, "c": 1000 * 1.25}, abs=0.1)
    m = measure(tmp_path, config + "short_option_minimum = 0.03\nshort_option_minimum_in = 'price'\n", **held)
    assert by_account(m) == pytest.approx({"a": count * 0.03 * S, "b": 0, "c": 0.03 * 100 * X}, abs=0.1)
    joint = measure(tmp_path, config + "short_option_minimum = 1000\nacross = 'joint'\n", **held)
    assert by_account(joint) == pytest.approx({"a": count * 1000, "b": 0, "c": 1000 * 1.25}, abs=0.1)


def test_an_exact_offset_leaves_no_scan_risk(tmp_path):
    # Put and call parity: call − put = e^(−rT)·(F − K), whatever the price and the volatility.
    held = {"CALL": 1.0, "CALLPUT": -1.0, "FUT": -math.exp(-RATE * FAR) / 2}
    m = measure(tmp_path, a=held, b={"CALL": 1.0})
    assert by_account(m)["b"] > 1000
    assert by_account(m)["a"] == pytest.approx(0.0, abs=1e-9 * S)
    assert column(m, "composite_delta", "a") == pytest.approx(0.0, abs=1e-8)


def test_number_and_weights_of_scenarios(tmp_path):
    m = measure(tmp_path, a={"PERP": 2.0})
    assert m.scan.name == [str(i) for i in range(1, 17)]
    assert pnl(m, "a") == pytest.approx([w * x * S for x, _, w in sixteen()], rel=1e-12, abs=1e-9)


def test_columns_are_finite_and_of_every_cell(tmp_path):
    m = measure(tmp_path, SCAN + CALENDAR, a={"CALL": 1.0, "STOCK": 1.0}, b={"CPUT": -1.0})
    assert list(m.scan.columns) == [
        "scan_risk",
        "active_scenario",
        "time_risk",
        "volatility_risk",
        "price_risk",
        "composite_delta",
        "weighted_futures_price_risk",
        "inter_month",
        "delivery",
        "inter_commodity_credit",
        "short_option_minimum",
        "risk",
    ]
    for name, values in m.scan.columns.items():
        assert values.shape == (3,), name
        assert np.isfinite(values).all(), name


def test_a_cell_that_is_not_finite_is_named(tmp_path, monkeypatch):
    huge = [line.replace("SPOT,spot,BTC,1,", "SPOT,spot,BTC,1e305,") for line in TABLES["instruments"]]
    monkeypatch.setitem(TABLES, "instruments", huge)
    m = measure(tmp_path, a={"SPOT": 1.0}, b={"PERP": 2.0})
    assert m.scan.failed == {0: "profit and loss on BTC is not finite in scan:3"}
    assert by_account(m)["b"] == pytest.approx(0.15 * S)


@FEW
@given(st.lists(portfolio, min_size=2, max_size=3), st.sampled_from(["sum", "joint"]))
def test_scan_risk_is_subadditive_over_portfolios(tmp_path_factory: pytest.TempPathFactory, portfolios, across):
    merged: dict[str, float] = {}
    for held in portfolios:
        for name, q in held.items():
            merged[name] = merged.get(name, 0.0) + q
    folder: Path = tmp_path_factory.mktemp("book")
    parts = {f"part{i}": held for i, held in enumerate(portfolios)}
    m = measure(folder, SCAN + f"across = '{across}'\n", merged=merged, bystander={"PERP": 1.0}, **parts)
    found = by_account(m)
    assert found["merged"] <= sum(found[name] for name in parts) + 1e-6
    assert found["merged"] >= 0 or across == "joint"


@FEW
@given(portfolio)
def test_a_worse_grid_never_lowers_the_amount(tmp_path_factory: pytest.TempPathFactory, held):
    folder: Path = tmp_path_factory.mktemp("book")
    few = [[0, 1, 1], [1, 0, 0.5], [-1, 0, 0.5]]
    more = [[0, 1, 1], [1, 0, 1], [-1, 0, 1], [0.5, -1, 1], [-2, 1, 1]]
    config = SCAN + "short_option_minimum = 10\n"
    less, worse = (by_account(measure(folder, config + f"grid = {g}\n", a=held)) for g in (few, more))
    assert worse["a"] >= less["a"] - 1e-9


@FEW
@given(portfolio)
def test_credits_never_exceed_the_risk_that_is_offset(tmp_path_factory: pytest.TempPathFactory, held):
    folder: Path = tmp_path_factory.mktemp("book")
    spread = '[[scan.inter_commodity]]\nlegs = [["BTC", 1], ["XS", -50]]\ncredit = 1.0\n'
    spread += '[[scan.inter_commodity]]\npriority = 2\nlegs = [["CL", 1], ["XS", -3]]\ncredit = 1.0\n'
    m = measure(folder, SCAN + CALENDAR + spread, a=held, bystander={"PERP": 1.0})
    columns = m.scan.columns
    assert (columns["inter_commodity_credit"] >= 0).all()
    assert (columns["inter_commodity_credit"] <= columns["scan_risk"]).all()
    assert (columns["risk"] >= 0).all()
    assert (columns["risk"] <= m.scan.cell_amount).all()


@pytest.mark.parametrize("preset", ["span", "derive", "deribit"])
def test_nothing_held_is_no_margin(tmp_path, preset):
    result = run(tmp_path, f"preset = '{preset}'\n", a={"CALL": 0.0})
    assert result.margin["margin"].to_pylist() == [0.0]
    assert result.tables["scan"].num_rows == 0
