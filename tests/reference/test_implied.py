"""Implied deviation: there and back again, and NaN where no deviation gives the price."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.mp_formulas import black_mp, over_points

from cpu_reference.black import black, black_greeks
from cpu_reference.implied import implied_deviation


def out_of_the_money(rng, deviation, widest):
    n = deviation.size
    strike = 10 ** rng.uniform(-2, 5, n)
    forward = strike * np.exp(deviation * rng.uniform(-widest, widest, n))
    return forward, strike, np.where(forward > strike, -1.0, 1.0)


@pytest.mark.parametrize(
    ("smallest", "largest", "widest"),
    [(1e-2, 3.0, 3.0), (1e-8, 10.0, 8.0), (1e-4, 2.0, 36.0), (1e-8, 11.0, 0.0)],
    ids=["body", "wide", "far wings", "at the money"],
)
def test_round_trip_to_twelve_digits(smallest, largest, widest):
    rng = np.random.default_rng(5)
    deviation = np.exp(rng.uniform(np.log(smallest), np.log(largest), 2000))
    forward, strike, sign = out_of_the_money(rng, deviation, widest)
    price = black(forward, strike, deviation, sign)
    # what a rounding of the price itself does to the deviation, which matters where the price is near its upper bound
    inherent = 1e-15 * price / (forward * black_greeks(forward, strike, deviation, sign).density)
    error = np.abs(implied_deviation(price, forward, strike, sign) - deviation)
    assert np.all(error <= 1e-12 * deviation + inherent)


def test_exact_prices_give_exact_deviations():
    rng = np.random.default_rng(6)
    deviation = np.exp(rng.uniform(np.log(1e-3), np.log(3.0), 100))
    forward, strike, sign = out_of_the_money(rng, deviation, 6.0)
    price = np.array([float(p) for p in over_points(black_mp, forward, strike, deviation, sign)])
    np.testing.assert_allclose(implied_deviation(price, forward, strike, sign), deviation, rtol=1e-12)


@given(st.floats(0.02, 2), st.floats(-3, 3), st.sampled_from([-1, 1]))
def test_in_the_money_the_price_comes_back(deviation, score, sign):
    forward = 100 * np.exp(deviation * score)
    price = black(forward, 100.0, deviation, sign)
    again = black(forward, 100.0, implied_deviation(price, forward, 100.0, sign), sign)
    assert again == pytest.approx(price, rel=4e-15)


def test_at_the_money_is_an_inverse_error_function():
    with mp.workdps(40):
        exact = float(2 * mp.sqrt(2) * mp.erfinv(mp.mpf("0.08")))
    assert implied_deviation(8.0, 100.0, 100.0, 1) == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("sign", [-1, 1])
def test_no_arbitrage_bounds(sign):
    forward = np.array([90.0, 100.0, 110.0])
    floor = np.maximum(sign * (forward - 100.0), 0.0)
    ceiling = forward if sign > 0 else np.full(3, 100.0)
    np.testing.assert_array_equal(implied_deviation(floor, forward, 100.0, sign), 0.0)
    for outside in (floor - 1e-9, ceiling, ceiling + 1.0, np.full(3, np.nan), np.full(3, np.inf)):
        assert np.isnan(implied_deviation(outside, forward, 100.0, sign)).all()
    just_inside = implied_deviation(np.nextafter(ceiling, 0), forward, 100.0, sign)
    assert np.all((just_inside > 10) & (just_inside < 20))


def test_prices_at_the_edge_of_float64():
    price = np.array([5e-324, 1e-310, 1e-300, 1e-20])
    deviation = implied_deviation(price, 100.0, 130.0, 1)
    assert np.all(np.diff(deviation) > 0)
    np.testing.assert_allclose(black(100.0, 130.0, deviation[2:], 1), price[2:], rtol=1e-12)


def test_extreme_distance_converges():
    forward, strike = 1e-150, 1e150
    price = forward * np.array([1e-100, 0.1, 0.49, 0.51, 0.9, 1 - 1e-12])
    deviation = implied_deviation(price, forward, strike, 1)
    np.testing.assert_allclose(black(forward, strike, deviation, 1), price, rtol=1e-12)


def test_shapes_broadcast():
    assert implied_deviation(8.0, 100.0, 100.0, 1).shape == ()
    assert implied_deviation(np.full((2, 1), 8.0), np.full(3, 100.0), 100.0, -1).shape == (2, 3)
    assert implied_deviation(np.empty(0), 100.0, 100.0, 1).shape == (0,)
