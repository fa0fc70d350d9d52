"""Chebyshev interpolation on [−1, 1] at the nodes of the first kind, or at the extrema, which nest."""

from functools import cache

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.intp]


def nodes(count: int) -> F8:
    """cos(π(j + ½)/count), descending."""
    return np.cos(np.pi * (np.arange(count) + 0.5) / count)


def basis(t: F8, count: int) -> F8:
    """T_0 … T_{count−1} at t (clipped to [−1, 1]), on a new last axis."""
    return np.cos(np.arange(count) * np.arccos(np.clip(t, -1.0, 1.0))[..., None])


def analysis(count: int) -> F8:
    """Matrix (count, count) from values at the nodes to coefficients."""
    matrix = basis(nodes(count), count).T * (2 / count)
    matrix[0] *= 0.5
    return matrix


def extrema(count: int) -> F8:
    """cos(πj/(count − 1)), descending; every second one of 2·count − 1 of them."""
    return np.cos(np.pi * np.arange(count) / (count - 1))


def extrema_analysis(count: int) -> F8:
    """Matrix (count, count) from values at the extrema to coefficients."""
    matrix = basis(extrema(count), count).T * (2 / (count - 1))
    matrix[[0, -1]] *= 0.5
    matrix[:, [0, -1]] *= 0.5
    return matrix


@cache
def monomials(count: int) -> F8:
    """Matrix (count, count) from coefficients to those of the powers t^0 … t^(count−1); not to be written to."""
    matrix = np.eye(count)
    for k in range(2, count):
        matrix[k] = np.concatenate([[0.0], 2 * matrix[k - 1, :-1]]) - matrix[k - 2]
    return matrix.T


def significant(size: F8, tolerance: float) -> I8:
    """How many leading coefficients of magnitude ``size`` (..., count) leave a remainder below ``tolerance``; ≥ 1."""
    tail = np.cumsum(size[..., ::-1], axis=-1)
    return np.asarray(np.maximum(1, (tail > tolerance).sum(axis=-1)), dtype=np.intp)


def sufficient(size: F8, tolerance: float) -> I8:
    """Counts at which coefficients that decay like ``size`` (..., count) should fall below ``tolerance``, (...)."""
    count = size.shape[-1]
    last = size[..., -2:].max(axis=-1)
    small = last <= tolerance
    last = np.where(small, 1.0, last)
    pace = np.log(np.maximum(size.max(axis=-1), last * 1.01) / last) / count
    more = np.clip(np.ceil(count + np.log(last / tolerance) / pace), count + 2, 2 * count)
    return np.asarray(np.where(small, count, more), dtype=np.intp)
