"""Black's formula against 60 digits, against QuantLib, and against what must hold of any option price."""

import mpmath as mp
import numpy as np
import pytest
import QuantLib
from hypothesis import given
from hypothesis import strategies as st
from reference.mp_formulas import black_mp, normal_cdf, over_points, worst_error

from cpu_reference.black import black, black_greeks, log_distance, time_value

TOLERANCE = 1e-12
N = 80


def points(regime, rng):
    """(n,) forward, strike, deviation and sign of a corner of the formula's domain."""
    strike = 10 ** rng.uniform(-3, 5, N)
    sign = rng.choice([-1.0, 1.0], N)
    deviation = 10 ** rng.uniform(-3, 0.7, N)
    match regime:
        case "middle":
            distance = deviation * 2 * rng.normal(size=N)
        case "out of the money":
            distance = -sign * deviation * rng.uniform(3, 36, N)
        case "in the money":
            distance = sign * deviation * rng.uniform(3, 30, N)
        case "tiny deviation":
            deviation = 10 ** rng.uniform(-8, -2, N)
            distance = deviation * rng.uniform(-8, 8, N)
        case "huge deviation":
            deviation = rng.uniform(5, 50, N)
            distance = rng.uniform(-300, 300, N)
        case "forward near strike":
            deviation = 10 ** rng.uniform(-8, 1.7, N)
            distance = rng.choice([-1, 1], N) * 10 ** rng.uniform(-16, -2, N)
        case "denormal":
            deviation = 10 ** rng.uniform(-2, 0.5, N)
            distance = -sign * deviation * (rng.uniform(37.3, 38.6, N) - deviation / 2)
    return strike * np.exp(distance), strike, deviation, sign


@pytest.mark.parametrize(
    "regime",
    [
        "middle",
        "out of the money",
        "in the money",
        "tiny deviation",
        "huge deviation",
        "forward near strike",
        "denormal",
    ],
)
def test_black_is_right_to_twelve_digits(regime):
    columns = points(regime, np.random.default_rng(7))
    error = worst_error(black(*columns), over_points(black_mp, *columns))
    print(f"{regime}: {error:.1e}, {error / TOLERANCE:.0%} of the budget")
    assert error < TOLERANCE


def test_black_is_right_on_a_grid_of_extremes():
    ratio, deviation, sign = (
        x.ravel()
        for x in np.meshgrid(
            [1e-30, 0.5, 1 - 1e-9, np.nextafter(1, 0), 1.0, np.nextafter(1, 2), 1 + 1e-9, 2.0, 1e30],
            [1e-8, 1e-4, 0.02, 0.0201, 0.21, 1.0, 9.0, 50.0],
            [-1.0, 1.0],
        )
    )
    strike = np.full(ratio.size, 30.0)
    columns = (ratio * strike, strike, deviation, sign)
    live = np.abs(np.log(ratio)) < 38 * deviation  # beyond: the intrinsic value, tested below
    columns = tuple(x[live] for x in columns)
    assert worst_error(black(*columns), over_points(black_mp, *columns)) < TOLERANCE


@pytest.mark.parametrize("a", [0.0, 0.3, 4.999, 5.001, 9.0, 35.0])
def test_both_sides_of_the_switch_between_forms_agree_with_the_exact_value(a):
    t = 0.02 * (1 + a) * np.array([1 - 1e-9, 1 + 1e-9])
    distance = 2 * t * a
    got = time_value(np.ones(2), distance, 2 * t)
    with mp.workdps(60):
        exact = [
            black_mp(mp.mpf(1), mp.exp(mp.mpf(float(x))), 2 * mp.mpf(float(h)), 1)
            for x, h in zip(distance, t, strict=True)
        ]
    assert worst_error(got, exact) < TOLERANCE


def test_where_the_erfcx_argument_changes_sign():
    deviation = np.array([0.5, 1.0, 2.0])
    distance = 0.5 * deviation**2 * np.array([[1.0], [np.nextafter(1, 0)], [np.nextafter(1, 2)]])
    got = time_value(np.ones(1), distance, deviation)
    assert got[0] == pytest.approx(got[1], rel=1e-14)
    assert got[0] == pytest.approx(got[2], rel=1e-14)
    exact = over_points(lambda x, v: black_mp(mp.mpf(1), mp.exp(x), v, 1), distance[0], deviation)
    assert worst_error(got[0], exact) < TOLERANCE


def test_limits_of_no_and_of_infinite_deviation():
    forward = np.array([90.0, 100.0, 110.0, 1e-300, 1e300])
    for sign in (-1, 1):
        intrinsic = np.maximum(sign * (forward - 100.0), 0.0)
        np.testing.assert_array_equal(black(forward, 100.0, 0.0, sign), intrinsic)
        np.testing.assert_array_equal(black(forward, 100.0, 1e-300, sign)[[0, 2]], intrinsic[[0, 2]])
        upper = forward if sign > 0 else np.full(5, 100.0)
        np.testing.assert_allclose(black(forward, 100.0, np.inf, sign), upper, rtol=1e-15)
        np.testing.assert_allclose(black(forward, 100.0, 200.0, sign), upper, rtol=1e-15)


def test_at_the_money_is_an_error_function():
    deviation = np.array([1e-300, 1e-12, 1e-3, 0.5, 3.0])
    exact = over_points(lambda v: 100 * mp.erf(v / mp.sqrt(8)), deviation)
    assert worst_error(black(100.0, 100.0, deviation, 1), exact) < TOLERANCE


def test_shapes_broadcast():
    assert black(100, 100, 0.2, 1).shape == ()
    assert black(np.full((3, 1), 100.0), np.full(4, 90.0), 0.2, -1).shape == (3, 4)
    assert black(np.empty(0), 100.0, 0.2, 1).shape == (0,)
    assert black_greeks(np.full((3, 1), 100.0), np.full(4, 90.0), 0.2, -1).n1.shape == (3, 4)


@given(
    st.floats(1e-6, 1e6),
    st.floats(-20, 20),
    st.floats(1e-6, 20),
)
def test_parity_and_bounds(forward, distance, deviation):
    strike = forward * np.exp(distance)
    call, put = black(forward, strike, deviation, 1), black(forward, strike, deviation, -1)
    assert call - put == pytest.approx(forward - strike, rel=1e-15, abs=4e-16 * max(call, put))
    assert max(forward - strike, 0.0) <= call <= forward
    assert max(strike - forward, 0.0) <= put <= strike


@given(st.floats(1e-3, 5), st.sampled_from([-1, 1]))
def test_monotone_and_convex_in_strike_and_rising_with_deviation(deviation, sign):
    strike = 100 * np.exp(deviation * np.linspace(-5, 5, 41))
    price = black(100.0, strike, deviation, sign)
    slope = np.diff(price) / np.diff(strike)
    noise = 4e-16 * np.maximum(price[1:], price[:-1]) / np.diff(strike) + 1e-15
    assert np.all(-sign * slope >= -noise)
    assert np.all(-sign * slope <= 1 + noise)
    assert np.all(np.diff(slope) >= -noise[1:] - noise[:-1])
    assert np.all(black(100.0, strike, 1.01 * deviation, sign) >= price)


@given(st.floats(1e-3, 3), st.floats(-6, 6))
def test_scale_does_not_matter(deviation, score):
    forward = 100 * np.exp(deviation * score)
    assert black(forward * 1024, 102400.0, deviation, 1) == 1024 * black(forward, 100.0, deviation, 1)


def test_quantlib_agrees():
    rng = np.random.default_rng(3)
    forward, deviation = rng.uniform(50, 150, 60), rng.uniform(0.05, 1.5, 60)
    for sign, kind in ((1, QuantLib.Option.Call), (-1, QuantLib.Option.Put)):
        theirs = [
            QuantLib.blackFormula(kind, 100.0, f, v) for f, v in zip(forward.tolist(), deviation.tolist(), strict=True)
        ]
        np.testing.assert_allclose(black(forward, 100.0, deviation, sign), theirs, rtol=1e-11)


@pytest.mark.parametrize("regime", ["middle", "out of the money", "tiny deviation", "forward near strike"])
def test_greeks_pieces_are_right_to_twelve_digits(regime):
    columns = points(regime, np.random.default_rng(8))

    def pieces(f, k, v, s):
        d1 = mp.log(f / k) / v + v / 2
        return normal_cdf(s * d1), normal_cdf(s * (d1 - v)), mp.npdf(d1)

    exact = over_points(pieces, *columns)
    got = black_greeks(*columns)
    for name, column in zip(("n1", "n2", "density"), zip(*exact, strict=True), strict=True):
        assert worst_error(getattr(got, name), column) < TOLERANCE, name


def test_greeks_pieces_without_deviation_are_limits():
    got = black_greeks(np.array([90.0, 100.0, 110.0]), 100.0, 0.0, 1)
    np.testing.assert_array_equal(got.n1, [0, 0.5, 1])
    np.testing.assert_array_equal(got.n2, [0, 0.5, 1])
    np.testing.assert_allclose(got.density, [0, 1 / np.sqrt(2 * np.pi), 0], rtol=1e-15)
    np.testing.assert_array_equal(black_greeks(np.array([90.0, 110.0]), 100.0, 0.0, -1).n1, [1, 0])


def test_log_distance_keeps_its_digits():
    forward = np.array([1 + 1e-15, 1 - 1e-10, 1.5, 7.0, 1e-300, 1e300, 1.0])
    strike = np.array([1.0, 1.0, 1.0, 1e-3, 1e300, 1e-300, 1.0])
    exact = over_points(lambda f, k: abs(mp.log(f / k)), forward, strike)
    assert worst_error(log_distance(forward, strike), exact) < 4e-16
