"""Robust volatility, its floors, and the scaling of correlations."""

import math

import numpy as np
import pytest

import cpu_reference
from gpu_var.scenarios.fhs import filtered_moves, rescale
from gpu_var.scenarios.scaling import effective_returns, factor_volatility, floors, recorrelate
from gpu_var.tables.config import Fhs, MonteCarlo


def test_absolute_volatility_by_hand():
    # √2·(mean 2; 0.5·2 + 0.5·1; 0.5·1.5 + 0.5·3)
    found = cpu_reference.filter_absolute(np.array([[1.0], [-3.0]]), 0.5)
    assert found[:, 0] == pytest.approx(math.sqrt(2.0) * np.array([2.0, 1.5, 2.25]))


@pytest.mark.parametrize(
    ("draw", "ratio"),
    # Laplace: E|r| = b and the deviation is √2·b. Normal: E|r| = √(2/π)·s. Uniform on ±a: a/2 and a/√3.
    [("laplace", 1.0), ("normal", 2.0 / math.sqrt(math.pi)), ("uniform", math.sqrt(1.5))],
)
def test_absolute_volatility_converges_to_the_known_multiple_of_the_deviation(draw, ratio):
    rng = np.random.default_rng(5)
    sample, deviation = {
        "laplace": (rng.laplace(0.0, 0.02, (20_000, 8)), 0.02 * math.sqrt(2.0)),
        "normal": (rng.normal(0.0, 0.02, (20_000, 8)), 0.02),
        "uniform": (rng.uniform(-0.02, 0.02, (20_000, 8)), 0.02 / math.sqrt(3.0)),
    }[draw]
    found = cpu_reference.filter_absolute(sample, 0.999)[10_000:].mean()
    assert found / deviation == pytest.approx(ratio, rel=0.01)


def test_a_single_jump_moves_the_robust_volatility_less():
    returns = np.where(np.arange(200) == 150, 0.3, 0.01 * (-1.0) ** np.arange(200))[:, None]
    robust = cpu_reference.filter_absolute(returns, 0.97)[151] / cpu_reference.filter_absolute(returns, 0.97)[150]
    squared = cpu_reference.filter_ewma(returns, 0.97)[151] / cpu_reference.filter_ewma(returns, 0.97)[150]
    assert 1.0 < robust < 0.6 * squared


NAMES = ("fx:EUR", "iv:BTC:30d", "spot:BTC", "spot:ETH")


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ({}, [0, 0, 0, 0]),
        ({"spot:*": 0.01}, [0, 0, 0.01, 0.01]),
        ({"*": 0.5, "spot:*": 0.01, "spot:BTC": 0.02}, [0.5, 0.5, 0.02, 0.01]),
        ({"spot:BTC": 0.02, "spot:*": 0.01, "*": 0.5}, [0.5, 0.5, 0.02, 0.01]),  # the order says nothing
        ({"spot:?TC": 0.3, "spot:B??": 0.4}, [0, 0, 0.3, 0]),  # two letters say more than one
        ({"spot:B*": 0.3, "spot:*C": 0.4}, [0, 0, 0.4, 0]),  # as much: the last
        ({"iv:*:30d": 0.02, "iv:BTC:3*": 0.03}, [0, 0.03, 0, 0]),
    ],
)
def test_the_most_specific_pattern_is_the_floor(patterns, expected):
    assert floors(patterns, NAMES).tolist() == expected


def test_a_name_with_wildcards_in_it_is_a_name_first():
    assert floors({"spot:[X]": 0.1, "spot:*": 0.2}, ("spot:[X]", "spot:X")).tolist() == [0.1, 0.1]


@pytest.mark.parametrize("table", [Fhs, MonteCarlo])
@pytest.mark.parametrize("volatility", ["ewma", "absolute"])
def test_floors_bind_the_forecast_alone(table, volatility):
    rng = np.random.default_rng(1)
    returns = rng.normal(0.0, [0.01, 0.02, 0.03, 0.0], (300, 4))
    free = factor_volatility(returns, table(volatility=volatility), NAMES, cpu_reference)
    recursion = {"ewma": cpu_reference.filter_ewma, "absolute": cpu_reference.filter_absolute}[volatility]
    np.testing.assert_array_equal(free, recursion(returns, 0.97))
    patterns = {"*": 0.02, "spot:BTC": 0.0, "fx:*": 1e9}
    held = factor_volatility(returns, table(volatility=volatility, volatility_floor=patterns), NAMES, cpu_reference)
    np.testing.assert_array_equal(held[:-1], free[:-1])
    assert held[-1].tolist() == [1e9, max(0.02, free[-1, 1]), free[-1, 2], 0.0]  # what does not move has no volatility


def ewma_correlation(returns, decay, t):
    """Σ_t as a weighted sum, not as a recursion: λ^t·S + (1 − λ)·Σ λ^(t−1−i)·r_i·r_i'."""
    weight = (1.0 - decay) * decay ** np.arange(t - 1, -1, -1.0)
    covariance = decay**t * np.cov(returns.T) + (returns[:t].T * weight) @ returns[:t]
    deviation = np.sqrt(np.diag(covariance))
    return covariance / np.outer(deviation, deviation)


@pytest.mark.parametrize("scaling", ["full", "mid"])
@pytest.mark.parametrize("volatility", ["ewma", "absolute"])
def test_moves_are_duffie_and_pans(scaling, volatility):
    rng = np.random.default_rng(2)
    returns = rng.standard_t(5, (60, 5)) @ rng.normal(size=(5, 5)) * 0.01
    model = Fhs(correlation_scaling=True, scaling=scaling, volatility=volatility, decay=0.94)
    sigma = factor_volatility(returns, model, [f"spot:{i}" for i in range(5)], cpu_reference)
    found, notes = filtered_moves(returns, sigma, model)
    last = np.linalg.cholesky(ewma_correlation(returns, 0.94, 60))
    for t in range(60):
        then = np.linalg.cholesky(ewma_correlation(returns, 0.94, t))
        to = sigma[-1] if scaling == "full" else 0.5 * (sigma[-1] + sigma[t])
        expected = np.diag(to) @ last @ np.linalg.inv(then) @ np.linalg.inv(np.diag(sigma[t])) @ returns[t]
        np.testing.assert_allclose(found[t], expected, rtol=1e-9, atol=1e-13)
    assert notes == ()


def test_white_residuals_take_on_todays_correlation():
    rng = np.random.default_rng(3)
    before, after = np.array([[1.0, 0.9], [0.9, 1.0]]), np.array([[1.0, -0.5], [-0.5, 1.0]])
    roots = [np.linalg.cholesky(before)] * 3_000 + [np.linalg.cholesky(after)] * 1_000
    returns = 0.01 * np.einsum("tij,tj->ti", roots, rng.normal(size=(4_000, 2)))
    sigma = cpu_reference.filter_ewma(returns, 0.99)
    moved, shrinkage = recorrelate(returns, sigma, 0.99)
    today = ewma_correlation(returns, 0.99, 4_000)
    assert shrinkage == 0.0
    assert today[0, 1] == pytest.approx(-0.5, abs=0.1)
    # But for the 200 returns or so that the estimate needs to notice the change.
    assert np.corrcoef(np.delete(moved, slice(3_000, 3_300), axis=0).T)[0, 1] == pytest.approx(today[0, 1], abs=0.05)
    assert np.corrcoef((returns / sigma[:-1]).T)[0, 1] > 0.4


def test_a_correlation_that_never_changes_leaves_every_move_alone():
    # Two factors in orthogonal design: every r·r' averages to the identity over each four days, and starts from it.
    design = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    returns = np.tile(design, (25, 1)) * 0.02
    sigma = cpu_reference.filter_ewma(returns, 0.97)
    moved, shrinkage = recorrelate(returns, sigma, 0.97)
    assert shrinkage == 0.0
    np.testing.assert_allclose(moved, returns / sigma[:-1], rtol=1e-12, atol=1e-15)


def test_full_shrinkage_scales_volatility_alone():
    returns = np.random.default_rng(4).normal(size=(40, 3)) @ np.array([[1, 0.9, 0], [0, 1, 0.9], [0, 0, 1.0]])
    model = Fhs(correlation_scaling=True, correlation_shrinkage=1.0)
    sigma = cpu_reference.filter_ewma(returns, model.decay)
    moves, notes = filtered_moves(returns, sigma, model)
    np.testing.assert_allclose(moves, rescale(returns, sigma, "full"), rtol=1e-14)
    assert notes == ()


def test_two_factors_that_are_the_same_are_shrunk_and_said_to_be():
    one = np.random.default_rng(6).normal(size=(80, 1)) * 0.01
    returns = np.hstack([one, one, one[::-1]])
    model = Fhs(correlation_scaling=True)
    sigma = cpu_reference.filter_ewma(returns, model.decay)
    moves, notes = filtered_moves(returns, sigma, model)
    expected = 3.0 / (3.0 + 1.97 / 0.03)
    assert recorrelate(returns, sigma, model.decay)[1] == pytest.approx(expected)
    assert notes == (
        "fhs: the correlations of 3 factors, of about 66 returns each, are singular on some date; all are shrunk "
        f"by {expected:.3g} towards none",
    )
    np.testing.assert_allclose(moves[:, 0], moves[:, 1], rtol=0.02)


def test_moves_that_noise_has_made_larger_are_said_to_be_and_can_be_damped():
    rng = np.random.default_rng(7)
    common = rng.normal(size=(250, 1))
    returns = 0.01 * (0.7 * common + 0.7 * rng.normal(size=(250, 120)))
    sigma = cpu_reference.filter_ewma(returns, 0.97)
    before = np.sqrt((rescale(returns, sigma, "full") ** 2).mean())
    moves, notes = filtered_moves(returns, sigma, Fhs(correlation_scaling=True))
    larger = np.sqrt(((moves / sigma[-1]) ** 2).mean() / ((returns / sigma[:-1]) ** 2).mean())
    assert 1.25 < larger < 2.0
    assert notes == (
        f"fhs: moves are {larger:.2f} times as large as without correlation_scaling (root mean square), for the "
        "correlations of 120 factors, of about 66 returns each, are uncertain; correlation_shrinkage dampens that",
    )
    shrinkage = 120 / (120 + effective_returns(0.97))
    moves, notes = filtered_moves(returns, sigma, Fhs(correlation_scaling=True, correlation_shrinkage=shrinkage))
    assert np.sqrt((moves**2).mean()) == pytest.approx(before, rel=0.15)
    assert notes == ()


def test_factors_that_do_not_vary_are_left_out_of_the_correlation():
    rng = np.random.default_rng(8)
    moving = rng.normal(size=(50, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]]) * 0.01
    returns = np.hstack([moving[:, :1], np.zeros((50, 1)), moving[:, 1:], np.full((50, 1), 1e-4)])
    model = Fhs(correlation_scaling=True)
    sigma = cpu_reference.filter_ewma(returns, model.decay)
    found, _ = filtered_moves(returns, sigma, model)
    alone, _ = filtered_moves(moving, sigma[:, [0, 2]], model)
    np.testing.assert_array_equal(found[:, [0, 2]], alone)
    np.testing.assert_array_equal(found[:, [1, 3]], rescale(returns, sigma, "full")[:, [1, 3]])


def test_one_factor_has_no_correlation():
    returns = np.random.default_rng(9).normal(size=(30, 1))
    sigma = cpu_reference.filter_ewma(returns, 0.97)
    moves, _ = filtered_moves(returns, sigma, Fhs(correlation_scaling=True))
    np.testing.assert_array_equal(moves, rescale(returns, sigma, "full"))
