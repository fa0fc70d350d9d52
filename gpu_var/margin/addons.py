"""What it would cost to unwind: liquidity and concentration, and the sensitivities that they are made of."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from cpu_reference import Valuation
from cpu_reference.types import FUTURE, OPTION, PERPETUAL
from gpu_var.cells import Cells
from gpu_var.market.curves import years_to
from gpu_var.tables.book import F8, I8, NO_EXPIRY, Book
from gpu_var.tables.config import Config

TENOR_DAYS = np.array([30.0, 90.0, 365.0])
"""Upper ends of the maturity buckets, inclusive."""

DELTA_EDGES = np.array([0.25, 0.75])
"""Edges of the |delta| buckets: below 0.25, up to 0.75, above."""

N_BUCKETS = (len(TENOR_DAYS) + 1) * (len(DELTA_EDGES) + 1)

EXPIRIES = ("30d", "90d", "365d", "beyond", "undated")
"""Expiry buckets: T·365 ≤ 30 (what has expired too), ≤ 90, ≤ 365, > 365 days; spot and perpetuals, undated."""


@dataclass(frozen=True)
class Sensitivities:
    """Of each cell; (n_cells,) but for the last four, which are split by the buckets of `EXPIRIES`."""

    delta: F8  # Δ_u, units of the underlying
    gamma: F8  # Σ quantity·multiplier·gamma, the underlying's currency
    vega: F8  # per 1.00 of volatility
    theta: F8  # a day
    net_option_value: F8  # base currency, signed
    bucket_vega: F8  # Σ_bucket |Vega|
    expiry_delta: F8  # (n_cells, 5), each row adding up to `delta`; the others likewise
    expiry_gamma: F8  # (n_cells, 4): what is undated has delta alone
    expiry_vega: F8
    expiry_theta: F8


@dataclass(frozen=True)
class AddOns:
    """Of each cell, base currency unless named; all (n_cells,)."""

    liquidity_delta: F8
    liquidity_vega: F8
    days_to_unwind: F8
    horizon_days: F8
    concentration: F8


def delta_per_contract(book: Book, valuation: Valuation) -> F8:
    """(n_instruments,) units of the underlying that one contract is worth: multiplier·∂price/∂S, and for inverse
    futures and perpetuals, whose multiplier is a face in the quote currency, multiplier/F₀ or multiplier/S₀.
    """
    i = book.instruments
    face = i.inverse & ((i.kind == FUTURE) | (i.kind == PERPETUAL))
    out: F8 = np.where(face, i.multiplier / valuation.forward, i.multiplier * valuation.delta)
    return out


def sensitivities(book: Book, config: Config, cells: Cells, valuation: Valuation, fx: F8) -> Sensitivities:
    """Sum the Greeks of a book's positions into its cells.

    Args:
        valuation: over all instruments of the book.
        fx: (n_currencies,) base currency for one unit.
    """
    i, p = book.instruments, book.positions
    held = p.quantity != 0
    at, quantity = p.instrument[held], p.quantity[held]
    n = len(cells.account)
    option = i.kind[at] == OPTION

    def total(per_contract: F8) -> F8:
        return np.asarray(np.bincount(cells.of_position, quantity * per_contract, n), dtype=np.float64)

    expiry = expiry_bucket(i.expiry[at], config.as_of_us)

    def split(per_contract: F8, buckets: int) -> F8:
        weights = np.where(expiry < buckets, quantity * per_contract, 0.0)
        place = cells.of_position * buckets + np.minimum(expiry, buckets - 1)
        return np.asarray(np.bincount(place, weights, n * buckets), dtype=np.float64).reshape(n, buckets)

    contracts = i.multiplier[at]
    rate = fx[book.underlyings.currency[i.underlying[at]]]
    option_value = np.where(option, contracts * valuation.price[at] * rate, 0.0)
    vega = np.where(option, contracts * valuation.vega[at], 0.0)
    bucket = vega_bucket(years_to(i.expiry[at], config.as_of_us), valuation.bucket_delta[at])
    by_bucket = np.bincount(
        cells.of_position * N_BUCKETS + bucket, weights=quantity * vega, minlength=n * N_BUCKETS
    ).reshape(n, N_BUCKETS)
    delta = delta_per_contract(book, valuation)[at]
    gamma, theta = contracts * valuation.gamma[at], contracts * valuation.theta[at]
    return Sensitivities(
        delta=total(delta),
        gamma=total(gamma),
        vega=total(vega),
        theta=total(theta),
        net_option_value=total(option_value),
        bucket_vega=np.abs(by_bucket).sum(axis=1),
        expiry_delta=split(delta, 5),
        expiry_gamma=split(gamma, 4),
        expiry_vega=split(vega, 4),
        expiry_theta=split(theta, 4),
    )


def expiry_bucket(expiry: I8, as_of: int) -> I8:
    """Bucket of `EXPIRIES`; both arguments in microseconds since 1970 UTC, `NO_EXPIRY` for what does not expire."""
    dated = expiry != NO_EXPIRY
    days = years_to(np.where(dated, expiry, as_of), as_of) * 365.0
    out: I8 = np.where(dated, np.searchsorted(TENOR_DAYS, days, side="left"), len(TENOR_DAYS) + 1)
    return out


def expiry_columns(sensitivity: Sensitivities) -> dict[str, F8]:
    """The columns of `breakdown.parquet` that split the Greeks by expiry: name -> (n_cells,), units as their sums.

    delta_30d, delta_90d, delta_365d, delta_beyond, delta_undated, gamma_30d … theta_beyond: 17 of them.
    """
    greeks = {name: getattr(sensitivity, f"expiry_{name}") for name in ("delta", "gamma", "vega", "theta")}
    return {
        f"{name}_{bucket}": greeks[name][:, b]
        for name, (b, bucket) in product(greeks, enumerate(EXPIRIES))
        if b < greeks[name].shape[1]
    }


def vega_bucket(years: F8, delta: F8) -> I8:
    """Bucket of maturity (T·365 ≤ 30, ≤ 90, ≤ 365, > 365 days) and |delta| (< 0.25, ≤ 0.75, > 0.75).

    What has no vega falls into some bucket and adds nothing to it.
    """
    tenor = np.searchsorted(TENOR_DAYS, years * 365.0, side="left")
    size = np.abs(np.nan_to_num(delta))
    out: I8 = tenor * 3 + (size >= DELTA_EDGES[0]) + (size > DELTA_EDGES[1])
    return out


def add_ons(book: Book, config: Config, cells: Cells, sensitivity: Sensitivities, core: F8, fx: F8) -> AddOns:
    """Liquidity and concentration of each cell.

    Liquidity: fx·half_spread·S·|Δ| (normal: without S) + fx·vol_half_spread·Σ_bucket |Vega|. Concentration:
    (√(h*/h) − 1)·R, where D = max(|Δ|/(participation·adv), Σ_bucket |Vega|/(participation·vega_adv)) are the days to
    unwind and h* = h where D ≤ h, else h + (D − h)/3, because a position sold in equal parts carries a third of its
    variance. Where the market's figure is not given, its part is 0.

    Args:
        core: (n_cells,) the core rule applied to each cell alone; R is its positive part.
    """
    u = book.underlyings
    at = cells.underlying
    rate = fx[u.currency[at]]
    level = np.where(u.normal[at], 1.0, u.spot[at])
    delta, vega = np.abs(sensitivity.delta), sensitivity.bucket_vega
    participation, h = config.concentration.participation, float(config.holding_period_days)

    days = np.maximum(_or_zero(delta / (participation * u.adv[at])), _or_zero(vega / (participation * u.vega_adv[at])))
    horizon = np.where(days <= h, h, h + (days - h) / 3.0)
    return AddOns(
        liquidity_delta=_or_zero(rate * u.half_spread[at] * level * delta),
        liquidity_vega=_or_zero(rate * u.vol_half_spread[at] * vega),
        days_to_unwind=days,
        horizon_days=horizon,
        concentration=(np.sqrt(horizon / h) - 1.0) * np.maximum(core, 0.0),
    )


def _or_zero(amount: F8) -> F8:
    """NaN only where the underlying's optional figure is missing, which the run's notes name."""
    return np.where(np.isnan(amount), 0.0, amount)
