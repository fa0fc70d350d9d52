"""Searches for the nearest break: steps that shorten the distance of points that are broken.

Steps are those of Rackwitz & Fiessler (1978), shortened until the distance falls, as in the improved algorithm of Zhang
and Der Kiureghian (1995). Where a limit state has a kink (a largest of several, a netting set that turns) gradients are
sampled around the point (Burke, Lewis & Overton 2005). All searches advance together, so that a call evaluates many.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import nnls

from gpu_var.tables.book import F8, I8, Bool

Gaps = Callable[[F8], F8]
"""(k, r) points to (n, k) gaps of n limit states: positive where they hold. All points of a call go together."""

Around = Callable[[F8, F8], F8]
"""(k, r) points and (m, r) steps, to (n, k, 1 + 2·m) gaps at a point, a step further, a step back: to first order."""

_PARTS = 15  # points inside a bracket at a time
_DIFFERENCE = 0.01  # half the width of a central difference
_STEPS = np.array([1.0, 0.6, 0.3, 0.12, 0.04])  # of the way to the step's end
_RADII = np.array([0.4, 0.6, 0.7, 0.8, 0.87, 0.92, 0.95, 0.97, 0.985, 0.995, 0.9998])  # of the present distance
_AROUND = 0.15  # how far from a kink its gradients are sampled
_SAMPLES = 4
_KEPT = 12  # linearisations that a search remembers
_ALIGNED = 1e-6  # 1 − cosine at which a point counts as a smooth design point


@dataclass(eq=False)
class Descent:
    """One search: a break that comes nearer."""

    state: int  # row of the limit state
    start: int
    point: F8
    aligned: float = 0.0
    active: bool = True
    cuts: list[tuple[float, F8]] = field(default_factory=list)  # g ≤ 0 linearised: slope·u ≤ bound

    def cut(self, point: F8, gap: float, slope: F8) -> None:
        """Keep a linearised limit state, and forget the oldest."""
        if slope.any():
            self.cuts = [*self.cuts, (float(slope @ point) - gap, slope)][-_KEPT:]

    def together(self) -> F8 | None:
        """The nearest point at which all kept linearisations break: the corner of a set that several bound."""
        if len(self.cuts) < 2:
            return None
        return least_distance(-np.array([slope for _, slope in self.cuts]), -np.array([b for b, _ in self.cuts]))

    @property
    def distance(self) -> float:
        return float(np.linalg.norm(self.point))


class Spent(Exception):  # noqa: N818 - no error
    """The budget of evaluations is used up, which ends a search."""


@dataclass
class Search:
    """Limit states, and what evaluating them has taken."""

    gaps_of: Gaps
    most: int
    around: Around | None
    cost: int  # of `around`, for one point
    evaluations: int = field(default=0)

    def gaps(self, points: F8) -> F8:
        self._spend(len(points))
        return _held(self.gaps_of(points))

    def _spend(self, evaluations: int) -> None:
        if self.evaluations + evaluations > self.most:
            raise Spent
        self.evaluations += evaluations

    def along(self, directions: F8, radii: F8, state: I8 | None = None) -> tuple[F8, F8]:
        """(low, high) of the first break along each ray: g > 0 at low, g ≤ 0 at high; infinite where there is none.

        Args:
            directions: (k, r) of length 1, or 0 for none.
            radii: (m,) ascending, or (k, m).
            state: (k,) the limit state of each ray; every one for each unless given, and then results are (n, k).
        """
        k = len(directions)
        radii = np.broadcast_to(radii, (k, radii.shape[-1]))
        points = directions[:, None, :] * radii[:, :, None]
        gaps = self.gaps(points.reshape(-1, directions.shape[1]))
        known = np.asarray(directions.any(axis=1))[:, None]
        broken: Bool = np.where(known, (gaps <= 0.0).reshape(-1, *radii.shape), False)
        if state is not None:
            broken = broken[state, np.arange(k)]
        first = broken.argmax(axis=-1)
        found = np.any(broken, axis=-1)
        rows = np.arange(k)
        high = np.where(found, radii[rows, first], np.inf)
        low = np.where(first > 0, radii[rows, np.maximum(first - 1, 0)], 0.0)
        return np.where(found, low, np.inf), high

    def narrow(self, directions: F8, low: F8, high: F8, state: I8, rounds: int) -> F8:
        """(k,) the first breaks between two radii of rays, narrowed; g ≤ 0 there."""
        for _ in range(rounds if len(directions) else 0):
            inside = low[:, None] + (high - low)[:, None] * np.arange(1, _PARTS + 1) / (_PARTS + 1.0)
            nearer, broken = self.along(directions, inside, state)
            found = np.isfinite(broken)
            last = inside[:, -1]
            low = np.where(found, np.where(nearer > 0.0, nearer, low), last)
            high = np.where(found, broken, high)
        return high

    def gradient(self, points: F8, state: I8) -> tuple[F8, F8]:
        """(k,) gaps and (k, r) gradients by central differences, all in one call."""
        k, r = points.shape
        step = _DIFFERENCE * np.eye(r)
        if self.around is None:
            moves = np.concatenate([np.zeros((1, r)), step, -step])
            every = self.gaps((points[:, None, :] + moves).reshape(-1, r)).reshape(-1, k, 2 * r + 1)
        else:
            self._spend(k * self.cost)
            every = _held(self.around(points, step))
        gaps = every[state, np.arange(k)]
        slope = (gaps[:, 1 : r + 1] - gaps[:, r + 1 :]) / (2.0 * _DIFFERENCE)
        return gaps[:, 0], np.where(np.isfinite(slope), slope, 0.0)

    def shorten(self, searches: list[Descent], ends: list[F8]) -> list[Descent]:
        """Move searches to breaks that are nearer, on the way to one of the ends of their steps; those left behind."""
        if not searches:
            return []
        unit = [unit_rows((s.point + _STEPS[:, None, None] * (e - s.point)).reshape(-1, len(s.point)))
                for s, e in zip(searches, ends, strict=True)]  # fmt: skip
        owner = np.repeat(np.arange(len(searches)), [len(u) for u in unit])
        rays = np.concatenate(unit)
        size = np.array([s.distance for s in searches])[owner]
        state = np.array([s.state for s in searches])[owner]
        low, high = self.along(rays, size[:, None] * _RADII, state)
        best = [int(np.flatnonzero(owner == i)[np.argmin(high[owner == i])]) for i in range(len(searches))]
        moved = np.array([b for b in best if np.isfinite(high[b])], dtype=np.int64)
        radius = self.narrow(rays[moved], low[moved], high[moved], state[moved], 2)
        for ray, length in zip(moved.tolist(), radius.tolist(), strict=True):
            searches[owner[ray]].point = rays[ray] * length
        return [s for s, b in zip(searches, best, strict=True) if not np.isfinite(high[b])]

    def advance(self, searches: list[Descent], rng: np.random.Generator) -> None:
        """One step of each search; one that finds no nearer break ends."""
        points, state = np.array([s.point for s in searches]), np.array([s.state for s in searches])
        gap, slope = self.gradient(points, state)
        size = np.linalg.norm(slope, axis=1)
        towards = np.divide(-(slope * points).sum(axis=1), size, out=np.zeros_like(size), where=size > 0.0)
        stuck, moving, ends = [], [], []
        for i, s in enumerate(searches):
            s.aligned = float(towards[i] / s.distance)
            s.cut(points[i], float(gap[i]), slope[i])
            if 0.0 < s.aligned < 1.0 - _ALIGNED:
                moving.append(s)
                ends.append(_with(s.together(), _newton(points[i : i + 1], gap[i : i + 1], slope[i : i + 1])))
            else:
                stuck.append(s)
        stuck += self.shorten(moving, ends)
        # At a kink, and on the ridge between two breaks, where the gradients of both sides average out.
        for s in self.shorten(stuck, self._sampled(stuck, rng)):
            s.active = False

    def _sampled(self, searches: list[Descent], rng: np.random.Generator) -> list[F8]:
        """Ends of steps from the gradients around each point: of each alone, and of all that must hold together."""
        if not searches:
            return []
        r = len(searches[0].point)
        moved = np.concatenate([s.point + _AROUND * unit_rows(rng.standard_normal((_SAMPLES, r))) for s in searches])
        gap, slope = self.gradient(moved, np.repeat([s.state for s in searches], _SAMPLES))
        out = []
        for i, s in enumerate(searches):
            own = slice(i * _SAMPLES, (i + 1) * _SAMPLES)
            sound = np.isfinite(gap[own]) & slope[own].any(axis=1)
            if not sound.any():
                out.append(s.point[None])
                continue
            around, gaps, slopes = moved[own][sound], gap[own][sound], slope[own][sound]
            for point, value, row in zip(around, gaps.tolist(), slopes, strict=True):
                s.cut(point, value, row)
            out.append(_with(s.together(), _newton(around, gaps, slopes)))
        return out


def _held(gaps: F8) -> F8:
    """A gap that is not a number counts as holding."""
    return np.where(np.isnan(gaps), np.inf, gaps)


def least_distance(a: F8, b: F8) -> F8 | None:
    """The point nearest to the origin with a·u ≥ b (Lawson & Hanson 1974, chapter 23, LDP); None where there is none.

    Args:
        a: (m, r), no row of zeros.
        b: (m,).
    """
    size = np.linalg.norm(a, axis=1)
    matrix = np.vstack([(a / size[:, None]).T, b / size])
    target = np.append(np.zeros(a.shape[1]), 1.0)
    weight, distance = nnls(matrix, target)
    residual = matrix @ weight - target
    if distance < 1e-12 or abs(residual[-1]) < 1e-12:
        return None
    out: F8 = -residual[:-1] / residual[-1]
    return out


def _with(point: F8 | None, points: F8) -> F8:
    return points if point is None else np.concatenate([point[None], points])


def _newton(points: F8, gap: F8, slope: F8) -> F8:
    """(k, r) the points nearest to the origin at which the linearised gaps are 0 (Rackwitz & Fiessler 1978)."""
    square = (slope**2).sum(axis=1)
    out: F8 = (((slope * points).sum(axis=1) - gap) / square)[:, None] * slope
    return out


def unit_rows(vectors: F8) -> F8:
    """Rows of length 1; a row of zeros stays one."""
    size = np.linalg.norm(vectors, axis=1)[:, None]
    out: F8 = np.divide(vectors, size, out=np.zeros_like(vectors), where=size > 0.0)
    return out
