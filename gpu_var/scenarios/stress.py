"""Stress scenarios: moves written down, and historical ones as they were."""

import numpy as np

from gpu_var.market.factors import Factors
from gpu_var.market.stress import stretches, written_shocks
from gpu_var.scenarios.fhs import scenario_dates
from gpu_var.scenarios.model import ScenarioSet, count_floored
from gpu_var.tables.book import F8, Book, Bool
from gpu_var.tables.config import Config
from gpu_var.tables.config_models import PERIOD


def stress(book: Book, config: Config, factors: Factors) -> ScenarioSet:
    """The scenarios of `[stress]`, first those written down, then those of each period.

    A written shock is a relative change (lognormal spot and forward, iv, fx: the growth is 1 + shock, whatever
    `returns` is) or a difference (rate, and spot and forward of a normal underlying); of the patterns that a factor
    matches the last one counts, and a factor that none matches does not move. Over a period of history the scenarios
    are the factors' changes over every h consecutive rows inside it, as they were, named "period:" and the last date.

    Raises:
        ValueError: [stress] is not enabled.
    """
    table = config.stress
    if table is None:
        raise ValueError("[stress] is not enabled; expected its table in the configuration")
    written = [written_shocks(scenario, factors.names) for scenario in table.scenario]
    names = [scenario.name for scenario in table.scenario]
    parts = [as_returns(np.reshape(written, (len(names), len(factors.names))), factors.additive, config.returns)]
    h = config.holding_period_days
    for rows in stretches(book.history, config):
        levels = book.history.level[rows.first : rows.stop, factors.column]
        parts.append(changes(levels, h, factors.additive, config.returns))
        dates = scenario_dates(book.history.date[rows.first : rows.stop])
        names += [f"{PERIOD}{date}" for date in dates[h:]]
    shock = np.concatenate(parts)
    return ScenarioSet("stress", names, shock, count_floored(shock, factors.additive, config.returns))


def as_returns(written: F8, additive: Bool, returns: str) -> F8:
    """Shocks as the engine takes them: ln(1 + shock) of relative ones under log returns; NaN, none given, is 0."""
    shock = np.where(np.isnan(written), 0.0, written)
    if returns == "log":
        shock[:, ~additive] = np.log1p(shock[:, ~additive])
    return shock


def changes(levels: F8, rows: int, additive: Bool, returns: str) -> F8:
    """(N + 1 − rows, n_factors) changes of (N + 1, n_factors) levels over so many rows: log, simple, or differences."""
    out = levels[rows:] - levels[:-rows]
    relative = levels[rows:, ~additive] / levels[:-rows, ~additive]
    out[:, ~additive] = np.log(relative) if returns == "log" else relative - 1.0
    return out
