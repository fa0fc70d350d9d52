"""How many Chebyshev coefficients matter, and how many will do."""

import numpy as np
import pytest

from cpu_reference.chebyshev import analysis, basis, monomials, nodes, significant, sufficient


def test_significant():
    # Remainders from each place on: 1.0111, 0.0111, 0.0011, 0.0001.
    size = np.array([1.0, 0.01, 0.001, 0.0001])
    assert [int(significant(size, x)) for x in (2.0, 0.5, 0.0100, 0.0012, 0.0010, 0.00001)] == [1, 1, 2, 2, 3, 4]
    many = np.stack([size, 0 * size, size[::-1]])
    assert significant(many, 0.005).tolist() == [2, 1, 4]


def test_sufficient():
    # 10^(−j/2): the last of 8 is 10^−3.5, but the last two are looked at: 10^−3. By 8 terms ln 10³ is lost, ln 10² is
    # to be lost yet: 8·(1 + 2/3) = 13.3.
    size = 10.0 ** (-np.arange(8) / 2)
    assert int(sufficient(size, 1e-5)) == 14
    assert int(sufficient(size, 1e-3)) == 8  # enough
    assert int(sufficient(size, 1e-30)) == 16  # no more than twice as many
    assert int(sufficient(size, 0.9e-3)) == 10  # two more at least
    assert sufficient(np.stack([size, size**2, 0 * size]), 1e-5).tolist() == [14, 8, 8]
    assert int(sufficient(np.ones(1), 0.5)) == 2


@pytest.mark.parametrize("count", [1, 2, 9])
def test_analysis_against_numpy(count):
    coefficients = np.random.default_rng(count).normal(size=count)
    values = np.polynomial.chebyshev.chebval(nodes(count), coefficients)
    np.testing.assert_allclose(analysis(count) @ values, coefficients, rtol=0, atol=1e-14)
    np.testing.assert_allclose(basis(nodes(count), count) @ coefficients, values, rtol=0, atol=1e-14)
    powers = np.polynomial.chebyshev.cheb2poly(coefficients)
    np.testing.assert_allclose(monomials(count) @ coefficients, powers, rtol=0, atol=1e-12)
