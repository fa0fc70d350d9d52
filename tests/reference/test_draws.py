"""Draws are a pure function of their counters, and have the distribution they claim."""

import numpy as np
import pytest
from scipy import stats

from cpu_reference.aggregate import Holdings, aggregate
from cpu_reference.filter import filter_ewma
from cpu_reference.normals import correlate, normals, student_t_mixing, uniforms


def test_any_tiling_gives_the_same_numbers() -> None:
    whole = normals(2**63 - 1, 0, 0, (100, 7))
    tiles = np.concatenate([normals(2**63 - 1, 0, first, (25, 7)) for first in (0, 25, 50, 75)])
    np.testing.assert_array_equal(whole, tiles)
    np.testing.assert_array_equal(whole[:, :3], normals(2**63 - 1, 0, 0, (100, 3)))


def test_paths_beyond_32_bits_and_steps_differ() -> None:
    here = normals(1, 0, 0, (4, 4))
    for other in (normals(1, 0, 2**32, (4, 4)), normals(1, 1, 0, (4, 4)), normals(2, 0, 0, (4, 4))):
        assert not np.isin(other, here).any()


def test_uniforms_are_inside_the_open_interval_and_uniform() -> None:
    u = uniforms(7, 0, 0, 0, (50_000, 4))
    assert u.min() > 0.0
    assert u.max() < 1.0
    for column in u.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    assert np.abs(np.corrcoef(u, rowvar=False) - np.eye(4)).max() < 0.02


def test_student_t_mixing_gives_a_t_of_unit_variance() -> None:
    dof = 5.0
    t = normals(3, 0, 0, (100_000, 1))[:, 0] * student_t_mixing(3, 0, 0, 100_000, dof)
    assert stats.kstest(t / np.sqrt((dof - 2.0) / dof), stats.t(dof).cdf).pvalue > 1e-3


def test_correlate_is_a_matrix_product() -> None:
    rng = np.random.default_rng(1)
    independent, root = rng.normal(size=(50, 6)), rng.normal(size=(6, 6))
    out = np.full((50, 6), np.nan)
    correlate(independent, root, out)
    np.testing.assert_allclose(out, independent @ root, rtol=1e-13, atol=1e-13)


def test_ewma_by_hand() -> None:
    returns = np.array([[0.01], [-0.02], [0.03]])
    seed = np.var(returns, ddof=1)
    second = 0.9 * seed + 0.1 * 0.01**2
    third = 0.9 * second + 0.1 * 0.02**2
    fourth = 0.9 * third + 0.1 * 0.03**2
    np.testing.assert_allclose(filter_ewma(returns, 0.9)[:, 0] ** 2, [seed, second, third, fourth], rtol=1e-14)


def test_aggregate_is_a_sparse_product_added_to_what_is_there() -> None:
    rng = np.random.default_rng(2)
    dense = np.where(rng.random((9, 5)) < 0.4, rng.normal(size=(9, 5)), 0.0)
    dense[4] = 0.0
    cell = np.flatnonzero(dense.any(axis=1))
    rows, columns = np.nonzero(dense[cell])
    start = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(cell)))])
    pnl = rng.normal(size=(5, 11))
    before = rng.normal(size=(9, 11))
    out = before.copy()
    aggregate(Holdings(cell, start, columns, dense[cell][rows, columns]), pnl, out)
    np.testing.assert_allclose(out, before + dense @ pnl, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(out[4], before[4])
    with pytest.raises(ValueError, match="scenarios"):
        aggregate(Holdings(cell, start, columns, dense[cell][rows, columns]), pnl, out[:, :3])


def test_ewma_of_returns_that_do_not_vary_starts_from_their_mean_square() -> None:
    returns = np.full((50, 1), 0.001) * (1.0 + 1e-13 * np.random.default_rng(0).normal(size=(50, 1)))
    np.testing.assert_allclose(filter_ewma(returns, 0.97), 0.001, rtol=1e-9)
    np.testing.assert_array_equal(filter_ewma(np.zeros((5, 1)), 0.97), 0.0)
