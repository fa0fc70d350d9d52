"""Early-exercise premium of the American put as Kim's (1990) integral over its exercise boundaries, K = 1.

premium(S) = ∫ [r·e^(−rw)·(N(−d₋(S/B)) − N(−d₋(S/Y))) − q·S·e^(−qw)·(N(−d₊(S/B)) − N(−d₊(S/Y)))] du, w = τ − u, over
the times left u at which exercise can pay; B is the upper boundary, Y the lower one (q < r < 0), else absent.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from cpu_reference.boundary import (
    LOWER,
    UPPER,
    Puts,
    SolveBoundary,
    boundary_at_expiry,
    interpolation,
    quadrature,
    solve_boundary,
    solve_crossing,
)
from cpu_reference.boundary_chain import Chains, interpolate_chains

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.intp]
Bool = npt.NDArray[np.bool_]

TOLERANCE = 5e-8
"""Aim for the premium's error as a part of the strike; the last tier is accepted as it is."""

_TIERS = ((12, 24), (16, 32), (24, 48), (40, 80), (64, 128))  # degree of the boundary, points of its integral
_FIRST_TIER = 1e-7  # tolerance below which the first tier is not worth trying
_CROSSING_TIER = (12, 24)
_TAIL_TO_PREMIUM = 5e-3  # measured: 1e-3 in ordinary regimes, at most 4e-2
_NEGLIGIBLE = 1e-13  # |rate|·years below which it is 0
_ROOT_TWO_PI = float(np.sqrt(2 * np.pi))


class Exercise(NamedTuple):
    """Premium over the European put and its derivatives by S/K, (b, m), and ln of the boundaries at τ, (b,).

    Exercise is optimal where lower ≤ ln(S/K) ≤ upper; never: upper = −inf, lower = +inf.
    """

    premium: F8
    delta: F8
    gamma: F8
    lower: F8
    upper: F8
    error: F8  # (b,) estimated error of the premium, a part of the strike
    tier: I8  # (b,) how finely each boundary was resolved; the same again makes differences of premiums smooth
    boundaries: list["Boundaries"]  # by tier, of the puts solved by themselves; only with Greeks
    chains: list[list[Chains]]  # by tier, of the other puts with one boundary


class Boundaries(NamedTuple):
    """Boundaries as from ``solve_boundary``."""

    rows: I8  # (k,) of which puts
    squared: F8  # (k, degree)

    def at(self, rows: I8) -> F8:
        """h² (len(rows), degree) of these puts, NaN where not known."""
        place = np.full(max(self.rows.max(initial=-1), rows.max(initial=-1)) + 1, len(self.rows))
        place[self.rows] = np.arange(len(self.rows))
        return np.vstack([self.squared, np.full((1, self.squared.shape[1]), np.nan)])[place[rows]]


class Side(NamedTuple):
    """One boundary of puts whose premium is integrated."""

    side: int  # UPPER or LOWER
    squared: F8  # (b, degree) h², as from ``solve_boundary``


Unit = Callable[[Puts, F8], F8]
"""What x counts above the upper boundary: standard deviations σ√T (b,), of puts and ln of that boundary (b,)."""


def deviations(_puts: Puts, upper: F8) -> F8:
    """x counts standard deviations."""
    return np.ones(len(upper))


def beyond_all(puts: Puts, upper: F8) -> F8:
    """x counts the way to where exercise is out of reach: eight standard deviations beyond the boundary at expiry and
    the drift."""
    rate, dividend, vol, years = puts
    way = boundary_at_expiry(rate, dividend, UPPER) - upper + np.abs(rate - dividend) * years
    return np.asarray(way / (vol * np.sqrt(years)) + 8)


def regime(rate: F8, dividend: F8, years: F8) -> tuple[F8, Bool, Bool]:
    """(rate with a negligible one set to 0, put exercised below one boundary, put exercised between two)."""
    rate = np.where(np.abs(rate) * years < _NEGLIGIBLE, 0.0, rate)
    apart = (rate - dividend) * years > _NEGLIGIBLE
    return rate, (rate > 0) | ((rate == 0) & apart), (rate < 0) & apart


def _integral_panels(puts: Puts) -> I8:
    """Panels that resolve the step of the integrand where the forward meets the boundary."""
    sharpness = (np.abs(puts.rate - puts.dividend) / puts.vol + puts.vol) * np.sqrt(puts.years)
    return np.select([sharpness < 4, sharpness < 30, sharpness < 120], [2, 4, 12], 40).astype(np.intp)


class Integrate(Protocol):
    """``integrate``, or what does the same on a device."""

    def __call__(
        self, x: F8, puts: Puts, horizon: F8, sides: list[Side], points: int, panels: int, greeks: bool, /
    ) -> tuple[F8, F8, F8]: ...


class Solver(NamedTuple):
    """What does the heavy work: the host, or a device."""

    boundary: SolveBoundary
    integral: Integrate
    block: int  # elements of a temporary at once


def integrate(
    x: F8, puts: Puts, horizon: F8, sides: list[Side], points: int, panels: int, greeks: bool
) -> tuple[F8, F8, F8]:
    """Premium, delta, gamma (b, m) of the puts at x = ln(S/K) (b, m); delta and gamma 0 without ``greeks``.

    horizon: (b,) times left below which exercise can pay. points, panels: as for ``quadrature``.
    """
    rate, dividend, vol, years = puts
    sine, cosine, weight = quadrature(points, panels)
    r, q, sigma = (a[:, None] for a in (rate, dividend, vol))
    elapsed = (years - horizon)[:, None] + horizon[:, None] * sine**2
    width = 2 * horizon[:, None] * (sine * cosine * weight)
    spread = sigma * np.sqrt(elapsed)
    interest = r * np.exp(-r * elapsed) * width
    discount = np.exp(-q * elapsed) * width
    drift = ((r - q) * elapsed + 0.5 * spread**2) / spread
    moneyness = np.exp(x)
    premium, delta, gamma = np.zeros((3, *x.shape))
    for side, squared in sides:
        matrix = interpolation(squared.shape[1], cosine)
        h = np.sqrt(np.maximum(squared @ matrix.T, 0))
        boundary = boundary_at_expiry(rate, dividend, side)[:, None] - side * h
        d = (x[..., None] - boundary[:, None, :]) / spread[:, None, :]
        d += drift[:, None, :]
        yield_ = np.matmul(ndtr(-d), (q * discount)[..., None])[..., 0]
        if greeks:
            density = np.exp(-0.5 * d * d) / _ROOT_TWO_PI
            cost = (q - r * np.exp(-boundary)) * discount / spread
            delta += side * (np.matmul(density, cost[..., None])[..., 0] - yield_)
            bend = np.matmul(density, (q * discount / spread)[..., None])[..., 0]
            bend -= np.matmul(d * density, (cost / spread)[..., None])[..., 0]
            gamma += side * bend / moneyness
        d -= spread[:, None, :]
        premium += side * (np.matmul(ndtr(-d), interest[..., None])[..., 0] - moneyness * yield_)
    return premium, delta, gamma


HOST = Solver(solve_boundary, integrate, 1 << 15)  # half of a level-2 cache


def _boundary_error(squared: F8, puts: Puts) -> F8:
    """Error of the premium from the last Chebyshev coefficients of h², (b,)."""
    degree = squared.shape[1]
    node = np.pi * np.arange(degree) / degree
    half = np.full(degree, 1.0)
    half[0] = 0.5
    tail = np.stack([half * np.cos(k * node) for k in (degree - 2, degree - 1)])
    coefficient = np.abs(squared @ tail.T).max(axis=1) * (2 / degree)
    shift = coefficient / np.sqrt(np.maximum(squared[:, 0], 1e-300))
    flux = (np.abs(puts.rate) + np.abs(puts.dividend)) * np.sqrt(puts.years) / puts.vol
    return np.asarray(_TAIL_TO_PREMIUM * shift * np.minimum(flux, 1.0))


def _bumped(
    base: list[Chains], puts: Puts, here: Bool, count: int, points: int, block: int, solve: SolveBoundary
) -> list[Chains]:
    """Chains of ``count`` puts for bumped ones, a multiple of them, of which only ``here`` are asked for."""
    out = []
    for chains in base:
        for copy in range(len(here) // count):
            rows = chains.rows + copy * count
            moved = chains.moved(rows, puts.rate[rows], puts.dividend[rows], puts.vol[rows], points, block, solve)
            asked = here[moved.rows]
            out.append(moved._replace(rows=moved.rows[asked], chain=moved.chain[asked], position=moved.position[asked]))
    return out


def exercise_premium(
    x: F8,
    puts: Puts,
    *,
    greeks: bool = False,
    tolerance: float = TOLERANCE,
    like: Exercise | None = None,
    unit: Unit | None = None,
    solver: Solver = HOST,
    owner: I8 | None = None,
) -> Exercise:
    """Early-exercise premium of the put over its strike.

    x: (b, m) ln(S/K) of b puts. Without ``greeks`` delta and gamma are left 0. The boundary is refined until the
    premium's estimated error is below ``tolerance`` (a part of the strike). ``like``, the result with Greeks for almost
    the same puts (b may be a multiple of theirs), says instead how fine and which chains, and where to start from.
    With ``unit`` x counts such units above the upper boundary, which must be the only one.
    Puts of different ``owner`` (b,) share no chain: the premiums of an owner's are the same without the others'.
    Source: the formula above, on ``cpu_reference.boundary``.
    """
    rate, single, double = regime(puts.rate, puts.dividend, puts.years)
    puts = puts._replace(rate=rate)
    nodes = 32 if tolerance < _FIRST_TIER else 20
    premium, delta, gamma = np.zeros((3, *x.shape))
    lower, upper, error = np.full(len(x), np.inf), np.full(len(x), -np.inf), np.zeros(len(x))
    used = np.zeros(len(x), dtype=np.intp)
    tier = None if like is None else np.tile(like.tier, len(x) // max(1, len(like.tier)))
    boundaries: list[Boundaries] = []
    chained: list[list[Chains]] = []

    def fill(rows: I8, horizon: F8, sides: list[Side]) -> None:
        panels = _integral_panels(puts.take(rows))
        for count in np.unique(panels):
            member = np.flatnonzero(panels == count)
            size = max(1, solver.block // (x.shape[1] * nodes * int(count)))
            for start in range(0, len(member), size):
                at = member[start : start + size]
                block = puts.take(rows[at])
                moneyness = x[rows[at]]
                if unit is not None:
                    z = moneyness * unit(block, upper[rows[at]])[:, None]
                    moneyness = upper[rows[at], None] + z * (block.vol * np.sqrt(block.years))[:, None]
                part = [Side(side, squared[at]) for side, squared in sides]
                found = solver.integral(moneyness, block, horizon[at], part, nodes, int(count), greeks)
                premium[rows[at]] = found[0]
                if greeks:
                    delta[rows[at]], gamma[rows[at]] = found[1:]

    def accept(rows: I8, squared: F8, converged: Bool | bool, level: int) -> I8:
        """Premiums where the boundaries are accurate enough; the rows where they are not."""
        block = puts.take(rows)
        error[rows] = np.where(converged, _boundary_error(squared, block), np.inf)
        upper[rows] = boundary_at_expiry(block.rate, block.dividend, UPPER) - np.sqrt(squared[:, 0])
        kept = (error[rows] <= tolerance) | (tier is not None) | (level == len(_TIERS) - 1)
        fill(rows[kept], block.years[kept], [Side(UPPER, squared[kept])])
        used[rows[kept]] = level
        return rows[~kept]

    pending = np.flatnonzero(single)
    lower[pending] = -np.inf
    for level, (degree, points) in enumerate(_TIERS):
        size = max(1, solver.block // (degree * points))
        here = pending if tier is None else pending[tier[pending] == level]
        if level == 0 and tier is None and tolerance < _FIRST_TIER:
            boundaries.append(Boundaries(here[:0], np.empty((0, degree))))
            chained.append([])
            continue
        left = []
        known = [Boundaries(here[:0], np.empty((0, degree)))]

        if like is None:
            own = None if owner is None else owner[here]
            found = interpolate_chains(puts.take(here), degree, points, size, solver.boundary, own)
            found = [c._replace(rows=here[c.rows]) for c in found]
        else:
            asked = np.isin(np.arange(len(x)), here)
            found = _bumped(like.chains[level], puts, asked, len(like.tier), points, size, solver.boundary)
        chained.append(found)
        alone = np.ones(len(x), dtype=bool)
        for chains in found:
            alone[chains.rows] = False
            step = solver.block // nodes
            for start in range(0, len(chains.rows), step):
                part = slice(start, start + step)
                left.append(accept(chains.rows[part], chains.squared(part), True, level))
        here = here[alone[here]]
        for start in range(0, len(here), size):
            rows = here[start : start + size]
            guess = None if like is None else like.boundaries[level].at(rows % len(like.tier))
            squared, converged = solver.boundary(puts.take(rows), UPPER, degree, points, guess)
            lost = np.flatnonzero(~converged)
            if guess is not None and len(lost):  # as where the boundary at expiry leaves the strike
                squared[lost], converged[lost] = solver.boundary(puts.take(rows[lost]), UPPER, degree, points)
            left.append(accept(rows, squared, converged, level))
            if greeks:
                known.append(Boundaries(rows, squared))
        boundaries.append(Boundaries(*(np.concatenate(columns) for columns in zip(*known, strict=True))))
        if tier is None:
            pending = np.concatenate([*left, pending[:0]])

    rows = np.flatnonzero(double)
    if len(rows):
        block = puts.take(rows)
        above, below, horizon = solve_crossing(block, *_CROSSING_TIER, solver.boundary)
        closing = block._replace(years=horizon)
        error[rows] = _boundary_error(above, closing) + _boundary_error(below, closing)
        fill(rows, horizon, [Side(UPPER, above), Side(LOWER, below)])
        alive = horizon == block.years
        upper[rows] = np.where(alive, -np.sqrt(above[:, 0]), -np.inf)
        start_lower = boundary_at_expiry(block.rate, block.dividend, LOWER)
        lower[rows] = np.where(alive, start_lower + np.sqrt(below[:, 0]), np.inf)
    return Exercise(premium, delta, gamma, lower, upper, error, used, boundaries, chained)
