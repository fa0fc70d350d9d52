"""Breaking points that are planted: where they are is known otherwise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from gpu_var.stress.breaking_point import breaking_points
from gpu_var.stress.descent import least_distance


def nearest(gap, starts, **options):
    return breaking_points(lambda u: np.atleast_2d(gap(u)), np.atleast_2d(np.asarray(starts, float)), **options)[0]


@given(seed=st.integers(0, 10_000), r=st.integers(1, 40), far=st.floats(0.5, 12.0))
def test_a_plane(seed, r, far):
    """5 − w·u: the foot of the perpendicular, at 5/|w|, from any start that meets it."""
    rng = np.random.default_rng(seed)
    w, aside = (v / np.linalg.norm(v) for v in rng.standard_normal((2, r)))
    starts = np.stack([aside, w + 0.7 * aside])
    w *= 5.0 / far
    found = nearest(lambda u: 5.0 - u @ w, starts, limit=40.0)
    assert found.distance == pytest.approx(far, rel=1e-4)
    assert found.point == pytest.approx(w * far / np.linalg.norm(w), abs=2e-2 * far)
    assert found.distance >= far * (1 - 1e-12)  # it is a break
    assert found.complete


def test_the_larger_of_two_members():
    """Either breaks the house, so that the nearer plane counts; the start between them is on a ridge."""
    near, other = np.array([1.0, 0.3]), np.array([0.3, 0.9])
    found = nearest(lambda u: 4.0 - np.maximum(u @ near, u @ other), near + other)
    assert found.distance == pytest.approx(4 / np.hypot(1, 0.3), rel=1e-4)
    assert found.aligned == pytest.approx(1.0, abs=1e-6)


def test_both_must_break():
    """The corner of two planes, where no gradient points to the origin."""
    one, other = np.array([1.0, 0.3]), np.array([0.3, 1.0])
    found = nearest(lambda u: 4.0 - np.minimum(u @ one, u @ other), [1.0, 0.2])
    corner = np.linalg.solve([one, other], [4.0, 4.0])
    assert found.point == pytest.approx(corner, abs=1e-3)


def test_three_must_break_in_twenty_dimensions():
    rng = np.random.default_rng(1)
    a = rng.standard_normal((3, 20))
    found = nearest(lambda u: 2.0 - (u @ a.T).min(axis=1), a.sum(axis=0))
    solved = minimize(lambda u: u @ u, a.sum(axis=0), constraints={"type": "ineq", "fun": lambda u: a @ u - 2.0})
    assert found.distance == pytest.approx(np.sqrt(solved.fun), rel=1e-3)


def test_losses_that_are_floored_account_by_account():
    """Σ max(0, a·u − 1) ≥ 3: not convex, several nearest points; the least of many descents of another optimiser."""
    rng = np.random.default_rng(2)
    a = rng.standard_normal((4, 6))

    def gap(u):
        return 3.0 - np.maximum(u @ a.T - 1.0, 0.0).sum(axis=1)

    best = np.inf
    for start in rng.standard_normal((60, 6)) * 2:
        solved = minimize(lambda u: u @ u, start, constraints={"type": "ineq", "fun": lambda u: -gap(u[None])[0]})
        if solved.success and gap(solved.x[None])[0] < 1e-6:
            best = min(best, np.sqrt(solved.fun))
    found = nearest(gap, np.concatenate([a, -a, rng.standard_normal((20, 6)), [a.sum(axis=0)]]), refine=12)
    assert found.distance == pytest.approx(best, rel=1e-3)


def test_curved_both_ways():
    """9 = 2u₁² + u₂² + u₃: two nearest points, and a saddle between them."""
    found = nearest(lambda u: 9 - 2 * u[:, 0] ** 2 - u[:, 1] ** 2 - u[:, 2], [[0.2, 1.0, 0.1], [1.0, 0.1, 0.0]])
    # Lagrange, u₂ = 0: u₁ = ±√(35/8), u₃ = 1/4, so that |u|² = 35/8 + 1/16.
    assert found.distance == pytest.approx(np.sqrt(35 / 8 + 1 / 16), rel=2e-4)


def test_several_layers_at_once():
    w = np.array([3.0, 4.0])
    found = breaking_points(lambda u: np.array([[5.0], [10.0], [1e9]]) - u @ w, np.array([[1.0, 1.0]]))
    assert [b.distance for b in found] == pytest.approx([1.0, 2.0, 15.0], rel=1e-4)
    assert found[2].point is None
    assert found[2].start == -1


def test_broken_already():
    found = nearest(lambda u: -1.0 - u[:, 0] ** 2, [1.0, 0.0])
    assert found.distance == 0.0
    assert found.point.tolist() == [0.0, 0.0]


def test_nothing_within_the_limit():
    found = nearest(lambda u: 100.0 - u[:, 0], [1.0, 0.0], limit=7.0)
    assert (found.point, found.distance, found.complete) == (None, 7.0, True)


def test_a_break_that_mends_again():
    """Broken between 3 and 4 standard deviations alone: the first break along the ray is the one that is kept."""
    found = nearest(lambda u: np.where((u[:, 0] >= 3.0) & (u[:, 0] <= 4.0), -1.0, 1.0), [1.0, 0.0])
    assert found.distance == pytest.approx(3.0, rel=1e-3)


def test_values_that_are_not_numbers_hold():
    found = nearest(lambda u: np.where(u[:, 0] > 6.0, np.nan, 5.0 - u[:, 0]), [1.0, 0.0])
    assert found.distance == pytest.approx(5.0, rel=1e-4)


def test_a_budget_that_ends_first():
    calls = []

    def gap(u):
        calls.append(len(u))
        return 5.0 - u @ np.array([1.0, 0.5])

    found = nearest(gap, [[1.0, 0.0], [0.0, 1.0]], most=100)
    assert not found.complete
    assert sum(calls) <= 100
    assert found.point is not None
    assert found.distance < 6.0
    none = nearest(gap, [1.0, 0.0], most=10)
    assert (none.point, none.complete) == (None, False)


def test_starts_of_length_zero_are_left_out():
    found = nearest(lambda u: 5.0 - u[:, 0], [[0.0, 0.0], [1.0, 0.2]])
    assert found.start == 1


def test_the_same_search_twice():
    rng = np.random.default_rng(3)
    a = rng.standard_normal((3, 5))
    once, again = (nearest(lambda u: 3.0 - np.sort(u @ a.T, axis=1)[:, 1], a) for _ in range(2))
    assert once.point.tolist() == again.point.tolist()


def test_least_distance():
    """u₁ ≥ 1 and u₁ + u₂ ≥ 3: the foot on the second, (1.5, 1.5); with u₁ ≥ 2 the corner (2, 1)."""
    a = np.array([[1.0, 0.0], [1.0, 1.0]])
    assert least_distance(a, np.array([1.0, 3.0])) == pytest.approx([1.5, 1.5])
    assert least_distance(a, np.array([2.0, 3.0])) == pytest.approx([2.0, 1.0])
    assert least_distance(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1.0, 1.0])) is None
