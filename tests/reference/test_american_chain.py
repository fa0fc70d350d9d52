"""Chains: options of one expiry share the interpolant of their exercise boundaries; each is as if priced by itself."""

import numpy as np
import pytest

from cpu_reference import american as american_module
from cpu_reference import boundary_chain, exercise
from cpu_reference.american import american, american_greeks
from cpu_reference.boundary import Puts

CALL, PUT = 1, -1
SPOT = 100.0
STRIKES = SPOT * np.exp(np.linspace(-0.5, 0.4, 60))
REGIMES = [(0.04, 0.015), (0.04, 0.0), (0.015, 0.04), (0.05, 0.05), (0.0, -0.03), (-0.01, -0.04), (-0.04, -0.01)]
REGIMES += [(0.0, -0.167)]  # a bumped rate turns from no exercise to some: its chain cannot start from the base one


def smile(strike, years):
    k = np.log(strike / SPOT)
    return 0.24 - 0.05 * k / np.sqrt(years + 0.1) + 0.3 * k**2 / (years + 0.3)


def chains(rate, dividend):
    """Puts and calls of 60 strikes in three expiries: the arguments of ``american``."""
    years, strike, sign = (a.ravel() for a in np.meshgrid([0.05, 0.5, 1.5], STRIKES, [PUT, CALL], indexing="ij"))
    return SPOT, strike, years, rate, dividend, smile(strike, years), sign


def alone(function, *arguments, **options):
    """The same with every option in a call of its own, here by a chain that is never long enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boundary_chain, "_PUTS_PER_NODE", 10**6)
        return function(*arguments, **options)


@pytest.mark.parametrize(("rate", "dividend"), REGIMES)
def test_price_is_that_of_the_option_by_itself(rate, dividend):
    book = chains(rate, dividend)
    assert american(*book) == pytest.approx(alone(american, *book), abs=1e-9 * SPOT, rel=0)


@pytest.mark.parametrize(("rate", "dividend"), REGIMES)
@pytest.mark.parametrize("forward_from_rate", [False, True])
def test_greeks_are_those_of_the_option_by_itself(rate, dividend, forward_from_rate):
    book = chains(rate, dividend)
    grouped = american_greeks(*book, forward_from_rate)
    direct = alone(american_greeks, *book, forward_from_rate)
    assert (grouped.price == american(*book)).all()
    for name, tolerance in {
        "price": 1e-7,
        "delta": 1e-8,
        "gamma": 1e-8,
        "theta": 1e-7,
        "vega": 1e-5,
        "rho": 1e-4,
    }.items():
        theirs = getattr(direct, name)
        print(f"{name}: largest difference {np.abs(getattr(grouped, name) - theirs).max():.1e}")
        assert getattr(grouped, name) == pytest.approx(theirs, abs=tolerance, rel=0), name


def test_price_does_not_depend_on_its_neighbours():
    spot, strike, years, rate, dividend, vol, sign = chains(0.03, 0.02)
    whole = american(spot, strike, years, rate, dividend, vol, sign)
    wilder = np.append(vol, [0.05, 0.9])  # another range of ln σ, so another interpolant
    more = american(
        spot,
        np.append(strike, [90, 110]),
        np.append(years, [0.5, 0.5]),
        rate,
        dividend,
        wilder,
        np.append(sign, [PUT] * 2),
    )
    assert more[:-2] == pytest.approx(whole, abs=1e-9 * spot, rel=0)
    for few in (slice(None, None, 3), slice(100, 170), slice(5, 6)):
        part = american(spot, strike[few], years[few], rate, dividend, vol[few], sign[few])
        assert part == pytest.approx(whole[few], abs=1e-9 * spot, rel=0)
    shuffled = np.random.default_rng(2).permutation(len(vol))
    mixed = american(spot, strike[shuffled], years[shuffled], rate, dividend, vol[shuffled], sign[shuffled])
    assert mixed == pytest.approx(whole[shuffled], abs=1e-12 * spot, rel=0)


def puts(vol, rate=0.04, dividend=0.01):
    same = np.ones(len(vol))
    return Puts(rate * same, dividend * same, vol, 0.7 * same)


def test_boundaries_are_interpolated_where_it_pays():
    """A chain of 500 takes 9 volatilities in all; one of 9 puts is too short; a NaN breaks no other chain."""
    solved = []
    plain = boundary_chain.solve_boundary

    def counting(p, *a):
        solved.append(len(p.vol))
        return plain(p, *a)

    vol = np.linspace(0.2, 0.4, 500)
    (found,) = boundary_chain.interpolate_chains(puts(vol), 16, 32, 64, counting)
    assert sum(solved) == 9
    assert np.sort(found.rows).tolist() == list(range(500))
    expected, _ = plain(puts(vol), 1, 16, 32)
    assert found.squared(slice(None)) == pytest.approx(expected[found.rows], rel=1e-9)
    assert boundary_chain.interpolate_chains(puts(vol[:9]), 16, 32, 64) == []
    assert boundary_chain.interpolate_chains(puts(vol[:0]), 16, 32, 64) == []
    mixed = Puts(*(np.concatenate(pair) for pair in zip(puts(vol, 0.05), puts(vol * np.nan), strict=True)))
    (found,) = boundary_chain.interpolate_chains(mixed, 16, 32, 64)
    assert found.rows.max() == 499


def test_puts_of_different_owners_share_no_chain():
    """Each owner's premiums are those of its puts alone; together the puts would be one longer chain."""
    vol = np.concatenate([np.linspace(0.2, 0.3, 20), np.linspace(0.25, 0.4, 30)])
    owner = np.repeat([7, 2], [20, 30])
    x = np.linspace(-0.2, 0.1, 50)[:, None] + [0.0, 0.1]
    together = exercise.exercise_premium(x, puts(vol), owner=owner)
    assert sum(len(c.values) for level in together.chains for c in level) == 2
    for who in (7, 2):
        mine = owner == who
        apart = exercise.exercise_premium(x[mine], puts(vol[mine]))
        assert together.premium[mine] == pytest.approx(apart.premium, rel=0, abs=1e-15)
        assert together.upper[mine] == pytest.approx(apart.upper, rel=0, abs=1e-14)
    mixed = exercise.exercise_premium(x, puts(vol))
    assert np.abs(mixed.upper - together.upper).max() > 1e-14


def test_one_volatility():
    book = (SPOT, STRIKES, 1.0, 0.04, 0.01, 0.3, PUT)
    assert american(*book) == pytest.approx(alone(american, *book), abs=1e-9 * SPOT, rel=0)


def test_chains_within_the_tolerance_of_the_exact_price(monkeypatch):
    book = chains(0.03, 0.02)
    price = american(*book)
    monkeypatch.setattr(american_module, "TOLERANCE", 0.0)
    assert price == pytest.approx(alone(american, *book), abs=exercise.TOLERANCE * STRIKES.max(), rel=0)


def test_a_bump_across_equal_rates():
    """There the boundary at expiry leaves the strike, so that the base's is no guess for the bumped one's."""
    strike = np.linspace(99, 104, 7)
    book = (SPOT, strike, 0.0027, 1.6e-4, 1.6e-4, np.linspace(0.1, 0.2, 7), CALL)
    rho = american_greeks(*book, True).rho
    bump = 5e-5
    up, down = (american(SPOT, strike, 0.0027, 1.6e-4 + s * bump, *book[4:]) for s in (1, -1))
    assert rho == pytest.approx((up - down) / (2 * bump), abs=1e-4)
