"""Early-exercise premiums of many chains fitted in one call: each is the fit that it would be alone."""

import numpy as np
import pytest

from cpu_reference import premium_nodes
from cpu_reference.exercise import HOST, Solver
from cpu_reference.premium import Chain, fit_premium, fit_premiums

CALL, PUT = 1, -1


class Counting:
    """The host as a device would be: everything at once; the sizes of what it is asked."""

    def __init__(self, block=1 << 40):
        self.solved, self.integrated = [], []
        self.solver = Solver(self.boundary, self.integral, block)

    def boundary(self, puts, side, degree, points, guess=None):
        self.solved.append(len(puts.vol))
        return HOST.boundary(puts, side, degree, points, guess)

    def integral(self, x, *rest):
        self.integrated.append(x.size)
        return HOST.integral(x, *rest)


def constant(years, sign, rate, dividend, low=0.15, high=0.6, scenarios=5):
    return Chain(years, sign, np.full(scenarios, rate), np.full(scenarios, dividend), low, high)


def close(one, other):
    assert one.surface.shape == other.surface.shape
    assert (one.years, one.sign, one.powers) == (other.years, other.sign, other.powers)
    assert one.z_max == pytest.approx(other.z_max, rel=1e-12)
    assert one.error == pytest.approx(other.error, rel=1e-6, abs=1e-14)
    # Powers of degree 20 and more are large and of both signs: their last digits are large too.
    scale = max(1.0, np.abs(other.surface).max())
    np.testing.assert_allclose(one.surface, other.surface, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(
        one.boundary, other.boundary, rtol=0, atol=1e-12 * np.abs(other.boundary[:, 1:]).max(initial=1.0)
    )
    np.testing.assert_array_equal(one.node, other.node)
    np.testing.assert_array_equal(one.direct, other.direct)
    assert (one.weights is None) == (other.weights is None)
    if one.weights is not None:
        np.testing.assert_array_equal(one.weights, other.weights)


def test_chains_fitted_together_are_those_fitted_alone():
    rate, dividend = np.linspace(0.03, 0.05, 40), np.full(40, 0.02)
    chains = [
        Chain(years, sign, rate if moves else rate[:1].repeat(40), dividend, 0.15, 0.6)
        for years, moves in ((0.02, False), (0.5, False), (0.7, True), (2.0, False))
        for sign in (CALL, PUT)
    ]
    for together, chain in zip(fit_premiums(chains), chains, strict=True):
        close(together, fit_premium(*chain[:6]))


def test_chains_of_every_kind_together():
    rng = np.random.default_rng(1)
    grid = np.tile([0.02, 0.03, 0.04, 0.05], 5)
    chains = [
        constant(1.0, PUT, -0.02, 0.02),  # never exercised
        constant(0.5, PUT, 0.05, 0.2, 0.01, 5.0),  # the widest range
        Chain(0.5, CALL, grid, np.repeat([0.01, 0.02, 0.03, 0.035, 0.04], 4), 0.2, 0.5),  # a node each
        constant(0.5, PUT, 0.02, 0.01, 0.2, 1000.0),  # no fit
        constant(1.0, PUT, 0.05, 0.02, 0.2, 0.2, scenarios=1),  # one volatility
        Chain(0.5, PUT, np.repeat([-0.01, 0.02], 4), np.repeat([-0.03, 0.01], 4), 0.2, 0.4),  # some with two boundaries
        Chain(0.5, PUT, 0.05 + rng.normal(0, 0.004, 60), 0.01 + rng.normal(0, 0.004, 60), 0.2, 0.5),  # interpolated
        constant(0.01, PUT, 1e-7, 0.0),  # a negligible premium
    ]
    fits = fit_premiums(chains)
    assert [fit.weights is not None for fit in fits] == [False] * 6 + [True, False]
    assert [fit.surface.shape[-1] for fit in fits if fit.weights is None] == [1, 2, 21, 2, 2, 2, 1]
    assert [bool(fit.direct.any()) for fit in fits] == [False, False, False, True, False, True, False, False]
    for together, chain in zip(fits, chains, strict=True):
        close(together, fit_premium(*chain[:6]))
    for turned, fit in zip(fit_premiums(chains[::-1])[::-1], fits, strict=True):
        close(turned, fit)


def test_underlyings_fitted_together_are_those_fitted_alone():
    """At r = q calls and puts have the same exercise boundaries, and those of all underlyings would share them."""
    chains = [
        constant(years, sign, 0.04, 0.04, 0.15 + 0.01 * u, 0.5 + 0.02 * u + 0.01 * sign)._replace(owner=u)
        for u in range(4)
        for years in (0.1, 0.7)
        for sign in (CALL, PUT)
    ]
    apart, shared = Counting(), Counting()
    together = fit_premiums(chains, apart.solver)
    fit_premiums([chain._replace(owner=0) for chain in chains], shared.solver)
    assert sum(shared.solved) < sum(apart.solved)
    for u in range(4):
        own = slice(4 * u, 4 * u + 4)
        alone = fit_premiums([chain._replace(owner=7) for chain in chains[own]])
        for one, other in zip(together[own], alone, strict=True):
            close(one, other)


def test_chains_that_the_same_rates_move_share_what_is_made_of_them():
    """Puts and calls of underlyings whose dividends stand still, but for rounding."""
    rng = np.random.default_rng(4)
    rate = 0.04 + rng.normal(0, 0.004, 400)
    chains = [
        Chain(0.5, sign, rate, dividend, 0.2, 0.5, owner)
        for owner, dividend in enumerate(
            (np.full(400, 0.01), 0.02 + rng.normal(0, 1e-17, 400), np.broadcast_to(0.03, (400,)))
        )
        for sign in (CALL, PUT)
    ]
    fits = fit_premiums(chains)
    for sign in (CALL, PUT):
        weights = [fit.weights for fit in fits if fit.sign == sign]
        assert len({id(one) for one in weights}) == len({one.shape for one in weights})  # those of one degree
    assert len({id(fit.weights) for fit in fits}) < len(fits)
    for fit, chain in zip(fits, chains, strict=True):
        assert 1 < fit.weights.shape[1] < 20
        alone = fit_premium(0.5, chain.sign, rate.copy(), chain.dividend, 0.2, 0.5)
        close(fit, alone)
    moving = fit_premium(0.5, PUT, rate, 0.02 + rng.normal(0, 1e-3, 400), 0.2, 0.5)
    assert moving.weights.shape[1] > fits[1].weights.shape[1]


def test_many_chains_take_no_more_calls_than_one():
    one, many = Counting(), Counting()
    (alone,) = fit_premiums([constant(0.5, PUT, 0.04, 0.01)], one.solver)
    fits = fit_premiums([constant(0.5, PUT, 0.04, 0.01)._replace(owner=i) for i in range(12)], many.solver)
    assert len(many.solved) == len(one.solved) > 0
    assert len(many.integrated) == len(one.integrated) > 0
    assert sum(many.solved) == 12 * sum(one.solved)
    assert sum(many.integrated) == 12 * sum(one.integrated)
    for fit in fits:
        close(fit, alone)


def test_nodes_in_blocks(monkeypatch):
    rates = np.tile(np.linspace(0.02, 0.05, 7), 6), np.repeat(np.linspace(0.01, 0.03, 6), 7)
    chains = [Chain(years, sign, *rates, 0.2, 0.5) for years in (0.3, 0.5) for sign in (CALL, PUT)]
    whole, blocks = Counting(), Counting()
    expected = fit_premiums(chains, whole.solver)
    assert all(fit.surface.shape[-1] == 43 for fit in expected)
    monkeypatch.setattr(premium_nodes, "_ELEMENTS", 1500)
    found = fit_premiums(chains, blocks.solver)
    assert max(blocks.integrated) < max(whole.integrated) / 3
    for fit, other in zip(found, expected, strict=True):
        close(fit, other)


def test_no_chains_are_no_fits():
    assert fit_premiums([]) == []
