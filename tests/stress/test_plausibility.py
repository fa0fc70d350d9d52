"""The odds of a shock against published quantiles and closed forms, and their words."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from gpu_var.stress.plausibility import one_in, plausibility, sigmas


def test_a_normal_move():
    """Φ(−2.3263479) = 1 %: the 99 % quantile of the standard normal."""
    p = plausibility(2.3263479, 1)
    assert p.tail == pytest.approx(0.01, abs=1e-9)
    assert p.beyond == pytest.approx(0.02, abs=2e-9)  # either way
    assert p.tail_t is None
    assert p.words == "a move of 2.33 standard deviations: a one-in-100-day move if moves are normal"


def test_two_dimensions_are_exponential():
    """In two dimensions P(χ² > d²) = exp(−d²/2)."""
    assert plausibility(3.0, 2).beyond == pytest.approx(math.exp(-4.5), rel=1e-12)


def test_students_t():
    """The 99 % quantile of t₅ is 3.3649300; at unit variance it is that times √(3/5)."""
    p = plausibility(3.3649300 * math.sqrt(3 / 5), 1, 5.0)
    assert p.tail_t == pytest.approx(0.01, abs=1e-8)
    assert p.beyond_t == pytest.approx(0.02, abs=2e-8)
    assert p.tail_t > p.tail
    assert "Student's t with 5 degrees of freedom" in p.words


def test_students_t_in_more_dimensions():
    """P(|x| > d) of a multivariate t, as a mixture: a normal of variance s = (ν − 2)/χ²_ν."""
    d, r, dof = 4.0, 7, 6.0

    def given(w: float) -> float:
        return float(stats.chi2.sf(d**2 * w / (dof - 2.0), r) * stats.chi2.pdf(w, dof))

    expected, _ = integrate.quad(given, 0, 200, limit=400)
    assert plausibility(d, r, dof).beyond_t == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("probability", "days", "words"),
    [
        (0.5, 1, "a one-in-2-day move"),
        (stats.norm.sf(2.0), 1, "a one-in-44-day move"),
        (stats.norm.sf(3.0), 1, "a one-in-741-day move (2.96 years)"),
        (0.04, 1, "a one-in-25-day move"),
        (1 / 12_345, 1, "a one-in-12,300-day move (49.4 years)"),
        (1 / 250, 1, "a one-in-250-day move (1 year)"),
        (1 / 125, 2, "a one-in-250-day move (1 year)"),
        (1 / 249, 1, "a one-in-249-day move"),
        (1e-10, 1, "a one-in-40-million-year move"),
        (1e-13, 1, "a one-in-40-billion-year move"),
        (1e-20, 1, "a move rarer than once in a trillion years"),
        (0.0, 1, "a move that never comes"),
    ],
)
def test_one_in(probability, days, words):
    assert one_in(probability, days) == words


def test_beyond_eight_standard_deviations_the_normal_law_is_no_guide():
    assert "no guide" in plausibility(8.1, 3).words
    assert "no guide" not in plausibility(7.9, 3).words


def test_sigmas():
    deviation = np.array([0.02, 0.0, 0.1])
    assert sigmas(np.array([-0.04, 0.3, 0.05]), deviation).tolist() == [-2.0, 0.0, 0.5]
