"""Prices and Greeks of one underlying: against high-precision differences, against QuantLib, and case by case."""

import mpmath as mp
import numpy as np
import pytest
import QuantLib
from reference.mp_formulas import bachelier_mp, black_mp

from cpu_reference.american import american
from cpu_reference.price import price
from cpu_reference.types import FUTURE, OPTION, PERPETUAL, SPOT, Instruments, Market, Maturities, Smile

NO_SMILE = Smile(np.zeros(1, dtype=np.intp), np.empty(0), np.empty((0, 3)))
HOUR = 1 / (365 * 24)


def flat_smile(variances):
    m = len(variances)
    segment = np.column_stack([variances, np.zeros((m, 2))])
    return Smile(np.zeros(m + 1, dtype=np.intp), np.empty(0), segment)


def a_market(years, forward, rate, *, spot=100.0, normal=False, forward_from_rate=True, smile=NO_SMILE):
    today = Maturities(*(np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (years, forward, rate)))
    return Market.of_one(normal, False, forward_from_rate, spot, 1.0, today, today, smile, smile)


def some_instruments(kind, maturity, strike=np.nan, sign=0, vol=np.nan, american=False, inverse=False):
    columns = np.broadcast_arrays(kind, maturity, strike, sign, american, inverse, 1.0, vol)
    types = (np.int8, np.intp, np.float64, np.int8, np.bool_, np.bool_, np.float64, np.float64)
    return Instruments(*(np.array(c, dtype=t).ravel() for c, t in zip(columns, types, strict=True)))


def value_mp(normal, spot, strike, years, rate, vol, sign, carry, fixed_forward):
    """Price as a function of what the Greeks move; `carry` is ln(F/S)/T, or `fixed_forward` is F − S."""
    deviation = vol * mp.sqrt(years)
    discount = mp.exp(-rate * years)
    if normal:
        return discount * bachelier_mp(spot + fixed_forward, strike, deviation, sign)
    return discount * black_mp(spot * mp.exp(carry * years), strike, deviation, sign)


def greeks_mp(normal, forward_from_rate, spot, forward, strike, years, rate, vol, sign):
    with mp.workdps(60):
        spot, forward, strike, years, rate, vol = (mp.mpf(float(x)) for x in (spot, forward, strike, years, rate, vol))
        sign = int(sign)
        carry = mp.mpf(0) if normal else mp.log(forward / spot) / years
        h = mp.mpf(10) ** -15

        def at(ds=0, dt=0, dr=0, dv=0):
            c, gap = carry, forward - spot
            if dr and forward_from_rate:  # F = S·exp((r − y)T), so that dF = F·(exp(dr·T) − 1)
                c, gap = c + dr, forward * mp.exp(dr * years) - spot
            return value_mp(normal, spot + ds, strike, years + dt, rate + dr, vol + dv, sign, c, gap)

        def slope(name, step):
            return (at(**{name: step}) - at(**{name: -step})) / (2 * step)

        hs = h * max(abs(spot), 1)
        return [
            float(x)
            for x in (
                at(),
                slope("ds", hs),
                (at(ds=hs) - 2 * at() + at(ds=-hs)) / hs**2,
                slope("dv", h * vol),
                -slope("dt", h * years) / 365,
                slope("dr", h),
            )
        ]


@pytest.mark.parametrize("forward_from_rate", [True, False])
@pytest.mark.parametrize("normal", [True, False], ids=["normal", "lognormal"])
def test_greeks_are_derivatives_of_the_price(normal, forward_from_rate):
    rng = np.random.default_rng(11)
    years = np.array([HOUR, 3 * HOUR, 2 / 365, 0.1, 0.5, 1.0, 5.0, 30.0])
    rate = np.array([0.05, -0.02, 0.0, 0.03, -0.05, 0.01, 0.02, 0.04])
    spot = -20.0 if normal else 100.0
    # the fourth has r = q, hence F = S; hours to expiry have little carry
    forward = spot + rng.uniform(-5, 5, 8) if normal else spot * np.exp(rng.uniform(-0.04, 0.04, 8) * years)
    forward[3] = spot
    m = np.repeat(np.arange(8), 10)
    vol = rng.uniform(0.1, 0.9, 80) * (30.0 if normal else 1.0)
    score = rng.uniform(-3, 3, 80)
    spread = vol * np.sqrt(years[m]) * score
    strike = forward[m] + spread if normal else forward[m] * np.exp(spread)
    sign = rng.choice([-1, 1], 80)

    market = a_market(years, forward, rate, spot=spot, normal=normal, forward_from_rate=forward_from_rate)
    got = price(some_instruments(OPTION, m, strike, sign, vol), market)
    exact = np.array(
        [
            greeks_mp(normal, forward_from_rate, spot, forward[j], strike[i], years[j], rate[j], vol[i], sign[i])
            for i, j in enumerate(m.tolist())
        ]
    )
    for name, column in zip(("price", "delta", "gamma", "vega", "theta", "rho"), exact.T, strict=True):
        # theta and rho are sums in which terms of opposite sign may cancel; the others are products
        floor = 1e-12 * np.abs(column).max() if name in {"theta", "rho"} else 0.0
        np.testing.assert_allclose(getattr(got, name), column, rtol=1e-11, atol=floor, err_msg=name)
    np.testing.assert_array_equal(got.forward, forward[m])
    np.testing.assert_array_equal(got.iv, vol)


@pytest.mark.parametrize(("rate", "dividend"), [(0.05, 0.02), (-0.03, 0.01), (0.04, 0.04), (0.0, 0.0)])
def test_quantlib_agrees(rate, dividend):
    today = QuantLib.Date(5, 1, 2026)
    QuantLib.Settings.instance().evaluationDate = today
    counter = QuantLib.Actual365Fixed()
    spot, vol = 100.0, 0.35
    flat = (QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(today, x, counter)) for x in (dividend, rate))
    process = QuantLib.BlackScholesMertonProcess(
        QuantLib.QuoteHandle(QuantLib.SimpleQuote(spot)),
        *flat,
        QuantLib.BlackVolTermStructureHandle(QuantLib.BlackConstantVol(today, QuantLib.NullCalendar(), vol, counter)),
    )
    engine = QuantLib.AnalyticEuropeanEngine(process)
    days = np.repeat([1, 30, 365], 6)
    strike = np.tile([80.0, 80.0, 100.0, 100.0, 120.0, 120.0], 3)
    strike[:6] = np.repeat([97.0, 100.0, 104.0], 2)
    sign = np.tile([1, -1], 9)
    theirs = []
    for n, k, s in zip(days.tolist(), strike.tolist(), sign.tolist(), strict=True):
        payoff = QuantLib.PlainVanillaPayoff(QuantLib.Option.Call if s > 0 else QuantLib.Option.Put, k)
        option = QuantLib.VanillaOption(payoff, QuantLib.EuropeanExercise(today + n))
        option.setPricingEngine(engine)
        theirs.append([option.NPV(), option.delta(), option.gamma(), option.vega(), option.thetaPerDay(), option.rho()])
    years = days / 365
    market = a_market(years, spot * np.exp((rate - dividend) * years), rate * np.ones(18))
    got = price(some_instruments(OPTION, np.arange(18), strike, sign, vol), market)
    for name, column in zip(("price", "delta", "gamma", "vega", "theta", "rho"), np.array(theirs).T, strict=True):
        np.testing.assert_allclose(getattr(got, name), column, rtol=1e-8, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("normal", [True, False], ids=["normal", "lognormal"])
def test_spot_perpetual_and_future(normal):
    market = a_market([0.5, -0.1], [103.0, 99.0], [0.05, 0.05], normal=normal)
    kinds = np.array([SPOT, PERPETUAL, FUTURE, FUTURE])
    for inverse in (False, True):
        got = price(some_instruments(kinds, [-1, -1, 0, 1], inverse=inverse), market)
        np.testing.assert_array_equal(got.price, [100.0, 100.0, 103.0, 100.0])
        np.testing.assert_array_equal(got.forward, got.price)
        np.testing.assert_array_equal(got.delta, [1.0, 1.0, 1.0 if normal else 1.03, 1.0])
        for name in ("gamma", "vega", "theta", "rho"):
            np.testing.assert_array_equal(getattr(got, name), 0.0)
        assert np.isnan(got.iv).all()
        assert np.isnan(got.bucket_delta).all()


@pytest.mark.parametrize("years", [0.0, -1.0])
@pytest.mark.parametrize("american", [False, True])
def test_expired_options_are_worth_their_intrinsic_value_at_spot(years, american):
    market = a_market(years, 250.0, 0.05)
    strike = np.array([90.0, 100.0, 110.0, 90.0, 100.0, 110.0])
    sign = np.array([1, 1, 1, -1, -1, -1])
    vol = np.array([np.nan, 0.4, np.nan, np.nan, np.nan, np.nan])
    got = price(some_instruments(OPTION, 0, strike, sign, vol, american), market)
    np.testing.assert_array_equal(got.price, [10, 0, 0, 0, 0, 10])
    np.testing.assert_array_equal(got.forward, 100.0)
    np.testing.assert_array_equal(got.delta, [1, 0, 0, 0, 0, -1])
    np.testing.assert_array_equal(got.iv, vol)
    for name in ("gamma", "vega", "theta", "rho"):
        np.testing.assert_array_equal(getattr(got, name), 0.0)
    assert np.isnan(got.bucket_delta).all()


@pytest.mark.parametrize("normal", [True, False], ids=["normal", "lognormal"])
def test_the_smile_is_read_unless_the_option_has_its_own_volatility(normal):
    smile = flat_smile([0.09, 0.16])
    market = a_market([0.5, 1.0], [100.0, 101.0], [0.0, 0.0], normal=normal, smile=smile)
    got = price(some_instruments(OPTION, [0, 1, 0], 100.0, 1, [np.nan, np.nan, 0.7]), market)
    np.testing.assert_allclose(got.iv, [0.3, 0.4, 0.7], rtol=1e-15)
    own = price(some_instruments(OPTION, [0, 1, 0], 100.0, 1, [0.3, 0.4, 0.7]), market)
    np.testing.assert_allclose(got.price, own.price, rtol=1e-14)


def test_the_smile_is_read_at_the_moneyness_of_its_dynamics():
    # σ² = 0.04 below k = 0, rising by 1 per unit of k up to k = 0.2, flat beyond
    smile = Smile(np.array([0, 2]), np.array([0.0, 0.2]), np.array([[0.04, 0, 0], [0.04, 1, 0], [0.24, 0, 0]]))
    strike = np.array([50.0, 100.0, 110.0, 300.0])
    lognormal = price(some_instruments(OPTION, 0, strike, 1), a_market(1.0, 100.0, 0.0, smile=smile))
    np.testing.assert_allclose(lognormal.iv**2, [0.04, 0.04, 0.04 + np.log(1.1), 0.24], rtol=1e-14)
    normal = price(
        some_instruments(OPTION, 0, np.array([99.0, 100.0, 100.125, 101.0]), 1),
        a_market(1.0, 100.0, 0.0, normal=True, smile=smile),
    )
    np.testing.assert_allclose(normal.iv**2, [0.04, 0.04, 0.165, 0.24], rtol=1e-14)


def test_an_option_without_any_volatility_has_no_price():
    got = price(some_instruments(OPTION, 0, 100.0, 1), a_market(1.0, 100.0, 0.0, smile=flat_smile([np.nan])))
    assert np.isnan([got.price, got.iv, got.delta, got.bucket_delta]).all()


def test_inverse_options_are_priced_as_the_linear_quote():
    market = a_market(0.5, 103.0, 0.03)
    linear = price(some_instruments(OPTION, 0, [90.0, 120.0], [-1, 1], 0.8), market)
    inverse = price(some_instruments(OPTION, 0, [90.0, 120.0], [-1, 1], 0.8, inverse=True), market)
    for a, b in zip(linear, inverse, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("normal", [True, False], ids=["normal", "lognormal"])
def test_bucket_delta_is_undiscounted_and_positive(normal):
    vol = 20.0 if normal else 0.2
    market = a_market(1.0, 105.0, 0.5, normal=normal)
    got = price(some_instruments(OPTION, 0, 105.0, [1, -1], vol), market)
    d = 0.0 if normal else 0.1
    with mp.workdps(30):
        expected = [float(mp.ncdf(d)), float(mp.ncdf(-d))]
    np.testing.assert_allclose(got.bucket_delta, expected, rtol=1e-14)


def test_american_rows_go_to_the_american_pricer():
    years, rate, forward, vol = 1.0, 0.06, 101.0, 0.3
    market = a_market(years, forward, rate)
    strike, sign = np.array([90.0, 100.0, 115.0, 100.0]), np.array([-1, -1, -1, 1])
    european = price(some_instruments(OPTION, 0, strike, sign, vol), market)
    got = price(some_instruments(OPTION, 0, strike, sign, vol, american=True), market)
    dividend = rate - np.log(forward / 100.0) / years
    direct = american(100.0, strike, years, rate, dividend, vol, sign)
    np.testing.assert_allclose(got.price, direct, atol=1e-8)
    assert np.all(got.price[:3] > european.price[:3] + 0.01)
    assert np.all(got.delta[:3] < european.delta[:3])
    np.testing.assert_array_equal(got.bucket_delta, european.bucket_delta)
    np.testing.assert_array_equal(got.iv, vol)
    mixed = price(some_instruments(OPTION, 0, strike, sign, vol, american=[True, False, True, False]), market)
    np.testing.assert_allclose(mixed.price, np.where([True, False, True, False], got.price, european.price), atol=1e-8)


def test_no_instruments():
    got = price(some_instruments(np.empty(0), np.empty(0)), a_market(1.0, 100.0, 0.0))
    assert all(column.shape == (0,) for column in got)
