"""`revalue` on the device against the reference, on random and on extreme input; outputs are poisoned first.

Errors are per contract over fx times the larger of spot and strike (normal: and the deviation), before the multiplier.
"""

from typing import NamedTuple

import mpmath
import numpy as np
import pytest
from kernels.budget import spend
from kernels.host.device import HostDevice
from scipy.special import erfcx

import cpu_reference
from cpu_reference.chebyshev import monomials
from cpu_reference.types import (
    FUTURE,
    OPTION,
    PERPETUAL,
    SPOT,
    Instruments,
    Market,
    Maturities,
    Shocks,
    Smile,
)
from gpu_var.cuda.device import current, kernel_path
from gpu_var.cuda.revalue import host_priced, prepare, revalue

EUROPEAN, AMERICAN, FLOAT = 1e-12, 1e-9, 2e-6
"""The budgets."""

CALL, PUT = 1, -1


class Book(NamedTuple):
    """One underlying and its scenarios."""

    instruments: Instruments
    market: Market
    shocks: Shocks


class Build:
    """Collects rows of `Instruments`."""

    def __init__(self):
        self.rows = []

    def add(self, kind, maturity=-1, strikes=(np.nan,), sign=0, american=False, inverse=False, vol=np.nan):
        self.rows += [(kind, maturity, k, sign, american, inverse, 1.0 + len(self.rows) % 7, vol) for k in strikes]

    def done(self):
        dtypes = (np.int8, np.intp, float, np.int8, bool, bool, float, float)
        columns = zip(*self.rows, strict=True) if self.rows else [[] for _ in dtypes]
        return Instruments(*(np.array(c, dtype=t) for c, t in zip(columns, dtypes, strict=True)))


def smile_of(rng, years, scale, level, knots=9):
    """A smile for each maturity: σ piecewise linear in moneyness, flat beyond the end knots."""
    start, knot, segment = [0], [], []
    for t in years:
        if t <= 0:
            segment.append([[np.nan, 0, 0]])
            start.append(start[-1])
            continue
        z = np.linspace(-2, 2, knots) + rng.uniform(-1, 1, knots) / knots
        k = z * scale * np.sqrt(t)
        vol = level * (1.1 + 0.3 * np.sin(3 * z + rng.uniform(0, 6)))
        slope = np.concatenate([[0], np.diff(vol) / np.diff(k), [0]])
        at = np.concatenate([vol[:1], vol])
        segment.append(np.stack([at**2, 2 * at * slope, slope**2], axis=1))
        knot.append(k)
        start.append(start[-1] + knots)
    return Smile(
        np.array(start, dtype=np.intp), np.concatenate([*knot, []]), np.concatenate([*segment, np.empty((0, 3))])
    )


def book(
    rng,
    n_scenarios,
    strikes=5,
    normal=False,
    american=False,
    sticky=False,
    roll=False,
    rates=0.0,
    carry=0.0,
    size=0.1,
    vol=0.3,
    years=(0.02, 0.4, 2.0),
    spot=100.0,
    own_vol=True,
    knots=9,
    order=np.sort,
):
    """All kinds of instruments on one underlying, and scenarios of relative size `size`."""
    years = np.array([*years, -0.1])
    if roll:
        years = np.append(years, 0.005)
    n_maturities = len(years)
    rate = np.linspace(0.05, 0.03, n_maturities)
    forward = np.where(years > 0, spot + (1.0 if normal else spot * 0.02) * years, spot)
    today = Maturities(years, forward, rate)
    horizon = Maturities(years - 0.01, np.where(years - 0.01 > 0, forward * 1.001, spot), rate) if roll else today
    deviation = vol * abs(spot) if normal else vol
    smile_today = smile_of(rng, years, deviation, deviation, knots)
    smile_horizon = smile_of(rng, horizon.years, deviation, deviation, knots) if roll else smile_today

    build = Build()
    build.add(SPOT)
    build.add(PERPETUAL)
    build.add(PERPETUAL, inverse=True)
    for m, t in enumerate(years):
        build.add(FUTURE, m)
        build.add(FUTURE, m, inverse=True)
        width = deviation * np.sqrt(max(t, 0.04))
        for sign in (CALL, PUT):
            for style in (False, True) if american else (False,):
                z = order(rng.normal(0, 1.5, strikes))
                grid = forward[m] + width * z if normal else forward[m] * np.exp(width * z)
                build.add(OPTION, m, grid, sign, style)
                if own_vol and strikes:
                    build.add(OPTION, m, grid[:3], sign, style, vol=deviation * 1.1)
    move = rng.normal(0, size, n_scenarios)
    shape = (n_maturities, n_scenarios)
    tilt = np.linspace(1, 0.8, n_maturities)[:, None]
    base, live = horizon.forward[:, None], horizon.years[:, None] > 0
    spots = spot + 20 * move if normal else spot * np.exp(move)
    drift = carry * rng.normal(0, 1, n_scenarios) * years[:, None]
    forwards = base + 20 * move if normal else base * np.exp(move + drift)
    growth = np.exp(tilt * rng.normal(0, size, n_scenarios))
    shocks = Shocks(
        spot=spots,
        fx=1.3 * np.exp(rng.normal(0, 0.01, n_scenarios)),
        forward=np.where(live, forwards, spots),
        rate=horizon.rate[:, None] + rates * rng.normal(0, 1, n_scenarios) * np.ones(shape),
        vol_growth=growth,
    )
    market = Market(normal, sticky, False, spot, 1.3, today, horizon, smile_today, smile_horizon)
    return Book(build.done(), market, shocks)


def expected(of, prepared, scenarios):
    out = np.empty((len(of.instruments.kind), len(range(*scenarios.indices(len(of.shocks.spot))))))
    first, stop, _ = scenarios.indices(len(of.shocks.spot))
    cpu_reference.revalue(of.instruments, of.market, of.shocks, prepared, slice(first, stop), out)
    return out


def actual(of, prepared, scenarios, real):
    device = current()
    n = len(range(*scenarios.indices(len(of.shocks.spot))))
    out = device.upload(np.full((len(of.instruments.kind), n), np.nan, dtype=real))
    revalue(of.instruments, of.market, Shocks(*map(device.upload, of.shocks)), prepared, scenarios, out)
    return device.download(out)


def compare(of, what, scenarios=slice(None), reals=(np.float64, np.float32)):
    """Check both precisions against the reference; print the largest errors and their share of the budgets."""
    prepared = cpu_reference.prepare(of.instruments, of.market, of.shocks)
    reference = expected(of, prepared, scenarios)
    spots, fx = of.shocks.spot[scenarios], of.shocks.fx[scenarios]
    strike = np.nan_to_num(of.instruments.strike)
    unit = np.maximum(np.abs(spots), np.maximum(np.abs(strike), abs(of.market.spot))[:, None]) * fx
    unit = unit * of.instruments.multiplier[:, None]
    early = of.instruments.american
    for real in reals:
        got = actual(of, prepared, scenarios, real)
        assert got.dtype == real
        with np.errstate(all="ignore"):
            error = np.abs(got - reference) / unit
        assert (np.isnan(got) == np.isnan(reference)).all()
        for name, rows, budget in (("European", ~early, EUROPEAN), ("American", early, AMERICAN)):
            worst = float(np.nanmax(error[rows], initial=0.0))
            allowed = budget if real is np.float64 else FLOAT
            print(f"{what}, {name}, {np.dtype(real)}: largest error {worst:.1e}, {worst / allowed:.1%} of the budget")
            spend(f"revalue {name} {np.dtype(real)}", current().name, worst, allowed)


CASES = {
    "lognormal": {},
    "sticky strike": {"sticky": True},
    "normal": {"normal": True},
    "normal, negative": {"normal": True, "spot": -3.0, "vol": 8.0},
    "positions roll": {"roll": True},
    "large moves": {"size": 0.6, "rates": 0.05},
    "high volatility": {"vol": 3.0, "years": (0.1, 5.0, 30.0)},
    "low volatility": {"vol": 0.005, "size": 0.02},
    "short": {"years": (1e-6, 1e-4, 1 / 365)},
    "large spot": {"spot": 1e5},
    "two knots": {"knots": 2},
    "smile longer than shared memory": {"knots": 1100, "years": (0.3,)},
    "strikes in no order": {"order": lambda z: z},
}


@pytest.mark.parametrize("name", CASES)
def test_european(name, host):
    rng = np.random.default_rng(len(name))
    compare(book(rng, 40, **CASES[name]), name)


AMERICAN_CASES = {
    "one rate": {},
    "rates": {"rates": 0.003},
    "carry": {"carry": 0.004},
    "sticky strike": {"sticky": True},
    "positions roll": {"roll": True},
    "short": {"years": (1e-3, 1 / 365)},
    "own volatility for all": {"own_vol": True, "strikes": 3},
    "strikes in no order": {"order": lambda z: z},
}


@pytest.mark.parametrize("name", AMERICAN_CASES)
def test_american(name, host):
    rng = np.random.default_rng(3)
    options = {"years": (0.1, 1.0), "american": True, **AMERICAN_CASES[name]}
    compare(book(rng, 60, **options), name)


@pytest.mark.parametrize("n", [0, 1, 2, 31, 33, 255, 257])
@pytest.mark.parametrize("strikes", [0, 1, 65])
def test_shapes(n, strikes, host):
    of = book(np.random.default_rng(n), n, strikes, years=(0.3,), american=strikes == 1 and n < 40, own_vol=False)
    if n == 0:
        prepared = cpu_reference.Prepared(np.zeros(len(of.instruments.kind)), {})
        assert actual(of, prepared, slice(None), np.float64).shape == (len(of.instruments.kind), 0)
    else:
        compare(of, f"{strikes} strikes, {n} scenarios")


def test_no_instruments(host):
    of = book(np.random.default_rng(0), 3)
    none = of._replace(instruments=of.instruments.cut(slice(0, 0)))
    assert actual(none, cpu_reference.Prepared(np.zeros(0), {}), slice(None), np.float64).shape == (0, 3)


@pytest.mark.parametrize("rates", [0.0, 0.003])
def test_slices_and_cuts(host, rates):
    """A cut of rows and a slice of scenarios give the very bits of the whole."""
    of = book(np.random.default_rng(5), 50, american=True, years=(0.5,), rates=rates)
    prepared = prepare(of.instruments, of.market, of.shocks)
    whole = actual(of, prepared, slice(None), np.float64)
    rows, scenarios = slice(4, 19), slice(7, 40)
    part = actual(
        of._replace(instruments=of.instruments.cut(rows)),
        prepared._replace(price=prepared.price[rows]),
        scenarios,
        np.float64,
    )
    assert (part == whole[rows, scenarios]).all()


def test_missing_premium_is_european(host):
    of = book(np.random.default_rng(6), 20, american=True, years=(0.5,))
    prepared = cpu_reference.prepare(of.instruments, of.market, of.shocks)._replace(premium={})
    got = actual(of, prepared, slice(None), np.float64)
    assert got == pytest.approx(expected(of, prepared, slice(None)), abs=1e-10)


def test_chebyshev_polynomials(host):
    """Fits whose powers would lose digits are summed as Chebyshev polynomials."""
    of = book(np.random.default_rng(7), 30, american=True, years=(0.5,), rates=0.003)
    prepared = cpu_reference.prepare(of.instruments, of.market, of.shocks)
    # The same polynomials, once more as the reference holds them when their degrees are high.
    to_chebyshev = np.linalg.inv

    def chebyshev(premium):
        boundary = to_chebyshev(monomials(len(premium.boundary))) @ premium.boundary
        surface = to_chebyshev(monomials(premium.surface.shape[1])) @ premium.surface
        return premium._replace(boundary=boundary, surface=surface, powers=False)

    other = prepared._replace(premium={key: chebyshev(p) for key, p in prepared.premium.items()})
    for real, tolerance in ((np.float64, 1e-8), (np.float32, 1e-3)):
        got = actual(of, other, slice(None), real)
        assert np.abs(got - expected(of, other, slice(None))).max() <= tolerance
    assert any("chebyshev" in name for name in current().launches)


def test_scenarios_without_a_fit_are_priced_by_the_reference(host):
    of = book(np.random.default_rng(8), 25, american=True, years=(0.5,), strikes=2)
    prepared = cpu_reference.prepare(of.instruments, of.market, of.shocks)
    marked = {
        key: p._replace(direct=np.arange(len(p.direct)) % 10 == 4, surface=p.surface * 1.5)
        for key, p in prepared.premium.items()
    }
    prepared = prepared._replace(premium=marked)
    before = host_priced()
    scenarios = slice(3, 20)
    got, right = (f(of, prepared, scenarios, *a) for f, a in ((actual, (np.float64,)), (expected, ())))
    early = of.instruments.american & (of.market.today.years[of.instruments.maturity] > 0)
    assert host_priced() - before == 2 * early.sum()
    direct = [1, 11]
    assert (got[early][:, direct] == right[early][:, direct]).all()
    assert np.abs(got - right).max() <= 1e-8


def test_nothing_happens(host):
    """Without a shock the profit and loss is rounding."""
    of = book(np.random.default_rng(9), 3, american=True, years=(0.5,))
    today = of.market.today
    still = Shocks(
        np.full(3, of.market.spot),
        np.full(3, of.market.fx),
        np.repeat(today.forward[:, None], 3, axis=1),
        np.repeat(today.rate[:, None], 3, axis=1),
        np.ones((len(today.years), 3)),
    )
    of = of._replace(shocks=still)
    prepared = cpu_reference.prepare(of.instruments, of.market, of.shocks)
    for real, size in ((np.float64, 1e-11), (np.float32, 1e-3)):
        assert np.abs(actual(of, prepared, slice(None), real)).max() <= size


def test_no_surface(host):
    """Options without a volatility give NaN, as the reference does."""
    of = book(np.random.default_rng(10), 5, years=(0.5,))
    empty = Smile(np.zeros(3, dtype=np.intp), np.empty(0), np.array([[np.nan, 0.0, 0.0]] * 2))
    compare(of._replace(market=of.market._replace(smile_today=empty, smile_horizon=empty)), "no surface")


def test_float_keeps_digits_of_the_difference(host):
    """Profit and loss of a small move: the error is small beside it, not only beside the price."""
    of = book(np.random.default_rng(11), 50, size=1e-3, years=(0.5,), own_vol=False)
    prepared = cpu_reference.prepare(of.instruments, of.market, of.shocks)
    right = expected(of, prepared, slice(None))
    got = actual(of, prepared, slice(None), np.float32)
    share = np.abs(got - right).max() / np.abs(right).max()
    print(f"largest error {share:.1e} of the largest profit and loss, of moves of 0.1 %")
    assert share <= 1e-4


def test_arguments(host):
    of = book(np.random.default_rng(12), 4)
    prepared = cpu_reference.prepare(of.instruments, of.market, of.shocks)
    n = len(of.instruments.kind)

    def call(shocks=of.shocks, prepared=prepared, scenarios=slice(None), out=None):
        revalue(of.instruments, of.market, shocks, prepared, scenarios, np.empty((n, 4)) if out is None else out)

    with pytest.raises(TypeError, match=r"out has dtype int64; expected float64"):
        call(out=np.empty((n, 4), dtype=np.int64))
    with pytest.raises(ValueError, match=r"out has shape \(2, 4\)"):
        call(out=np.empty((2, 4)))
    with pytest.raises(ValueError, match="out is not C-contiguous"):
        call(out=np.empty((4, n)).T)
    with pytest.raises(ValueError, match=r"scenarios has step 2; expected 1"):
        call(scenarios=slice(0, 4, 2))
    with pytest.raises(TypeError, match=r"shocks.spot has dtype float32"):
        call(shocks=of.shocks._replace(spot=of.shocks.spot.astype(np.float32)))
    with pytest.raises(ValueError, match=r"shocks.rate has shape \(4,\)|shocks.rate has shape"):
        call(shocks=of.shocks._replace(rate=of.shocks.rate[:, :2]))
    with pytest.raises(ValueError, match=r"prepared.price has shape \(1,\)"):
        call(prepared=prepared._replace(price=prepared.price[:1]))


PROBE = """
#include "black.cuh"
extern "C" __global__ void probe(
    long long n, const double *m, const double *s, double *phi, double *ratio, double *black, float *single,
    double *bachelier) {
    for (long long i = threadIdx.x; i < n; i += blockDim.x) {
        phi[i] = density(m[i]);
        ratio[i] = mills_above(m[i]) / mills_below(m[i]);
        black[i] = black_time_value(m[i], s[i], 1.0);
        single[i] = black_time_value((float)m[i], (float)s[i], 1.0f);
        bachelier[i] = bachelier_time_value(m[i]);
    }
}
"""


def precise_black(m, s):
    """The undiscounted call at F = 1, ln(K/F) = m·s ≥ 0, at 40 digits."""
    with mpmath.workdps(40 + int(m * s)):
        m, s = mpmath.mpf(m), mpmath.mpf(s)
        return float(mpmath.ncdf(s / 2 - m) - mpmath.exp(m * s) * mpmath.ncdf(-m - s / 2))


def test_normal_distribution(tmp_path):
    """φ, Mills' ratio and the time values over the whole range."""
    (tmp_path / "probe.cu").write_text(PROBE)
    (tmp_path / "black.cuh").write_text((kernel_path() / "black.cuh").read_text())
    rng = np.random.default_rng(1)
    m = np.concatenate([np.linspace(0, 12, 20_001), np.linspace(12, 37, 2_001), np.geomspace(1e-12, 1, 500)])
    s = np.exp(rng.uniform(np.log(1e-4), np.log(8), len(m)))
    m, s = (a.astype(np.float32).astype(np.float64) for a in (m, s))  # the float functions' input, exactly
    phi, ratio, black, bachelier = np.full((4, len(m)), np.nan)
    single = np.full(len(m), np.nan, dtype=np.float32)
    arguments = (np.int64(len(m)), m, s, phi, ratio, black, single, bachelier)
    HostDevice(folder=tmp_path).launch("probe", "probe", (1,), (4,), arguments)

    exact = np.exp(-0.5 * m * m) / np.sqrt(2 * np.pi)
    mills = np.sqrt(np.pi / 2) * erfcx(m / np.sqrt(2))
    some = rng.integers(0, 12_000, 400)
    precise = np.array([precise_black(*pair) for pair in zip(m[some], s[some], strict=True)])
    errors = {
        "density": (np.abs(phi - exact).max(), 1e-15),
        "Mills' ratio": (np.abs(ratio - mills).max(), 3e-15),  # its fit 1e-15, and rounding
        "Mills' ratio times φ": ((exact * np.abs(ratio - mills)).max(), 1e-15),
        "Black": (np.abs(black[some] - precise).max(), 1e-15),
        "Black in float": (np.abs(single - black).max(), 5e-7),
        "Black in float, of s": ((np.abs(single - black) / s).max(), 1e-6),
        "Bachelier": (np.abs(bachelier - exact * (1 - m * mills)).max(), 1e-15),
    }
    for name, (worst, allowed) in errors.items():
        print(f"{name}: largest error {worst:.1e}, {worst / allowed:.1%} of what is allowed")
        assert worst <= allowed


def test_under_sanitizers(sanitized):
    compare(book(np.random.default_rng(13), 37, strikes=3, years=(0.3,), american=True, rates=0.003), "sanitized")
