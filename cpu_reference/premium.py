"""Early-exercise premium of many strikes in many scenarios: a polynomial fitted once for each expiry and right.

All strikes of one underlying, expiry and right share r, q and T, and the price is homogeneous, so that the premium over
the strike is one function P(z, σ) of the volatility and z = (ln(S/K) − ln(B(σ)/K))/(σ√T), the distance from the
exercise boundary in standard deviations. P is smooth on z ≥ 0, negligible beyond some z, and the price is the intrinsic
value below 0. We interpolate ln B and P at Chebyshev nodes priced by ``cpu_reference.exercise``. Where scenarios move r
and q, the polynomials are interpolated between scenarios too, or fitted for each of them. Calls are puts with spot and
strike, r and q exchanged. Each fit is compared with direct premiums off its nodes before it is accepted.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.american import american
from cpu_reference.chebyshev import monomials
from cpu_reference.exercise import HOST, Solver, regime
from cpu_reference.premium_cloud import Cloud, Seen, alike, cloud_of, distinct, for_all
from cpu_reference.premium_fit import FAR, reach, trimmed
from cpu_reference.premium_nodes import NEGLIGIBLE, Boxes, Nodes, Surfaces
from cpu_reference.premium_scatter import Fit, fit_scenarios

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.intp]
Bool = npt.NDArray[np.bool_]

_POWERS = 38  # sum of the degrees up to which powers of both t and y lose no digit that matters
_EDGE = 1e-9  # slack of ln σ, for rounding
_NONE = Fit(Surfaces(np.empty((0, 1)), np.empty((0, 1, 1)), 0.0), None, np.zeros(0, dtype=np.intp), 0.0)
_LIMIT = 1e-5  # a fit whose measured error is above this is not used: every price is direct


class Premium(NamedTuple):
    """P and ln B of one expiry and right as polynomials, for each of its nodes in (r, q).

    With t = 2·ln(σ/vol_low)/ln(vol_high/vol_low) − 1 and y = 2z/z_max − 1: ln B = Σ boundary[j, node]·f_j(t) and
    P = Σ surface[i, j, node]·f_j(t)·y^i, where f_j(t) is t^j or, if not ``powers``, T_j(t). Node 0 is never exercised.
    """

    years: float
    sign: int
    rate: F8  # (n_scenarios,)
    dividend: F8  # (n_scenarios,)
    vol_low: float
    vol_high: float
    z_max: float
    boundary: F8  # (its degree + 1, n_nodes)
    surface: F8  # (z_degree + 1, degree + 1, n_nodes)
    powers: bool
    node: I8  # (n_scenarios,): the scenario's own node, where ``weights`` is None
    weights: F8 | None  # (n_scenarios, n_nodes): a scenario's polynomials from the nodes'
    direct: Bool  # (n_scenarios,): priced element by element instead, slowly
    error: float  # measured off the nodes, a part of the strike

    @property
    def any_direct(self) -> bool:
        """Whether some scenario has no fit."""
        direct = self.direct
        return bool(len(direct)) and bool(direct[0] if alike(direct) else direct.any())

    @property
    def same(self) -> bool:
        """Whether all scenarios have the same rates, and so the same polynomials."""
        return self.weights is None and all(map(alike, (self.node, self.direct, self.rate, self.dividend)))


class Chain(NamedTuple):
    """Options of one underlying, expiry and right, and what ``american_from_premium`` will be asked of them."""

    years: float  # > 0
    sign: int  # +1 call, −1 put
    rate: F8  # (n_scenarios,) continuous, of any sign
    dividend: F8  # (n_scenarios,) likewise
    vol_low: float  # the range of σ > 0
    vol_high: float
    owner: int = 0  # its underlying, say: those of different owners share no exercise boundary


def fit_premium(years: float, sign: int, rate: F8, dividend: F8, vol_low: float, vol_high: float) -> Premium:
    """Fit the early-exercise premium of one chain; arguments as in ``Chain``."""
    return fit_premiums([Chain(years, sign, rate, dividend, vol_low, vol_high)])[0]


def fit_premiums(chains: Sequence[Chain], solver: Solver = HOST) -> list[Premium]:
    """Fit the early-exercise premiums of some chains together, of one underlying or of many.

    Chains of other owners matter to a fit by rounding alone, those of its own below 1e-10 of the strike. Scenarios in
    ``Premium.direct`` (two exercise boundaries, or a fit above its error limit) are priced directly, some 10⁴ times
    more slowly.
    """
    if not chains:
        return []
    chains = [c._replace(rate=np.asarray(c.rate, float), dividend=np.asarray(c.dividend, float)) for c in chains]
    puts = [(c.rate, c.dividend, c.years) if c.sign < 0 else (c.dividend, c.rate, c.years) for c in chains]
    seen = Seen({}, {})
    clouds = [cloud_of(*put, seen) for put in puts]
    found = _fitted(chains, clouds, solver)
    again = [i for i, one in enumerate(found) if clouds[i].moving is not None and one.lost]
    if again:
        for i in again:
            clouds[i] = distinct(*puts[i], seen)
        more = _fitted([chains[i] for i in again], [clouds[i] for i in again], solver)
        for i, one in zip(again, more, strict=True):
            found[i] = one
    polynomials = _polynomials([one.fit.surfaces for one in found])
    shared: dict[tuple[int | bytes, ...], F8] = {}
    return [_premium(shared, *row) for row in zip(chains, clouds, found, polynomials, strict=True)]


class _Found(NamedTuple):
    """What was found for a chain at its pairs."""

    priced: Bool  # (k,) which have a fit
    direct: Bool  # (k,) which cannot have one
    z_max: float
    fit: Fit

    @property
    def lost(self) -> bool:
        """Whether the pairs do not speak for what is between them."""
        return self.fit.weights is None or not self.priced.all() or not self.fit.error <= _LIMIT


def _fitted(chains: list[Chain], clouds: list[Cloud], solver: Solver) -> list[_Found]:
    """The fits of some chains at their pairs, of all together."""
    count = [len(cloud.pair) for cloud in clouds]
    box = np.repeat(np.arange(len(chains)), count)
    r, q = np.concatenate([cloud.pair for cloud in clouds]).T
    years, low, high = (np.array([chain[i] for chain in chains], dtype=np.float64) for i in (0, 4, 5))
    _, single, double = regime(r, q, years[box])
    # Between two boundaries exercise gains at most (r − q)·K a year, which may be nothing.
    gain = (r - q) * years[box] * np.exp(np.minimum(-r * years[box], 50.0))
    double = double & (gain > NEGLIGIBLE)

    boxes = Boxes(years, low, high, np.zeros(len(chains)), np.array([chain.owner for chain in chains], dtype=np.intp))
    nodes = Nodes(r, q, box)
    z_max = reach(nodes.take(np.flatnonzero(single)), boxes, solver)
    # Where 0, exercise may pay, but nowhere more than a negligible premium.
    fitted = single & (z_max > 0)[box]
    boxes = boxes._replace(z_max=np.where(z_max > 0, z_max, 1.0))
    fits = fit_scenarios(nodes.take(np.flatnonzero(fitted)), boxes, solver)
    ends = np.cumsum(count)[:-1]
    columns = np.split(fitted, ends), np.split(double, ends), boxes.z_max.tolist()
    return [_Found(*row, fits.get(i, _NONE)) for i, row in enumerate(zip(*columns, strict=True))]


def _polynomials(fits: Sequence[Surfaces]) -> list[tuple[F8, F8, bool]]:
    """`Premium.boundary`, `surface` and `powers` of each fit, without coefficients that do not matter; those of a size
    at once."""
    values = trimmed([fit.premium for fit in fits])
    sizes: dict[tuple[int, ...], list[int]] = {}
    for i, (fit, kept) in enumerate(zip(fits, values, strict=True)):
        sizes.setdefault((fit.boundary.shape[1], *kept.shape), []).append(i)
    out: list[tuple[F8, F8, bool]] = [(np.empty(0), np.empty(0), False)] * len(fits)
    for (degrees, count, m, d), some in sizes.items():
        powers = max(m, degrees) + d <= _POWERS
        boundary = np.zeros((len(some), degrees, 1 + count))
        surface = np.zeros((len(some), d, m, 1 + count))
        of_t = np.stack([fits[i].boundary for i in some]).transpose(0, 2, 1)
        boundary[:, 0, 0] = FAR
        boundary[..., 1:] = (monomials(degrees) if powers else np.eye(degrees)) @ of_t
        by_z = monomials(d) @ np.stack([values[i] for i in some]).transpose(0, 1, 3, 2)  # (…, n, d, m)
        surface[..., 1:] = (by_z @ monomials(m).T if powers else by_z).transpose(0, 2, 3, 1)
        for i, *polynomials in zip(some, boundary, surface, strict=True):
            out[i] = polynomials[0], polynomials[1], powers
    return out


def _premium(
    shared: dict[tuple[int | bytes, ...], F8],
    chain: Chain,
    cloud: Cloud,
    found: _Found,
    polynomials: tuple[F8, F8, bool],
) -> Premium:
    """One chain's fit; ``shared`` are ``Premium.weights`` of other chains, which may be the same."""
    priced, direct, z_max, fit = found
    weights = None
    if fit.weights is not None:
        # What the ids are of lives as long as the dictionary.
        key: tuple[int | bytes, ...] = id(fit.weights), id(cloud.inverse), priced.tobytes()
        if cloud.inverse is None:
            key = id(cloud.moving), cloud.by_rate, fit.chosen.tobytes()
        if key not in shared:
            shared[key] = _weights(cloud, priced, fit.weights, fit.chosen)
        weights = shared[key]
    if not fit.error <= _LIMIT:
        direct = direct | priced
    inverse = cloud.inverse
    if inverse is None:
        inverse = for_all(np.zeros(1, dtype=np.intp), len(chain.rate))
    node = np.zeros(len(priced), dtype=np.intp)
    node[priced] = np.arange(1, 1 + np.count_nonzero(priced))
    boundary, surface, powers = polynomials
    return Premium(
        chain.years,
        chain.sign,
        chain.rate,
        chain.dividend,
        chain.vol_low,
        chain.vol_high,
        z_max,
        boundary,
        surface,
        powers,
        _of_each(node, inverse),
        weights,
        _of_each(direct, inverse),
        fit.error,
    )


def _weights(cloud: Cloud, priced: Bool, weights: F8, chosen: I8) -> F8:
    """(n_scenarios, 1 + nodes) from the nodes' polynomials to each scenario's; node 0 is never exercised."""
    if cloud.inverse is None:
        own = cloud.weights(chosen)
        return np.concatenate([np.zeros((len(own), 1)), own], axis=1)
    full = np.zeros((len(priced), 1 + weights.shape[1]))
    full[~priced, 0] = 1
    full[priced, 1:] = weights
    return np.asarray(full[cloud.inverse])


def _of_each(values: npt.NDArray[Any], at: I8) -> npt.NDArray[Any]:
    """values[at]; one number for all where `at` is one for all."""
    if not (alike(at) and len(at)):
        return values[at]
    one = int(at[0])
    return for_all(values[one : one + 1], len(at))


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
    node = premium.node[scenarios]
    distinct = node[:1] if alike(node) else np.unique(node)
    uniform = premium.weights is None and len(distinct) == 1
    if uniform and distinct[0] == 0:
        value = np.exp(log_moneyness)
        value -= 1
        value *= premium.sign
        np.maximum(value, european_over_strike, out=out)
        np.maximum(out, 0, out=out)
        return _direct(premium, log_moneyness, vol, scenarios, out)

    log_low, span = np.log(premium.vol_low), np.log(premium.vol_high / premium.vol_low)
    t = np.log(vol)
    t -= log_low
    if not (t.min() >= -_EDGE and t.max() <= span + _EDGE):
        raise ValueError(
            f"volatility in [{vol.min():.6g}, {vol.max():.6g}] is outside the range fitted, "
            f"[{premium.vol_low:.6g}, {premium.vol_high:.6g}]: call fit_premium with the range of all scenarios"
        )
    t *= 2 / span if span > 0 else 0.0
    t -= 1
    if premium.weights is not None:
        weights = premium.weights[scenarios].T
        boundary, surface = premium.boundary @ weights, premium.surface @ weights
    else:
        chosen = distinct if uniform else node
        boundary, surface = premium.boundary[:, chosen], premium.surface[:, :, chosen]
    surface = np.ascontiguousarray(surface)

    y, value = np.empty_like(t), np.empty_like(t)
    polynomial = _horner if premium.powers else _clenshaw
    polynomial(boundary, t, y)
    if premium.sign < 0:
        np.subtract(log_moneyness, y, out=y)
    else:
        y += log_moneyness
        np.negative(y, out=y)
    y /= vol
    y *= 2 / (premium.z_max * np.sqrt(premium.years))
    y -= 1
    exercised = y <= -1
    np.clip(y, -1, 1, out=y)
    polynomial(surface[-1], t, out)
    for coefficients in surface[-2::-1]:
        out *= y
        polynomial(coefficients, t, value)
        out += value
    v = np.exp(log_moneyness, out=t)
    if premium.sign > 0:
        out *= v  # per unit of spot, the strike of the put that the call is
    np.maximum(out, 0, out=out)
    out += european_over_strike
    v -= 1
    v *= premium.sign
    np.maximum(v, 0, out=v)
    np.maximum(out, v, out=out)
    np.copyto(out, v, where=exercised)
    return _direct(premium, log_moneyness, vol, scenarios, out)


def _horner(coefficients: F8, t: F8, out: F8) -> None:
    """Σ coefficients[j]·t^j, (degree + 1, 1 or s), into ``out`` (n, s)."""
    if len(coefficients) == 1:
        out[...] = coefficients[0]
        return
    np.multiply(t, coefficients[-1], out=out)
    for row in coefficients[-2:0:-1]:
        out += row
        out *= t
    out += coefficients[0]


def _clenshaw(coefficients: F8, t: F8, out: F8) -> None:
    """Σ coefficients[j]·T_j(t), (degree + 1, 1 or s), into ``out`` (n, s)."""
    after, twice = np.zeros_like(t), 2 * t
    spare = np.empty_like(t)
    out[...] = coefficients[-1] if len(coefficients) > 1 else 0.0
    current = out.copy()
    for row in coefficients[-2:0:-1]:
        np.multiply(twice, current, out=spare)
        spare -= after
        spare += row
        after, current, spare = current, spare, after
    np.multiply(t, current, out=out)
    out -= after
    out += coefficients[0]


def _direct(premium: Premium, log_moneyness: F8, vol: F8, scenarios: slice | I8, out: F8) -> F8:
    """Overwrite the columns of the scenarios that have no fit."""
    column = np.flatnonzero(premium.direct[scenarios])
    if len(column):
        rate, dividend = premium.rate[scenarios][column], premium.dividend[scenarios][column]
        spot = np.exp(log_moneyness[:, column])
        out[:, column] = american(spot, 1.0, premium.years, rate, dividend, vol[:, column], premium.sign)
    return out
