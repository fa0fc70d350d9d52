"""The fitted early-exercise premium against the direct pricer, element by element."""

import numpy as np
import pytest

from cpu_reference import premium as premium_module
from cpu_reference.american import american
from cpu_reference.black import black
from cpu_reference.premium import american_from_premium, fit_premium

CALL, PUT = 1, -1
SCENARIOS = 156
AIM = 2e-6  # of the strike or the spot, whichever is less


class Tile:
    """Instruments around the money, σ scattered by scenario within the range fitted."""

    def __init__(self, years, sign, rate, dividend, low, high, instruments=12, scenarios=SCENARIOS):
        rng = np.random.default_rng(1)
        self.years, self.sign, self.range = years, sign, (low, high)
        self.rate, self.dividend = (np.broadcast_to(x, scenarios).astype(float) for x in (rate, dividend))
        base = np.geomspace(low, high, instruments)[:, None]
        self.vol = np.clip(base * np.exp(rng.normal(0, 0.15, (instruments, scenarios))), low, high)
        width = rng.uniform(-2.5, 2.5, self.vol.shape)
        self.k = np.clip(width, -2.5, 2.5) * np.minimum(self.vol * np.sqrt(years), 1.5)
        forward = np.exp(self.k + (self.rate - self.dividend) * years)
        self.european = np.exp(-self.rate * years) * black(forward, 1.0, self.vol * np.sqrt(years), sign)
        self.fit = fit_premium(years, sign, self.rate, self.dividend, low, high)

    def price(self, rows=slice(None), columns=slice(0, None)):
        inputs = (np.ascontiguousarray(x[rows][:, columns]) for x in (self.k, self.vol, self.european))
        out = np.full(self.k[rows][:, columns].shape, np.nan)
        k, vol, european = inputs
        assert american_from_premium(self.fit, k, vol, european, columns, out) is out
        return out

    def error(self):
        """Largest error over S, but no more than over K, of ``price`` on a thinned set."""
        pick = np.random.default_rng(2).random(self.k.shape) < 0.3
        rate, dividend = (np.broadcast_to(x, self.k.shape)[pick] for x in (self.rate, self.dividend))
        exact = american(np.exp(self.k[pick]), 1.0, self.years, rate, dividend, self.vol[pick], self.sign)
        error = np.abs(self.price()[pick] - exact) / np.minimum(np.exp(self.k[pick]), 1)
        print(f"largest error {error.max():.1e}, estimate {self.fit.error:.1e}, nodes {self.fit.surface.shape}")
        return error.max()


UNIFORM = [
    (1, 0.05, 0.02, 0.15, 0.4),
    (0.25, 0.04, 0.0, 0.1, 0.8),
    (0.25, 0.0, -0.05, 0.3, 1.5),
    (0.25, 0.0, 0.05, 0.3, 1.5),
    (0.01, 0.05, 0.01, 0.1, 3.0),
    (5, 0.03, 0.06, 0.1, 0.5),
    (1, -0.01, 0.02, 0.1, 0.5),
    (1, 0.02, -0.01, 0.1, 0.5),
    (0.5, 0.05, 0.2, 0.01, 5.0),
    (30, 0.05, 0.02, 0.1, 0.6),
    (10, 0.08, 0.01, 0.02, 0.1),
    (1, 0.05, 0.05, 0.2, 0.2),
    (1, 0.0, 0.0, 0.2, 0.4),
]


@pytest.mark.parametrize("sign", [CALL, PUT])
@pytest.mark.parametrize(("years", "rate", "dividend", "low", "high"), UNIFORM)
def test_one_rate(years, rate, dividend, low, high, sign):
    tile = Tile(years, sign, rate, dividend, low, high)
    assert not tile.fit.direct.any()
    assert tile.fit.error <= 1e-6
    assert tile.error() <= AIM


def shifts(scale, seed):
    return np.random.default_rng(seed).normal(0, scale, SCENARIOS)


SCATTER = {
    "rate": (1, 0.04 + shifts(0.005, 1), 0.02),
    "forward": (1, 0.04, 0.02 + shifts(0.01, 2)),
    "rate with the forward": (1, 0.04 + shifts(0.005, 1), 0.02 + shifts(0.005, 1)),
    "both": (0.5, 0.05 + shifts(0.004, 1), 0.01 + shifts(0.004, 2)),
    "forward at r = 0": (0.5, 0.0, shifts(0.03, 3)),
    "all signs": (0.5, shifts(0.01, 4), np.abs(shifts(0.01, 5))),
    "grid": (0.5, np.tile([0.02, 0.03, 0.04, 0.05], SCENARIOS // 4), np.repeat([0.01, 0.02, 0.03], SCENARIOS // 3)),
    "few": (0.5, np.repeat([0.03, 0.04], SCENARIOS // 2), 0.02),
}


@pytest.mark.parametrize("sign", [CALL, PUT])
@pytest.mark.parametrize("name", SCATTER)
def test_scattered_rates(name, sign):
    years, rate, dividend = SCATTER[name]
    tile = Tile(years, sign, rate, dividend, 0.2, 0.5)
    assert not tile.fit.direct.any()
    assert tile.error() <= AIM


@pytest.mark.parametrize("instruments", [12, 30])
def test_rates_far_below_the_dividends(instruments):
    """Exercise pays in the highest volatilities alone, and there interpolation between rates is hardest."""
    rate = np.random.default_rng(7).uniform(0.0005, 0.02, 400)
    tile = Tile(0.25, PUT, rate, 0.04, 0.15, 0.7, instruments, scenarios=400)
    assert tile.fit.weights.shape[1] < 20
    tile.k -= 0.7 * tile.vol * np.sqrt(tile.years)  # nearer to exercise
    forward = np.exp(tile.k + (tile.rate - tile.dividend) * tile.years)
    tile.european = np.exp(-tile.rate * tile.years) * black(forward, 1.0, tile.vol * np.sqrt(tile.years), PUT)
    assert tile.error() <= AIM


@pytest.mark.parametrize("sign", [CALL, PUT])
def test_what_moves_along_a_line_is_as_what_does_not(sign):
    """The same rates, once as scenarios of which there are too few for a line."""
    rate = np.random.default_rng(8).uniform(0.02, 0.05, 600)
    whole = fit_premium(0.7, sign, rate, np.full(600, 0.015), 0.2, 0.5)
    k, vol = np.random.default_rng(9).uniform(-0.5, 0.5, (2, 20, 100))
    vol = 0.2 + 0.3 * np.abs(vol) / 0.5
    forward = np.exp(k + (rate[:100] - 0.015) * 0.7)
    european = np.exp(-rate[:100] * 0.7) * black(forward, 1.0, vol * np.sqrt(0.7), sign)
    few = fit_premium(0.7, sign, rate[:100], np.full(100, 0.015), 0.2, 0.5)
    got, want = (american_from_premium(fit, k, vol, european, slice(0, 100), np.empty_like(k)) for fit in (whole, few))
    assert whole.weights is not None
    np.testing.assert_allclose(got, want, rtol=0, atol=6e-7)


def test_two_boundaries_are_direct():
    rate, dividend = np.where(np.arange(20) < 4, -0.01, 0.02), np.where(np.arange(20) < 4, -0.03, 0.01)
    tile = Tile(0.5, PUT, rate, dividend, 0.2, 0.4, instruments=2, scenarios=20)
    assert (tile.fit.direct == (np.arange(20) < 4)).all()
    assert tile.error() <= AIM
    negligible = fit_premium(0.5, PUT, np.full(3, -0.01), np.full(3, -0.01 - 1e-9), 0.2, 0.4)
    assert not negligible.direct.any()


def test_fit_above_its_limit_is_direct(monkeypatch):
    monkeypatch.setattr(premium_module, "_LIMIT", 0.0)
    tile = Tile(0.5, PUT, 0.04, 0.01, 0.2, 0.4, instruments=2, scenarios=5)
    assert tile.fit.direct.all()
    exact = american(np.exp(tile.k), 1.0, 0.5, 0.04, 0.01, tile.vol, PUT)
    assert (tile.price() == exact).all()


@pytest.mark.parametrize("sign", [CALL, PUT])
def test_bounds(sign):
    tile = Tile(1, sign, 0.05, 0.04, 0.1, 0.6)
    price = tile.price()
    assert (price >= tile.european).all()
    assert (price >= np.maximum(sign * (np.exp(tile.k) - 1), 0)).all()


@pytest.mark.parametrize("sign", [CALL, PUT])
def test_far_from_the_money(sign):
    tile = Tile(0.5, sign, 0.05, 0.04, 0.1, 0.6)
    tile.k = np.broadcast_to(np.linspace(-40, 40, SCENARIOS), tile.k.shape).copy()
    forward = np.exp(tile.k + 0.01 * 0.5)
    tile.european = np.exp(-0.05 * 0.5) * black(forward, 1.0, tile.vol * np.sqrt(0.5), sign)
    price = tile.price()
    assert np.isfinite(price).all()
    inside, out = (
        np.broadcast_to(sign * tile.k[0] > 3, price.shape),
        np.broadcast_to(sign * tile.k[0] < -3, price.shape),
    )
    assert (price[inside] == np.abs(np.exp(tile.k) - 1)[inside]).all()
    assert (price[out] <= 1e-7 * np.maximum(np.exp(tile.k[out]), 1)).all()


@pytest.mark.parametrize("name", ["one", "rate", "all signs"])
def test_independent_of_the_tile(name):
    years, rate, dividend = SCATTER.get(name, (1, 0.04, 0.02))
    tile = Tile(years, PUT, rate, dividend, 0.2, 0.5)
    whole = tile.price()
    order = np.random.default_rng(0).permutation(SCENARIOS)
    assert tile.price(columns=order) == pytest.approx(whole[:, order], abs=1e-13)
    parts = [tile.price(rows=slice(i, i + 5), columns=slice(j, j + 52)) for i in (0, 5, 10) for j in (0, 52, 104)]
    joined = np.block([parts[0:3], parts[3:6], parts[6:9]])
    assert joined == pytest.approx(whole, abs=1e-13)


def test_vol_outside_the_range_is_refused():
    tile = Tile(1, PUT, 0.04, 0.02, 0.2, 0.5)
    tile.vol[3, 4] = 0.51
    with pytest.raises(ValueError, match="outside the range fitted"):
        tile.price()


def test_no_instruments():
    tile = Tile(1, PUT, 0.04, 0.02, 0.2, 0.5)
    assert tile.price(rows=slice(0, 0)).shape == (0, SCENARIOS)


def test_one_volatility_and_an_extreme_carry_is_fitted_and_ends():
    fit = fit_premium(1.9168, PUT, np.array([0.0]), np.array([-3.7092]), 0.3389, 0.3389)
    assert fit.error < 1e-5
    spot = np.exp(np.linspace(-2.0, 0.5, 9))[:, None]
    european = black(spot * np.exp(3.7092 * 1.9168), 1.0, 0.3389 * np.sqrt(1.9168), PUT)
    out = american_from_premium(fit, np.log(spot), np.full((9, 1), 0.3389), european, slice(0, 1), np.empty((9, 1)))
    np.testing.assert_allclose(out, american(spot, 1.0, 1.9168, 0.0, -3.7092, 0.3389, PUT), atol=AIM)


@pytest.mark.parametrize("years", [0.01, 0.5, 2.0])
def test_volatilities_beyond_any_fit_are_priced_directly(years):
    tile = Tile(years, PUT, 0.02, 0.01, 0.2, 1000.0, instruments=4, scenarios=5)
    assert tile.fit.direct.all()
    exact = american(np.exp(tile.k), 1.0, years, 0.02, 0.01, tile.vol, PUT)
    tile_price = tile.price()
    assert np.isfinite(tile_price).all()
    np.testing.assert_allclose(tile_price, np.maximum(exact, 1.0 - np.exp(tile.k)), rtol=0, atol=1e-12)


def test_rates_that_differ_by_rounding_are_one():
    noise = np.random.default_rng(3).uniform(-2e-16, 2e-16, 50)
    fit = fit_premium(0.5, PUT, np.full(50, 0.03), 0.02 + noise, 0.2, 0.5)
    assert fit.surface.shape[-1] == 2  # the node that is never exercised, and one
    apart = fit_premium(0.5, PUT, np.full(50, 0.03), 0.02 + 1e4 * noise, 0.2, 0.5)
    assert apart.weights is not None or apart.surface.shape[-1] == 51
