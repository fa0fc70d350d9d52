"""Early-exercise premium of many strikes in many scenarios: a polynomial fitted once for each expiry and right.

All strikes of one underlying, expiry and right share r, q and T, and the price is homogeneous, so that the premium over
the strike is one function P(z, σ) of the volatility and z = (ln(S/K) − ln(B(σ)/K))/(σ√T), the distance from the
exercise boundary in standard deviations. P is smooth on z ≥ 0, negligible beyond some z, and the price is the intrinsic
value below 0. We interpolate ln B and P at Chebyshev nodes priced by ``cpu_reference.exercise``. Where scenarios move r
and q, the polynomials are interpolated between nodes in (r, q) too, or fitted for each scenario. Calls are puts with
spot and strike, r and q exchanged. Each fit is compared with direct prices off its nodes before it is accepted.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.american import american
from cpu_reference.exercise import exercise_premium, regime

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.intp]
Bool = npt.NDArray[np.bool_]

TOLERANCE = 3e-7
"""Error of the premium over the strike at which a fit is accepted without further refinement."""

_LIMIT = 1e-5  # a fit whose measured error is above this is not used: every price is direct
_NODE_TOLERANCE = 3e-8  # of the premiums at the nodes
_NEGLIGIBLE = 1e-8  # P below this is 0
_FAR = -1e4  # ln of the boundary where exercise is never optimal
_VOL_LADDER = (10, 20, 40)
_Z_LADDER = (24, 48, 96)
_RATE_LADDER = (3, 5, 9, 17)  # nodes along a line of (r, q)
_PLANE_LADDER = (3, 5, 8)  # nodes along each axis of a box of (r, q)


class Premium(NamedTuple):
    """P and ln B of one expiry and right as polynomials, for each of its nodes in (r, q).

    With t = 2·ln(σ/vol_low)/ln(vol_high/vol_low) − 1 and y = 2z/z_max − 1:
    ln B = Σ boundary[node, j]·T_j(t) and P = Σ surface[node, j, i]·T_j(t)·y^i.
    """

    years: float
    sign: int
    rate: F8  # (n_scenarios,)
    dividend: F8  # (n_scenarios,)
    vol_low: float
    vol_high: float
    z_max: float
    boundary: F8  # (n_nodes, degree + 1)
    surface: F8  # (n_nodes, degree + 1, z_degree + 1)
    weights: F8  # (n_scenarios, n_nodes): a scenario's polynomials from the nodes'
    uniform: bool  # every scenario has the same polynomials
    direct: Bool  # (n_scenarios,): priced element by element instead, slowly
    error: float  # measured off the nodes, a part of the strike


def _nodes(count: int) -> F8:
    """Chebyshev nodes of the first kind."""
    return np.cos(np.pi * (np.arange(count) + 0.5) / count)


def _basis(t: F8, count: int) -> F8:
    """T_0 … T_{count−1} at t, on a new last axis."""
    return np.cos(np.arange(count) * np.arccos(np.clip(t, -1.0, 1.0))[..., None])


def _analysis(count: int) -> F8:
    """Matrix from values at ``_nodes`` to Chebyshev coefficients."""
    matrix = _basis(_nodes(count), count).T * (2 / count)
    matrix[0] *= 0.5
    return matrix


def _monomials(count: int) -> F8:
    """Matrix from Chebyshev coefficients to those of the powers."""
    matrix = np.zeros((count, count))
    matrix[0, 0] = 1
    if count > 1:
        matrix[1, 1] = 1
    for k in range(2, count):
        matrix[k, 1:] = 2 * matrix[k - 1, :-1]
        matrix[k] -= matrix[k - 2]
    return matrix.T


class _Surface(NamedTuple):
    z_max: float
    boundary: F8  # (n_nodes, degree + 1), Chebyshev
    surface: F8  # (n_nodes, degree + 1, z_degree + 1), Chebyshev
    error: float


def _premiums(x: F8, rate: F8, dividend: F8, vol: F8, years: float, from_boundary: bool) -> tuple[F8, F8]:
    """(premium of the put (b, m), ln B (b,))."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        result = exercise_premium(
            x,
            rate,
            dividend,
            vol,
            np.full(len(rate), years),
            tolerance=_NODE_TOLERANCE,
            from_boundary=from_boundary,
        )
    return result.premium, result.upper


def _vol(t: F8, low: float, high: float) -> F8:
    return np.asarray(low * np.exp((t + 1) / 2 * np.log(high / low)))


def _z_max(rate: F8, dividend: F8, years: float, low: float, high: float) -> float:
    """Distance beyond which the premium is negligible; 0 if it is so everywhere."""
    corner = np.unique([rate.argmin(), rate.argmax(), dividend.argmin(), dividend.argmax()])
    vol = np.tile(_vol(np.array([-1.0, 0.0, 1.0]), low, high), len(corner))
    r, q = np.repeat(rate[corner], 3), np.repeat(dividend[corner], 3)
    drift = np.abs(r - q) / vol * np.sqrt(years)
    z = (8 + 2 * drift)[:, None] * np.linspace(0, 1, 25) ** 1.5
    premium, upper = _premiums(z, r, q, vol, years, True)
    start = np.where(q > r, np.log(r / np.where(q > r, q, 1.0)), 0.0)
    reach = (start - upper) / (vol * np.sqrt(years))
    z = reach[:, None] + z
    premium = np.maximum(premium, _premiums(z, r, q, vol, years, True)[0])
    return float(np.where(premium > _NEGLIGIBLE, np.roll(z, -1, axis=1), 0.0).max())


def _evaluate(fit: _Surface, weights: F8, t: F8, y: F8) -> tuple[F8, F8]:
    """(P (k, m), ln B (k,)) of k points: weights (k, n_nodes), t (k,), y (m,)."""
    basis = _basis(t, fit.boundary.shape[1])
    boundary = np.einsum("kn,nj,kj->k", weights, fit.boundary, basis, optimize=True)
    surface = np.einsum("kn,nji,kj->ki", weights, fit.surface, basis, optimize=True)
    return surface @ _basis(y, fit.surface.shape[2]).T, boundary


def _measured_error(
    fit: _Surface, weights: F8, rate: F8, dividend: F8, t: F8, years: float, low: float, high: float
) -> float:
    """Largest difference from the direct premium at k points (weights (k, n_nodes); the rest (k,)) and z off the nodes."""
    count = fit.surface.shape[2]
    y = np.cos(np.pi * np.arange(1, count) / count)
    found, boundary = _evaluate(fit, weights, t, y)
    vol = _vol(t, low, high)
    z = (y + 1) / 2 * fit.z_max
    x = boundary[:, None] + z * vol[:, None] * np.sqrt(years)
    exact, upper = _premiums(x, rate, dividend, vol, years, False)
    # Below the true boundary the price is the intrinsic value: what the fit says there does not matter.
    return float(np.abs(found - exact)[x >= upper[:, None]].max(initial=0.0))


def _fit_nodes(rate: F8, dividend: F8, years: float, low: float, high: float) -> _Surface:
    """Fit every node (rate, dividend) (n_nodes,), each with one exercise boundary."""
    n = len(rate)
    z_max = _z_max(rate, dividend, years, low, high)
    if z_max == 0:
        return _Surface(1.0, np.full((n, 1), _FAR), np.zeros((n, 1, 1)), _NEGLIGIBLE)
    flat = high <= low * (1 + 1e-12)
    vol_level = z_level = 0
    while True:
        m = 1 if flat else _VOL_LADDER[vol_level]
        d = _Z_LADDER[z_level]
        vol = np.tile(_vol(_nodes(m), low, high), n)
        z = np.broadcast_to((_nodes(d) + 1) / 2 * z_max, (n * m, d))
        values, upper = _premiums(z, np.repeat(rate, m), np.repeat(dividend, m), vol, years, True)
        boundary = upper.reshape(n, m) @ _analysis(m).T
        surface = _analysis(m) @ values.reshape(n, m, d) @ _analysis(d).T
        fit = _Surface(z_max, boundary, surface, 0.0)
        t = np.zeros(1) if flat else np.cos(np.pi * np.array([1, m // 2, m - 1]) / m)
        at = np.unique(np.array([0, n // 2, n - 1]))
        row = np.repeat(at, len(t))
        t_all = np.tile(t, len(at))
        error = _measured_error(fit, np.eye(n)[row], rate[row], dividend[row], t_all, years, low, high)
        fit = fit._replace(error=error)
        size = np.abs(surface)
        vol_tail = 0.0 if flat else float(size[:, -2:].sum(axis=2).max())
        z_tail = float(size[:, :, -2:].sum(axis=1).max())
        if error <= TOLERANCE and max(vol_tail, z_tail) <= 3 * TOLERANCE:
            return fit
        can_vol = not flat and vol_level + 1 < len(_VOL_LADDER)
        can_z = z_level + 1 < len(_Z_LADDER)
        if can_vol and (vol_tail >= z_tail or not can_z):
            vol_level += 1
        elif can_z:
            z_level += 1
        else:
            return fit._replace(error=max(error, vol_tail, z_tail))


def _lagrange(points: F8, nodes: F8) -> F8:
    """Interpolation matrix (n_points, n_nodes) from Chebyshev nodes in [−1, 1]."""
    return _basis(points, len(nodes)) @ _analysis(len(nodes))


def _fit_scatter(
    rate: F8, dividend: F8, years: float, low: float, high: float
) -> tuple[_Surface, F8]:
    """Fit distinct (rate, dividend) (k,): polynomials of the nodes, and weights (k, n_nodes)."""
    k = len(rate)
    own = np.eye(k)
    if k <= _RATE_LADDER[0]:
        return _fit_nodes(rate, dividend, years, low, high), own
    centre = np.array([rate.min() + rate.max(), dividend.min() + dividend.max()]) / 2
    offset = np.stack([rate, dividend], axis=1) - centre
    _, axes = np.linalg.eigh(offset.T @ offset)
    along = offset @ axes[:, ::-1]
    low_, high_ = along.min(axis=0), along.max(axis=0)
    middle, half = (low_ + high_) / 2, np.maximum((high_ - low_) / 2, 1e-300)
    line = half[1] <= 1e-12 + 1e-9 * half[0]
    coordinate = (along - middle) / half
    for count in _RATE_LADDER if line else _PLANE_LADDER:
        total = count if line else count * count
        if total >= k:
            break
        node = _nodes(count)
        if line:
            grid = np.stack([node * half[0] + middle[0], np.full(count, middle[1])], axis=1)
            weights = _lagrange(coordinate[:, 0], node)
        else:
            grid = np.stack(np.meshgrid(node, node, indexing="ij"), axis=-1).reshape(-1, 2) * half + middle
            weights = _lagrange(coordinate[:, 0], node)[:, :, None] * _lagrange(coordinate[:, 1], node)[:, None, :]
            weights = weights.reshape(k, -1)
        r, q = (grid @ axes[:, ::-1].T + centre).T
        # The outermost nodes and the scenarios must all be exercised below one boundary, with room to spare.
        edge = min(r.min(), rate.min())
        if not regime(r, q, np.full(len(r), years))[1].all() or (edge < 0.1 * max(r.max(), rate.max()) and edge > 0):
            break
        fit = _fit_nodes(r, q, years, low, high)
        check = np.unique(np.concatenate([along.argmin(axis=0), along.argmax(axis=0), weights.max(axis=1).argsort()[:4]]))
        t = np.tile([-0.95, 0.05, 0.95], len(check))
        row = np.repeat(check, 3)
        error = _measured_error(fit, weights[row], rate[row], dividend[row], t, years, low, high)
        if max(error, fit.error) <= 2 * TOLERANCE:
            return fit._replace(error=max(error, fit.error)), weights
        if fit.error > 2 * TOLERANCE:
            break
    return _fit_nodes(rate, dividend, years, low, high), own


def fit_premium(years: float, sign: int, rate: F8, dividend: F8, vol_low: float, vol_high: float) -> Premium:
    """Fit the early-exercise premium of one underlying, expiry and right.

    years: > 0; sign: +1 call, −1 put; rate and dividend: (n_scenarios,), continuous, of any sign; vol_low and
    vol_high: the range of σ > 0 that ``american_from_premium`` will be asked for. Scenarios in ``Premium.direct`` (two
    exercise boundaries, or a fit above its error limit) are priced directly, some 10⁴ times more slowly.
    """
    r, q = (rate, dividend) if sign < 0 else (dividend, rate)
    scenarios = len(rate)
    pair, inverse = np.unique(np.stack([r, q], axis=1), axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    _, single, double = regime(pair[:, 0], pair[:, 1], np.full(len(pair), years))
    weights = np.zeros((len(pair), 1))
    weights[:, 0] = ~single  # node 0: never exercised
    boundary, surface = np.full((1, 1), _FAR), np.zeros((1, 1, 1))
    z_max, error = 1.0, 0.0
    failed = False
    if single.any():
        fit, part = _fit_scatter(pair[single, 0], pair[single, 1], years, vol_low, vol_high)
        z_max, error = fit.z_max, fit.error
        failed = error > _LIMIT
        kept = _significant(fit.surface)
        nodes, degree = fit.boundary.shape
        boundary = np.zeros((nodes + 1, degree))
        boundary[0, 0] = _FAR
        boundary[1:] = fit.boundary
        surface = np.zeros((nodes + 1, degree, kept))
        surface[1:] = fit.surface[:, :, :kept] @ _monomials(kept).T
        weights = np.concatenate([weights, np.zeros((len(pair), nodes))], axis=1)
        weights[single, 1:] = part
    direct = (double | (single & failed))[inverse]
    return Premium(
        years,
        sign,
        np.asarray(rate, dtype=np.float64),
        np.asarray(dividend, dtype=np.float64),
        vol_low,
        vol_high,
        z_max,
        boundary,
        surface,
        weights[inverse],
        len(pair) == 1,
        direct if scenarios else np.zeros(0, dtype=bool),
        error,
    )


def _significant(surface: F8) -> int:
    """Number of leading z coefficients that matter."""
    tail = np.cumsum(np.abs(surface).sum(axis=1).max(axis=0)[::-1])[::-1]
    return max(2, int((tail > _NEGLIGIBLE).sum())) if surface.shape[2] > 1 else 1


class _Local(NamedTuple):
    """The polynomials on narrower ranges of ln σ: powers of v = (ln σ − centre)/half; w is n or n_scenarios."""

    boundary: F8  # (degree + 1, w)
    surface: F8  # (degree + 1, z_degree + 1, w)


def _restrict(boundary: F8, surface: F8, t: F8, half: F8) -> _Local:
    """Polynomials (w, degree + 1[, z_degree + 1]) in t, on t ± half (w,), to the degree that this range needs."""
    m = boundary.shape[1]
    joined = np.concatenate([boundary[:, :, None], surface], axis=2)
    count = min(m, 12)
    while True:
        node = _nodes(count)
        basis = _basis(t[:, None] + half[:, None] * node, m)
        local = np.matmul(_analysis(count), np.matmul(basis, joined))  # (w, count, ·)
        size = np.abs(local).max(axis=0)
        size[:, 0] *= 1e-2  # an error in ln B moves the price by its square
        tail = np.cumsum(size.sum(axis=1)[::-1])[::-1]
        needed = max(1, int((tail > 3 * _NEGLIGIBLE).sum()))
        if needed < count or count == m:
            break
        count = m
    powers = np.matmul(_monomials(needed), local[:, :needed])
    powers = np.ascontiguousarray(np.moveaxis(powers, 0, -1))
    return _Local(np.ascontiguousarray(powers[:, 0]), np.ascontiguousarray(powers[:, 1:]))


def american_from_premium(
    premium: Premium,
    log_moneyness: F8,
    vol: F8,
    european_over_strike: F8,
    scenarios: slice | I8,
    out: F8,
) -> F8:
    """American prices over the strike, max(intrinsic, European + premium), of n instruments in s scenarios.

    log_moneyness: (n, s) ln(S/K); vol: (n, s), within the range fitted; european_over_strike: (n, s); scenarios: which
    of the fit's the columns are; out: (n, s), none of the inputs. Returns ``out``. A tile of about 16,000 elements
    keeps the temporaries in cache.
    Raises ValueError for a vol outside the range fitted.
    """
    if not log_moneyness.size:
        return out
    root_years = float(np.sqrt(premium.years))
    span = max(float(np.log(premium.vol_high / premium.vol_low)), 1e-300)
    v = np.log(vol)
    axis = 1 if premium.uniform else None
    low, high = v.min(axis=axis, keepdims=True), v.max(axis=axis, keepdims=True)
    edge = 1e-9 + 1e-9 * span
    if low.min() < np.log(premium.vol_low) - edge or high.max() > np.log(premium.vol_high) + edge:
        raise ValueError(
            f"volatility in [{np.exp(low.min()):.6g}, {np.exp(high.max()):.6g}] is outside the range fitted, "
            f"[{premium.vol_low:.6g}, {premium.vol_high:.6g}]: call fit_premium with the range of all scenarios"
        )
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-12)
    v -= middle
    v /= half
    t = (2 * (middle - np.log(premium.vol_low)) / span - 1).ravel()
    t_half = (2 * half / span).ravel()
    if premium.uniform:
        used = premium.weights[0] @ premium.boundary.reshape(len(premium.boundary), -1)
        n = len(v)
        shape = premium.surface.shape[1:]
        boundary = np.broadcast_to(used, (n, len(used)))
        surface = np.broadcast_to(np.tensordot(premium.weights[0], premium.surface, 1), (n, *shape))
        local = _restrict(boundary, surface, t, t_half)
        coefficient = (slice(None), None)
    else:
        nodes = len(premium.boundary)
        at_nodes = _restrict(premium.boundary, premium.surface, np.repeat(t, nodes), np.repeat(t_half, nodes))
        weights = premium.weights[scenarios].T
        local = _Local(at_nodes.boundary @ weights, at_nodes.surface @ weights)
        coefficient = (None, slice(None))

    y, value = np.empty_like(v), np.empty_like(v)
    degree = len(local.boundary) - 1
    _horner(local.boundary, v, coefficient, y)
    np.subtract(log_moneyness if premium.sign < 0 else -log_moneyness, y, out=y)
    y /= vol
    y *= 2 / (premium.z_max * root_years)
    y -= 1
    exercised = y <= -1
    np.clip(y, -1, 1, out=y)
    np.multiply(np.ones_like(v), local.surface[0, -1][coefficient], out=out)
    for i in range(local.surface.shape[1] - 1, -1, -1):
        target = out if i == local.surface.shape[1] - 1 else value
        _horner(local.surface[:, i], v, coefficient, target)
        if target is value:
            out *= y
            out += value
    del degree
    np.exp(log_moneyness, out=v)
    if premium.sign > 0:
        out *= v
    out += european_over_strike
    v -= 1
    v *= premium.sign
    np.maximum(v, 0, out=v)
    np.maximum(out, v, out=out)
    np.maximum(out, european_over_strike, out=out)
    np.copyto(out, v, where=exercised)
    return _direct(premium, log_moneyness, vol, scenarios, out)


def _horner(coefficients: F8, v: F8, at: tuple[slice | None, ...], out: F8) -> None:
    """Σ coefficients[j]·v^j into ``out``."""
    if len(coefficients) == 1:
        out[...] = coefficients[0][at]
        return
    np.multiply(v, coefficients[-1][at], out=out)
    for row in coefficients[-2:0:-1]:
        out += row[at]
        out *= v
    out += coefficients[0][at]


def _direct(premium: Premium, log_moneyness: F8, vol: F8, scenarios: slice | I8, out: F8) -> F8:
    column = np.flatnonzero(premium.direct[scenarios])
    if len(column):
        rate, dividend = premium.rate[scenarios][column], premium.dividend[scenarios][column]
        spot = np.exp(log_moneyness[:, column])
        out[:, column] = american(spot, 1.0, premium.years, rate, dividend, vol[:, column], premium.sign)
    return out
