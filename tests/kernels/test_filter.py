"""kernels/filter.cu against the reference: bit for bit but for a single factor, whose variance NumPy sums pairwise."""

import warnings

import numpy as np
import pytest
from kernels.budget import spend
from kernels.host.device import HostDevice

import cpu_reference
from gpu_var import cuda
from gpu_var.cuda.device import current

ONE_FACTOR = 1e-13
"""Relative budget of a volatility where there is one factor."""


FILTERS = ["filter_ewma", "filter_absolute"]


def check_filter(name: str, returns: np.ndarray, decay: float) -> None:
    """Both backends on the same returns."""
    device = current()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # fewer than two dates have no variance
        expected = getattr(cpu_reference, name)(returns, decay)
    got = device.download(getattr(cuda, name)(device.upload(returns), decay))
    assert got.shape == expected.shape
    if returns.shape[1] == 1:
        finite = np.isfinite(expected) & (expected != 0.0)
        np.testing.assert_array_equal(got[~finite], expected[~finite])
        error = np.abs(got / np.where(finite, expected, 1.0) - 1.0)[finite]
        spend("filter, one factor", device.name, float(error.max(initial=0.0)), ONE_FACTOR)
    else:
        np.testing.assert_array_equal(got, expected)
        spend("filter", device.name, 0.0, 0.0)


@pytest.mark.parametrize("shape", [(500, 65), (2, 2), (1, 3), (0, 3), (3, 0), (100, 64), (9, 1), (1000, 1), (257, 130)])
@pytest.mark.parametrize("decay", [0.94, 1e-9, 1.0 - 1e-12])
@pytest.mark.parametrize("name", FILTERS)
def test_filter(host: HostDevice, name: str, shape: tuple[int, int], decay: float) -> None:
    rng = np.random.default_rng(shape[0] + shape[1])
    check_filter(name, rng.standard_t(3, shape) * 0.01, decay)


def test_a_crawling_peg_starts_from_the_mean_square(host: HostDevice) -> None:
    device = current()
    returns = np.tile([1e-4, 0.3], (9, 1)) * np.array([np.ones(9), np.arange(9.0)]).T
    got = device.download(cuda.filter_ewma(device.upload(returns), 0.9))
    np.testing.assert_allclose(got, cpu_reference.filter_ewma(returns, 0.9), rtol=1e-13)
    np.testing.assert_allclose(got[:, 0], 1e-4, rtol=1e-13)


@pytest.mark.parametrize("name", FILTERS)
def test_extreme_returns(host: HostDevice, name: str) -> None:
    returns = np.zeros((8, 6))
    returns[3] = [0.0, 1e-170, 1e150, np.nan, np.inf, -0.0]
    check_filter(name, returns, 0.97)


@pytest.mark.parametrize("name", FILTERS)
def test_under_sanitizers(sanitized: HostDevice, name: str) -> None:
    check_filter(name, np.random.default_rng(0).normal(size=(11, 70)), 0.9)


def test_bad_arguments(host: HostDevice) -> None:
    with pytest.raises(TypeError, match="returns has dtype float32"):
        cuda.filter_ewma(np.zeros((3, 3), np.float32), 0.9)
    with pytest.raises(ValueError, match=r"returns has shape \(3,\); expected \(any, any\)"):
        cuda.filter_ewma(np.zeros(3), 0.9)
    with pytest.raises(ValueError, match="returns is not C-contiguous"):
        cuda.filter_ewma(np.zeros((3, 4)).T, 0.9)
