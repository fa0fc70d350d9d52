"""Fits of the early-exercise premium where scenarios move r and q: nodes among them, and interpolation between.

See ``cpu_reference.premium`` for what is fitted and why.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.chebyshev import basis
from cpu_reference.exercise import Solver
from cpu_reference.premium_fit import TOLERANCE, fit_nodes
from cpu_reference.premium_nodes import Boxes, Look, Nodes, Sample, Surfaces, joined, measured_errors, sampled_in_blocks

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.intp]

_DEGREES = (4, 6, 8, 11, 14)  # of the polynomials in (r, q)


class Fit(NamedTuple):
    """The fit of one chain."""

    surfaces: Surfaces
    weights: F8 | None  # (k, n_nodes) from the nodes' coefficients to those of its k scenarios; None: each has its own
    chosen: I8  # (n_nodes,) which of the scenarios the nodes are, where there are weights
    error: float  # over the strike; inf if there is no fit


class _Design(NamedTuple):
    """Nodes among k scenarios, for polynomials of one degree."""

    chosen: I8
    weights: F8  # (k, len(chosen))
    look: I8  # others, in which the fit's error is measured: those that weigh most, and some of all


class _Trial(NamedTuple):
    """What is known of one chain."""

    first: int  # of its nodes
    points: F8  # (k, axes)
    known: I8  # which of the k are fitted
    fit: Surfaces  # (len(known),)
    error: float


def _polynomials(points: F8, degree: int) -> F8:
    """Products of Chebyshev polynomials of total degree ≤ ``degree`` at points (k, axes) in [−1, 1]: (k, terms)."""
    per_axis = basis(points, degree + 1)
    if points.shape[1] == 1:
        return per_axis[:, 0]
    order = np.arange(degree + 1)
    kept = np.nonzero(order[:, None] + order <= degree)
    return per_axis[:, 0, kept[0]] * per_axis[:, 1, kept[1]]


def _axes(rate: F8, dividend: F8) -> F8:
    """Coordinates (k, 1 or 2) of the scenarios along their principal axes, scaled to [−1, 1].

    Logarithms of what vanishes where exercise ceases to pay, for there ln B goes to −∞.
    """
    pays = rate.max() > 0
    pair = np.stack([np.log(rate) if pays else rate, dividend if pays else np.log(-dividend)], axis=1)
    plain = np.stack([rate - rate.mean(), dividend - dividend.mean()])
    spread = np.linalg.svd(np.linalg.qr(plain.T, mode="r"), compute_uv=False)
    if spread[1] <= 1e-9 * spread[0]:  # one line: whichever coordinate moves
        pair = pair[:, :1] if np.ptp(rate) > 1e-3 * np.ptp(dividend) else pair[:, 1:]
    offset = pair - pair.mean(axis=0)
    _, axes = np.linalg.eigh(offset.T @ offset)
    along = offset @ axes[:, ::-1]
    low, high = along.min(axis=0), along.max(axis=0)
    return np.asarray((2 * along - (high + low)) / np.maximum(high - low, 1e-300))


def _design(points: F8, degree: int) -> _Design | None:
    """Nodes chosen by a pivoted QR of the polynomials (approximate Fekete points; Sommariva & Vianello 2009), so that
    none lies outside of what the scenarios reach; None where the scenarios are too few, or a grid or a curve."""
    from scipy.linalg import qr, solve  # noqa: PLC0415 - seldom needed, and slow to import

    matrix = _polynomials(points, degree)
    terms = matrix.shape[1]
    if terms * 2 > len(points):
        return None
    _, triangle, pivot = qr(matrix.T, mode="economic", pivoting=True)
    if abs(triangle[-1, -1]) < 1e-9 * abs(triangle[0, 0]):
        return None
    chosen = np.asarray(pivot[:terms], dtype=np.intp)
    weights = solve(matrix[chosen].T, matrix.T).T
    apart = np.ones(len(weights), dtype=np.bool_)
    apart[chosen] = False
    others = np.flatnonzero(apart)
    worst = others[np.argpartition(np.abs(weights[others]).sum(axis=1), -4)[-4:]]
    return _Design(chosen, weights, np.union1d(worst, others[:: len(others) // 5]))


class _Designs:
    """Designs, of which chains have the same where the same rates move them."""

    def __init__(self) -> None:
        self._made: dict[tuple[bytes, int], _Design | None] = {}

    def of(self, points: F8, degree: int) -> _Design | None:
        """See `_design`."""
        key = points.tobytes(), degree
        if key not in self._made:
            self._made[key] = _design(points, degree)
        return self._made[key]


def fit_scenarios(at: Nodes, boxes: Boxes, solver: Solver) -> dict[int, Fit]:
    """Fit the distinct scenarios of each chain, as few of them as will do: by chain.

    Where scenarios are many, nodes are chosen among them and interpolated between, more and more of them until
    that is accurate; else each scenario is a node.
    """
    first, count = at.families()
    all_designs = _Designs()
    designs: dict[int, _Design] = {}
    points: dict[int, F8] = {}
    rows = {}
    for chain, start, many in zip(at.box[first].tolist(), first.tolist(), count.tolist(), strict=True):
        rows[chain] = np.arange(start, start + many)
        if many > 2 * _DEGREES[0]:
            points[chain] = _axes(at.rate[start : start + many], at.dividend[start : start + many])
            design = all_designs.of(points[chain], _DEGREES[0])
            if design is not None:
                designs[chain] = design
                rows[chain] = start + design.chosen
    fitted = fit_nodes(at.take(np.concatenate(list(rows.values()))), boxes, solver) if rows else {}
    none = np.zeros(0, dtype=np.intp)
    result = {chain: Fit(fit, None, none, error) for chain, (fit, error) in fitted.items() if chain not in designs}
    if designs:
        starts = dict(zip(at.box[first].tolist(), first.tolist(), strict=True))
        trials = {i: _Trial(starts[i], points[i], d.chosen, *fitted[i]) for i, d in designs.items()}
        result |= _interpolated(at, trials, designs, all_designs, boxes, solver)
        lost = np.ones(len(boxes.years), dtype=np.bool_)
        lost[list(result)] = False
        left = np.flatnonzero(lost[at.box])
        if len(left):
            full = fit_nodes(at.take(left), boxes, solver)
            result |= {chain: Fit(fit, None, none, error) for chain, (fit, error) in full.items()}
    return result


def _interpolated(
    at: Nodes,
    trials: dict[int, _Trial],
    designs: dict[int, _Design],
    all_designs: _Designs,
    boxes: Boxes,
    solver: Solver,
) -> dict[int, Fit]:
    """The fits of the chains for which polynomials of one of the degrees do; ``trials`` are of the first."""
    result: dict[int, Fit] = {}
    flat = boxes.flat
    for degree in _DEGREES:
        if degree > _DEGREES[0]:
            found = {i: all_designs.of(trial.points, degree) for i, trial in trials.items()}
            designs = {i: design for i, design in found.items() if design is not None}
            trials = _extended(at, {i: trials[i] for i in designs}, designs, boxes, solver)
        trials = {i: trial for i, trial in trials.items() if trial.error <= 2 * TOLERANCE}
        if not trials:
            break
        used, looks = {}, []
        for i, trial in trials.items():
            chosen, weights, look = designs[i]
            order = np.argsort(trial.known)
            fit = trial.fit.take(order[np.searchsorted(trial.known, chosen, sorter=order)])
            t = np.array([0.0]) if flat[i] else np.array([-1.0, 0.3, 0.95])  # hardest at the ends
            there = Surfaces(weights[look] @ fit.boundary, np.tensordot(weights[look], fit.premium, 1), fit.tolerance)
            looks.append(Look(at.take(trial.first + look), there, t))
            used[i] = fit
        for (i, fit), off in zip(used.items(), measured_errors(looks, boxes, solver), strict=True):
            if off.max() <= 2 * TOLERANCE:
                error = max(trials[i].error, float(off.max()))
                result[i] = Fit(fit, designs[i].weights, designs[i].chosen, error)
        trials = {i: trial for i, trial in trials.items() if i not in result}
    return result


def _extended(
    at: Nodes, trials: dict[int, _Trial], designs: dict[int, _Design], boxes: Boxes, solver: Solver
) -> dict[int, _Trial]:
    """The trials with the nodes of the designs that they had not."""
    fresh = {i: np.setdiff1d(designs[i].chosen, trial.known) for i, trial in trials.items()}
    samples = []
    for i, trial in trials.items():
        m, d = trial.fit.premium.shape[1:]
        samples.append(Sample(at.take(trial.first + fresh[i]), (m, d), trial.fit.tolerance))
    return {
        i: trial._replace(known=np.concatenate([trial.known, fresh[i]]), fit=joined([trial.fit, more]))
        for (i, trial), more in zip(trials.items(), sampled_in_blocks(samples, boxes, solver), strict=True)
    }
