"""Positive value counted for less: an expiry that is worth something may not bring its whole mark when it is needed."""

import numpy as np

from gpu_var.market.curves import years_to, zero_rate
from gpu_var.tables.book import F8, I8, NO_EXPIRY, Book
from gpu_var.tables.config_contingency import Discount


def discount_factor(years: F8, rate: F8, discount: Discount) -> F8:
    """static·exp(−T·(rate_multiple·max(r, 0) + rate_add)), with T ≥ 0.

    Source: Derive, `PMRMLib.sol` (2023), `_addStaticDiscount`.

    Args:
        years: (n,) Act/365F years to expiry.
        rate: (n,) continuous zero rate at it.

    Returns:
        (n,) factors in (0, 1].
    """
    stressed = discount.rate_multiple * np.maximum(rate, 0.0) + discount.rate_add
    factor: F8 = discount.static * np.exp(-np.maximum(years, 0.0) * stressed)
    return factor


def discount_factors(book: Book, as_of: int, underlying: I8, expiry: I8, discount: Discount) -> F8:
    """The factor of each group of positions; 1 for what does not expire: spot and perpetuals.

    Args:
        as_of: microseconds since 1970 UTC.
        underlying: (n,) rows of Book.underlyings.
        expiry: (n,) microseconds since 1970 UTC, or `NO_EXPIRY`.
    """
    out = np.ones(len(expiry))
    currency = book.underlyings.currency[underlying]
    dated = expiry != NO_EXPIRY
    for c in np.unique(currency[dated]):
        rows = np.flatnonzero(dated & (currency == c))
        years = years_to(expiry[rows], as_of)
        out[rows] = discount_factor(years, zero_rate(book, int(c), years, as_of), discount)
    return out


def discounted(pnl: F8, value: F8, factor: F8) -> F8:
    """Profit and loss of expiries whose value in a scenario, where positive, counts times the factor.

    What is compared with is today's value undiscounted, so a long option loses the discount even where nothing moves.
    min(V, factor·V) is superadditive in V: losses remain sub-additive over expiries and portfolios, and none falls.

    Args:
        pnl: (n_groups, n_scenarios) base currency, gains positive, of one account's positions of one expiry each.
        value: (n_groups,) today's mark-to-market value.
        factor: (n_groups,) in [0, 1].

    Returns:
        (n_groups, n_scenarios).
    """
    after = value[:, None] + pnl
    # Where nothing is taken off, the profit and loss keeps its bits.
    out: F8 = pnl - np.maximum(after, 0.0) * (1.0 - factor)[:, None]
    return out
