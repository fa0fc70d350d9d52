"""Today's levels of the risk factors, and what a shock makes of them."""

import numpy as np
import numpy.typing as npt

from cpu_reference.smile import smile_variance
from cpu_reference.types import OPTION, Maturities
from gpu_var.market.curves import forward, zero_rate
from gpu_var.market.factors import Factors
from gpu_var.market.state import fx_rates, growth
from gpu_var.market.surface import smile
from gpu_var.tables.book import F8, Book
from gpu_var.tables.config import Config


def factors_of(
    book: Book, config: Config, factors: Factors, instruments: npt.NDArray[np.integer]
) -> npt.NDArray[np.intp]:
    """The factors that can move some instruments, ascending.

    Args:
        instruments: rows of `Book.instruments`.
    """
    i = book.instruments
    owners = np.unique(i.underlying[instruments])
    live = i.expiry[instruments] > config.as_of_us
    dated = np.unique(i.underlying[instruments[live]])
    optional = np.unique(i.underlying[instruments[live & (i.kind[instruments] == OPTION)]])
    currency = book.underlyings.currency
    found = [factors.spot[owners], factors.fx[currency[owners]]]
    found += [factors.forward[u].factor for u in dated]
    found += [factors.rate[c].factor for c in np.unique(currency[dated])]
    found += [factors.iv[u].factor for u in optional]
    rows = np.unique(np.concatenate([np.zeros(0, dtype=np.intp), *found]))
    return rows[rows >= 0]


def factor_levels(book: Book, config: Config, factors: Factors) -> F8:
    """(n_factors,) the book's level of each factor, which its shocks apply to: spot, fx, and at its tenor the forward,
    the zero rate, or the volatility at the money (K = F); NaN for `iv` of an underlying without a surface.
    """
    out = np.full(len(factors.names), np.nan)
    as_of = config.as_of_us
    # Of a book that has its collateral among the positions, the factors know more underlyings, currencies, than we may.
    spot, fx = np.flatnonzero(factors.spot >= 0), np.flatnonzero(factors.fx >= 0)
    out[factors.spot[spot]] = book.underlyings.spot[spot]
    out[factors.fx[fx]] = fx_rates(book, config.base_currency)[fx]
    for currency, curve in enumerate(factors.rate):
        out[curve.factor] = zero_rate(book, currency, curve.years, as_of)
    for u, curves in enumerate(zip(factors.forward, factors.iv, strict=True)):
        for kind, curve in zip(("forward", "iv"), curves, strict=True):
            if not len(curve.factor):
                continue
            rate = zero_rate(book, int(book.underlyings.currency[u]), curve.years, as_of)
            maturities = Maturities(curve.years, forward(book, u, curve.years, rate, as_of), rate)
            if kind == "iv":
                at = np.arange(len(curve.years))
                level = np.sqrt(smile_variance(smile(book, u, maturities, as_of), at, np.zeros(len(at))))
            else:
                level = maturities.forward
            out[curve.factor] = level
    return out


def shocked(level: F8, shock: F8, additive: npt.NDArray[np.bool_], returns: str) -> F8:
    """Levels after a shock: level·g, or level + x for additive factors; broadcast."""
    return np.where(additive, level + shock, level * growth(np.where(additive, 0.0, shock), returns))
