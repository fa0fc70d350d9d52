"""The correlation-break add-on: by hand, on a book, and its properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from margin.charge_books import measure, returns, row

import cpu_reference
from gpu_var.margin import correlation_break as module
from gpu_var.margin.correlation_break import correlation_break, window_measures

FHS = '[fhs]\nlookback = 300\nscaling = "none"\n'
BOTH = {"A": 100.0, "B": -160.0}  # 10,000 USD of A against as much of B


def test_windows_by_hand():
    # Losses 1…7 at a level that keeps the worst: of three windows of two, the oldest scenario is in none.
    pnl = -np.array([[1.0, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2, 1]])
    found = window_measures(pnl, 3, 0.5, "worst", cpu_reference)
    np.testing.assert_array_equal(found, [[3, 5, 7], [6, 4, 2]])
    np.testing.assert_array_equal(window_measures(pnl, 7, 0.5, "var", cpu_reference), -pnl)
    # s of 3, 5, 7 is 2; of a loss of 100 the cap of 25 % lets 25 through, and of one of 6 only 1.5.
    addon = correlation_break(found, np.array([100.0, 6.0]), 1.5, 0.25)
    np.testing.assert_allclose(addon, [3.0, 1.5])


def test_windows_of_overlapping_sub_samples_are_averaged():
    # Two windows of four, two sub-samples each: (1, 3), (2, 4) and (5, 7), (6, 80): the VaR at 50 % is the larger.
    pnl = -np.array([[1.0, 2, 3, 4, 5, 6, 7, 80]])
    found = window_measures(pnl, 2, 0.6, "var", cpu_reference, samples=2)
    np.testing.assert_array_equal(found, [[3.5, 43.5]])


def test_more_windows_than_scenarios_are_refused():
    with pytest.raises(ValueError, match="4 windows of 7 scenarios in 2 sub-samples"):
        window_measures(np.zeros((1, 7)), 4, 0.9, "es", cpu_reference, samples=2)


@pytest.mark.parametrize("name", ["var", "es"])
def test_on_a_book(tmp_path, name):
    config = f'level = 0.95\nmeasure = "{name}"\n{FHS}[correlation_break]\nwindows = 3\nmultiplier = 2\ncap = 1\n'
    m = measure(tmp_path / "book", config, both=BOTH, short={"A": -1.0})
    # Simple returns of two spots: 10,000·(x_A − 1.25·160·50/10,000·x_B), 5 of 100 losses in each window.
    moves = returns()
    losses = -(10_000 * moves[:, 0] - 10_000 * moves[:, 1]).reshape(3, 100)
    worst = np.sort(losses, axis=1)[:, ::-1][:, :5]
    by_window = worst[:, 4] if name == "var" else worst.mean(axis=1)
    found = module.charge(m)
    assert found[row(m, "both")] == pytest.approx(2 * np.std(by_window, ddof=1), rel=1e-6)
    assert (found > 0).all()


def test_without_its_table_there_is_none(tmp_path):
    assert module.charge(measure(tmp_path / "book", FHS, both=BOTH)) is None


def test_the_same_scenarios_in_every_window_cost_nothing():
    pnl = np.tile(np.random.default_rng(1).standard_normal((4, 50)), 3)
    by_window = window_measures(pnl, 3, 0.9, "es", cpu_reference)
    np.testing.assert_allclose(correlation_break(by_window, by_window[:, 0], 100.0, 1.0), 0.0, atol=1e-12)


def test_many_accounts_are_measured_as_each_alone(monkeypatch):
    pnl = np.random.default_rng(2).standard_normal((11, 40))
    whole = window_measures(pnl, 4, 0.9, "es", cpu_reference)
    monkeypatch.setattr(module, "_CHUNK", 90)
    np.testing.assert_array_equal(window_measures(pnl, 4, 0.9, "es", cpu_reference), whole)


loss = st.floats(-1e6, 1e6)


@given(arrays(float, (1, 4), elements=loss), loss, st.floats(0, 100), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_addon_properties(by_window, base, multiplier, cap, less, scale):
    def addon(multiplier, cap, unit=1.0):
        return float(correlation_break(unit * by_window, np.array([unit * base]), multiplier, cap)[0])

    found = addon(multiplier, cap)
    assert 0 <= found <= max(0.0, base)
    assert addon(multiplier * less, cap) <= found
    assert addon(multiplier, cap * less) <= found
    assert addon(0.0, cap) == addon(multiplier, 0.0) == 0
    assert addon(multiplier, cap, scale) == pytest.approx(scale * found, rel=1e-9, abs=1e-6)
