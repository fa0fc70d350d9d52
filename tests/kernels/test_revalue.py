"""`revalue` on the device against the reference, on random and on extreme input; outputs are poisoned first.

Errors are per contract over fx times the larger of spot and strike (normal: and the deviation), before the multiplier.
"""

import importlib
from typing import NamedTuple

import numpy as np
import pytest
from kernels.budget import spend
from kernels.host.device import HostDevice

import cpu_reference
from cpu_reference.chebyshev import monomials
from cpu_reference.revalue import Request
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
from gpu_var import cuda
from gpu_var.cuda.device import current, use
from gpu_var.cuda.revalue import host_priced, prepare, prepare_all, revalue
from gpu_var.market.state import Underlying, together

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

    def add(self, kind, maturity, strikes=(np.nan,), sign=0, american=False, inverse=False, vol=np.nan):
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
    undated = int(np.flatnonzero(years <= 0)[0])
    build.add(SPOT, undated)
    build.add(PERPETUAL, undated)
    if not normal:
        build.add(PERPETUAL, undated, inverse=True)
    for m, t in enumerate(years):
        build.add(FUTURE, m)
        if not normal:
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
    shocks = Shocks.of_levels(
        normal,
        spot=spots,
        fx=1.3 * np.exp(rng.normal(0, 0.01, n_scenarios)),
        forward=np.where(live, forwards, spots),
        rate=horizon.rate[:, None] + rates * rng.normal(0, 1, n_scenarios) * np.ones(shape),
        vol_growth=growth,
    )
    market = Market.of_one(normal, sticky, False, spot, 1.3, today, horizon, smile_today, smile_horizon)
    return Book(build.done(), market, shocks)


def expected(of, prepared, scenarios):
    out = np.empty((len(of.instruments.kind), len(range(*scenarios.indices(of.shocks.n_scenarios)))))
    first, stop, _ = scenarios.indices(of.shocks.n_scenarios)
    cpu_reference.revalue(of.instruments, of.market, of.shocks, prepared, slice(first, stop), out)
    return out


def actual(of, prepared, scenarios, real):
    device = current()
    n = len(range(*scenarios.indices(of.shocks.n_scenarios)))
    out = device.upload(np.full((len(of.instruments.kind), n), np.nan, dtype=real))
    revalue(of.instruments, of.market, of.shocks.moving(device.upload), prepared, scenarios, out)
    return device.download(out)


def compare(of, what, scenarios=slice(None), prepared=None):
    """Both precisions against the reference; `what` stands in the output of a failure."""
    device = current()
    prepared = prepared or cpu_reference.prepare(of.instruments, of.market, of.shocks)
    reference = expected(of, prepared, scenarios)
    strike = np.nan_to_num(np.abs(of.instruments.strike))
    levels = of.shocks.at(0, scenarios)
    unit = np.maximum(np.abs(levels.spot), np.maximum(strike, abs(of.market.spot[0]))[:, None])
    if of.market.normal:
        deviation = np.sqrt(np.nanmax(of.market.smile_horizon.segment[:, 0]) * of.market.horizon.years.max())
        unit = np.maximum(unit, deviation)
    unit = unit * levels.fx * of.instruments.multiplier[:, None]
    early = of.instruments.american
    for real in (np.float64, np.float32):
        got = actual(of, prepared, scenarios, real)
        assert got.dtype == real
        assert (np.isnan(got) == np.isnan(reference)).all()
        with np.errstate(all="ignore"):
            error = np.abs(got - reference) / unit
        for name, rows, budget in (("European", ~early, EUROPEAN), ("American", early, AMERICAN)):
            if rows.any():
                worst = float(np.nanmax(error[rows], initial=0.0))
                name_ = f"revalue, {name}, {np.dtype(real)}"
                print(f"{what}: {name_}: largest error {worst:.2g}")
                spend(name_, device.name, worst, budget if real is np.float64 else FLOAT)


def compare_random(seed, largest=200):
    """One of the cases below, with numbers of strikes and scenarios around the kernels' tiles."""
    rng = np.random.default_rng(seed)
    american = bool(rng.random() < 0.3)
    cases = AMERICAN_CASES if american else CASES
    options = cases[list(cases)[rng.integers(len(cases))]]
    n = int(rng.choice([1, 2, 31, 33, 127, 129, 255, 257, rng.integers(1, largest)]))
    strikes = int(rng.choice([0, 1, 3, 31, 33, 63, 65, rng.integers(0, largest)]))
    first = int(rng.integers(0, n))
    what = f"seed {seed}: {strikes} strikes, scenarios {first} to {n}, {options}"
    compare(book(rng, n, **{"strikes": strikes, **options}), what, slice(first, n))


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


SHORT = {"years": (0.1, 1.0), "american": True}

AMERICAN_CASES = {
    "one rate": {**SHORT},
    "rates": {**SHORT, "rates": 0.003},
    "carry": {**SHORT, "carry": 0.004},
    "sticky strike": {**SHORT, "sticky": True},
    "positions roll": {**SHORT, "roll": True},
    "short": {**SHORT, "years": (1e-3, 1 / 365)},
    "own volatility for all": {**SHORT, "own_vol": True, "strikes": 3},
    "strikes in no order": {**SHORT, "order": lambda z: z},
}


@pytest.mark.parametrize("name", AMERICAN_CASES)
def test_american(name, host):
    compare(book(np.random.default_rng(3), 60, **AMERICAN_CASES[name]), name)


@pytest.mark.parametrize("n", [3, 7])
def test_american_with_a_fit_for_each_scenario(n, host):
    of = book(np.random.default_rng(n), n, **SHORT, rates=0.003, carry=0.004)
    fits = prepare(of.instruments, of.market, of.shocks).premium.values()
    assert all(fit.weights is None and len(set(fit.node.tolist())) > 1 for fit in fits)
    compare(of, f"{n} scenarios")


@pytest.mark.parametrize("seed", range(6))
def test_random(seed, host):
    compare_random(seed, 40)


@pytest.mark.parametrize("n", [0, 1, 2, 31, 33, 255, 257])
@pytest.mark.parametrize("strikes", [0, 1, 65])
def test_shapes(n, strikes, host):
    of = book(np.random.default_rng(n), n, strikes, years=(0.3,), american=strikes == 1 and n < 40, own_vol=False)
    if n == 0:
        prepared = cpu_reference.Prepared(np.zeros(len(of.instruments.kind)), {})
        assert actual(of, prepared, slice(None), np.float64).shape == (len(of.instruments.kind), 0)
    else:
        compare(of, f"{n} scenarios")


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


@pytest.mark.parametrize("real", [np.float64, np.float32])
def test_tiles_of_the_engine(host, monkeypatch, real):
    """Tile by tile, from one table for all of them, the very bits of the whole: also where tiles cut a smile's strikes,
    mixed coefficients, futures and expired options."""
    monkeypatch.setattr(importlib.import_module("gpu_var.cuda.revalue"), "TILE", 7)
    of = book(np.random.default_rng(5), 40, american=True, years=(0.1, 0.5), rates=0.003)
    prepared = prepare(of.instruments, of.market, of.shocks)
    whole = actual(of, prepared, slice(None), real)
    n, shocks = len(of.instruments.kind), of.shocks.moving(current().upload)
    for begin in range(0, n, 7):
        rows = slice(begin, min(begin + 7, n))
        out = current().upload(np.full((rows.stop - begin, 11), np.nan, dtype=real))
        revalue(of.instruments, of.market, shocks, prepared, slice(20, 31), out, rows)
        assert (current().download(out) == whole[rows, 20:31]).all()
    for wrong in (slice(0, 6), slice(3, 10), slice(7, 21)):
        with pytest.raises(ValueError, match=f"rows names {wrong.start} to {wrong.stop} of {n}; expected a tile of 7"):
            revalue(of.instruments, of.market, shocks, prepared, slice(0, 1), np.empty((7, 1)), wrong)


def test_rows_of_the_reference():
    of = book(np.random.default_rng(5), 20, american=True, years=(0.5,))
    prepared = cpu_reference.prepare(of.instruments, of.market, of.shocks)
    whole = expected(of, prepared, slice(None))
    out = np.full((9, 20), np.nan)
    cpu_reference.revalue(of.instruments, of.market, of.shocks, prepared, slice(None), out, slice(4, 13))
    assert (out == whole[4:13]).all()


TODAY = {
    "European": {},
    "normal": {"normal": True},
    "American": {**SHORT},
    "American, rates": {**SHORT, "rates": 0.003},
    "American, positions roll": {**SHORT, "roll": True},
    "American, sticky strike": {**SHORT, "sticky": True},
}


def compare_today(of, what):
    """Today's prices against the reference's; inverse futures and fx have no part in them."""
    got = prepare(of.instruments, of.market, of.shocks)
    right = cpu_reference.prepare(of.instruments, of.market, of.shocks)
    assert got.price.dtype == np.float64
    assert got.premium.keys() == right.premium.keys()
    assert all(len(p.direct) == len(right.premium[key].direct) for key, p in got.premium.items())
    strike = np.nan_to_num(np.abs(of.instruments.strike))
    error = np.abs(got.price - right.price) / np.maximum(abs(of.market.spot[0]), strike)
    for name, rows, budget in (
        ("European", ~of.instruments.american, EUROPEAN),
        ("American", of.instruments.american, AMERICAN),
    ):
        if rows.any():
            print(f"{what}: {name}: largest error {error[rows].max():.2g}")
            spend(f"prepare, {name}", current().name, float(error[rows].max()), budget)


@pytest.mark.parametrize("name", TODAY)
def test_prices_of_today(name, host):
    compare_today(book(np.random.default_rng(2), 30, **TODAY[name]), name)


def test_prices_of_today_without_a_fit_are_the_references(host):
    """Dividends above rates that are below 0: exercise between two boundaries, which no fit covers."""
    of = book(np.random.default_rng(2), 4, american=True, years=(2.0,), strikes=2, vol=0.1)
    today = of.market.today._replace(rate=np.full(2, -0.005), forward=of.market.spot[0] * np.exp([0.015 * 2.0, 0.0]))
    market = of.market._replace(today=today, horizon=today)
    still = unchanged(market).moving(lambda row: np.repeat(row, 4, axis=1))
    of = of._replace(market=market, shocks=still)
    assert any(p.direct.all() for p in prepare(of.instruments, market, still).premium.values())
    compare_today(of, "two boundaries")


def test_many_underlyings_are_prepared_as_each_alone(host):
    """Only fits' last digits may depend on what they are made with."""
    some = [
        book(np.random.default_rng(seed), 10, strikes=3, **case)
        for seed, case in enumerate((SHORT, {}, {**SHORT, "roll": True, "spot": 40.0}, {**SHORT, "rates": 0.003}))
    ]
    together = prepare_all([Request(*of) for of in some])
    for of, one in zip(some, together, strict=True):
        alone = prepare(*of)
        assert one.premium.keys() == alone.premium.keys()
        np.testing.assert_allclose(one.price, alone.price, rtol=1e-12, atol=1e-10 * of.market.spot[0])
    assert [len(one.premium) for one in together] == [4, 0, 4, 4]
    assert prepare_all([]) == []


def pooled(books):
    """Several books as one, whose shocks' rows stand one after another."""
    nobody = np.zeros(0, dtype=np.intp)
    pool = together([Underlying(u, nobody, *of[:2], of.instruments) for u, of in enumerate(books)])
    columns = Shocks(*zip(*(of.shocks for of in books), strict=True))
    before = [np.cumsum([0, *map(len, rows)])[:-1] for rows in columns[3:]]
    offset = np.stack([before[0], before[0], *before[1:]], axis=1)[..., None]
    row = np.concatenate([own + by for own, by in zip(columns.row, offset, strict=True)], axis=1).astype(np.int32)
    shocks = Shocks(columns.normal[0], row, np.concatenate(columns.base, axis=1), *map(np.concatenate, columns[3:]))
    return Book(pool.instruments, pool.market, shocks)


POOLS = {
    "alike": [{}, {"spot": 40.0}, {"knots": 3}],
    "American": [SHORT, {**SHORT, "spot": 40.0, "carry": 0.01}, {}, {**SHORT, "rates": 0.003}],
    "that roll": [{**SHORT, "roll": True}, {"roll": True, "years": (0.02, 0.4)}],
    "normal": [{"normal": True}, {"normal": True, "spot": -40.0, "sticky": False}],
    "sticky": [{"sticky": True}, {"sticky": True, "spot": 7.0}],
}


@pytest.mark.parametrize("name", POOLS)
def test_underlyings_together_are_as_each_alone(name, host):
    """By the kernels, within the budgets; by the reference, to the bit but for what fits have of each other."""
    books = [book(np.random.default_rng(seed), 21, strikes=4, **case) for seed, case in enumerate(POOLS[name])]
    whole = pooled(books)
    compare(whole, f"together, {name}")
    compare_today(whole, f"together, {name}")
    prepared = cpu_reference.prepare(*whole)
    alone = [expected(of, cpu_reference.prepare(*of), slice(None)) for of in books]
    got = np.split(expected(whole, prepared, slice(None)), np.cumsum([len(one) for one in alone])[:-1])
    for of, one, other in zip(books, alone, got, strict=True):
        np.testing.assert_array_equal(one[~of.instruments.american], other[~of.instruments.american])
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-9 * of.market.spot[0])


def test_a_fit_with_the_kernels_boundaries(compiler):
    """Fit, boundaries and prices by kernels; elsewhere in this folder the reference finds the boundaries."""
    of = book(np.random.default_rng(3), 3, american=True, years=(0.5,), strikes=2, own_vol=False)
    puts = (of.instruments.sign < 0) | ~of.instruments.american
    of = of._replace(instruments=of.instruments.cut(np.flatnonzero(puts)))
    with use(HostDevice()) as device:
        compare_today(of, "boundaries of the kernels")
        assert {"solve_boundary", "integrate"} <= set(device.launches)


def test_what_is_the_same_for_all_is_copied_once(host, monkeypatch):
    sent = []
    monkeypatch.setattr(host, "upload", lambda array: sent.append(array.shape) or np.ascontiguousarray(array))
    column, row = np.arange(3.0)[:, None], np.arange(4.0)
    for array in (column + row, np.broadcast_to(column, (3, 4)), np.broadcast_to(row, (3, 4)), row, np.zeros((0, 4))):
        got = cuda.to_device(array)
        assert got.flags.c_contiguous
        assert (got == array).all()
        assert got.shape == array.shape
    assert sent[:4] == [(3, 4), (3, 1), (1, 4), (4,)]


@pytest.mark.parametrize("real", [np.float64, np.float32])
def test_tables_that_travel_alone_are_those_that_travel_together(host, monkeypatch, real):
    of = book(np.random.default_rng(3), 20, american=True, years=(0.5, 1.0))
    prepared = prepare(of.instruments, of.market, of.shocks)
    got, sent = [], []
    for limit in (1 << 16, -1):
        monkeypatch.setattr(importlib.import_module("gpu_var.cuda.revalue_tables"), "_TOGETHER", limit)
        again = prepared._replace(price=prepared.price.copy())  # tables of the same arrays are kept
        uploads = []
        monkeypatch.setattr(host, "upload", lambda array, to=uploads: to.append(array) or np.array(array))
        got.append(actual(of, again, slice(None), real))
        sent.append(len(uploads))
    assert (got[0] == got[1]).all()
    assert sent[0] < sent[1]


def test_missing_premium_is_european(host):
    of = book(np.random.default_rng(6), 20, **SHORT)
    prepared = cpu_reference.prepare(of.instruments, of.market, of.shocks)._replace(premium={})
    compare(of, "changed fits", prepared=prepared)
    assert not any("american" in name for name in host.launches)


@pytest.mark.parametrize("rates", [0.0, 0.003])
def test_chebyshev_polynomials(host, rates):
    """Fits whose powers would lose digits are summed as Chebyshev polynomials."""
    of = book(np.random.default_rng(7), 30, **SHORT, rates=rates)
    prepared = cpu_reference.prepare(of.instruments, of.market, of.shocks)

    def chebyshev(fit):
        """The same polynomials as the reference holds them where their degrees are high."""
        boundary = np.linalg.solve(monomials(len(fit.boundary)), fit.boundary)
        surface = np.linalg.solve(monomials(fit.surface.shape[1]), fit.surface)
        return fit._replace(boundary=boundary, surface=surface, powers=False)

    compare(
        of, "changed fits", prepared=prepared._replace(premium={k: chebyshev(p) for k, p in prepared.premium.items()})
    )
    assert {f"revalue_american_chebyshev_{real}" for real in ("double", "float")} <= set(host.launches)


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


def unchanged(market):
    """One scenario in which nothing happens."""
    today = market.today
    return Shocks.of_levels(
        market.normal,
        market.spot[:1],
        market.fx[:1],
        today.forward[:, None],
        today.rate[:, None],
        np.ones((len(today.years), 1)),
    )


@pytest.mark.parametrize("backend", [cpu_reference, cuda])
def test_nothing_happens(host, backend):
    """Without a shock the profit and loss is rounding: in float32, of the time value."""
    of = book(np.random.default_rng(9), 3, american=True, years=(0.5,))
    of = of._replace(shocks=unchanged(of.market).moving(lambda row: np.repeat(row, 3, axis=1)))
    prepared = backend.prepare(of.instruments, of.market, of.shocks)
    strike = np.nan_to_num(of.instruments.strike)
    unit = (np.maximum(strike, of.market.spot[0]) * of.market.fx[0] * of.instruments.multiplier)[:, None]
    for real, size in ((np.float64, 1e-14), (np.float32, FLOAT)):
        assert (np.abs(actual(of, prepared, slice(None), real)) <= size * unit).all()


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
    share = float(np.abs(got - right).max() / np.abs(right).max())
    spend("revalue, float32, of a move of 0.1 %", "host", share, 1e-4)


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
    with pytest.raises(TypeError, match=r"shocks.move has dtype float32"):
        call(shocks=of.shocks._replace(move=of.shocks.move.astype(np.float32)))
    with pytest.raises(ValueError, match=r"shocks.rate has shape \(4,\)|shocks.rate has shape"):
        call(shocks=of.shocks._replace(rate=of.shocks.rate[:, :2]))
    with pytest.raises(ValueError, match=r"shocks.base has shape \(3, 3\); expected \(3, 4\)"):
        call(shocks=of.shocks._replace(base=of.shocks.base[:, :3]))
    with pytest.raises(ValueError, match=r"shocks.row names row 5 of move; expected 0 to 4"):
        call(shocks=of.shocks._replace(row=of.shocks.row + np.array([[0], [1], [0], [0], [0]])))
    with pytest.raises(ValueError, match=r"shocks.normal is True, market.normal False"):
        call(shocks=of.shocks._replace(normal=True))
    with pytest.raises(ValueError, match=r"prepared.price has shape \(1,\)"):
        call(prepared=prepared._replace(price=prepared.price[:1]))


def test_under_sanitizers(sanitized):
    compare(book(np.random.default_rng(13), 37, strikes=3, years=(0.3,), american=True, rates=0.003), "sanitized")
