"""American options on a lognormal spot: the direct pricer and its Greeks, any signs of rate and dividend yield.

price = European price + early-exercise premium (``cpu_reference.exercise``). Only puts are solved: a call is the put
with spot and strike, and rate and dividend yield, exchanged (McDonald & Schroder 1998).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cpu_reference.black import black, black_greeks
from cpu_reference.boundary import Puts
from cpu_reference.exercise import HOST, TOLERANCE, Exercise, Solver, exercise_premium

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.intp]
Bool = npt.NDArray[np.bool_]

_VOL_BUMP = 1e-3  # of the volatility
_RATE_BUMP = 5e-5  # times 1/max(1, years)
_LARGEST = float(np.finfo(np.float64).max)


class AmericanGreeks(NamedTuple):
    """All of the broadcast shape, per unit of the underlying, at fixed volatility."""

    price: F8
    delta: F8  # ∂/∂S, the forward moving in proportion
    gamma: F8  # ∂²/∂S²
    vega: F8  # per 1.00 of volatility
    theta: F8  # per calendar day: −(∂/∂T)/365 at fixed S, σ, r and q
    rho: F8  # per 1.00 of the rate


class _Options(NamedTuple):
    """The broadcast arguments, all (n,), and the put that each one is."""

    spot: F8
    strike: F8
    years: F8
    rate: F8
    dividend: F8
    vol: F8
    sign: F8
    put: Bool
    unit: F8  # strike of the put
    x: F8  # ln(spot/strike) of the put


def _options(*columns: npt.ArrayLike) -> tuple[_Options, tuple[int, ...]]:
    arrays = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in columns))
    spot, strike, years, rate, dividend, vol, sign = (a.ravel() for a in arrays)
    put = sign < 0
    x = np.where(put, 1.0, -1.0) * (np.log(spot) - np.log(strike))
    options = _Options(spot, strike, years, rate, dividend, vol, sign, put, np.where(put, strike, spot), x)
    return options, arrays[0].shape


def _premium(
    options: _Options,
    greeks: bool = False,
    like: Exercise | None = None,
    solver: Solver = HOST,
    owner: I8 | None = None,
) -> Exercise:
    rate = np.where(options.put, options.rate, options.dividend)
    dividend = np.where(options.put, options.dividend, options.rate)
    puts = Puts(rate, dividend, options.vol, options.years)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        return exercise_premium(
            options.x[:, None], puts, greeks=greeks, tolerance=TOLERANCE, like=like, solver=solver, owner=owner
        )


def _price(options: _Options, exercise: Exercise) -> tuple[F8, F8, Bool]:
    """(price, European price, whether exercise is optimal now)."""
    with np.errstate(over="ignore", under="ignore"):
        forward = options.spot * np.exp((options.rate - options.dividend) * options.years)
        discount = np.exp(-options.rate * options.years)
        european = discount * black(forward, options.strike, options.vol * np.sqrt(options.years), options.sign)
        european = np.nan_to_num(european, nan=0.0, posinf=_LARGEST)
        intrinsic = np.maximum(options.sign * (options.spot - options.strike), 0.0)
        exercised = (exercise.lower <= options.x) & (options.x <= exercise.upper)
        premium = np.nan_to_num(np.maximum(exercise.premium[:, 0], 0.0), posinf=0.0)
        price = np.maximum(np.minimum(european + options.unit * premium, _LARGEST), intrinsic)
        unknown = np.isnan(options.x + options.years + options.rate + options.dividend + options.vol)
    price = np.where(exercised, intrinsic, price)
    return np.where(unknown, np.nan, price), european, exercised


def american(
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike,
    dividend: npt.ArrayLike,
    vol: npt.ArrayLike,
    sign: npt.ArrayLike,
) -> F8:
    """Price of American options, of the arguments' broadcast shape.

    ``spot``, ``strike``, ``years`` and ``vol`` are positive; ``rate`` and ``dividend`` are continuous yields of any
    sign; ``sign`` is +1 for a call and −1 for a put. Never below the European price or the intrinsic value, and equal
    to the European price where early exercise is never optimal (put: r ≤ 0 and q ≥ r; call: q ≤ 0 and r ≥ q). NaN
    where an argument is NaN.
    Source: Kim (1990); Andersen, Lake & Offengenden (2016); Andersen & Lake (2021) with two boundaries.
    """
    options, shape = _options(spot, strike, years, rate, dividend, vol, sign)
    return _price(options, _premium(options))[0].reshape(shape)


def american_greeks(
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike,
    dividend: npt.ArrayLike,
    vol: npt.ArrayLike,
    sign: npt.ArrayLike,
    forward_from_rate: npt.ArrayLike,
    with_rho: bool = True,
    solver: Solver = HOST,
    owner: I8 | None = None,
) -> AmericanGreeks:
    """Price and Greeks, arguments as for ``american``.

    delta and gamma are the derivatives of the premium integral, theta follows from the Black–Scholes equation, vega
    and rho add central differences of the premium to the European ones. Rho holds the dividend yield where
    ``forward_from_rate`` and else the forward, so that the dividend yield moves with the rate. Where exercise is
    optimal delta is ±1 and the other Greeks are 0. Without ``with_rho``, which saves two fifths, rho is NaN. ``solver``
    finds the boundaries and integrates over them. Options of different ``owner`` (n,) share no exercise boundary.
    """
    options, shape = _options(spot, strike, years, rate, dividend, vol, sign)
    holds_dividend = np.broadcast_to(np.asarray(forward_from_rate, dtype=bool), shape).ravel()
    S, K, T, r, q, sigma, sign_, put, unit, x = options
    exercise = _premium(options, greeks=True, solver=solver, owner=owner)
    price, european, exercised = _price(options, exercise)

    def premium_slope(bump: F8, down: _Options, up: _Options) -> F8:
        # Both at once, so that those of a chain share the interpolant of their boundaries.
        both = _Options(*(np.concatenate(pair) for pair in zip(down, up, strict=True)))
        premium = _premium(both, like=exercise, solver=solver).premium[:, 0]
        return np.asarray(unit * (premium[len(S) :] - premium[: len(S)]) / (2 * bump))

    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        deviation = sigma * np.sqrt(T)
        terms = black_greeks(S * np.exp((r - q) * T), K, deviation, sign_)
        carry = np.exp(-q * T)
        ratio = np.exp(x)
        p, dp, d2p = exercise.premium[:, 0], exercise.delta[:, 0], exercise.gamma[:, 0]
        delta = sign_ * carry * terms.n1 + np.where(put, dp, p - ratio * dp)
        gamma = carry * terms.density / (S * deviation) + np.where(put, d2p / K, d2p * ratio**2 / S)
        theta = -(0.5 * (sigma * S) ** 2 * gamma + (r - q) * S * delta - r * price) / 365
        vega = carry * S * terms.density * np.sqrt(T)
        bump = _VOL_BUMP * sigma
        vega = vega + premium_slope(bump, options._replace(vol=sigma - bump), options._replace(vol=sigma + bump))
        rho = np.full(len(S), np.nan)
        if with_rho:
            rho = T * np.where(holds_dividend, sign_ * K * np.exp(-r * T) * terms.n2, -european)
            bump = _RATE_BUMP / np.maximum(T, 1.0)
            shift = np.where(holds_dividend, 0.0, bump)
            down, up = (options._replace(rate=r + s * bump, dividend=q + s * shift) for s in (-1, 1))
            rho = rho + premium_slope(bump, down, up)

    def alive(values: F8, value_exercised: F8 | float) -> F8:
        known = np.nan_to_num(np.where(exercised, value_exercised, values))
        return np.where(np.isnan(price), np.nan, known).reshape(shape)

    return AmericanGreeks(
        price.reshape(shape),
        alive(delta, sign_),
        alive(gamma, 0.0),
        alive(vega, 0.0),
        alive(theta, 0.0),
        alive(rho, 0.0) if with_rho else rho.reshape(shape),
    )
