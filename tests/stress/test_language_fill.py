"""Unnamed factors: their mean given the named ones, against closed forms and a simulation; betas come first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables.base import write

from cpu_reference import filter_ewma
from gpu_var.backend import load_backend
from gpu_var.market.checks import load
from gpu_var.scenarios.fill import Moments, by_betas, by_correlation, moments
from gpu_var.scenarios.language import ORIGINS, stress_scenarios
from gpu_var.tables.config_stress_test import StressFile

TOP = 'as_of = 2026-01-01T00:00:00Z\nbase_currency = "USD"\n'
DAYS = 60


def law(covariance):
    """Moments of a covariance; a variance of 0 is that of a factor that does not move."""
    matrix = np.asarray(covariance, dtype=float)
    deviation = np.sqrt(np.diagonal(matrix))
    unit = np.where(deviation > 0, deviation, 1.0)
    correlation = matrix / unit[:, None] / unit
    np.fill_diagonal(correlation, 1.0)
    return Moments(deviation, correlation, deviation > 0)


def test_two_factors_by_hand():
    """ρ = 0.5, σ = 2 % and 3 %: a named move of −4 %, two deviations, makes one of 1 deviation, −3 %, expected."""
    two = law([[0.0004, 0.0003], [0.0003, 0.0009]])
    move, filled = by_correlation(np.array([[-0.04, np.nan], [np.nan, 0.06], [0.01, 0.02]]), two)
    np.testing.assert_allclose(move, [[-0.04, -0.03], [0.02, 0.06], [0.01, 0.02]], rtol=1e-12)
    np.testing.assert_array_equal(filled, [[False, True], [True, False], [False, False]])


def test_three_factors_by_hand():
    """Unit variances, ρ₁₂ = 0, ρ₁₃ = 0.6, ρ₂₃ = 0.3: with 1 and 2 uncorrelated E[x₃] = 0.6·x₁ + 0.3·x₂."""
    three = law([[1.0, 0.0, 0.6], [0.0, 1.0, 0.3], [0.6, 0.3, 1.0]])
    move, _ = by_correlation(np.array([[1.0, -2.0, np.nan], [np.nan, np.nan, 1.0]]), three)
    np.testing.assert_allclose(move, [[1.0, -2.0, 0.0], [0.6, 0.3, 1.0]], atol=1e-12)


def test_the_regression_of_a_simulation():
    """The mean given others is linear, so least squares on 400,000 normal draws estimates it within 1 %."""
    root = np.array([[1.0, 0, 0, 0], [0.5, 1.0, 0, 0], [-0.3, 0.2, 0.8, 0], [0.4, -0.6, 0.1, 0.5]]) * 0.01
    draws = np.random.default_rng(20260105).standard_normal((400_000, 4)) @ root.T
    given_, open_ = [0, 2], [1, 3]
    slope, *_ = np.linalg.lstsq(draws[:, given_], draws[:, open_], rcond=None)
    named = np.array([-0.05, 0.02])
    move, _ = by_correlation(np.array([[-0.05, np.nan, 0.02, np.nan]]), law(root @ root.T))
    np.testing.assert_allclose(move[0, open_], named @ slope, rtol=0.01)


@pytest.mark.parametrize("apart", [1.0, 1e-3, 1e-5, 1e-7, 1e-9, 0.0])
def test_the_pseudo_inverse_takes_over_smoothly(apart):
    """Two named factors of correlation 1 − d: whichever way is taken, E[x₃] is that of the formula, or of d = 0."""
    rho = 1.0 - apart
    move, _ = by_correlation(np.array([[-1.0, -1.0, np.nan]]), law([[1, rho, 0.5], [rho, 1, 0.5], [0.5, 0.5, 1]]))
    np.testing.assert_allclose(move[0, 2], -1.0 / (1.0 + rho), rtol=1e-7)


def test_factors_that_are_the_same_count_once():
    """1 and 2 are one factor, given −1 and −3: 3, of correlation 0.5 with both, is expected as if given their −2."""
    same = law([[1.0, 1.0, 0.5], [1.0, 1.0, 0.5], [0.5, 0.5, 1.0]])
    move, _ = by_correlation(np.array([[-1.0, -3.0, np.nan]]), same)
    np.testing.assert_allclose(move[0, 2], -1.0, rtol=1e-12)


def test_a_factor_that_does_not_move_says_nothing_and_stays():
    still = law([[1.0, 0.0, 0.5], [0.0, 0.0, 0.0], [0.5, 0.0, 1.0]])
    move, filled = by_correlation(np.array([[np.nan, 5.0, np.nan], [2.0, np.nan, np.nan], [2.0, 9.0, np.nan]]), still)
    np.testing.assert_array_equal(move[0], [np.nan, 5.0, np.nan])
    np.testing.assert_allclose(move[1:], [[2.0, np.nan, 1.0], [2.0, 9.0, 1.0]])
    assert filled.sum() == 2


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_what_is_given_is_kept_and_all_is_linear(named, seed):
    random = np.random.default_rng(seed)
    root = random.standard_normal((7, 9))
    matrix = law(root @ root.T / 1e4)
    move = np.full((3, 7), np.nan)
    move[:, random.permutation(7)[:named]] = random.standard_normal((3, named)) / 10
    move[2] = 2.0 * move[0] - move[1]
    out, filled = by_correlation(move, matrix)
    np.testing.assert_array_equal(out[~filled], move[~filled])
    assert (filled == np.isnan(move)).all()
    np.testing.assert_allclose(out[2], 2.0 * out[0] - out[1], atol=1e-9 * np.abs(out).max())


def test_betas_by_hand():
    move = np.array([[-0.1, np.nan, np.nan, 0.2], [np.nan, np.nan, np.nan, 0.2], [-0.1, 0.5, np.nan, np.nan]])
    out, filled = by_betas(move, {1: {0: 1.5, 3: 0.5}, 2: {1: 2.0}})
    nan = np.nan
    # Of a beta upon a beta nothing is made: 2 follows 1 only where 1 is named.
    expected = [[-0.1, -0.05, nan, 0.2], [nan, 0.1, nan, 0.2], [-0.1, 0.5, 1.0, nan]]
    np.testing.assert_allclose(out, expected)
    np.testing.assert_array_equal(filled, np.isnan(move) & ~np.isnan(out))


def history(seed=5):
    """Two coins of correlation about 0.8, a volatility against them, and a peg."""
    random = np.random.default_rng(seed)
    common = random.standard_normal(DAYS + 1)
    noise = random.standard_normal((3, DAYS + 1))
    moves = np.stack([0.03 * common, 0.04 * (0.8 * common + 0.6 * noise[0]), 0.05 * (-0.7 * common + 0.7 * noise[1])])
    level = np.exp(np.cumsum(moves, axis=1)) * np.array([[100.0], [50.0], [0.5]])
    first = np.datetime64("2025-12-31") - DAYS
    rows = [f"{first + i},{a:.17g},{b:.17g},{v:.17g},1.1\n" for i, (a, b, v) in enumerate(level.T)]
    return "date,spot:BTC,spot:EUX,iv:BTC:30d,fx:EUR\n" + "".join(rows), np.diff(np.log(level), axis=1).T


@pytest.mark.parametrize("returns", ["log", "simple"])
@pytest.mark.parametrize("model", ["fhs", "monte_carlo"])
def test_the_covariance_is_that_of_the_model(tmp_path, model, returns):
    text, moves = history()
    config = f'{TOP}returns = "{returns}"\n[{model}]\nlookback = {DAYS}\ndecay = 0.9\n'
    book, parsed, factors, _ = load(write(tmp_path / "book", margin__toml=config, history__csv=text))
    found = moments(book, parsed, factors, load_backend("cpu"))
    assert factors.names == ("fx:EUR", "iv:BTC:30d", "spot:BTC", "spot:EUX")
    columns = np.ascontiguousarray(moves[:, [2, 0, 1]])
    sigma = filter_ewma(columns, 0.9)
    np.testing.assert_allclose(found.volatility, [0.0, *sigma[-1]], rtol=1e-9)
    np.testing.assert_array_equal(found.moving, [False, True, True, True])
    np.testing.assert_allclose(found.correlation[1:, 1:], np.corrcoef(columns / sigma[:-1], rowvar=False), rtol=1e-9)
    np.testing.assert_array_equal(found.correlation[0], [1, 0, 0, 0])
    np.testing.assert_allclose(found.covariance[1, 2], found.correlation[1, 2] * sigma[-1, 0] * sigma[-1, 1])


def test_fill_in_a_book(tmp_path):
    """One named factor: E[x_u] = ρ·σ_u/σ_n·ln 0.7; a beta comes first, and counts as named; pegs stay."""
    text, _ = history()
    book, parsed, factors, _ = load(
        write(tmp_path / "b", margin__toml=f"{TOP}[fhs]\nlookback = 60\n", history__csv=text)
    )
    crash = {"name": "crash", "shocks": {"spot:BTC": -0.3}}
    file = {"scenario": [crash, {**crash, "name": "plain", "fill": "none", "mirror": False}], "mirrors": True}
    found = stress_scenarios(StressFile.model_validate({**file, "fill": "correlation"}), book, parsed, factors)
    m = moments(book, parsed, factors, load_backend("cpu"))
    x = np.log(0.7)
    expected = m.correlation[:, 2] * m.volatility / m.volatility[2] * x
    np.testing.assert_allclose(found.set.shock[0], expected, rtol=1e-9)
    assert found.set.shock[0, 3] < -0.1
    assert found.set.shock[0, 1] > 0.1
    assert [ORIGINS[code] for code in found.origin[0]] == ["unmoved", "correlation", "named", "correlation"]
    np.testing.assert_allclose(found.set.shock[1], [0.0, 0.0, x, 0.0])
    assert found.set.name == ["crash", "plain", "crash (mirror)"]
    np.testing.assert_array_equal(found.set.shock[2], -found.set.shock[0])

    betas = {"spot:EUX": {"spot:BTC": 2.0}}
    again = stress_scenarios(
        StressFile.model_validate({**file, "fill": "correlation", "betas": betas}), book, parsed, factors
    )
    assert [ORIGINS[code] for code in again.origin[0]] == ["unmoved", "correlation", "named", "beta"]
    assert again.set.shock[0, 3] == pytest.approx(2 * x)
    two = np.linalg.solve(m.covariance[2:, 2:], m.covariance[2:, 1])
    assert again.set.shock[0, 1] == pytest.approx(two @ [x, 2 * x], rel=1e-8)


def test_moves_at_odds_with_their_correlation_are_noted(tmp_path):
    """BTC and EUX go together; where one falls and the other rises, the third is expected far out."""
    text, _ = history()
    rows = text.splitlines()
    for i, row in enumerate(rows[1:], 1):
        date, btc, _, vol, eur = row.split(",")
        wobble = 1 + 1e-4 * (-1) ** (i // 2)
        rows[i] = f"{date},{btc},{float(btc) * wobble / 2:.17g},{float(vol) * wobble**20:.17g},{eur}"
    book, parsed, factors, _ = load(
        write(tmp_path / "b", margin__toml=f"{TOP}[fhs]\nlookback = 60\n", history__csv="\n".join(rows) + "\n")
    )
    file = {"scenario": [{"name": "odd", "shocks": {"spot:BTC": -0.2, "spot:EUX": 0.2}}], "fill": "correlation"}
    found = stress_scenarios(StressFile.model_validate(file), book, parsed, factors)
    assert found.set.notes == (
        "scenarios.toml: fill = 'correlation' moves by more standard deviations than any named factor, for those are "
        "at odds with their correlation: iv:BTC:30d",
    )


def test_what_is_wrong_elsewhere_is_said_first(tmp_path):
    """A history that is not to be relied on is not read: its own findings have been made."""
    book, parsed, factors, findings = load(write(tmp_path / "b", margin__toml=f"{TOP}[fhs]\nlookback = 20\n"))
    book.history.level[:] = np.nan
    findings.error("history.csv", "null")
    file = {"scenario": [{"name": "a", "shocks": {"spot:BTC": -0.2}}], "fill": "correlation"}
    stress_scenarios(StressFile.model_validate(file), book, parsed, factors, findings)
    assert findings.errors == ["history.csv: null"]
