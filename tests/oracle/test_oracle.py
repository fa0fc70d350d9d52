"""The oracle itself, against published prices, closed forms and numbers worked by hand."""

import math
import random
from statistics import NormalDist

import pytest

from oracle import pricing
from oracle.instruments import contract_pnl
from oracle.market import Market, linear, markets, moment, tenor_years, years
from oracle.measures import measures, tail_count
from oracle.oracle import Run
from oracle.scenarios import Shocked, ewma, filtered_history, split_name
from oracle.simulated import recover, simulated

AS_OF = "2026-01-05"


def a_market(**changes) -> Market:
    terms = {"name": "X", "currency": "USD", "spot": 100.0, "fx": 1.0, "normal": False, "carry": True,
             "dividend_yield": 0.0, "rates": [], "forwards": []}  # fmt: skip
    return Market(**{**terms, **changes})


def test_black_is_hulls_example():
    forward = 42 * math.exp(0.1 * 0.5)
    assert pricing.black(forward, 40, 0.5, 0.1, 0.2, 1) == pytest.approx(4.7594, abs=5e-5)
    assert pricing.black(forward, 40, 0.5, 0.1, 0.2, -1) == pytest.approx(0.8086, abs=5e-5)


def test_bachelier_at_the_money_is_its_closed_form():
    assert pricing.bachelier(-5.0, -5.0, 0.25, 0.0, 40.0, 1) == pytest.approx(40 * 0.5 / math.sqrt(2 * math.pi))
    call, put = (pricing.bachelier(-3.0, 4.0, 0.5, 0.03, 40.0, sign) for sign in (1, -1))
    assert call - put == pytest.approx(math.exp(-0.015) * -7.0)


@pytest.mark.parametrize(
    ("spot", "sigma", "t", "published"),
    [(36, 0.2, 1, 4.478), (40, 0.2, 1, 2.314), (44, 0.2, 1, 1.110), (36, 0.4, 1, 7.101), (36, 0.2, 2, 4.840)],
)
def test_american_put_is_just_over_longstaff_and_schwartz_table_1(spot, sigma, t, published):
    # Their finite difference values, rate 6 %, strike 40, but with exercise on 50 days a year only.
    assert 0 < pricing.american(spot, 40, t, 0.06, 0.0, sigma, -1) - published < 0.011


def test_american_premium_is_andersen_lake_and_offengenden():
    # Andersen, Lake and Offengenden (2016), table 2: at the money, one year, r = q = 5 %, volatility 25 %.
    premium = pricing.american(100, 100, 1, 0.05, 0.05, 0.25, -1) - pricing.black(100, 100, 1, 0.05, 0.25, -1)
    assert premium == pytest.approx(0.106952702747, abs=5e-6)


@pytest.mark.parametrize(
    ("spot", "rate", "yield_", "sign"),
    [(100, 0.05, 0.0, -1), (90, 0.03, 0.08, 1), (110, -0.03, -0.06, -1), (110, 0.0, 0.05, 1), (95, -0.02, 0.01, 1)],
)
def test_american_tree_has_converged(spot, rate, yield_, sign):
    coarse = pricing.american(spot, 100, 0.75, rate, yield_, 0.3, sign)
    fine = pricing.american(spot, 100, 0.75, rate, yield_, 0.3, sign, steps=1501)
    assert coarse == pytest.approx(fine, abs=2e-5 * spot)


@pytest.mark.parametrize("from_rate", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("normal", [True, False])
def test_greeks_are_the_slopes_of_the_price(normal, sign, from_rate):
    spot, strike, t, rate, sigma = 100.0, 104.0, 0.4, 0.03, 25.0 if normal else 0.25
    forward, dividend = 101.5, 0.01

    def price(s=spot, years_=t, r=rate, vol=sigma):
        if from_rate:
            f = s * math.exp((r - dividend) * t)
            f = f if not normal else spot * math.exp((r - dividend) * t) + s - spot
        else:
            f = forward + s - spot if normal else s * forward / spot
        if not normal:
            f *= math.exp(math.log(f / s) / t * (years_ - t))
        return (pricing.bachelier if normal else pricing.black)(f, strike, years_, r, vol, sign)

    if from_rate:
        forward = spot * math.exp((rate - dividend) * t)
    got = pricing.european_greeks(normal, spot, forward, strike, t, rate, sigma, sign, from_rate)
    e = 1e-3
    assert got["delta"] == pytest.approx((price(s=spot + e) - price(s=spot - e)) / (2 * e), rel=1e-6)
    bump = 0.05
    curvature = (price(s=spot + bump) - 2 * price() + price(s=spot - bump)) / bump**2
    assert got["gamma"] == pytest.approx(curvature, rel=1e-4)
    assert got["vega"] == pytest.approx((price(vol=sigma + e) - price(vol=sigma - e)) / (2 * e), rel=1e-5)
    e = 1e-5
    assert got["theta"] == pytest.approx(-(price(years_=t + e) - price(years_=t - e)) / (2 * e) / 365, rel=1e-5)
    assert got["rho"] == pytest.approx((price(r=rate + e) - price(r=rate - e)) / (2 * e), rel=1e-6)


def test_american_greeks_are_european_where_nobody_exercises():
    market = (100.0, 100.0 * math.exp(0.02), 110.0, 0.5, 0.04, 0.3, 1, True)  # no yield: a call is held
    american, european = pricing.american_greeks(*market), pricing.european_greeks(False, *market)
    assert american == pytest.approx(european, rel=3e-3)


def test_measures_by_hand():
    losses = [float(x) for x in range(1, 501)]
    found = measures(losses, 0.99)
    assert (found["var"], found["es"], found["worst"]) == (496, 498, 500)
    assert found["es_se"] == pytest.approx(math.sqrt((2 + 0.99 * 4) / 5))
    assert found["var_se"] == (499 - 493) / 2  # k = 5, s = 2.22: the 2nd and the 8th worst
    half = measures(losses[:250], 0.99)  # n = 2.5
    assert (half["var"], half["es"]) == (248, pytest.approx((250 + 249 + 0.5 * 248) / 2.5))
    few = measures(losses[:50], 0.99)  # n = 0.5
    assert (few["var"], few["es"], few["worst"]) == (50, 50, 50)


def test_tail_count_is_an_integer_where_the_product_should_be():
    assert 500 * (1 - 0.99) != 5  # why the rule exists
    assert tail_count(500, 0.99) == 5
    assert tail_count(1000, 0.975) == 25


def test_expected_shortfall_of_the_normal_distribution():
    n = 200_000
    losses = [NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)]
    found = measures(losses, 0.99)
    assert found["var"] == pytest.approx(2.3263479, rel=2e-4)
    assert found["es"] == pytest.approx(2.6652142, rel=1e-4)


def test_ewma_by_hand():
    found = ewma([0.0, 1.0, -1.0, 0.0], additive=True, log=True, decay=0.5)
    assert found.returns == [1, -2, 1]
    assert [s * s for s in found.sigma] == pytest.approx([3, 2, 3, 2])


def test_scalings_by_hand():
    book = {"underlyings": [{"underlying": "X", "dynamics": "normal"}],
            "history": {"date": ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"],
                        "spot:X": [0.0, 1.0, -1.0, 0.0]}}  # fmt: skip
    expected = {"full": [2 * math.sqrt(2 / 3), -4, 2 * math.sqrt(2 / 3)], "none": [2, -4, 2]}
    expected["mid"] = [(a + b) / 2 for a, b in zip(expected["full"], expected["none"], strict=True)]
    for scaling, shocks in expected.items():
        config = {"as_of": AS_OF, "holding_period_days": 4, "fhs": {"lookback": 3, "decay": 0.5, "scaling": scaling}}
        labels, scenarios = filtered_history(book, config, ["spot:X"])
        assert labels == ["2026-01-02", "2026-01-03", "2026-01-04"]
        assert [x["spot:X"] for x in scenarios] == pytest.approx(shocks)


def test_names_times_and_tenors():
    assert split_name("iv:A:B:30d") == ("iv", "A:B", "30d")
    assert split_name("spot:A:B") == ("spot", "A:B", None)
    assert tenor_years("6m") == 0.5
    assert tenor_years("1.5y") == 1.5
    assert tenor_years("1w") == 7 / 365
    assert years("2027-01-05", AS_OF) == 1
    assert moment("2026-01-05T01:00:00+01:00") == moment(AS_OF)


def test_surface_by_hand():
    market = a_market(slices=[(0.5, [(-0.1, 0.3), (0.1, 0.2)]), (1.0, [(0.0, 0.4)])])
    assert market.sigma(0.0, 0.1) == pytest.approx(0.25)  # flat before the first slice
    assert market.sigma(-1.0, 0.5) == pytest.approx(0.3)
    assert market.sigma(0.0, 0.75) == pytest.approx(math.sqrt((0.25**2 * 0.5 + 0.4**2) / 2 / 0.75))
    assert market.sigma(0.0, 3.0) == pytest.approx(0.4)


def test_forwards_by_hand():
    book = {"underlyings": [{"underlying": "X", "currency": "USD", "spot": 100.0},
                            {"underlying": "N", "currency": "USD", "spot": -1.0, "dynamics": "normal"},
                            {"underlying": "D", "currency": "USD", "spot": 100.0, "dividend_yield": 0.05}],
            "forwards": [{"underlying": "X", "expiry": "2027-01-05", "forward": 100 * math.exp(0.02)},
                         {"underlying": "X", "expiry": "2028-01-05", "forward": 100 * math.exp(0.08)},
                         {"underlying": "X", "expiry": AS_OF, "forward": 999.0},
                         {"underlying": "N", "expiry": "2027-01-05", "forward": -3.0}],
            "rates": [{"currency": "USD", "expiry": "2027-01-05", "rate": 0.03}]}  # fmt: skip
    found = markets(book, {"as_of": AS_OF, "base_currency": "USD"})
    assert found["X"].forward(1.5) == pytest.approx(100 * math.exp(0.03 * 1.5))
    assert found["X"].forward(0.5) == pytest.approx(100 * math.exp(0.02 * 0.5))
    assert found["N"].forward(0.25) == -3.0
    assert found["D"].forward(2.0) == pytest.approx(100 * math.exp(-0.04))
    assert linear([(1.0, 5.0)], 7.0) == 5.0


@pytest.mark.parametrize(("shock", "published"), [(-0.16, -0.05991206933), (0.16, 0.04338460193)])
def test_inverse_perpetual_is_deribits_example_in_coin(shock, published):
    perpetual = {"instrument": "P", "kind": "perpetual", "settlement": "inverse", "multiplier": 0.314538364 * 100}
    shocked = Shocked(a_market(), {"spot:X": shock}, log=False)
    pnl = contract_pnl(perpetual, 100.0, shocked, {"as_of": AS_OF})
    assert pnl / shocked.spot == pytest.approx(published, rel=1e-9)


def test_a_small_account_by_hand():
    book = {"underlyings": [{"underlying": "X", "currency": "EUR", "spot": 10.0, "adv": 20.0, "half_spread": 0.001}],
            "instruments": [{"instrument": "S", "kind": "spot", "underlying": "X", "multiplier": 2.0}],
            "positions": [{"account": "a", "instrument": "S", "quantity": 50.0}],
            "accounts": [{"account": "idle"}],
            "fx": [{"currency": "EUR", "rate": 1.5}],
            "history": {"date": ["2026-01-01", "2026-01-02", "2026-01-03"],
                        "spot:X": [10.0, 9.0, 9.9], "fx:EUR": [1.0, 1.0, 1.0]}}  # fmt: skip
    config = {"as_of": AS_OF, "base_currency": "USD", "holding_period_days": 2, "returns": "simple",
              "fhs": {"lookback": 2, "scaling": "none"}}  # fmt: skip
    run = Run(book, config)
    value = 50 * 2 * 10 * 1.5
    loss = value * 0.1 * math.sqrt(2)
    assert run.pnl["fhs"]["a"] == pytest.approx([-loss, loss])
    row = run.margin["a"]
    assert (row["core"], row["worst_scenario"]) == (pytest.approx(loss), "fhs:2026-01-02")
    # 100 units at a quarter of 20 a day: 20 days; horizon 2 + 18/3 = 8 days, √(8/2) − 1 = 1.
    assert row["concentration"] == pytest.approx(loss)
    assert row["liquidity"] == pytest.approx(value * 0.001)
    assert row["margin"] == pytest.approx(2 * loss + value * 0.001)
    assert run.margin["idle"]["margin"] == 0
    assert run.margin["idle"]["core_model"] is None


def test_draws_are_recovered_from_the_accounts_that_give_them_away():
    draw = random.Random(9)
    kinds = {"spot:A": 0.02, "iv:A:30d": 0.05, "fx:EUR": 0.01, "spot:B": 0.02, "spot:C": 0.3}
    drawn = [{**{name: draw.gauss(0, vol) for name, vol in kinds.items()}, "fx:HKD": 0.0} for _ in range(20)]
    config = {"as_of": "2026-01-05T08:30:00Z", "base_currency": "USD"}
    found = recover(Run(simulated(), config, drawn).pnl["monte_carlo"])
    for got, want in zip(found, drawn, strict=True):
        assert got == pytest.approx(want, abs=1e-9)
