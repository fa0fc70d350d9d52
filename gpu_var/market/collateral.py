"""The market value of what is pledged, and what must be known of it before anything is computed."""

import numpy as np

from gpu_var.market.state import fx_rates
from gpu_var.tables.book import F8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.config_collateral import ANY
from gpu_var.tables.findings import Findings, listed, nearest, shown
from gpu_var.tables.pledged import Pledges, pledges
from gpu_var.tables.where import Where


def market_values(book: Book, config: Config, p: Pledges) -> F8:
    """(n_pledges,) base currency, at today's prices; negative where the asset is owed, or its price is negative."""
    fx = np.append(fx_rates(book, config.base_currency), 1.0)  # the base currency may stand in no table
    price = np.append(book.underlyings.spot, 1.0)[p.underlying] * np.where(p.base, 1.0, fx[p.currency])
    return np.asarray(p.quantity * price[p.asset])


def check_collateral(book: Book, config: Config, where: Where, findings: Findings) -> None:
    """Findings for assets without the haircut that they need; notes on what may not be what was meant.

    Args:
        book: as read, or with its collateral among the positions.
    """
    rules = config.collateral
    if rules is None:
        return
    if "collateral" not in book.files:
        findings.note("[collateral]: the book has no table collateral, so no account has posted any")
    p = pledges(book, config)
    posted = [p.name[a] for a in np.unique(p.asset)]
    simulated = dict(zip(p.name, p.simulated.tolist(), strict=True))
    bare = [a for a in posted if not simulated[a] and rules.haircut(a, config.base_currency) is None]

    def text(row: int) -> str:
        asset = str(where.shown("collateral", "asset", row))
        near = nearest(asset, rules.haircuts)
        hint = f"; there is one for {shown(near)}" if near else ""
        return f"{shown(asset)} has no haircut{hint}; expected one in [collateral] haircuts, for it or for '{ANY}'"

    with np.errstate(over="ignore"):
        endless = np.isinf(market_values(book, config, p))
    if endless.any():
        names = [p.name[a] for a in np.unique(p.asset[endless])]
        what = "the value of some account's is not finite; expected quantities and prices whose product is a number"
        rows = where.rows_with("collateral", "asset", names)[:1]
        where.report("collateral", "quantity", "value", rows, lambda _: f"{listed(names)}: {what}")
    where.report("collateral", "asset", "haircut", where.rows_with("collateral", "asset", bare), text)
    apart = [a for a in posted if not simulated[a] and a != config.base_currency and a not in bare]
    if rules.simulate and apart:
        findings.note(
            f"collateral: not simulated, for no scenario moves it, and valued with its haircut: {listed(apart)}"
        )
    strange = sorted(set(rules.haircuts) - {ANY, config.base_currency, *_assets(book)})
    if strange:
        findings.note(f"[collateral] haircuts: neither an underlying nor a currency of the book: {listed(strange)}")


def _assets(book: Book) -> set[str]:
    return {*book.underlyings.name.to_pylist(), *book.currencies.name}
