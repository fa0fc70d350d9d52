"""Second-order risk of net short option positions: gamma, vega, and a minimum for short options."""

from typing import Any

import numpy as np

from cpu_reference.types import OPTION
from gpu_var.margin.measured import Measured
from gpu_var.tables.book import F8, Book, Bool
from gpu_var.tables.config_charges import Options


def gamma_charge(gamma: F8, move: F8, fx: F8) -> F8:
    """(n,) ½·max(0, −Γ)·move²·fx: the second-order loss of a net short position where the spot moves either way.

    Args:
        gamma: (n,) Σ quantity·multiplier·∂²price/∂S², the underlying's currency per squared unit of its price.
        move: (n,) of the spot, in units of its price.
        fx: (n,) base currency for one unit of the underlying's.
    """
    return np.asarray(0.5 * np.maximum(-gamma, 0.0) * move**2 * fx)


def vega_charge(vega: F8, rise: F8, fx: F8) -> F8:
    """(n,) max(0, −Vega)·rise·fx: what a net short position loses where volatility rises.

    Args:
        vega: (n,) per 1.00 of volatility, the underlying's currency (normal dynamics: per unit of normal volatility).
        rise: (n,) absolute, 0.05 for five points.
        fx: (n,) base currency for one unit of the underlying's.
    """
    return np.asarray(np.maximum(-vega, 0.0) * rise * fx)


def minimum_charge(calls: F8, puts: F8, rate: F8, larger: Bool) -> F8:
    """(n,) rate × (short calls + short puts), or × the larger of them: what a deep out-of-the-money option costs at
    least, for which no scenario shows a loss (as in SPAN).

    Args:
        calls, puts: (n,) units of the underlying sold short, gross over strikes and expiries, ≥ 0.
        rate: (n,) base currency per unit.
        larger: (n,) whether only the larger of the two counts, because they cannot both be exercised with a loss.
    """
    return np.asarray(rate * np.where(larger, np.maximum(calls, puts), calls + puts))


def per_underlying(book: Book, options: Options, key: str) -> Any:
    """(n_underlyings,) a parameter of [options]: its own where [options.underlyings.NAME] has it."""
    out = np.full(len(book.underlyings.spot), getattr(options, key))
    for name, own in options.underlyings.items():
        row, value = book.underlyings.name.index(name).as_py(), getattr(own, key)
        if row >= 0 and value is not None:  # one configuration may serve several books
            out[row] = value
    return out


def _rate(m: Measured, key: str) -> F8 | None:
    """(n_cells,) a parameter of [options] at each cell's underlying; None where it is 0 for all of them."""
    if m.config.options is None:
        return None
    rate: F8 = per_underlying(m.book, m.config.options, key)
    return rate[m.cells.underlying] if rate.any() else None


def _fx(m: Measured) -> F8:
    return m.fx[m.book.underlyings.currency[m.cells.underlying]]


def _unit(m: Measured) -> F8:
    """(n_cells,) what a relative parameter is relative to: the spot; 1 for normal dynamics, where it is absolute."""
    u = m.book.underlyings
    return np.where(u.normal, 1.0, u.spot)[m.cells.underlying]


def gamma(m: Measured) -> F8 | None:
    """(n_accounts,) base currency, ≥ 0: Σ over net short underlyings; None where `gamma_move` is 0 for all."""
    move = _rate(m, "gamma_move")
    return None if move is None else m.by_account(gamma_charge(m.sensitivity.gamma, move * _unit(m), _fx(m)))


def vega(m: Measured) -> F8 | None:
    """(n_accounts,) base currency, ≥ 0: Σ over net short underlyings; None where `vega_points` is 0 for all."""
    rise = _rate(m, "vega_points")
    return None if rise is None else m.by_account(vega_charge(m.sensitivity.vega, rise, _fx(m)))


def short_option_minimum(m: Measured) -> F8 | None:
    """(n_accounts,) base currency, ≥ 0: what is missing from core to the minimum; None where it is 0 for all.

    The minimum adds up over underlyings. An option short in one strike does not offset one long in another; an expired
    one, which can no longer be assigned, is not counted.
    """
    rate = _rate(m, "short_minimum")
    if rate is None or m.config.options is None:
        return None
    i, p = m.book.instruments, m.book.positions
    held = p.quantity != 0
    at = p.instrument[held]
    short = (i.kind[at] == OPTION) & (i.expiry[at] > m.config.as_of_us)
    units = np.where(short, np.maximum(-p.quantity[held], 0.0) * i.multiplier[at], 0.0)
    calls, puts = (
        np.asarray(np.bincount(m.cells.of_position, np.where(i.sign[at] == sign, units, 0.0), len(rate)), np.float64)
        for sign in (1, -1)
    )
    larger = per_underlying(m.book, m.config.options, "short_minimum_basis")[m.cells.underlying] == "max"
    minimum = m.by_account(minimum_charge(calls, puts, rate * _unit(m) * _fx(m), larger))
    return np.asarray(np.maximum(minimum - np.maximum(m.core.amount, 0.0), 0.0))
