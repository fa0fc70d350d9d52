"""Closing a book out: sold over days, or hedged at once and auctioned; what each costs, and what risk is left.

All of it per underlying, from a few numbers of each: what the book's delta and vega are worth, how many days of volume
they are, and its profit and loss in a day's scenarios. `close_out_book` takes these from a book.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpu_var.stress.impact import SQUARE_ROOT, TURNOVER_DAYS, ImpactLaw, almgren, best_days, impact
from gpu_var.tables.book import F8
from gpu_var.tables.config_close_out import CloseOut

Measure = Callable[[F8], F8]
"""(n, n_scenarios) losses to (n,) expected shortfalls."""


@dataclass(frozen=True)
class Exposures:
    """What is to be closed out, by underlying; (n_u,) each in base currency unless named."""

    delta_sigma: F8  # what one daily volatility of the spot is worth, |Δ|·S·σ·fx, ≥ 0
    vega_sigma: F8  # what one daily volatility of the implied volatilities is worth, bucket by bucket, ≥ 0
    delta_size: F8  # |Δ| in days of volume; 0 where no volume is known
    vega_size: F8  # Σ|Vega| in days of what the market takes; 0 where that is not known
    delta_spread: F8  # half the spread on |Δ|
    vega_spread: F8  # half the spread on the vega
    pnl: F8  # (n_u, n_scenarios) in the scenarios of one day, gains positive
    linear: F8  # (n_u, n_scenarios) the part of it that a hedge of today's delta takes away: Δ·dS·fx


@dataclass(frozen=True)
class Plan:
    """One way to close out; (n_u + 1,) each in base currency, the last row all underlyings together."""

    days: F8  # of trading: the liquidation, or the hedge
    spread: F8  # half-spreads paid
    impact: F8
    auction: F8  # what the auction's winner is paid beyond the spread
    risk: F8  # expected shortfall of what is still held, from the default to the last day; NaN without scenarios

    @property
    def cost(self) -> F8:
        """(n_u + 1,) spread + impact + auction."""
        return np.asarray(self.spread + self.impact + self.auction)


def mean_square_shares(lag: float, days: F8, n_days: int) -> F8:
    """(n_days, n) of each day, the mean of the squared share that is still held.

    Everything for `lag` days, then less in equal parts over `days`: they add up to lag + days/3, for a position that is
    sold in equal parts carries a third of its variance, as in the margin's concentration.

    Args:
        days: (n,) > 0.
        n_days: how many days to look at.
    """
    edge = np.arange(n_days + 1.0)[:, None]
    done = np.clip((edge - lag) / days, 0.0, 1.0)
    total = np.minimum(edge, lag) + days / 3.0 * (1.0 - (1.0 - done) ** 3)
    return np.asarray(np.diff(total, axis=0))


def liquidate(book: Exposures, rules: CloseOut, law: ImpactLaw, measure: Measure) -> Plan:
    """Sell every underlying's position, options among it, in equal parts over its days.

    With `pace = "participation"` the days are those that keep to the share of the market's volume; with "least_cost"
    those that minimise impact and `risk_weight` times the underlying's own expected shortfall (`impact.best_days`). At
    least one day, and `horizon_days` at most. The risk is the root of the sum of the days' squared shortfalls, each of
    all underlyings' remaining shares together: moves of different days are independent.
    """
    size = np.maximum(book.delta_size, book.vega_size)
    if rules.pace == "participation":
        days = size / rules.participation
    else:
        # As if delta and vega were one trade: the larger of the two in days of volume, and what both are worth.
        days = best_days(law, size, book.delta_sigma + book.vega_sigma, _one_day(book, rules, measure))
    days = np.clip(days, 1.0, rules.horizon_days)
    moved = book.delta_sigma * impact(law, book.delta_size, days) + book.vega_sigma * impact(law, book.vega_size, days)
    squared = mean_square_shares(rules.lag_days, days, rules.lag_days + rules.horizon_days)
    own = _shortfall(book.pnl, measure) * np.sqrt(squared.sum(axis=0))
    return Plan(
        days=np.append(days, days.max(initial=0.0)),
        spread=_with_sum(book.delta_spread + book.vega_spread),
        impact=_with_sum(moved),
        auction=np.zeros(len(days) + 1),
        risk=np.append(own, _root(_shortfall(np.sqrt(squared) @ book.pnl, measure))),
    )


def _one_day(book: Exposures, rules: CloseOut, measure: Measure) -> F8:
    """(n_u,) the weight of the risk of a day, of a position sold in equal parts."""
    out: F8 = np.nan_to_num(rules.risk_weight * _shortfall(book.pnl, measure) / np.sqrt(3.0))
    return out


def hedge_and_auction(book: Exposures, rules: CloseOut, law: ImpactLaw, measure: Measure, period: float = 1.0) -> Plan:
    """Trade the underlyings against the book's delta over `hedge_days`, and auction what is left at `auction_days`.

    The hedge pays the spread and the impact of the delta. The auction pays the spread of the vega and, to its winner,
    `auction_discount` times the expected shortfall of the hedged book over a holding period: a share of the margin that
    the winner must post for it. Days count from the end of `lag_days`. A book without options or basis has nothing left
    to auction.

    Args:
        period: days of the holding period.
    """
    n = len(book.delta_sigma)
    days = np.full(n, float(rules.hedge_days))
    n_days = rules.lag_days + rules.auction_days
    unhedged = np.sqrt(mean_square_shares(rules.lag_days, np.array([float(rules.hedge_days)]), n_days))[:, 0]
    left = book.pnl - book.linear
    squares = np.zeros(n + 1)
    for share, count in zip(*np.unique(unhedged, return_counts=True), strict=True):
        squares += count * _with_all(left + share * book.linear, measure) ** 2
    return Plan(
        days=np.append(days, float(rules.hedge_days)),
        spread=_with_sum(book.delta_spread + book.vega_spread),
        impact=_with_sum(book.delta_sigma * impact(law, book.delta_size, days)),
        auction=np.nan_to_num(rules.auction_discount * np.sqrt(period) * _with_all(left, measure)),
        risk=np.sqrt(squares),
    )


def _with_sum(amount: F8) -> F8:
    return np.append(amount, amount.sum())


def _with_all(pnl: F8, measure: Measure) -> F8:
    """(n_u + 1,) expected shortfalls of (n_u, n_scenarios), and of all underlyings together."""
    return np.append(_shortfall(pnl, measure), _shortfall(pnl.sum(axis=0, keepdims=True), measure))


def _root(by_day: F8) -> float:
    """The shortfall of independent days one after another."""
    return float(np.sqrt((by_day**2).sum()))


def _shortfall(pnl: F8, measure: Measure) -> F8:
    """(n,) expected shortfalls of (n, n_scenarios) profits and losses, not under 0; NaN without scenarios."""
    if not pnl.shape[1]:
        return np.full(len(pnl), np.nan)
    return np.asarray(np.maximum(measure(-pnl), 0.0))


def law_of(rules: CloseOut) -> ImpactLaw:
    """The law of market impact that a file asks for."""
    base = SQUARE_ROOT if rules.impact == "square_root" else almgren(rules.turnover_days or TURNOVER_DAYS)
    scale = rules.impact_scale
    return ImpactLaw(scale * base.temporary, base.exponent, scale * base.permanent)
