"""Early-exercise premium of many strikes in many scenarios: a polynomial fitted once for each expiry and right.

All strikes of one underlying, expiry and right share r, q and T, and the price is homogeneous, so that the premium over
the strike is one function P(z, σ) of the volatility and z = (ln(S/K) − ln(B(σ)/K))/(σ√T), the distance from the
exercise boundary in standard deviations. P is smooth on z ≥ 0, negligible beyond some z, and the price is the intrinsic
value below 0. We interpolate ln B and P at Chebyshev nodes priced by ``cpu_reference.exercise``. Where scenarios move r
and q, the polynomials are interpolated between scenarios too, or fitted for each of them. Calls are puts with spot and
strike, r and q exchanged. Each fit is compared with direct premiums off its nodes before it is accepted.
"""

from collections.abc import Generator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.american import american
from cpu_reference.chebyshev import monomials
from cpu_reference.exercise import regime
from cpu_reference.premium_ask import Answer, Ask, answered_together
from cpu_reference.premium_fit import FAR, NEGLIGIBLE, Box, Surfaces, fit_scatter, reach, trimmed

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.intp]
Bool = npt.NDArray[np.bool_]

_POWERS = 38  # sum of the degrees up to which powers of both t and y lose no digit that matters
_EDGE = 1e-9  # slack of ln σ, for rounding
_ROUNDING = 1e-13  # of rates times years: moves no price by more than that part of the strike
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


class Chain(NamedTuple):
    """Options of one underlying, expiry and right, and what ``american_from_premium`` will be asked of them."""

    years: float  # > 0
    sign: int  # +1 call, −1 put
    rate: F8  # (n_scenarios,) continuous, of any sign
    dividend: F8  # (n_scenarios,) likewise
    vol_low: float  # the range of σ > 0
    vol_high: float


def fit_premium(years: float, sign: int, rate: F8, dividend: F8, vol_low: float, vol_high: float) -> Premium:
    """Fit the early-exercise premium of one chain; arguments as in ``Chain``."""
    return fit_premiums([Chain(years, sign, rate, dividend, vol_low, vol_high)])[0]


def fit_premiums(chains: Sequence[Chain]) -> list[Premium]:
    """Fit the early-exercise premiums of some chains at once, which takes half the time of one after another.

    Scenarios in ``Premium.direct`` (two exercise boundaries, or a fit above its error limit) are priced directly, some
    10⁴ times more slowly.
    """
    return answered_together([_fitting(*chain) for chain in chains])


def _fitting(
    years: float, sign: int, rate: F8, dividend: F8, vol_low: float, vol_high: float
) -> Generator[Ask, Answer, Premium]:
    rate, dividend = np.asarray(rate, dtype=np.float64), np.asarray(dividend, dtype=np.float64)
    r, q = (rate, dividend) if sign < 0 else (dividend, rate)
    pair, inverse = _distinct(r, q, years)
    _, single, double = regime(pair[:, 0], pair[:, 1], np.full(len(pair), years))
    # Between two boundaries exercise gains at most (r − q)·K a year, which may be nothing.
    gain = (pair[:, 0] - pair[:, 1]) * years * np.exp(np.minimum(-pair[:, 0] * years, 50.0))
    double = double & (gain > NEGLIGIBLE)

    box = Box(years, vol_low, vol_high, 0.0)
    fit, weights, error = Surfaces(np.empty((0, 1)), np.empty((0, 1, 1)), 0.0), None, 0.0
    priced = np.flatnonzero(single)
    if len(priced):
        z_max = yield from reach(pair[priced, 0], pair[priced, 1], years, vol_low, vol_high)
        box = box._replace(z_max=z_max)
    if box.z_max > 0:
        fit, weights, error = yield from fit_scatter(pair[priced, 0], pair[priced, 1], box)
        fit = trimmed(fit)
    else:  # exercise may pay, but nowhere more than a negligible premium
        priced = priced[:0]
        box = box._replace(z_max=1.0)
    m, d = fit.premium.shape[1:]
    count, degrees = fit.boundary.shape
    powers = max(m, degrees) + d <= _POWERS
    boundary, surface = np.zeros((degrees, 1 + count)), np.zeros((d, m, 1 + count))
    boundary[0, 0] = FAR
    boundary[:, 1:] = fit.boundary.T
    surface[:, :, 1:] = np.einsum("ia,nba->ibn", monomials(d), fit.premium, optimize=True)
    if powers:
        boundary[:, 1:] = monomials(degrees) @ boundary[:, 1:]
        surface[:, :, 1:] = monomials(m) @ surface[:, :, 1:]
    node = np.zeros(len(pair), dtype=np.intp)
    node[priced] = 1 + np.arange(len(priced))
    if weights is not None:
        full = np.zeros((len(pair), 1 + count))
        full[:, 0] = 1
        full[priced] = np.concatenate([np.zeros((len(priced), 1)), weights], axis=1)
        weights = full[inverse]
    if error > _LIMIT:
        double = double | single
    return Premium(
        years,
        sign,
        rate,
        dividend,
        vol_low,
        vol_high,
        box.z_max,
        boundary,
        surface,
        powers,
        node[inverse],
        weights,
        double[inverse],
        error,
    )


def _distinct(rate: F8, dividend: F8, years: float) -> tuple[F8, I8]:
    """The pairs that differ by more than rounding (k, 2), ascending, and which of them each is.

    Without factors for rates and forwards all are alike, but for what ln(F/S) has lost of its digits.
    """
    if max(np.ptp(rate), np.ptp(dividend)) * years <= _ROUNDING:
        return np.stack([rate[:1], dividend[:1]], axis=1), np.zeros(len(rate), dtype=np.intp)
    pair, inverse = np.unique(np.stack([rate, dividend], axis=1), axis=0, return_inverse=True)
    return pair, inverse.reshape(-1)


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
    distinct = np.unique(premium.node[scenarios])
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
        chosen = distinct if uniform else premium.node[scenarios]
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
