"""Perfect and zero dependence against closed forms, and the add-on's properties."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from margin.charge_books import measure, returns, row, write
from scipy import stats

import cpu_reference
from gpu_var.margin import dependence
from gpu_var.margin.dependence import dependence_addon
from gpu_var.market.checks import load
from gpu_var.scenarios.monte_carlo import dependence_sets, monte_carlo

NORMAL_ES, T5_ES = 2.6652142, 4.4524291  # at 99 %, the second unscaled: times √(3/5) for unit variance
GAUSSIAN = "[monte_carlo]\nlookback = 300\npaths = 40_000\nseed = 3\ndependence_addon = 0.25\n"
STUDENT = GAUSSIAN + 'copula = "student_t"\ndof = 5\n'
BOTH = {"A": 100.0, "B": 100.0}  # 10,000 USD of A; 5,000 EUR, 6,250 USD, of B
AGAINST = {"A": 100.0, "B": -100.0}


def all_sets(book, config, factors):
    with ThreadPoolExecutor(2) as pool:
        carlo = monte_carlo(book, config, factors, cpu_reference, pool)
        return [carlo, *dependence_sets(book, config, factors, cpu_reference, pool)]


def forecast(column: int) -> float:
    """σ_{N+1} by the recursion, step by step."""
    moves = returns()[:, column]
    variance = np.var(moves, ddof=1)
    for r in moves:
        variance = 0.97 * variance + 0.03 * r * r
    return float(np.sqrt(variance))


@pytest.fixture(scope="module")
def gaussian(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gaussian") / "book"
    return measure(folder, GAUSSIAN, all_sets, both=BOTH, against=AGAINST, one={"A": 100.0})


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return measure(tmp_path_factory.mktemp("student") / "book", STUDENT, all_sets, both=BOTH, against=AGAINST)


def close(tail, at, want):
    """Within four standard errors of the estimate, which are less than a tenth of it."""
    assert tail.es_se[at] < 0.1 * want
    assert tail.es[at] == pytest.approx(want, abs=4 * tail.es_se[at])


def test_two_normal_factors_have_the_closed_forms(gaussian):
    a, b = 10_000 * forecast(0), 6_250 * forecast(1)
    perfect, zero = gaussian.tails["monte_carlo.perfect"], gaussian.tails["monte_carlo.zero"]
    both, against = row(gaussian, "both"), row(gaussian, "against")
    close(perfect, both, NORMAL_ES * (a + b))
    close(zero, both, NORMAL_ES * np.hypot(a, b))
    close(perfect, against, NORMAL_ES * abs(a - b))
    close(zero, against, NORMAL_ES * np.hypot(a, b))


def test_the_addon_is_the_arithmetic_of_the_three_runs(gaussian):
    found = dependence.charge(gaussian)
    both, against, one = (row(gaussian, name) for name in ("both", "against", "one"))
    es = {name: tail.es for name, tail in gaussian.tails.items()}
    # Long both: the worst is that they fall together. One against the other: that they part.
    assert found[both] == pytest.approx(0.25 * (es["monte_carlo.perfect"][both] - es["monte_carlo"][both]))
    assert found[against] == pytest.approx(0.25 * (es["monte_carlo.zero"][against] - es["monte_carlo"][against]))
    # On one factor nothing depends on another, and the three runs differ by sampling alone.
    assert found[one] <= 0.25 * 4 * np.sqrt(2) * gaussian.tails["monte_carlo"].es_se[one]
    assert found[both] > 0.02 * es["monte_carlo"][both]


def test_perfect_dependence_of_student_t_factors_is_one_student_t(student):
    a, b = 10_000 * forecast(0), 6_250 * forecast(1)
    close(student.tails["monte_carlo.perfect"], row(student, "both"), T5_ES * np.sqrt(3 / 5) * (a + b))


@pytest.mark.parametrize("which", ["gaussian", "student"])
def test_dependence_alone_differs(which, request):
    m = request.getfixturevalue(which)
    law = stats.norm if which == "gaussian" else stats.t(5, scale=np.sqrt(3 / 5))
    columns = [m.factors.names.index(f"spot:{name}") for name in "AB"]
    scale = [forecast(0), forecast(1)]
    perfect, zero = (m.sets[f"monte_carlo.{name}"].shock[:, columns] / scale for name in ("perfect", "zero"))
    np.testing.assert_allclose(perfect[:, 0], perfect[:, 1], rtol=1e-12)
    for shock in (perfect[:, 0], zero[:, 0], zero[:, 1]):
        assert stats.kstest(shock, law.cdf).pvalue > 1e-3
    # Independent in sign and in size: four standard errors of a rank correlation.
    assert abs(stats.spearmanr(*zero.T).statistic) < 4 / np.sqrt(len(zero))
    assert abs(stats.spearmanr(*np.abs(zero.T)).statistic) < 4 / np.sqrt(len(zero))


def test_a_peg_is_shocked_in_no_run(gaussian):
    peg = gaussian.factors.names.index("fx:EUR")
    for scenarios in gaussian.sets.values():
        assert not scenarios.shock[:, peg].any()


def test_neither_threads_nor_the_number_of_paths_change_a_path(tmp_path):
    book, config, factors, _ = load(write(tmp_path / "book", STUDENT, both=BOTH))
    few = config.model_copy(update={"monte_carlo": config.monte_carlo.model_copy(update={"paths": 5000})})
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(3) as three:
        whole = dependence_sets(book, config, factors, cpu_reference, three)
        part = dependence_sets(book, few, factors, cpu_reference, one)
    assert [s.model for s in whole] == ["monte_carlo.perfect", "monte_carlo.zero"]
    for all_paths, first in zip(whole, part, strict=True):
        np.testing.assert_array_equal(all_paths.shock[:5000], first.shock)


def test_without_the_addon_there_is_neither_run_nor_charge(tmp_path):
    m = measure(tmp_path / "book", GAUSSIAN.replace("dependence_addon = 0.25\n", ""), both=BOTH)
    with ThreadPoolExecutor(1) as pool:
        assert dependence_sets(m.book, m.config, m.factors, cpu_reference, pool) == []
    assert dependence.charge(m) is None


amount = st.floats(-1e9, 1e9)


@given(amount, amount, amount, st.floats(0, 1), st.floats(0, 1))
def test_addon_properties(base, perfect, zero, share, other):
    def addon(share):
        return float(dependence_addon(*np.array([[base], [perfect], [zero]]), share)[0])

    low, high = sorted([share, other])
    assert 0 <= addon(low) <= addon(high)
    assert addon(0.0) == 0
    assert addon(1.0) == max(0.0, max(perfect, zero) - base)
