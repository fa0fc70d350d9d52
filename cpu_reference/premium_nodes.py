"""Interpolation of early-exercise premiums of puts over (z, ln σ) at nodes of (r, q), of many chains at once.

See ``cpu_reference.premium`` for what is interpolated and why.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.boundary import Puts
from cpu_reference.chebyshev import analysis, basis, nodes
from cpu_reference.exercise import Solver, deviations
from cpu_reference.premium_ask import Ask, answered

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.intp]
Bool = npt.NDArray[np.bool_]

NEGLIGIBLE = 1e-8
"""Premium over the strike that counts as 0."""

_ELEMENTS = 1 << 20  # premiums at once, about; a few temporaries are as large


class Boxes(NamedTuple):
    """What the fits of some chains cover: years to expiry, the range of σ, and z in [0, z_max]; all (n_chains,)."""

    years: F8
    vol_low: F8
    vol_high: F8
    z_max: F8
    owner: I8  # chains of different ones share no exercise boundary

    def vol(self, box: I8, t: F8) -> F8:
        """σ (len(box), len(t)) at places t in [−1, 1] of the ranges of ln σ."""
        low = self.vol_low[box, None]
        return np.asarray(low * np.exp((t + 1) / 2 * np.log(self.vol_high[box, None] / low)))

    @property
    def flat(self) -> Bool:
        return np.asarray(self.vol_high <= self.vol_low * (1 + 1e-12))


class Nodes(NamedTuple):
    """Points (r, q) and the chain that each belongs to, those of a chain together, chains ascending; all (n,)."""

    rate: F8
    dividend: F8
    box: I8

    def take(self, rows: I8 | slice) -> "Nodes":
        return Nodes(self.rate[rows], self.dividend[rows], self.box[rows])

    def families(self) -> tuple[I8, I8]:
        """The first node of each chain and how many it has."""
        new = np.ones(len(self.box), dtype=np.bool_)
        np.not_equal(self.box[1:], self.box[:-1], out=new[1:])
        first = np.flatnonzero(new)
        return first, np.diff(first, append=len(self.box))

    def puts(self, boxes: Boxes, t: F8) -> tuple[Puts, I8]:
        """Puts (n·len(t),) of each node at places t of its chain's range of ln σ, and their chains."""
        box = np.repeat(self.box, len(t))
        rate, dividend = np.repeat(self.rate, len(t)), np.repeat(self.dividend, len(t))
        return Puts(rate, dividend, boxes.vol(self.box, t).ravel(), boxes.years[box]), box


class Surfaces(NamedTuple):
    """Chebyshev coefficients in t (and y) at each node."""

    boundary: F8  # (n, m): ln B
    premium: F8  # (n, m, d)
    tolerance: float  # of the premiums at the nodes

    def take(self, rows: I8 | slice) -> "Surfaces":
        return Surfaces(self.boundary[rows], self.premium[rows], self.tolerance)


class Sample(NamedTuple):
    """Nodes of (r, q) at which to interpolate premiums, and how."""

    nodes: Nodes
    size: tuple[int, int]  # (m, d) Chebyshev nodes in ln σ and z
    tolerance: float


class Look(NamedTuple):
    """Scenarios in which to compare a fit with direct premiums."""

    nodes: Nodes  # (k,)
    fit: Surfaces  # (k,), of these scenarios
    t: F8  # (j,) places in ln σ, [−1, 1]


def joined(parts: Sequence[Surfaces]) -> Surfaces:
    """Surfaces of one size, one after another."""
    boundary, premium = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return Surfaces(boundary, premium, parts[0].tolerance)


def sampled(samples: Sequence[Sample], boxes: Boxes, solver: Solver) -> list[Surfaces]:
    """Interpolate the premium at the nodes of each sample."""
    asks = []
    for at, (m, d), tolerance in samples:
        puts, box = at.puts(boxes, nodes(m))
        z = (nodes(d) + 1) / 2 * boxes.z_max[box, None]
        asks.append(Ask(z, puts, boxes.owner[box], unit=deviations, tolerance=tolerance))
    out = []
    for (_, (m, d), tolerance), (premium, upper) in zip(samples, answered(asks, solver), strict=True):
        to_m, to_d = analysis(m), analysis(d)
        out.append(Surfaces(upper.reshape(-1, m) @ to_m.T, to_m @ premium.reshape(-1, m, d) @ to_d.T, tolerance))
    return out


def sampled_in_blocks(samples: Sequence[Sample], boxes: Boxes, solver: Solver) -> list[Surfaces]:
    """The same for many nodes, some at a time; no chain shares a boundary, whatever its owner, so that the cuts do not
    matter."""
    boxes = boxes._replace(owner=np.arange(len(boxes.owner)))
    blocks, of, size = [], [], []
    for i, sample in enumerate(samples):
        m, d = sample.size
        step = max(1, _ELEMENTS // (m * d))
        for start in range(0, max(1, len(sample.nodes.box)), step):
            part = sample.nodes.take(slice(start, start + step))
            blocks.append(sample._replace(nodes=part))
            of.append(i)
            size.append(len(part.box) * m * d)
    parts: list[list[Surfaces]] = [[] for _ in samples]
    batch = np.cumsum(size) // _ELEMENTS
    for rows in np.split(np.arange(len(blocks)), np.flatnonzero(np.diff(batch)) + 1):
        for i, found in zip(rows, sampled([blocks[i] for i in rows], boxes, solver), strict=True):
            parts[of[i]].append(found)
    return [joined(part) for part in parts]


def measured_errors(looks: Sequence[Look], boxes: Boxes, solver: Solver) -> list[F8]:
    """Largest difference from direct premiums over the strike, off the nodes, in each scenario: (k,) of each look."""
    asks: list[Ask] = []
    fitted: list[F8] = []
    for at, fit, t in looks:
        m, d = fit.premium.shape[1:]
        y = np.cos(np.pi * np.arange(1, d) / d)
        puts, box = at.puts(boxes, t)
        width = boxes.z_max[box] * puts.vol * np.sqrt(puts.years)
        x = (fit.boundary @ basis(t, m).T).reshape(-1, 1) + (y + 1) / 2 * width[:, None]
        asks.append(Ask(x, puts, boxes.owner[box], unit=None, tolerance=fit.tolerance / 5))
        fitted.append((basis(t, m) @ fit.premium).reshape(-1, d))
    errors = []
    for look, ask, surface, (exact, upper) in zip(looks, asks, fitted, answered(asks, solver), strict=True):
        d = surface.shape[1]
        # Below the true boundary the price is the intrinsic value: what the fit says there does not matter.
        off = np.abs(surface @ basis(np.cos(np.pi * np.arange(1, d) / d), d).T - exact)
        error = np.where(ask.x >= upper[:, None], off, 0.0).max(axis=1)
        beyond = np.abs(surface.sum(axis=1)) - NEGLIGIBLE  # beyond y = 1, P stays as it is there
        errors.append(np.maximum(error, beyond).reshape(-1, len(look.t)).max(axis=1))
    return errors
