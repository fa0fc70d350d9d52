"""The collateral that accounts have posted, at its value in each scenario."""

import numpy as np
from scipy import sparse

from gpu_var.market.factors import Factors
from gpu_var.market.state import fx_rates, growth
from gpu_var.tables.book import F8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.findings import listed
from gpu_var.tables.pledged import Pledges, pledges


def collateral_in(book: Book, config: Config, factors: Factors, shock: F8) -> tuple[F8, list[str]]:
    """(n_accounts, n_scenarios) posted collateral at market value in the scenarios, base currency; and notes.

    No haircut is taken: it stands for the fall that the scenario brings. An asset moves with its own spot and exchange
    rate; without a factor, it stays at today's value, and a note names it. So does what is among the positions
    (`simulate` in [collateral]), for there its fall is part of the loss. What is owed counts negative.

    Args:
        book: with simulated collateral among its positions.
        shock: (n_scenarios, n_factors) as the engine takes them.
    """
    n_accounts, n_scenarios = len(book.accounts.house), len(shock)
    p = pledges(book, config)
    if not len(p.quantity):
        return np.broadcast_to(0.0, (n_accounts, n_scenarios)), []
    price, still = _prices(book, config, factors, p, shock)
    posted = sparse.csr_array((p.quantity, (p.account, p.asset)), shape=(n_accounts, len(p.name)))
    notes = []
    if still:
        notes.append(f"collateral: no factor moves its value, which stays as of today: {listed(still)}")
    return np.asarray(posted @ price), notes


def _prices(book: Book, config: Config, factors: Factors, p: Pledges, shock: F8) -> tuple[F8, list[str]]:
    """(n_assets, n_scenarios) base currency for one unit of each asset, and those that nothing moves."""
    fx = np.append(fx_rates(book, config.base_currency), 1.0)
    out = np.ones((len(p.name), len(shock)))
    still = []
    for asset, (u, c) in enumerate(zip(p.underlying.tolist(), p.currency.tolist(), strict=True)):
        spot = book.underlyings.spot[u] if u >= 0 else 1.0
        own = int(factors.spot[u]) if u >= 0 else -1
        rate = 1.0 if p.base[asset] or c < 0 else fx[c]
        quote = int(factors.fx[c]) if c >= 0 and not p.base[asset] else -1
        if p.simulated[asset]:
            own = quote = -1
        elif own < 0 and quote < 0 and not p.base[asset]:
            still.append(p.name[asset])
        out[asset] = spot * rate
        if own >= 0 and factors.additive[own]:
            out[asset] = (spot + shock[:, own]) * rate
        elif own >= 0:
            out[asset] *= growth(shock[:, own], config.returns)
        if quote >= 0:
            out[asset] *= growth(shock[:, quote], config.returns)
    return out, still
