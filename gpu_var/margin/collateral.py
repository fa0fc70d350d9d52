"""What an account has posted against what it must post: initial and maintenance margin, requirement, excess, standing.

Everything is in base currency; margins and requirements are positive, an excess below zero is a deficit.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cpu_reference import Tail
from gpu_var.margin.columns import numbers
from gpu_var.margin.core import MEASURED, core
from gpu_var.margin.measured import Measured
from gpu_var.market.collateral import market_values
from gpu_var.scenarios.model import measures
from gpu_var.tables.book import F8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.pledged import pledges

SAFE, CALL, LIQUIDATION = "safe", "call", "liquidation"

Texts = np.ndarray[tuple[int], np.dtype[np.object_]]


class Pool(NamedTuple):
    """What each account has posted; both (n_accounts,)."""

    market_value: F8
    value: F8  # after haircuts


def enabled(config: Config) -> bool:
    """Whether `margin.parquet` says how accounts stand."""
    return config.collateral is not None or config.initial is not None or config.maintenance is not None


def after_haircut(market_value: F8, haircut: F8) -> F8:
    """V·(1 − h), and V itself where that is less: a haircut never makes smaller what is owed."""
    return np.minimum(market_value, market_value * (1.0 - haircut))


def pool(book: Book, config: Config) -> Pool:
    """Collateral by account, before and after haircuts; what is simulated has none, for its risk is in the margin.

    An asset without a haircut is worth nothing here; `market.checks` has refused it.
    """
    p, n = pledges(book, config), len(book.accounts.house)
    given = [None if config.collateral is None else config.collateral.haircut(a, config.base_currency) for a in p.name]
    haircut = np.where(p.simulated, 0.0, np.array([1.0 if h is None else h for h in given]))
    value = market_values(book, config, p)
    return Pool(
        *(
            np.asarray(np.bincount(p.account, amount, n), dtype=np.float64)
            for amount in (value, after_haircut(value, haircut[p.asset]))
        )
    )


def requirement_of(margin: F8, net_option_value: F8, *, credit_option_value: bool) -> F8:
    """What collateral must cover: the margin, or max(0, margin − net option value).

    The value of options held long is credited up to the margin and never beyond, and that of options held short, which
    it would cost to buy them back, is added (the order of SPAN: risk first, then net option value).
    """
    return np.maximum(0.0, margin - net_option_value) if credit_option_value else margin


def standing(collateral: F8, initial: F8, maintenance: F8 | None) -> Texts:
    """ "safe" where the collateral covers the initial requirement, else "liquidation" where it does not cover the
    maintenance requirement either, else "call".

    Args:
        collateral: (n,) after haircuts.
        initial: (n,) requirement.
        maintenance: (n,) requirement, at most `initial`; None: no account is liquidated.
    """
    out: Texts = np.where(collateral >= initial, SAFE, CALL).astype(object)
    if maintenance is not None:
        out[(collateral < initial) & (collateral < maintenance)] = LIQUIDATION
    return out


def initial_margin(m: Measured, margin: F8) -> F8:
    """factor·max(0, core) and what is added to core: that is margin + (factor − 1)·max(0, core)."""
    factor = 1.0 if m.config.initial is None else m.config.initial.factor
    return margin + (factor - 1.0) * np.maximum(m.core.amount, 0.0)


def maintenance_margin(m: Measured, margin: F8) -> F8 | None:
    """As the initial margin with a factor of its own, or with the core at a level of its own; None without a table."""
    given = m.config.maintenance
    if given is None:
        return None
    risk = np.maximum(m.core.amount, 0.0)
    if given.factor is not None:
        by_factor: F8 = margin + (given.factor - 1.0) * risk
        return by_factor
    if given.level is None:
        raise AssertionError("a maintenance margin has a factor or a level")
    at_level: F8 = margin + (np.maximum(core_at(m, given.level), 0.0) - risk)
    return at_level


def core_at(m: Measured, level: float) -> F8:
    """(n_accounts,) the core rule with the models' measures at another level; not floored, NaN for failed accounts."""
    tails = {}
    for model in m.tails.keys() & set(MEASURED):
        pnl = m.pnl[model]
        step = max(1, (1 << 20) // pnl.shape[1])
        rows = range(0, max(1, len(pnl)), step)
        parts = [measures(m.backend, -pnl[r : r + step], m.sets[model].samples, level) for r in rows]
        tails[model] = Tail(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    amount = None if m.scan is None else np.where(m.broken, np.nan, m.scan.amount)
    return core(tails, amount, m.config).amount


def columns(m: Measured, margin: F8) -> dict[str, pa.Array]:
    """The columns that end `margin.parquet`; none unless [collateral], [initial] or [maintenance] is given.

    `initial`, `maintenance`, `collateral` (after haircuts), `collateral_market_value`, `requirement`, `excess`
    (collateral − requirement), `standing`; null where their table is not given, and for failed accounts.

    Args:
        margin: (n_accounts,) max(0, core) with all add-ons and charges, NaN for failed accounts.
    """
    config, n = m.config, len(margin)
    if not enabled(config):
        return {}
    credit = config.collateral is not None and config.collateral.credit_option_value
    option_value = m.by_account(m.sensitivity.net_option_value)
    initial, maintenance = initial_margin(m, margin), maintenance_margin(m, margin)
    required = requirement_of(initial, option_value, credit_option_value=credit)
    posted = None if config.collateral is None else pool(m.book, config)
    stands = pa.nulls(n, pa.string())
    if posted is not None:
        least = maintenance
        if maintenance is not None:
            least = requirement_of(maintenance, option_value, credit_option_value=credit)
        stands = pa.array(standing(posted.value, required, least), pa.string(), mask=m.broken)
    amounts = {
        "initial": initial,
        "maintenance": maintenance,
        "collateral": None if posted is None else posted.value,
        "collateral_market_value": None if posted is None else posted.market_value,
        "requirement": required,
        "excess": None if posted is None else posted.value - required,
    }
    none = np.full(n, np.nan)
    return {
        **{name: numbers(none if a is None else np.where(m.broken, np.nan, a)) for name, a in amounts.items()},
        "standing": stands,
    }
