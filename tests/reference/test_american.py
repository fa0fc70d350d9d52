"""The direct American pricer against published values, QuantLib, finite differences and its own limits."""

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813, its own manual's name
from scipy.interpolate import CubicSpline
from scipy.linalg import solve_banded

from cpu_reference import american as american_module
from cpu_reference.american import american, american_greeks
from cpu_reference.black import black
from cpu_reference.boundary import Puts
from cpu_reference.exercise import exercise_premium

CALL, PUT = 1, -1
DAYS = 365


def european(spot, strike, years, rate, dividend, vol, sign):
    forward = spot * np.exp((rate - dividend) * years)
    return np.exp(-rate * years) * black(forward, strike, vol * np.sqrt(years), sign)


def scatter(seed, count, wide):
    """Spot, strike, years, rate, dividend, vol, sign over ordinary or over all regimes."""
    rng = np.random.default_rng(seed)
    if wide:
        years = np.exp(rng.uniform(np.log(1e-4), np.log(30), count))
        vol = np.exp(rng.uniform(np.log(0.01), np.log(5), count))
        rate = rng.choice([-1, 1, 1, 0], count) * np.exp(rng.uniform(np.log(1e-5), np.log(0.3), count))
        dividend = rng.choice([-1, 1, 1, 0], count) * np.exp(rng.uniform(np.log(1e-5), np.log(0.5), count))
        dividend = np.where(rng.random(count) < 0.1, rate, dividend)
    else:
        years, vol = rng.uniform(0.02, 3, count), rng.uniform(0.08, 1, count)
        rate, dividend = rng.uniform(0, 0.1, count), rng.uniform(-0.02, 0.1, count)
    spot = 100 * np.exp(rng.normal(size=count) * np.minimum(vol * np.sqrt(years), 2))
    return spot, 100.0, years, rate, dividend, vol, rng.choice([CALL, PUT], count)


def test_premium_of_andersen_lake_offengenden():
    """Their table 2: S = K = 100, r = q = 5 %, σ = 25 %, T = 1, premium 0.106952702747."""
    premium = american(100, 100, 1, 0.05, 0.05, 0.25, PUT) - european(100, 100, 1, 0.05, 0.05, 0.25, PUT)
    assert premium == pytest.approx(0.106952702747, abs=2e-7)
    exact = exercise_premium(np.zeros((1, 1)), Puts(*np.array([[0.05], [0.05], [0.25], [1.0]])), tolerance=0.0)
    assert 100 * exact.premium[0, 0] == pytest.approx(0.106952702747, abs=5e-10)


def test_puts_of_geske_johnson():
    """Puts on S = 40, r = 4.88 %: the binomial values of Huang, Subrahmanyam & Yu (1996), table 1."""
    vol = np.repeat([0.2, 0.3, 0.4], 9)
    strike = np.tile(np.repeat([35.0, 40.0, 45.0], 3), 3)
    years = np.tile([0.0833, 0.3333, 0.5833], 9)
    published = """0.0062 0.2004 0.4328 0.8522 1.5798 1.9904 5.0000 5.0883 5.2670
                   0.0774 0.6975 1.2198 1.3099 2.4825 3.1696 5.0597 5.7056 6.2436
                   0.2466 1.3460 2.1549 1.7681 3.3874 4.3526 5.2868 6.5099 7.3830"""
    price = american(40, strike, years, 0.0488, 0.0, vol, PUT)
    assert price == pytest.approx(np.array(published.split(), dtype=float), abs=4e-4)


def quantlib(spot, strike, days, rate, dividend, vol, sign):
    today, counter = ql.Date(1, 1, 2020), ql.Actual365Fixed()
    ql.Settings.instance().evaluationDate = today
    curves = [ql.YieldTermStructureHandle(ql.FlatForward(today, float(x), counter)) for x in (dividend, rate)]
    surface = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), float(vol), counter))
    process = ql.BlackScholesMertonProcess(ql.QuoteHandle(ql.SimpleQuote(float(spot))), *curves, surface)
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if sign > 0 else ql.Option.Put, float(strike))
    option = ql.VanillaOption(payoff, ql.AmericanExercise(today, today + int(days)))
    option.setPricingEngine(ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.highPrecisionScheme()))
    return option.NPV()


@pytest.mark.parametrize(
    ("years", "vol", "rate", "dividend", "signs"),
    [
        ((0.05, 3), (0.1, 1), (0.005, 0.1), (0, 0.1), (CALL, PUT)),
        ((5, 30), (0.1, 0.5), (0.005, 0.1), (0, 0.1), (CALL, PUT)),
        ((0.2, 5), (0.02, 0.1), (0.005, 0.1), (0, 0.1), (CALL, PUT)),
        ((0.1, 5), (1, 5), (0.005, 0.1), (0, 0.1), (CALL, PUT)),
        ((0.1, 3), (0.1, 0.6), (0, 0.1), (-0.1, 0), (PUT,)),
        ((0.1, 3), (0.1, 0.6), (-0.1, 0), (0, 0.1), (CALL,)),
    ],
)
def test_quantlib(years, vol, rate, dividend, signs):
    rng = np.random.default_rng(7)
    n = 25
    days = np.round(rng.uniform(*years, n) * DAYS)
    sigma, r, q = (rng.uniform(*bounds, n) for bounds in (vol, rate, dividend))
    spot = 100 * np.exp(rng.normal(0, 0.3, n))
    sign = rng.choice(signs, n)
    theirs = np.array([quantlib(*row) for row in zip(spot, np.full(n, 100), days, r, q, sigma, sign, strict=True)])
    ours = american(spot, 100, days / DAYS, r, q, sigma, sign)
    assert np.abs(ours - theirs).max() <= (1e-6 * spot).min()


def finite_differences(spot, rate, dividend, vol, years, points, steps):
    """American put, K = 1: Crank–Nicolson in ln S after four implicit steps, exercise by policy iteration."""
    width = max(6 * vol * np.sqrt(years) + abs(rate - dividend) * years, 0.5) + np.abs(np.log(spot)).max()
    h = 2 * width / points
    x = (np.arange(points) - points / 2 + 0.5) * h
    payoff = np.maximum(1 - np.exp(x), 0)
    diffusion, drift = 0.5 * (vol / h) ** 2, (rate - dividend - 0.5 * vol * vol) / (2 * h)
    below, centre, above = diffusion - drift, -2 * diffusion - rate, diffusion + drift
    step = np.diff(np.linspace(0, 1, steps + 1) ** 2) * years
    schedule = [(dt / 2, 1.0) for dt in np.repeat(step[:4], 2)] + [(dt, 0.5) for dt in step[4:]]
    value, exercised, elapsed = payoff.copy(), np.zeros(points, dtype=bool), 0.0
    for dt, implicit in schedule:
        elapsed += dt
        target = value.copy()
        change = below * value[:-2] + centre * value[1:-1] + above * value[2:]
        target[1:-1] += (1 - implicit) * dt * change
        target[0] = max(np.exp(-rate * elapsed) - np.exp(x[0] - dividend * elapsed), payoff[0])
        target[-1] = 0
        band = np.zeros((3, points))
        band[0, 2:], band[2, :-2] = -implicit * dt * above, -implicit * dt * below
        band[1] = 1
        band[1, 1:-1] -= implicit * dt * centre
        for _ in range(50):
            matrix, right = band.copy(), target.copy()
            at = np.flatnonzero(exercised[1:-1]) + 1
            matrix[1, at], matrix[0, at + 1], matrix[2, at - 1] = 1, 0, 0
            right[at] = payoff[at]
            value = solve_banded((1, 1), matrix, right)
            residual = band[1] * value - target
            residual[1:] += band[2, :-1] * value[:-1]
            residual[:-1] += band[0, 1:] * value[1:]
            policy = np.where(exercised, residual >= -1e-15, value < payoff - 1e-15)
            if (policy == exercised).all():
                break
            exercised = policy
        value = np.maximum(value, payoff)
    return CubicSpline(x, value)(np.log(spot))


@pytest.mark.parametrize(
    ("rate", "dividend", "vol", "years"),
    [
        (0.05, 0.02, 0.3, 1),
        (0.0, -0.05, 0.4, 1),  # r = 0
        (-0.005, -0.01, 0.1, 1),  # two boundaries, both alive
        (-0.01, -0.03, 0.1, 10),  # … which have met before expiry
        (-0.02, -0.1, 0.3, 5),
        (-0.04, -0.06, 0.2, 0.5),
    ],
)
def test_finite_differences(rate, dividend, vol, years):
    spot = np.array([0.5, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.2, 1.5])
    coarse, fine = (finite_differences(spot, rate, dividend, vol, years, n, n // 4) for n in (500, 1000))
    reference = fine + (fine - coarse) / 3
    put = american(spot, 1, years, rate, dividend, vol, PUT)
    call = spot * american(1 / spot, 1, years, dividend, rate, vol, CALL)
    assert put == pytest.approx(reference, abs=5e-6)
    assert call == pytest.approx(reference, abs=5e-6)


@pytest.mark.parametrize("wide", [False, True])
def test_converged(wide):
    """The accuracy that is asked for against the finest boundary and integral, in every regime with one boundary."""
    spot, strike, years, rate, dividend, vol, sign = scatter(11, 400, wide)
    price = american(spot, strike, years, rate, dividend, vol, sign)
    put = sign < 0
    unit, x = np.where(put, strike, spot), -sign * np.log(spot / strike)
    r, q = np.where(put, rate, dividend), np.where(put, dividend, rate)
    with np.errstate(all="ignore"):
        exact = exercise_premium(x[:, None], Puts(r, q, vol, years), tolerance=0.0)
    reference = european(spot, strike, years, rate, dividend, vol, sign) + unit * exact.premium[:, 0]
    reference = np.maximum(reference, sign * (spot - strike))
    error = np.abs(price - reference) / spot
    print(f"largest error {error.max():.1e}·S, {error.max() / 1e-6:.1%} of the aim")
    assert error.max() <= 1e-6


def test_bounds_and_monotony():
    spot, strike, years, rate, dividend, vol, sign = scatter(3, 400, True)
    price = american(spot, strike, years, rate, dividend, vol, sign)
    assert (price >= european(spot, strike, years, rate, dividend, vol, sign)).all()
    assert (price >= np.maximum(sign * (spot - strike), 0)).all()
    slack = 1e-6 * spot
    assert (american(spot, strike, years, rate, dividend, vol * 1.05, sign) >= price - slack).all()
    assert (american(spot, strike, years * 1.05, rate, dividend, vol, sign) >= price - slack).all()
    moved = american(spot * 1.02, strike, years, rate, dividend, vol, sign)
    assert (sign * (moved - price) >= -slack).all()
    assert (np.abs(moved - price) <= 0.02 * spot * np.maximum(np.exp(-dividend * years), 1) + slack).all()


def test_never_exercised_early_is_european():
    rng = np.random.default_rng(0)
    rate = np.concatenate([[0.0, 0.0, -0.05], -rng.uniform(0, 0.1, 20)])
    dividend = rate + np.concatenate([[0.0, 0.1, 0.0], rng.uniform(0, 0.1, 20)])
    spot, vol = 100 * np.exp(rng.normal(0, 0.3, 23)), rng.uniform(0.05, 1, 23)
    put = american(spot, 100, 1.5, rate, dividend, vol, PUT)
    assert (put == european(spot, 100, 1.5, rate, dividend, vol, PUT)).all()
    call = american(spot, 100, 1.5, dividend, rate, vol, CALL)
    assert (call == european(spot, 100, 1.5, dividend, rate, vol, CALL)).all()


def test_perpetual_limit():
    """Merton (1973): V = (K − B)·(S/B)^(−γ), B = K·γ/(1 + γ)."""
    rate, dividend, vol, spot = 0.06, 0.02, 0.3, np.array([60.0, 90, 100, 150])
    a = (rate - dividend) / vol**2 - 0.5
    gamma = a + np.sqrt(a * a + 2 * rate / vol**2)
    boundary = 100 * gamma / (1 + gamma)
    price = american(spot, 100, 400, rate, dividend, vol, PUT)
    assert price == pytest.approx((100 - boundary) * (spot / boundary) ** -gamma, abs=5e-5)


def test_short_limit():
    spot = np.array([90.0, 99, 100, 101, 110])
    for sign in (CALL, PUT):
        price = american(spot, 100, 1e-9, 0.05, 0.03, 0.2, sign)
        assert price == pytest.approx(np.maximum(sign * (spot - 100), 0), abs=1e-3)


def test_broadcasting():
    price = american(np.array([[90.0], [110]]), np.array([95.0, 100, 105]), 1, 0.03, 0.01, 0.2, PUT)
    assert price.shape == (2, 3)
    assert price[1, 2] == pytest.approx(float(american(110, 105, 1, 0.03, 0.01, 0.2, PUT)), abs=1e-9)
    assert american(np.empty(0), 1, 1, 0, 0, 1, PUT).shape == (0,)


def test_extreme_input_is_finite():
    levels = [1e-8, 0.9, 1, 1.1, 1e8]
    grid = np.meshgrid(levels, [1e-8, 1.0, 50], [-2, -1e-9, 0, 2], [-2, -0.1, 0, 1e-9, 2], [1e-3, 10])
    spot, years, rate, dividend, vol = (a.ravel() for a in grid)
    for sign in (CALL, PUT):
        price = american(spot, 1.0, years, rate, dividend, vol, sign)
        greeks = american_greeks(spot[::11], 1.0, years[::11], rate[::11], dividend[::11], vol[::11], sign, True)
        assert np.isfinite(price).all()
        assert all(np.isfinite(column).all() for column in greeks)
        assert (price >= np.maximum(sign * (spot - 1), 0)).all()


def test_nan_is_kept():
    vol = np.array([0.2, np.nan, 0.2])
    rate = np.array([0.05, 0.05, np.nan])
    assert np.isnan(american(100, 100, 1, rate, 0.02, vol, PUT)).tolist() == [False, True, True]
    for column in american_greeks(100, 100, 1, rate, 0.02, vol, PUT, True):
        assert np.isnan(column).tolist() == [False, True, True]


@pytest.mark.parametrize("forward_from_rate", [False, True])
def test_greeks(forward_from_rate, monkeypatch):
    """Against central differences of the price, the exercise region and its edge left out."""
    spot, strike, years, rate, dividend, vol, sign = scatter(5, 80, False)
    greeks = american_greeks(spot, strike, years, rate, dividend, vol, sign, forward_from_rate)
    assert greeks.price == pytest.approx(american(spot, strike, years, rate, dividend, vol, sign), abs=1e-9)
    monkeypatch.setattr(american_module, "TOLERANCE", 0.0)  # one boundary degree, so that differences are smooth
    alive = greeks.gamma > 0
    intrinsic = np.maximum(sign * (spot - strike), 0)
    away = greeks.price > intrinsic + 2e-3 * strike
    assert away.sum() > 45

    def difference(bump, **moved):
        base = {"spot": spot, "years": years, "rate": rate, "dividend": dividend, "vol": vol}
        up, down = (
            american(strike=strike, sign=sign, **{k: v + s * moved.get(k, 0.0) * bump for k, v in base.items()})
            for s in (1, -1)
        )
        return ((up - down) / (2 * bump))[away]

    h = 1e-4
    one = np.ones_like(spot)
    assert greeks.delta[away] == pytest.approx(difference(h, spot=spot) / spot[away], abs=2e-6)
    assert greeks.vega[away] == pytest.approx(difference(h, vol=one), abs=1e-3)
    assert greeks.theta[away] == pytest.approx(difference(1e-5, years=one) / -365, abs=2e-5)
    moved = {"rate": one} if forward_from_rate else {"rate": one, "dividend": one}
    assert greeks.rho[away] == pytest.approx(difference(2e-5, **moved), abs=1e-3)
    bump = 2e-3 * spot
    up, down = (american(spot + s * bump, strike, years, rate, dividend, vol, sign) for s in (1, -1))
    second = ((up + down - 2 * greeks.price) / bump**2 * spot)[away]
    assert (greeks.gamma * spot)[away] == pytest.approx(second, rel=2e-3, abs=2e-3)
    done = ~alive & (greeks.price == intrinsic) & (intrinsic > 0)
    assert done.any()
    assert (greeks.delta[done] == sign[done]).all()
    assert all((column[done] == 0).all() for column in (greeks.vega, greeks.theta, greeks.rho))
