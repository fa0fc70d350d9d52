"""Scan arrays against closed forms written out here, for every kind of contract and every reading of the ranges."""

import math

import numpy as np
import pytest
from margin.scan_books import (
    CALL,
    FAR,
    FORWARD,
    NEAR,
    PUT,
    RATE,
    SCAN,
    SPOT,
    bachelier,
    black,
    black_delta,
    by_account,
    column,
    measure,
    pnl,
    sixteen,
)

from cpu_reference.american import american

S = SPOT["BTC"]
CARRY = math.log(FORWARD / S) / FAR  # per year, flat


def near_forward(spot):
    return spot * math.exp(CARRY * NEAR)


def call(spot, vol_growth, years=FAR, add=0.0):
    return black(spot * math.exp(CARRY * years), CALL["strike"], years, CALL["vol"] * vol_growth + add, 1)


def put(spot, vol_growth):
    return black(near_forward(spot), PUT["strike"], NEAR, PUT["vol"] * vol_growth, -1)


def surface(strike):
    """BTC's volatility at the far expiry: linear in ln(K/F)."""
    k = [math.log(x / FORWARD) for x in (80_000, 100_000)]
    return float(np.interp(math.log(strike / FORWARD), k, [0.65, 0.5]))


def test_every_contract_in_the_sixteen_scenarios(tmp_path):
    names = ("SPOT", "PERP", "COIN", "FUT", "COINFUT", "CALL", "PUT", "SMILE", "GONE")
    m = measure(tmp_path, **{name: {name: 3.0} for name in names})
    smile = surface(100_000)

    def one(name, spot, g):
        forward = FORWARD * spot / S
        return {
            "SPOT": spot - S,
            "PERP": 0.5 * (spot - S),
            "COIN": 100 * (1 / S - 1 / spot) * spot,
            "FUT": 2 * (forward - FORWARD),
            "COINFUT": 100 * (1 / FORWARD - 1 / forward) * spot,
            "CALL": call(spot, g) - call(S, 1),
            "PUT": put(spot, g) - put(S, 1),
            # Each option keeps its volatility, wherever the forward goes.
            "SMILE": black(forward, 100_000, FAR, smile * g, 1) - black(FORWARD, 100_000, FAR, smile, 1),
            "GONE": max(spot - 85_000, 0.0) - (S - 85_000),
        }[name]

    for name in names:
        expected = [3.0 * w * one(name, S * (1 + x), 1 + v) for x, v, w in sixteen()]
        assert pnl(m, name) == pytest.approx(expected, rel=1e-9, abs=1e-6), name


def test_amount_and_worst_scenario_of_a_run(tmp_path):
    m = measure(tmp_path, short={"CALL": -2.0}, long={"FUT": 1.0})
    losses = [2 * w * (call(S * (1 + x), 1 + v) - call(S, 1)) for x, v, w in sixteen()]
    assert by_account(m) == pytest.approx({"long": 2 * 0.15 * FORWARD, "short": max(losses)}, rel=1e-9)
    names = dict(zip(m.book.accounts.name.to_pylist(), m.scan.worst_scenario, strict=True))
    assert names == {"long": "scan:13", "short": f"scan:{1 + int(np.argmax(losses))}"}
    assert m.core.amount.tolist() == m.scan.amount.tolist()


def test_look_ahead_rolls_on_todays_curves(tmp_path):
    m = measure(tmp_path, SCAN + "look_ahead_days = 1\n", a={"CALL": 1.0}, b={"FUT": 1.0}, c={"SOON": 1.0})
    left = FAR - 1 / 365
    expected = [w * (call(S * (1 + x), 1 + v, left) - call(S, 1)) for x, v, w in sixteen()]
    assert pnl(m, "a") == pytest.approx(expected, rel=1e-9)
    forward = [w * 2 * (S * (1 + x) * math.exp(CARRY * left) - FORWARD) for x, _, w in sixteen()]
    assert pnl(m, "b") == pytest.approx(forward, rel=1e-9)
    # What expires within the look-ahead is worth its intrinsic value at the scenario's spot.
    soon = 0.5 / 365
    today = black(S * math.exp(CARRY * soon), 85_000, soon, 0.5, 1)
    expected = [w * (max(S * (1 + x) - 85_000, 0.0) - today) for x, _, w in sixteen()]
    assert pnl(m, "c") == pytest.approx(expected, rel=1e-9)


def test_the_configurations_roll_and_smile_are_not_the_scans(tmp_path):
    held = {"a": {"CALL": 1.0, "SMILE": -2.0, "FUT": 1.0}}
    plain = measure(tmp_path / "x", **held)
    other = measure(tmp_path / "y", 'roll = true\nholding_period_days = 5\nsmile = "sticky_strike"\n' + SCAN, **held)
    assert pnl(other, "a") == pnl(plain, "a")


def test_an_absolute_volatility_range_is_added_to_each_option(tmp_path):
    config = "[scan]\nprice_range = 0.15\nvol_range = 0.1\nvol_range_down = 0.05\nvol_range_in = 'absolute'\n"
    m = measure(tmp_path, config, a={"CALL": 1.0}, b={"PERP": 1.0})
    add = [(x, {0: 0.0, 1: 0.1, -1: -0.05}[round(v)], w) for x, v, w in sixteen(vol_range=1.0)]
    expected = [w * (call(S * (1 + x), 1, add=v) - call(S, 1)) for x, v, w in add]
    assert pnl(m, "a") == pytest.approx(expected, rel=1e-9)
    assert pnl(m, "b") == pytest.approx([w * 0.5 * S * x for x, _, w in add], rel=1e-12, abs=1e-9)


def test_an_absolute_price_range_is_money(tmp_path):
    config = "[scan]\nprice_range = 9000\nprice_range_in = 'absolute'\nvol_range = 0.3\n"
    m = measure(tmp_path, config, a={"PERP": 1.0, "CALL": -1.0})
    assert pnl(m, "a") == pytest.approx(
        pnl(measure(tmp_path, SCAN.replace("0.15", "0.1"), a={"PERP": 1.0, "CALL": -1.0}), "a")
    )
    assert pnl(m, "a")[10] == pytest.approx(0.5 * 9000 - (call(S + 9000, 1.3) - call(S, 1)), rel=1e-9)


def test_short_options_move_further_under_the_power_law(tmp_path):
    config = SCAN + "vol_law = 'power'\n"
    m = measure(tmp_path, config, a={"CALL": 1.0}, b={"PUT": 1.0})
    # 60 days: (30/60)^0.13; 30 days: 1.
    expected = [w * (call(S * (1 + x), 1 + v * 0.5**0.13) - call(S, 1)) for x, v, w in sixteen()]
    assert pnl(m, "a") == pytest.approx(expected, rel=1e-9)
    assert pnl(m, "b") == pytest.approx([w * (put(S * (1 + x), 1 + v) - put(S, 1)) for x, v, w in sixteen()], rel=1e-9)


def test_a_normal_underlying_moves_by_amounts(tmp_path):
    config = "[scan]\nprice_range = 3\nprice_range_in = 'absolute'\nvol_range = 0.3\n"
    m = measure(tmp_path, config, a={"BARREL": 2.0}, b={"CPUT": 1.0})
    grid = sixteen(3.0)
    assert pnl(m, "a") == pytest.approx([w * 2000 * x for x, _, w in grid], rel=1e-12, abs=1e-9)
    today = bachelier(-1.5, -3, FAR, 6, -1)
    expected = [w * 1000 * (bachelier(-1.5 + x, -3, FAR, 6 * (1 + v), -1) - today) for x, v, w in grid]
    assert pnl(m, "b") == pytest.approx(expected, rel=1e-9, abs=1e-6)
    # A relative range is a share of the size of the price.
    relative = measure(tmp_path, SCAN.replace("0.15", "1.5"), a={"BARREL": 2.0}, b={"CPUT": 1.0})
    assert pnl(relative, "b") == pytest.approx(pnl(m, "b"), rel=1e-12)


@pytest.mark.parametrize("days", [0, 1])
def test_american_options_and_currencies(tmp_path, days):
    m = measure(tmp_path, SCAN + f"look_ahead_days = {days}\n", a={"XCALL": 1.0}, b={"XPUT": -2.0}, c={"STOCK": 10.0})

    def worth(spot, strike, vol, sign, passed=days):
        args = (np.array([x]) for x in (spot, strike, FAR - passed / 365, RATE, 0.03, vol))
        return 100 * 1.25 * float(american(*args, np.array([sign]))[0])

    for account, q, strike, vol, sign in (("a", 1, 52, 0.3, 1), ("b", -2, 48, 0.35, -1)):
        today = worth(50, strike, vol, sign, 0)
        expected = [q * w * (worth(50 * (1 + x), strike, vol * (1 + v), sign) - today) for x, v, w in sixteen()]
        assert pnl(m, account) == pytest.approx(expected, abs=2 * 125 * 1e-4 * 50)
    assert pnl(m, "c") == pytest.approx([w * 10 * 1.25 * 50 * x for x, _, w in sixteen()], rel=1e-12, abs=1e-9)


def test_composite_delta_is_the_weighted_mean_of_seven_deltas(tmp_path):
    m = measure(
        tmp_path, a={"CALL": 3.0}, b={"PUT": -1.0}, c={"FUT": 1.0}, d={"COIN": 2.0}, e={"COINFUT": 1.0}, f={"XCALL": 1}
    )
    weights = {0: 0.270, 0.05: 0.217, -0.05: 0.217, 0.1: 0.111, -0.1: 0.111, 0.15: 0.037, -0.15: 0.037}

    def mean(delta):
        return sum(w * delta(S * (1 + x)) for x, w in weights.items())

    a = mean(lambda s: 3 * black_delta(FORWARD * s / S, CALL["strike"], FAR, CALL["vol"], 1, s))
    b = mean(lambda s: -black_delta(near_forward(s), PUT["strike"], NEAR, PUT["vol"], -1, s))
    assert column(m, "composite_delta", "a") == pytest.approx(a, rel=1e-6)
    assert column(m, "composite_delta", "b") == pytest.approx(b, rel=1e-6)
    assert column(m, "composite_delta", "c") == pytest.approx(2 * FORWARD / S, rel=1e-9)
    assert column(m, "composite_delta", "d") == pytest.approx(200 / S, rel=1e-9)
    assert column(m, "composite_delta", "e") == pytest.approx(100 / FORWARD, rel=1e-9)
    assert 20 < column(m, "composite_delta", "f", "XS") < 60


def test_composite_delta_of_a_normal_underlying(tmp_path):
    m = measure(tmp_path, "[scan]\nprice_range = 3\nprice_range_in = 'absolute'\nvol_range = 0\n", a={"BARREL": 2.0})
    assert column(m, "composite_delta", "a", "CL") == pytest.approx(2000, rel=1e-9)


def test_extended_scenarios_are_moves_of_their_own(tmp_path):
    config = SCAN + "grid = [[1, 0, 1], [-1, 0, 1]]\nextended = [[-0.66, 1, 0.25], [5, 1, 0.032]]\n"
    m = measure(tmp_path, config, a={"CALL": 1.0})
    grid = [(0.15, 0, 1), (-0.15, 0, 1), (-0.66, 0.3, 0.25), (5, 0.3, 0.032)]
    assert pnl(m, "a") == pytest.approx([w * (call(S * (1 + x), 1 + v) - call(S, 1)) for x, v, w in grid], rel=1e-9)


def test_a_price_keeps_a_hundredth_of_itself_and_says_so(tmp_path):
    m = measure(tmp_path, SCAN.replace("0.15", "0.5"), a={"PERP": 1.0})
    assert pnl(m, "a")[15] == pytest.approx(-0.33 * 0.5 * S * 0.99)
    assert m.scan.notes == [
        "scan: the price of these underlyings was kept at a hundredth of itself in as many scenarios: BTC (1)"
    ]


def test_a_volatility_keeps_a_hundredth_of_itself(tmp_path):
    relative = measure(tmp_path, SCAN.replace("0.3", "1.5"), a={"CALL": 1.0})
    absolute = measure(tmp_path, SCAN.replace("0.3", "0.9") + "vol_range_in = 'absolute'\n", a={"CALL": 1.0})
    expected = call(S * 0.85, 0.01) - call(S, 1)
    assert pnl(relative, "a")[13] == pytest.approx(expected, rel=1e-9)
    assert pnl(absolute, "a")[13] == pytest.approx(expected, rel=1e-9)


def test_bits_do_not_depend_on_threads_nor_on_tiles(tmp_path, monkeypatch):
    held = {
        "a": {"CALL": 1.0, "PUT": -2.0, "SMILE": 3.0, "FUT": 0.1, "PERP": 7.0, "XCALL": 1.0, "XPUT": 3.0},
        "b": {"CALLPUT": -1.0, "PUT": 2.0, "COIN": 5.0, "CPUT": 1.0},
    }
    one, two = measure(tmp_path, threads=1, **held), measure(tmp_path, threads=2, **held)
    assert np.array_equal(one.scan.pnl, two.scan.pnl)
    assert np.array_equal(one.scan.amount, two.scan.amount)
    backend = one.backend
    monkeypatch.setattr(backend, "TILE", 2)
    monkeypatch.setattr(backend, "BLOCK", 5)
    assert measure(tmp_path, **held).scan.pnl == pytest.approx(one.scan.pnl, rel=1e-12, abs=1e-9)
