"""Fits of the early-exercise premium of puts at nodes of (r, q), refined until they are accurate, many chains at once.

See ``cpu_reference.premium`` for what is fitted and why. Each step asks for the premiums of all chains together; which
chains there are matters to a fit's last digits alone, by rounding.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.chebyshev import significant, sufficient
from cpu_reference.exercise import Solver, beyond_all
from cpu_reference.premium_ask import Ask, answered
from cpu_reference.premium_nodes import (
    NEGLIGIBLE,
    Boxes,
    Look,
    Nodes,
    Sample,
    Surfaces,
    measured_errors,
    sampled,
    sampled_in_blocks,
)

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.intp]

TOLERANCE = 3e-7
"""Error of the premium over the strike at which a fit is accepted."""
FAR = -1e4
"""ln of the boundary where exercise is never optimal."""

_NODE_TOLERANCES = (2e-7, 2e-8)  # of ``exercise_premium``, whose estimate is mostly ten times the error or more
_START = (9, 20)  # nodes in ln σ and in z to begin with
_MOST = (40, 40)  # z becomes powers, which lose more digits than they should above that
_TAIL = 1e-7
_TRIM = 2e-8


def reach(at: Nodes, boxes: Boxes, solver: Solver) -> F8:
    """z beyond which the premium is negligible at every node of a chain, (n_chains,); 0 without nodes, or if it is so
    everywhere."""
    z_max = np.zeros(len(boxes.years))
    if not len(at.box):
        return z_max
    extremes = (at.rate, -at.rate, at.dividend, -at.dividend)
    families = at.families()
    corner = at.take(np.unique(np.concatenate([_least(key, *families) for key in extremes])))
    puts, box = corner.puts(boxes, np.array([-1.0, 0.0, 1.0]))
    way = np.linspace(0, 1, 33)
    ask = Ask(np.tile(way, (len(box), 1)), puts, boxes.owner[box], unit=beyond_all, tolerance=_NODE_TOLERANCES[0])
    premium, upper = answered([ask], solver)[0]
    z = beyond_all(puts, upper)[:, None] * way
    farthest = np.where(premium > NEGLIGIBLE, z + z[:, 1:2], 0.0).max(axis=1)
    np.maximum.at(z_max, box, farthest)
    return z_max


def _least(key: F8, first: I8, count: I8) -> I8:
    """Where each of some stretches has its least, the first of them."""
    there = np.flatnonzero(key == np.minimum.reduceat(key, first).repeat(count))
    return there[np.searchsorted(there, first)]


def _between(m: int) -> F8:
    """Places between m nodes in ln σ: near both ends and in the middle."""
    return np.zeros(1) if m == 1 else np.cos(np.pi * np.array([1, m // 2, m - 1]) / m)


def _alike(*keys: npt.NDArray[np.generic]) -> list[I8]:
    """Positions (n,) in groups of equal keys, ascending within each."""
    order: I8 = np.lexsort(keys)
    changes = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    return np.split(order, np.flatnonzero(changes) + 1) if len(order) else []


def _ranges(first: I8, count: I8) -> I8:
    """first[0], first[0] + 1, … (count[0] of them), first[1], …"""
    before = np.cumsum(count) - count
    return np.asarray(np.arange(count.sum()) + np.repeat(first - before, count), dtype=np.intp)


class _Plan(NamedTuple):
    """How to sample some chains; all (n_chains,), of those that have nodes."""

    m: I8
    d: I8
    tolerance: F8

    def samples(self, at: Nodes, which: I8) -> tuple[list[I8], list[Sample]]:
        """Chains of one size and tolerance, and what to sample for them: all their nodes."""
        first, count = at.families()
        groups = [which[group] for group in _alike(*(column[which] for column in self))]
        samples = []
        for g in groups:
            size = (int(self.m[g[0]]), int(self.d[g[0]]))
            samples.append(Sample(at.take(_ranges(first[g], count[g])), size, float(self.tolerance[g[0]])))
        return groups, samples


def _refined(at: Nodes, boxes: Boxes, solver: Solver) -> tuple[_Plan, list[Surfaces], F8]:
    """Fit each chain, refining ln σ and z until a tail and an off-node error are small.

    Returns, of each chain, how it was sampled, the fit, and its error over the strike, not finite if there is no fit.
    """
    first, count = at.families()
    flat = boxes.flat[at.box[first]]
    m, d = np.where(flat, 1, _START[0]), np.full(len(flat), _START[1])
    plan = _Plan(m, d, np.full(len(flat), _NODE_TOLERANCES[0]))
    error, tail = np.full((2, len(flat)), np.inf)
    fits: dict[int, Surfaces] = {}
    going = np.arange(len(flat))
    while len(going):
        more_m, more_d = m.copy(), d.copy()
        error[going] = np.inf
        looks: list[Look] = []
        looked: list[I8] = []
        groups, samples = plan.samples(at, going)
        for g, sample, fit in zip(groups, samples, sampled(samples, boxes, solver), strict=True):
            begin = np.cumsum(count[g]) - count[g]
            size = np.maximum.reduceat(np.abs(fit.premium), begin)
            sound = np.isfinite(size).all(axis=(1, 2))  # not for volatilities of hundreds: the boundary is no number
            size[~sound] = 0.0
            tail[g] = np.maximum(np.where(flat[g], 0.0, size[:, -2:].sum(axis=(1, 2))), size[..., -2:].sum(axis=(1, 2)))
            more_m[g] = np.where(flat[g], 1, np.minimum(sufficient(size.sum(axis=2), _TAIL), _MOST[0]))
            more_d[g] = np.minimum(sufficient(size.sum(axis=1), _TAIL), _MOST[1])
            settled = (more_m[g] == m[g]) & (more_d[g] == d[g])
            for i, start in zip(g[settled].tolist(), begin[settled].tolist(), strict=True):
                fits[i] = fit.take(slice(start, start + int(count[i])))
            settled &= sound
            if settled.any():
                rows = np.flatnonzero(np.repeat(settled, count[g]))
                looks.append(Look(sample.nodes.take(rows), fit.take(rows), _between(sample.size[0])))
                looked.append(g[settled])
        for g, off in zip(looked, measured_errors(looks, boxes, solver), strict=True):
            error[g] = np.maximum.reduceat(off, np.cumsum(count[g]) - count[g])

        settled = (more_m == m) & (more_d == d)
        done = settled & (~np.isfinite(error) | (error <= TOLERANCE) | ((flat | (m >= _MOST[0])) & (d >= _MOST[1])))
        again = settled & ~done
        wider = again & (plan.tolerance <= _NODE_TOLERANCES[-1])
        plan.tolerance[going[again[going]]] = _NODE_TOLERANCES[-1]
        more_m[wider] = np.where(flat[wider], 1, np.minimum(m[wider] + 4, _MOST[0]))
        more_d[wider] = np.minimum(d[wider] + 8, _MOST[1])
        going = going[~done[going]]
        m[going], d[going] = more_m[going], more_d[going]
    return plan, [fits[i] for i in range(len(flat))], np.maximum(error, tail)


def fit_nodes(at: Nodes, boxes: Boxes, solver: Solver) -> dict[int, tuple[Surfaces, float]]:
    """Fit each node of each chain: by chain, the fit of its nodes and its error over the strike, inf if there is none.

    How finely is found at the first, the middle and the last of its nodes.
    """
    first, count = at.families()
    some = at.take(np.unique([first, first + count // 2, first + count - 1]))
    plan, fits, error = _refined(some, boxes, solver)
    lost = ~np.isfinite(error)
    groups, samples = plan.samples(at, np.flatnonzero((count > some.families()[1]) & ~lost))
    for g, fit in zip(groups, sampled_in_blocks(samples, boxes, solver), strict=True):
        begin = np.cumsum(count[g]) - count[g]
        for i, start in zip(g.tolist(), begin.tolist(), strict=True):
            fits[i] = fit.take(slice(start, start + int(count[i])))
    for i in np.flatnonzero(lost):
        fits[i] = Surfaces(np.zeros((count[i], 1)), np.zeros((count[i], 1, 1)), fits[i].tolerance)
        error[i] = np.inf
    return dict(zip(at.box[first].tolist(), zip(fits, error.tolist(), strict=True), strict=True))


def trimmed(premiums: Sequence[F8]) -> list[F8]:
    """Coefficients (n, m, d) of each fit without the trailing ones that do not matter."""
    shapes = [premium.shape[1:] for premium in premiums]
    size = np.zeros((len(premiums), *np.max(shapes, axis=0)))
    for i, (m, d) in enumerate(shapes):
        size[i, :m, :d] = np.abs(premiums[i]).max(axis=0, initial=0.0)
    kept_m, kept_d = significant(size.sum(axis=2), _TRIM), significant(size.sum(axis=1), _TRIM)
    return [p[:, :m, :d] for p, m, d in zip(premiums, kept_m.tolist(), kept_d.tolist(), strict=True)]
