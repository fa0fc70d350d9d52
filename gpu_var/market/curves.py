"""Today's curves: zero rates and forwards at any maturity."""

import numpy as np

from gpu_var.tables.book import F8, I8, Book, Nodes, rows_of

YEAR = 365 * 86_400 * 1_000_000
"""Microseconds in a year of Act/365F."""


def years_to(expiry: I8, as_of: int) -> F8:
    """Act/365F years from `as_of`; both in microseconds since 1970 UTC."""
    return (expiry - as_of) / YEAR


def open_nodes(nodes: Nodes, owner: int, as_of: int) -> slice:
    """The rows of `owner` that expire after `as_of`; its expired nodes are dropped."""
    own = rows_of(nodes.owner, owner)
    return slice(own.start + int(nodes.expiry[own].searchsorted(as_of, side="right")), own.stop)


def zero_rate(book: Book, currency: int, years: F8, as_of: int) -> F8:
    """(n,) continuous zero rate: linear in T between nodes, flat beyond; 0 for a currency without a table."""
    nodes = open_nodes(book.rates, currency, as_of)
    if nodes.start == nodes.stop:
        return np.zeros(len(years))
    return np.interp(years, years_to(book.rates.expiry[nodes], as_of), book.rates.value[nodes])


def forward_from_rate(book: Book, underlying: int, as_of: int) -> bool:
    """Whether F = S·exp((r − dividend yield)·T): no carry = "none" and no open rows in `forwards`."""
    nodes = open_nodes(book.forwards, underlying, as_of)
    return bool(book.underlyings.carry[underlying]) and nodes.start == nodes.stop


def forward(book: Book, underlying: int, years: F8, rate: F8, as_of: int) -> F8:
    """(n,) forward: from the `forwards` rows — ln(F/S)/T linear in T, flat beyond; normal dynamics: F itself — else
    S·exp((r − dividend yield)·T), and S where carry is none or the maturity has passed.
    """
    market = book.underlyings
    spot = market.spot[underlying]
    if not market.carry[underlying]:
        return np.full(len(years), spot)
    nodes = open_nodes(book.forwards, underlying, as_of)
    if nodes.start == nodes.stop:
        value = spot * np.exp((rate - market.dividend_yield[underlying]) * years)
    else:
        node_years = years_to(book.forwards.expiry[nodes], as_of)
        node = book.forwards.value[nodes]
        if market.normal[underlying]:
            value = np.interp(years, node_years, node)
        else:
            value = spot * np.exp(np.interp(years, node_years, np.log(node / spot) / node_years) * years)
            # A node's own forward, without the rounding of the logarithm.
            at = np.minimum(np.searchsorted(node_years, years), len(node) - 1)
            value = np.where(node_years[at] == years, node[at], value)
    return np.asarray(np.where(years > 0.0, value, spot))
