"""Bachelier's formula against 60 digits, against QuantLib, and against what must hold of any option price."""

import mpmath as mp
import numpy as np
import pytest
import QuantLib
from hypothesis import given
from hypothesis import strategies as st
from reference.mp_formulas import bachelier_mp, normal_cdf, over_points, worst_error

from cpu_reference.bachelier import bachelier, bachelier_greeks

TOLERANCE = 1e-12
N = 80


def points(regime, rng):
    """(n,) forward, strike, deviation and sign of a corner of the formula's domain; half the strikes are negative."""
    strike = rng.choice([-1, 1], N) * 10 ** rng.uniform(-4, 5, N)
    deviation = 10 ** rng.uniform(-8, 4, N)
    sign = rng.choice([-1.0, 1.0], N)
    score = {
        "middle": rng.normal(size=N),
        "out of the money": -sign * rng.uniform(3, 36, N),
        "in the money": sign * rng.uniform(3, 30, N),
        "at the money": 10 ** rng.uniform(-16, -2, N),
        "denormal": -sign * rng.uniform(37.0, 38.5, N),
    }[regime]
    if regime == "denormal":
        strike = np.zeros(N)
    return strike + score * deviation, strike, deviation, sign


REGIMES = ["middle", "out of the money", "in the money", "at the money", "denormal"]


@pytest.mark.parametrize("regime", REGIMES)
def test_bachelier_is_right_to_twelve_digits(regime):
    columns = points(regime, np.random.default_rng(7))
    error = worst_error(bachelier(*columns), over_points(bachelier_mp, *columns))
    print(f"{regime}: {error:.1e}, {error / TOLERANCE:.0%} of the budget")
    assert error < TOLERANCE


@pytest.mark.parametrize("a", [0.0, 1e-9, 4.999, 5.0, 5.001, 8.0])
def test_both_sides_of_the_switch_between_forms(a):
    exact = over_points(bachelier_mp, [0.0], [a], [1.0], [1.0])
    assert worst_error(bachelier([0.0], [a], 1.0, 1), exact) < TOLERANCE


@pytest.mark.parametrize("regime", REGIMES[:-1])
def test_greeks_pieces_are_right_to_twelve_digits(regime):
    columns = points(regime, np.random.default_rng(8))
    exact = over_points(lambda f, k, v, s: (normal_cdf(s * (f - k) / v), mp.npdf((f - k) / v)), *columns)
    got = bachelier_greeks(*columns)
    for name, column in zip(("n", "density"), zip(*exact, strict=True), strict=True):
        assert worst_error(getattr(got, name), column) < TOLERANCE, name


def test_limits_of_no_deviation():
    forward = np.array([-10.0, 0.0, 10.0])
    for sign in (-1, 1):
        np.testing.assert_array_equal(bachelier(forward, 0.0, 0.0, sign), np.maximum(sign * forward, 0.0))
    np.testing.assert_array_equal(bachelier_greeks(forward, 0.0, 0.0, 1).n, [0, 0.5, 1])
    np.testing.assert_array_equal(bachelier_greeks(forward, 0.0, 0.0, -1).n, [1, 0.5, 0])


def test_at_the_money_is_proportional_to_deviation():
    deviation = np.array([1e-300, 1e-8, 1.0, 1e300])
    np.testing.assert_allclose(bachelier(-5.0, -5.0, deviation, 1), deviation / np.sqrt(2 * np.pi), rtol=1e-15)


def test_shapes_broadcast():
    assert bachelier(100, 100, 0.2, 1).shape == ()
    assert bachelier(np.full((3, 1), 100.0), np.full(4, 90.0), 0.2, -1).shape == (3, 4)
    assert bachelier(np.empty(0), 100.0, 0.2, 1).shape == (0,)


@given(st.floats(-1e4, 1e4), st.floats(-40, 40), st.floats(1e-6, 1e4))
def test_parity_and_bounds(forward, score, deviation):
    strike = forward + deviation * score
    call, put = bachelier(forward, strike, deviation, 1), bachelier(forward, strike, deviation, -1)
    assert call - put == pytest.approx(forward - strike, rel=1e-15, abs=4e-16 * max(call, put))
    assert call >= max(forward - strike, 0.0)
    assert put >= max(strike - forward, 0.0)


@given(st.floats(-100, 100), st.sampled_from([-1, 1]))
def test_monotone_and_convex_in_strike_and_rising_with_deviation(forward, sign):
    strike = forward + np.linspace(-8, 8, 65)
    price = bachelier(forward, strike, 1.0, sign)
    slope = np.diff(price) / np.diff(strike)
    assert np.all(-sign * slope >= -1e-12)
    assert np.all(-sign * slope <= 1 + 1e-12)
    assert np.all(np.diff(slope) >= -1e-12)
    assert np.all(bachelier(forward, strike, 1.01, sign) >= price)


def test_quantlib_agrees():
    rng = np.random.default_rng(3)
    forward, deviation = rng.uniform(-50, 50, 60), rng.uniform(5, 60, 60)
    for sign, kind in ((1, QuantLib.Option.Call), (-1, QuantLib.Option.Put)):
        theirs = [
            QuantLib.bachelierBlackFormula(kind, -3.0, f, v)
            for f, v in zip(forward.tolist(), deviation.tolist(), strict=True)
        ]
        np.testing.assert_allclose(bachelier(forward, -3.0, deviation, sign), theirs, rtol=1e-9)
