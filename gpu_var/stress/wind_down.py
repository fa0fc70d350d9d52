"""Winding defaults down: whose books are closed out, after which scenario, and what both ways cost."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gpu_var.margin.columns import numbers
from gpu_var.margin.measured import Measured
from gpu_var.scenarios.model import measures
from gpu_var.stress.close_out import Plan, hedge_and_auction, law_of, liquidate
from gpu_var.stress.cover import Cover
from gpu_var.stress.defaulted_book import DefaultedBook, defaulted_book
from gpu_var.stress.house import House
from gpu_var.stress.losses import Exposure
from gpu_var.stress.waterfall import groups_of
from gpu_var.tables.book import F8, I8, Bool
from gpu_var.tables.config_close_out import CloseOut
from gpu_var.tables.findings import listed

STRATEGIES = ("liquidate", "hedge_and_auction")

TODAY = "none"
"""How `close_out.scenario` says that no scenario is to come first."""


@dataclass(frozen=True)
class WindDown:
    """The close-out of some defaulters' books together, base currency."""

    defaulters: tuple[str, ...]  # groups and members
    scenario: str | None  # whose market they are closed out in; None for today's
    book: DefaultedBook
    plans: dict[str, Plan]  # strategy -> (n_u + 1,), the last row all underlyings together
    notes: tuple[str, ...]

    def table(self) -> pa.Table:
        """Rows of `close_out.parquet`: a row a strategy and underlying, and one of all together, `underlying` null."""
        b, n = self.book, len(self.book.underlying)
        size = np.maximum(b.exposures.delta_size, b.exposures.vega_size)
        plans = [self.plans[name] for name in STRATEGIES]

        def twice(values: F8, together: float = np.nan) -> pa.Array:
            return numbers(np.tile(np.append(values, together), 2))

        return pa.table(
            {
                "defaulters": pa.array([list(self.defaulters)] * 2 * (n + 1), pa.list_(pa.string())),
                "scenario": pa.array([self.scenario] * 2 * (n + 1), pa.string()),
                "strategy": pa.array(np.repeat(np.array(STRATEGIES, dtype=object), n + 1), pa.string()),
                "underlying": pa.array([*b.underlying, None] * 2, pa.string()),
                "delta": twice(b.delta),
                "vega": twice(b.vega),
                "volume_days": twice(size, float(size.max(initial=0.0))),
                **{
                    name: numbers(np.concatenate([getattr(plan, name) for plan in plans]))
                    for name in ("days", "spread", "impact", "auction", "cost", "risk")
                },
            }
        )

    def summary(self) -> dict[str, Any]:
        """Plain facts of all underlyings together, for `stress.json` and a report; null where not known."""
        plans = {
            name: {
                key: None if np.isnan(value := float(getattr(plan, key)[-1])) else value
                for key in ("days", "spread", "impact", "auction", "cost", "risk")
            }
            for name, plan in self.plans.items()
        }
        return {
            "defaulters": list(self.defaulters),
            "scenario": self.scenario,
            "revaluations": self.book.revaluations,
            **plans,
        }


def wind_down(exposure: Exposure, house: House, cover: Cover, n: int, rules: CloseOut) -> WindDown | None:
    """Close out the members that the rules name, or the groups of the worst Cover N, in the scenario that they name.

    That scenario is the one with the largest Cover N unless given, and its market is the one that books are closed out
    in. Affiliates default together: a group's name means all its members, a member's name that member.

    Args:
        cover: of the exposure's scenarios.
        n: groups that default together.

    Returns:
        None where nobody defaults, or the defaulters hold nothing.

    Raises:
        KeyError: a name that is neither a group nor a member, or no scenario's.
    """
    m, scenarios = exposure.measured, exposure.scenarios
    row = None
    if rules.scenario != TODAY and len(scenarios.set.name):
        row = cover.worst(n) if rules.scenario is None else _row(scenarios.set.name, rules.scenario)
    if rules.members:
        members = house.members_of(rules.members)
    elif row is None:
        return None
    else:
        members = groups_of(cover, house, n)[:, row]
    if not members.any():
        return None
    shock = np.zeros(len(m.factors.names)) if row is None else scenarios.set.shock[row]
    spreads, adv = (1.0, 1.0) if row is None else (float(scenarios.spreads[row]), float(scenarios.adv[row]))
    accounts = _accounts(exposure, house, members, rules)
    book = defaulted_book(m, accounts, shock, spreads, adv)
    if not book.underlying:
        return None
    return WindDown(
        _names(house, members),
        None if row is None else scenarios.set.name[row],
        book,
        plans_of(book, rules, m),
        (*book.notes, *_slow(book, rules)),
    )


def plans_of(book: DefaultedBook, rules: CloseOut, m: Measured) -> dict[str, Plan]:
    """Both ways to close a book out, by the names of `STRATEGIES`; the shortfall is that of the run's level."""

    def measure(losses: F8) -> F8:
        return measures(m.backend, m.backend.to_device(losses), 1, m.config.level).es

    law = law_of(rules)
    period = float(m.config.holding_period_days)
    return {
        "liquidate": liquidate(book.exposures, rules, law, measure),
        "hedge_and_auction": hedge_and_auction(book.exposures, rules, law, measure, period),
    }


def _row(names: list[str], name: str) -> int:
    if name not in names:
        raise KeyError(name)
    return names.index(name)


def _accounts(exposure: Exposure, house: House, members: Bool, rules: CloseOut) -> I8:
    """Rows of the accounts that are closed out: the members' own and, unless they are ported, their clients'."""
    chosen = members[house.member_of] & ~exposure.broken
    if rules.clients == "ported":
        chosen &= house.house
    return np.flatnonzero(chosen)


def _names(house: House, members: Bool) -> tuple[str, ...]:
    """A group's name for all of its members, else the members' own."""
    names: dict[str, None] = {}
    for member in np.flatnonzero(members).tolist():
        group = house.group[member]
        whole = bool(members[house.group == group].all())
        names[house.group_name[group] if whole else house.name[member]] = None
    return tuple(names)


def _slow(book: DefaultedBook, rules: CloseOut) -> list[str]:
    """A note on what cannot be sold in time at the rate that is asked for."""
    size = np.maximum(book.exposures.delta_size, book.exposures.vega_size)
    slow = np.flatnonzero(size / rules.participation > rules.horizon_days)
    if rules.pace != "participation" or not len(slow):
        return []
    return [
        f"close-out: at participation = {rules.participation:g} these take longer than horizon_days = "
        f"{rules.horizon_days}, and are sold faster: {listed(book.underlying[i] for i in slow)}"
    ]
