"""Exercise boundary of the American put, K = 1, as a collocation solution of the smooth-pasting integral equation.

Andersen, Lake & Offengenden (2016), "High-performance American option pricing", Journal of Computational Finance 20(1):
their equation (FP-A: delta = −1 on the boundary), variables (√u, and h² with h = |ln(B/X)|, X the boundary at expiry)
and Chebyshev collocation. We differ in two places: u = τ cos²θ makes both ends of the integral smooth, so that plain
Gauss–Legendre in θ serves; and the collocation equations are solved by Newton's method with the full Jacobian, which
unlike their fixed point converges without a choice by |r − q|.

With q < r < 0 the put is exercised between two boundaries (Battauz, De Donno & Sbuelz 2015). They decouple: above the
upper one the price solves a one-boundary problem of its own, and so below the lower one, until they meet at τ*.
"""

from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

F8 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
I8 = npt.NDArray[np.intp]

UPPER, LOWER = 1, -1
"""Sides: the put is exercised below its upper boundary and above its lower one."""

_STEPS = 20
_TOLERANCE = 1e-6  # Newton's last step in h; the error left after it is of the order of its square
_ROOT_TWO_PI = float(np.sqrt(2 * np.pi))
_CROSSING_STEPS = 18


class Puts(NamedTuple):
    """Puts of strike 1, all (b,): rate and dividend yield, continuous and of any sign; volatility and years, > 0."""

    rate: F8
    dividend: F8
    vol: F8
    years: F8

    def take(self, rows: I8) -> "Puts":
        return Puts(self.rate[rows], self.dividend[rows], self.vol[rows], self.years[rows])


class SolveBoundary(Protocol):
    """``solve_boundary``, or what does the same on a device."""

    def __call__(
        self, puts: Puts, side: int, degree: int, points: int, guess: F8 | None = None, /
    ) -> tuple[F8, Bool]: ...


class Quadrature(NamedTuple):
    """Gauss–Legendre on θ in [0, π/2], all (points,)."""

    sine: F8
    cosine: F8
    weight: F8


@cache
def quadrature(points: int, panels: int = 1) -> Quadrature:
    """Nodes of ``panels`` panels with ``points`` nodes each; two are graded towards θ = 0, more are equal."""
    node, weight = np.polynomial.legendre.leggauss(points)
    edge = np.array([0, 0.2, 1]) if panels == 2 else np.linspace(0, 1, panels + 1)
    width = np.diff(edge)[:, None] * np.pi / 2
    theta = ((node + 1) / 2 * width + edge[:-1, None] * np.pi / 2).ravel()
    return Quadrature(np.sin(theta), np.cos(theta), (weight / 2 * width).ravel())


def interpolation(degree: int, position: F8) -> F8:
    """Matrix (..., degree) from h² at the nodes to h² at ``position`` = √(u/τ) in [0, 1]; h² = 0 at expiry, u = 0."""
    order = np.arange(degree + 1)
    weight = np.where(order % 2 == 0, 1.0, -1.0)
    weight[[0, -1]] *= 0.5
    gap = (2 * position - 1)[..., None] - np.cos(np.pi * order / degree)
    gap[gap == 0] = 1e-300
    ratio = weight / gap
    ratio /= ratio.sum(axis=-1, keepdims=True)
    return np.ascontiguousarray(ratio[..., :degree])


@cache
def collocation(degree: int, points: int) -> tuple[F8, F8]:
    """Nodes √(u/τ) (degree,), and the interpolation at the points of their integrals (degree, points, degree)."""
    node = (1 + np.cos(np.pi * np.arange(degree) / degree)) / 2
    return node, interpolation(degree, node[:, None] * quadrature(points).cosine)


def boundary_at_expiry(rate: F8, dividend: F8, side: int) -> F8:
    """ln of the boundary as u → 0: where exercise begins to pay, r = q·X, but the upper one not above the strike."""
    paying = (dividend > rate) | (side == LOWER)
    ratio = np.where(paying, rate, 1.0) / np.where(paying, dividend, 1.0)
    return np.where(paying, np.log(np.abs(ratio)), 0.0)


def _first_guess(puts: Puts, side: int, node: F8) -> F8:
    """h at the nodes (b, degree): the short-dated asymptote (Evans, Kuske & Keller 2002) bent to the perpetual one."""
    rate, dividend, vol, horizon = puts
    start = boundary_at_expiry(rate, dividend, side)[:, None]
    deviation = vol[:, None] * np.sqrt(horizon)[:, None] * node
    years = horizon[:, None] * node**2
    exponent = (rate - dividend) / vol**2 - 0.5
    discriminant = exponent**2 + 2 * rate / vol**2
    root = exponent + side * np.sqrt(np.maximum(discriminant, 0))
    paid = (rate < 0)[:, None]  # two boundaries, each at most half-way to the other
    middle = np.exp(
        start
        + np.where(
            paid,
            side
            * 0.5
            * boundary_at_expiry(np.where(rate < 0, rate, 1.0), np.where(rate < 0, dividend, 1.0), LOWER)[:, None],
            0.0,
        )
    )
    exists = (discriminant >= 0) & (root >= 0)
    limit = np.where(exists[:, None], (root / (1 + np.abs(root)))[:, None], np.where(paid, middle, 0.0))
    first = np.exp(start)
    distance = np.maximum(side * (first - limit), 1e-12 * first)
    slow = ((rate - dividend) / vol)[:, None] ** 2 * 8 * np.pi * years + 16 * np.pi * (rate[:, None] * years) ** 2
    at_strike = (dividend <= rate)[:, None] & (side == UPPER)
    pace = np.where(at_strike, np.sqrt(np.maximum(-np.log(slow + 1e-300), 0.4)), 0.64)
    guess = first - side * distance * -np.expm1(-deviation * pace * first / distance)
    return np.asarray(np.maximum(np.abs(np.log(np.maximum(guess, 1e-300)) - start), 1e-6 * deviation))


class _Equations:
    """delta = −1 at the collocation nodes of b boundaries: everything in it that does not depend on the boundary.

    With h the distance at the node and h' that at time u, S/B(u) = exp(side·(h' − h)), and the equation reads
    [upper] e^(−qτ)·N(d₊(S/K)) + ∫ e^(−qw)·(side·φ(d)·(q − r/B(u))/(σ√w) + q·N(d)) dw = 0, d = side·d₊(S/B(u)).
    Arrays are (degree, b, points), so that the interpolations are a few large matrix products.
    """

    def __init__(self, puts: Puts, side: int, degree: int, points: int) -> None:
        rate, dividend, vol, horizon = puts
        node, self.matrix = collocation(degree, points)
        sine, cosine, weight = quadrature(points)
        self.side, self.rate, self.dividend = side, rate, dividend
        self.start = boundary_at_expiry(rate, dividend, side)
        root_years = node[:, None] * np.sqrt(horizon)
        self.deviation = vol * root_years
        self.discount = np.exp(-dividend * root_years**2)
        self.drift = (rate - dividend) * root_years**2
        root_elapsed = root_years[..., None] * sine
        self.spread = vol[:, None] * root_elapsed
        self.slide = side * ((rate - dividend)[:, None] * root_elapsed**2 + 0.5 * self.spread**2)
        growth = np.exp(-dividend[:, None] * root_elapsed**2) * (weight * cosine)
        self.scale = growth * (2 * root_years / vol)[..., None]
        self.carry = growth * (2 * dividend * root_years)[..., None] * root_elapsed

    def evaluate(self, squared: F8) -> tuple[F8, F8]:
        """Residuals (b, degree) and their Jacobian by h² (b, degree, degree) at h² (b, degree)."""
        degree, side = squared.shape[1], self.side
        h = np.sqrt(squared.T)
        history = np.matmul(squared, self.matrix.transpose(0, 2, 1))
        positive = history > 1e-18
        np.maximum(history, 1e-18, out=history)
        np.sqrt(history, out=history)

        d = history - h[..., None]
        d += self.slide
        d /= self.spread
        density = np.exp(-0.5 * d * d)
        density *= self.scale / _ROOT_TWO_PI
        cost = self.rate[:, None] * np.exp(side * history - self.start[:, None])
        pull = density * (self.dividend[:, None] - cost)
        residual = (side * pull + self.carry * ndtr(d)).sum(axis=-1)
        # ∂/∂h' = slope − φ·r/B·scale and ∂/∂h = −slope, for d has h' − h
        d *= pull
        d *= -side
        d /= self.spread
        slope = d
        slope += density * self.dividend[:, None]
        local = -slope.sum(axis=-1)
        if side == UPPER:  # the kink of the payoff at the strike
            d_strike = (self.start - h + self.drift) / self.deviation + 0.5 * self.deviation
            residual += self.discount * ndtr(d_strike)
            local -= self.discount * np.exp(-0.5 * d_strike * d_strike) / (_ROOT_TWO_PI * self.deviation)
        slope -= density * cost
        slope *= positive
        slope /= 2 * history
        jacobian = np.matmul(slope, self.matrix)
        diagonal = np.arange(degree)
        jacobian[diagonal, :, diagonal] += local / (2 * h)
        return residual.T.copy(), jacobian.transpose(1, 0, 2).copy()


def solve_boundary(puts: Puts, side: int, degree: int, points: int, guess: F8 | None = None) -> tuple[F8, Bool]:
    """Squared log distance h² of one boundary from its value at expiry.

    Returns h² (b, degree) at √(u/years) = (1 + cos(πj/degree))/2 and whether Newton's iteration converged, (b,). The
    boundary is ln B = ``boundary_at_expiry`` − side·h. ``guess`` is h² (b, degree) to start from, NaN where not known.
    """
    squared = _first_guess(puts, side, collocation(degree, points)[0]) ** 2
    if guess is not None:
        squared = np.where(np.isfinite(guess) & (guess > 0), guess, squared)
    converged = np.zeros(len(puts.rate), dtype=bool)
    active = np.arange(len(puts.rate))
    equations = _Equations(puts, side, degree, points)
    for _ in range(_STEPS):
        before = squared[active]
        change, sound = _newton_step(equations, before)
        after = np.clip(before - change, before / 4, before * 4)
        squared[active] = after
        moved = np.abs(np.sqrt(after) - np.sqrt(before)).max(axis=1)
        settled = sound & (moved < _TOLERANCE * (1 + np.sqrt(before).max(axis=1)))
        converged[active[settled]] = True
        going = sound & ~settled
        active = active[going]
        if not len(active):
            break
        if len(active) < len(going):
            equations = _Equations(puts.take(active), side, degree, points)
    return squared, converged


def _newton_step(equations: _Equations, squared: F8) -> tuple[F8, Bool]:
    """Newton's correction of h² (b, degree), and whether it is finite (b,)."""
    residual, jacobian = equations.evaluate(squared)
    sound = np.asarray(np.isfinite(jacobian).all(axis=(1, 2)) & np.isfinite(residual).all(axis=1))
    jacobian[~sound] = np.eye(squared.shape[1])
    residual[~sound] = 0
    try:
        change = np.linalg.solve(jacobian, residual[..., None])[..., 0]
    except np.linalg.LinAlgError:
        shift = 1e-14 * np.abs(jacobian).max(axis=(1, 2), keepdims=True)
        change = np.linalg.solve(jacobian + shift * np.eye(squared.shape[1]), residual[..., None])[..., 0]
    return np.asarray(change, dtype=np.float64), sound


def solve_crossing(puts: Puts, degree: int, points: int, solve: SolveBoundary = solve_boundary) -> tuple[F8, F8, F8]:
    """Both boundaries of puts with q < r < 0: h² of the upper and the lower (b, degree), and the horizon (b,).

    The horizon is the years to expiry, or the time τ* at which the boundaries meet and beyond which no exercise pays.
    """
    separation = -np.log(puts.rate / puts.dividend)
    high = np.sqrt(puts.years)  # √τ with no gap between the boundaries, unless the first solution finds one
    low = np.zeros_like(high)
    trial = high.copy()
    upper, lower = np.zeros((2, len(high), degree))
    gap_high, gap_low = np.full(len(high), -np.inf), separation.copy()
    active = np.arange(len(high))
    for step in range(_CROSSING_STEPS):
        inputs = puts.take(active)._replace(years=trial[active] ** 2)
        above, above_found = solve(inputs, UPPER, degree, points)
        below, below_found = solve(inputs, LOWER, degree, points)
        gap = separation[active] - np.sqrt(above[:, 0]) - np.sqrt(below[:, 0])
        gap = np.where(above_found & below_found, gap, -np.inf)
        open_ = gap >= 0
        kept = active[open_]
        upper[kept], lower[kept] = above[open_], below[open_]
        low[kept], gap_low[kept] = trial[kept], gap[open_]
        shut = active[~open_]
        high[shut], gap_high[shut] = trial[shut], gap[~open_]
        done = (open_ if step == 0 else np.zeros(len(active), dtype=bool)) | (gap_low[active] < 1e-6)
        active = active[~done]
        if not len(active):
            break
        with np.errstate(invalid="ignore"):
            share = gap_low[active] / (gap_low[active] - gap_high[active])
        secant = np.isfinite(gap_high[active]) & (step % 3 != 2)
        share = np.where(secant, np.clip(share, 0.02, 0.98), 0.5)
        trial[active] = low[active] + share * (high[active] - low[active])
    return upper, lower, np.where(low == np.sqrt(puts.years), puts.years, low**2)
