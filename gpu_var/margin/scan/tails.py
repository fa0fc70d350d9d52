"""Profit and loss in coins, and rows of a grid beyond the price range damped."""

import numpy as np

from gpu_var.tables.book import F8


def in_underlying(pnl: F8, value: F8, multiple: F8, spot_growth: F8) -> F8:
    """Profit and loss in units of the underlying, valued at today's spot: S₀·(V₁/S₁ − V₀/S₀) with V₁ = V₀ + P&L.

    That is what a venue asks for which settles in the coin: the coin itself is no risk there, and an option is worth
    V/S coins. S₁ stays within the price range also in rows beyond it, whose weight of range/|move| has brought their
    P&L back to the range: so a linear position in coins loses the same there as at the range's end, as in the
    `extended` vectors of Deribit's `private/pme/simulate` (API reference).

    Args:
        pnl: (n, n_scenarios) weighted, base currency, gains positive.
        value: (n,) V₀ in base currency, of what is worth something today: options and spot.
        multiple: price moves in units of the price range, (n_scenarios,) or (n, n_scenarios).
        spot_growth: (n, n_scenarios) S₁/S₀ > 0 of each row's underlying; 1 under normal dynamics.

    Returns:
        (n, n_scenarios) base currency.
    """
    beyond = np.maximum(np.abs(multiple), 1.0)
    before = value[:, None]
    out: F8 = (before + pnl) / (1.0 + (spot_growth - 1.0) / beyond) - before
    return out


def damped(pnl: F8, multiple: F8, amount: float) -> F8:
    """Rows beyond the price range with their gains and losses shrunk by up to (|multiple| − 1)·amount.

    Tails then matter to those who would lose more in them than the market is expected to absorb; the loss of two
    portfolios together can exceed the sum of theirs. The law is that of Deribit's `extended_dampener`.

    Args:
        pnl: (n, n_scenarios) weighted, base currency, gains positive.
        multiple: price moves in units of the price range, (n_scenarios,) or (n, n_scenarios).
        amount: base currency for each price range beyond the first, ≥ 0.

    Returns:
        (n, n_scenarios) base currency.
    """
    free = np.maximum(np.abs(multiple) - 1.0, 0.0) * amount
    out: F8 = np.sign(pnl) * np.maximum(np.abs(pnl) - free, 0.0)
    return out
