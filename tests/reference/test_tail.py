"""The tail by selection against a full sort, and its conventions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpu_reference.tail import tail, tail_size


def by_sorting(losses: np.ndarray, level: float) -> tuple[float, float, float]:
    """VaR, ES and worst of one row, as the contract writes them."""
    worst_first = sorted(losses.tolist(), reverse=True)
    n = tail_size(len(losses), level)
    var = worst_first[max(1, math.ceil(n)) - 1]
    whole = math.floor(n)
    if n < 1:
        return var, worst_first[0], worst_first[0]
    beyond = (n - whole) * worst_first[whole] if n > whole else 0.0
    return var, (math.fsum(worst_first[:whole]) + beyond) / n, worst_first[0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.sampled_from([0.5, 0.9, 0.95, 0.975, 0.99, 0.997, 0.9999]))
def test_equals_a_full_sort(seed: int, n: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    losses = np.round(rng.standard_t(3, (3, n)), 1 if seed % 2 else 12)  # rounding makes ties
    measured = tail(losses, level)
    for row in range(3):
        var, es, worst = by_sorting(losses[row], level)
        assert measured.var[row] == var
        assert measured.es[row] == pytest.approx(es, rel=1e-12, abs=1e-12)
        assert measured.worst[row] == worst
        assert measured.scenario[row] == int(np.flatnonzero(losses[row] == worst)[0])
        assert measured.es[row] >= measured.var[row]
        assert measured.var_se[row] >= 0.0
        assert measured.es_se[row] >= 0.0


def test_five_hundred_scenarios_at_99_percent_give_the_fifth() -> None:
    losses = np.arange(1.0, 501.0)[None]
    measured = tail(losses, 0.99)
    assert measured.var[0] == 496.0
    assert measured.es[0] == 498.0
    assert tail_size(500, 0.99) == 5.0


def test_a_fraction_of_a_scenario_counts_in_the_shortfall() -> None:
    # N = 250, level 0.99: n = 2.5, ES = (L1 + L2 + 0.5 L3)/2.5, VaR the third.
    measured = tail(np.arange(1.0, 251.0)[None], 0.99)
    assert measured.var[0] == 248.0
    assert measured.es[0] == pytest.approx((250 + 249 + 0.5 * 248) / 2.5, rel=1e-15)


def test_standard_errors_cover_the_closed_form() -> None:
    """The spread of many estimates is what the standard errors say, within 15 % (normal losses, N = 2,000)."""
    losses = np.random.default_rng(5).standard_normal((2_000, 2_000))
    measured = tail(losses, 0.99)
    assert measured.var_se.mean() == pytest.approx(measured.var.std(), rel=0.15)
    assert measured.es_se.mean() == pytest.approx(measured.es.std(), rel=0.15)


@pytest.mark.parametrize(("shape", "level"), [((1, 0), 0.99), ((1, 5), 1.0), ((1, 5), -0.1), ((1, 5), float("nan"))])
def test_bad_arguments(shape: tuple[int, int], level: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        tail(np.zeros(shape), level)


def test_no_rows() -> None:
    assert all(len(column) == 0 for column in tail(np.zeros((0, 7)), 0.99))
