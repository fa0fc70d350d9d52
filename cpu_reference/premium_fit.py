"""Fits of the early-exercise premium of puts over (z, ln σ), and their interpolation over scenarios of (r, q).

See ``cpu_reference.premium`` for what is fitted and why. A fit asks for premiums and goes on when it has them, so that
those of many fits are computed at once (``cpu_reference.premium_ask``).
"""

from collections.abc import Generator
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from cpu_reference.boundary import UPPER, boundary_at_expiry
from cpu_reference.chebyshev import analysis, basis, nodes, significant, sufficient
from cpu_reference.premium_ask import Answer, Ask

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.intp]

_Result = TypeVar("_Result")
Fitting = Generator[Ask, Answer, _Result]

TOLERANCE = 3e-7
"""Error of the premium over the strike at which a fit is accepted."""
NEGLIGIBLE = 1e-8
"""Premium over the strike that counts as 0."""
FAR = -1e4
"""ln of the boundary where exercise is never optimal."""

_NODE_TOLERANCES = (2e-7, 2e-8)  # of ``exercise_premium``, whose estimate is mostly ten times the error or more
_START = (9, 20)  # nodes in ln σ and in z to begin with
_MOST = (40, 40)  # z becomes powers, which lose more digits than they should above that
_TAIL = 1e-7
_TRIM = 2e-8
_DEGREES = (4, 6, 8, 11, 14)  # of the polynomials in (r, q)
_BLOCK = 64  # scenarios fitted at once where each has its own


class Box(NamedTuple):
    """What a fit covers: years to expiry, the range of σ, and z in [0, z_max]."""

    years: float
    vol_low: float
    vol_high: float
    z_max: float

    def vol(self, t: F8) -> F8:
        return np.asarray(self.vol_low * np.exp((t + 1) / 2 * np.log(self.vol_high / self.vol_low)))

    @property
    def flat(self) -> bool:
        return self.vol_high <= self.vol_low * (1 + 1e-12)


class Surfaces(NamedTuple):
    """Chebyshev coefficients in t (and y) at each node of (r, q)."""

    boundary: F8  # (n_nodes, m): ln B
    premium: F8  # (n_nodes, m, d)
    tolerance: float  # of the premiums at the nodes


def reach(rate: F8, dividend: F8, years: float, low: float, high: float) -> Fitting[float]:
    """z beyond which the premium of every scenario is negligible; 0 if it is so everywhere."""
    box = Box(years, low, high, 0.0)
    corner = np.unique([rate.argmin(), rate.argmax(), dividend.argmin(), dividend.argmax()])
    vol = np.tile(box.vol(np.array([-1.0, 0.0, 1.0])), len(corner))
    r, q = np.repeat(rate[corner], 3), np.repeat(dividend[corner], 3)
    _, upper = yield Ask(np.zeros((len(r), 1)), r, q, vol, years, True, _NODE_TOLERANCES[0])
    farthest = (boundary_at_expiry(r, q, UPPER) - upper + np.abs(r - q) * years) / (vol * np.sqrt(years)) + 8
    z = farthest[:, None] * np.linspace(0, 1, 33)
    premium, _ = yield Ask(z, r, q, vol, years, True, _NODE_TOLERANCES[0])
    return float(np.where(premium > NEGLIGIBLE, z + z[:, 1:2], 0.0).max())


def _sample(rate: F8, dividend: F8, box: Box, size: tuple[int, int], tolerance: float) -> Fitting[Surfaces]:
    """Interpolate at ``size`` (m, d) nodes for each (rate, dividend) (n,)."""
    n, (m, d) = len(rate), size
    vol = np.tile(box.vol(nodes(m)), n)
    z = np.broadcast_to((nodes(d) + 1) / 2 * box.z_max, (n * m, d))
    values, upper = yield Ask(z, np.repeat(rate, m), np.repeat(dividend, m), vol, box.years, True, tolerance)
    to_m, to_d = analysis(m), analysis(d)
    return Surfaces(upper.reshape(n, m) @ to_m.T, to_m @ values.reshape(n, m, d) @ to_d.T, tolerance)


def _joined(parts: list[Surfaces]) -> Surfaces:
    boundary, premium = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return Surfaces(boundary, premium, parts[0].tolerance)


def _measured_error(fit: Surfaces, weights: F8, rate: F8, dividend: F8, t: F8, box: Box) -> Fitting[float]:
    """Largest difference from the direct premium over the strike, off the nodes.

    weights: (k, n_nodes) of the k scenarios (rate, dividend) (k,) to look at; t: (j,) in [−1, 1].
    """
    m, d = fit.premium.shape[1:]
    y = np.cos(np.pi * np.arange(1, d) / d)
    rows = np.repeat(np.arange(len(rate)), len(t))
    t = np.tile(t, len(rate))
    at_t = basis(t, m)
    boundary = np.einsum("kj,kj->k", (weights @ fit.boundary)[rows], at_t)
    surface = np.matmul(at_t[:, None, :], np.tensordot(weights, fit.premium, 1)[rows])[:, 0]
    vol = box.vol(t)
    x = boundary[:, None] + (y + 1) / 2 * (box.z_max * vol * np.sqrt(box.years))[:, None]
    exact, upper = yield Ask(x, rate[rows], dividend[rows], vol, box.years, False, fit.tolerance / 5)
    # Below the true boundary the price is the intrinsic value: what the fit says there does not matter.
    error = np.abs(surface @ basis(y, d).T - exact)[x >= upper[:, None]].max(initial=0.0)
    return float(max(error, np.abs(surface.sum(axis=1)).max() - NEGLIGIBLE))  # beyond y = 1, P stays as it is there


def _between(m: int, box: Box) -> F8:
    """Places between m nodes in ln σ: near both ends and in the middle."""
    return np.zeros(1) if box.flat else np.cos(np.pi * np.array([1, m // 2, m - 1]) / m)


def fit_nodes(rate: F8, dividend: F8, box: Box) -> Fitting[tuple[Surfaces, float]]:
    """Fit each (rate, dividend) (n,), refining ln σ and z until a tail and an off-node error are small; the error."""
    m, d = (1 if box.flat else _START[0]), _START[1]
    some: I8 = np.unique(np.array([0, len(rate) // 2, len(rate) - 1], dtype=np.intp))
    tolerance = _NODE_TOLERANCES[0]
    while True:
        fit = yield from _sample(rate[some], dividend[some], box, (m, d), tolerance)
        size = np.abs(fit.premium).max(axis=0)
        if not np.isfinite(size).all():  # volatilities of hundreds, where the boundary itself is no number
            return Surfaces(np.zeros((len(rate), 1)), np.zeros((len(rate), 1, 1)), tolerance), np.inf
        more_m = 1 if box.flat else min(sufficient(size.sum(axis=1), _TAIL), _MOST[0])
        more_d = min(sufficient(size.sum(axis=0), _TAIL), _MOST[1])
        if (more_m, more_d) == (m, d):
            at = _between(m, box)
            error = yield from _measured_error(fit, np.eye(len(some)), rate[some], dividend[some], at, box)
            if error <= TOLERANCE or ((box.flat or m >= _MOST[0]) and d >= _MOST[1]):
                break
            if tolerance > _NODE_TOLERANCES[-1]:
                tolerance = _NODE_TOLERANCES[-1]
                continue
            more_m, more_d = (1 if box.flat else min(m + 4, _MOST[0])), min(d + 8, _MOST[1])
        m, d = more_m, more_d
    tail = 0.0 if box.flat else float(size[-2:].sum())
    error = max(error, tail, float(size[:, -2:].sum()))
    if len(some) < len(rate):
        parts = []
        for start in range(0, len(rate), _BLOCK):
            block = slice(start, start + _BLOCK)
            parts.append((yield from _sample(rate[block], dividend[block], box, (m, d), tolerance)))
        fit = _joined(parts)
    return fit, error


def _polynomials(points: F8, degree: int) -> F8:
    """Products of Chebyshev polynomials of total degree ≤ ``degree`` at points (k, axes) in [−1, 1]: (k, terms)."""
    per_axis = basis(points, degree + 1)
    if points.shape[1] == 1:
        return per_axis[:, 0]
    order = np.arange(degree + 1)
    kept = np.nonzero(order[:, None] + order <= degree)
    return per_axis[:, 0, kept[0]] * per_axis[:, 1, kept[1]]


def _scatter_axes(rate: F8, dividend: F8) -> F8:
    """Coordinates (k, 1 or 2) of the scenarios along their principal axes, scaled to [−1, 1].

    Logarithms of what vanishes where exercise ceases to pay, for there ln B goes to −∞.
    """
    pays = rate.max() > 0
    pair = np.stack([np.log(rate) if pays else rate, dividend if pays else np.log(-dividend)], axis=1)
    plain = np.stack([rate - rate.mean(), dividend - dividend.mean()])
    spread = np.linalg.svd(plain, compute_uv=False)
    if spread[1] <= 1e-9 * spread[0]:  # one line: whichever coordinate moves
        pair = pair[:, :1] if np.ptp(rate) > 1e-3 * np.ptp(dividend) else pair[:, 1:]
    offset = pair - pair.mean(axis=0)
    _, axes = np.linalg.eigh(offset.T @ offset)
    along = offset @ axes[:, ::-1]
    low, high = along.min(axis=0), along.max(axis=0)
    return np.asarray((2 * along - (high + low)) / np.maximum(high - low, 1e-300))


def fit_scatter(rate: F8, dividend: F8, box: Box) -> Fitting[tuple[Surfaces, F8 | None, float]]:
    """Fit k distinct (rate, dividend): surfaces, weights (k, n_nodes) or None where each has its own, and the error.

    The nodes are scenarios themselves, chosen by a pivoted QR of the polynomials in (r, q) (approximate Fekete points;
    Sommariva & Vianello 2009), so that no node lies outside of what the scenarios reach.
    """
    k = len(rate)
    if k > 2 * _DEGREES[0]:
        from scipy.linalg import qr, solve  # noqa: PLC0415 - seldom needed, and slow to import

        points = _scatter_axes(rate, dividend)
        known: I8 = np.empty(0, dtype=np.intp)
        for degree in _DEGREES:
            matrix = _polynomials(points, degree)
            terms = matrix.shape[1]
            if terms * 2 > k:
                break
            _, triangle, pivot = qr(matrix.T, mode="economic", pivoting=True)
            if abs(triangle[-1, -1]) < 1e-9 * abs(triangle[0, 0]):  # a grid or a curve: too few ways to move
                break
            chosen = np.asarray(pivot[:terms], dtype=np.intp)
            weights = solve(matrix[chosen].T, matrix.T).T
            if not len(known):
                known = chosen
                fit, error = yield from fit_nodes(rate[known], dividend[known], box)
            else:
                fresh = np.setdiff1d(chosen, known)
                size = (fit.premium.shape[1], fit.premium.shape[2])
                part = yield from _sample(rate[fresh], dividend[fresh], box, size, fit.tolerance)
                known = np.concatenate([known, fresh])
                fit = _joined([fit, part])
            if error > TOLERANCE * 2:
                break
            place = np.argsort(known)[np.searchsorted(np.sort(known), chosen)]
            used = Surfaces(fit.boundary[place], fit.premium[place], fit.tolerance)
            others = np.setdiff1d(np.arange(k), chosen)
            worst = others[np.argsort(np.abs(weights[others]).sum(axis=1))[-4:]]
            look = np.union1d(worst, others[:: len(others) // 5])
            t = np.array([0.0]) if box.flat else np.array([-1.0, 0.3])  # hardest at the least σ
            off = yield from _measured_error(used, weights[look], rate[look], dividend[look], t, box)
            if off <= 2 * TOLERANCE:
                return used, weights, max(error, off)
    fit, error = yield from fit_nodes(rate, dividend, box)
    return fit, None, error


def trimmed(fit: Surfaces) -> Surfaces:
    """Without the trailing coefficients that do not matter."""
    size = np.abs(fit.premium).max(axis=0)
    m, d = significant(size.sum(axis=1), _TRIM), significant(size.sum(axis=0), _TRIM)
    return Surfaces(fit.boundary, fit.premium[:, :m, :d], fit.tolerance)
